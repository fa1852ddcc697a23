//! What the last sample says of processes, for dialogs and signals.

use crate::app::App;
use crate::kernel::kin::Known;
use crate::snapshot::ProcKey;
use crate::text::{Charset, sanitize};
/// All processes of the last sample.
pub(super) fn all_processes(app: &App) -> impl Iterator<Item = Known> + '_ {
    let processes = app.model.iter().flat_map(|model| &model.now.processes);
    processes.map(|process| Known { key: process.key, ppid: process.ppid, pgrp: process.pgrp })
}

/// The most of a command line that a dialog can show, bytes.
const COMMAND_SHOWN: usize = 200;

/// Name and command line of a process, made printable; "?" and nothing for one that the table no longer has.
pub(super) fn known_of(app: &App, key: ProcKey) -> (String, String) {
    let Some(process) = app.model.as_deref().and_then(|m| m.process(key.pid)) else { return ("?".into(), String::new()) };
    let printable = |bytes: &[u8]| sanitize(bytes, Charset::Unicode).into_owned();
    let args = process.identity.cmdline.as_deref().unwrap_or_default();
    let shown: Vec<u8> = args.iter().take(COMMAND_SHOWN).map(|b| if *b == 0 { b' ' } else { *b }).collect();
    (printable(process.leader.comm.as_bytes()), printable(shown.trim_ascii_end()))
}
