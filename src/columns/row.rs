//! A row of the table: a process, one of its tasks, or a process that has ended.

use crate::derive::{Ghost, Model, Rates};
use crate::snapshot::{ProcKey, ProcessSample, TaskSample};

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
}

impl<'a> Row<'a> {
    /// Looks the row up; `None` if the reference is of another model.
    #[must_use]
    pub fn new(model: &'a Model, at: RowRef) -> Option<Self> {
        match at {
            RowRef::Process(i) => Some(Self {
                model,
                process: model.now.processes.get(i as usize)?,
                rates: *model.process_rates.get(i as usize)?,
                task: None,
                ghost: None,
            }),
            RowRef::Task { process, task } => Some(Self {
                model,
                process: model.now.processes.get(process as usize)?,
                rates: *model.task_rates.get(task as usize)?,
                task: Some(model.now.tasks.get(task as usize)?),
                ghost: None,
            }),
            RowRef::Ghost(i) => {
                let ghost = model.lifecycle.ghosts.get(i as usize)?;
                Some(Self { model, process: &ghost.last, rates: Rates::default(), task: None, ghost: Some(ghost) })
            }
        }
    }

    /// The task whose state, name, priority the row shows: its own, or the process's leader.
    #[must_use]
    pub fn face(&self) -> &'a TaskSample {
        self.task.unwrap_or(&self.process.leader)
    }

    /// Identity of the process.
    #[must_use]
    pub fn key(&self) -> ProcKey {
        self.process.key
    }

    /// Whether it is a task's row.
    #[must_use]
    pub fn is_task(&self) -> bool {
        self.task.is_some()
    }
}
