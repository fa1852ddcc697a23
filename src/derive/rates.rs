//! Rates of processes and tasks between two snapshots.

use crate::snapshot::{Exact, ProcessSample, Snapshot, TaskSample};

/// Change per time of one process or task. Percent are of one CPU (a process of two busy threads has 200).
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Rates {
    /// CPU use, percent of one CPU: from `schedstat` where read (exact), else from clock ticks (10 ms steps).
    pub cpu_percent: Option<f32>,
    /// User-mode part, from clock ticks.
    pub user_percent: Option<f32>,
    /// Kernel-mode part, from clock ticks.
    pub system_percent: Option<f32>,
    /// Time runnable but without a CPU, percent of one CPU.
    pub wait_percent: Option<f32>,
    /// Voluntary switches per second.
    pub voluntary_per_s: Option<f32>,
    /// Involuntary switches per second.
    pub involuntary_per_s: Option<f32>,
    /// Minor faults per second.
    pub minor_per_s: Option<f32>,
    /// Major faults per second.
    pub major_per_s: Option<f32>,
    /// Bytes read from storage per second.
    pub read_bytes_per_s: Option<f32>,
    /// Bytes written to storage per second.
    pub write_bytes_per_s: Option<f32>,
    /// Whether it was there in the previous snapshot; `false` for the newly born (and for all in the first one).
    pub known_before: bool,
}

/// Change per second of a counter; `None` if a side is unknown or it went backwards (a thread left the sum, a pid was reused).
fn per_second(before: Option<u64>, now: Option<u64>, dt_ns: u64) -> Option<f32> {
    let delta = now?.checked_sub(before?)?;
    Some((delta as f64 * 1e9 / dt_ns as f64) as f32)
}

/// Nanoseconds used per nanosecond gone, in percent.
fn percent(before: Option<u64>, now: Option<u64>, dt_ns: u64) -> Option<f32> {
    let delta = now?.checked_sub(before?)?;
    Some((delta as f64 * 100.0 / dt_ns as f64) as f32)
}

fn sum(a: Option<u64>, b: Option<u64>) -> Option<u64> {
    Some(a? + b?)
}

fn of_process(a: &ProcessSample, b: &ProcessSample, dt: u64) -> Rates {
    let io = exact_pair(a, b);
    Rates {
        cpu_percent: percent(a.run_ns, b.run_ns, dt)
            .filter(|_| a.nlwp == b.nlwp)
            .or_else(|| percent(sum(a.utime_ns, a.stime_ns), sum(b.utime_ns, b.stime_ns), dt)),
        user_percent: percent(a.utime_ns, b.utime_ns, dt),
        system_percent: percent(a.stime_ns, b.stime_ns, dt),
        wait_percent: percent(a.run_delay_ns, b.run_delay_ns, dt),
        voluntary_per_s: per_second(a.voluntary_switches, b.voluntary_switches, dt),
        involuntary_per_s: per_second(a.involuntary_switches, b.involuntary_switches, dt),
        minor_per_s: per_second(a.minor_faults, b.minor_faults, dt),
        major_per_s: per_second(a.major_faults, b.major_faults, dt),
        read_bytes_per_s: io.and_then(|(x, y, dt)| per_second(x.read_bytes, y.read_bytes, dt)),
        write_bytes_per_s: io.and_then(|(x, y, dt)| per_second(x.write_bytes, y.write_bytes, dt)),
        known_before: true,
    }
}

/// Expensive values are read at their own times: their dt is between those reads.
fn exact_pair<'a>(a: &'a ProcessSample, b: &'a ProcessSample) -> Option<(&'a Exact, &'a Exact, u64)> {
    let (x, y) = (a.exact.as_deref()?, b.exact.as_deref()?);
    let dt = y.taken_ns.checked_sub(x.taken_ns).filter(|dt| *dt > 0)?;
    Some((x, y, dt))
}

fn of_task(a: &TaskSample, b: &TaskSample, dt: u64) -> Rates {
    Rates {
        cpu_percent: percent(a.run_ns, b.run_ns, dt)
            .or_else(|| percent(sum(a.utime_ns, a.stime_ns), sum(b.utime_ns, b.stime_ns), dt)),
        user_percent: percent(a.utime_ns, b.utime_ns, dt),
        system_percent: percent(a.stime_ns, b.stime_ns, dt),
        wait_percent: percent(a.run_delay_ns, b.run_delay_ns, dt),
        voluntary_per_s: per_second(a.voluntary_switches, b.voluntary_switches, dt),
        involuntary_per_s: per_second(a.involuntary_switches, b.involuntary_switches, dt),
        minor_per_s: per_second(a.minor_faults, b.minor_faults, dt),
        major_per_s: per_second(a.major_faults, b.major_faults, dt),
        read_bytes_per_s: None,
        write_bytes_per_s: None,
        known_before: true,
    }
}

/// Time between the readings of one process, of two sweeps that began `dt_ns` apart.
fn between(a: &ProcessSample, b: &ProcessSample, dt_ns: u64) -> Option<u64> {
    dt_ns.saturating_add(b.read_after_ns).checked_sub(a.read_after_ns).filter(|dt| *dt > 0)
}

/// Rates of all processes and tasks of `now`. Both snapshots are sorted by id, so one pass over each suffices.
pub(super) fn all(previous: Option<&Snapshot>, now: &Snapshot, dt_ns: Option<u64>) -> (Vec<Rates>, Vec<Rates>) {
    let mut processes = vec![Rates::default(); now.processes.len()];
    let mut tasks = vec![Rates::default(); now.tasks.len()];
    let (Some(before), Some(dt)) = (previous, dt_ns) else { return (processes, tasks) };
    let mut older = before.processes.iter().peekable();
    for (i, p) in now.processes.iter().enumerate() {
        while older.next_if(|o| o.key.pid < p.key.pid).is_some() {}
        let Some(o) = older.next_if(|o| o.key == p.key) else { continue };
        let Some(dt) = between(o, p, dt) else { continue };
        processes[i] = of_process(o, p, dt);
        let range = slice(&p.tasks);
        match_tasks(&before.tasks[slice(&o.tasks)], &now.tasks[range.clone()], &mut tasks[range], dt);
    }
    (processes, tasks)
}

/// The rates of `before`, as they stand for what is still there in `now`.
pub(super) fn carried(
    before: &Snapshot,
    (of_processes, of_tasks): (&[Rates], &[Rates]),
    now: &Snapshot,
) -> (Vec<Rates>, Vec<Rates>) {
    let mut processes = vec![Rates::default(); now.processes.len()];
    let mut tasks = vec![Rates::default(); now.tasks.len()];
    let mut older = before.processes.iter().zip(of_processes).peekable();
    for (p, rates) in now.processes.iter().zip(&mut processes) {
        while older.next_if(|(o, _)| o.key.pid < p.key.pid).is_some() {}
        let Some((o, known)) = older.next_if(|(o, _)| o.key == p.key) else { continue };
        *rates = *known;
        let (from, to) = (slice(&o.tasks), slice(&p.tasks));
        let mut older = before.tasks[from.clone()].iter().zip(&of_tasks[from]).peekable();
        for (t, rates) in now.tasks[to.clone()].iter().zip(&mut tasks[to]) {
            while older.next_if(|(o, _)| o.tid < t.tid).is_some() {}
            if let Some((_, known)) = older.next_if(|(o, _)| o.key() == t.key()) {
                *rates = *known;
            }
        }
    }
    (processes, tasks)
}

fn match_tasks(before: &[TaskSample], now: &[TaskSample], out: &mut [Rates], dt: u64) {
    let mut older = before.iter().peekable();
    for (t, rates) in now.iter().zip(out) {
        while older.next_if(|o| o.tid < t.tid).is_some() {}
        if let Some(o) = older.next_if(|o| o.key() == t.key()) {
            *rates = of_task(o, t, dt);
        }
    }
}

fn slice(range: &std::ops::Range<u32>) -> std::ops::Range<usize> {
    range.start as usize..range.end as usize
}
