//! The table of measures: what each is, in which unit, which direction is better, and how it is read off a point.

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

fn speed_up(sample: Sample<'_>) -> Option<f64> {
    ratio(sample.baseline?.wall_ns, sample.point.wall_ns)
}

use Better::{Higher, Lower};
use Unit::{Bytes, Count, Ns, PerSecond, Ratio};

const NOT_TOLD: &str = "the run did not get so far as to tell";
const NO_CREATION: &str = "it creates no workers";
const NOT_SEEN: &str = "nobody looked at it while it ran, or not all of it could be read";
const NO_BASELINE: &str = "there is no sequential run of the same work";
const NO_DELAY: &str = "some of its tasks ended before they could tell, or this kernel keeps no schedstat";

/// Why there is no memory of workers.
fn no_process(point: Option<&Point>) -> &'static str {
    match point {
        Some(point) if point.workers.is_empty() => "its workers have no memory of their own: they share that of one process",
        _ => "its worker processes were not looked at in time",
    }
}

/// Why nobody knows what was sent.
fn nothing_sent(point: Option<&Point>) -> &'static str {
    match point {
        Some(point) if point.workers.is_empty() => "nothing is sent: its workers share one memory",
        Some(_) => "some of its processes do not count it, or ended before they could tell",
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
    measure!("wall_ns", "wall", Ns, Lower, "from the first request for a worker to the end of the work", NOT_TOLD, |s, o| put(o, s.point.wall_ns)),
    measure!("creation_ns", "create", Ns, Lower, "from the request for a worker to its first own instruction, every worker a point", NO_CREATION, |s, o| o.extend(s.point.creation_ns.iter().map(|n| *n as f64))),
    measure!("cpu_ns", "cpu", Ns, Lower, "user and system CPU time of everything that the run waited for (wait4), from the creation of its first worker on: what the root took to start, to fill its memory and to give it back is left out", NOT_TOLD, |s, o| put(o, s.point.cpu_ns())),
    measure!("speed_up", "speed-up", Ratio, Higher, "wall time of the sequential run of the same round, divided by its own", NO_BASELINE, |s, o| o.extend(speed_up(s))),
    measure!("efficiency", "efficiency", Ratio, Higher, "speed-up per worker", NO_BASELINE, |s, o| o.extend(speed_up(s).map(|x| x / f64::from(s.spec.workers.max(1))))),
    measure!("worker_pss_bytes", "PSS/worker", Bytes, Lower, "proportional memory of each worker process, the largest of some looks", no_process(), |s, o| each(s, o, |m| m.pss_bytes)),
    measure!("worker_uss_bytes", "USS/worker", Bytes, Lower, "memory that each worker process shares with nobody, the largest of some looks", no_process(), |s, o| each(s, o, |m| m.uss_bytes)),
    measure!("worker_rss_bytes", "RSS/worker", Bytes, Lower, "resident memory of each worker process, the largest of some looks", no_process(), |s, o| each(s, o, |m| m.rss_bytes)),
    measure!("first_task_ns", "first task", Ns, Lower, "from the first request to the beginning of the first unit of work", NOT_TOLD, |s, o| put(o, s.point.first_task_ns)),
    measure!("throughput_per_s", "tasks/s", PerSecond, Higher, "units of work done per second of wall time", NOT_TOLD, |s, o| o.extend(ratio(Some(u64::from(s.point.tasks_done) * 1_000_000_000), s.point.wall_ns).filter(|_| s.point.tasks_done > 0))),
    measure!("teardown_ns", "teardown", Ns, Lower, "from the end of the work to the end of the last process", NOT_TOLD, |s, o| put(o, s.point.teardown_ns)),
    measure!("user_ns", "user", Ns, Lower, "user CPU time of the same", NOT_TOLD, |s, o| put(o, s.point.user_ns)),
    measure!("sys_ns", "system", Ns, Lower, "system CPU time of the same", NOT_TOLD, |s, o| put(o, s.point.sys_ns)),
    measure!("run_delay_ns", "waited", Ns, Lower, "time that root and workers were ready to run but waited for a CPU", NO_DELAY, |s, o| put(o, s.point.run_delay_ns)),
    measure!("voluntary_switches", "vol. sw.", Count, Lower, "context switches because a task had to wait for something", NOT_TOLD, |s, o| put(o, s.point.voluntary_switches)),
    measure!("involuntary_switches", "invol. sw.", Count, Lower, "context switches because somebody else was to run", NOT_TOLD, |s, o| put(o, s.point.involuntary_switches)),
    measure!("minor_faults", "faults", Count, Lower, "page faults that needed no disk", NOT_TOLD, |s, o| put(o, s.point.minor_faults)),
    measure!("major_faults", "maj. faults", Count, Lower, "page faults that needed the disk", NOT_TOLD, |s, o| put(o, s.point.major_faults)),
    measure!("family_pss_bytes", "PSS", Bytes, Lower, "proportional memory of the whole family, the largest of some looks", NOT_SEEN, |s, o| put(o, s.point.family.pss_bytes)),
    measure!("family_uss_bytes", "USS", Bytes, Lower, "sum of the unique memory of the family, the largest of some looks", NOT_SEEN, |s, o| put(o, s.point.family.uss_bytes)),
    measure!("family_rss_bytes", "RSS", Bytes, Lower, "sum of the resident memory of the family, shared pages counted again and again; the largest of some looks", NOT_SEEN, |s, o| put(o, s.point.family.rss_bytes)),
    measure!("cgroup_peak_bytes", "cgroup peak", Bytes, Lower, "most memory its control group has held, page cache included", "it had no control group with the memory controller", |s, o| put(o, s.point.cgroup_peak_bytes)),
    measure!("sent_bytes", "sent", Bytes, Lower, "bytes that root and worker processes wrote into pipes and sockets to each other: calls, results, and what a fresh interpreter is told", nothing_sent(), |s, o| put(o, s.point.sent_bytes)),
    measure!("protocol_ns", "telling", Ns, Lower, "CPU time that the workers spent on telling all this", "native workers note times in shared memory, which is not measured", |s, o| put(o, s.point.protocol_ns)),
    measure!("processes", "processes", Count, Lower, "processes of the run, its root among them", NOT_SEEN, |s, o| put(o, s.point.processes.map(u64::from))),
];

impl Measure {
    /// Why it is unknown for a program of the user's own: what a system of the lab does by itself, such a program only does if it says so
    /// with `concmon_lab`.
    #[must_use]
    pub fn unknown_of_own(&self) -> &'static str {
        match self.id {
            "creation_ns" | "worker_pss_bytes" | "worker_uss_bytes" | "worker_rss_bytes" => {
                "it told of no worker processes: a program of your own says with concmon_lab what its workers do"
            }
            "first_task_ns" | "throughput_per_s" => {
                "it told of no units of work: a program of your own says with concmon_lab what its workers do"
            }
            "run_delay_ns" => "its processes did not tell how long they waited; the lanes show what was seen of it",
            "sent_bytes" => {
                "nobody counts what a program of your own sends between its processes, unless it does so with concmon_lab"
            }
            "protocol_ns" => "it told nothing, so telling cost nothing",
            "speed_up" | "efficiency" => "there is no sequential run of a program of your own",
            "family_pss_bytes" | "family_uss_bytes" | "family_rss_bytes" | "processes" => {
                "it had ended before it was looked at, or could not be read"
            }
            "cgroup_peak_bytes" => "it had no control group with the memory controller",
            _ => "nobody saw how it ended",
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
