//! The events' screen: what was born, execed and died, newest last, bounded, with names kept after their owners are gone.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use crate::derive::Model;
use crate::query::TextMatch;
use crate::snapshot::{EventKind, ExitStatus, LifecycleEvent};

/// The most events kept.
const KEPT: usize = 10_000;

/// One line of the log.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The event.
    pub event: LifecycleEvent,
    /// Name of the process as far as known; hostile bytes.
    pub name: Arc<[u8]>,
    /// Lifetime, for a process whose birth was seen too.
    pub lived_ns: Option<u64>,
}

/// The log.
#[derive(Debug, Default)]
pub struct EventsLog {
    entries: VecDeque<Entry>,
    names: HashMap<i32, Arc<[u8]>>,
    born: HashMap<i32, u64>,
    /// Only entries that contain this.
    pub filter: Option<TextMatch>,
    /// Lines up from the newest.
    pub back: usize,
    /// Only processes (not threads).
    pub paused: bool,
}

impl EventsLog {
    /// Takes a sample's events in.
    pub fn add(&mut self, model: &Model) {
        for event in &model.now.events {
            self.push(*event, model);
        }
        if self.names.len() > model.now.processes.len() * 2 + 4_096 {
            let alive = |pid: &i32| model.index_of(*pid).is_some();
            self.names.retain(|pid, _| alive(pid));
            self.born.retain(|pid, _| alive(pid));
        }
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
        let (name, lived_ns) = match event.kind {
            EventKind::Fork { parent_tgid, child_tid, child_tgid, .. } => {
                if child_tid == child_tgid {
                    self.born.insert(child_tgid, event.at_ns);
                    if let Some(name) = self.names.get(&parent_tgid).cloned() {
                        self.names.insert(child_tgid, name);
                    }
                }
                (self.names.get(&child_tgid), None)
            }
            EventKind::Exec { tgid } => (self.names.get(&tgid), None),
            EventKind::Comm { tid, tgid, comm } => {
                if tid == tgid {
                    self.names.insert(tgid, Arc::from(comm.as_bytes()));
                }
                (self.names.get(&tgid), None)
            }
            EventKind::Exit { tid, tgid, .. } if tid == tgid => {
                (self.names.get(&tgid), self.born.get(&tgid).map(|b| event.at_ns.saturating_sub(*b)))
            }
            EventKind::Exit { tgid, .. } => (self.names.get(&tgid), None),
        };
        let name = name.cloned().unwrap_or_else(|| Arc::from(&b""[..]));
        if self.entries.len() == KEPT {
            self.entries.pop_front();
        }
        self.entries.push_back(Entry { event, name, lived_ns });
    }

    /// Looks a name up among the living and the recently dead, unless an event has told it.
    fn learn(&mut self, pid: i32, model: &Model) {
        if self.names.contains_key(&pid) {
            return;
        }
        let dead = || model.lifecycle.ghosts.iter().rev().find(|g| g.last.key.pid == pid).map(|g| &g.last);
        if let Some(process) = model.process(pid).or_else(dead) {
            self.names.insert(pid, Arc::from(process.leader.comm.as_bytes()));
        }
    }

    /// Entries that pass the filter, newest first.
    pub fn newest_first(&self) -> impl Iterator<Item = &Entry> {
        self.entries
            .iter()
            .rev()
            .filter(|e| self.filter.as_ref().is_none_or(|f| f.found_in(describe(e).as_bytes()) || f.found_in(&e.name)))
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

/// What happened, in words without the name.
#[must_use]
pub fn describe(entry: &Entry) -> String {
    match entry.event.kind {
        EventKind::Fork { parent_tgid, child_tid, child_tgid, parent_tid } if child_tid != child_tgid => {
            format!("thread  {child_tid} of {child_tgid}{}", by(parent_tgid, parent_tid))
        }
        EventKind::Fork { parent_tgid, parent_tid, child_tgid, .. } => {
            format!("fork    {child_tgid}{}", by(parent_tgid, parent_tid))
        }
        EventKind::Exec { tgid } => format!("exec    {tgid}"),
        EventKind::Comm { tid, .. } => format!("name    {tid}"),
        EventKind::Exit { tid, tgid, status } => {
            let who = if tid == tgid { format!("exit    {tid}") } else { format!("t.exit  {tid} of {tgid}") };
            let how = match status {
                ExitStatus::Code(code) => format!("  status {code}"),
                ExitStatus::Signal { signal, core } => format!("  signal {signal}{}", if core { ", core" } else { "" }),
                ExitStatus::Unknown => "  status unknown".to_owned(),
            };
            let lived = entry.lived_ns.map_or(String::new(), |ns| format!("  lived {:.3} ms", ns as f64 / 1e6));
            who + &how + &lived
        }
    }
}

fn by(tgid: i32, tid: i32) -> String {
    match (tgid, tid) {
        (0, _) => String::new(),
        (p, t) if p == t || t == 0 => format!(" by {p}"),
        (p, t) => format!(" by {p} (thread {t})"),
    }
}
