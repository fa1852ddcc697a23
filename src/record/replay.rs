//! Reads a recording: an index of its frames, which are read and checked on demand.

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::RecordError;
use super::frame::Decoder;
use super::layout::{self, FRAME_BYTES, FrameHead, HEAD_BYTES, MOST_BETWEEN_KEYS, MOST_FRAMES, MOST_RAW_BYTES};
use crate::kernel::error::ReadError;
use crate::kernel::source::{Request, Source};
use crate::snapshot::{Snapshot, SystemInfo};

/// The most that frames since a key frame may have together, unpacked: what they leave in memory is bounded by it.
const MOST_SINCE_KEY: u64 = 2 * MOST_RAW_BYTES as u64;
/// Frames before a wanted one that are stepped through for what is remembered across them: graphs, ghosts, who created whom.
const RUN_UP: usize = 32;

/// Where a frame is.
#[derive(Debug, Clone, Copy)]
struct Place {
    offset: u64,
    taken_ns: u64,
    key: bool,
}

/// See the module.
#[derive(Debug)]
pub struct Replay {
    file: File,
    path: PathBuf,
    system: SystemInfo,
    places: Vec<Place>,
    cut: Option<String>,
    decoder: Decoder,
    /// The frame that the decoder would take next.
    next: usize,
    /// What [`Source::sample`] gives next.
    shown: usize,
}

impl Replay {
    /// Opens a recording and looks through its frames' heads. What is no whole frame at its end is left out, see [`Self::cut`].
    ///
    /// # Errors
    /// One sentence, if it is not a recording, of another version, or has no whole frame.
    pub fn open(path: &Path) -> Result<Self, RecordError> {
        let io = |source| RecordError::Io { path: path.to_owned(), doing: "cannot be read", source };
        let nonblock = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
        let file = std::fs::OpenOptions::new().read(true).custom_flags(nonblock).open(path).map_err(io)?;
        Self::of(file, path)
    }

    /// The same of an open file; `path` is its name in errors.
    pub(super) fn of(file: File, path: &Path) -> Result<Self, RecordError> {
        let io = |source| RecordError::Io { path: path.to_owned(), doing: "cannot be read", source };
        let refused = |why: String| RecordError::Refused { path: path.to_owned(), why };
        let facts = file.metadata().map_err(io)?;
        if !facts.is_file() {
            return Err(refused("is not a regular file; a recording must be one".to_owned()));
        }
        let mut head = [0; HEAD_BYTES];
        let head = &mut head[..HEAD_BYTES.min(usize::try_from(facts.len()).unwrap_or(HEAD_BYTES))];
        file.read_exact_at(head, 0).map_err(io)?;
        let (length, checksum) = layout::read_head(head).map_err(refused)?;
        let mut system = vec![0; length as usize];
        let system =
            file.read_exact_at(&mut system, HEAD_BYTES as u64).ok().and_then(|()| layout::read_system(&system, checksum));
        let system =
            system.ok_or_else(|| refused("is a damaged recording: the description of its machine is incomplete".to_owned()))?;
        let begin = HEAD_BYTES as u64 + u64::from(length);
        let (places, cut) = index(&file, begin, facts.len()).map_err(io)?;
        let mut replay =
            Self { file, path: path.to_owned(), system, places, cut, decoder: Decoder::default(), next: 0, shown: 0 };
        replay.leave_out_damaged_end()?;
        if replay.places.is_empty() {
            let why = replay.cut.as_deref().unwrap_or("the recording ended before its first frame");
            return Err(refused(format!("has no complete frame: {why}")));
        }
        Ok(replay)
    }

    /// A crash of the machine can leave a last frame whose content was never written.
    fn leave_out_damaged_end(&mut self) -> Result<(), RecordError> {
        for _ in 0..MOST_BETWEEN_KEYS {
            let Some(last) = self.places.len().checked_sub(1) else { break };
            match self.content(last) {
                Err(RecordError::Damaged { .. }) => {
                    self.places.pop();
                    self.cut = Some("its last frames are damaged".to_owned());
                }
                other => return other.map(drop),
            }
        }
        Ok(())
    }

    /// How many frames there are, at least one.
    #[must_use]
    pub fn frames(&self) -> usize {
        self.places.len()
    }

    /// The machine that was recorded, as it was when the recording began.
    #[must_use]
    pub fn system(&self) -> &SystemInfo {
        &self.system
    }

    /// Why it ends where it does, if it was not ended in an orderly way; words that go on after "the recording".
    #[must_use]
    pub fn cut(&self) -> Option<&str> {
        self.cut.as_deref()
    }

    /// When a frame was taken, `CLOCK_BOOTTIME` nanoseconds of the recorded machine; the last one's for those beyond.
    #[must_use]
    pub fn taken_ns(&self, frame: usize) -> u64 {
        self.places.get(frame).or(self.places.last()).map_or(0, |place| place.taken_ns)
    }

    /// The last frame that was taken by then, or the first.
    #[must_use]
    pub fn frame_at(&self, taken_ns: u64) -> usize {
        self.places.partition_point(|place| place.taken_ns <= taken_ns).saturating_sub(1)
    }

    /// The frames to be stepped through for all that is known at `frame`, itself the last: from a key frame on, so that nothing is read
    /// twice, and at least the one before, which rates need.
    #[must_use]
    pub fn run_up(&self, frame: usize) -> Range<usize> {
        let frame = frame.min(self.places.len().saturating_sub(1));
        self.key_before(frame.saturating_sub(RUN_UP))..frame + 1
    }

    fn key_before(&self, frame: usize) -> usize {
        (0..=frame).rev().find(|at| self.places.get(*at).is_some_and(|place| place.key)).unwrap_or(0)
    }

    /// The next key frame after this one: where it goes on behind a damaged frame.
    #[must_use]
    pub fn key_after(&self, frame: usize) -> Option<usize> {
        (frame + 1..self.places.len()).find(|at| self.places[*at].key)
    }

    /// The snapshot of a frame, counted from 0. One after the other costs least.
    ///
    /// # Errors
    /// If the frame, or one that it builds on, is damaged or cannot be read.
    pub fn frame(&mut self, frame: usize) -> Result<Snapshot, RecordError> {
        let frame = frame.min(self.places.len().saturating_sub(1));
        let key = self.key_before(frame);
        let mut at = if (key..=frame).contains(&self.next) { self.next } else { key };
        loop {
            if self.places.get(at).is_some_and(|place| place.key) {
                self.decoder = Decoder::default();
            }
            // Whatever happens, it does not go on in the middle.
            self.next = usize::MAX;
            let content = self.content(at)?;
            let damaged = || RecordError::Damaged { path: self.path.clone(), frame: at + 1 };
            let snapshot = self.decoder.decode(&content).ok_or_else(damaged)?;
            self.next = at + 1;
            if at == frame {
                return Ok(snapshot);
            }
            at += 1;
        }
    }

    /// A frame's content, unpacked and checked.
    fn content(&self, frame: usize) -> Result<Vec<u8>, RecordError> {
        let io = |source| RecordError::Io { path: self.path.clone(), doing: "cannot be read", source };
        let damaged = || RecordError::Damaged { path: self.path.clone(), frame: frame + 1 };
        let place = self.places.get(frame).ok_or_else(damaged)?;
        let mut head = [0; FRAME_BYTES];
        self.file.read_exact_at(&mut head, place.offset).map_err(io)?;
        let head = FrameHead::read(&head).ok_or_else(damaged)?;
        let mut content = vec![0; head.length as usize];
        self.file.read_exact_at(&mut content, place.offset + FRAME_BYTES as u64).map_err(io)?;
        layout::unpack(&head, &content).ok_or_else(damaged)
    }

    /// Has [`Source::sample`] go on with this frame.
    pub fn go_to(&mut self, frame: usize) {
        self.shown = frame;
    }
}

impl Source for Replay {
    /// The next frame, whatever is asked for: what was not recorded is unknown. After the last, the last.
    fn sample(&mut self, _: &Request<'_>) -> Result<Snapshot, ReadError> {
        let snapshot = self.frame(self.shown);
        self.shown = (self.shown + 1).min(self.places.len().saturating_sub(1));
        snapshot.map_err(|error| ReadError::Malformed { path: self.path.clone(), what: error.to_string() })
    }
}

/// Walks from head to head; why it ends before the file does.
fn index(file: &File, begin: u64, end: u64) -> std::io::Result<(Vec<Place>, Option<String>)> {
    let mut places: Vec<Place> = Vec::new();
    let (mut offset, mut since_key, mut bytes_since_key) = (begin, 0usize, 0u64);
    while offset < end {
        if places.len() == MOST_FRAMES {
            return Ok((places, Some(format!("continues, but only {MOST_FRAMES} frames are shown"))));
        }
        let whole = places.len();
        let cut = || Some(format!("was cut off: its last frame is incomplete; the {whole} before it are shown"));
        let Some(content_at) = offset.checked_add(FRAME_BYTES as u64).filter(|at| *at <= end) else { return Ok((places, cut())) };
        let mut head = [0; FRAME_BYTES];
        file.read_exact_at(&mut head, offset)?;
        let Some(head) = FrameHead::read(&head) else {
            return Ok((places, Some(format!("is damaged after frame {whole}; only the frames before are shown"))));
        };
        (since_key, bytes_since_key) = if head.key { (0, 0) } else { (since_key + 1, bytes_since_key) };
        bytes_since_key += u64::from(head.raw_length);
        if (places.is_empty() && !head.key) || since_key >= MOST_BETWEEN_KEYS || bytes_since_key > MOST_SINCE_KEY {
            return Ok((places, Some(format!("is invalid after frame {whole}; only the frames before are shown"))));
        }
        let Some(next) = content_at.checked_add(u64::from(head.length)).filter(|next| *next <= end) else {
            return Ok((places, cut()));
        };
        places.push(Place { offset, taken_ns: head.taken_ns, key: head.key });
        offset = next;
    }
    Ok((places, None))
}
