//! The JSON document of `concmon lab run --json`, schema `concmon.lab.run/1`. Key names have units; an unknown value is `null`.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::lab::measure::{self, Point, Sample};
use crate::lab::run::{Outcome, Run, RunPhase, Summary, Worker};
use crate::lab::trace::TaskTrace;
use crate::snapshot::ExitStatus;

/// All runs of one command as one object: `schema`, `machine`, `spec` of the first, `summary` per number of workers, `runs`.
#[must_use]
pub fn run_document(runs: &[Arc<Run>]) -> Value {
    json!({
        "schema": "concmon.lab.run/1",
        "concmon": env!("CARGO_PKG_VERSION"),
        "machine": machine(),
        "summary": summaries(runs),
        "runs": runs.iter().map(|r| one(r)).collect::<Vec<_>>(),
    })
}

pub(super) fn machine() -> Value {
    let host = crate::lab::batch::host();
    let room = crate::lab::launcher::Machine::read();
    json!({
        "kernel": host.kernel,
        "architecture": host.architecture,
        "cpu_model": host.cpu_model,
        "cpus": host.cpus,
        "memory_available_bytes": room.available_mb.map(|mb| mb << 20),
    })
}

/// Creation latencies and walls over all repetitions with the same number of workers.
fn summaries(runs: &[Arc<Run>]) -> Vec<Value> {
    let mut numbers: Vec<u32> = runs.iter().map(|r| r.spec.workers).collect();
    numbers.sort_unstable();
    numbers.dedup();
    let group = |workers: u32| {
        let group: Vec<&Arc<Run>> = runs.iter().filter(|r| r.spec.workers == workers).collect();
        json!({
            "workers": workers,
            "runs": group.len(),
            "creation_ns": figures(points(group.iter().flat_map(|r| r.workers.iter().filter_map(Worker::creation_ns)))),
            "wall_ns": figures(points(group.iter().filter_map(|r| r.costs.wall_ns))),
        })
    };
    numbers.into_iter().map(group).collect()
}

#[expect(clippy::cast_precision_loss, reason = "2^53 ns are 104 days")]
fn points(ns: impl Iterator<Item = u64>) -> Option<Summary> {
    measure::summary(&ns.map(|n| n as f64).collect::<Vec<_>>())
}

fn figures(summary: Option<Summary>) -> Value {
    summary.map_or(Value::Null, |s| json!({ "count": s.count, "min": s.min, "median": s.median, "p90": s.p90, "max": s.max }))
}

fn one(run: &Run) -> Value {
    let costs = &run.costs;
    let point = Point::of(run);
    let read = |id: &str| {
        let mut values = Vec::new();
        let sample = Sample { point: &point, spec: &run.spec, baseline: None };
        measure::measure(id).into_iter().for_each(|m| (m.get)(sample, &mut values));
        values.first().copied()
    };
    let (outcome, why) = outcome(run);
    json!({
        "run": run.id.0,
        "spec": run.spec,
        "outcome": outcome,
        "why": why,
        "root_pid": run.root_pid,
        "creation_ns": run.workers.iter().map(Worker::creation_ns).collect::<Vec<_>>(),
        "creation_summary_ns": figures(costs.creation_ns),
        "wall_ns": costs.wall_ns,
        "first_task_ns": costs.first_task_ns,
        "all_ready_ns": costs.all_ready_ns,
        "user_ns": costs.user_ns,
        "sys_ns": costs.sys_ns,
        "cpu_ns": point.cpu_ns(),
        "apart": costs.apart,
        "root_start_ns": costs.root_start_ns,
        "root_end_ns": costs.root_end_ns,
        "processes": point.processes,
        "throughput_per_s": read("throughput_per_s"),
        "measured": run.spec.hold_ms == 0,
        "teardown_ns": costs.teardown_ns,
        "peak_rss_bytes": costs.peak_rss_bytes,
        "peak_pss_bytes": costs.peak_pss_bytes,
        "peak_uss_bytes": costs.peak_uss_bytes,
        "cgroup_peak_bytes": costs.cgroup_peak_bytes,
        "run_delay_ns": costs.run_delay_ns,
        "sent_bytes": costs.sent_bytes,
        "minor_faults": costs.minor_faults,
        "major_faults": costs.major_faults,
        "voluntary_switches": costs.voluntary_switches,
        "involuntary_switches": costs.involuntary_switches,
        "protocol_ns": costs.protocol_ns,
        "unknown": unknown(run),
        "workers": run.workers.iter().map(|w| worker(run, w)).collect::<Vec<_>>(),
        "lanes": run.trace.as_deref().map(|t| t.tasks.iter().map(|task| lane(run, task)).collect::<Vec<_>>()),
        "values": run.values,
        "shape": run.shape,
        "warnings": run.warnings,
        "lines_lost": run.lines_lost,
        "output": run.output,
    })
}

/// Why measures of the run are unknown, by the measure's name. What is measured against other runs is not asked of one.
fn unknown(run: &Run) -> Value {
    let point = Point::of(run);
    let lacks = |measure: &&measure::Measure| {
        let mut values = Vec::new();
        (measure.get)(Sample { point: &point, spec: &run.spec, baseline: Some(&point) }, &mut values);
        values.is_empty()
    };
    let why = |m: &measure::Measure| m.why_unknown(&run.spec, Some(&point));
    measure::MEASURES.iter().filter(lacks).map(|m| (m.id.to_owned(), Value::from(why(m)))).collect()
}

/// What a task did over time. Each slice: from and to since the start of the run, of that on a CPU and waiting for one, all in
/// nanoseconds; the kernel's state letter at its end, and the CPU it last ran on. Each holding, of the first thread of a process: since when,
/// resident memory in bytes, threads.
fn lane(run: &Run, task: &TaskTrace) -> Value {
    let since = |ns: u64| ns.saturating_sub(run.started_ns);
    let slices = task.slices.iter();
    json!({
        "pid": task.pid,
        "tid": task.tid,
        "comm": task.comm,
        "parent": task.parent,
        "gone_ns": task.gone_ns.map(since),
        "run_ns": task.run_ns,
        "wait_ns": task.wait_ns,
        "slices": slices.map(|s| json!([since(s.from_ns), since(s.to_ns), s.run_ns, s.wait_ns, s.state, s.cpu])).collect::<Vec<_>>(),
        "holdings": task.holdings.iter().map(|h| json!([since(h.from_ns), h.rss_bytes, h.threads])).collect::<Vec<_>>(),
    })
}

fn worker(run: &Run, w: &Worker) -> Value {
    // Times from the start of the run, so that lanes can be drawn from them.
    let since = |ns: Option<u64>| ns.map(|ns| ns.saturating_sub(run.started_ns));
    let spans: Vec<Value> = w
        .spans
        .iter()
        .map(|s| json!({ "task": s.index, "start_ns": since(Some(s.start_ns)), "end_ns": since(s.end_ns) }))
        .collect();
    json!({
        "index": w.index,
        "pid": w.pid,
        "tid": w.tid,
        "how": w.how,
        "requested_ns": since(w.requested_ns),
        "ready_ns": since(w.ready_ns),
        "exited_ns": since(w.exited_ns),
        "exit": w.status.map(|s| match s {
            ExitStatus::Code(code) => json!({ "code": code }),
            ExitStatus::Signal { signal, .. } => json!({ "signal": signal }),
            ExitStatus::Unknown => Value::Null,
        }),
        "rss_bytes": w.memory.rss_bytes,
        "pss_bytes": w.memory.pss_bytes,
        "uss_bytes": w.memory.uss_bytes,
        "spans": spans,
    })
}

/// The outcome as a word, and why in a sentence.
pub(super) fn outcome(run: &Run) -> (&'static str, Option<&str>) {
    match &run.phase {
        RunPhase::Ended(Outcome::Done) => ("done", None),
        RunPhase::Ended(Outcome::Failed(why)) => ("failed", Some(why)),
        RunPhase::Ended(Outcome::Stopped) => ("stopped", None),
        RunPhase::Ended(Outcome::TimedOut) => ("timed_out", None),
        RunPhase::Starting | RunPhase::Running | RunPhase::Ending => ("unfinished", None),
    }
}
