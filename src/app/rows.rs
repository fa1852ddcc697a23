//! Turns a model and the user's options into the ordered lines of the table. Pure.

use std::collections::HashSet;

use crate::columns::{Row, RowRef, Value};
use crate::derive::{Model, Tree};
use crate::lab::run::RunId;
use crate::query::Lineage;
use crate::snapshot::{ProcKey, TaskKey, pid_on_host};

use super::options::Options;
use super::run_rows::RunMark;

/// What a line is about, across models.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RowKey {
    /// A process (or its ghost).
    Process(ProcKey),
    /// A task.
    Task(TaskKey),
    /// A unit of a lab run that the kernel cannot see.
    Logical {
        /// The run.
        run: RunId,
        /// Index of the worker.
        worker: u32,
    },
    /// More of them, on one thread.
    MoreLogical {
        /// The run.
        run: RunId,
        /// The thread.
        tid: i32,
        /// How many.
        count: u32,
    },
}

impl RowKey {
    /// Of a row.
    #[must_use]
    pub fn of(row: &Row<'_>) -> Self {
        match row.task {
            Some(t) => Self::Task(t.key()),
            None => Self::Process(row.key()),
        }
    }
}

/// One line of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line {
    /// The row that its values are of.
    pub at: RowRef,
    /// Identity across models.
    pub key: RowKey,
    /// Depth in the tree; 0 in the list.
    pub depth: u16,
    /// Bit `d`: the ancestor at depth `d` has a later sibling, so its guide goes on below this line.
    pub guides: u64,
    /// Whether it is the last of its siblings.
    pub last: bool,
    /// What is hidden by folding; `None` if not folded.
    pub folded: Option<Folded>,
    /// Whether it has children (a fold mark is drawn).
    pub parent: bool,
    /// Whether it is here only because a descendant matches.
    pub context: bool,
    /// The run of the lab that it is shown under.
    pub run: Option<RunMark>,
}

/// A subtree folded into its top.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Folded {
    /// Number of rows that are hidden.
    pub hidden: u32,
    /// Index into [`Lines::families`]; `None` if what is hidden are no processes.
    pub family: Option<u32>,
}

/// The lines of the table.
#[derive(Debug, Clone, Default)]
pub struct Lines {
    /// In order.
    pub lines: Vec<Line>,
    /// Of every folded line the processes of its subtree, itself first, by index into the model's.
    pub families: Vec<Vec<u32>>,
    /// Which process descends from which; only in the tree.
    pub tree: Option<Tree>,
}

impl Line {
    /// Without a place in a tree.
    pub(super) fn flat(at: RowRef, key: RowKey) -> Self {
        Self { at, key, depth: 0, guides: 0, last: false, folded: None, parent: false, context: false, run: None }
    }
}

/// Builds the lines of all processes but those in `placed`, which stand elsewhere.
#[must_use]
pub fn build(model: &Model, options: &Options, placed: &HashSet<i32>) -> Lines {
    let builder = Builder {
        model,
        options,
        placed,
        threads: options.shows_threads(),
        kernel_threads: options.shows_kernel_threads(),
        chosen: (!options.only.is_empty()).then(|| Chosen::new(model, options)),
        lineage: options.filter.as_ref().map(|f| Lineage::new(f, model)).unwrap_or_default(),
    };
    if options.tree { builder.tree() } else { Lines { lines: builder.list(), families: Vec::new(), tree: None } }
}

/// The chosen subtrees.
struct Chosen {
    /// Which processes are in them, by index.
    within: Vec<bool>,
    /// Their tops; of two within one another only the upper.
    tops: Vec<u32>,
}

impl Chosen {
    fn new(model: &Model, options: &Options) -> Self {
        let tree = model.tree(options.by_spawner);
        let mut within = vec![false; model.now.processes.len()];
        let mut tops: Vec<u32> = Vec::new();
        for key in &options.only {
            let index = model.index_of(key.pid).filter(|i| model.now.processes[*i].key == *key);
            tops.extend(index.filter(|i| !within[*i]).map(to_u32));
            for i in index.map(|i| tree.subtree(to_u32(i))).unwrap_or_default() {
                within[i as usize] = true;
            }
        }
        // One that was met before what it descends from is no top either.
        tops.retain(|top| tree.parent[*top as usize].is_none_or(|parent| !within[parent as usize]));
        tops.sort_unstable();
        Self { within, tops }
    }

    /// Whether a row is in a chosen subtree. A process that has ended is in its own, if it was chosen, and in its parent's.
    fn has(&self, model: &Model, row: &Row<'_>, options: &Options) -> bool {
        let within = |pid: i32| model.index_of(pid).is_some_and(|i| self.within[i]);
        match row.ghost {
            Some(_) => options.only.contains(&row.key()) || within(row.process.ppid),
            None => within(row.key().pid),
        }
    }
}

struct Builder<'a> {
    chosen: Option<Chosen>,
    model: &'a Model,
    options: &'a Options,
    placed: &'a HashSet<i32>,
    threads: bool,
    kernel_threads: bool,
    lineage: Lineage,
}

impl Builder<'_> {
    /// Whether the row's process may be shown at all (before the filter).
    fn admitted(&self, row: &Row<'_>) -> bool {
        let o = self.options;
        !self.placed.contains(&row.process.key.pid)
            && (self.kernel_threads
                || !row.process.kernel_thread
                || o.pids.as_ref().is_some_and(|p| p.contains(&pid_on_host(row.process.key.pid))))
            && o.pids.as_ref().is_none_or(|pids| pids.contains(&pid_on_host(row.process.key.pid)))
            && self.chosen.as_ref().is_none_or(|c| c.has(self.model, row, o))
            && o.user.as_deref().is_none_or(|user| row.process.identity.user.as_deref() == Some(user))
    }

    fn passes(&self, row: &Row<'_>) -> bool {
        self.options.filter.as_ref().is_none_or(|f| f.matches(row, &self.lineage))
    }

    fn row(&self, at: RowRef) -> Option<Row<'_>> {
        Row::new(self.model, at)
    }

    fn tasks_of(&self, process: u32) -> impl Iterator<Item = RowRef> {
        let range = if self.threads { self.model.now.processes[process as usize].tasks.clone() } else { 0..0 };
        range.map(move |task| RowRef::Task { process, task })
    }

    fn list(&self) -> Vec<Line> {
        let get = self.options.sort.get;
        let mut rows: Vec<(Value<'_>, RowRef)> = Vec::with_capacity(self.model.now.processes.len());
        let mut add = |at: RowRef| {
            if let Some(row) = self.row(at).filter(|r| self.passes(r)) {
                rows.push((get(&row), at));
            }
        };
        for i in 0..to_u32(self.model.now.processes.len()) {
            if self.row(RowRef::Process(i)).is_some_and(|r| self.admitted(&r)) {
                add(RowRef::Process(i));
                self.tasks_of(i).for_each(&mut add);
            }
        }
        for i in 0..to_u32(self.model.lifecycle.ghosts.len()) {
            if self.row(RowRef::Ghost(i)).is_some_and(|r| self.admitted(&r)) {
                add(RowRef::Ghost(i));
            }
        }
        // Equal rows stay in pid order, which is how they came.
        rows.sort_by(|a, b| a.0.compare(&b.0, self.options.descending));
        let mut lines = Vec::with_capacity(rows.len());
        lines.extend(rows.into_iter().filter_map(|(_, at)| Some(Line::flat(at, RowKey::of(&self.row(at)?)))));
        lines
    }

    fn tree(&self) -> Lines {
        let processes = &self.model.now.processes;
        let tree = self.model.tree(self.options.by_spawner);
        let (wanted, shown) = self.wanted(&tree);
        let mut ghosts: Vec<Vec<u32>> = vec![Vec::new(); processes.len() + 1];
        for (i, g) in (0u32..).zip(&self.model.lifecycle.ghosts) {
            if self.row(RowRef::Ghost(i)).is_some_and(|r| self.admitted(&r) && self.passes(&r)) {
                let parent = self.model.index_of(g.last.ppid).filter(|p| self.chosen.as_ref().is_none_or(|c| c.within[*p]));
                ghosts[parent.unwrap_or(processes.len())].push(i);
            }
        }
        let mut walk = Walk { builder: self, tree: &tree, wanted, shown, ghosts, lines: Vec::new(), families: Vec::new() };
        let tops = self.chosen.as_ref().map_or(tree.roots(), |chosen| &chosen.tops);
        let roots: Vec<RowRef> = tops
            .iter()
            .filter(|i| walk.shown[**i as usize])
            .map(|i| RowRef::Process(*i))
            .chain(walk.ghosts[processes.len()].iter().map(|g| RowRef::Ghost(*g)))
            .collect();
        walk.siblings(roots, 0, 0);
        let (lines, families) = (walk.lines, walk.families);
        Lines { lines, families, tree: Some(tree) }
    }

    /// Which processes match themselves, and which are shown: those and all their ancestors.
    fn wanted(&self, tree: &Tree) -> (Vec<bool>, Vec<bool>) {
        let count = to_u32(self.model.now.processes.len());
        let narrowed = self.options.filter.is_some() || self.options.user.is_some() || self.options.pids.is_some();
        let wanted: Vec<bool> = (0..count)
            .map(|i| {
                self.row(RowRef::Process(i)).is_some_and(|r| {
                    self.admitted(&r)
                        && (self.passes(&r) || self.tasks_of(i).any(|t| self.row(t).is_some_and(|r| self.passes(&r))))
                })
            })
            .collect();
        let mut shown = wanted.clone();
        if narrowed {
            for i in 0..wanted.len() {
                let mut at = i;
                while wanted[i]
                    && let Some(parent) = tree.parent[at]
                {
                    at = parent as usize;
                    if shown[at] && at != i && wanted[at] {
                        break;
                    }
                    shown[at] = true;
                }
            }
        }
        if let Some(chosen) = &self.chosen {
            // What stands above a chosen top is not shown for what matches below it.
            shown.iter_mut().zip(&chosen.within).for_each(|(shown, within)| *shown &= within);
        }
        (wanted, shown)
    }
}

struct Walk<'a> {
    builder: &'a Builder<'a>,
    tree: &'a Tree,
    wanted: Vec<bool>,
    shown: Vec<bool>,
    ghosts: Vec<Vec<u32>>,
    lines: Vec<Line>,
    families: Vec<Vec<u32>>,
}

/// Deeper trees are drawn flat from here on; a fork bomb cannot overflow the stack or the guides.
const MAX_DEPTH: u16 = 60;

impl Walk<'_> {
    fn siblings(&mut self, mut rows: Vec<RowRef>, depth: u16, guides: u64) {
        let b = self.builder;
        if b.options.sort_in_tree {
            let mut keyed: Vec<(Value<'_>, RowRef)> = rows.iter().filter_map(|at| Some((self.sorted_by(*at)?, *at))).collect();
            keyed.sort_by(|x, y| x.0.compare(&y.0, b.options.descending));
            rows = keyed.into_iter().map(|(_, at)| at).collect();
        }
        let count = rows.len();
        for (n, at) in rows.into_iter().enumerate() {
            self.line(at, depth, guides, n + 1 == count);
        }
    }

    /// What the row shows in the column sorted by: a folded one the sum of its subtree.
    fn sorted_by(&self, at: RowRef) -> Option<Value<'_>> {
        let b = self.builder;
        let row = b.row(at)?;
        let folded = match at {
            RowRef::Process(index) if b.options.folded.contains(&row.key()) => self.tree.subtree(index),
            _ => return Some((b.options.sort.get)(&row)),
        };
        Some(b.options.sort.folded(folded.iter().filter_map(|i| b.row(RowRef::Process(*i)))))
    }

    fn line(&mut self, at: RowRef, depth: u16, guides: u64, last: bool) {
        let Some(row) = self.builder.row(at) else { return };
        let key = RowKey::of(&row);
        let mut line = Line { depth, guides, last, ..Line::flat(at, key) };
        let RowRef::Process(index) = at else {
            self.lines.push(line);
            return;
        };
        line.context = !self.wanted[index as usize];
        let below = self.below(index);
        line.parent = !below.is_empty();
        if self.builder.options.folded.contains(&row.key()) && line.parent {
            let family = self.tree.subtree(index);
            let hidden: usize = family.iter().map(|member| self.hidden(*member)).sum();
            line.folded = Some(Folded { hidden: to_u32(hidden).saturating_sub(1), family: Some(to_u32(self.families.len())) });
            self.families.push(family);
            self.lines.push(line);
            return;
        }
        self.lines.push(line);
        let deeper = if depth + 1 < MAX_DEPTH { depth + 1 } else { depth };
        let guides = if last || depth >= MAX_DEPTH { guides } else { guides | 1 << depth };
        self.siblings(below, deeper, guides);
    }

    /// Lines of one process without its children: its own, its threads, and children that have ended.
    fn hidden(&self, index: u32) -> usize {
        usize::from(self.shown[index as usize]) + self.builder.tasks_of(index).count() + self.ghosts[index as usize].len()
    }

    /// Threads first, then children; one that has ended keeps its place among them.
    fn below(&self, index: u32) -> Vec<RowRef> {
        let b = self.builder;
        let tasks = b.tasks_of(index).filter(|t| b.row(*t).is_some_and(|r| b.passes(&r)));
        let children = self.tree.children(index).iter().filter(|c| self.shown[**c as usize]).map(|c| RowRef::Process(*c));
        let ghosts = self.ghosts[index as usize].iter().map(|g| RowRef::Ghost(*g));
        let mut processes: Vec<RowRef> = children.chain(ghosts).collect();
        processes.sort_by_key(|at| b.row(*at).map(|row| row.key().pid));
        tasks.chain(processes).collect()
    }
}

fn to_u32(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}
