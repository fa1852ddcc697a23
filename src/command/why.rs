//! `concmon why PID`: the chain of waits of a process, to its end. The schema of its JSON is `assets/report/why.schema.json`.

use std::io::{self, Write};

use serde_json::{Value, json};

use crate::causes::search::stuck;
use crate::causes::{Problem, Scene, Step, Target, TaskId, Wait, chain, problems};
use crate::cli::WhyArgs;

use super::Failure;
use super::output::with_stdout;
use super::waits::{Pythons, in_python, looked_json, may_rest, name, scene, since, task_json, write_json};

/// Names and versions the document.
const SCHEMA: &str = "concmon.why/1";

/// Runs it.
pub(super) fn run(args: &WhyArgs) -> Result<(), Failure> {
    let scene = scene()?;
    let begin = begin(&scene, args.pid).ok_or_else(|| {
        Failure::Failed(anyhow::anyhow!("there is no process or thread {}, or it is a kernel thread or a zombie", args.pid))
    })?;
    if let Some(Wait::Unknown(why)) = scene.task(begin).map(|task| &task.wait)
        && scene.unreadable.contains_key(&begin.pid)
    {
        return Err(Failure::Unavailable(anyhow::anyhow!("process {}: {why}", begin.pid)));
    }
    let steps = chain(&scene, begin);
    let pythons = Pythons::read(&scene, steps.iter().map(|step| step.task));
    let (mut verdict, mut end) = end(&scene, &steps);
    let held = |problem: &&Problem| problem.tasks.contains(&begin) || problem.behind.contains(&begin);
    if verdict == "stuck" && problems(&scene).iter().find(held).is_some_and(|problem| may_rest(problem, &pythons)) {
        verdict = "unknown";
        end =
            "No thread of this process can go on by itself. It may be a program at rest until a signal ends it, or a deadlock: \
               the owner is not recorded by this kind of lock."
                .to_owned();
    }
    with_stdout(|out| {
        if args.json {
            let all = steps.iter().filter(|step| !step.again);
            let links: Vec<Value> = all.map(|step| task_json(&scene, &pythons, step.task, step.edge.as_ref())).collect();
            let looked = looked_json(&scene);
            let document = json!({
                "schema": SCHEMA, "pid": begin.pid, "tid": begin.tid, "verdict": verdict, "end": end, "looked": looked, "chain": links,
            });
            return write_json(out, &document);
        }
        write_text(out, &scene, &pythons, &steps, &end)
    })?;
    Ok(())
}

/// The task that was asked for. Of a process, a thread that cannot go on comes before a main thread that can.
fn begin(scene: &Scene, number: i32) -> Option<TaskId> {
    if let Some(process) = scene.processes.get(&number) {
        let stuck = stuck(scene);
        let ids = || process.tasks.keys().map(|tid| TaskId { pid: number, tid: *tid });
        return ids()
            .find(|id| id.tid == number && stuck.contains_key(id))
            .or_else(|| ids().find(|id| stuck.contains_key(id)))
            .or_else(|| ids().next());
    }
    let (pid, _) = scene.processes.iter().find(|(_, process)| process.tasks.contains_key(&number))?;
    Some(TaskId { pid: *pid, tid: number })
}

/// What the end of the chain means: a word for JSON and a sentence.
fn end(scene: &Scene, steps: &[Step]) -> (&'static str, String) {
    let Some(last) = steps.last() else { return ("unknown", "Nothing was read.".into()) };
    let name = name(scene, last.task);
    if last.again {
        let cycle = if steps.len() == 2 { "waits for itself" } else { "is where the chain comes back to" };
        return ("stuck", format!("{name} {cycle}: a deadlock. No task in this chain runs."));
    }
    if let Some(edge) = &last.edge {
        return match edge.to {
            Target::Nobody => {
                ("stuck", format!("No task is left that could end the wait of {name}. No task in this chain runs."))
            }
            _ => ("unknown", format!("The task that {name} waits for has ended or is not known.")),
        };
    }
    match scene.task(last.task).map(|task| &task.wait) {
        Some(Wait::Open(what)) if steps.len() == 1 => ("can_go_on", format!("{name} is not held by another task: {what}.")),
        Some(Wait::Open(what)) => ("can_go_on", format!("{name} can go on: {what}.")),
        Some(Wait::Unknown(why)) => ("unknown", format!("What {name} waits for is not known: {why}.")),
        Some(Wait::Futex { .. }) => (
            "unknown",
            format!(
                "{name} waits for a lock without a timeout. Who can release it is not known: the owner is not recorded by this kind of lock, or a signal handler may release it."
            ),
        ),
        Some(Wait::PipeRead(_) | Wait::PipeWrite(_)) => {
            ("unknown", format!("{name} waits at a pipe. Some holders of its other end could not be seen."))
        }
        Some(Wait::FileLock(_)) => {
            ("unknown", format!("{name} waits for a file lock. The kernel names no single holder that is alive."))
        }
        Some(Wait::Child(_)) => ("unknown", format!("{name} waits for a child that is not listed.")),
        None => ("unknown", format!("{name} has ended.")),
    }
}

fn write_text(out: &mut impl Write, scene: &Scene, pythons: &Pythons, steps: &[Step], end: &str) -> io::Result<()> {
    for (depth, step) in steps.iter().enumerate() {
        let Some(edge) = &step.edge else { continue };
        let (name, since, python) = (name(scene, step.task), since(edge), in_python(pythons, step.task));
        let others = match step.alternatives {
            0 => String::new(),
            1 => "; 1 other process could end it too".to_owned(),
            n => format!("; {n} other processes could end it too"),
        };
        writeln!(out, "{:indent$}{name}: {}{since}{others}{python}", "", edge.evidence, indent = depth.min(20) * 2)?;
    }
    writeln!(out, "{end}")
}
