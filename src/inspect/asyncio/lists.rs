//! Tasks from 3.14 on: linked lists that begin in the states of threads and interpreters.

use std::collections::{HashMap, HashSet};

use super::layout::Published;
use super::{Asking, Listed, MOST_TASKS};
use crate::inspect::Trouble;
use crate::inspect::memory::{Fields, Memory};

impl<M: Memory> Asking<'_, '_, M> {
    pub(super) fn list_published(&mut self, published: &Published) -> Result<Listed, Trouble> {
        let mut listed = Listed::new();
        let mut seen = HashSet::new();
        for thread in self.threads.clone() {
            let head = thread.address.wrapping_add(published.thread_tasks);
            self.list_from(head, thread.address, &mut listed, &mut seen)?;
        }
        for interpreter in self.interpreters.clone() {
            self.list_from(interpreter.wrapping_add(published.interpreter_tasks), 0, &mut listed, &mut seen)?;
        }
        Ok(listed)
    }

    /// Adds the tasks of the list that begins at `head` (`struct llist_node`: an entry leads to the next one, the last to the head).
    fn list_from(&mut self, head: u64, thread: u64, listed: &mut Listed, seen: &mut HashSet<u64>) -> Result<(), Trouble> {
        let Some(links) = self.task.and_then(|task| task.links) else { return Ok(()) };
        let mut next = self.reading.objects.reader.word(head)?;
        // 0: asyncio was never imported there.
        while next != head && next != 0 && listed.len() < MOST_TASKS {
            if !seen.insert(next) {
                return Err(Trouble::Torn("its list of tasks is a cycle"));
            }
            let task = next.wrapping_sub(links.node);
            let fields = Fields::read(&mut self.reading.objects.reader, task, &[links.is_task, links.node])?;
            if fields.byte(links.is_task) != 1 {
                return Err(Trouble::Torn("an object is no task"));
            }
            listed.push((task, thread));
            next = fields.word(links.node);
        }
        Ok(())
    }

    /// The loop that runs in each thread, by the thread's state.
    pub(super) fn loops_published(&mut self, published: &Published) -> Result<HashMap<u64, u64>, Trouble> {
        self.of_threads(published.thread_loop)
    }

    pub(super) fn running_published(&mut self, published: &Published) -> Result<HashMap<u64, u64>, Trouble> {
        let tasks = self.of_threads(published.thread_task)?;
        Ok(tasks.into_iter().map(|(thread, task)| (task, thread)).collect())
    }

    /// That word of the state of each thread, if it is not 0.
    fn of_threads(&mut self, offset: u64) -> Result<HashMap<u64, u64>, Trouble> {
        let mut found = HashMap::new();
        for thread in &self.threads {
            let word = self.reading.objects.reader.word(thread.address.wrapping_add(offset))?;
            if word != 0 {
                found.insert(thread.address, word);
            }
        }
        Ok(found)
    }
}
