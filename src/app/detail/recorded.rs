//! The detail pane during a replay: values of the samples only; nothing is read from a live process.

use crate::derive::Model;
use crate::snapshot::{Detail, DetailContent, DetailPart, ProcessSample, State, TaskSample, ThreadDetail};

use super::DetailPane;

/// Said on the pages that a recording does not have.
pub(super) const NOT_RECORDED: &str = "this page is not recorded; Overview, Threads and Tree are";

impl DetailPane {
    /// The recording is at another time now: what has been seen is of no use.
    pub(in crate::app) fn begin_anew(&mut self) {
        self.points.clear();
        self.ended = None;
        self.unborn = false;
        self.read.clear();
        self.before = None;
    }

    /// Whether the sample is of a time before the process was there.
    pub(super) fn starts_after(&self, model: &Model) -> bool {
        self.key.start_ticks.saturating_mul(model.now.system.tick_ns()) >= model.now.taken_ns
    }

    /// Takes the process's tasks from a sample, as they would be read from a live one.
    pub(super) fn take_threads(&mut self, model: &Model, process: &ProcessSample) {
        let tasks = model.now.tasks.get(process.tasks.start as usize..process.tasks.end as usize).unwrap_or_default();
        let wait = |tid: i32| process.exact.as_ref().and_then(|exact| exact.wait_of(tid)).cloned();
        let thread = |task: &TaskSample| ThreadDetail {
            tid: task.tid,
            start_ticks: task.start_ticks,
            comm: task.comm,
            state: task.state,
            run_ns: task.run_ns,
            wait: wait(task.tid).filter(|_| task.state != State::RUNNING),
        };
        let content = match tasks {
            [] if process.nlwp.is_some_and(|count| count > 1) => Err("the threads of this process were not recorded".to_owned()),
            [] => Ok(DetailContent::Threads(vec![thread(&process.leader)])),
            tasks => Ok(DetailContent::Threads(tasks.iter().map(thread).collect())),
        };
        let taken_ns = model.now.taken_ns.saturating_add(process.read_after_ns);
        self.take(Detail::new(self.key, DetailPart::Threads, taken_ns, content));
    }
}
