//! What only changes at exec: arguments, program, owner, control group.

use std::sync::Arc;

use super::entry::Entry;
use super::reader::Reader;
use crate::kernel::error::ReadError;
use crate::kernel::parse::cgroup;
use crate::kernel::parse::stat::Stat;
use crate::kernel::proc_fs::RelPath;
use crate::kernel::source::Needs;
use crate::kernel::users::UserNames;

/// Arguments beyond this are cut: `ARG_MAX` allows megabytes and no row shows them.
const CMDLINE_LIMIT: usize = 32 * 1024;

/// Whether the process replaced its program between two readings: new name or new memory layout. Where the layout's addresses
/// are hidden from the reader, any run may have been an exec and the arguments have to be compared.
#[must_use]
pub fn may_have_execed(before: &Stat, now: &Stat, moved: bool) -> bool {
    let addresses_hidden = now.start_stack == 0;
    before.comm != now.comm
        || before.start_stack != now.start_stack
        || before.start_code != now.start_code
        || before.virt_bytes != now.virt_bytes
        || (addresses_hidden && moved)
}

/// Reads arguments and owner again; keeps the shared identity if nothing differs. What is over has neither any more, so what it
/// was when it lived is kept.
pub fn refresh(entry: &mut Entry, reader: &mut Reader, users: &mut UserNames, scratch: &mut Vec<u8>) {
    let Some(stat) = entry.stat else { return };
    let cmdline = if stat.kernel_thread {
        Some(&[][..])
    } else if stat.is_over() && entry.identity.uid.is_some() {
        entry.identity.cmdline.as_deref()
    } else {
        match reader.fs.read_all(&RelPath::process(entry.pid, "cmdline"), CMDLINE_LIMIT, scratch) {
            Ok(()) => Some(scratch.as_slice()),
            Err(_) => None,
        }
    };
    let same_arguments = entry.identity.uid.is_some() && entry.identity.cmdline.as_deref() == cmdline;
    if !same_arguments {
        let cmdline = cmdline.map(Box::from);
        Arc::make_mut(&mut entry.identity).cmdline = cmdline;
        entry.identity_has = Needs::empty();
    }
    refresh_owner(entry, reader, users);
}

/// Reads the owner again, which a program changes without exec (`setuid`).
pub fn refresh_owner(entry: &mut Entry, reader: &mut Reader, users: &mut UserNames) {
    let Ok(uid) = reader.fs.owner(entry.pid) else { return };
    if entry.identity.uid != Some(uid) {
        let identity = Arc::make_mut(&mut entry.identity);
        identity.uid = Some(uid);
        identity.user = Some(users.name(uid));
    }
}

/// Reads program and control group where they are asked for and were not tried since the last exec.
pub fn complete(entry: &mut Entry, needs: Needs, reader: &mut Reader, scratch: &mut Vec<u8>) {
    let missing = needs.intersection(Needs::EXE | Needs::CGROUP).difference(entry.identity_has);
    if missing.is_empty() {
        return;
    }
    entry.identity_has |= missing;
    let kernel_thread = entry.stat.is_some_and(|stat| stat.kernel_thread);
    if missing.contains(Needs::EXE) && !kernel_thread {
        let exe = reader.fs.read_link(&RelPath::process(entry.pid, "exe")).ok();
        if entry.identity.exe != exe {
            Arc::make_mut(&mut entry.identity).exe = exe;
        }
    }
    if missing.contains(Needs::CGROUP) {
        let path: Result<(), ReadError> = reader.fs.read_all(&RelPath::process(entry.pid, "cgroup"), CMDLINE_LIMIT, scratch);
        let group = path.ok().and_then(|()| cgroup::path(scratch)).map(Box::from);
        if entry.identity.cgroup != group {
            Arc::make_mut(&mut entry.identity).cgroup = group;
        }
    }
}
