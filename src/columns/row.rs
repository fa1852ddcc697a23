//! A row of the table: a process, one of its tasks, or a process that has ended.

use crate::derive::{Birth, Ghost, Model, Rates, Recent};
use crate::snapshot::{ProcKey, ProcessSample, TaskSample, pid_on_host};

/// Which row, by index into a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RowRef {
    /// `model.now.processes[i]`.
    Process(u32),
    /// `model.now.tasks[task]`, of process `process`.
    Task {
        /// Index of the process.
        process: u32,
        /// Index of the task.
        task: u32,
    },
    /// `model.lifecycle.ghosts[i]`.
    Ghost(u32),
}

/// What the lab knows of a row that belongs to one of its runs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RunNote {
    /// What it is in its run, and what it does: `worker 2  pi(2000), task 3`.
    pub role: String,
    /// How it was created.
    pub how: Option<&'static str>,
    /// Private memory as the lab last read it, bytes: shown until the process itself has been read.
    pub uss_bytes: Option<u64>,
    /// From the request to its first own instruction, nanoseconds.
    pub creation_ns: Option<u64>,
}

/// A row with everything a column may want.
#[derive(Debug, Clone, Copy)]
pub struct Row<'a> {
    /// The model it is of.
    pub model: &'a Model,
    /// The process (of the task; of the ghost as last seen).
    pub process: &'a ProcessSample,
    /// Rates of the process, or of the task.
    pub rates: Rates,
    /// The task, for a task's row.
    pub task: Option<&'a TaskSample>,
    /// The ghost, for a ghost's row.
    pub ghost: Option<&'a Ghost>,
    /// CPU use over the last samples.
    pub recent: Recent,
    /// What it is in a run of the lab.
    pub note: Option<&'a RunNote>,
}

impl<'a> Row<'a> {
    /// Looks the row up; `None` if the reference is of another model.
    #[must_use]
    pub fn new(model: &'a Model, at: RowRef) -> Option<Self> {
        match at {
            RowRef::Process(i) => Some(Self {
                model,
                process: model.now.processes.get(i as usize)?,
                rates: **model.process_rates.get(i as usize)?,
                recent: model.process_recent.get(i as usize).copied().unwrap_or_default(),
                task: None,
                ghost: None,
                note: None,
            }),
            RowRef::Task { process, task } => Some(Self {
                model,
                process: model.now.processes.get(process as usize)?,
                rates: **model.task_rates.get(task as usize)?,
                task: Some(model.now.tasks.get(task as usize)?),
                recent: model.task_recent.get(task as usize).copied().unwrap_or_default(),
                ghost: None,
                note: None,
            }),
            RowRef::Ghost(i) => {
                let ghost = model.lifecycle.ghosts.get(i as usize)?;
                let (rates, recent) = (Rates::default(), Recent::default());
                Some(Self { model, process: &ghost.last, rates, recent, task: None, ghost: Some(ghost), note: None })
            }
        }
    }

    /// The same row with what its run says of it.
    #[must_use]
    pub fn noted(self, note: Option<&'a RunNote>) -> Self {
        Self { note, ..self }
    }

    /// The task whose state, name, priority the row shows: its own, or the process's leader.
    #[must_use]
    pub fn face(&self) -> &'a TaskSample {
        self.task.unwrap_or(&self.process.leader)
    }

    /// The model of the host that the row is of, by whose clock and size its values go.
    #[must_use]
    pub fn home(&self) -> &'a Model {
        self.model.home(self.process.key.pid).0
    }

    /// How the process began.
    #[must_use]
    pub fn birth(&self) -> Option<&'a Birth> {
        let key = ProcKey { pid: pid_on_host(self.process.key.pid), ..self.process.key };
        self.home().lifecycle.birth(key)
    }

    /// Identity of the process.
    #[must_use]
    pub fn key(&self) -> ProcKey {
        self.process.key
    }

    /// The row of its process, with the rates of this one.
    #[must_use]
    pub fn of_process(&self) -> Self {
        Self { task: None, note: None, ..*self }
    }

    /// Whether it is a task's row.
    #[must_use]
    pub fn is_task(&self) -> bool {
        self.task.is_some()
    }
}
