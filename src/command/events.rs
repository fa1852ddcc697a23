//! `concmon events`: prints births, execs, renames and exits as they happen, one per line.

use std::collections::HashMap;
use std::io::{self, Write};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde_json::json;

use crate::cli::EventsArgs;
use crate::config::Config;
use crate::export::SafeFormatter;
use crate::kernel::AutoSource;
use crate::kernel::source::{Needs, Request, Source as _};
use crate::snapshot::{Comm, EventKind, EventTier, ExitStatus, LifecycleEvent, Snapshot};
use crate::text::{Charset, sanitize, sanitize_str};

use super::Failure;
use super::output::with_stdout;

/// Names and versions the lines of `--json`.
const SCHEMA: &str = "concmon.event/1";

/// How often the events that have come are printed; they carry their own times.
const BATCH: Duration = Duration::from_millis(200);

/// Runs it.
pub(super) fn run(config: &Config, args: &EventsArgs) -> Result<(), Failure> {
    let mut source = AutoSource::new("/proc", config.source).map_err(|e| Failure::Unavailable(e.into()))?;
    let mut sweep = || source.sample(&Request::basic(Needs::empty())).context("cannot read the processes");
    // What ran before is not news.
    let first = sweep()?;
    let mut names = Names::default();
    names.learn(&first);
    let printer = Printer { json: args.json, charset: Charset::from_unicode(config.unicode), started_ns: first.taken_ns };
    let until = args.duration.map(|duration| Instant::now() + duration);
    let mut lost = first.report.events_lost;
    let mut tier = None;
    loop {
        let left = until.map_or(BATCH, |until| until.saturating_duration_since(Instant::now()).min(BATCH));
        std::thread::sleep(left);
        let snapshot = sweep()?;
        say_tier(&mut tier, &snapshot.report.events, config);
        with_stdout(|out| snapshot.events.iter().try_for_each(|event| printer.print(out, event, &mut names)))?;
        names.learn(&snapshot);
        if snapshot.report.events_lost > lost {
            eprint_line(
                config,
                &format!(
                    "{} events were lost: the kernel produced them faster than concmon read them",
                    snapshot.report.events_lost - lost
                ),
            );
            lost = snapshot.report.events_lost;
        }
        if until.is_some_and(|until| Instant::now() >= until) {
            return Ok(());
        }
    }
}

/// Says once, and again when it changes, how complete the events are.
fn say_tier(said: &mut Option<EventTier>, now: &EventTier, config: &Config) {
    if said.as_ref() == Some(now) {
        return;
    }
    match now {
        EventTier::Polling(why) => {
            eprint_line(config, &format!("comparing process lists; short-lived processes are missed: {why}"));
        }
        EventTier::Connector if said.is_some() => eprint_line(config, "from here on the kernel reports every event"),
        EventTier::Connector => {}
    }
    *said = Some(now.clone());
}

fn eprint_line(config: &Config, text: &str) {
    let text = sanitize_str(text, Charset::from_unicode(config.unicode));
    // Without a standard error nobody can be told.
    let _ = writeln!(io::stderr(), "concmon: {text}");
}

/// What tasks were last called: an event names ids only, and its task may be gone.
#[derive(Default)]
struct Names(HashMap<i32, Comm>);

impl Names {
    fn learn(&mut self, snapshot: &Snapshot) {
        // The list is the truth: what ended without an event must not keep its name for the next of its number.
        self.0.clear();
        self.0.extend(snapshot.processes.iter().map(|process| (process.key.pid, process.leader.comm)));
    }

    /// The name, after what the event itself tells of names.
    fn of(&mut self, kind: &EventKind) -> Option<Comm> {
        match *kind {
            EventKind::Fork { parent_tgid, child_tgid, .. } => {
                let name = self.0.get(&parent_tgid).copied();
                if let Some(name) = name {
                    self.0.entry(child_tgid).or_insert(name);
                }
                name
            }
            EventKind::Exec { tgid } | EventKind::Exit { tgid, .. } => self.0.get(&tgid).copied(),
            EventKind::Comm { tid, tgid, comm } => {
                if tid == tgid {
                    self.0.insert(tgid, comm);
                }
                Some(comm)
            }
        }
    }
}

struct Printer {
    json: bool,
    charset: Charset,
    started_ns: u64,
}

impl Printer {
    fn print(&self, out: &mut impl Write, event: &LifecycleEvent, names: &mut Names) -> io::Result<()> {
        let name = names.of(&event.kind);
        if self.json { self.print_json(out, event, name) } else { self.print_text(out, event, name) }
    }

    fn print_text(&self, out: &mut impl Write, event: &LifecycleEvent, name: Option<Comm>) -> io::Result<()> {
        let seconds = event.at_ns.saturating_sub(self.started_ns) as f64 / 1e9;
        let name = name.map_or_else(|| "?".into(), |name| sanitize(name.as_bytes(), self.charset).into_owned());
        match event.kind {
            EventKind::Fork { parent_tgid, child_tid, child_tgid, .. } if child_tgid == parent_tgid => {
                writeln!(out, "{seconds:10.3} thread {child_tgid:>7} {name}: thread {child_tid}")
            }
            EventKind::Fork { parent_tgid: 0, child_tgid, .. } => {
                writeln!(out, "{seconds:10.3} birth  {child_tgid:>7}")
            }
            EventKind::Fork { parent_tgid, child_tgid, .. } => {
                writeln!(out, "{seconds:10.3} fork   {parent_tgid:>7} {name}: child {child_tgid}")
            }
            EventKind::Exec { tgid } => writeln!(out, "{seconds:10.3} exec   {tgid:>7} {name}"),
            EventKind::Comm { tid, tgid, .. } => writeln!(out, "{seconds:10.3} rename {tgid:>7} {name} (task {tid})"),
            EventKind::Exit { tid, tgid, .. } if tid != tgid => {
                writeln!(out, "{seconds:10.3} thread {tgid:>7} {name}: thread {tid} ended")
            }
            EventKind::Exit { tgid, status, .. } => {
                writeln!(out, "{seconds:10.3} exit   {tgid:>7} {name}: {}", exit_words(status))
            }
        }
    }

    fn print_json(&self, out: &mut impl Write, event: &LifecycleEvent, name: Option<Comm>) -> io::Result<()> {
        let name = name.map(|name| String::from_utf8_lossy(name.as_bytes()).into_owned());
        let mut line = json!({ "schema": SCHEMA, "at_boot_ns": event.at_ns, "comm": name });
        let more = match event.kind {
            EventKind::Fork { parent_tid, parent_tgid, child_tid, child_tgid } => json!({
                "event": if child_tgid == parent_tgid { "thread" } else { "fork" },
                "parent_tid": known(parent_tid), "parent_pid": known(parent_tgid), "tid": child_tid, "pid": child_tgid,
            }),
            EventKind::Exec { tgid } => json!({ "event": "exec", "pid": tgid }),
            EventKind::Comm { tid, tgid, .. } => json!({ "event": "rename", "tid": tid, "pid": tgid }),
            EventKind::Exit { tid, tgid, status } => {
                let (code, signal, core) = match status {
                    ExitStatus::Code(code) => (Some(code), None, None),
                    ExitStatus::Signal { signal, core } => (None, Some(signal), Some(core)),
                    ExitStatus::Unknown => (None, None, None),
                };
                json!({ "event": "exit", "tid": tid, "pid": tgid, "exit_code": code, "signal": signal, "core_dumped": core })
            }
        };
        if let (Some(line), serde_json::Value::Object(more)) = (line.as_object_mut(), more) {
            line.extend(more);
        }
        let mut serializer = serde_json::Serializer::with_formatter(&mut *out, SafeFormatter::default());
        serde::Serialize::serialize(&line, &mut serializer).map_err(io::Error::from)?;
        out.write_all(b"\n")
    }
}

/// 0 stands for a parent nobody saw.
fn known(id: i32) -> Option<i32> {
    (id != 0).then_some(id)
}

fn exit_words(status: ExitStatus) -> String {
    match status {
        ExitStatus::Code(code) => format!("exited with {code}"),
        ExitStatus::Signal { signal, core } => {
            let name = nix::sys::signal::Signal::try_from(i32::from(signal)).map_or("a signal", nix::sys::signal::Signal::as_str);
            format!("killed by {name} ({signal}){}", if core { ", core dumped" } else { "" })
        }
        ExitStatus::Unknown => "ended, exit status unknown".to_owned(),
    }
}
