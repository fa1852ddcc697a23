//! Reads the memory of a running process with process_vm_readv(2), which neither stops nor changes it.

use std::io::IoSliceMut;
use std::path::PathBuf;

use nix::errno::Errno;
use nix::sys::uio::{RemoteIoVec, process_vm_readv};
use nix::unistd::Pid;

use super::error::ReadError;

/// The memory of one process.
#[derive(Debug, Clone, Copy)]
pub struct ProcessMemory {
    pid: i32,
}

impl ProcessMemory {
    /// Of the process with this pid; whose it is, the caller makes sure before and after.
    #[must_use]
    pub fn of(pid: i32) -> Self {
        Self { pid }
    }

    /// Fills `buffer` with what is at `address`; false if not all of that is mapped.
    ///
    /// # Errors
    /// [`ReadError::Vanished`] if the process is gone, [`ReadError::Denied`] if its memory may not be read (ptrace(2), "Ptrace access mode
    /// checking").
    pub fn read(&self, address: u64, buffer: &mut [u8]) -> Result<bool, ReadError> {
        let Ok(base) = usize::try_from(address) else { return Ok(false) };
        let wanted = buffer.len();
        let remote = [RemoteIoVec { base, len: wanted }];
        let path = || PathBuf::from(format!("the memory of process {}", self.pid));
        match process_vm_readv(Pid::from_raw(self.pid), &mut [IoSliceMut::new(buffer)], &remote) {
            Ok(length) => Ok(length == wanted),
            Err(Errno::EFAULT | Errno::EINVAL) => Ok(false),
            Err(Errno::ESRCH) => Err(ReadError::Vanished),
            Err(Errno::EPERM) => Err(ReadError::Denied { path: path() }),
            Err(Errno::ENOSYS) => {
                Err(ReadError::Unsupported { what: "reading the memory of a process (CONFIG_CROSS_MEMORY_ATTACH)" })
            }
            Err(errno) => Err(ReadError::Io { path: path(), source: errno.into() }),
        }
    }
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
        let memory = ProcessMemory::of(i32::try_from(std::process::id()).unwrap());
        let mut buffer = [0; 11];
        assert!(memory.read(known.as_ptr() as u64, &mut buffer).unwrap());
        assert_eq!(buffer, known);
        for nowhere in [0, 8, 1 << 62, u64::MAX, u64::MAX - 4] {
            assert!(!memory.read(nowhere, &mut buffer).unwrap(), "{nowhere:x}");
        }
        assert!(matches!(ProcessMemory::of(i32::MAX).read(4096, &mut buffer), Err(ReadError::Vanished)));
    }
}
