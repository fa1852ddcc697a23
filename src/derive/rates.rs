//! Rates of processes and tasks between two snapshots.

use std::sync::Arc;

use crate::snapshot::{Exact, ProcessSample, Snapshot, TaskSample};

/// Change per time of one process or task. Percent are of one CPU (a process of two busy threads has 200).
///
/// A rate is the difference of a counter that never falls. Sums over the threads that live at the moment are none: a thread that ends
/// takes its part out of them.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Rates {
    /// CPU use, percent of one CPU: finer than clock ticks where the kernel gives it so, see [`ProcessSample::run_ns`].
    pub cpu_percent: Option<f32>,
    /// User-mode part, from clock ticks.
    pub user_percent: Option<f32>,
    /// Kernel-mode part, from clock ticks.
    pub system_percent: Option<f32>,
    /// Time runnable but without a CPU, percent of one CPU.
    pub wait_percent: Option<f32>,
    /// Time neither running nor waiting for a CPU, percent of the threads' time.
    pub sleep_percent: Option<f32>,
    /// Whether waiting and sleeping are unknown because threads ended unseen: the kernel does not keep how long those waited.
    pub lost_waits: bool,
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
    /// Growth of resident memory, bytes per second; negative if it shrank.
    pub rss_per_s: Option<f32>,
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

/// The most that waiting may be off to be shown at all, percent of one CPU for each thread.
const MOST_OFF_PERCENT: f64 = 5.0;

/// How the threads of a process spent their time.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Shares {
    wait: Option<f32>,
    sleep: Option<f32>,
    lost: bool,
}

/// Waiting and sleeping of a process over `dt` nanoseconds.
///
/// What threads did after they were seen for the last time, or that lived between two samples, is known by its CPU time alone. That the
/// process had no more threads in between than at either end bounds how long they can have waited; where that is much, it is unknown.
fn shares(a: &ProcessSample, b: &ProcessSample, dt: u64) -> Option<Shares> {
    let (before, now) = (a.seen()?, b.seen()?);
    let since = |now: u64, before: u64| now.saturating_sub(before) as f64;
    let run = since(b.cpu_ns()?, a.cpu_ns()?);
    let (seen_run, off) = (since(now.run_ns, before.run_ns), since(now.off_ns, before.off_ns));
    let delay = now.delay_ns?.checked_sub(before.delay_ns?)? as f64;
    let (counted, dt) = (f64::from(a.nlwp?.max(b.nlwp?).max(1)), dt as f64);
    let tolerance = dt * MOST_OFF_PERCENT / 100.0;
    // There were at least as many as it takes to have spent so much time.
    let threads = counted.max(((run + off - tolerance) / dt).ceil());
    let unseen_run = run - seen_run;
    let unseen_time = threads * dt - run - off;
    if unseen_run > tolerance && unseen_time > tolerance * threads {
        return Some(Shares { lost: true, ..Shares::default() });
    }
    let life = run + off;
    let sleep = (life > 0.0).then(|| ((off - delay).max(0.0) * 100.0 / life) as f32);
    Some(Shares { wait: Some((delay * 100.0 / dt) as f32), sleep, lost: false })
}

/// Switches per second: of the process's counter, or of the threads that were seen if none of them ended.
fn switches(
    (a, b): (&ProcessSample, &ProcessSample),
    dt: u64,
    total: fn(&ProcessSample) -> Option<u64>,
    one: fn((u64, u64)) -> u64,
) -> Option<f32> {
    let of_seen = || {
        let (before, now) = a.seen.zip(b.seen).filter(|(before, now)| before.ended == now.ended)?;
        per_second(before.switches.map(one), now.switches.map(one), dt)
    };
    per_second(total(a), total(b), dt).or_else(of_seen)
}

/// Of a process that has not changed since the sample before.
fn of_resting(process: &ProcessSample) -> Rates {
    let still = |value: Option<u64>| value.map(|_| 0.0);
    let seen = process.seen.filter(|_| process.nlwp.is_some() && process.cpu_ns().is_some());
    let delay = seen.and_then(|seen| seen.delay_ns);
    let switches = |total, one: fn((u64, u64)) -> u64| still(total).or_else(|| still(process.seen?.switches.map(one)));
    Rates {
        cpu_percent: still(process.cpu_ns()),
        user_percent: still(process.utime_ns),
        system_percent: still(process.stime_ns),
        wait_percent: still(delay),
        sleep_percent: delay.map(|_| 100.0),
        voluntary_per_s: switches(process.voluntary_switches, |(voluntary, _)| voluntary),
        involuntary_per_s: switches(process.involuntary_switches, |(_, involuntary)| involuntary),
        minor_per_s: still(process.minor_faults),
        major_per_s: still(process.major_faults),
        rss_per_s: still(process.rss_bytes),
        known_before: true,
        ..Rates::default()
    }
}

fn of_process(a: &ProcessSample, b: &ProcessSample, dt: u64) -> Rates {
    let io = exact_pair(a, b);
    let shares = shares(a, b, dt).unwrap_or_default();
    Rates {
        cpu_percent: percent(a.cpu_ns(), b.cpu_ns(), dt),
        user_percent: percent(a.utime_ns, b.utime_ns, dt),
        system_percent: percent(a.stime_ns, b.stime_ns, dt),
        wait_percent: shares.wait,
        sleep_percent: shares.sleep,
        lost_waits: shares.lost,
        voluntary_per_s: switches((a, b), dt, |p| p.voluntary_switches, |(voluntary, _)| voluntary),
        involuntary_per_s: switches((a, b), dt, |p| p.involuntary_switches, |(_, involuntary)| involuntary),
        minor_per_s: per_second(a.minor_faults, b.minor_faults, dt),
        major_per_s: per_second(a.major_faults, b.major_faults, dt),
        read_bytes_per_s: io.and_then(|(x, y, dt)| per_second(x.read_bytes, y.read_bytes, dt)),
        write_bytes_per_s: io.and_then(|(x, y, dt)| per_second(x.write_bytes, y.write_bytes, dt)),
        rss_per_s: a.rss_bytes.zip(b.rss_bytes).map(|(a, b)| ((b as f64 - a as f64) * 1e9 / dt as f64) as f32),
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
    // Both from the same file: where `schedstat` was read once only, its finer figure is no match for the other's ticks.
    let ticks = |t: &TaskSample| Some(t.utime_ns?.saturating_add(t.stime_ns?));
    let cpu_percent = percent(a.run_ns, b.run_ns, dt).or_else(|| percent(ticks(a), ticks(b), dt));
    let wait_percent = percent(a.run_delay_ns, b.run_delay_ns, dt);
    Rates {
        cpu_percent,
        user_percent: percent(a.utime_ns, b.utime_ns, dt),
        system_percent: percent(a.stime_ns, b.stime_ns, dt),
        wait_percent,
        sleep_percent: cpu_percent.zip(wait_percent).map(|(run, wait)| (100.0 - run - wait).max(0.0)),
        lost_waits: false,
        voluntary_per_s: per_second(a.voluntary_switches, b.voluntary_switches, dt),
        involuntary_per_s: per_second(a.involuntary_switches, b.involuntary_switches, dt),
        minor_per_s: per_second(a.minor_faults, b.minor_faults, dt),
        major_per_s: per_second(a.major_faults, b.major_faults, dt),
        read_bytes_per_s: None,
        write_bytes_per_s: None,
        rss_per_s: None,
        known_before: true,
    }
}

/// Time between the readings of one process, of two sweeps that began `dt_ns` apart.
fn between(a: &ProcessSample, b: &ProcessSample, dt_ns: u64) -> Option<u64> {
    dt_ns.saturating_add(b.read_after_ns).checked_sub(a.read_after_ns).filter(|dt| *dt > 0)
}

/// Places of what is the same in two lists that ascend by id.
fn pairs<'s, T>(
    before: &'s [T],
    now: &'s [T],
    id: fn(&T) -> i32,
    same: fn(&T, &T) -> bool,
) -> impl Iterator<Item = (usize, usize)> + use<'s, T> {
    let mut older = before.iter().enumerate().peekable();
    now.iter().enumerate().filter_map(move |(at, new)| {
        while older.next_if(|(_, old)| id(old) < id(new)).is_some() {}
        older.next_if(|(_, old)| same(old, new)).map(|(was, _)| (was, at))
    })
}

pub(super) fn same_processes<'s>(before: &'s Snapshot, now: &'s Snapshot) -> impl Iterator<Item = (usize, usize)> + use<'s> {
    pairs(&before.processes, &now.processes, |p| p.key.pid, |a, b| a.key == b.key)
}

pub(super) fn same_tasks<'s>(before: &'s [TaskSample], now: &'s [TaskSample]) -> impl Iterator<Item = (usize, usize)> + use<'s> {
    pairs(before, now, |t| t.tid, |a, b| a.key() == b.key())
}

/// Rates side by side with processes or tasks. Those that rest share theirs.
pub type RateList = Arc<Vec<Arc<Rates>>>;

/// Rates of processes and of tasks.
pub(super) type OfAll<'a> = (&'a [Arc<Rates>], &'a [Arc<Rates>]);

/// Rates of resting processes and tasks differ only in what is unknown of them: there are few kinds.
#[derive(Default)]
struct Resting(Vec<Arc<Rates>>);

impl Resting {
    /// The most kinds that are compared with.
    const KINDS: usize = 8;

    fn share(&mut self, rates: Rates) -> Arc<Rates> {
        if let Some(same) = self.0.iter().find(|known| ***known == rates) {
            return Arc::clone(same);
        }
        let rates = Arc::new(rates);
        if self.0.len() < Self::KINDS {
            self.0.push(Arc::clone(&rates));
        }
        rates
    }
}

fn unknown(now: &Snapshot) -> (Vec<Arc<Rates>>, Vec<Arc<Rates>>) {
    let unknown = Arc::new(Rates::default());
    (vec![Arc::clone(&unknown); now.processes.len()], vec![unknown; now.tasks.len()])
}

/// Rates of all processes and tasks of `now`. Both snapshots are sorted by id, so one pass over each suffices.
pub(super) fn all(previous: Option<&Snapshot>, now: &Snapshot, dt_ns: Option<u64>) -> (RateList, RateList) {
    let (mut processes, mut tasks) = unknown(now);
    let (Some(before), Some(dt)) = (previous, dt_ns) else { return (Arc::new(processes), Arc::new(tasks)) };
    let (mut resting, mut resting_tasks) = (Resting::default(), Resting::default());
    for (was, at) in same_processes(before, now) {
        let (o, p) = (&before.processes[was], &now.processes[at]);
        let Some(dt) = between(o, p, dt) else { continue };
        processes[at] =
            if p.rested_since(o) && p.exact.is_none() { resting.share(of_resting(p)) } else { Arc::new(of_process(o, p, dt)) };
        let (older, newer) = (&before.tasks[slice(&o.tasks)], &now.tasks[slice(&p.tasks)]);
        let rates = &mut tasks[slice(&p.tasks)];
        for (was, at) in same_tasks(older, newer) {
            let (old, new) = (&older[was], &newer[at]);
            let found = of_task(old, new, dt);
            rates[at] = if old == new { resting_tasks.share(found) } else { Arc::new(found) };
        }
    }
    (Arc::new(processes), Arc::new(tasks))
}

/// The rates of `before`, as they stand for what is still there in `now`.
pub(super) fn carried(before: &Snapshot, (of_processes, of_tasks): OfAll<'_>, now: &Snapshot) -> (RateList, RateList) {
    let (mut processes, mut tasks) = unknown(now);
    for (was, at) in same_processes(before, now) {
        processes[at] = Arc::clone(&of_processes[was]);
        let (from, to) = (slice(&before.processes[was].tasks), slice(&now.processes[at].tasks));
        let (known, rates) = (&of_tasks[from.clone()], &mut tasks[to.clone()]);
        for (was, at) in same_tasks(&before.tasks[from], &now.tasks[to]) {
            rates[at] = Arc::clone(&known[was]);
        }
    }
    (Arc::new(processes), Arc::new(tasks))
}

fn slice(range: &std::ops::Range<u32>) -> std::ops::Range<usize> {
    range.start as usize..range.end as usize
}
