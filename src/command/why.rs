//! `concmon why PID`: the chain of waits of a process, to its end. The schema of its JSON is `assets/report/why.schema.json`.

use std::io::Write as _;

use serde_json::json;

use crate::cli::WhyArgs;
use crate::why::{Explanation, WhyError, explain};

use super::Failure;
use super::output::with_stdout;
use super::waits::{Looked, Task, scene, write_json};

/// Names and versions the document.
const SCHEMA: &str = "concmon.why/1";

/// Runs it.
pub(super) fn run(args: &WhyArgs) -> Result<(), Failure> {
    let scene = scene()?;
    let explanation = explain(&scene, args.pid).map_err(|error| match error {
        WhyError::Missing(_) => Failure::Failed(error.into()),
        WhyError::Unreadable(..) => Failure::Unavailable(error.into()),
    })?;
    with_stdout(|out| {
        if args.json {
            let Explanation { begin, verdict, end, steps, pythons } = &explanation;
            let all = steps.iter().filter(|step| !step.again);
            let links: Vec<Task> = all.map(|step| Task::new(&scene, pythons, step.task, step.edge.as_ref())).collect();
            let looked = Looked::new(&scene);
            let document = json!({
                "schema": SCHEMA, "pid": begin.pid, "tid": begin.tid, "verdict": verdict, "end": end, "looked": looked, "chain": links,
            });
            return write_json(out, &document);
        }
        explanation.lines(&scene).iter().try_for_each(|line| writeln!(out, "{line}"))
    })?;
    Ok(())
}
