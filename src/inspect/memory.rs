//! The memory to read from: bytes at addresses, within a budget.

use crate::kernel::error::ReadError;
use crate::kernel::memory::ProcessMemory;

use super::Trouble;

/// Bytes at addresses: a process's memory, or a test's.
pub trait Memory {
    /// Fills `buffer` with what is at `address`; false if not all of that is there.
    ///
    /// # Errors
    /// If nothing can be read, there or anywhere.
    fn read(&self, address: u64, buffer: &mut [u8]) -> Result<bool, ReadError>;
}

impl Memory for ProcessMemory {
    fn read(&self, address: u64, buffer: &mut [u8]) -> Result<bool, ReadError> {
        ProcessMemory::read(self, address, buffer)
    }
}

/// The most bytes that one reading reads, and the most calls: what was read decides what is read next, so that only a fixed bound
/// ends it in any case. 2,000 threads of six frames each take 30,000 calls.
const MOST_BYTES: usize = 64 << 20;
const MOST_READS: usize = 400_000;

/// A memory within its budget.
#[derive(Debug)]
pub struct Reader<'m, M> {
    memory: &'m M,
    bytes_left: usize,
    reads_left: usize,
}

impl<'m, M: Memory> Reader<'m, M> {
    /// With the whole budget.
    pub fn new(memory: &'m M) -> Self {
        Self { memory, bytes_left: MOST_BYTES, reads_left: MOST_READS }
    }

    /// Whether half of the budget is spent: deep stacks are then read less far.
    pub fn is_low(&self) -> bool {
        self.bytes_left < MOST_BYTES / 2 || self.reads_left < MOST_READS / 2
    }

    /// Fills the buffer.
    pub fn fill(&mut self, address: u64, buffer: &mut [u8]) -> Result<(), Trouble> {
        let left = self.bytes_left.checked_sub(buffer.len()).zip(self.reads_left.checked_sub(1));
        (self.bytes_left, self.reads_left) = left.ok_or(Trouble::TooMuch)?;
        if self.memory.read(address, buffer)? { Ok(()) } else { Err(Trouble::Torn("a pointer leads to unmapped memory")) }
    }

    /// So many bytes.
    pub fn bytes(&mut self, address: u64, len: usize) -> Result<Vec<u8>, Trouble> {
        if len > self.bytes_left {
            return Err(Trouble::TooMuch);
        }
        let mut buffer = vec![0; len];
        self.fill(address, &mut buffer)?;
        Ok(buffer)
    }

    /// A word, as pointers and sizes are.
    pub fn word(&mut self, address: u64) -> Result<u64, Trouble> {
        let mut buffer = [0; 8];
        self.fill(address, &mut buffer)?;
        Ok(u64::from_ne_bytes(buffer))
    }
}

/// The beginning of a structure, from which fields are taken by their offsets.
#[derive(Debug)]
pub struct Fields(Vec<u8>);

impl Fields {
    /// Reads as much of the structure at `address` as the words at these offsets take.
    pub fn read<M: Memory>(reader: &mut Reader<'_, M>, address: u64, offsets: &[u64]) -> Result<Self, Trouble> {
        let most = offsets.iter().copied().max().unwrap_or(0);
        reader.bytes(address, usize::try_from(most).map_err(|_| Trouble::TooMuch)?.saturating_add(8)).map(Self)
    }

    /// Eight bytes.
    pub fn word(&self, offset: u64) -> u64 {
        self.at::<8>(offset).map_or(0, u64::from_ne_bytes)
    }

    /// Four bytes with a sign, as an `int` is.
    pub fn int(&self, offset: u64) -> i32 {
        self.at::<4>(offset).map_or(0, i32::from_ne_bytes)
    }

    /// One byte.
    pub fn byte(&self, offset: u64) -> u8 {
        self.at::<1>(offset).map_or(0, |[byte]| byte)
    }

    /// What was asked for when it was read is there: nothing else is asked for.
    fn at<const N: usize>(&self, offset: u64) -> Option<[u8; N]> {
        let at = usize::try_from(offset).ok()?;
        self.0.get(at..at.checked_add(N)?)?.try_into().ok()
    }
}
