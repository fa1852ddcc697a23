//! `concmon problems`: deadlocks and waits that no task can end. The schema of its JSON is `assets/report/problems.schema.json`.

use std::collections::HashSet;
use std::io::{self, Write};
use std::time::Instant;

use serde_json::{Value, json};

use crate::causes::{Problem, Scene, TaskId, problems};
use crate::cli::{ProblemsArgs, exit};
use crate::config::Config;
use crate::query::Filter;

use super::output::with_stdout;
use super::waits::{looked_json, scene, task_json, write_json};
use super::{Failure, ps};
use crate::why::{Pythons, in_python, may_rest, name, since};

/// Names and versions the document.
const SCHEMA: &str = "concmon.problems/1";
/// The most tasks of one problem that the text lists.
const MOST_TASKS: usize = 8;

/// What one look found.
struct Found {
    scene: Scene,
    problems: Vec<Problem>,
    pythons: Pythons,
}

/// Runs it.
pub(super) fn run(config: &Config, args: &ProblemsArgs) -> Result<(), Failure> {
    let filter = args.filter.as_deref().map(|text| {
        let parsed = Filter::parse_with(text, &config.saved_filters);
        parsed.map_err(|error| Failure::Usage(anyhow::anyhow!("filter: {}", error.pointed(text))))
    });
    let filter = filter.transpose()?;
    let begun = Instant::now();
    let found = loop {
        let found = look(config, filter.as_ref())?;
        if !found.problems.is_empty() || args.duration.is_none_or(|duration| begun.elapsed() >= duration) {
            break found;
        }
    };
    with_stdout(|out| if args.json { write_json(out, &document(&found)) } else { write_text(out, &found) })?;
    if found.problems.is_empty() { Ok(()) } else { Err(Failure::Reported(exit::FAILED)) }
}

fn look(config: &Config, filter: Option<&Filter>) -> Result<Found, Failure> {
    let scene = scene()?;
    let wanted = filter.map(|filter| ps::matching(config, filter)).transpose()?;
    let is_wanted = |pid: i32| wanted.as_ref().is_none_or(|wanted| wanted.contains(&pid));
    let own = i32::try_from(std::process::id()).unwrap_or(0);
    let mut candidates = scene.processes.keys().filter(|pid| **pid != own && is_wanted(**pid)).peekable();
    if candidates.peek().is_some() && candidates.all(|pid| scene.unreadable.contains_key(pid)) {
        let why = "what these processes wait for can be read only by their owner and by root";
        return Err(Failure::Unavailable(anyhow::anyhow!("{why}; nothing was examined")));
    }
    let mut problems = problems(&scene);
    problems.retain(|problem| problem.tasks.iter().chain(&problem.behind).any(|id| is_wanted(id.pid)));
    let pythons = Pythons::read(&scene, problems.iter().flat_map(|problem| problem.tasks.iter().copied()));
    problems.retain(|problem| !may_rest(problem, &pythons));
    Ok(Found { scene, problems, pythons })
}

fn write_text(out: &mut impl Write, found: &Found) -> io::Result<()> {
    let Found { scene, problems, pythons } = found;
    for (number, problem) in problems.iter().enumerate() {
        if number > 0 {
            writeln!(out)?;
        }
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
        writeln!(out, "  {}", problem.cause.advice())?;
    }
    if problems.is_empty() {
        writeln!(out, "No deadlock, abandoned lock or blocked pipe was found.")?;
    } else {
        writeln!(out)?;
    }
    write_looked(out, scene)
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
    writeln!(out, "Not followed: waits with a timeout, and waits for sockets, epoll, terminals and signals.")
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
    let Found { scene, problems, pythons } = found;
    let one = |problem: &Problem| {
        let pids: HashSet<i32> = problem.tasks.iter().map(|id| id.pid).collect();
        let mut pids: Vec<i32> = pids.into_iter().collect();
        pids.sort_unstable();
        let tasks: Vec<Value> = problem.edges.iter().map(|edge| task_json(scene, pythons, edge.from, Some(edge))).collect();
        let behind: Vec<Value> = problem.behind.iter().map(|id| json!({ "pid": id.pid, "tid": id.tid })).collect();
        json!({
            "cause": problem.cause.id(),
            "title": problem.cause.title(),
            "advice": problem.cause.advice(),
            "pids": pids,
            "tasks": tasks,
            "behind": behind,
            "lost_waiters": problem.lost_waiters,
        })
    };
    json!({ "schema": SCHEMA, "looked": looked_json(scene), "problems": problems.iter().map(one).collect::<Vec<_>>() })
}
