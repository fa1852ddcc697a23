//! The memory to read from: bytes at addresses, within a budget.

use std::collections::HashMap;

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
/// surely ends it. 2,000 threads of six frames each take 30,000 calls.
const MOST_BYTES: usize = 64 << 20;
const MOST_READS: usize = 400_000;

/// Pages of a memory by their addresses.
pub type Pages = HashMap<u64, Box<[u8]>>;

/// A memory within its budget.
#[derive(Debug)]
pub struct Reader<'m, M> {
    memory: &'m M,
    bytes_left: usize,
    reads_left: usize,
    /// Pages that were read since they were last forgotten; `None`: every read goes to the process.
    pages: Option<Pages>,
}

/// Bytes that are read at once while pages are kept.
const PAGE: u64 = 4096;

impl<'m, M: Memory> Reader<'m, M> {
    /// With the whole budget.
    pub fn new(memory: &'m M) -> Self {
        Self { memory, bytes_left: MOST_BYTES, reads_left: MOST_READS, pages: None }
    }

    /// Reads whole pages from here on and keeps them: of thousands of small objects many share a page. What was kept before is forgotten.
    pub fn keep_pages(&mut self) {
        self.pages = Some(HashMap::new());
    }

    /// Drops the kept pages: from here on they are read again.
    pub fn forget_pages(&mut self) {
        self.pages.iter_mut().for_each(HashMap::clear);
    }

    /// Every read goes to the process from here on.
    pub fn keep_none(&mut self) {
        self.pages = None;
    }

    /// Continues with these pages, or with none; returns those that were kept until now.
    pub fn set_pages(&mut self, pages: Option<Pages>) -> Option<Pages> {
        std::mem::replace(&mut self.pages, pages)
    }

    /// Whether half of the budget is spent: deep stacks are then read less far.
    pub fn is_low(&self) -> bool {
        self.bytes_left < MOST_BYTES / 2 || self.reads_left < MOST_READS / 2
    }

    /// Fills the buffer.
    pub fn fill(&mut self, address: u64, buffer: &mut [u8]) -> Result<(), Trouble> {
        if self.pages.is_none() || buffer.len() > PAGE as usize {
            return self.fill_now(address, buffer);
        }
        let mut done = 0;
        while done < buffer.len() {
            let at = address.wrapping_add(done as u64);
            let (page, offset) = (at & !(PAGE - 1), (at % PAGE) as usize);
            let part = (buffer.len() - done).min(PAGE as usize - offset);
            let Some(into) = buffer.get_mut(done..done + part) else { break };
            self.copy_page(page, offset, into)?;
            done += part;
        }
        Ok(())
    }

    fn copy_page(&mut self, page: u64, offset: usize, into: &mut [u8]) -> Result<(), Trouble> {
        let kept = |pages: &Option<Pages>, into: &mut [u8]| {
            let part = pages.as_ref()?.get(&page)?.get(offset..offset + into.len())?;
            into.copy_from_slice(part);
            Some(())
        };
        if kept(&self.pages, into).is_some() {
            return Ok(());
        }
        let mut bytes = vec![0; PAGE as usize];
        match self.fill_now(page, &mut bytes) {
            // Not all of it is there: perhaps what is wanted of it is.
            Err(Trouble::Torn(_)) => return self.fill_now(page.wrapping_add(offset as u64), into),
            read => read?,
        }
        if let Some(pages) = &mut self.pages {
            pages.insert(page, bytes.into());
        }
        kept(&self.pages, into).ok_or(Trouble::Torn("a pointer leads to unmapped memory"))
    }

    fn fill_now(&mut self, address: u64, buffer: &mut [u8]) -> Result<(), Trouble> {
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

    /// Eight bytes; `None` if they are beyond what was read.
    pub fn try_word(&self, offset: u64) -> Option<u64> {
        self.at::<8>(offset).map(u64::from_ne_bytes)
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
