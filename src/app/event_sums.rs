//! What the kept events add up to: how many there were lately, which processes create others, how processes ended, how long they lived.

use std::collections::HashMap;

use crate::snapshot::{Comm, EventKind, ExitStatus};

use super::events_log::{Entry, ended};

/// Seconds that [`Kind::per_second`] covers.
pub const SECONDS: usize = 60;

/// Lifetimes are counted up to each of these, nanoseconds, and beyond the last.
const LIVED_NS: [(u64, &str); 5] = [
    (1_000_000, "below 1 ms"),
    (10_000_000, "1 to 10 ms"),
    (100_000_000, "10 to 100 ms"),
    (1_000_000_000, "0.1 to 1 s"),
    (10_000_000_000, "1 to 10 s"),
];

/// Events of one kind.
#[derive(Debug, PartialEq, Eq)]
pub struct Kind {
    /// What happened.
    pub name: &'static str,
    /// How many are kept.
    pub count: usize,
    /// How many there were in each of the last [`SECONDS`], newest first.
    pub per_second: [u32; SECONDS],
}

/// A line of a list, most frequent first.
#[derive(Debug, PartialEq, Eq)]
pub struct Share {
    /// What is counted; a process with its PID, by the name it had.
    pub name: String,
    /// How many.
    pub count: usize,
    /// Whether it is the end of processes by a signal or with an error.
    pub bad: bool,
}

/// The sums.
#[derive(Debug, PartialEq, Eq)]
pub struct Sums {
    /// New processes, new threads, execs, ended processes.
    pub kinds: [Kind; 4],
    /// Processes that created processes or threads.
    pub creators: Vec<Share>,
    /// How processes ended.
    pub ends: Vec<Share>,
    /// Lifetimes of processes whose birth was seen too: by duration, shortest first.
    pub lived: Vec<Share>,
}

impl Sums {
    /// Of these entries, as of a time (boot clock, nanoseconds).
    #[must_use]
    pub fn of<'e>(entries: impl Iterator<Item = &'e Entry>, now_ns: u64) -> Self {
        let kind = |name| Kind { name, count: 0, per_second: [0; SECONDS] };
        let mut kinds = [kind("processes created"), kind("threads created"), kind("execs"), kind("processes ended")];
        let mut creators: HashMap<(i32, Comm), usize> = HashMap::new();
        let mut ends: HashMap<(u8, u8), (ExitStatus, usize)> = HashMap::new();
        let mut lived = [0; LIVED_NS.len() + 1];
        for entry in entries {
            let at = match entry.event.kind {
                EventKind::Fork { parent_tgid, child_tid, child_tgid, .. } => {
                    if parent_tgid > 0 {
                        *creators.entry((parent_tgid, entry.creator)).or_default() += 1;
                    }
                    usize::from(child_tid != child_tgid)
                }
                EventKind::Exec { .. } => 2,
                EventKind::Exit { status, .. } if entry.is_end() => {
                    ends.entry(key(status)).or_insert((status, 0)).1 += 1;
                    if let Some(ns) = entry.lived_ns {
                        lived[LIVED_NS.iter().position(|(most, _)| ns < *most).unwrap_or(LIVED_NS.len())] += 1;
                    }
                    3
                }
                EventKind::Exit { .. } | EventKind::Comm { .. } => continue,
            };
            kinds[at].count += 1;
            let age_s = now_ns.saturating_sub(entry.event.at_ns) / 1_000_000_000;
            if let Some(second) = usize::try_from(age_s).ok().and_then(|s| kinds[at].per_second.get_mut(s)) {
                *second += 1;
            }
        }
        let creator = |((pid, name), count): ((i32, Comm), usize)| {
            let name = String::from_utf8_lossy(name.as_bytes()).into_owned();
            Share { name: format!("{name} {pid}").trim_start().to_owned(), count, bad: false }
        };
        let bad = |status| !matches!(status, ExitStatus::Code(0) | ExitStatus::Unknown);
        let end = |(status, count)| Share { name: ended(status), count, bad: bad(status) };
        let names = LIVED_NS.iter().map(|(_, name)| *name).chain(["10 s and longer"]);
        Self {
            kinds,
            creators: most_first(creators.into_iter().map(creator)),
            ends: most_first(ends.into_values().map(end)),
            lived: names.zip(lived).map(|(name, count)| Share { name: name.to_owned(), count, bad: false }).collect(),
        }
    }
}

fn most_first(shares: impl Iterator<Item = Share>) -> Vec<Share> {
    let mut all: Vec<Share> = shares.collect();
    all.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.name.cmp(&b.name)));
    all
}

/// Ends that are counted together: with or without a core is the same signal.
fn key(status: ExitStatus) -> (u8, u8) {
    match status {
        ExitStatus::Code(code) => (0, code),
        ExitStatus::Signal { signal, .. } => (1, signal),
        ExitStatus::Unknown => (2, 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::events_log::EventsLog;
    use crate::derive::{Deriver, test_process, test_snapshot};
    use crate::snapshot::{LifecycleEvent, Snapshot};

    #[test]
    fn events_are_counted_by_kind_second_creator_end_and_lifetime() {
        const S: u64 = 1_000_000_000;
        let mut log = EventsLog::default();
        let fork =
            |parent, tid, tgid| EventKind::Fork { parent_tid: parent, parent_tgid: parent, child_tid: tid, child_tgid: tgid };
        let exit = |pid, status| EventKind::Exit { tid: pid, tgid: pid, status };
        let told = [
            (10 * S, fork(1, 50, 50)),
            (11 * S, fork(1, 51, 51)),
            (11 * S, fork(50, 60, 50)),
            (11 * S + 2_000_000, exit(51, ExitStatus::Code(0))),
            (12 * S, EventKind::Exec { tgid: 50 }),
            (13 * S, EventKind::Exit { tid: 60, tgid: 50, status: ExitStatus::Code(0) }),
            (80 * S, exit(50, ExitStatus::Signal { signal: 9, core: false })),
            (80 * S, exit(70, ExitStatus::Signal { signal: 9, core: true })),
        ];
        let mut init = test_process(1, 0, 5);
        init.leader.comm = Comm::new(b"init");
        let events = told.map(|(at_ns, kind)| LifecycleEvent { at_ns, kind }).to_vec();
        log.add(&Deriver::new(0).step(Snapshot { events, ..test_snapshot(82 * S, vec![init]) }));
        let sums = Sums::of(log.newest_first(), 82 * S);
        let counts: Vec<(&str, usize)> = sums.kinds.iter().map(|kind| (kind.name, kind.count)).collect();
        let all = [("processes created", 2), ("threads created", 1), ("execs", 1), ("processes ended", 3)];
        assert_eq!(counts, all, "the end of a thread is none of a process");
        let ended = &sums.kinds[3].per_second;
        assert_eq!((ended[2], ended.iter().sum::<u32>()), (2, 2), "two of them two seconds ago, one too long ago");
        let shares = |all: &[Share]| all.iter().map(|s| (s.name.clone(), s.count)).collect::<Vec<_>>();
        assert_eq!(shares(&sums.creators), [("init 1".to_owned(), 2), ("init 50".to_owned(), 1)]);
        assert_eq!(shares(&sums.ends), [("SIGKILL".to_owned(), 2), ("exit 0".to_owned(), 1)]);
        assert_eq!(sums.ends.iter().map(|end| end.bad).collect::<Vec<_>>(), [true, false]);
        let lived: Vec<usize> = sums.lived.iter().map(|share| share.count).collect();
        assert_eq!(lived, [0, 1, 0, 0, 0, 1], "two milliseconds; 70 s; of the third the birth was not seen");
    }
}
