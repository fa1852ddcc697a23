//! `concmon inspect EXPR`: the Python of all processes that match, equal stacks folded. The schema of its JSON is
//! `assets/report/inspect-family.schema.json`.

use std::io::Write as _;

use serde_json::{Value, json};

use crate::cli::InspectArgs;
use crate::config::Config;
use crate::inspect::family::{SameStack, same_stacks};
use crate::kernel::readers::within;
use crate::kernel::{DetailReader, reason};
use crate::query::Filter;
use crate::snapshot::{DetailContent, PythonFrame, PythonRuntime};
use crate::text::{Charset, sanitize_str};

use super::inspect::{self, PATIENCE, frame};
use super::output::with_stdout;
use super::profile::{Family, family};
use super::waits::write_json;
use super::{Failure, ps};

/// Names and versions the document.
const SCHEMA: &str = "concmon.inspect-family/1";
/// The most stacks that are printed, and frames of each.
const MOST_STACKS: usize = 40;
const MOST_FRAMES: usize = 12;

/// What was read of the family.
struct Read {
    runtimes: Vec<(i32, PythonRuntime)>,
    unread: Vec<(i32, String)>,
}

/// Runs it: for a number, all that is known of that process.
pub(super) fn run(config: &Config, args: &InspectArgs) -> Result<(), Failure> {
    match family(config, &args.target)? {
        Family::Process(pid) => inspect::one(config, args, pid),
        Family::Matching(filter) => all(config, args, &filter),
    }
}

fn all(config: &Config, args: &InspectArgs, filter: &Filter) -> Result<(), Failure> {
    let mut pids: Vec<i32> = ps::Matching::new(config, filter)?.pids()?.into_iter().collect();
    pids.sort_unstable();
    if pids.is_empty() {
        return Err(Failure::Failed(anyhow::anyhow!("no process matches {:?}", args.target)));
    }
    let read = read(&pids)?;
    if read.runtimes.is_empty() {
        let why = read.unread.first().map_or(String::new(), |(pid, why)| format!("; process {pid}: {why}"));
        return Err(Failure::Unavailable(anyhow::anyhow!("none of {} matching processes could be read{why}", pids.len())));
    }
    let stacks = same_stacks(&read.runtimes);
    with_stdout(|out| match args.json {
        true => write_json(out, &document(&read, &stacks)),
        false => {
            let charset = Charset::from_unicode(config.unicode);
            lines(&read, &stacks).iter().try_for_each(|line| writeln!(out, "{}", sanitize_str(line, charset)))
        }
    })?;
    Ok(())
}

fn read(pids: &[i32]) -> Result<Read, Failure> {
    let mut read = Read { runtimes: Vec::new(), unread: Vec::new() };
    for pid in pids {
        let reader = DetailReader::open("/proc").map_err(|error| Failure::Failed(anyhow::anyhow!("{}", reason(&error))))?;
        // One that ended since is none of the family.
        let Ok(key) = reader.key_of(*pid) else { continue };
        let content = match within(key, PATIENCE, move || crate::inspect::read(&reader, key)) {
            Ok(Ok(detail)) => detail.content,
            Ok(Err(error)) => Err(reason(&error)),
            Err(why) => Err(why.to_string()),
        };
        match content {
            Ok(DetailContent::Runtime(runtime)) => read.runtimes.push((*pid, *runtime)),
            Ok(_) => {}
            Err(why) => read.unread.push((*pid, why)),
        }
    }
    Ok(read)
}

fn place(frame: &PythonFrame) -> String {
    let file = frame.file_name();
    let line = frame.line.map_or(String::new(), |line| format!(":{line}"));
    format!("{}() {file}{line}", frame.function)
}

fn lines(read: &Read, stacks: &[SameStack]) -> Vec<String> {
    let all: usize = stacks.iter().map(|stack| stack.threads.len()).sum();
    let (processes, others) = (read.runtimes.len(), read.unread.len());
    let mut lines = vec![format!(
        "{processes} {} read, {all} {}{}",
        if processes == 1 { "process" } else { "processes" },
        if all == 1 { "thread" } else { "threads" },
        if others > 0 { format!("; {others} not read") } else { String::new() }
    )];
    for stack in stacks.iter().take(MOST_STACKS) {
        let at = stack.place().map_or_else(|| "no Python function".to_owned(), place);
        let (threads, of) = (stack.threads.len(), stack.processes);
        let verb = if threads == 1 { "is" } else { "are" };
        let waits = if stack.waits.is_empty() { String::new() } else { format!(", waits: {}", stack.waits.join(", ")) };
        let within = format!("of {of} {}", if of == 1 { "process" } else { "processes" });
        lines.push(String::new());
        lines.push(format!("{threads} of {all} threads, {within}, {verb} in {at}{waits}"));
        lines.extend(stack.frames.iter().take(MOST_FRAMES).map(|frame| {
            let line = frame.line.map_or(String::new(), |line| format!(":{line}"));
            format!("    {}  {}{line}", frame.function, frame.file)
        }));
        if stack.frames.len() > MOST_FRAMES {
            lines.push(format!("    and {} outer frames", stack.frames.len() - MOST_FRAMES));
        }
        let mut pids: Vec<i32> = stack.threads.iter().map(|(pid, _)| *pid).collect();
        pids.dedup();
        let shown: Vec<String> = pids.iter().take(12).map(ToString::to_string).collect();
        let more = if pids.len() > 12 { format!(" and {} more", pids.len() - 12) } else { String::new() };
        lines.push(format!("    PID {}{more}", shown.join(" ")));
    }
    if stacks.len() > MOST_STACKS {
        lines.push(String::new());
        lines.push(format!("and {} more stacks", stacks.len() - MOST_STACKS));
    }
    lines
}

fn document(read: &Read, stacks: &[SameStack]) -> Value {
    json!({
        "schema": SCHEMA,
        "processes": read.runtimes.iter().map(|(pid, runtime)| json!({
            "pid": pid, "python": runtime.version.to_string(), "finding": runtime.finding,
        })).collect::<Vec<_>>(),
        "unread": read.unread.iter().map(|(pid, why)| json!({ "pid": pid, "why": why })).collect::<Vec<_>>(),
        "stacks": stacks.iter().map(|stack| json!({
            "threads": stack.threads.iter().map(|(pid, tid)| json!({ "pid": pid, "tid": (*tid != 0).then_some(tid) })).collect::<Vec<_>>(),
            "processes": stack.processes,
            "place": stack.place().map(frame),
            "waits": stack.waits,
            "frames": stack.frames.iter().map(frame).collect::<Vec<_>>(),
        })).collect::<Vec<_>>(),
    })
}
