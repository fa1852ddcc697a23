//! Problems as text. Every string may come from another machine and is sanitised here.

use std::io::{self, Write};

use super::document::{Document, Finding, Problem};
use crate::causes::{NOT_FOLLOWED, TaskId, UNREADABLE};
use crate::command::waits::{Looked, Task};
use crate::text::{Charset, fit};
use crate::units::age;
use crate::why::{asleep, named};

/// The most tasks, processes and lines of one problem that the text lists.
const MOST: usize = 8;
/// The most lines of a finding; this concmon makes fewer.
const MOST_LINES: usize = 100;
/// The most cells of a line: an answer of another host could hold longer ones.
const MOST_CELLS: usize = 1000;

/// Writes one line. No byte of it can change a terminal.
pub(super) fn line(out: &mut impl Write, indent: usize, text: &str) -> io::Result<()> {
    writeln!(out, "{:indent$}{}", "", fit(text.as_bytes(), MOST_CELLS, Charset::Unicode))
}

/// Writes tasks that cannot go on; `host` is empty or ends with a colon and a space.
pub(super) fn problem(out: &mut impl Write, host: &str, problem: &Problem) -> io::Result<()> {
    line(out, 0, &format!("{host}{}", problem.title))?;
    line(out, 2, &processes(problem.tasks.iter().map(|task| (task.pid, task.process.as_deref()))))?;
    for task in problem.tasks.iter().take(MOST) {
        line(out, 4, &wait(task))?;
    }
    more(out, problem.tasks.len())?;
    if problem.lost_waiters > 0 {
        let lost = problem.lost_waiters;
        line(out, 2, &format!("{lost} of the waiters that the semaphore counts are gone: killed while they waited"))?;
    }
    if !problem.behind.is_empty() {
        let behind = processes(problem.behind.iter().map(|task| (task.pid, task.process.as_deref())));
        line(out, 2, &format!("also waiting because of them: {behind}"))?;
    }
    line(out, 2, &problem.advice)?;
    writeln!(out)
}

/// Writes a finding; `host` as above.
pub(super) fn finding(out: &mut impl Write, host: &str, finding: &Finding) -> io::Result<()> {
    let level = if finding.warns() { "" } else { "For information: " };
    let long =
        if finding.for_s >= 1.0 { format!(" (for at least {})", age((finding.for_s * 1000.0) as u64)) } else { String::new() };
    line(out, 0, &format!("{host}{level}{}{long}", finding.title))?;
    line(out, 2, &finding.evidence)?;
    finding.lines.iter().take(MOST_LINES).try_for_each(|text| line(out, 4, text))?;
    line(out, 2, &finding.advice)?;
    writeln!(out)
}

/// Writes all that was found on this machine; `again` if it was looked at more than once, `asked` if that was asked for.
pub(super) fn all(out: &mut impl Write, document: &Document, again: bool, asked: bool) -> io::Result<()> {
    document.problems.iter().try_for_each(|one| problem(out, "", one))?;
    document.findings.iter().try_for_each(|one| finding(out, "", one))?;
    if !document.warns() {
        writeln!(out, "No problem was found in what was examined.")?;
    }
    let Looked { processes, tasks, apart_ms, .. } = document.looked;
    writeln!(out, "Examined: the waits of {tasks} threads of {processes} processes, twice, {apart_ms} ms apart.")?;
    not_examined(out, "", &document.looked)?;
    if asked && !again {
        writeln!(out, "Stopped after one look, because a problem was found. Not examined: {TAKES_TIME}.")?;
    }
    limits(out, again || asked)
}

/// Writes what could not be read; `host` as above.
pub(super) fn not_examined(out: &mut impl Write, host: &str, looked: &Looked) -> io::Result<()> {
    let Looked { unreadable_processes: unreadable, silent_processes: silent, unread_python_processes: unread, .. } = *looked;
    if unreadable > 0 {
        line(out, 0, &format!("{host}Not examined: the waits of {}. {UNREADABLE}", counted(unreadable)))?;
    }
    if silent > 0 {
        line(out, 0, &format!("{host}Not examined: the waits of {}: no answer within 500 ms.", counted(silent)))?;
    }
    if unread > 0 {
        let words = format!(
            "{host}Not examined: the Python functions of {}, for lack of time. Use --for 10, or name processes.",
            counted(unread)
        );
        line(out, 0, &words)?;
    }
    Ok(())
}

/// What one look cannot see.
const TAKES_TIME: &str = "problems that take time to show (zombies that stay, quotas, growth, busy threads, the GIL, blocked event loops, broken pools)";

/// Writes what is examined on no machine, or only with `--for`.
pub(super) fn limits(out: &mut impl Write, again: bool) -> io::Result<()> {
    writeln!(out, "{NOT_FOLLOWED}")?;
    if !again {
        writeln!(out, "Not examined: {TAKES_TIME}. Use --for 10 to examine them.")?;
    }
    Ok(())
}

fn counted(processes: usize) -> String {
    if processes == 1 { "1 process".to_owned() } else { format!("{processes} processes") }
}

fn more(out: &mut impl Write, all: usize) -> io::Result<()> {
    match all.saturating_sub(MOST) {
        0 => Ok(()),
        more => line(out, 4, &format!("and {more} more")),
    }
}

/// `4151 worker (thread of 4140): waits for ..., asleep for 12 s  [Queue.get() at queue.py:171, called by store() at tasks.py:88]`.
fn wait(task: &Task) -> String {
    let name = named(TaskId { pid: task.pid, tid: task.tid }, task.comm.as_deref().unwrap_or_default());
    let wait = task.wait.as_ref().map(|wait| format!(": {}{}", wait.evidence, asleep(wait.asleep_ms))).unwrap_or_default();
    let python = task.python.as_ref().map(|place| format!("  [{place}]")).unwrap_or_default();
    format!("{name}{wait}{python}")
}

/// `process 4140 python3 (3 threads), process 4150 sh`. The tasks of a process follow each other.
fn processes<'a>(tasks: impl Iterator<Item = (i32, Option<&'a str>)>) -> String {
    let mut found: Vec<(i32, &str, usize)> = Vec::new();
    for (pid, name) in tasks {
        match found.last_mut() {
            Some((last, _, threads)) if *last == pid => *threads += 1,
            _ => found.push((pid, name.unwrap_or_default(), 1)),
        }
    }
    let shown = found.iter().take(MOST).map(|(pid, name, threads)| match threads {
        1 => format!("process {pid} {name}"),
        _ => format!("process {pid} {name} ({threads} threads)"),
    });
    let mut words = shown.collect::<Vec<_>>().join(", ");
    if found.len() > MOST {
        words += &format!(" and {} more", found.len() - MOST);
    }
    words
}
