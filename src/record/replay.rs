//! Reads a recording: an index of its frames, which are read and checked on demand. Of a stream the newest frames are kept in memory.

use std::fs::File;
use std::io::IsTerminal as _;
use std::ops::Range;
use std::os::fd::AsFd as _;
use std::os::unix::fs::{FileExt as _, FileTypeExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::RecordError;
use super::frame::Decoder;
use super::growing::{Arrived, Growing};
use super::layout::{self, FRAME_BYTES, FrameHead, HEAD_BYTES, MOST_BETWEEN_KEYS, MOST_FRAMES, SinceKey};
use crate::kernel::error::ReadError;
use crate::kernel::source::{Request, Source};
use crate::snapshot::{Snapshot, SystemInfo};

/// Frames before a wanted one that are stepped through for what is remembered across them: graphs, ghosts, creators.
const RUN_UP: usize = 32;

/// The most bytes of frames that are kept of a stream; older ones are dropped, from one key frame to the next.
pub const MOST_STREAM_BYTES: usize = 16 << 20;

/// Where a frame is.
#[derive(Debug)]
struct Place {
    content: Content,
    taken_ns: u64,
    key: bool,
}

#[derive(Debug)]
enum Content {
    /// In the file, with its head.
    At(u64),
    /// Of a stream, in memory.
    Kept(FrameHead, Box<[u8]>),
}

/// See the module.
#[derive(Debug)]
pub struct Replay {
    /// The file; `None` for a stream.
    file: Option<File>,
    /// The rest of a stream.
    growing: Option<Growing>,
    /// Frames of a stream that are no longer kept.
    dropped: usize,
    /// Bytes of the frames in memory.
    kept_bytes: usize,
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
    /// Opens a recording and looks through its frames' heads. What is no whole frame at its end is left out, see [`Self::cut`]. A pipe is
    /// a stream: this waits for its first frame, later ones come with [`Self::take_in`]. `-` is standard input.
    ///
    /// # Errors
    /// One sentence, if it is not a recording, of another version, or has no whole frame.
    pub fn open(path: &Path) -> Result<Self, RecordError> {
        let io = |source| RecordError::Io { path: path.to_owned(), doing: "cannot be read", source };
        if path.as_os_str() == "-" {
            let name = Path::new("standard input");
            let file = File::from(std::io::stdin().as_fd().try_clone_to_owned().map_err(io)?);
            if file.is_terminal() {
                let why = "is a terminal: pipe a stream into it, e.g. from `ssh BOX concmon stream`".to_owned();
                return Err(RecordError::Refused { path: name.to_owned(), why });
            }
            return Self::of(file, name);
        }
        // A pipe is opened once another program writes to it.
        let pipe = std::fs::metadata(path).is_ok_and(|facts| facts.file_type().is_fifo());
        let flags = if pipe { rustix::fs::OFlags::empty() } else { rustix::fs::OFlags::NONBLOCK };
        let flags = flags.bits().cast_signed();
        let file = std::fs::OpenOptions::new().read(true).custom_flags(flags).open(path).map_err(io)?;
        Self::of(file, path)
    }

    /// The same of an open file; `path` is its name in errors.
    pub(super) fn of(file: File, path: &Path) -> Result<Self, RecordError> {
        let io = |source| RecordError::Io { path: path.to_owned(), doing: "cannot be read", source };
        let refused = |why: String| RecordError::Refused { path: path.to_owned(), why };
        let facts = file.metadata().map_err(io)?;
        if facts.file_type().is_fifo() || facts.file_type().is_socket() {
            return Self::of_stream(file, path);
        }
        if !facts.is_file() {
            return Err(refused("is not a regular file or a pipe; a recording must be one".to_owned()));
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
        let mut replay = Self { file: Some(file), places, cut, ..Self::empty(path, system) };
        replay.leave_out_damaged_end()?;
        if replay.places.is_empty() {
            let why = replay.cut.as_deref().unwrap_or("the recording ended before its first frame");
            return Err(refused(format!("has no complete frame: {why}")));
        }
        Ok(replay)
    }

    fn empty(path: &Path, system: SystemInfo) -> Self {
        let path = path.to_owned();
        let (file, growing, places, cut, decoder) = (None, None, Vec::new(), None, Decoder::default());
        Self { file, growing, dropped: 0, kept_bytes: 0, path, system, places, cut, decoder, next: 0, shown: 0 }
    }

    fn of_stream(file: File, path: &Path) -> Result<Self, RecordError> {
        let io = |source| RecordError::Io { path: path.to_owned(), doing: "cannot be read", source };
        let refused = |why: String| RecordError::Refused { path: path.to_owned(), why };
        let growing = Growing::start(file).map_err(io)?;
        let system = growing.first().map_err(refused)?;
        let mut replay = Self { growing: Some(growing), ..Self::empty(path, system) };
        replay.take_in();
        match replay.cut() {
            Some(why) if replay.places.is_empty() => Err(refused(format!("has no complete frame: the stream {why}"))),
            _ => Ok(replay),
        }
    }

    /// Takes in the frames that have come of a stream, and drops the oldest above [`MOST_STREAM_BYTES`]; how many were dropped now.
    pub fn take_in(&mut self) -> usize {
        let Some(growing) = &self.growing else { return 0 };
        let (arrived, ended) = growing.take();
        for Arrived { head, content } in arrived {
            self.kept_bytes += content.len();
            self.places.push(Place { taken_ns: head.taken_ns, key: head.key, content: Content::Kept(head, content) });
        }
        if let Some(why) = ended {
            (self.cut, self.growing) = (Some(why), None);
        }
        let mut gone = 0;
        while self.kept_bytes > MOST_STREAM_BYTES
            && let Some(next) = self.key_after(gone)
        {
            let dropped = self.places[gone..next].iter();
            self.kept_bytes -=
                dropped.map(|place| if let Content::Kept(_, bytes) = &place.content { bytes.len() } else { 0 }).sum::<usize>();
            gone = next;
        }
        self.places.drain(..gone);
        self.next = self.next.checked_sub(gone).unwrap_or(usize::MAX);
        self.shown = self.shown.saturating_sub(gone);
        self.dropped += gone;
        gone
    }

    /// Whether more frames may come.
    #[must_use]
    pub fn is_growing(&self) -> bool {
        self.growing.is_some()
    }

    /// Frames of a stream that came before the first that is kept.
    #[must_use]
    pub fn dropped(&self) -> usize {
        self.dropped
    }

    /// Has a function called when [`Self::take_in`] has something to take in; of frames that come soon after one another perhaps once.
    pub fn on_growth(&self, told: impl Fn() + Send + 'static) {
        if let Some(growing) = &self.growing {
            growing.on_growth(Box::new(told));
        }
    }

    /// Reads a stream to its end.
    pub fn read_to_end(&mut self) {
        while let Some(growing) = &self.growing {
            growing.wait();
            self.take_in();
        }
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

    /// How many frames there are, or are kept of a stream; at least one.
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
            // Even after an error it does not go on in the middle.
            self.next = usize::MAX;
            let content = self.content(at)?;
            let damaged = || RecordError::Damaged { path: self.path.clone(), frame: self.dropped + at + 1 };
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
        let damaged = || RecordError::Damaged { path: self.path.clone(), frame: self.dropped + frame + 1 };
        let offset = match &self.places.get(frame).ok_or_else(damaged)?.content {
            Content::At(offset) => *offset,
            Content::Kept(head, content) => return layout::unpack(head, content).ok_or_else(damaged),
        };
        let file = self.file.as_ref().ok_or_else(damaged)?;
        let mut head = [0; FRAME_BYTES];
        file.read_exact_at(&mut head, offset).map_err(io)?;
        let head = FrameHead::read(&head).ok_or_else(damaged)?;
        let mut content = vec![0; head.length as usize];
        file.read_exact_at(&mut content, offset + FRAME_BYTES as u64).map_err(io)?;
        layout::unpack(&head, &content).ok_or_else(damaged)
    }

    /// Has [`Source::sample`] go on with this frame.
    pub fn go_to(&mut self, frame: usize) {
        self.shown = frame;
    }
}

impl Source for Replay {
    /// The next frame, for every request: what was not recorded is unknown. After the last, the last.
    fn sample(&mut self, _: &Request<'_>) -> Result<Snapshot, ReadError> {
        let snapshot = self.frame(self.shown);
        self.shown = (self.shown + 1).min(self.places.len().saturating_sub(1));
        snapshot.map_err(|error| ReadError::Malformed { path: self.path.clone(), what: error.to_string() })
    }
}

/// Walks from head to head; why it ends before the file does.
fn index(file: &File, begin: u64, end: u64) -> std::io::Result<(Vec<Place>, Option<String>)> {
    let mut places: Vec<Place> = Vec::new();
    let (mut offset, mut since_key) = (begin, SinceKey::default());
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
        if !since_key.admits(&head) {
            return Ok((places, Some(format!("is invalid after frame {whole}; only the frames before are shown"))));
        }
        let Some(next) = content_at.checked_add(u64::from(head.length)).filter(|next| *next <= end) else {
            return Ok((places, cut()));
        };
        places.push(Place { content: Content::At(offset), taken_ns: head.taken_ns, key: head.key });
        offset = next;
    }
    Ok((places, None))
}
