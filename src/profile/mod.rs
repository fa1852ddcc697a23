//! Where the time of a family of processes goes: functions of its Pythons, and what its tasks wait for, by repeated readings from outside.
//!
//! [`sampler`] reads, [`Profile`] sums up, [`text`], [`flame`] and [`files`] show. The processes are never stopped: a stack that changed
//! while it was read is counted as torn and left out.

pub mod files;
pub mod flame;
pub mod sampler;
pub mod text;

use std::collections::HashMap;
use std::sync::Arc;

/// The most nodes of the tree of stacks: what comes after is put into the nearest node that is there.
const MOST_NODES: usize = 200_000;

/// Which time is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// All time of every task, waits included.
    #[default]
    Wall,
    /// Time on a CPU, exact for each task; to which functions it belongs is sampled.
    Cpu,
    /// Time in which a thread held its interpreter's GIL.
    Gil,
}

impl Mode {
    /// In words, behind "by".
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Wall => "wall time",
            Self::Cpu => "CPU time",
            Self::Gil => "time holding the GIL",
        }
    }

    /// The name in files.
    #[must_use]
    pub fn id(self) -> &'static str {
        match self {
            Self::Wall => "wall",
            Self::Cpu => "cpu",
            Self::Gil => "gil",
        }
    }
}

/// What a level of a stack is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Place {
    /// A process or a thread, by number and name.
    Task(Arc<str>),
    /// A function of Python.
    Function {
        /// Its qualified name.
        function: Arc<str>,
        /// Its file.
        file: Arc<str>,
        /// The line that it executes.
        line: Option<u32>,
        /// Whether it is the user's own code.
        own: bool,
    },
    /// What a program that is no Python does, as far as the kernel says: its name.
    Program(Arc<str>),
    /// What the task waits for; always innermost.
    Wait(Arc<str>),
}

impl Place {
    /// One line of text.
    #[must_use]
    pub fn label(&self) -> String {
        match self {
            Self::Task(name) | Self::Program(name) => name.to_string(),
            Self::Function { function, file, line, .. } => {
                let line = line.map_or(String::new(), |line| format!(":{line}"));
                format!("{function} ({file}{line})")
            }
            Self::Wait(reason) => format!("[{reason}]"),
        }
    }
}

/// A level of a stack below another one.
#[derive(Debug, Clone)]
pub struct Node {
    /// Its place in [`Profile::places`].
    pub place: usize,
    /// The node above it in [`Profile::nodes`]; the root is its own.
    pub parent: usize,
    /// Nanoseconds that ended here, without those below.
    pub self_ns: u64,
}

/// How the sampling went.
#[derive(Debug, Clone, Default)]
pub struct Account {
    /// How long it took, nanoseconds.
    pub wall_ns: u64,
    /// Looks per second that were asked for.
    pub rate_hz: f64,
    /// Looks at the whole family.
    pub looks: u64,
    /// Looks that were left out because the one before took too long.
    pub missed: u64,
    /// Tasks seen, summed over all looks.
    pub samples: u64,
    /// Of these, those whose stack changed during each reading.
    pub torn: u64,
    /// Of these, those of which no wait reason or stack could be read.
    pub unknown: u64,
    /// CPU time that the sampling took, nanoseconds.
    pub cost_ns: u64,
    /// Processes that were seen.
    pub processes: usize,
    /// How many of these were Python.
    pub pythons: usize,
    /// Tasks that were seen.
    pub tasks: usize,
    /// What could not be read, in sentences.
    pub notes: Vec<String>,
}

/// A tree of stacks with their times.
#[derive(Debug, Clone)]
pub struct Profile {
    /// Which time it has.
    pub mode: Mode,
    /// How it was made.
    pub account: Account,
    /// What nodes are, each once.
    pub places: Vec<Place>,
    /// The first is the root.
    pub nodes: Vec<Node>,
    place_of: HashMap<Place, usize>,
    node_of: HashMap<(usize, usize), usize>,
}

impl Profile {
    /// Without any time.
    #[must_use]
    pub fn new(mode: Mode) -> Self {
        let root = Place::Task("all".into());
        Self {
            mode,
            account: Account::default(),
            place_of: HashMap::from([(root.clone(), 0)]),
            places: vec![root],
            nodes: vec![Node { place: 0, parent: 0, self_ns: 0 }],
            node_of: HashMap::new(),
        }
    }

    /// Adds time to a stack, outermost first.
    pub fn add(&mut self, stack: &[Place], ns: u64) {
        let mut node = 0;
        for place in stack {
            let place = match self.place_of.get(place) {
                Some(known) => *known,
                None => {
                    self.places.push(place.clone());
                    self.place_of.insert(place.clone(), self.places.len() - 1);
                    self.places.len() - 1
                }
            };
            node = match self.node_of.get(&(node, place)) {
                Some(known) => *known,
                None if self.nodes.len() >= MOST_NODES => break,
                None => {
                    self.nodes.push(Node { place, parent: node, self_ns: 0 });
                    self.node_of.insert((node, place), self.nodes.len() - 1);
                    self.nodes.len() - 1
                }
            };
        }
        self.nodes[node].self_ns += ns;
    }

    /// All time, nanoseconds.
    #[must_use]
    pub fn total_ns(&self) -> u64 {
        self.nodes.iter().map(|node| node.self_ns).sum()
    }

    /// The places from the outermost to that node's, without the root.
    #[must_use]
    pub fn stack(&self, mut node: usize) -> Vec<&Place> {
        let mut stack = Vec::new();
        while node != 0 {
            stack.push(&self.places[self.nodes[node].place]);
            node = self.nodes[node].parent;
        }
        stack.reverse();
        stack
    }

    /// The functions with their times, those with the most of their own first.
    #[must_use]
    pub fn functions(&self) -> Vec<FunctionTime> {
        // By function and file: the times, and those of each line.
        type Times = HashMap<(Arc<str>, Arc<str>), (FunctionTime, HashMap<u32, u64>)>;
        let mut times = Times::new();
        for (at, node) in self.nodes.iter().enumerate().filter(|(_, node)| node.self_ns > 0) {
            let mut seen = Vec::new();
            for place in self.stack(at).into_iter().rev() {
                let Place::Function { function, file, line, own } = place else { continue };
                let key = (Arc::clone(function), Arc::clone(file));
                if seen.contains(&key) {
                    continue;
                }
                let (time, lines) = times.entry(key.clone()).or_insert_with(|| {
                    let (function, file) = key.clone();
                    (FunctionTime { function, file, own: *own, line: None, self_ns: 0, total_ns: 0 }, HashMap::new())
                });
                time.total_ns += node.self_ns;
                if seen.is_empty() {
                    time.self_ns += node.self_ns;
                }
                if let Some(line) = line {
                    *lines.entry(*line).or_default() += node.self_ns;
                }
                seen.push(key);
            }
        }
        let mut times: Vec<FunctionTime> = times
            .into_values()
            .map(|(time, lines)| {
                let line = lines.into_iter().max_by_key(|(line, ns)| (*ns, std::cmp::Reverse(*line))).map(|(line, _)| line);
                FunctionTime { line, ..time }
            })
            .collect();
        times.sort_by(|a, b| {
            (b.self_ns, b.total_ns)
                .cmp(&(a.self_ns, a.total_ns))
                .then_with(|| (&a.function, &a.file).cmp(&(&b.function, &b.file)))
        });
        times
    }

    /// What is waited for, and in which function of the user's own code; the longest first. Without a reason: on a CPU, or ready for one.
    #[must_use]
    pub fn waits(&self) -> Vec<WaitTime> {
        let mut times: HashMap<(Option<Arc<str>>, Option<usize>), u64> = HashMap::new();
        for (at, node) in self.nodes.iter().enumerate().filter(|(_, node)| node.self_ns > 0) {
            let reason = match &self.places[node.place] {
                Place::Wait(reason) => Some(Arc::clone(reason)),
                _ => None,
            };
            let mut place = None;
            let mut next = at;
            while next != 0 {
                match &self.places[self.nodes[next].place] {
                    Place::Function { own: true, .. } => {
                        place = Some(self.nodes[next].place);
                        break;
                    }
                    Place::Function { .. } | Place::Program(_) => place = place.or(Some(self.nodes[next].place)),
                    _ => {}
                }
                next = self.nodes[next].parent;
            }
            let place = place.filter(|_| reason.is_some());
            *times.entry((reason, place)).or_default() += node.self_ns;
        }
        let mut waits: Vec<WaitTime> = times
            .into_iter()
            .map(|((reason, place), ns)| WaitTime { reason, place: place.map(|place| self.places[place].clone()), ns })
            .collect();
        waits.sort_by(|a, b| {
            b.ns.cmp(&a.ns).then_with(|| b.reason.is_some().cmp(&a.reason.is_some())).then_with(|| a.reason.cmp(&b.reason))
        });
        waits
    }
}

/// A function and its time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FunctionTime {
    /// Its qualified name.
    pub function: Arc<str>,
    /// Its file.
    pub file: Arc<str>,
    /// Whether it is the user's own code.
    pub own: bool,
    /// The line with the most time.
    pub line: Option<u32>,
    /// Nanoseconds in which it was the innermost function.
    pub self_ns: u64,
    /// Nanoseconds in which it was executed, what it called included.
    pub total_ns: u64,
}

/// Time spent waiting for one thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaitTime {
    /// What is waited for; `None` on a CPU or ready for one.
    pub reason: Option<Arc<str>>,
    /// The innermost function of the user's own code, else the innermost function.
    pub place: Option<Place>,
    /// Nanoseconds.
    pub ns: u64,
}

/// A part of all, percent.
#[must_use]
pub fn percent(part: u64, all: u64) -> f64 {
    if all == 0 { 0.0 } else { part as f64 * 100.0 / all as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn function(name: &str, line: u32) -> Place {
        Place::Function { function: name.into(), file: "/srv/app.py".into(), line: Some(line), own: true }
    }

    #[test]
    fn time_is_summed_by_function_and_recursion_counts_once() {
        let mut profile = Profile::new(Mode::Wall);
        profile.add(&[function("main", 1), function("fib", 5), function("fib", 6)], 30);
        profile.add(&[function("main", 1), function("fib", 5), Place::Wait("nanosleep".into())], 50);
        profile.add(&[function("main", 2)], 20);
        let functions = profile.functions();
        let brief: Vec<_> = functions.iter().map(|f| (&*f.function, f.self_ns, f.total_ns, f.line)).collect();
        assert_eq!(brief, [("fib", 80, 80, Some(5)), ("main", 20, 100, Some(1))]);
        assert_eq!(profile.total_ns(), 100);
        let waits = profile.waits();
        assert_eq!(
            waits.iter().map(|wait| (wait.reason.as_deref(), wait.ns)).collect::<Vec<_>>(),
            [(Some("nanosleep"), 50), (None, 50)]
        );
        assert_eq!(waits[0].place, Some(function("fib", 5)));
    }

    #[test]
    fn a_tree_that_is_full_puts_time_into_the_nearest_node() {
        let mut profile = Profile::new(Mode::Wall);
        for n in 0..MOST_NODES as u32 + 100 {
            profile.add(&[function("main", 1), function("leaf", n)], 1);
        }
        assert_eq!(profile.nodes.len(), MOST_NODES);
        assert_eq!(profile.total_ns(), MOST_NODES as u64 + 100);
    }
}
