//! Processes that `/proc` lists and the task iterator omits: some sandboxes hide their own agents from BPF. They are read from
//! `/proc`, so that both sources show the same processes.

use crate::kernel::error::ReadError;
use crate::kernel::proc_fs::ProcFs;
use crate::kernel::proc_source::ProcSource;
use crate::kernel::source::{Needs, Request};
use crate::snapshot::{ProcessSample, TaskSample, TaskStates, give_back, task_states};

/// In so many sweeps `/proc` is listed once and compared with what the iterator gives.
const TURNS: u64 = 16;

/// The hidden processes and their source.
#[derive(Debug, Default)]
pub struct Hidden {
    sweep: u64,
    listed: Option<Vec<i32>>,
    pids: Vec<i32>,
    source: Option<ProcSource>,
}

impl Hidden {
    /// Before the iterator is read: lists `/proc` when its turn has come. What is listed now and still alive afterwards must be among
    /// the records then.
    ///
    /// # Errors
    /// If `/proc` cannot be listed.
    pub fn before(&mut self, fs: &ProcFs) -> Result<(), ReadError> {
        if self.sweep.is_multiple_of(TURNS) {
            let mut pids = Vec::new();
            fs.list_pids(&mut pids)?;
            self.listed = Some(pids);
        }
        self.sweep += 1;
        Ok(())
    }

    /// After the iterator was read, in a sweep that began at `begun_ns`: adds the processes it left out to `processes`, ascending pid, and
    /// their tasks to `tasks`. The states of those, as far as each of them was looked at.
    ///
    /// # Errors
    /// If `/proc` cannot be opened.
    pub fn complete(
        &mut self,
        fs: &ProcFs,
        request: &Request<'_>,
        begun_ns: u64,
        processes: &mut Vec<ProcessSample>,
        tasks: &mut Vec<TaskSample>,
    ) -> Result<TaskStates, ReadError> {
        if let Some(listed) = self.listed.take() {
            self.pids = listed;
        }
        self.pids.retain(|pid| processes.binary_search_by_key(pid, |process| process.key.pid).is_err());
        give_back(&mut self.pids, 0);
        if self.pids.is_empty() {
            self.source = None;
            return Ok(TaskStates::default());
        }
        let source = match &mut self.source {
            Some(source) => source,
            none => none.insert(ProcSource::new(fs.root())?),
        };
        // They are few: their threads are looked at whether or not they are shown, as the others' were.
        let with_tasks = (request.all | request.visible_needs).contains(Needs::THREADS);
        let all = Request { all: request.all | Needs::THREADS, ..*request };
        let (extra, extra_tasks) = source.sweep_of(&self.pids, &all, begun_ns);
        let states = task_states(&extra, &extra_tasks).unwrap_or_default();
        let offset = u32::try_from(tasks.len()).unwrap_or(u32::MAX);
        if with_tasks {
            tasks.extend(extra_tasks);
        }
        // Most of those that were listed have simply ended since: they are not asked for again.
        self.pids = extra.iter().map(|process| process.key.pid).collect();
        for mut process in extra {
            process.tasks = match with_tasks {
                true => process.tasks.start.saturating_add(offset)..process.tasks.end.saturating_add(offset),
                false => 0..0,
            };
            let place = processes.partition_point(|other| other.key.pid < process.key.pid);
            processes.insert(place, process);
        }
        Ok(states)
    }

    /// How many processes the iterator leaves out.
    #[must_use]
    pub fn count(&self) -> usize {
        self.pids.len()
    }
}
