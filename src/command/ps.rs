//! `concmon ps`: the table once, for people, programs and spreadsheets.

use std::cmp::Ordering;
use std::time::Duration;

use anyhow::Context as _;

use crate::cli::PsArgs;
use crate::columns::{self, Row, RowRef};
use crate::config::Config;
use crate::derive::{Deriver, Model, Tree};
use crate::export::{Line, Table, TableOptions, write_csv, write_json, write_table};
use crate::kernel::source::{Needs, Request, Source};
use crate::kernel::{AutoSource, SourceChoice};
use crate::snapshot::{ProcKey, ProcessSample};
use crate::text::Charset;

use super::Failure;
use super::output::{terminal_width, with_stdout};

/// Runs it.
pub(super) fn run(config: &Config, args: &PsArgs) -> Result<(), Failure> {
    let mut source = AutoSource::new("/proc", config.source).map_err(|error| {
        let error = anyhow::Error::from(error);
        // Whoever names a source wants that one or none.
        if config.source == SourceChoice::Auto { Failure::Failed(error) } else { Failure::Unavailable(error) }
    })?;
    let model = sample(&mut source, config, args.samples)?;
    let lines = lines(&model, config);
    let table = Table { model: &model, columns: &config.columns, lines: &lines };
    with_stdout(|out| {
        if args.json {
            write_json(out, &table)
        } else if args.csv {
            write_csv(out, &table)
        } else {
            let charset = Charset::from_unicode(config.unicode);
            write_table(out, &table, &TableOptions { charset, width: terminal_width() })
        }
    })?;
    Ok(())
}

/// What a source reads of visible rows only, for its cost.
const OF_VISIBLE: Needs = Needs::SMAPS.union(Needs::IO).union(Needs::FDS).union(Needs::WCHAN).union(Needs::STATUS);

/// Nothing else waits for a sweep of `ps`: what was asked for is read, within reason.
const BUDGET: Duration = Duration::from_secs(60);

/// The model of the last of `samples` samples, `config.delay` apart.
fn sample(source: &mut impl Source, config: &Config, samples: u32) -> Result<Model, Failure> {
    let mut needs = columns::needs(config.columns.iter().copied().chain([config.sort.column]));
    if config.threads {
        needs |= Needs::THREADS;
    }
    let mut sweep = |visible: &[ProcKey]| {
        let request = Request { all: needs, visible_needs: needs, visible, budget: BUDGET };
        source.sample(&request).context("the processes cannot be read")
    };
    let mut deriver = Deriver::new(0);
    let mut model = deriver.step(sweep(&[])?);
    if samples == 1 && needs.intersects(OF_VISIBLE) {
        // Which rows there are is known only now. Not a second sample: nothing is derived from the time between.
        model = Deriver::new(0).step(sweep(&keys(&model, config))?);
    }
    for _ in 1..samples {
        let visible = keys(&model, config);
        std::thread::sleep(config.delay);
        model = deriver.step(sweep(&visible)?);
    }
    Ok(model)
}

/// The processes that will be printed.
fn keys(model: &Model, config: &Config) -> Vec<ProcKey> {
    kept(model, config).into_iter().map(|index| model.now.processes[index as usize].key).collect()
}

/// The processes that were asked for, by index.
fn kept(model: &Model, config: &Config) -> Vec<u32> {
    let wanted = |process: &ProcessSample| {
        let named = config.pids.contains(&process.key.pid);
        let user = config.user.as_ref().is_none_or(|user| process.identity.uid == Some(user.uid));
        user && (named || (config.pids.is_empty() && (config.kernel_threads || !process.kernel_thread)))
    };
    (0u32..).zip(&model.now.processes).filter(|(_, process)| wanted(process)).map(|(index, _)| index).collect()
}

/// The rows that were asked for, in order.
fn lines(model: &Model, config: &Config) -> Vec<Line> {
    let kept = kept(model, config);
    if config.tree {
        tree_lines(model, config, &kept)
    } else {
        let mut rows: Vec<RowRef> = kept.iter().map(|index| RowRef::Process(*index)).collect();
        if config.threads {
            rows.extend(kept.iter().flat_map(|index| tasks(model, *index)));
        }
        sort(model, config, &mut rows);
        rows.into_iter().map(Line::flat).collect()
    }
}

/// Rows of a process's tasks; the leader's is the process's own.
fn tasks(model: &Model, process: u32) -> impl Iterator<Item = RowRef> {
    let sample = &model.now.processes[process as usize];
    let is_leader = move |task: u32| model.now.tasks.get(task as usize).is_none_or(|t| t.tid == sample.key.pid);
    sample.tasks.clone().filter(move |task| !is_leader(*task)).map(move |task| RowRef::Task { process, task })
}

fn sort(model: &Model, config: &Config, rows: &mut [RowRef]) {
    let get = config.sort.column.get;
    let value = |row: &RowRef| Row::new(model, *row).map(|row| get(&row));
    // Stable: equal ones stay in the order of their ids.
    rows.sort_by(|a, b| match (value(a), value(b)) {
        (Some(a), Some(b)) => a.compare(&b, config.sort.descending),
        _ => Ordering::Equal,
    });
}

/// Children below their nearest kept ancestor, siblings sorted.
fn tree_lines(model: &Model, config: &Config, kept: &[u32]) -> Vec<Line> {
    let all = Tree::build(&model.now.processes);
    let place = |index: u32| kept.binary_search(&index).ok().and_then(|at| u32::try_from(at).ok());
    let parents = kept.iter().map(|index| {
        let mut above = all.parent[*index as usize];
        while let Some(ancestor) = above {
            if let Some(at) = place(ancestor) {
                return Some(at);
            }
            above = all.parent[ancestor as usize];
        }
        None
    });
    let tree = Tree::from_parents(parents.collect());
    let below = |index: u32| {
        let mut rows: Vec<RowRef> = if config.threads { tasks(model, index).collect() } else { Vec::new() };
        sort(model, config, &mut rows);
        let children = place(index).map_or(&[][..], |at| tree.children(at));
        rows.extend(ordered(model, config, kept, children));
        rows
    };
    let mut lines = Vec::with_capacity(kept.len());
    // Depth first with a stack of our own: a chain of processes may be deeper than the thread's.
    let mut open: Vec<Line> = ordered(model, config, kept, tree.roots()).into_iter().rev().map(Line::flat).collect();
    while let Some(line) = open.pop() {
        lines.push(line);
        let RowRef::Process(index) = line.row else { continue };
        let goes_on = line.depth > 0 && !line.last;
        let trunk = line.trunk | if goes_on { 1u64.checked_shl(u32::from(line.depth)).unwrap_or(0) } else { 0 };
        for (nth, row) in below(index).into_iter().rev().enumerate() {
            open.push(Line { row, depth: line.depth.saturating_add(1), last: nth == 0, trunk });
        }
    }
    lines
}

/// Processes at these places of `kept`, sorted.
fn ordered(model: &Model, config: &Config, kept: &[u32], places: &[u32]) -> Vec<RowRef> {
    let mut rows: Vec<RowRef> = places.iter().map(|at| RowRef::Process(kept[*at as usize])).collect();
    sort(model, config, &mut rows);
    rows
}
