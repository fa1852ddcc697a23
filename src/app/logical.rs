//! Async tasks, greenlets and sub-interpreters as rows below the process or thread that carries them. The kernel cannot see them; the
//! data comes from the reports of a lab run's workers.

use std::collections::HashSet;

use crate::columns::{Row, RowRef};
use crate::derive::Model;
use crate::lab::launcher::LabState;
use crate::lab::protocol::Creation;
use crate::lab::run::{Run, Worker};
use crate::snapshot::ProcKey;

use super::rows::{Folded, Line, RowKey};

/// Most units of one carrier that get a line each; the rest share one.
const SHOWN_MOST: usize = 100;

/// Whether the worker is a unit of this kind.
#[must_use]
pub fn is_logical(worker: &Worker) -> bool {
    matches!(worker.how, Some(Creation::AsyncTask | Creation::Greenlet | Creation::Interpreter))
}

/// Adds the lines to those of a tree.
pub fn insert(lines: &mut Vec<Line>, model: &Model, lab: &LabState, folded: &HashSet<ProcKey>) {
    for run in lab.runs.iter().filter(|r| !r.ended()) {
        let mut carriers: Vec<(i32, i32)> = with_line(run).filter_map(|w| Some((w.pid?, w.tid?))).collect();
        carriers.sort_unstable();
        carriers.dedup();
        for (pid, tid) in carriers {
            insert_below(lines, model, run, (pid, tid), folded);
        }
    }
}

/// Units with a line: those that live; also those that have ended, in a run whose units all get a line.
fn with_line(run: &Run) -> impl Iterator<Item = &Worker> {
    let few = run.workers.len() <= SHOWN_MOST;
    run.workers.iter().filter(move |w| is_logical(w) && (few || w.exited_ns.is_none()))
}

/// Index of the line that carries units of thread `tid` of process `pid`: the thread's own if threads are shown, else the process's.
fn carrier(lines: &[Line], model: &Model, pid: i32, tid: i32) -> Option<usize> {
    let of_process = |l: &Line| matches!(l.key, RowKey::Process(key) if key.pid == pid) && !matches!(l.at, RowRef::Ghost(_));
    let of_thread = |l: &Line| {
        matches!(l.at, RowRef::Task { .. }) && Row::new(model, l.at).is_some_and(|r| r.task.is_some_and(|t| t.tid == tid))
    };
    lines.iter().position(of_thread).or_else(|| lines.iter().position(of_process))
}

fn insert_below(lines: &mut Vec<Line>, model: &Model, run: &Run, (pid, tid): (i32, i32), folded: &HashSet<ProcKey>) {
    let Some(at) = carrier(lines, model, pid, tid) else { return };
    let top = lines[at];
    if top.folded.is_some() {
        return;
    }
    let units: Vec<u32> = with_line(run).filter(|w| w.tid == Some(tid)).map(|w| w.index).collect();
    if matches!(top.key, RowKey::Process(key) if folded.contains(&key)) {
        (lines[at].parent, lines[at].folded) = (
            true,
            // What is hidden has no process of its own to add up.
            u32::try_from(units.len()).ok().map(|hidden| Folded { hidden, family: None }),
        );
        return;
    }
    let childless = lines.get(at + 1).is_none_or(|next| next.depth <= top.depth);
    let guides = if top.last || top.depth >= 63 { top.guides } else { top.guides | 1 << top.depth };
    let line = |key: RowKey| Line { key, depth: top.depth + 1, guides, last: false, parent: false, context: false, ..top };
    let mut new: Vec<Line> =
        units.iter().take(SHOWN_MOST).map(|worker| line(RowKey::Logical { run: run.id, worker: *worker })).collect();
    if let Some(more) = units.len().checked_sub(SHOWN_MOST).filter(|n| *n > 0) {
        new.push(line(RowKey::MoreLogical { run: run.id, tid, count: u32::try_from(more).unwrap_or(u32::MAX) }));
    }
    if let (true, Some(last)) = (childless, new.last_mut()) {
        last.last = true;
    }
    lines[at].parent |= !new.is_empty();
    lines.splice(at + 1..at + 1, new);
}

/// How it was created, and how long that took.
fn created(how: Creation, worker: &Worker) -> String {
    let mut text = format!("{:8} ", how.badge());
    if let Some(ns) = worker.creation_ns() {
        text += &format!("{:>7}", crate::columns::latency_text(ns));
    }
    text.trim_end().to_owned()
}

/// What a unit is and does, in words: `async task 3, unit 7`.
#[must_use]
pub fn describe(lab: &LabState, key: RowKey) -> Option<(String, String)> {
    match key {
        RowKey::Logical { run, worker } => {
            let worker = lab.run(run)?.workers.get(usize::try_from(worker).ok()?)?;
            let how = worker.how?;
            let name = match how {
                Creation::AsyncTask => "async task",
                Creation::Greenlet => "greenlet",
                _ => "interpreter",
            };
            let now = worker.spans.iter().rev().find(|s| s.end_ns.is_none());
            let ended = if worker.exited_ns.is_some() { "ended, " } else { "" };
            let doing = match (now, worker.spans.len()) {
                (Some(span), _) => format!("in unit {}", span.index),
                (None, 0) if worker.exited_ns.is_some() => "ended".to_owned(),
                (None, 0) => "not started".to_owned(),
                (None, n) => format!("{ended}{n} unit{} done", if n == 1 { "" } else { "s" }),
            };
            Some((created(how, worker), format!("{name} {}: {doing}", worker.index)))
        }
        RowKey::MoreLogical { count, .. } => Some((String::new(), format!("and {count} more"))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::options::Options;
    use crate::app::rows;
    use crate::derive::{Deriver, test_process, test_snapshot};
    use crate::lab::catalog::find;
    use crate::lab::run::RunId;
    use std::sync::Arc;

    fn model(pids: &[(i32, i32)]) -> Model {
        let processes = pids.iter().map(|(pid, ppid)| test_process(*pid, *ppid, 1)).collect();
        Deriver::new(0).step(test_snapshot(1, processes))
    }

    fn lab(units: u32) -> LabState {
        let mut run = Run::new(RunId(1), find("python/asyncio").unwrap().defaults(), 0);
        for index in 0..units {
            run.workers.push(Worker {
                index,
                pid: Some(10),
                shown_pid: None,
                tid: Some(10),
                how: Some(Creation::AsyncTask),
                requested_ns: Some(1),
                ready_ns: Some(2),
                exited_ns: None,
                status: None,
                spans: Vec::new(),
                memory: crate::lab::run::Memory::default(),
            });
        }
        LabState { runs: vec![Arc::new(run)] }
    }

    fn keys(lab: &LabState) -> Vec<(u16, bool, Option<String>)> {
        let model = model(&[(1, 0), (10, 1), (11, 10), (12, 1)]);
        let mut lines = rows::build(&model, &Options { tree: true, ..Options::default() }, &HashSet::new()).lines;
        insert(&mut lines, &model, lab, &HashSet::new());
        lines.iter().map(|l| (l.depth, l.last, describe(lab, l.key).map(|(_, words)| words))).collect()
    }

    #[test]
    fn units_stand_below_their_carrier_and_before_its_children() {
        let words: Vec<_> =
            keys(&lab(2)).into_iter().map(|(depth, last, words)| (depth, last, words.unwrap_or_default())).collect();
        let unit = |n: u32| format!("async task {n}: not started");
        assert_eq!(words[1], (1, false, String::new()), "the carrier: {words:?}");
        assert_eq!(words[2], (2, false, unit(0)));
        assert_eq!(words[3], (2, false, unit(1)), "pid 11 comes after it");
        assert_eq!(words[4], (2, true, String::new()));
    }

    #[test]
    fn a_thousand_units_do_not_bury_the_table() {
        let lines = keys(&lab(1_000));
        assert_eq!(lines.len(), 4 + SHOWN_MOST + 1);
        assert!(lines.iter().any(|(_, _, words)| words.as_deref() == Some("and 900 more")));
    }
}
