//! Values that change only at exec: arguments, program, owner, control group. Both sources read them from `/proc` and share them.

use std::sync::Arc;

use super::error::ReadError;
use super::parse::cgroup;
use super::proc_fs::{ProcFs, RelPath};
use super::source::Needs;
use super::users::UserNames;
use crate::snapshot::Identity;

/// Arguments beyond this are cut: `ARG_MAX` allows megabytes and no row shows them.
const CMDLINE_LIMIT: usize = 32 * 1024;

/// What reading identities needs, shared by all processes of a source.
#[derive(Debug, Default)]
pub struct IdentityReader {
    users: UserNames,
    bytes: Vec<u8>,
    nobody: Arc<Identity>,
}

/// Whose identity is read.
#[derive(Debug, Clone, Copy)]
pub struct Subject {
    /// Its pid.
    pub pid: i32,
    /// It has no arguments and no program.
    pub kernel_thread: bool,
    /// It had them, but has ended.
    pub over: bool,
}

/// What is known of one process's identity.
#[derive(Debug, Clone)]
pub struct Known {
    /// As far as it was read.
    pub identity: Arc<Identity>,
    /// The lazy parts that were tried since the last exec.
    tried: Needs,
}

impl IdentityReader {
    /// A process nothing is known of; costs no allocation.
    #[must_use]
    pub fn unknown(&self) -> Known {
        Known { identity: Arc::clone(&self.nobody), tried: Needs::empty() }
    }

    /// Reads arguments and owner again, and keeps the shared identity if nothing differs. What is over has arguments no more, so
    /// those of its life are kept.
    pub fn refresh(&mut self, known: &mut Known, subject: Subject, fs: &ProcFs) {
        let was_read = known.identity.uid.is_some();
        let cmdline = if subject.kernel_thread {
            Some(&[][..])
        } else if subject.over && was_read {
            known.identity.cmdline.as_deref()
        } else {
            let read = fs.read_all(&RelPath::process(subject.pid, "cmdline"), CMDLINE_LIMIT, &mut self.bytes);
            read.is_ok().then_some(self.bytes.as_slice())
        };
        if !was_read || known.identity.cmdline.as_deref() != cmdline {
            let cmdline = cmdline.map(Box::from);
            Arc::make_mut(&mut known.identity).cmdline = cmdline;
            known.tried = Needs::empty();
        }
        self.refresh_owner(known, subject.pid, fs);
    }

    /// Reads the owner again, which a program changes without exec (`setuid`).
    pub fn refresh_owner(&mut self, known: &mut Known, pid: i32, fs: &ProcFs) {
        let Ok(uid) = fs.owner(pid) else { return };
        if known.identity.uid != Some(uid) {
            let identity = Arc::make_mut(&mut known.identity);
            identity.uid = Some(uid);
            identity.user = Some(self.users.name(uid));
        }
    }

    /// Reads program and control group where they are asked for and were not tried since the last exec.
    pub fn complete(&mut self, known: &mut Known, needs: Needs, subject: Subject, fs: &ProcFs) {
        let missing = needs.intersection(Needs::EXE | Needs::CGROUP).difference(known.tried);
        if missing.is_empty() {
            return;
        }
        known.tried |= missing;
        if missing.contains(Needs::EXE) && !subject.kernel_thread && !subject.over {
            let exe = fs.read_link(&RelPath::process(subject.pid, "exe"));
            let denied = exe.as_ref().is_err_and(ReadError::is_denied);
            let exe = exe.ok();
            if known.identity.exe != exe || known.identity.exe_denied != denied {
                let identity = Arc::make_mut(&mut known.identity);
                (identity.exe, identity.exe_denied) = (exe, denied);
            }
        }
        if missing.contains(Needs::CGROUP) {
            let read = fs.read_all(&RelPath::process(subject.pid, "cgroup"), CMDLINE_LIMIT, &mut self.bytes);
            let group = read.ok().and_then(|()| cgroup::path(&self.bytes)).map(Box::from);
            if known.identity.cgroup != group {
                Arc::make_mut(&mut known.identity).cgroup = group;
            }
        }
    }
}

impl Known {
    /// The program was replaced: the lazy parts are to be read again.
    pub fn forget_lazy(&mut self) {
        self.tried = Needs::empty();
    }
}
