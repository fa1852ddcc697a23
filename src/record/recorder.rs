//! Writes a recording: one private file, complete up to its last frame however the recording ends.

use std::fs::{File, OpenOptions};
use std::io::{IsTerminal as _, Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use super::RecordError;
use super::frame::Encoder;
use super::layout::{self, MAGIC, MOST_FRAMES};
use crate::kernel::error::ReadError;
use crate::kernel::source::{Needs, Request, Source};
use crate::snapshot::{Snapshot, give_back};

/// A frame that stands alone comes after so many: a jump reads as many at most, and a damaged one takes no more with it.
const KEY_EVERY: usize = 32;
/// Earlier if so many bytes have come since: a reader is to keep no more.
const KEY_AFTER_BYTES: usize = 32 << 20;

/// What a recording has of every process beside what the screen asks for, so that other columns and threads are there afterwards. Not
/// what would cost one more file of every process in `/proc` in every sweep, as switches do: the task iterator gives those unasked.
pub const ALWAYS: Needs = Needs::THREADS.union(Needs::SCHEDSTAT).union(Needs::CGROUP).union(Needs::EXE);

/// An open recording.
#[derive(Debug)]
pub struct Writer {
    file: File,
    path: PathBuf,
    encoder: Encoder,
    raw: Vec<u8>,
    begun: bool,
    since_key: usize,
    bytes_since_key: usize,
    frames: usize,
}

impl Writer {
    /// Makes the file, for its owner alone (mode 0600). A recording that is there already is replaced, anything else is left alone.
    ///
    /// # Errors
    /// If the file cannot be made, is something else than a recording, or another concmon is writing to it.
    pub fn create(path: &Path) -> Result<Self, RecordError> {
        let io = |doing: &'static str| move |source| RecordError::Io { path: path.to_owned(), doing, source };
        let refused = |why: &str| RecordError::Refused { path: path.to_owned(), why: why.to_owned() };
        let flags = (rustix::fs::OFlags::NOCTTY | rustix::fs::OFlags::NONBLOCK).bits();
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600).custom_flags(flags.cast_signed());
        let mut file = options.open(path).map_err(io("cannot be created"))?;
        let facts = file.metadata().map_err(io("cannot be created"))?;
        if facts.is_file() {
            let mut begin = Vec::new();
            (&file).take(MAGIC.len() as u64).read_to_end(&mut begin).map_err(io("cannot be created"))?;
            if !begin.is_empty() && begin != MAGIC {
                return Err(refused("exists and is not a recording: use another name"));
            }
            flock(&file, FlockOperation::NonBlockingLockExclusive)
                .map_err(|_| refused("is being written by another concmon: use another name"))?;
            // It holds the arguments of every user's programs.
            file.set_permissions(std::fs::Permissions::from_mode(0o600)).map_err(io("cannot be set to mode 0600"))?;
            file.set_len(0).map_err(io("cannot be started"))?;
            std::io::Seek::rewind(&mut file).map_err(io("cannot be started"))?;
        } else if !facts.file_type().is_char_device() || file.is_terminal() {
            return Err(refused("is not a regular file; a recording must be one"));
        }
        Ok(Self::of(file, path))
    }

    /// Writes to standard output, a pipe or a file of the caller's; each frame goes out at once.
    ///
    /// # Errors
    /// If standard output is a terminal, which shows no binary data, or is closed.
    pub fn standard_output() -> Result<Self, RecordError> {
        let path = PathBuf::from("standard output");
        let out = std::io::stdout();
        if out.is_terminal() {
            let why = "is a terminal, and a recording is binary: write it to a file or a pipe".to_owned();
            return Err(RecordError::Refused { path, why });
        }
        let file = out.as_fd().try_clone_to_owned();
        let file = file.map_err(|source| RecordError::Io { path: path.clone(), doing: "cannot be started", source })?;
        Ok(Self::of(file.into(), &path))
    }

    fn of(file: File, path: &Path) -> Self {
        let (encoder, path) = (Encoder::default(), path.to_owned());
        Self { file, path, encoder, raw: Vec::new(), begun: false, since_key: 0, bytes_since_key: 0, frames: 0 }
    }

    /// Writes a whole recording, and ends it.
    pub(super) fn fill(mut self, recording: &[u8]) -> Result<(), RecordError> {
        self.file.write_all(recording).map_err(|source| RecordError::Io { path: self.path, doing: "ends here", source })
    }

    /// Where it writes to.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a snapshot as the next frame, with one system call, so that a frame is there whole or was the last.
    ///
    /// # Errors
    /// If the file takes no more, or the snapshot is larger than a recording holds: nothing is to be written to it after that.
    pub fn write(&mut self, snapshot: &Snapshot) -> Result<(), RecordError> {
        let refused = |why: String| RecordError::Refused { path: self.path.clone(), why: format!("is no longer written: {why}") };
        let mut out = Vec::new();
        if !self.begun {
            out = layout::write_head(&snapshot.system).map_err(&refused)?;
        }
        if self.frames == MOST_FRAMES {
            return Err(refused(format!("it has {MOST_FRAMES} frames, the maximum")));
        }
        let key = !self.begun || self.since_key == KEY_EVERY || self.bytes_since_key > KEY_AFTER_BYTES;
        if key {
            self.encoder.forget();
            (self.since_key, self.bytes_since_key) = (0, 0);
        }
        self.raw.clear();
        self.encoder.encode(snapshot, &mut self.raw).map_err(&refused)?;
        out.extend(layout::write_frame(&self.raw, key, snapshot.taken_ns).map_err(&refused)?);
        let written = self.file.write_all(&out);
        give_back(&mut self.raw, 0);
        written.map_err(|source| RecordError::Io { path: self.path.clone(), doing: "ends here", source })?;
        self.begun = true;
        self.since_key += 1;
        self.bytes_since_key += self.raw.len();
        self.frames += 1;
        Ok(())
    }
}

/// A source that writes down what another one reads. If it can write no more it says so once and goes on reading.
pub struct Recorder<S> {
    source: S,
    writer: Option<Writer>,
    stopped: Box<dyn FnMut(String) + Send>,
}

impl<S: Source> Recorder<S> {
    /// `stopped` gets in one sentence why nothing is written any more. Without a writer it is the source alone.
    pub fn new(source: S, writer: Option<Writer>, stopped: impl FnMut(String) + Send + 'static) -> Self {
        Self { source, writer, stopped: Box::new(stopped) }
    }
}

impl<S: Source> Source for Recorder<S> {
    fn sample(&mut self, request: &Request<'_>) -> Result<Snapshot, ReadError> {
        let Some(writer) = &mut self.writer else { return self.source.sample(request) };
        let snapshot = self.source.sample(&Request { all: request.all | ALWAYS, ..*request })?;
        if let Err(error) = writer.write(&snapshot) {
            self.writer = None;
            (self.stopped)(format!("recording has stopped: {error}"));
        }
        Ok(snapshot)
    }
}
