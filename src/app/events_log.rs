//! The log of births, execs and exits, bounded, with names kept after processes end.

use std::collections::{HashMap, VecDeque};

use crate::columns;
use crate::derive::Model;
use crate::query::TextMatch;
use crate::snapshot::{Comm, EventKind, ExitStatus, LifecycleEvent, give_back_map};
use crate::text::{Charset, sanitize};

/// The most events kept.
const KEPT: usize = 10_000;

/// One line of the log.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The event.
    pub event: LifecycleEvent,
    /// Name of the process, empty if no event reported it; hostile bytes. In the entry itself: a block of its own for each would leave
    /// holes all over the heap as the old ones go.
    pub name: Comm,
    /// Name of the process that created it, at that time; empty if it is not known or this is no birth.
    pub creator: Comm,
    /// Lifetime, for a process whose birth was seen too.
    pub lived_ns: Option<u64>,
    /// Its number among all entries that came.
    serial: u64,
}

impl Entry {
    /// The process that it is about, by its number then.
    #[must_use]
    pub fn pid(&self) -> i32 {
        match self.event.kind {
            EventKind::Fork { child_tgid, .. } => child_tgid,
            EventKind::Exec { tgid } | EventKind::Comm { tgid, .. } | EventKind::Exit { tgid, .. } => tgid,
        }
    }

    /// True for the end of a process.
    #[must_use]
    pub fn is_end(&self) -> bool {
        matches!(self.event.kind, EventKind::Exit { tid, tgid, .. } if tid == tgid)
    }
}

/// The log.
#[derive(Debug, Default)]
pub struct EventsLog {
    entries: VecDeque<Entry>,
    /// Names of the living processes; that of an ended one is removed, because its entries hold it.
    names: HashMap<i32, Comm>,
    /// When the living were born, boot-time nanoseconds.
    born: HashMap<i32, u64>,
    /// Only entries that contain this.
    pub filter: Option<TextMatch>,
    /// The chosen entry, which stays chosen while others come; `None`: always the newest.
    held: Option<u64>,
    /// Lines between the first that is shown and the chosen one.
    line: usize,
    /// How many came so far.
    came: u64,
    /// Entries that are seen at once; set by the layout.
    pub page: usize,
    /// Only processes (not threads).
    pub paused: bool,
}

impl EventsLog {
    /// Takes a sample's events in.
    pub fn add(&mut self, model: &Model) {
        for event in &model.now.events {
            self.push(*event, model);
        }
        // Ends that were lost leave their processes behind.
        if self.names.len().max(self.born.len()) > model.now.processes.len() * 2 + 256 {
            let alive = |pid: &i32| model.index_of(*pid).is_some();
            self.names.retain(|pid, _| alive(pid));
            self.born.retain(|pid, _| alive(pid));
        }
        give_back_map(&mut self.names);
        give_back_map(&mut self.born);
    }

    fn push(&mut self, event: LifecycleEvent, model: &Model) {
        let subject = match event.kind {
            EventKind::Fork { child_tgid, parent_tgid, .. } => {
                self.learn(parent_tgid, model);
                child_tgid
            }
            EventKind::Exec { tgid } => {
                // The old name is wrong now; the new one is known if the process lived until the sample.
                self.names.remove(&tgid);
                tgid
            }
            EventKind::Comm { tgid, .. } | EventKind::Exit { tgid, .. } => tgid,
        };
        self.learn(subject, model);
        let creator = match event.kind {
            EventKind::Fork { parent_tgid, .. } => self.names.get(&parent_tgid).copied(),
            _ => None,
        };
        let creator = creator.unwrap_or_else(|| Comm::new(b""));
        let (name, lived_ns) = match event.kind {
            EventKind::Fork { parent_tgid, child_tid, child_tgid, .. } => {
                if child_tid == child_tgid {
                    self.born.insert(child_tgid, event.at_ns);
                    if let Some(name) = self.names.get(&parent_tgid).copied() {
                        self.names.insert(child_tgid, name);
                    }
                }
                (self.names.get(&child_tgid).copied(), None)
            }
            EventKind::Exec { tgid } => (self.names.get(&tgid).copied(), None),
            EventKind::Comm { tid, tgid, comm } => {
                if tid == tgid {
                    self.names.insert(tgid, comm);
                }
                (self.names.get(&tgid).copied(), None)
            }
            EventKind::Exit { tid, tgid, .. } if tid == tgid => {
                (self.names.remove(&tgid), self.born.remove(&tgid).map(|b| event.at_ns.saturating_sub(b)))
            }
            EventKind::Exit { tgid, .. } => (self.names.get(&tgid).copied(), None),
        };
        let name = name.unwrap_or_else(|| Comm::new(b""));
        if self.entries.capacity() < KEPT {
            // Once and whole: doubling would copy the log again and again, and leave the heap the holes. Pages come as they are filled.
            self.entries.reserve_exact(KEPT);
        }
        if self.entries.len() == KEPT {
            self.entries.pop_front();
        }
        self.came += 1;
        self.entries.push_back(Entry { event, name, creator, lived_ns, serial: self.came });
    }

    /// Forgets what came; the filter stays.
    pub(super) fn begin_anew(&mut self) {
        *self = Self { filter: self.filter.take(), page: self.page, ..Self::default() };
    }

    /// Looks a name up among the living and the recently dead, unless an event has reported it.
    fn learn(&mut self, pid: i32, model: &Model) {
        if self.names.contains_key(&pid) {
            return;
        }
        let dead = || model.lifecycle.ghosts.iter().rev().find(|g| g.last.key.pid == pid).map(|g| &g.last);
        if let Some(process) = model.process(pid).or_else(dead) {
            self.names.insert(pid, process.leader.comm);
        }
    }

    /// Entries that pass the filter, newest first.
    pub fn newest_first(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().rev().filter(|e| self.filter.as_ref().is_none_or(|f| f.found_in(line(e).as_bytes())))
    }

    /// Index of the chosen entry, from the newest.
    #[must_use]
    pub fn at(&self) -> usize {
        let Some(held) = self.held else { return 0 };
        // Instead of an entry that the filter hides, or that is no longer kept: the next older one, else the oldest.
        let older = self.newest_first().position(|e| e.serial <= held);
        older.unwrap_or_else(|| self.newest_first().count().saturating_sub(1))
    }

    /// Index of the first entry that is shown, for a chosen one.
    #[must_use]
    pub fn top(&self, at: usize, page: usize) -> usize {
        at - self.line.min(page.saturating_sub(1)).min(at)
    }

    /// The chosen entry.
    #[must_use]
    pub fn chosen(&self) -> Option<&Entry> {
        self.newest_first().nth(self.at())
    }

    /// Chooses the entry so many further down, towards the older ones.
    pub fn step(&mut self, by: i64, page: usize) {
        let at = self.at();
        let last = self.newest_first().count().saturating_sub(1);
        let to = i64::try_from(at).unwrap_or(0).saturating_add(by).max(0);
        let to = usize::try_from(to).unwrap_or(0).min(last);
        let line = (self.line.min(at) + to).saturating_sub(at);
        self.line = line.min(page.saturating_sub(1));
        let held = self.newest_first().nth(to).filter(|_| to > 0).map(|e| e.serial);
        self.held = held;
    }

    /// How many are kept.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

/// What happened, in one word.
#[must_use]
pub fn kind(entry: &Entry) -> &'static str {
    match entry.event.kind {
        EventKind::Fork { child_tid, child_tgid, .. } if child_tid != child_tgid => "thread",
        EventKind::Fork { .. } => "fork",
        EventKind::Exec { .. } => "exec",
        EventKind::Comm { .. } => "name",
        EventKind::Exit { tid, tgid, .. } if tid != tgid => "t.exit",
        EventKind::Exit { .. } => "exit",
    }
}

/// The task that it happened to: its TID, which for a process is its PID.
#[must_use]
pub fn task(entry: &Entry) -> i32 {
    match entry.event.kind {
        EventKind::Fork { child_tid, .. } => child_tid,
        EventKind::Exec { tgid } => tgid,
        EventKind::Comm { tid, .. } | EventKind::Exit { tid, .. } => tid,
    }
}

/// Its creator, how it ended, how long it lived: as far as known.
#[must_use]
pub fn more(entry: &Entry, charset: Charset) -> String {
    let lived = entry.lived_ns.map_or(String::new(), |ns| format!(", lived {}", columns::latency_text(ns)));
    match entry.event.kind {
        EventKind::Fork { parent_tgid: 0, .. } => String::new(),
        EventKind::Fork { parent_tgid, parent_tid, .. } => {
            let name = sanitize(entry.creator.as_bytes(), charset);
            let space = if name.is_empty() { "" } else { " " };
            let thread =
                if parent_tid == parent_tgid || parent_tid == 0 { String::new() } else { format!(", thread {parent_tid}") };
            format!("by {parent_tgid}{space}{name}{thread}")
        }
        EventKind::Exec { .. } if entry.name.as_bytes().is_empty() => "ended before its name was read".to_owned(),
        EventKind::Exec { .. } | EventKind::Comm { .. } => String::new(),
        EventKind::Exit { tid, tgid, .. } if tid != tgid => format!("of {tgid}"),
        EventKind::Exit { status, .. } => {
            let core = matches!(status, ExitStatus::Signal { core: true, .. });
            format!("{}{}{lived}", ended(status), if core { ", core dumped" } else { "" })
        }
    }
}

/// How a process ended, in a word or two.
#[must_use]
pub fn ended(status: ExitStatus) -> String {
    match status {
        ExitStatus::Code(code) => format!("exit {code}"),
        ExitStatus::Signal { signal, .. } => {
            nix::sys::signal::Signal::try_from(i32::from(signal)).map_or("a signal", |s| s.as_str()).to_owned()
        }
        ExitStatus::Unknown => "status unknown".to_owned(),
    }
}

/// All of it as one line, for the filter.
fn line(entry: &Entry) -> String {
    let name = sanitize(entry.name.as_bytes(), Charset::Unicode);
    format!("{} {} {name} {}", kind(entry), task(entry), more(entry, Charset::Unicode))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::derive::{Deriver, test_process, test_snapshot};
    use crate::snapshot::Snapshot;

    fn fork(child: i32) -> EventKind {
        EventKind::Fork { parent_tid: 1, parent_tgid: 1, child_tid: child, child_tgid: child }
    }

    fn exit(pid: i32) -> EventKind {
        EventKind::Exit { tid: pid, tgid: pid, status: ExitStatus::Code(0) }
    }

    fn take(log: &mut EventsLog, at_ns: u64, kinds: &[EventKind]) {
        let events = kinds.iter().map(|kind| LifecycleEvent { at_ns, kind: *kind }).collect();
        let mut init = test_process(1, 0, 5);
        init.leader.comm = Comm::new(b"init");
        log.add(&Deriver::new(0).step(Snapshot { events, ..test_snapshot(at_ns, vec![init]) }));
    }

    #[test]
    fn who_dies_is_remembered_by_the_entries_alone() {
        let mut log = EventsLog::default();
        let comm = Comm::new(b"short");
        take(&mut log, 10, &[fork(7), EventKind::Comm { tid: 7, tgid: 7, comm }]);
        assert!(log.names.contains_key(&7));
        take(&mut log, 25, &[exit(7)]);
        let last = log.newest_first().next().unwrap();
        assert_eq!((last.name, last.lived_ns), (comm, Some(15)));
        assert_eq!((kind(last), task(last), more(last, Charset::Ascii)), ("exit", 7, "exit 0, lived 0 us".to_owned()));
        let first = log.newest_first().last().unwrap();
        assert_eq!((kind(first), more(first, Charset::Ascii)), ("fork", "by 1 init".to_owned()), "its creator's name then");
        log.filter = TextMatch::new("by 1 init");
        assert_eq!(log.newest_first().count(), 1, "what is shown is found");
        log.filter = None;
        assert!(!log.names.contains_key(&7) && log.born.is_empty());
    }

    #[test]
    fn the_chosen_event_stays_where_it_is_while_others_come() {
        let mut log = EventsLog::default();
        take(&mut log, 1, &(10..30).map(fork).collect::<Vec<_>>());
        let chosen = |log: &EventsLog| (log.chosen().unwrap().pid(), log.at() - log.top(log.at(), 8));
        assert_eq!(chosen(&log), (29, 0));
        log.step(3, 8);
        assert_eq!(chosen(&log), (26, 3));
        take(&mut log, 2, &[fork(50), exit(29)]);
        assert_eq!(chosen(&log), (26, 3));
        log.step(100, 8);
        assert_eq!(chosen(&log), (10, 7));
        log.step(-2, 8);
        assert_eq!(chosen(&log), (12, 5));
        log.step(i64::MIN / 2, 8);
        take(&mut log, 3, &[fork(51)]);
        assert_eq!(chosen(&log), (51, 0), "at the top, the newest");
        log.filter = TextMatch::new("exit");
        assert!(log.chosen().unwrap().is_end());
    }

    #[test]
    fn neither_the_log_nor_its_names_grow_with_what_came_and_went() {
        let mut log = EventsLog::default();
        for round in 0..60 {
            // Half of the ends are lost, as when the kernel's buffer overruns.
            let pids = || (0..400).map(move |n| 2 + round * 400 + n);
            let kinds: Vec<EventKind> = pids().map(fork).chain(pids().filter(|pid| pid % 2 == 0).map(exit)).collect();
            take(&mut log, u64::from(round.unsigned_abs()) + 1, &kinds);
            assert_eq!(log.entries.capacity(), KEPT, "as large from the first as it will ever be");
        }
        assert_eq!(log.len(), KEPT);
        assert!(log.names.len() < 700 && log.born.len() < 700, "{} names, {} births", log.names.len(), log.born.len());
        assert!(log.names.capacity() < 4_096 && log.born.capacity() < 4_096, "room for the living, not for all there ever were");
        assert_eq!(log.newest_first().next().unwrap().name.as_bytes(), b"init");
    }
}
