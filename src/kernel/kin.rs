//! Finds processes that a set of processes created after it was chosen, so that a forked child is reported and not left behind unnoticed.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use super::error::ReadError;
use super::parse::stat::Stat;
use super::proc_fs::{ProcFs, RelPath};
use crate::snapshot::{Comm, ProcKey};

/// What is known of one process of the machine when the choice is made.
#[derive(Debug, Clone, Copy)]
pub struct Known {
    /// Which.
    pub key: ProcKey,
    /// Its parent's pid.
    pub ppid: i32,
    /// Its process group.
    pub pgrp: i32,
}

/// Watches for descendants of the chosen that were not there when they were chosen.
#[derive(Debug, Default)]
pub struct Kin {
    /// Every process that was there.
    known: HashSet<ProcKey>,
    /// Pids of the chosen and of those they have created since.
    family: HashSet<i32>,
    /// Process groups of the chosen.
    groups: HashSet<i32>,
    /// Processes that may have become the parent of their orphans: a subreaper is always an ancestor (prctl(2)), and so is process 1.
    ancestors: HashSet<i32>,
    found: BTreeMap<i32, (ProcKey, Comm)>,
}

impl Kin {
    /// Remembers the processes that are there, as the table has them, and the chosen ones.
    #[must_use]
    pub fn watch(chosen: &[ProcKey], everybody: impl Iterator<Item = Known>) -> Self {
        let everybody: Vec<Known> = everybody.collect();
        let mut kin = Self { family: chosen.iter().map(|key| key.pid).collect(), ..Self::default() };
        let of = |pid: i32| everybody.iter().find(|known| known.key.pid == pid);
        for key in chosen {
            let mut at = of(key.pid);
            kin.groups.extend(at.map(|known| known.pgrp));
            // A torn reading can make a circle of parents: who was seen once is not followed again.
            while let Some(known) = at.filter(|known| kin.ancestors.insert(known.ppid)) {
                at = of(known.ppid);
            }
        }
        kin.known = everybody.iter().map(|known| known.key).collect();
        kin
    }

    /// Looks through all processes for newcomers of the family: children of its members, and orphans of its process groups.
    ///
    /// # Errors
    /// If the processes cannot be listed.
    pub fn look(&mut self, root: &Path) -> Result<(), ReadError> {
        let fs = ProcFs::open(root)?;
        let mut pids = Vec::new();
        fs.list_pids(&mut pids)?;
        let mut newcomers: Vec<Stat> = pids.iter().filter_map(|pid| stat(&fs, *pid)).collect();
        newcomers.retain(|stat| !self.known.contains(&key_of(stat)) && !stat.is_over());
        self.found.clear();
        // A child may have a lower pid than its parent: until a round finds none.
        loop {
            let (kin, strangers): (Vec<Stat>, Vec<Stat>) = newcomers.into_iter().partition(|stat| {
                self.family.contains(&stat.ppid)
                    || self.family.contains(&stat.pid)
                    || (self.groups.contains(&stat.pgrp) && self.ancestors.contains(&stat.ppid))
            });
            newcomers = strangers;
            if kin.is_empty() {
                return Ok(());
            }
            for stat in kin {
                self.family.insert(stat.pid);
                self.found.insert(stat.pid, (key_of(&stat), stat.comm));
            }
        }
    }

    /// The newcomers that were there at the last look, by pid.
    pub fn left(&self) -> impl Iterator<Item = (ProcKey, Comm)> + '_ {
        self.found.values().copied()
    }
}

fn key_of(stat: &Stat) -> ProcKey {
    ProcKey { pid: stat.pid, start_ticks: stat.start_ticks }
}

fn stat(fs: &ProcFs, pid: i32) -> Option<Stat> {
    let mut buffer = [0; 4096];
    // Gone, or hidden from this user: then it could not have been signalled either.
    Stat::parse(fs.read_once(&RelPath::process(pid, "stat"), &mut buffer).ok()?).ok()
}
