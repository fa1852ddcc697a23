//! Adds up the costs that the processes of a run report; a total exists only if every process reported.

use std::collections::BTreeMap;

use super::protocol::Creation;
use super::run::{Run, Worker};

/// Most tasks and most processes that are noted: a worker cannot make concmon grow.
const NOTED_MOST: usize = 50_000;

/// What has been said so far.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    /// Nanoseconds that each task has waited for CPUs while it was ready, by pid and tid.
    waits: BTreeMap<(i32, i32), u64>,
    /// Bytes that each process has sent to others of the run, by pid.
    sent: BTreeMap<i32, u64>,
    /// Whether tasks of the run came and went without being looked at.
    unwatched: bool,
}

impl Tally {
    /// Process `pid` has said what its tasks waited and what it sent. Said again, the larger counts: both only grow.
    pub fn note(&mut self, pid: i32, waits: Option<&[(i32, u64)]>, sent: Option<u64>) {
        self.unwatched |= waits.is_none();
        for (tid, ns) in waits.unwrap_or_default() {
            if self.waits.len() < NOTED_MOST {
                let known = self.waits.entry((pid, *tid)).or_default();
                *known = (*known).max(*ns);
            }
        }
        if let Some(bytes) = sent.filter(|_| self.sent.len() < NOTED_MOST) {
            let known = self.sent.entry(pid).or_default();
            *known = (*known).max(bytes);
        }
    }

    /// What root and workers have waited for CPUs together; `None` if one of them has not reported it.
    pub fn run_delay_ns(&self, run: &Run) -> Option<u64> {
        let root = run.root_pid?;
        let told = |pid, tid| self.waits.contains_key(&(pid, tid));
        // What the kernel cannot see waits with the thread that it runs on.
        let unseen = |w: &Worker| matches!(w.how, Some(Creation::AsyncTask | Creation::Greenlet));
        let all = run.workers.iter().all(|w| unseen(w) || w.pid.zip(w.tid).is_some_and(|(pid, tid)| told(pid, tid)));
        (!self.unwatched && told(root, root) && all).then(|| self.waits.values().sum())
    }

    /// What root and worker processes have sent to each other; `None` if one of them has not reported it, or no worker is a process.
    pub fn sent_bytes(&self, run: &Run) -> Option<u64> {
        let told = |pid: Option<i32>| pid.is_some_and(|pid| self.sent.contains_key(&pid));
        let all = run.workers.iter().all(|w| w.how.is_some_and(Creation::is_process) && told(w.pid));
        (!run.workers.is_empty() && all && told(run.root_pid)).then(|| self.sent.values().sum())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::catalog;
    use crate::lab::control::Notice;
    use crate::lab::protocol::{Line, Message};
    use crate::lab::run::RunId;

    fn run(how: Creation) -> Run {
        let mut run = Run::new(RunId(1), catalog::find("native/fork").unwrap().defaults(), 0);
        run.apply(&Notice::Started { run: 1, root_pid: 100, t: 10 });
        for (w, pid) in [(0, 101), (1, 102)] {
            let line = Line { t: 20, pid, tid: pid, n: 0, message: Message::Ready { w, how } };
            run.apply(&Notice::Line { run: 1, line });
        }
        run
    }

    #[test]
    fn the_whole_is_known_when_everybody_has_told() {
        let run = run(Creation::Fork);
        let mut tally = Tally::default();
        tally.note(100, Some(&[(100, 5), (110, 7)]), Some(1_000));
        tally.note(101, Some(&[(101, 1)]), Some(10));
        assert_eq!((tally.run_delay_ns(&run), tally.sent_bytes(&run)), (None, None), "worker 1 has not told");
        tally.note(102, Some(&[(102, 2)]), Some(0));
        tally.note(102, Some(&[(102, 3)]), Some(1));
        assert_eq!((tally.run_delay_ns(&run), tally.sent_bytes(&run)), (Some(16), Some(1_011)));
        tally.note(101, None, None);
        assert_eq!((tally.run_delay_ns(&run), tally.sent_bytes(&run)), (None, Some(1_011)), "tasks came and went unseen");
    }

    #[test]
    fn what_the_kernel_cannot_see_waits_with_its_thread_and_threads_send_nothing() {
        let mut tally = Tally::default();
        tally.note(100, Some(&[(100, 5)]), Some(40));
        assert_eq!(tally.run_delay_ns(&run(Creation::AsyncTask)), Some(5));
        assert_eq!(tally.run_delay_ns(&run(Creation::Thread)), None);
        assert_eq!(tally.sent_bytes(&run(Creation::AsyncTask)), None);
    }
}
