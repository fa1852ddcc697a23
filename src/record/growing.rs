//! A recording that still grows: a thread reads a pipe and keeps whole frames until they are taken. What is not taken in time is dropped,
//! from one key frame to the next.

use std::collections::VecDeque;
use std::fs::File;
use std::io::Read as _;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::layout::FrameHead;
use super::parser::{Parser, Part};
use crate::snapshot::SystemInfo;

/// The most bytes of frames that wait to be taken.
const MOST_WAITING: usize = 16 << 20;
/// Bytes read at once.
const READ_BYTES: usize = 64 << 10;

/// A frame that has come.
#[derive(Debug)]
pub(super) struct Arrived {
    pub(super) head: FrameHead,
    pub(super) content: Box<[u8]>,
}

type Told = Box<dyn Fn() + Send>;

#[derive(Default)]
struct State {
    system: Option<SystemInfo>,
    waiting: VecDeque<Arrived>,
    bytes: usize,
    /// Frames are dropped until the next key frame.
    wants_key: bool,
    /// Why it ended, in words that follow "the stream".
    ended: Option<String>,
    told: Option<Told>,
    /// Whether that function has been called since frames were last taken.
    is_told: bool,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    bell: Condvar,
}

/// See the module. The thread ends with the pipe.
pub(super) struct Growing(Arc<Shared>);

impl std::fmt::Debug for Growing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Growing").finish_non_exhaustive()
    }
}

impl Growing {
    pub(super) fn start(file: File) -> std::io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let theirs = Arc::clone(&shared);
        std::thread::Builder::new().name("stream".into()).spawn(move || theirs.read(file))?;
        Ok(Self(shared))
    }

    /// Waits for the head and a first frame; the recorded machine, or why there is none.
    pub(super) fn first(&self) -> Result<SystemInfo, String> {
        let mut state = self.0.lock();
        loop {
            match (&state.system, state.waiting.is_empty(), &state.ended) {
                (Some(system), false, _) | (Some(system), true, Some(_)) => return Ok(system.clone()),
                (None, _, Some(why)) => return Err(why.clone()),
                _ => state = self.0.bell.wait(state).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }

    /// Waits until there is something to take.
    pub(super) fn wait(&self) {
        let mut state = self.0.lock();
        while state.waiting.is_empty() && state.ended.is_none() {
            state = self.0.bell.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// What has come, and why nothing more will.
    pub(super) fn take(&self) -> (VecDeque<Arrived>, Option<String>) {
        let mut state = self.0.lock();
        (state.bytes, state.is_told) = (0, false);
        (std::mem::take(&mut state.waiting), state.ended.clone())
    }

    pub(super) fn on_growth(&self, told: Told) {
        let mut state = self.0.lock();
        if !state.waiting.is_empty() || state.ended.is_some() {
            told();
            state.is_told = true;
        }
        state.told = Some(told);
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read(&self, mut file: File) {
        let (mut parser, mut bytes) = (Parser::default(), vec![0; READ_BYTES]);
        let why = loop {
            let read = match file.read(&mut bytes) {
                Ok(0) if parser.is_between_frames() => break "has ended".to_owned(),
                Ok(0) => break "was cut off: its last frame is incomplete".to_owned(),
                Ok(read) => read,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(error) => break format!("cannot be read: {error}"),
            };
            parser.push(&bytes[..read]);
            if let Err(why) = self.parts(&mut parser) {
                break why;
            }
        };
        self.change(|state| state.ended = Some(why));
    }

    fn parts(&self, parser: &mut Parser) -> Result<(), String> {
        while let Some(part) = parser.part()? {
            self.change(|state| match part {
                Part::System(system) => state.system = Some(*system),
                Part::Frame(head, content) => state.add(Arrived { head, content }),
            });
        }
        Ok(())
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.lock();
        change(&mut state);
        if let Some(told) = state.told.as_ref().filter(|_| !state.is_told) {
            told();
            state.is_told = true;
        }
        self.bell.notify_all();
    }
}

impl State {
    fn add(&mut self, frame: Arrived) {
        if self.wants_key && !frame.head.key {
            return;
        }
        self.wants_key = false;
        self.bytes += frame.content.len();
        self.waiting.push_back(frame);
        while self.bytes > MOST_WAITING {
            let Some(oldest) = self.waiting.pop_front() else { break };
            self.bytes -= oldest.content.len();
            // What builds on a dropped frame goes with it.
            while let Some(next) = self.waiting.pop_front_if(|next| !next.head.key) {
                self.bytes -= next.content.len();
            }
            self.wants_key = self.waiting.is_empty();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(key: bool, bytes: usize) -> Arrived {
        let head = FrameHead { length: 0, raw_length: 0, checksum: 0, key, taken_ns: 0 };
        Arrived { head, content: vec![0; bytes].into() }
    }

    #[test]
    fn frames_that_are_not_taken_are_dropped_up_to_a_key_frame() {
        let mut state = State::default();
        for at in 0..200 {
            state.add(frame(at % 10 == 0, 1 << 20));
            assert!(state.bytes <= MOST_WAITING, "{} bytes", state.bytes);
            assert!(state.waiting.front().is_some_and(|first| first.head.key), "what is first stands alone");
        }
        // No key frame in sight: what cannot be read without the dropped ones is not kept.
        let mut state = State::default();
        (0..40).for_each(|at| state.add(frame(at == 0, 1 << 20)));
        assert!(state.waiting.is_empty() && state.wants_key);
        state.add(frame(true, 1));
        assert_eq!(state.waiting.len(), 1);
    }
}
