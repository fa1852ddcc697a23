//! The registry of measures: meaning, unit, better direction, and how each is read off a point.

use super::point::Point;
use crate::lab::catalog::RunSpec;
use crate::lab::run::Memory;

/// What a measure counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Nanoseconds.
    Ns,
    /// Bytes.
    Bytes,
    /// Things.
    Count,
    /// Units of work per second.
    PerSecond,
    /// A ratio: 1 is even.
    Ratio,
}

/// Which direction is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Better {
    /// Less.
    Lower,
    /// More.
    Higher,
}

/// One run with what it is judged by.
#[derive(Debug, Clone, Copy)]
pub struct Sample<'a> {
    /// The run.
    pub point: &'a Point,
    /// What it was to do.
    pub spec: &'a RunSpec,
    /// The sequential run of the same round.
    pub baseline: Option<&'a Point>,
}

/// One measure.
#[derive(Debug, Clone, Copy)]
pub struct Measure {
    /// Name, with the unit: the key in JSON and CSV, and what `--sort` takes (also without the unit).
    pub id: &'static str,
    /// Title of its column.
    pub title: &'static str,
    /// What it counts.
    pub unit: Unit,
    /// Which direction is better.
    pub better: Better,
    /// What it is, one sentence.
    pub about: &'static str,
    /// Why it is unknown for a kind of run, given the first of its runs that counts, if there is one.
    pub unknown: fn(Option<&Point>) -> &'static str,
    /// The values that one run gives: none, one, or one per worker.
    pub get: fn(Sample<'_>, &mut Vec<f64>),
}

#[expect(clippy::cast_precision_loss, reason = "2^53 ns are 104 days, 2^53 bytes 8 PB")]
fn put(out: &mut Vec<f64>, value: Option<u64>) {
    out.extend(value.map(|v| v as f64));
}

fn each(sample: Sample<'_>, out: &mut Vec<f64>, field: fn(&Memory) -> Option<u64>) {
    for memory in &sample.point.workers {
        put(out, field(memory));
    }
}

#[expect(clippy::cast_precision_loss, reason = "as above")]
fn ratio(over: Option<u64>, under: Option<u64>) -> Option<f64> {
    let (over, under) = (over?, under.filter(|n| *n > 0)?);
    Some(over as f64 / under as f64)
}

fn throughput(point: &Point) -> Option<f64> {
    let served = ratio(point.served_per_s, Some(1));
    let done = Some(u64::from(point.tasks_done)).filter(|n| *n > 0);
    served.or_else(|| ratio(Some(done? * 1_000_000_000), point.wall_ns))
}

fn speed_up(sample: Sample<'_>) -> Option<f64> {
    ratio(sample.baseline?.wall_ns, sample.point.wall_ns)
}

use Better::{Higher, Lower};
use Unit::{Bytes, Count, Ns, PerSecond, Ratio};

const NOT_TOLD: &str = "the run ended too early";
const NO_CREATION: &str = "the system creates no workers";
const NOT_SEEN: &str = "it was not sampled while it ran, or parts could not be read";
const NO_BASELINE: &str = "there is no sequential run of the same work";
const NO_DELAY: &str = "some tasks ended before they could report, or this kernel has no schedstat";

/// Why there is no memory of workers.
fn no_process(point: Option<&Point>) -> &'static str {
    match point {
        Some(point) if point.workers.is_empty() => "its workers share the memory of one process",
        _ => "its worker processes were not sampled in time",
    }
}

/// Why it is unknown what was sent.
fn nothing_sent(point: Option<&Point>) -> &'static str {
    match point {
        Some(point) if point.workers.is_empty() => "nothing is sent: its workers share one memory",
        Some(_) => "some of its processes do not count it, or ended before they could report",
        None => NOT_TOLD,
    }
}

macro_rules! measure {
    ($id:literal, $title:literal, $unit:expr, $better:expr, $about:literal, $unknown:ident(), $get:expr) => {
        Measure { id: $id, title: $title, unit: $unit, better: $better, about: $about, unknown: $unknown, get: $get }
    };
    ($id:literal, $title:literal, $unit:expr, $better:expr, $about:literal, $unknown:expr, $get:expr) => {
        Measure { id: $id, title: $title, unit: $unit, better: $better, about: $about, unknown: |_| $unknown, get: $get }
    };
}

/// Every measure, in the order of columns.
#[rustfmt::skip]
pub const MEASURES: &[Measure] = &[
    measure!("wall_ns", "wall", Ns, Lower, "from just before the first creation to the end of the last worker, without pauses for inspection", NOT_TOLD, |s, o| put(o, s.point.wall_ns)),
    measure!("creation_ns", "create", Ns, Lower, "from just before the call that creates a worker to its first own instruction; one value per worker", NO_CREATION, |s, o| o.extend(s.point.creation_ns.iter().map(|n| *n as f64))),
    measure!("cpu_ns", "cpu", Ns, Lower, "CPU time of the run within the wall time, without the start and end of its interpreter", NOT_TOLD, |s, o| put(o, s.point.cpu_ns())),
    measure!("speed_up", "speed-up", Ratio, Higher, "wall time of the sequential run of the same round, divided by the run's wall time", NO_BASELINE, |s, o| o.extend(speed_up(s))),
    measure!("efficiency", "efficiency", Ratio, Higher, "speed-up per worker", NO_BASELINE, |s, o| o.extend(speed_up(s).map(|x| x / f64::from(s.spec.workers.max(1))))),
    measure!("worker_pss_bytes", "PSS/worker", Bytes, Lower, "PSS of each worker process, largest of several samples", no_process(), |s, o| each(s, o, |m| m.pss_bytes)),
    measure!("worker_uss_bytes", "USS/worker", Bytes, Lower, "USS of each worker process, largest of several samples", no_process(), |s, o| each(s, o, |m| m.uss_bytes)),
    measure!("worker_rss_bytes", "RSS/worker", Bytes, Lower, "RSS of each worker process, largest of several samples", no_process(), |s, o| each(s, o, |m| m.rss_bytes)),
    measure!("first_task_ns", "first task", Ns, Lower, "time from the first request for a worker to the start of the first task", NOT_TOLD, |s, o| put(o, s.point.first_task_ns)),
    measure!("all_ready_ns", "all ready", Ns, Lower, "from the beginning of the wall time to the first own instruction of the last worker that was created", NO_CREATION, |s, o| put(o, s.point.all_ready_ns)),
    measure!("throughput_per_s", "tasks/s", PerSecond, Higher, "tasks done per second of wall time; of a service, requests or calls per second as its clients see them", NOT_TOLD, |s, o| o.extend(throughput(s.point))),
    measure!("teardown_ns", "teardown", Ns, Lower, "time from the end of the work to the end of the last process", NOT_TOLD, |s, o| put(o, s.point.teardown_ns)),
    measure!("root_start_ns", "root start", Ns, Lower, "from the fork of the root to its own code; no part of the wall time", NOT_TOLD, |s, o| put(o, s.point.root_start_ns)),
    measure!("root_end_ns", "root end", Ns, Lower, "from the last own instruction of the root to its end; no part of the wall time", "the root did not report its last instruction", |s, o| put(o, s.point.root_end_ns)),
    measure!("user_ns", "user", Ns, Lower, "user part of the CPU time", NOT_TOLD, |s, o| put(o, s.point.user_ns)),
    measure!("sys_ns", "system", Ns, Lower, "system part of the CPU time", NOT_TOLD, |s, o| put(o, s.point.sys_ns)),
    measure!("run_delay_ns", "waited", Ns, Lower, "run-queue delay of root and workers: time ready to run, but waiting for a CPU", NO_DELAY, |s, o| put(o, s.point.run_delay_ns)),
    measure!("voluntary_switches", "vol. sw.", Count, Lower, "voluntary context switches: the task blocked", NOT_TOLD, |s, o| put(o, s.point.voluntary_switches)),
    measure!("involuntary_switches", "invol. sw.", Count, Lower, "involuntary context switches: the task was preempted", NOT_TOLD, |s, o| put(o, s.point.involuntary_switches)),
    measure!("minor_faults", "faults", Count, Lower, "minor page faults, without storage access", NOT_TOLD, |s, o| put(o, s.point.minor_faults)),
    measure!("major_faults", "maj. faults", Count, Lower, "major page faults, with storage access", NOT_TOLD, |s, o| put(o, s.point.major_faults)),
    measure!("family_pss_bytes", "PSS", Bytes, Lower, "PSS of the whole family, largest of several samples", NOT_SEEN, |s, o| put(o, s.point.family.pss_bytes)),
    measure!("family_uss_bytes", "USS", Bytes, Lower, "USS of the family, added up, largest of several samples", NOT_SEEN, |s, o| put(o, s.point.family.uss_bytes)),
    measure!("family_rss_bytes", "RSS", Bytes, Lower, "RSS of the family, added up, so shared pages count repeatedly; largest of several samples", NOT_SEEN, |s, o| put(o, s.point.family.rss_bytes)),
    measure!("cgroup_peak_bytes", "cgroup peak", Bytes, Lower, "peak memory of the run's control group, including page cache", "it had no control group with the memory controller", |s, o| put(o, s.point.cgroup_peak_bytes)),
    measure!("sent_bytes", "sent", Bytes, Lower, "bytes sent between root and workers through pipes and sockets: calls, results, set-up of interpreters", nothing_sent(), |s, o| put(o, s.point.sent_bytes)),
    measure!("protocol_ns", "reporting", Ns, Lower, "CPU time within the run that went into reporting: the marks, and writing them when a worker has finished", "native workers report through shared memory, which is not measured", |s, o| put(o, s.point.protocol_ns)),
    measure!("processes", "processes", Count, Lower, "processes of the run, including its root", NOT_SEEN, |s, o| put(o, s.point.processes.map(u64::from))),
];

impl Measure {
    /// Why it is unknown for a run of `spec`, given the first of its runs that counts, if there is one.
    #[must_use]
    pub fn why_unknown(&self, spec: &RunSpec, point: Option<&Point>) -> &'static str {
        if spec.is_own() { self.unknown_of_own() } else { (self.unknown)(point) }
    }

    /// Why it is unknown for a program of the user's own: what a system of the lab does by itself, such a program only does if it says so
    /// with `concmon_lab`.
    #[must_use]
    pub fn unknown_of_own(&self) -> &'static str {
        match self.id {
            "creation_ns" | "worker_pss_bytes" | "worker_uss_bytes" | "worker_rss_bytes" => {
                "no worker processes were reported; your program can report them with concmon_lab"
            }
            "first_task_ns" | "throughput_per_s" => "no tasks were reported; your program can report them with concmon_lab",
            "run_delay_ns" => "its processes did not report it; the timeline of a single run shows the sampled part",
            "sent_bytes" => "not counted; your program can report it with concmon_lab",
            "protocol_ns" => "the program reported nothing",
            "root_start_ns" | "root_end_ns" | "all_ready_ns" => "it did not report when its own code began and ended",
            "speed_up" | "efficiency" => "there is no sequential run of your program",
            "family_pss_bytes" | "family_uss_bytes" | "family_rss_bytes" | "processes" => {
                "it ended before it was sampled, or could not be read"
            }
            "cgroup_peak_bytes" => "it had no control group with the memory controller",
            _ => "its exit status is unknown",
        }
    }
}

/// The measure with this name; the unit may be left out (`wall`, `worker_pss`).
#[must_use]
pub fn measure(name: &str) -> Option<&'static Measure> {
    let name = name.replace('-', "_");
    let short = |id: &'static str| ["_ns", "_bytes", "_per_s"].iter().find_map(|unit| id.strip_suffix(unit)).unwrap_or(id);
    MEASURES.iter().find(|m| m.id == name || short(m.id) == name)
}
