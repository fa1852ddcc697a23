//! Which thread runs which event loop, and for how long it has not waited.
//!
//! `BaseEventLoop._run_once` (Lib/asyncio/base_events.py, the same since 3.4) notes in its local variable `end_time` when it came back
//! from its selector, by `time.monotonic()`, and then runs the callbacks that are ready. A loop of other making notes no such time.

use std::collections::HashMap;
use std::sync::Arc;

use super::{Asking, Found, Sort};
use crate::clock::monotonic_ns;
use crate::inspect::Trouble;
use crate::inspect::memory::{Fields, Memory};
use crate::inspect::objects::Executed;
use crate::inspect::stack::Raw;
use crate::snapshot::{AsyncTask, EventLoop, LoopTurn, PythonRuntime, PythonThread, WaitReason};

/// What the loop was in its thread.
struct Round {
    /// The loop object.
    event_loop: u64,
    turn: LoopTurn,
}

/// The longest that a loop may seem to have run: more is another clock's time.
const LONGEST_NS: u64 = 366 * 24 * 3600 * 1_000_000_000;
/// The most local variables of `_run_once` that are looked at: it has eleven.
const MOST_LOCALS: u64 = 64;

const NO_TIME: &str = "this kind of loop does not note when it waited";
const MOVED: &str = "its thread ran on during each reading";

impl<M: Memory> Asking<'_, '_, M> {
    /// The loops that run, and those that only have tasks. `owners` has the thread's state of each task, where it is known.
    pub(super) fn loops(
        &mut self,
        found: Found,
        tasks: &[AsyncTask],
        owners: &HashMap<u64, u64>,
        runtime: &PythonRuntime,
    ) -> Result<Vec<EventLoop>, Trouble> {
        let run = match found {
            Found::Published(published) => self.loops_published(&published)?,
            Found::Sets => HashMap::new(),
        };
        let told: HashMap<u64, &PythonThread> =
            runtime.interpreters.iter().flat_map(|one| &one.threads).map(|thread| (thread.native_id, thread)).collect();
        let mut loops: Vec<EventLoop> = Vec::new();
        for listed in self.threads.clone() {
            let known = told.get(&listed.native_id).copied();
            let in_round = known.is_some_and(|thread| thread.frames.iter().any(|frame| is_round(&frame.function, &frame.file)));
            let published = run.get(&listed.address).copied();
            if published.is_none() && !in_round {
                continue;
            }
            let round = if in_round { self.round(listed.address)? } else { None };
            let Some(id) = round.as_ref().map(|round| round.event_loop).or(published) else { continue };
            let turn = match round {
                Some(round) => round.turn,
                None if in_round => LoopTurn::Unknown(MOVED),
                None if in_epoll(known) => LoopTurn::Waits,
                None => LoopTurn::Unknown(NO_TIME),
            };
            let native_id = Some(listed.native_id);
            loops.push(EventLoop { id, kind: self.kind(id)?, native_id, tid: tid(known), turn });
        }
        for task in tasks {
            if loops.iter().any(|one| one.id == task.loop_id) {
                continue;
            }
            let owner = owners.get(&task.id).and_then(|owner| self.threads.iter().find(|thread| thread.address == *owner));
            let native_id = owner.map(|owner| owner.native_id);
            let known = native_id.and_then(|id| told.get(&id).copied());
            let turn = LoopTurn::Unknown("no thread is known that runs it now");
            loops.push(EventLoop { id: task.loop_id, kind: self.kind(task.loop_id)?, native_id, tid: tid(known), turn });
        }
        Ok(loops)
    }

    /// How long the loop of a thread has not waited, 0 if it waits; `None` if that is not known.
    pub(super) fn lag(&mut self, thread: u64) -> Result<Option<u64>, Trouble> {
        Ok(self.round(thread)?.and_then(|round| match round.turn {
            LoopTurn::Waits => Some(0),
            LoopTurn::Runs { lag_ns, .. } => Some(lag_ns),
            LoopTurn::Unknown(_) => None,
        }))
    }

    fn kind(&mut self, event_loop: u64) -> Result<Arc<str>, Trouble> {
        match self.reading.kind_of(event_loop) {
            Err(Trouble::Torn(_)) => Ok("?".into()),
            kind => kind,
        }
    }

    /// What the loop of a thread does; `None` if no two readings agree.
    fn round(&mut self, thread: u64) -> Result<Option<Round>, Trouble> {
        for _ in 0..super::TRIES {
            match self.round_once(thread) {
                Ok(None) | Err(Trouble::Torn(_)) => {}
                round => return round,
            }
        }
        Ok(None)
    }

    fn round_once(&mut self, thread: u64) -> Result<Option<Round>, Trouble> {
        let (raw, _) = self.reading.objects.chain(thread)?;
        let mut round = None;
        for frame in &raw {
            if let Ok(Some(Executed { code, function })) = self.reading.objects.executed(frame)
                && is_round(&function, &code.file)
            {
                round = Some(frame);
                break;
            }
        }
        let Some(round) = round else { return Ok(None) };
        let event_loop = self.reading.local(round.address, 0)?;
        let Some(index) = self.index_of("end_time", round.executable)? else {
            return Ok(Some(Round { event_loop, turn: LoopTurn::Unknown(NO_TIME) }));
        };
        let end = self.reading.local(round.address, index)?;
        let turn = if end == 0 { LoopTurn::Waits } else { self.since(end, &raw)? };
        // The same round, if its frame is still there and its time still the same object.
        let still = self.reading.objects.frame(round.address)?.executable == round.executable
            && self.reading.local(round.address, index)? == end
            && self.reading.local(round.address, 0)? == event_loop;
        Ok(still.then_some(Round { event_loop, turn }))
    }

    /// How long the time in the float at `end` is past, and in which frames.
    fn since(&mut self, end: u64, raw: &[Raw]) -> Result<LoopTurn, Trouble> {
        let header = self.reading.layout.header;
        if self.reading.sort_at(end)? != Sort::Float {
            return Err(Trouble::Torn("a time is no number"));
        }
        let value = Fields::read(&mut self.reading.objects.reader, end, &[header])?.word(header);
        let now = monotonic_ns();
        let seconds = f64::from_bits(value);
        if !(0.0..1e10).contains(&seconds) {
            return Err(Trouble::Torn("a time is no number"));
        }
        let lag_ns = now.saturating_sub((seconds * 1e9) as u64);
        if lag_ns > LONGEST_NS {
            return Ok(LoopTurn::Unknown("its clock is not that of this time namespace"));
        }
        let mut frames = Vec::new();
        self.reading.objects.fold(raw, &mut frames)?;
        let own = frames.iter().position(crate::snapshot::PythonFrame::is_own);
        let own = own.filter(|at| *at > 0).and_then(|at| frames.get(at).cloned());
        Ok(LoopTurn::Runs { lag_ns, at: frames.into_iter().next(), own })
    }

    /// At which place a local variable of that name is in frames of the code object at `code`.
    pub(super) fn index_of(&mut self, name: &str, code: u64) -> Result<Option<u64>, Trouble> {
        let l = self.reading.layout;
        let names = self.reading.objects.reader.word(code.wrapping_add(l.local_names))?;
        let count = self.reading.objects.reader.word(names.wrapping_add(l.tuple_size))?;
        for index in 0..count.min(MOST_LOCALS) {
            let item = self.reading.objects.reader.word(names.wrapping_add(l.tuple_items + index * 8))?;
            if self.reading.objects.is_string(item, name)? {
                return Ok(Some(index));
            }
        }
        Ok(None)
    }
}

/// Whether that is the function that does one round of an event loop.
pub(in crate::inspect) fn is_round(function: &str, file: &str) -> bool {
    function.ends_with("._run_once") && file.ends_with("base_events.py")
}

/// Whether the thread waits for events, as the kernel has it.
pub(super) fn in_epoll(thread: Option<&PythonThread>) -> bool {
    let wait = thread.and_then(|thread| thread.task.as_ref()?.wait.as_ref()?.reason.as_ref());
    matches!(wait, Some(WaitReason::Epoll { .. }))
}

pub(super) fn tid(thread: Option<&PythonThread>) -> Option<i32> {
    Some(thread?.task.as_ref()?.tid)
}
