//! Totals per program, control group and user as OpenMetrics text: series whose number does not grow with the number of processes.
//!
//! Counters never fall while concmon runs: what ended processes had used stays in them. What a process uses between the last sweep and
//! its end is in none.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::time::Duration;

use prometheus_client::registry::Unit;

use crate::derive::Model;
use crate::snapshot::{ProcKey, ProcessSample, State, container_of};
use crate::text::{Charset, sanitize};

use super::openmetrics::{Family, Labels, encoded};

/// Most names of one kind that have series of their own; all others together have one.
const MOST_NAMES: usize = 200;
/// Stands for the names beyond.
const OTHERS: &str = "(others)";
/// Longest name, bytes.
const NAME_MOST: usize = 100;
const NS_PER_S: f64 = 1e9;

/// What processes are added up by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum By {
    Program,
    Group,
    User,
}

impl By {
    const ALL: [Self; 3] = [Self::Program, Self::Group, Self::User];

    /// Part of the names of families, and the label.
    fn id(self) -> &'static str {
        match self {
            Self::Program => "program",
            Self::Group => "group",
            Self::User => "user",
        }
    }

    /// For the help of families.
    fn words(self) -> &'static str {
        match self {
            Self::Program => "each program, by the name of its process",
            Self::Group => "each systemd unit or container",
            Self::User => "each user",
        }
    }

    /// The name that a process is counted under; `None` where it is not known.
    fn name(self, process: &ProcessSample) -> Option<String> {
        let name = match self {
            Self::Program => sanitize(process.leader.comm.as_bytes(), Charset::Unicode).into_owned(),
            Self::Group => group(process.identity.cgroup.as_deref()?),
            Self::User => sanitize(process.identity.user.as_deref()?.as_bytes(), Charset::Unicode).into_owned(),
        };
        let end = (0..=name.len().min(NAME_MOST)).rev().find(|at| name.is_char_boundary(*at)).unwrap_or(0);
        Some(name[..end].to_owned())
    }
}

/// The container or unit of a control group: its own path may be made up for each process.
fn group(path: &str) -> String {
    if let Some(container) = container_of(path) {
        return sanitize(container.words().as_bytes(), Charset::Unicode).into_owned();
    }
    let is_unit = |part: &&str| [".service", ".scope", ".slice"].iter().any(|end| part.ends_with(end));
    let unit = path.rsplit('/').find(is_unit).unwrap_or("/");
    sanitize(unit.as_bytes(), Charset::Unicode).into_owned()
}

/// Counters of one process when it was last seen.
#[derive(Debug, Clone, Copy, Default)]
struct Used {
    cpu_ns: Option<u64>,
    wait_ns: Option<u64>,
}

/// What has been added up under one name.
#[derive(Debug, Default)]
struct Total {
    cpu_ns: u64,
    wait_ns: u64,
    /// Whether a figure was ever read: without one there is no sample.
    cpu_known: bool,
    wait_known: bool,
    now: Now,
}

/// What is there at this moment; a sum is `None` where a part is unknown.
#[derive(Debug, Default)]
struct Now {
    states: BTreeMap<&'static str, u64>,
    threads: Option<u64>,
    rss: Option<u64>,
    pss: Option<u64>,
    findings: BTreeMap<&'static str, u64>,
}

/// One finding: its id, and the processes that it concerns.
#[derive(Debug, Clone)]
pub struct FoundIn {
    /// Id of its diagnosis.
    pub id: &'static str,
    /// Whether it is a warning.
    pub warning: bool,
    /// The processes; none if it is about the machine.
    pub processes: Vec<ProcKey>,
}

/// A diagnosis that findings are counted of, found or not.
#[derive(Debug, Clone, Copy)]
pub struct Kind {
    /// Its id.
    pub id: &'static str,
    /// Whether it is a warning.
    pub warning: bool,
}

/// Adds up sweep after sweep.
#[derive(Debug, Default)]
pub struct Totals {
    used: HashMap<ProcKey, Used>,
    named: HashMap<By, BTreeMap<String, Total>>,
    sweeps: u64,
    took: Duration,
}

impl Totals {
    /// Takes in a sweep that took so long: the processes of `model` at these places.
    pub fn step(&mut self, model: &Model, places: impl Iterator<Item = usize>, found: &[FoundIn], took: Duration) {
        self.sweeps += 1;
        self.took = took;
        for total in self.named.values_mut().flat_map(BTreeMap::values_mut) {
            total.now = Now::default();
        }
        let mut used = HashMap::new();
        for process in places.filter_map(|at| model.now.processes.get(at)) {
            let now = Used { cpu_ns: process.cpu_ns(), wait_ns: process.seen().and_then(|seen| seen.delay_ns) };
            let before = self.used.get(&process.key).copied().unwrap_or_default();
            // What had been counted of a process stays counted where this sweep could not read it.
            used.insert(process.key, Used { cpu_ns: now.cpu_ns.max(before.cpu_ns), wait_ns: now.wait_ns.max(before.wait_ns) });
            for by in By::ALL {
                let Some(name) = by.name(process) else { continue };
                let total = self.total(by, name);
                total.add(process, now, before, found);
            }
        }
        self.used = used;
    }

    /// The total of a name; names beyond the first so many share one.
    fn total(&mut self, by: By, name: String) -> &mut Total {
        let of = self.named.entry(by).or_default();
        let name = if of.contains_key(&name) || of.len() < MOST_NAMES { name } else { OTHERS.to_owned() };
        of.entry(name).or_default()
    }

    /// The families as OpenMetrics text. `kinds` are all findings that there could be.
    ///
    /// # Errors
    /// None that is known: the text is made in memory.
    pub fn text(&self, kinds: &[Kind], found: &[FoundIn]) -> io::Result<String> {
        let of_kind = |kind: &Kind| {
            let level = if kind.warning { "warning" } else { "information" };
            let labels = vec![("finding", kind.id.to_owned()), ("level", level.to_owned())];
            (labels, found.iter().filter(|f| f.id == kind.id).count() as f64)
        };
        let mut families = vec![
            Family {
                name: "sweeps".to_owned(),
                help: "Sweeps over the processes since concmon started".to_owned(),
                unit: None,
                counter: true,
                samples: vec![(Vec::new(), self.sweeps as f64)],
            },
            Family {
                name: "sweep_duration".to_owned(),
                help: "Time that the last sweep took".to_owned(),
                unit: Some(Unit::Seconds),
                counter: false,
                samples: vec![(Vec::new(), self.took.as_secs_f64())],
            },
            Family {
                name: "findings".to_owned(),
                help: "Findings of each kind; 0 where nothing was found".to_owned(),
                unit: None,
                counter: false,
                samples: kinds.iter().map(of_kind).collect(),
            },
        ];
        for by in By::ALL {
            let Some(named) = self.named.get(&by) else { continue };
            families.extend(SERIES.iter().map(|series| series.family(by, named)));
        }
        encoded(families)
    }
}

impl Total {
    fn add(&mut self, process: &ProcessSample, now: Used, before: Used, found: &[FoundIn]) {
        let grown = |now: Option<u64>, before: Option<u64>| now.map(|now| now.saturating_sub(before.unwrap_or(0)));
        if let Some(ns) = grown(now.cpu_ns, before.cpu_ns) {
            (self.cpu_ns, self.cpu_known) = (self.cpu_ns.saturating_add(ns), true);
        }
        if let Some(ns) = grown(now.wait_ns, before.wait_ns) {
            (self.wait_ns, self.wait_known) = (self.wait_ns.saturating_add(ns), true);
        }
        let first = self.now.states.is_empty();
        let sum = |so_far: Option<u64>, one: Option<u64>| if first { one } else { Some(so_far?.saturating_add(one?)) };
        // A process that is over holds no memory.
        let alive = |bytes: Option<u64>| if process.leader.state.is_over() { Some(0) } else { bytes };
        self.now.threads = sum(self.now.threads, process.nlwp.map(u64::from));
        self.now.rss = sum(self.now.rss, alive(process.rss_bytes));
        self.now.pss = sum(self.now.pss, alive(process.exact.as_ref().and_then(|exact| exact.pss_bytes)));
        *self.now.states.entry(state(process.leader.state)).or_default() += 1;
        for finding in found.iter().filter(|f| f.processes.contains(&process.key)) {
            *self.now.findings.entry(finding.id).or_default() += 1;
        }
    }
}

/// A word without spaces for each state.
fn state(state: State) -> &'static str {
    match state {
        State::RUNNING => "running",
        State::SLEEPING => "sleeping",
        State::DISK_SLEEP => "disk_sleep",
        State::STOPPED => "stopped",
        State::TRACED => "traced",
        State::ZOMBIE => "zombie",
        State::DEAD => "dead",
        State::PARKED => "parked",
        State::IDLE => "idle",
        _ => "unknown",
    }
}

impl Series {
    fn family(&self, by: By, named: &BTreeMap<String, Total>) -> Family {
        let of = |(label, total): (&String, &Total)| {
            let name = (by.id(), label.clone());
            let values = (self.values)(total).into_iter();
            let labelled = move |(more, value): (Option<(&'static str, &'static str)>, f64)| {
                ([name.clone()].into_iter().chain(more.map(|(name, value)| (name, value.to_owned()))).collect(), value)
            };
            values.map(labelled).collect::<Vec<(Labels, f64)>>()
        };
        Family {
            name: format!("{}_{}", by.id(), self.name),
            help: format!("{} of {}", self.help, by.words()),
            unit: self.unit.clone(),
            counter: self.counter,
            samples: named.iter().flat_map(of).collect(),
        }
    }
}

type Values = Vec<(Option<(&'static str, &'static str)>, f64)>;

/// A family that there is for programs, groups and users.
struct Series {
    name: &'static str,
    counter: bool,
    unit: Option<Unit>,
    help: &'static str,
    /// One sample for each label more; none where nothing is known.
    values: fn(&Total) -> Values,
}

fn one(value: Option<u64>) -> Values {
    value.map(|n| (None, n as f64)).into_iter().collect()
}

fn seconds(known: bool, ns: u64) -> Values {
    if known { vec![(None, ns as f64 / NS_PER_S)] } else { Vec::new() }
}

const SERIES: &[Series] = &[
    Series {
        name: "processes",
        counter: false,
        unit: None,
        help: "Processes in each state",
        values: |t| t.now.states.iter().map(|(state, n)| (Some(("state", *state)), *n as f64)).collect(),
    },
    Series { name: "threads", counter: false, unit: None, help: "Threads", values: |t| one(t.now.threads) },
    Series {
        name: "cpu",
        counter: true,
        unit: Some(Unit::Seconds),
        help: "CPU time, that of ended processes until they were last seen",
        values: |t| seconds(t.cpu_known, t.cpu_ns),
    },
    Series {
        name: "wait",
        counter: true,
        unit: Some(Unit::Seconds),
        help: "Time that threads were ready to run but waited for a CPU",
        values: |t| seconds(t.wait_known, t.wait_ns),
    },
    Series {
        name: "rss",
        counter: false,
        unit: Some(Unit::Bytes),
        help: "Resident memory, shared pages counted for each process",
        values: |t| one(t.now.rss),
    },
    Series {
        name: "pss",
        counter: false,
        unit: Some(Unit::Bytes),
        help: "Proportional memory, where that of all its processes is known",
        values: |t| one(t.now.pss),
    },
    Series {
        name: "findings",
        counter: false,
        unit: None,
        help: "Processes that a finding concerns",
        values: |t| t.now.findings.iter().map(|(id, n)| (Some(("finding", *id)), *n as f64)).collect(),
    },
];
