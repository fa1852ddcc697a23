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
        self.frames.iter().find(|frame| frame.is_own()).or_else(|| self.frames.first())
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
