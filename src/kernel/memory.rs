//! Reads the memory of a running process through `/proc/PID/mem` (proc_pid_mem(5)), which neither stops nor changes it. The open file stays
//! that process's after its PID is reused, and is found by the PIDs that `/proc` shows. process_vm_readv(2) takes PIDs of concmon's own
//! namespace, which may be another process's.

use std::os::fd::{AsFd as _, OwnedFd};
use std::path::PathBuf;

use rustix::io::Errno;

use super::error::ReadError;
use super::proc_fs::{ProcFs, RelPath};

/// The smallest page of the architectures that Linux runs on, bytes.
const PAGE: u64 = 4096;

/// The memory of one process.
#[derive(Debug)]
pub struct ProcessMemory {
    file: OwnedFd,
    pid: i32,
}

impl ProcessMemory {
    /// Of the process that `fs` shows as `pid`.
    ///
    /// # Errors
    /// [`ReadError::Vanished`] if there is none, [`ReadError::Denied`] if its memory may not be read (ptrace(2), "Ptrace access mode
    /// checking").
    pub fn open(fs: &ProcFs, pid: i32) -> Result<Self, ReadError> {
        match fs.open_file(&RelPath::process(pid, "mem")) {
            Ok(file) => Ok(Self { file, pid }),
            Err(ReadError::Denied { .. }) => Err(ReadError::Denied { path: path(pid) }),
            Err(error) => Err(error),
        }
    }

    /// Fills `buffer` with what is at `address`; false if not all of that is mapped.
    ///
    /// # Errors
    /// [`ReadError::Vanished`] if the process is gone or executes another program.
    pub fn read(&self, address: u64, buffer: &mut [u8]) -> Result<bool, ReadError> {
        let wanted = buffer.len();
        loop {
            return match rustix::io::pread(self.file.as_fd(), &mut *buffer, address) {
                // The memory that was opened belongs to no process any more.
                Ok(0) if wanted > 0 => Err(ReadError::Vanished),
                Ok(length) => Ok(length == wanted),
                Err(Errno::INTR) => continue,
                Err(Errno::IO | Errno::FAULT | Errno::INVAL | Errno::OVERFLOW) => Ok(false),
                Err(Errno::SRCH) => Err(ReadError::Vanished),
                Err(Errno::PERM | Errno::ACCESS) => Err(ReadError::Denied { path: path(self.pid) }),
                Err(errno) => Err(ReadError::Io { path: path(self.pid), source: errno.into() }),
            };
        }
    }

    /// The bytes before the first 0 at `address`: a string of C. `None` if there is none within `most` bytes, rounded up to a page, or if
    /// it cannot be read.
    #[must_use]
    pub fn text(&self, mut address: u64, most: usize) -> Option<Vec<u8>> {
        let mut text = Vec::new();
        while text.len() < most {
            // A page is mapped as a whole.
            let length = PAGE - address % PAGE;
            let mut piece = vec![0; usize::try_from(length).ok()?];
            self.read(address, &mut piece).ok().filter(|whole| *whole)?;
            if let Some(end) = piece.iter().position(|byte| *byte == 0) {
                text.extend(&piece[..end]);
                return Some(text);
            }
            text.extend(piece);
            address = address.checked_add(length)?;
        }
        None
    }
}

fn path(pid: i32) -> PathBuf {
    PathBuf::from(format!("the memory of process {pid}"))
}

/// What keeps processes of the same user from reading each other's memory: `kernel.yama.ptrace_scope`; `None` without Yama.
#[must_use]
pub fn ptrace_scope() -> Option<u8> {
    std::fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope").ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_and_what_is_not_there_is_told() {
        let known = *b"known bytes";
        let fs = ProcFs::open("/proc").unwrap();
        let memory = ProcessMemory::open(&fs, i32::try_from(std::process::id()).unwrap()).unwrap();
        let mut buffer = [0; 11];
        assert!(memory.read(known.as_ptr() as u64, &mut buffer).unwrap());
        assert_eq!(buffer, known);
        for nowhere in [0, 8, 1 << 62, u64::MAX, u64::MAX - 4] {
            assert!(!memory.read(nowhere, &mut buffer).unwrap(), "{nowhere:x}");
        }
        let page = usize::try_from(PAGE).unwrap();
        let mut long = vec![b'x'; 3 * page];
        long[2 * page] = 0;
        assert_eq!(memory.text(long.as_ptr() as u64, 4 * page).as_deref(), Some(&long[..2 * page]));
        assert_eq!(memory.text(long.as_ptr() as u64, page), None, "too long");
        assert_eq!(memory.text(8, page), None);
        assert!(matches!(ProcessMemory::open(&fs, i32::MAX), Err(ReadError::Vanished)));
    }

    #[test]
    fn memory_of_a_process_that_is_gone_is_nobody_elses() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let fs = ProcFs::open("/proc").unwrap();
        let memory = ProcessMemory::open(&fs, child.id().cast_signed()).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(matches!(memory.read(4096, &mut [0; 8]), Err(ReadError::Vanished)));
    }
}
