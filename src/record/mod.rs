//! Recordings: every snapshot of a sampler in a file, and a [`crate::kernel::source::Source`] that replays the file.
//!
//! * [`row`], [`frame`]: a snapshot as its differences from the previous one.
//! * [`layout`]: frames in a file, each with its checksum.
//! * [`Recorder`]: a source that writes what another one reads.
//! * [`Flight`]: the last minutes of a live session in memory.
//! * [`Replay`]: a recording, frame by frame, forwards and back; `growing`: one that still grows, from a pipe.
//! * [`Parser`]: frames of a stream as its bytes come.

mod flight;
mod frame;
mod growing;
mod layout;
mod number;
mod parser;
mod recorder;
mod replay;
mod row;

pub use flight::{Flight, FlightRecorder, MOST_BYTES as MOST_FLIGHT_BYTES};
pub use frame::{Decoder, Encoder};
pub use layout::{FrameHead, unpack};
pub use parser::{Parser, Part};
pub use recorder::{ALWAYS, Recorder, Writer};
pub use replay::{MOST_STREAM_BYTES, Replay};

/// Why there is no recording, or no frame: one sentence with the file's name.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The system refused.
    #[error("{path}: the recording {doing}: {source}")]
    Io {
        /// Which file.
        path: std::path::PathBuf,
        /// What could not be done.
        doing: &'static str,
        /// Why not.
        source: std::io::Error,
    },
    /// The file is not what it should be.
    #[error("{path} {why}")]
    Refused {
        /// Which file.
        path: std::path::PathBuf,
        /// Why, and what to do.
        why: String,
    },
    /// A frame, counted from 1, is damaged.
    #[error("frame {frame} of {path} is damaged")]
    Damaged {
        /// Which file.
        path: std::path::PathBuf,
        /// Which frame, from 1.
        frame: usize,
    },
}

/// Bytes of a frame as a stream has them, with the stream's head before it if `first`.
#[cfg(test)]
pub(crate) fn test_stream(raw: &[u8], key: bool, snapshot: &crate::snapshot::Snapshot, first: bool) -> Vec<u8> {
    let mut bytes = if first { layout::write_head(&snapshot.system).unwrap_or_default() } else { Vec::new() };
    bytes.extend(layout::write_frame(raw, key, snapshot.taken_ns).unwrap_or_default());
    bytes
}
