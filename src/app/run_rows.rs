//! The rows of the lab's live runs: first in the table, as a tree from each run's root, under the role of each process and thread.

use std::collections::{HashMap, HashSet};

use crate::columns::{Row, RowRef, RunNote};
use crate::derive::Model;
use crate::lab::catalog;
use crate::lab::entry::{GUARD, HELPER, ROOT};
use crate::lab::launcher::LabState;
use crate::lab::roles::{self, Seen};
use crate::lab::run::{Run, RunId};
use crate::snapshot::ProcessSample;

use super::logical;
use super::rows::{Line, RowKey};

/// A line's place in the bracket of its run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunMark {
    /// The run.
    pub run: RunId,
    /// Index into [`RunRows::notes`].
    pub note: u32,
    /// Whether the run begins with this line.
    pub first: bool,
    /// Whether it ends with this line.
    pub last: bool,
}

/// The lines of all shown runs.
#[derive(Debug, Default)]
pub struct RunRows {
    /// In order: oldest run first, each as a tree.
    pub lines: Vec<Line>,
    /// What the lab knows of each.
    pub notes: Vec<RunNote>,
    /// Processes that are not repeated in the table below.
    pub placed: HashSet<i32>,
}

/// Builds the lines of the runs that `shown` admits. `own_pid` is concmon's own: its helper processes are left out of the table unless
/// `helpers` are asked for.
#[must_use]
pub fn build(model: &Model, lab: &LabState, shown: impl Fn(&Run) -> bool, own_pid: i32, helpers: bool) -> RunRows {
    let mut rows = RunRows::default();
    for run in lab.runs.iter().filter(|run| shown(run)) {
        Family::of(model, run).lines(&mut rows);
    }
    if !helpers {
        rows.placed.extend(own_helpers(model, own_pid, !rows.lines.is_empty()));
    }
    logical::insert(&mut rows.lines, model, lab, &HashSet::new());
    let runs: Vec<Option<RunId>> = rows.lines.iter().map(|line| line.run.map(|mark| mark.run)).collect();
    for (at, line) in rows.lines.iter_mut().enumerate() {
        if let Some(mark) = &mut line.run {
            mark.first = at == 0 || runs[at - 1] != runs[at];
            mark.last = runs.get(at + 1) != Some(&runs[at]);
        }
    }
    rows
}

/// concmon's own helper processes: what descends from it and was started with one of its hidden commands, and the interpreters that it asked
/// for their version. Those that live are looked for if `living`.
fn own_helpers(model: &Model, own_pid: i32, living: bool) -> Vec<i32> {
    let hidden = |p: &ProcessSample| {
        let second = p.identity.cmdline.as_deref().and_then(|args| args.split(|b| *b == 0).nth(1)).unwrap_or_default();
        [HELPER, GUARD, ROOT, "__bpf-loader"].iter().any(|command| second == command.as_bytes())
            || second == b"-I" && p.ppid == own_pid
    };
    let descends = |mut pid: i32| {
        for _ in 0..8 {
            match model.process(pid) {
                Some(p) if p.ppid == own_pid => return true,
                Some(p) if p.ppid > 1 => pid = p.ppid,
                _ => return false,
            }
        }
        false
    };
    let processes = if living { model.now.processes.as_slice() } else { &[] };
    let living = processes.iter().filter(|p| hidden(p) && descends(p.key.pid));
    let ended = model.lifecycle.ghosts.iter().map(|g| &g.last).filter(|p| hidden(p) && (p.ppid == own_pid || descends(p.ppid)));
    living.chain(ended).map(|p| p.key.pid).collect()
}

/// The processes of a run, living and ended, by parent.
struct Family<'a> {
    model: &'a Model,
    run: &'a Run,
    children: HashMap<i32, Vec<RowRef>>,
    root: Option<RowRef>,
}

impl<'a> Family<'a> {
    fn of(model: &'a Model, run: &'a Run) -> Self {
        let mut found: HashMap<i32, RowRef> = HashMap::new();
        let living = |pid: i32| model.index_of(pid).and_then(|i| u32::try_from(i).ok()).map(RowRef::Process);
        let mut named: Vec<i32> = run.root_pid.into_iter().chain(run.workers.iter().filter_map(|w| w.pid)).collect();
        if !run.ended() {
            named.extend(run.family.iter().map(|member| member.pid));
            let tree = model.tree(false);
            let root = run.root_pid.and_then(|pid| model.index_of(pid)).and_then(|i| u32::try_from(i).ok());
            let below = root.map(|root| tree.subtree(root)).unwrap_or_default();
            named.extend(below.into_iter().filter_map(|i| model.now.processes.get(i as usize)).map(|p| p.key.pid));
        }
        for pid in named.iter().copied().filter(|_| !run.ended()) {
            found.extend(living(pid).map(|at| (pid, at)));
        }
        // Ended members: those that the run named, and children of members.
        let mut members: HashSet<i32> = named.into_iter().collect();
        for (i, ghost) in (0u32..).zip(&model.lifecycle.ghosts) {
            let (pid, ppid) = (ghost.last.key.pid, ghost.last.ppid);
            if (members.contains(&pid) || run.root_pid != Some(pid) && members.contains(&ppid)) && !found.contains_key(&pid) {
                members.insert(pid);
                found.insert(pid, RowRef::Ghost(i));
            }
        }
        let root = run.root_pid.and_then(|pid| found.get(&pid).copied());
        let mut children: HashMap<i32, Vec<RowRef>> = HashMap::new();
        for (pid, at) in &found {
            let Some(row) = Row::new(model, *at).filter(|_| Some(*pid) != run.root_pid) else { continue };
            let parent = Some(row.process.ppid).filter(|p| found.contains_key(p) && p != pid);
            children.entry(parent.or(run.root_pid).unwrap_or(0)).or_default().push(*at);
        }
        for siblings in children.values_mut() {
            siblings.sort_by_key(|at| Row::new(model, *at).map(|row| (row.key().start_ticks, row.key().pid)));
        }
        Self { model, run, children, root }
    }

    fn lines(&self, rows: &mut RunRows) {
        let mut visited = HashSet::new();
        match self.root {
            Some(root) => self.add(root, 0, 0, true, &mut visited, rows),
            // The root has gone before its workers.
            None => {
                let all = self.children.get(&self.run.root_pid.unwrap_or(0)).cloned().unwrap_or_default();
                all.into_iter().for_each(|at| self.add(at, 0, 0, true, &mut visited, rows));
            }
        }
        rows.placed.extend(visited);
    }

    fn add(&self, at: RowRef, depth: u16, guides: u64, last: bool, visited: &mut HashSet<i32>, rows: &mut RunRows) {
        let Some(row) = Row::new(self.model, at).filter(|row| depth < 60 && visited.insert(row.key().pid)) else { return };
        let children = self.children.get(&row.key().pid).map_or(&[][..], Vec::as_slice);
        let tasks: Vec<RowRef> = match at {
            RowRef::Process(process) => row.process.tasks.clone().map(|task| RowRef::Task { process, task }).collect(),
            _ => Vec::new(),
        };
        let leader = |at: &RowRef| Row::new(self.model, *at).is_some_and(|row| row.face().tid == row.key().pid);
        let tasks: Vec<RowRef> = tasks.into_iter().filter(|at| !leader(at)).collect();
        let below = tasks.len() + children.len();
        self.push(&row, Line { depth, guides, last, parent: below > 0, ..Line::flat(at, RowKey::of(&row)) }, rows);
        let guides = if last || depth == 0 { guides } else { guides | 1 << depth };
        for (nth, at) in tasks.iter().enumerate() {
            if let Some(row) = Row::new(self.model, *at) {
                let line = Line { depth: depth + 1, guides, last: nth + 1 == below, ..Line::flat(*at, RowKey::of(&row)) };
                self.push(&row, line, rows);
            }
        }
        for (nth, at) in children.iter().enumerate() {
            self.add(*at, depth + 1, guides, tasks.len() + nth + 1 == below, visited, rows);
        }
    }

    fn push(&self, row: &Row<'_>, line: Line, rows: &mut RunRows) {
        let seen = Seen {
            pid: row.key().pid,
            tid: row.face().tid,
            thread: row.is_task(),
            comm: row.face().comm.as_bytes(),
            cmdline: row.process.identity.cmdline.as_deref().unwrap_or_default(),
        };
        let worker = roles::worker(self.run, &seen);
        let title = catalog::find(&self.run.spec.system).map_or(self.run.spec.system.as_str(), |system| system.title);
        let note = RunNote {
            role: roles::words(self.run, &seen, title),
            how: worker.and_then(|w| w.how).map(crate::lab::protocol::Creation::badge),
            uss_bytes: worker.filter(|w| w.how.is_some_and(|how| how.is_process())).and_then(|w| w.memory.uss_bytes),
            creation_ns: worker.and_then(crate::lab::run::Worker::creation_ns),
        };
        let index = u32::try_from(rows.notes.len()).unwrap_or(u32::MAX);
        rows.notes.push(note);
        let mark = RunMark { run: self.run.id, note: index, first: false, last: false };
        rows.lines.push(Line { run: Some(mark), ..line });
    }
}
