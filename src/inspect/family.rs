//! The threads of many processes, those with equal stacks folded into one.

use std::collections::BTreeSet;
use std::collections::HashMap;

use crate::snapshot::{PythonFrame, PythonRuntime};

/// Threads that execute the same functions at the same lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SameStack {
    /// Process and thread of each; 0 for a thread that is no task of its process now.
    pub threads: Vec<(i32, i32)>,
    /// In how many processes they are.
    pub processes: usize,
    /// What they execute, innermost first.
    pub frames: Vec<PythonFrame>,
    /// What they wait for, the same reason once.
    pub waits: Vec<String>,
}

impl SameStack {
    /// The innermost frame of the user's own code, else the innermost.
    #[must_use]
    pub fn place(&self) -> Option<&PythonFrame> {
        PythonFrame::innermost(&self.frames)
    }
}

/// The stacks of all threads, those that most threads have first.
#[must_use]
pub fn same_stacks(runtimes: &[(i32, PythonRuntime)]) -> Vec<SameStack> {
    let mut at: HashMap<&[PythonFrame], usize> = HashMap::new();
    let mut stacks: Vec<SameStack> = Vec::new();
    for (pid, runtime) in runtimes {
        for thread in runtime.interpreters.iter().flat_map(|one| &one.threads) {
            let index = *at.entry(&thread.frames).or_insert_with(|| {
                stacks.push(SameStack { threads: Vec::new(), processes: 0, frames: thread.frames.clone(), waits: Vec::new() });
                stacks.len() - 1
            });
            let Some(stack) = stacks.get_mut(index) else { continue };
            stack.threads.push((*pid, thread.task.as_ref().map_or(0, |task| task.tid)));
            let wait = thread.task.as_ref().and_then(|task| task.wait.as_ref()).filter(|wait| wait.reason.is_some());
            let wait = if thread.waits_for_gil { Some("the GIL".to_owned()) } else { wait.map(ToString::to_string) };
            stack.waits.extend(wait.filter(|wait| !stack.waits.contains(wait)));
        }
    }
    for stack in &mut stacks {
        stack.processes = stack.threads.iter().map(|(pid, _)| *pid).collect::<BTreeSet<_>>().len();
    }
    stacks.sort_by(|a, b| b.threads.len().cmp(&a.threads.len()).then_with(|| a.threads.cmp(&b.threads)));
    stacks
}

/// The most lines, frames of each and threads that are numbered.
const MOST_LINES: usize = 12;
const MOST_FRAMES: usize = 5;
const MOST_NUMBERS: usize = 4;

/// One line for each stack: the threads, their functions of the user's own code, outermost first, and what they wait for.
#[must_use]
pub fn lines(runtimes: &[(i32, PythonRuntime)]) -> Vec<String> {
    let stacks = same_stacks(runtimes);
    let shown = stacks.iter().filter(|stack| !stack.frames.is_empty());
    let mut lines: Vec<String> = shown.clone().take(MOST_LINES).map(line).collect();
    let more: usize = shown.skip(MOST_LINES).map(|stack| stack.threads.len()).sum();
    if more > 0 {
        lines.push(format!("and {more} more threads"));
    }
    lines
}

fn line(stack: &SameStack) -> String {
    let numbers: Vec<String> = stack.threads.iter().take(MOST_NUMBERS).map(|(_, tid)| tid.to_string()).collect();
    let more = if stack.threads.len() > MOST_NUMBERS { ", .." } else { "" };
    let threads = match stack.threads.len() {
        1 => format!("thread {}", numbers.concat()),
        count => format!("{count} threads ({}{more})", numbers.join(", ")),
    };
    let own: Vec<&PythonFrame> = stack.frames.iter().filter(|frame| frame.is_own()).take(MOST_FRAMES).collect();
    let frames = if own.is_empty() { stack.frames.iter().take(MOST_FRAMES).collect() } else { own };
    let frames: Vec<String> = frames.into_iter().rev().map(PythonFrame::place).collect();
    let wait = stack.waits.first().map_or_else(String::new, |wait| format!("; waits: {wait}"));
    format!("{threads}: {}{wait}", frames.join(" > "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::{Comm, Gil, PythonInterpreter, PythonTask, PythonThread, PythonVersion, State};

    fn frame(function: &str, file: &str, line: u32) -> PythonFrame {
        PythonFrame { function: function.into(), file: file.into(), line: Some(line), times: 1 }
    }

    fn thread(tid: i32, frames: &[PythonFrame]) -> PythonThread {
        PythonThread {
            native_id: u64::try_from(tid).unwrap(),
            task: Some(PythonTask { tid, comm: Comm::new(b"worker"), state: State::RUNNING, wait: None }),
            holds_gil: false,
            waits_for_gil: tid == 10,
            name: None,
            frames: frames.to_vec(),
            left_out: None,
            deeper: false,
            moved: false,
        }
    }

    #[test]
    fn equal_stacks_are_one_line_with_the_outermost_function_first() {
        let take = [
            frame("Queue.get", "/usr/lib/python3.11/queue.py", 171),
            frame("work", "/srv/app.py", 8),
            frame("main", "/srv/app.py", 30),
        ];
        let threads =
            vec![thread(8, &take), thread(9, &take), thread(10, &[frame("wait", "/usr/lib/python3.11/threading.py", 320)])];
        let interpreter =
            PythonInterpreter { id: 0, gil_address: 1, gil_futexes: 0..0, gil: Gil::Free, thread_count: 3, threads };
        let runtime = PythonRuntime {
            version: PythonVersion(0x030b_00f0),
            free_threaded: false,
            file: Box::default(),
            finding: String::new(),
            interpreters: vec![interpreter],
            notes: Vec::new(),
            asyncio: None,
            trio: None,
            greenlets: None,
        };
        let found = lines(&[(7, runtime)]);
        assert_eq!(
            found,
            ["2 threads (8, 9): main app.py:30 > work app.py:8", "thread 10: wait threading.py:320; waits: the GIL"]
        );
    }
}
