//! Which answer the figures of a lesson prove, and the sentence that says so.

use super::{Figures, Verdict};
use crate::lab::measure::Unit;
use crate::lab::report::show;

/// A speed-up from which two threads count as running at the same time on two CPUs.
const PARALLEL: f64 = 1.4;
/// A ratio within which two figures count as the same.
const ALIKE: f64 = 1.15;
/// Ready tasks without a CPU, on average, from which other processes may have decided a speed-up.
const DISTURBED: f64 = 0.3;

/// A ratio in words: `12x`, `1.4x`.
pub(super) fn times(ratio: f64) -> String {
    match ratio {
        r if r >= 9.95 => format!("{r:.0}x"),
        r if r >= 1.95 => format!("{r:.1}x"),
        r => format!("{r:.2}x"),
    }
}

fn time(ns: f64) -> String {
    show(ns, Unit::Ns)
}

fn size(bytes: f64) -> String {
    show(bytes, Unit::Bytes)
}

fn proven(answer: usize, sentence: String) -> Option<Verdict> {
    Some(Verdict { answer: Some(answer), sentence })
}

fn undecided(sentence: String) -> Option<Verdict> {
    Some(Verdict { answer: None, sentence })
}

/// `a, b and c`.
fn list(parts: &[&str]) -> String {
    match parts {
        [] => "nothing".to_owned(),
        [one] => (*one).to_owned(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

pub(super) fn states(figures: &Figures) -> Option<Verdict> {
    const NAMES: [(&str, &str); 3] = [("T ended", "the stopped process"), ("D ended", "the one in D"), ("Z ended", "the zombie")];
    let of = |name: &str| figures.get(name).map(|value| value > 0.0);
    let ended = [of(NAMES[0].0)?, of(NAMES[1].0)?, of(NAMES[2].0)?];
    let named = |wanted: bool| -> Vec<&str> {
        NAMES.iter().zip(ended).filter(|(_, ended)| *ended == wanted).map(|((_, name), _)| *name).collect()
    };
    let (gone, stays) = (named(true), named(false));
    let why =
        if stays == ["the zombie"] { ": it has ended already, and its entry stays until its parent waits for it" } else { "" };
    let sentence = format!("SIGKILL ended {}; {} stayed{why}.", list(&gone), list(&stays));
    match ended {
        [false, true, true] => proven(0, sentence),
        [true, false, true] => proven(1, sentence),
        [true, true, false] => proven(2, sentence),
        _ => undecided(sentence),
    }
}

pub(super) fn fork_exec(figures: &Figures) -> Option<Verdict> {
    let (forked, executed) = (figures.get("forked worker")?, figures.get("forked worker after exec")?);
    let (fork, exec) = (figures.get("processes, fork")?, figures.get("processes, exec")?);
    let pid_kept = (exec - fork).abs() < 0.5;
    let memory_kept = executed > forked / 2.0;
    let pid = if pid_kept { "No further process appeared: the PID stays" } else { "Further processes appeared" };
    let memory = if memory_kept { "and so does the memory" } else { "and the memory is a new program's" };
    let sentence = format!("{pid}, {memory} ({} after fork, {} after exec).", size(forked), size(executed));
    match (pid_kept, memory_kept) {
        (true, false) => proven(0, sentence),
        (_, true) => proven(1, sentence),
        (false, false) => proven(2, sentence),
    }
}

pub(super) fn parents(figures: &Figures) -> Option<Verdict> {
    const METHODS: [&str; 3] = ["fork", "spawn", "forkserver"];
    let mut strangers = Vec::new();
    let mut helpers = Vec::new();
    for (at, method) in METHODS.into_iter().enumerate() {
        if figures.get(&format!("{method}: children of the root"))? < 1.0 {
            strangers.push(at);
        }
        helpers.push(format!("{method} {:.0}", figures.get(&format!("{method}: helpers"))?));
    }
    let helpers = format!("Helper processes: {}.", helpers.join(", "));
    match strangers[..] {
        [one] => proven(one, format!("With {} another process is the workers' parent. {helpers}", METHODS[one])),
        [] => undecided(format!("All workers were seen as children of the root. {helpers}")),
        _ => undecided(format!("More than one start method has its workers below another process. {helpers}")),
    }
}

pub(super) fn big_parent(figures: &Figures) -> Option<Verdict> {
    const METHODS: [&str; 3] = ["fork", "spawn", "fork server"];
    const SAID: [&str; 3] = ["fork", "spawn", "the fork server"];
    let at = |method: &str, mb: &str| figures.get(&format!("{method}, {mb} MiB"));
    let big: Vec<f64> = METHODS.iter().map(|method| at(method, "1,000")).collect::<Option<_>>()?;
    let (best, _) = big.iter().enumerate().min_by(|a, b| a.1.total_cmp(b.1))?;
    let fork = [(0.0, at("fork", "0")?), (250.0, at("fork", "250")?), (1_000.0, big[0])];
    let mut sentence =
        format!("With 1,000 MiB, fork takes {}, spawn {}, the fork server {}", time(big[0]), time(big[1]), time(big[2]));
    if best == 0 {
        return proven(0, format!("{sentence}: fork is the fastest of the three here."));
    }
    let (small, large) = (at(METHODS[best], "0")?, big[best]);
    // Both curves are taken as straight between the sizes that ran.
    let rival = |mb: f64| small + (large - small) * mb / 1_000.0;
    let loses = fork.windows(2).find(|pair| pair[1].1 > rival(pair[1].0)).map(|pair| {
        let (a, b) = (pair[0].1 - rival(pair[0].0), pair[1].1 - rival(pair[1].0));
        if a >= 0.0 { pair[0].0 } else { pair[0].0 + (pair[1].0 - pair[0].0) * -a / (b - a).max(f64::MIN_POSITIVE) }
    });
    sentence += &match loses {
        Some(mb) if mb >= 1.0 => {
            format!(": from about {mb:.0} MiB on fork loses to {}, by {} in the end.", SAID[best], times(big[0] / large.max(1.0)))
        }
        _ => format!(": fork takes {} as long as {}.", times(big[0] / large.max(1.0)), SAID[best]),
    };
    proven(best, sentence)
}

pub(super) fn copy_on_write(figures: &Figures) -> Option<Verdict> {
    let (parent, idle, read) = (figures.get("parent")?, figures.get("idle child")?, figures.get("reads all objects")?);
    let share = |bytes: f64| bytes / parent.max(1.0);
    let mut sentence = format!("Reading copied {} of {}", size(read), size(parent));
    if let (Some(collected), Some(frozen)) = (figures.get("gc.collect()"), figures.get("gc.freeze() first")) {
        let why = if share(read) > 0.1 { ", because it writes reference counts" } else { "" };
        sentence += &format!("{why}; a collection copied {}, after gc.freeze() {}", size(collected), size(frozen));
    } else if let Some(written) = figures.get("writes all of it") {
        sentence += &format!("; writing copied {} (native code has no reference counts)", size(written));
    }
    sentence.push('.');
    match () {
        () if share(idle) > 0.5 => proven(2, format!("The fork alone copied {} of {}.", size(idle), size(parent))),
        () if share(read) > 0.1 => proven(1, sentence),
        () => proven(0, sentence),
    }
}

pub(super) fn tiny_tasks(figures: &Figures) -> Option<Verdict> {
    let all = [figures.get("loop")?, figures.get("10 threads")?, figures.get("10 processes")?];
    let (best, fastest) = all.iter().copied().enumerate().min_by(|a, b| a.1.total_cmp(&b.1))?;
    let names = ["the loop", "10 threads", "10 processes"];
    let ratio = |at: usize| times(all[at] / fastest.max(1.0));
    let others: Vec<String> = (0..3).filter(|at| *at != best).map(|at| format!("{} {}", names[at], ratio(at))).collect();
    let mut sentence = format!("{} took {}; {} as long", capital(names[best]), time(fastest), others.join(", "));
    // Ten tasks of t take 10 t in a loop, and the pool's own time with 10 t shared among the CPUs.
    let together = figures.cpus.clamp(1, 10) as f64;
    if best == 0 && together > 1.0 {
        let pays = (all[2] - all[0]).max(0.0) / (10.0 * (1.0 - 1.0 / together));
        sentence += &format!(": on {together:.0} CPUs a task must last about {} before processes pay", time(pays));
    }
    sentence.push('.');
    proven(best, sentence)
}

fn capital(words: &str) -> String {
    let mut letters = words.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

pub(super) fn killed_worker(figures: &Figures) -> Option<Verdict> {
    let (others, workers) = (figures.get("others ended")?, figures.get("workers")?);
    let (later, replaced) = (time(figures.get("later")?), figures.get("replaced")?);
    match () {
        () if replaced > 0.0 => proven(1, format!("The others went on, and {replaced:.0} new worker took its place.")),
        () if others + 1.5 > workers => proven(
            2,
            format!(
                "All {others:.0} others had ended {later} later: the executor breaks its pool, and no task is computed any more."
            ),
        ),
        () if others < 0.5 => proven(0, "The others went on; no new worker took the place of the killed one.".to_owned()),
        () => undecided(format!("{others:.0} of {:.0} others ended {later} later.", workers - 1.0)),
    }
}

pub(super) fn gil(figures: &Figures) -> Option<Verdict> {
    let (bytecode, hashing) = (figures.get("bytecode")?, figures.get("hashing in C")?);
    let free = figures.get("bytecode, no GIL").map_or_else(String::new, |x| format!(", without a GIL {}", times(x)));
    let sentence =
        format!("Two threads are {} as fast as one with bytecode{free}, {} with hashing", times(bytecode), times(hashing));
    let answer = match (bytecode >= PARALLEL, hashing >= PARALLEL) {
        (true, true) => 0,
        (false, true) => 1,
        (false, false) => 2,
        (true, false) => return undecided(format!("{sentence}: the hashing may have been disturbed; run it again.")),
    };
    let wanting = figures.get("wanting, hashing").unwrap_or(0.0);
    if answer == 2 && (wanting >= DISTURBED || figures.cpus < 2) {
        let why = if figures.cpus < 2 { "this machine has one CPU" } else { "other processes used the CPUs" };
        return undecided(format!("{sentence}; {why}, so this decides nothing."));
    }
    let why = ["", ": bytecode needs the GIL, hashing releases it", ""][answer];
    proven(answer, format!("{sentence}{why}."))
}

pub(super) fn sleep(figures: &Figures) -> Option<Verdict> {
    let (together, alone) = (figures.get("together")?, figures.get("one after the other")?);
    let sentence =
        format!("It took {}, and {} one after the other: a sleeping thread holds no lock", time(together), time(alone));
    match together / alone.max(1.0) {
        share if share < 0.625 => proven(0, format!("{sentence}.")),
        share if share < 0.875 => proven(1, format!("It took {}, of {} one after the other.", time(together), time(alone))),
        _ => proven(2, format!("It took {}: the sleeps did not overlap.", time(together))),
    }
}

pub(super) fn interpreters(figures: &Figures) -> Option<Verdict> {
    let (thread, interpreter, process) = (figures.get("thread")?, figures.get("interpreter")?, figures.get("process, spawn")?);
    let mut sentence = format!(
        "An interpreter takes {}: {} a thread ({}), {} a spawned process ({})",
        time(interpreter),
        times(interpreter / thread.max(1.0)),
        time(thread),
        times(interpreter / process.max(1.0)),
        time(process)
    );
    if let (Some(two), Some(one)) = (figures.get("pi with 2 interpreters"), figures.get("pi with 1 thread")) {
        sentence += &format!("; two of them compute pi {} as fast as one thread", times(one / two.max(1.0)));
    }
    sentence.push('.');
    match () {
        () if interpreter < 3.0 * thread => proven(0, sentence),
        () if interpreter > process => proven(2, sentence),
        () => proven(1, sentence),
    }
}

pub(super) fn thousand_waits(figures: &Figures) -> Option<Verdict> {
    let (task, thread) = (figures.get("memory of a task")?, figures.get("memory of a thread")?);
    let ratio = thread / task.max(1.0);
    let mut sentence = format!("A thread holds {}, a task {}", size(thread), size(task));
    if let (Some(task), Some(thread)) = (figures.get("creating a task"), figures.get("creating a thread")) {
        sentence += &format!("; creating one takes {} and {}", time(thread), time(task));
    }
    sentence.push('.');
    match ratio {
        r if r > 1.5 => proven(1, sentence),
        r if r < 1.0 / 1.5 => proven(0, sentence),
        _ => proven(2, sentence),
    }
}

pub(super) fn blocked_loop(figures: &Figures) -> Option<Verdict> {
    let (late, call) = (figures.get("tick, calls block")?, figures.get("call")?.max(1.0));
    let cured = figures.get("tick, calls in threads");
    let cure = cured.map_or_else(String::new, |ns| format!("; with the calls in threads, {}", time(ns)));
    let sentence = format!("The tick was up to {} late, with calls of {} each{cure}.", time(late), time(call));
    match late / call {
        calls if calls < 0.5 => proven(0, sentence),
        calls if calls < 2.0 => proven(1, sentence),
        _ => proven(2, sentence),
    }
}

pub(super) fn sockets(figures: &Figures) -> Option<Verdict> {
    const WAYS: [&str; 3] = ["blocking", "non-blocking", "selector"];
    let of = |what: &str| -> Option<Vec<f64>> { WAYS.iter().map(|way| figures.get(&format!("{what}, {way}"))).collect() };
    let (took, cpu) = (of("time")?, of("CPU")?);
    let fastest = took.iter().copied().fold(f64::INFINITY, f64::min);
    // Fast is what takes at most half as long again as the fastest; of those the least CPU wins.
    let best = (0..WAYS.len()).filter(|at| took[*at] <= fastest * 1.5).min_by(|a, b| cpu[*a].total_cmp(&cpu[*b]))?;
    let each: Vec<String> =
        (0..WAYS.len()).map(|at| format!("{} {} ({} of CPU)", WAYS[at], time(took[at]), time(cpu[at]))).collect();
    proven(best, format!("{}.", capital(&each.join(", "))))
}

pub(super) fn other_loop(figures: &Figures) -> Option<Verdict> {
    let (asyncio, uvloop) = (figures.get("CPU per request, asyncio")?, figures.get("CPU per request, uvloop")?);
    let sentence = format!("A request costs {} of CPU on asyncio and {} on uvloop", time(asyncio), time(uvloop));
    match asyncio / uvloop.max(1.0) {
        ratio if ratio > ALIKE => proven(1, format!("{sentence}: {} less.", times(ratio))),
        ratio if ratio < 1.0 / ALIKE => proven(2, format!("{sentence}: {} more.", times(1.0 / ratio))),
        _ => proven(0, format!("{sentence}: no significant difference.")),
    }
}

pub(super) fn your_work(figures: &Figures) -> Option<Verdict> {
    let (alone, processes) = (figures.get("loop")?, figures.get("processes")?);
    let threads = figures.get("threads")?;
    let loop_of_tasks = figures.get("event loop").unwrap_or(f64::INFINITY);
    let all = [(alone, "the plain loop"), (threads, "threads"), (loop_of_tasks, "the event loop"), (processes, "processes")];
    let (best, (fastest, name)) = all.iter().enumerate().min_by(|a, b| a.1.0.total_cmp(&b.1.0))?;
    let (_, next) = all.iter().enumerate().filter(|(at, _)| *at != best).min_by(|a, b| a.1.0.total_cmp(&b.1.0))?;
    let mut sentence =
        format!("{} took {}; next, {}, {} as long", capital(name), time(*fastest), next.1, times(next.0 / fastest.max(1.0)));
    let together = figures.cpus.max(1) as f64;
    if best == 0 && together > 1.0 && processes > alone {
        // The pool's own time is spent once; the work is shared among the CPUs.
        let needed = (processes - alone / together) / (1.0 - 1.0 / together);
        sentence += &format!(": processes win from about {} this work on", times(needed / alone.max(1.0)));
    }
    sentence.push('.');
    if next.0 < fastest * ALIKE && [best, all.iter().position(|a| a.1 == next.1)?].map(class).iter().any(|c| *c != class(best)) {
        return undecided(format!("{sentence} That is too close to call."));
    }
    proven(class(best), sentence)
}

/// The answer that a candidate belongs to.
fn class(candidate: usize) -> usize {
    [0, 1, 1, 2][candidate.min(3)]
}
