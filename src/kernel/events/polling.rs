//! Births, renames and exits from two successive process lists; processes that live between two sweeps are missed.

use crate::snapshot::{Comm, EventKind, ExitStatus, LifecycleEvent, ProcKey, ProcessSample, State};

/// What is remembered of each process of the previous sweep.
#[derive(Debug, Clone, Copy)]
struct Seen {
    key: ProcKey,
    comm: Comm,
    over: bool,
}

/// Compares each list with the one before it.
///
/// Execs are not reported: a program that renames itself looks the same from outside.
#[derive(Debug, Default)]
pub struct Polling {
    previous: Option<Vec<Seen>>,
}

impl Polling {
    /// Appends what changed since the previous call to `events`; nothing at the first one. `processes` ascend by pid.
    pub fn compare(&mut self, processes: &[ProcessSample], at_ns: u64, events: &mut Vec<LifecycleEvent>) {
        let mut now = Vec::with_capacity(processes.len());
        let mut before = self.previous.as_deref().unwrap_or_default().iter().copied().peekable();
        let first = self.previous.is_none();
        let mut tell = |kind: EventKind| {
            if !first {
                events.push(LifecycleEvent { at_ns, kind });
            }
        };
        for process in processes {
            let pid = process.key.pid;
            while let Some(gone) = before.next_if(|seen| seen.key.pid < pid) {
                ended(gone, &mut tell);
            }
            let over = matches!(process.leader.state, State::ZOMBIE | State::DEAD) && process.nlwp.is_none_or(|tasks| tasks <= 1);
            let known = before.next_if(|seen| seen.key.pid == pid);
            let same = known.filter(|seen| seen.key == process.key);
            if let (Some(other), None) = (known, same) {
                ended(other, &mut tell);
            }
            if same.is_none() {
                tell(EventKind::Fork { parent_tid: 0, parent_tgid: process.ppid, child_tid: pid, child_tgid: pid });
            }
            // Of a kernel thread `/proc` shows more than its name: what a worker is at (`wq_worker_comm` in kernel/workqueue.c).
            if same.is_some_and(|seen| seen.comm != process.leader.comm) && !process.kernel_thread {
                tell(EventKind::Comm { tid: pid, tgid: pid, comm: process.leader.comm });
            }
            if over && !same.is_some_and(|seen| seen.over) {
                tell(EventKind::Exit { tid: pid, tgid: pid, status: ExitStatus::Unknown });
            }
            now.push(Seen { key: process.key, comm: process.leader.comm, over });
        }
        for gone in before {
            ended(gone, &mut tell);
        }
        self.previous = Some(now);
    }
}

/// A process that is gone; the end of a zombie was reported already.
fn ended(seen: Seen, tell: &mut impl FnMut(EventKind)) {
    if !seen.over {
        tell(EventKind::Exit { tid: seen.key.pid, tgid: seen.key.pid, status: ExitStatus::Unknown });
    }
}
