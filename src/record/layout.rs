//! The file format of a recording: a head, then frames, each with its length and checksums, so that a cut file is readable up to its last
//! complete frame, and no value is used before it has been checked.
//!
//! ```text
//! head    "concmonR" | version u32 | length u32 | checksum u32 of what follows | SystemInfo (postcard)
//! frame   length u32 | raw length u32 | checksum u32 of the content | kind u32 | taken_ns u64 | checksum u32 of these | content (LZ4)
//! ```
//!
//! Numbers are little-endian, checksums are CRC-32. Content is [`super::frame`]'s.

use crate::snapshot::SystemInfo;

/// How a recording begins.
pub const MAGIC: &[u8; 8] = b"concmonR";
/// The format's version: another one is refused.
pub const VERSION: u32 = 4;
/// Bytes before the system information.
pub const HEAD_BYTES: usize = 20;
/// The most bytes of the system information: names of host and kernel are at most 64 each.
pub const MOST_SYSTEM_BYTES: u32 = 4096;
/// Bytes before a frame's content.
pub const FRAME_BYTES: usize = 28;
/// The most bytes of a frame's content as it was before it was packed: some 150,000 new processes.
pub const MOST_RAW_BYTES: u32 = 32 << 20;
/// A key frame comes at least after so many frames, which bounds what a jump costs: as many frames are read.
pub const MOST_BETWEEN_KEYS: usize = 256;
/// The most frames: forty-eight days at one a second.
pub const MOST_FRAMES: usize = 1 << 22;
/// The most that frames since a key frame may have together, unpacked: what they leave in memory is bounded by it.
const MOST_SINCE_KEY: u64 = 2 * MOST_RAW_BYTES as u64;
/// LZ4 makes nothing smaller by more than this.
const MOST_PACKED: u32 = 256;

/// What stands before a frame's content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameHead {
    /// Bytes of the content in the file.
    pub length: u32,
    /// Bytes of the content unpacked.
    pub raw_length: u32,
    /// Checksum of the content in the file.
    pub checksum: u32,
    /// Whether it stands alone.
    pub key: bool,
    /// When the snapshot was taken, `CLOCK_BOOTTIME` nanoseconds.
    pub taken_ns: u64,
}

/// Frames since the last key frame, of a file or of a stream.
#[derive(Debug, Clone, Copy, Default)]
pub struct SinceKey {
    begun: bool,
    frames: usize,
    bytes: u64,
}

impl SinceKey {
    /// Counts the next frame in. False if it may not follow: the first must be a key frame, and only so many frames and bytes may come
    /// before the next key frame.
    pub fn admits(&mut self, head: &FrameHead) -> bool {
        (self.frames, self.bytes) = if head.key { (0, 0) } else { (self.frames + 1, self.bytes) };
        self.bytes += u64::from(head.raw_length);
        let first = !std::mem::replace(&mut self.begun, true);
        (head.key || !first) && self.frames < MOST_BETWEEN_KEYS && self.bytes <= MOST_SINCE_KEY
    }
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// The head of a file.
///
/// # Errors
/// If the system's names are longer than Linux has them.
pub fn write_head(system: &SystemInfo) -> Result<Vec<u8>, String> {
    let body = postcard::to_stdvec(system).map_err(|error| error.to_string())?;
    let length = u32::try_from(body.len()).ok().filter(|length| *length <= MOST_SYSTEM_BYTES);
    let length = length.ok_or("the machine's names are too long for a recording")?;
    let mut head = Vec::with_capacity(HEAD_BYTES + body.len());
    head.extend_from_slice(MAGIC);
    for number in [VERSION, length, crc32fast::hash(&body)] {
        head.extend_from_slice(&number.to_le_bytes());
    }
    head.extend_from_slice(&body);
    Ok(head)
}

/// Length and checksum of the system information behind the first bytes of a file.
///
/// # Errors
/// Why it is not a recording that this concmon reads, in words that follow the file's name.
pub fn read_head(bytes: &[u8]) -> Result<(u32, u32), String> {
    let words = (u32_at(bytes, 8), u32_at(bytes, 12), u32_at(bytes, 16));
    let (true, (Some(version), Some(length), Some(checksum))) = (bytes.starts_with(MAGIC), words) else {
        return Err("is not a recording; `concmon --record FILE` makes one".to_owned());
    };
    if version != VERSION {
        return Err(format!("has recording format {version}; this concmon reads format {VERSION}: use the version that made it"));
    }
    if length > MOST_SYSTEM_BYTES {
        return Err("is a damaged recording: the description of its machine is too long".to_owned());
    }
    Ok((length, checksum))
}

/// The system information, if it is whole.
#[must_use]
pub fn read_system(bytes: &[u8], checksum: u32) -> Option<SystemInfo> {
    if crc32fast::hash(bytes) != checksum {
        return None;
    }
    postcard::from_bytes(bytes).ok()
}

impl FrameHead {
    /// Its bytes.
    #[must_use]
    pub fn write(&self) -> [u8; FRAME_BYTES] {
        let mut bytes = [0; FRAME_BYTES];
        for (at, number) in [self.length, self.raw_length, self.checksum, if self.key { 1 } else { 2 }].into_iter().enumerate() {
            bytes[at * 4..at * 4 + 4].copy_from_slice(&number.to_le_bytes());
        }
        bytes[16..24].copy_from_slice(&self.taken_ns.to_le_bytes());
        let checksum = crc32fast::hash(&bytes[..24]);
        bytes[24..].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// Reads it; `None` if it is damaged, or says what cannot be.
    #[must_use]
    pub fn read(bytes: &[u8; FRAME_BYTES]) -> Option<Self> {
        let word = |at: usize| u32_at(bytes, at);
        if word(24)? != crc32fast::hash(&bytes[..24]) {
            return None;
        }
        let (length, raw_length, checksum) = (word(0)?, word(4)?, word(8)?);
        let key = match word(12)? {
            1 => true,
            2 => false,
            _ => return None,
        };
        let plausible = raw_length <= MOST_RAW_BYTES && length <= most_packed(raw_length);
        let plausible = plausible && raw_length <= length.saturating_mul(MOST_PACKED);
        let taken_ns = u64::from_le_bytes(*bytes[16..].first_chunk()?);
        plausible.then_some(Self { length, raw_length, checksum, key, taken_ns })
    }
}

/// The most bytes that so many become in the file.
fn most_packed(raw_length: u32) -> u32 {
    raw_length + raw_length / 250 + 64
}

/// A frame as it is written: its head, then its content.
///
/// # Errors
/// If the content is larger than a frame may be.
pub fn write_frame(raw: &[u8], key: bool, taken_ns: u64) -> Result<Vec<u8>, String> {
    let raw_length = u32::try_from(raw.len()).ok().filter(|length| *length <= MOST_RAW_BYTES);
    let raw_length = raw_length.ok_or("a snapshot exceeds the size limit of a frame")?;
    let packed = lz4_flex::block::compress(raw);
    let length = u32::try_from(packed.len()).map_err(|error| error.to_string())?;
    let head = FrameHead { length, raw_length, checksum: crc32fast::hash(&packed), key, taken_ns };
    let mut frame = Vec::with_capacity(FRAME_BYTES + packed.len());
    frame.extend_from_slice(&head.write());
    frame.extend_from_slice(&packed);
    Ok(frame)
}

/// A frame's content unpacked; `None` if it is damaged.
#[must_use]
pub fn unpack(head: &FrameHead, content: &[u8]) -> Option<Vec<u8>> {
    if crc32fast::hash(content) != head.checksum {
        return None;
    }
    let raw = lz4_flex::block::decompress(content, head.raw_length as usize).ok()?;
    (raw.len() == head.raw_length as usize).then_some(raw)
}
