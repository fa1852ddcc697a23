//! What was last seen of each thread, so that a thread that ends leaves its part in its process's counters.

use super::record::TaskRecord;
use crate::snapshot::{Seen, give_back};

/// One thread, main threads not included: those stay as long as their process.
#[derive(Debug, Clone, Copy)]
struct Sighting {
    tgid: i32,
    tid: i32,
    start_ns: u64,
    seen: Seen,
}

/// The threads of the previous sweep and of this one, ascending by process and thread.
#[derive(Debug, Default)]
pub struct Sightings {
    before: Vec<Sighting>,
    next_before: usize,
    now: Vec<Sighting>,
}

/// Of one thread, at `now_ns` after boot.
pub fn seen(task: &TaskRecord, now_ns: u64) -> Seen {
    Seen::thread(now_ns.saturating_sub(task.start_ns), task.times.run_ns, task.run_delay_ns)
}

impl Sightings {
    /// Gives back the room of a crowd of threads that has ended.
    pub fn give_back(&mut self) {
        let used = self.now.len();
        give_back(&mut self.before, used);
        give_back(&mut self.now, used);
    }

    /// The next sweep.
    pub fn begin(&mut self) {
        std::mem::swap(&mut self.before, &mut self.now);
        self.now.clear();
        self.next_before = 0;
    }

    /// Notes the living threads of a process; processes come in ascending order. Returns what the living have used, and what those
    /// had that were seen in the previous sweep and are gone.
    pub fn note(&mut self, tgid: i32, threads: &[TaskRecord], now_ns: u64) -> (Seen, Seen) {
        while self.before.get(self.next_before).is_some_and(|old| old.tgid < tgid) {
            self.next_before += 1;
        }
        let (mut living, mut gone) = (Seen::NOTHING, Seen::NOTHING);
        for task in threads {
            let now = Sighting { tgid, tid: task.tid, start_ns: task.start_ns, seen: seen(task, now_ns) };
            living = living.plus(now.seen);
            self.now.push(now);
            while let Some(old) = self.before.get(self.next_before).filter(|old| old.tgid == tgid && old.tid <= now.tid) {
                if (old.tid, old.start_ns) != (now.tid, now.start_ns) {
                    gone = gone.plus(old.seen.ended());
                }
                self.next_before += 1;
            }
        }
        while let Some(old) = self.before.get(self.next_before).filter(|old| old.tgid == tgid) {
            gone = gone.plus(old.seen.ended());
            self.next_before += 1;
        }
        (living, gone)
    }
}
