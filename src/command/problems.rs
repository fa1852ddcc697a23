//! `concmon problems`: deadlocks, waits that no task can end, and what the diagnoses find. The schema of its JSON is
//! `assets/report/problems.schema.json`.

use std::collections::HashSet;
use std::io::{self, Write};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::causes::{Problem, Scene, TaskId};
use crate::cli::{ProblemsArgs, exit};
use crate::config::Config;
use crate::derive::{Deriver, Model};
use crate::diagnose::{Finding, Level, Watch};
use crate::kernel::source::{Request, Source};
use crate::kernel::{AutoSource, reason};
use crate::query::Filter;
use crate::snapshot::Needs;
use crate::text::{Charset, sanitize};

use super::output::with_stdout;
use super::waits::{looked_json, task_json, write_json};
use super::{Failure, ps};
use crate::why::{Pythons, Surveyor, advice, in_python, name, since};

/// Names and versions the document.
const SCHEMA: &str = "concmon.problems/1";
/// The most tasks of one problem that the text lists.
const MOST_TASKS: usize = 8;
/// Looks that `--for` takes at least, unless something is found of the processes that were asked about.
const LEAST_LOOKS: usize = 3;
/// Time between two looks with `--for`: shorter spans say little of what threads do.
const BETWEEN: Duration = Duration::from_millis(1000);
/// Time to look on after the first finding of the processes that were asked about.
const SETTLE: Duration = Duration::from_secs(3);

/// What the looks found.
struct Found {
    scene: Scene,
    problems: Vec<Problem>,
    pythons: Pythons,
    /// What is no wait.
    findings: Vec<Finding>,
    taken_ns: u64,
    /// Whether it was looked at more than once.
    again: bool,
}

impl Found {
    /// Whether something is likely to be wrong.
    fn warns(&self) -> bool {
        !self.problems.is_empty() || self.findings.iter().any(|finding| finding.diagnosis.level == Level::Warning)
    }
}

/// Runs it.
pub(super) fn run(config: &Config, args: &ProblemsArgs) -> Result<(), Failure> {
    let filter = args.filter.as_deref().map(|text| {
        let parsed = Filter::parse_with(text, &config.saved_filters);
        parsed.map_err(|error| Failure::Usage(anyhow::anyhow!("filter: {}", error.pointed(text))))
    });
    let filter = filter.transpose()?;
    let begun = Instant::now();
    let mut looker = Looker::new(config, filter.as_ref())?;
    let mut found = looker.look()?;
    let mut looks = 1;
    let mut warned = None;
    // Of all processes, what one of them has for long must not hide what comes to another.
    let asked = filter.is_some();
    let mut over = |found: &Found| {
        // A chain of waits is proven; the first of the other findings may be the lesser one, so that others may follow it. A mere risk
        // is no answer yet.
        let wrong = |finding: &Finding| finding.diagnosis.level == Level::Warning && !finding.diagnosis.is_risk();
        warned = found.findings.iter().any(wrong).then(|| warned.unwrap_or_else(Instant::now));
        asked && (!found.problems.is_empty() || warned.is_some_and(|at: Instant| at.elapsed() >= SETTLE))
    };
    // What threads do is known from the second look on, however slow the machine is.
    while !over(&found) && args.duration.is_some_and(|duration| begun.elapsed() < duration || looks < LEAST_LOOKS) {
        std::thread::sleep(BETWEEN);
        found = looker.look()?;
        found.again = true;
        looks += 1;
    }
    with_stdout(|out| if args.json { write_json(out, &document(&found)) } else { write_text(out, &found) })?;
    if found.warns() { Err(Failure::Reported(exit::FAILED)) } else { Ok(()) }
}

/// Looks at the machine again and again.
struct Looker<'a> {
    surveyor: Surveyor,
    source: AutoSource,
    deriver: Deriver,
    watch: Watch,
    /// The processes that are asked about; all without a filter.
    matching: Option<ps::Matching<'a>>,
}

impl<'a> Looker<'a> {
    fn new(config: &'a Config, filter: Option<&'a Filter>) -> Result<Self, Failure> {
        let unavailable = |error| {
            let why = reason(&error);
            Failure::Unavailable(anyhow::anyhow!("the processes cannot be examined: {why}"))
        };
        Ok(Self {
            surveyor: Surveyor::new().map_err(unavailable)?,
            source: AutoSource::new("/proc", config.source).map_err(unavailable)?,
            // What ended since the last look must still be known: who created it, and how it ended.
            deriver: Deriver::new(1_000_000_000),
            watch: Watch::default(),
            matching: filter.map(|filter| ps::Matching::new(config, filter)).transpose()?,
        })
    }

    fn sample(&mut self) -> Result<Model, Failure> {
        let snapshot = self.source.sample(&Request::basic(Needs::empty()));
        let snapshot = snapshot.map_err(|error| Failure::Unavailable(anyhow::anyhow!("{}", reason(&error))))?;
        Ok(self.deriver.step(snapshot))
    }

    fn look(&mut self) -> Result<Found, Failure> {
        let survey = self.surveyor.survey();
        let survey = survey
            .map_err(|error| Failure::Unavailable(anyhow::anyhow!("the processes cannot be examined: {}", reason(&error))))?;
        let model = self.sample()?;
        let (scene, mut problems) = (survey.scene, survey.problems);
        let wanted = self.matching.as_mut().map(ps::Matching::pids).transpose()?;
        let is_wanted = |pid: i32| wanted.as_ref().is_none_or(|wanted| wanted.contains(&pid));
        let own = i32::try_from(std::process::id()).unwrap_or(0);
        let mut candidates = scene.processes.keys().filter(|pid| **pid != own && is_wanted(**pid)).peekable();
        if candidates.peek().is_some() && candidates.all(|pid| scene.unreadable.contains_key(pid)) {
            let why = "what these processes wait for can be read only by their owner and by root";
            return Err(Failure::Unavailable(anyhow::anyhow!("{why}; nothing was examined")));
        }
        problems.retain(|problem| problem.tasks.iter().chain(&problem.behind).any(|id| is_wanted(id.pid)));
        let mut findings = self.watch.step_with(&model, Some(&survey.facts));
        // What workers that were left wait for is no fault of theirs.
        let left = |pid: i32| {
            let key = scene.processes.get(&pid).map(|process| process.key);
            key.is_some_and(|key| findings.iter().any(|finding| finding.is_of_orphans() && finding.concerns(key)))
        };
        problems.retain(|problem| !problem.tasks.iter().all(|id| left(id.pid)));
        findings.retain(|finding| {
            let concerned = finding.others.iter().chain([&finding.about]).any(|key| is_wanted(key.pid));
            let in_view = wanted.is_none() || concerned;
            in_view && !finding.diagnosis.is_stuck() && finding.about.pid != own
        });
        Ok(Found { scene, problems, pythons: survey.pythons, findings, taken_ns: model.now.taken_ns, again: false })
    }
}

fn write_text(out: &mut impl Write, found: &Found) -> io::Result<()> {
    let Found { scene, problems, pythons, .. } = found;
    for problem in problems {
        writeln!(out, "{}", problem.cause.title())?;
        writeln!(out, "  {}", who(scene, &problem.tasks))?;
        for edge in problem.edges.iter().take(MOST_TASKS) {
            let (name, since, python) = (name(scene, edge.from), since(edge), in_python(pythons, edge.from));
            writeln!(out, "    {name}: {}{since}{python}", edge.evidence)?;
        }
        let more = problem.edges.len().saturating_sub(MOST_TASKS);
        if more > 0 {
            writeln!(out, "    and {more} more")?;
        }
        if problem.lost_waiters > 0 {
            writeln!(
                out,
                "  {} of the waiters that the semaphore counts are gone: killed while they waited",
                problem.lost_waiters
            )?;
        }
        if !problem.behind.is_empty() {
            writeln!(out, "  waiting for these: {}", who(scene, &problem.behind))?;
        }
        writeln!(out, "  {}\n", advice(problem, pythons))?;
    }
    for finding in &found.findings {
        let safe = |text: &str| sanitize(text.as_bytes(), Charset::Unicode).into_owned();
        let level = if finding.diagnosis.level == Level::Information { "For information: " } else { "" };
        writeln!(out, "{level}{}", finding.diagnosis.title)?;
        writeln!(out, "  {}", safe(&finding.evidence))?;
        for line in &finding.lines {
            writeln!(out, "    {}", safe(line))?;
        }
        writeln!(out, "  {}\n", safe(&finding.advice))?;
    }
    if !found.warns() {
        writeln!(out, "No problem was found in what was examined.")?;
    }
    write_looked(out, scene)?;
    if !found.again {
        writeln!(
            out,
            "Not examined: what takes time to see (zombies that stay, quotas, growth, busy threads, the GIL). Use --for 10 to look for it."
        )?;
    }
    Ok(())
}

fn write_looked(out: &mut impl Write, scene: &Scene) -> io::Result<()> {
    let tasks: usize = scene.processes.values().map(|p| p.tasks.len()).sum();
    let (processes, apart) = (scene.processes.len(), scene.apart_ms);
    writeln!(out, "Examined: the waits of {tasks} threads of {processes} processes, twice, {apart} ms apart.")?;
    if !scene.unreadable.is_empty() {
        writeln!(
            out,
            "Not examined: {}, whose waits only their owner and root may read. Run concmon as that user or as root to include them.",
            counted(scene.unreadable.len())
        )?;
    }
    if scene.silent > 0 {
        writeln!(out, "Not examined: {}: no answer within 500 ms.", counted(scene.silent))?;
    }
    writeln!(out, "Not followed: waits with a timeout, and waits for epoll, terminals and signals.")
}

fn counted(processes: usize) -> String {
    if processes == 1 { "1 process".to_owned() } else { format!("{processes} processes") }
}

/// `process 4140 python3 (3 threads), process 4150 sh`.
fn who(scene: &Scene, tasks: &[TaskId]) -> String {
    let mut pids: Vec<i32> = tasks.iter().map(|id| id.pid).collect();
    pids.dedup();
    let shown = pids.iter().take(MOST_TASKS).map(|pid| {
        let threads = tasks.iter().filter(|id| id.pid == *pid).count();
        let name = name(scene, TaskId { pid: *pid, tid: *pid });
        if threads == 1 { format!("process {name}") } else { format!("process {name} ({threads} threads)") }
    });
    let mut words = shown.collect::<Vec<_>>().join(", ");
    if pids.len() > MOST_TASKS {
        words += &format!(" and {} more", pids.len() - MOST_TASKS);
    }
    words
}

fn document(found: &Found) -> Value {
    let Found { scene, problems, pythons, .. } = found;
    let one = |problem: &Problem| {
        let pids: HashSet<i32> = problem.tasks.iter().map(|id| id.pid).collect();
        let mut pids: Vec<i32> = pids.into_iter().collect();
        pids.sort_unstable();
        let tasks: Vec<Value> = problem.edges.iter().map(|edge| task_json(scene, pythons, edge.from, Some(edge))).collect();
        let behind: Vec<Value> = problem.behind.iter().map(|id| json!({ "pid": id.pid, "tid": id.tid })).collect();
        json!({
            "cause": problem.cause.id(),
            "title": problem.cause.title(),
            "advice": advice(problem, pythons),
            "pids": pids,
            "tasks": tasks,
            "behind": behind,
            "lost_waiters": problem.lost_waiters,
        })
    };
    let finding = |finding: &Finding| {
        let pids: Vec<i32> = [finding.about.pid].into_iter().chain(finding.others.iter().map(|key| key.pid)).collect();
        json!({
            "id": finding.diagnosis.id,
            "level": if finding.diagnosis.level == Level::Warning { "warning" } else { "information" },
            "title": finding.diagnosis.title,
            "evidence": finding.evidence,
            "lines": finding.lines,
            "advice": finding.advice,
            // 0 stands for the machine.
            "pids": pids.into_iter().filter(|pid| *pid != 0).collect::<Vec<_>>(),
            "for_s": found.taken_ns.saturating_sub(finding.since_ns) as f64 / 1e9,
        })
    };
    json!({
        "schema": SCHEMA,
        "looked": looked_json(scene),
        "problems": problems.iter().map(one).collect::<Vec<_>>(),
        "findings": found.findings.iter().map(finding).collect::<Vec<_>>(),
    })
}
