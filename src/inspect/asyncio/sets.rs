//! Tasks of 3.9 to 3.13: the weak set in `asyncio.tasks`, and what a task awaits as its future and its coroutines have it.
//!
//! These versions do not note which task awaits which. It is known of a task that awaits a task, of `gather` (its future has a list of
//! children), and of `TaskGroup`, `wait` and `wait_for`, whose frames have the tasks in their first local variable.

use std::collections::HashMap;

use super::coroutines::Step;
use super::{Asking, Listed, MOST_TASKS, RawTask, Sort};
use crate::inspect::memory::{Fields, Memory};
use crate::inspect::names;
use crate::inspect::{Trouble, soft};
use crate::snapshot::AsyncTask;

/// The most children of `gather` that are looked at.
const MOST_CHILDREN: u64 = 65_536;

impl<M: Memory> Asking<'_, '_, M> {
    /// The tasks in the sets of `asyncio.tasks`; `None` if it was never imported.
    pub(super) fn list_sets(&mut self) -> Result<Option<Listed>, Trouble> {
        let mut listed = Listed::new();
        let mut is_there = false;
        for interpreter in self.interpreters.clone() {
            let objects = &mut *self.reading.objects;
            let Some(variables) = names::variables(objects, interpreter, super::MODULE)? else { continue };
            is_there = true;
            let name = if objects.offsets.version.minor() >= (3, 12) { "_scheduled_tasks" } else { "_all_tasks" };
            let weak = names::find(objects, variables, name)?.map(|set| names::attribute(objects, set, "data")).transpose()?;
            if let Some(weak) = weak.flatten() {
                for reference in self.reading.set(weak)? {
                    // `wr_object` of a weak reference; that of a dead one is None.
                    let task = self.reading.objects.reader.word(reference.wrapping_add(self.reading.layout.header))?;
                    self.add(task, &mut listed)?;
                }
            }
            if let Some(eager) = names::find(self.reading.objects, variables, "_eager_tasks")? {
                for task in self.reading.set(eager)? {
                    self.add(task, &mut listed)?;
                }
            }
        }
        listed.sort_unstable();
        listed.dedup();
        listed.truncate(MOST_TASKS);
        Ok(is_there.then_some(listed))
    }

    fn add(&mut self, task: u64, listed: &mut Listed) -> Result<(), Trouble> {
        if self.reading.sort_at(task)? == Sort::Task {
            listed.push((task, 0));
        }
        Ok(())
    }

    /// By `_current_tasks`, a dict of loops and tasks. The thread is the one whose frames lead to the task's coroutine.
    pub(super) fn running_by_dict(&mut self) -> Result<HashMap<u64, u64>, Trouble> {
        let mut running = HashMap::new();
        for interpreter in self.interpreters.clone() {
            let objects = &mut *self.reading.objects;
            let Some(variables) = names::variables(objects, interpreter, super::MODULE)? else { continue };
            let Some(current) = names::find(objects, variables, "_current_tasks")? else { continue };
            for (_, task) in names::entries(objects, current)? {
                let Ok(raw) = self.raw(task) else { continue };
                let Ok(last) = self.reading.frame_of(raw.coroutine) else { continue };
                running.insert(task, self.thread_with(last)?);
            }
        }
        Ok(running)
    }

    /// The state of the thread that has a frame at that address; 0 if none has.
    fn thread_with(&mut self, frame: u64) -> Result<u64, Trouble> {
        for thread in super::addresses(&self.threads) {
            match self.reading.objects.chain(thread) {
                Ok((frames, _)) if frames.iter().any(|one| one.address == frame) => return Ok(thread),
                Ok(_) | Err(Trouble::Torn(_)) => {}
                Err(other) => return Err(other),
            }
        }
        Ok(0)
    }

    /// What may be tasks that this one awaits.
    pub(super) fn awaits(&mut self, raw: &RawTask, steps: &[Step]) -> Result<Vec<u64>, Trouble> {
        let mut found = vec![raw.waiter];
        if raw.waiter != 0
            && self.reading.sort_at(raw.waiter).is_ok_and(|sort| sort == Sort::Gathering)
            && let Some(children) = soft(names::attribute(self.reading.objects, raw.waiter, "_children"))?.flatten()
        {
            found.extend(soft(self.items(children))?.unwrap_or_default());
        }
        for (frame, code) in self.reading.frames_of(steps) {
            let Ok(Some(code)) = self.reading.objects.code(code) else { continue };
            let in_tasks = code.file.ends_with("asyncio/tasks.py");
            let more = match &*code.function {
                "_wait" if in_tasks => self.reading.local(frame, 0).and_then(|set| self.reading.set(set)),
                "wait_for" if in_tasks => self.reading.local(frame, 0).map(|task| vec![task]),
                "TaskGroup.__aexit__" => self.of_group(frame),
                _ => continue,
            };
            found.extend(soft(more)?.unwrap_or_default());
        }
        Ok(found)
    }

    /// The tasks of the group whose method the frame executes.
    fn of_group(&mut self, frame: u64) -> Result<Vec<u64>, Trouble> {
        let group = self.reading.local(frame, 0)?;
        match names::attribute(self.reading.objects, group, "_tasks")? {
            Some(tasks) => self.reading.set(tasks),
            None => Ok(Vec::new()),
        }
    }

    fn items(&mut self, list: u64) -> Result<Vec<u64>, Trouble> {
        let l = self.reading.layout;
        if self.reading.sort_at(list)? != Sort::List {
            return Err(Trouble::Torn("an object is no list"));
        }
        // `ob_size`, then `ob_item` (Include/cpython/listobject.h).
        let fields = Fields::read(&mut self.reading.objects.reader, list, &[l.header, l.header + 8])?;
        let count = fields.word(l.header).min(MOST_CHILDREN);
        let bytes = self.reading.objects.reader.bytes(fields.word(l.header + 8), count as usize * 8)?;
        Ok(bytes.as_chunks::<8>().0.iter().map(|item| u64::from_ne_bytes(*item)).collect())
    }
}

/// Notes in each task which others await it: `awaits` has what each may await.
pub(super) fn link(tasks: &mut [AsyncTask], awaits: &HashMap<u64, Vec<u64>>) {
    if awaits.is_empty() {
        return;
    }
    let at: HashMap<u64, usize> = tasks.iter().enumerate().map(|(at, task)| (task.id, at)).collect();
    for (above, below) in awaits {
        for task in below.iter().filter(|task| *task != above).filter_map(|task| at.get(task)) {
            tasks[*task].awaited_by.push(*above);
        }
    }
    for task in tasks {
        task.awaited_by.sort_unstable();
        task.awaited_by.dedup();
    }
}
