//! Takes a stream apart as its bytes come, with the limits of a recording's file. Pure: no reading, no waiting.

use super::layout::{self, FRAME_BYTES, FrameHead, HEAD_BYTES, MAGIC, MOST_RAW_BYTES, SinceKey};
use crate::snapshot::SystemInfo;

/// A whole part of a stream.
#[derive(Debug)]
pub enum Part {
    /// The head: the machine that is recorded.
    System(Box<SystemInfo>),
    /// A frame: its head, and its content, not unpacked yet.
    Frame(FrameHead, Box<[u8]>),
}

/// Bytes of a stream, up to the next whole part.
#[derive(Debug)]
pub struct Parser {
    /// Not more than one part and what came with its end.
    bytes: Vec<u8>,
    /// Where the next part begins in `bytes`.
    at: usize,
    since_key: SinceKey,
    begun: bool,
    frames: usize,
    most_raw: u32,
}

impl Default for Parser {
    fn default() -> Self {
        Self::limited(MOST_RAW_BYTES)
    }
}

impl Parser {
    /// One that refuses frames of more than `most_raw` bytes unpacked.
    #[must_use]
    pub fn limited(most_raw: u32) -> Self {
        Self { bytes: Vec::new(), at: 0, since_key: SinceKey::default(), begun: false, frames: 0, most_raw }
    }

    /// Takes in what has come. Call [`Self::part`] until there is nothing more, or bytes pile up.
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.drain(..std::mem::take(&mut self.at));
        crate::snapshot::give_back(&mut self.bytes, bytes.len());
        self.bytes.extend_from_slice(bytes);
    }

    /// Whether the stream may end here: no part has begun.
    #[must_use]
    pub fn is_between_frames(&self) -> bool {
        self.begun && self.at == self.bytes.len()
    }

    /// The next whole part, if it is there.
    ///
    /// # Errors
    /// Why it is not a stream that this concmon reads, in words that follow its name. Nothing comes after that.
    pub fn part(&mut self) -> Result<Option<Part>, String> {
        if self.begun { self.frame() } else { self.head() }
    }

    fn head(&mut self) -> Result<Option<Part>, String> {
        let bytes = &self.bytes[self.at..];
        if !MAGIC.starts_with(&bytes[..bytes.len().min(MAGIC.len())]) {
            return Err("is not a recording; `concmon stream` makes one".to_owned());
        }
        if bytes.len() < HEAD_BYTES {
            return Ok(None);
        }
        let (length, checksum) = layout::read_head(bytes)?;
        let Some(system) = bytes.get(HEAD_BYTES..HEAD_BYTES + length as usize) else { return Ok(None) };
        let system = layout::read_system(system, checksum).ok_or("is damaged: the description of its machine is wrong")?;
        self.at += HEAD_BYTES + length as usize;
        self.begun = true;
        Ok(Some(Part::System(Box::new(system))))
    }

    fn frame(&mut self) -> Result<Option<Part>, String> {
        let bytes = &self.bytes[self.at..];
        let Some(head) = bytes.first_chunk::<FRAME_BYTES>() else { return Ok(None) };
        let whole = self.frames;
        let head = FrameHead::read(head).ok_or_else(|| format!("is damaged after frame {whole}"))?;
        if head.raw_length > self.most_raw {
            return Err(format!(
                "has a frame of {} bytes after frame {whole}; at most {} are read",
                head.raw_length, self.most_raw
            ));
        }
        let Some(content) = bytes.get(FRAME_BYTES..FRAME_BYTES + head.length as usize) else { return Ok(None) };
        if !self.since_key.admits(&head) {
            return Err(format!("is invalid after frame {whole}"));
        }
        let content = content.into();
        self.at += FRAME_BYTES + head.length as usize;
        self.frames += 1;
        Ok(Some(Part::Frame(head, content)))
    }
}
