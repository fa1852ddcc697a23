//! Thin file access below an injectable `/proc`: opens relative to one kept directory, reads into the caller's buffer.
//! All errors of the operating system become [`ReadError`] here.

use std::ffi::CStr;
use std::fmt::Write as _;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Mode, OFlags, RawDir};
use rustix::io::Errno;

use super::error::ReadError;

/// A path below the root, built without allocating: `PID/task/TID/leaf` at the longest.
pub struct RelPath {
    bytes: [u8; 96],
    len: usize,
}

impl std::fmt::Write for RelPath {
    fn write_str(&mut self, part: &str) -> std::fmt::Result {
        // One byte stays free: it is the NUL that ends the C string.
        let end = self.len.checked_add(part.len()).filter(|end| *end < self.bytes.len()).ok_or(std::fmt::Error)?;
        self.bytes[self.len..end].copy_from_slice(part.as_bytes());
        self.len = end;
        Ok(())
    }
}

impl RelPath {
    fn of(arguments: std::fmt::Arguments<'_>) -> Self {
        let mut path = Self { bytes: [0; 96], len: 0 };
        // Callers pass two numbers and a short literal; a longer path would end up cut and then not be found.
        let _ = path.write_fmt(arguments);
        path
    }

    /// `PID/leaf`.
    #[must_use]
    pub fn process(pid: i32, leaf: &str) -> Self {
        Self::of(format_args!("{pid}/{leaf}"))
    }

    /// `PID/task/TID/leaf`.
    #[must_use]
    pub fn task(pid: i32, tid: i32, leaf: &str) -> Self {
        Self::of(format_args!("{pid}/task/{tid}/{leaf}"))
    }

    /// `PID/fd/N`.
    #[must_use]
    pub fn descriptor(pid: i32, fd: i32) -> Self {
        Self::of(format_args!("{pid}/fd/{fd}"))
    }

    /// `PID/fdinfo/N`.
    #[must_use]
    pub fn descriptor_info(pid: i32, fd: i32) -> Self {
        Self::of(format_args!("{pid}/fdinfo/{fd}"))
    }

    /// `PID/map_files/START-END`: the file behind a mapping, even if its name leads to another by now.
    #[must_use]
    pub fn mapped_file(pid: i32, start: u64, end: u64) -> Self {
        Self::of(format_args!("{pid}/map_files/{start:x}-{end:x}"))
    }

    /// A file of the root itself.
    #[must_use]
    pub fn top(leaf: &str) -> Self {
        Self::of(format_args!("{leaf}"))
    }

    fn as_c_str(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.bytes).unwrap_or(c"")
    }

    fn as_path(&self) -> &Path {
        Path::new(std::str::from_utf8(&self.bytes[..self.len]).unwrap_or(""))
    }
}

/// A kept handle on `/proc` (or on a tree that looks like it).
#[derive(Debug)]
pub struct ProcFs {
    root: PathBuf,
    dir: OwnedFd,
    /// Whether it is the kernel's own file system and not a tree that looks like it.
    genuine: bool,
}

impl ProcFs {
    /// Opens a mounted process file system.
    ///
    /// # Errors
    /// [`ReadError::NoProc`] if there is none, as in a chroot or a rescue shell, or if it shows no process.
    pub fn open(root: impl Into<PathBuf>) -> Result<Self, ReadError> {
        let fs = Self::open_tree(root)?;
        let nothing = |why| ReadError::NoProc { path: fs.root.clone(), why };
        if !fs.genuine {
            return Err(nothing("is not the process file system (proc)"));
        }
        // Without a `self` it belongs to a namespace that concmon is not in: of one that has ended nothing is left to show.
        if !fs.has("self") {
            if !fs.has("stat") {
                return Err(nothing("has neither self nor stat"));
            }
            fs.list_pids(&mut Vec::new())?;
        }
        Ok(fs)
    }

    /// Opens any directory: a tree of files that looks like `/proc`, as tests make it.
    ///
    /// # Errors
    /// [`ReadError::NoProc`] if there is no such directory; otherwise as the operating system says.
    pub fn open_tree(root: impl Into<PathBuf>) -> Result<Self, ReadError> {
        let root = root.into();
        let dir = rustix::fs::open(&root, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
        let dir = dir.map_err(|errno| match errno {
            Errno::NOENT | Errno::NOTDIR => ReadError::NoProc { path: root.clone(), why: "is missing" },
            errno => ReadError::Io { path: root.clone(), source: errno.into() },
        })?;
        let genuine = rustix::fs::fstatfs(&dir).is_ok_and(|statfs| statfs.f_type == rustix::fs::PROC_SUPER_MAGIC);
        Ok(Self { root, dir, genuine })
    }

    /// Another handle on the same directory, for another thread.
    ///
    /// # Errors
    /// As the operating system says.
    pub fn again(&self) -> Result<Self, ReadError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let dir = rustix::fs::openat(&self.dir, c".", flags, Mode::empty());
        let dir = dir.map_err(|errno| self.error(&RelPath::top("."), errno))?;
        Ok(Self { root: self.root.clone(), dir, genuine: self.genuine })
    }

    fn has(&self, leaf: &str) -> bool {
        rustix::fs::statat(&self.dir, leaf, AtFlags::empty()).is_ok()
    }

    /// The directory's path.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Opens a file below the root for reading.
    ///
    /// # Errors
    /// As the operating system says.
    pub fn open_file(&self, path: &RelPath) -> Result<OwnedFd, ReadError> {
        rustix::fs::openat(&self.dir, path.as_c_str(), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
            .map_err(|errno| self.error(path, errno))
    }

    /// Opens what a path leads to without opening the thing itself (`O_PATH`): a look at a device or a pipe must not touch it.
    ///
    /// # Errors
    /// As the operating system says.
    pub fn open_place(&self, path: &RelPath) -> Result<OwnedFd, ReadError> {
        rustix::fs::openat(&self.dir, path.as_c_str(), OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
            .map_err(|errno| self.error(path, errno))
    }

    /// As [`ProcFs::open_file`] for a link that leads out of `/proc`: its target is opened without a wait, and does not become a
    /// terminal of this process.
    ///
    /// # Errors
    /// As the operating system says.
    pub fn open_quietly(&self, path: &RelPath) -> Result<OwnedFd, ReadError> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
        rustix::fs::openat(&self.dir, path.as_c_str(), flags, Mode::empty()).map_err(|errno| self.error(path, errno))
    }

    /// Reads a kept descriptor again from its beginning, in one read; the kernel makes the content again. For files that the kernel
    /// bounds: one that fills `buffer` may have been cut, and is refused.
    ///
    /// # Errors
    /// [`ReadError::Vanished`] once the task behind it has been reaped, even if its pid was given to another;
    /// [`ReadError::Malformed`] if the file is longer than `buffer`.
    pub fn reread<'b>(&self, file: BorrowedFd<'_>, path: &RelPath, buffer: &'b mut [u8]) -> Result<&'b [u8], ReadError> {
        let length = rustix::io::pread(file, &mut *buffer, 0).map_err(|errno| self.error(path, errno))?;
        if length == buffer.len() {
            return Err(self.malformed(path, super::parse::ParseError("it is longer than such a file can be")));
        }
        Ok(&buffer[..length])
    }

    /// Opens, reads once and closes: right for files that the kernel bounds.
    ///
    /// # Errors
    /// As [`ProcFs::reread`].
    pub fn read_once<'b>(&self, path: &RelPath, buffer: &'b mut [u8]) -> Result<&'b [u8], ReadError> {
        let file = self.open_file(path)?;
        self.reread(file.as_fd(), path, buffer)
    }

    /// Reads a file of one record (seq_file with `single_open`: `status`, `smaps_rollup`, `cgroup`) whole, however long it is: `status`
    /// lists up to 65,536 groups. `buffer` grows as needed. The usual file takes one read, as the kernel writes such a record at once.
    ///
    /// # Errors
    /// As the operating system says; [`ReadError::Malformed`] for more than 2 MiB.
    pub fn read_whole<'b>(&self, path: &RelPath, buffer: &'b mut Vec<u8>) -> Result<&'b [u8], ReadError> {
        /// 65,536 groups of eleven digits, and as much again.
        const MOST: usize = 2 << 20;
        /// A buffer that one long file has made is not kept.
        const USUAL: usize = 4096;
        let file = self.open_file(path)?;
        if buffer.len() != USUAL {
            buffer.resize(USUAL, 0);
            buffer.shrink_to(USUAL);
        }
        let mut length = 0;
        loop {
            match rustix::io::pread(&file, &mut buffer[length..], length as u64) {
                Ok(more) if length + more < buffer.len() => return Ok(&buffer[..length + more]),
                Ok(more) => length += more,
                Err(Errno::INTR) => continue,
                Err(errno) => return Err(self.error(path, errno)),
            }
            if length >= MOST {
                return Err(self.malformed(path, super::parse::ParseError("it is longer than 2 MiB")));
            }
            buffer.resize(length * 2, 0);
        }
    }

    /// Reads a whole file of any length, up to `limit` bytes, into `buffer`, which is emptied first. Callers compare the length with the
    /// limit: at the limit, the last line may be cut.
    ///
    /// # Errors
    /// As the operating system says.
    pub fn read_all(&self, path: &RelPath, limit: usize, buffer: &mut Vec<u8>) -> Result<(), ReadError> {
        let file = self.open_file(path)?;
        buffer.clear();
        let mut chunk = [0u8; 4096];
        while buffer.len() < limit {
            let wanted = chunk.len().min(limit - buffer.len());
            match rustix::io::read(&file, &mut chunk[..wanted]) {
                Ok(0) => break,
                Ok(length) => buffer.extend_from_slice(&chunk[..length]),
                Err(Errno::INTR) => {}
                Err(errno) => return Err(self.error(path, errno)),
            }
        }
        Ok(())
    }

    /// Reads the lines of a file of any length, up to `limit` bytes, into `buffer`. A line that the limit cuts is left out.
    ///
    /// # Errors
    /// As the operating system says.
    pub fn read_lines(&self, path: &RelPath, limit: usize, buffer: &mut Vec<u8>) -> Result<(), ReadError> {
        self.read_all(path, limit, buffer)?;
        if buffer.len() >= limit {
            buffer.truncate(buffer.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1));
        }
        Ok(())
    }

    /// Where a symbolic link points.
    ///
    /// # Errors
    /// As the operating system says.
    pub fn read_link(&self, path: &RelPath) -> Result<Box<[u8]>, ReadError> {
        rustix::fs::readlinkat(&self.dir, path.as_c_str(), Vec::new())
            .map(|target| target.into_bytes().into_boxed_slice())
            .map_err(|errno| self.error(path, errno))
    }

    /// The user id that owns `PID`'s directory: the process's effective one (root's if it is not dumpable).
    ///
    /// # Errors
    /// As the operating system says.
    pub fn owner(&self, pid: i32) -> Result<u32, ReadError> {
        let path = RelPath::of(format_args!("{pid}"));
        rustix::fs::statat(&self.dir, path.as_c_str(), AtFlags::empty())
            .map(|stat| stat.st_uid)
            .map_err(|errno| self.error(&path, errno))
    }

    /// Holds the directory of a process: what is opened below it is that process's own, or fails once it has been reaped.
    ///
    /// # Errors
    /// [`ReadError::Vanished`] if there is none with this number.
    pub fn hold(&self, pid: i32) -> Result<OwnedFd, ReadError> {
        let path = RelPath::of(format_args!("{pid}"));
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        rustix::fs::openat(&self.dir, path.as_c_str(), flags, Mode::empty()).map_err(|errno| self.error(&path, errno))
    }

    /// The pids present, ascending, into `pids`, which is emptied first.
    ///
    /// # Errors
    /// If the directory cannot be listed; [`ReadError::NoProc`] if a mounted `/proc` shows no process, not even concmon.
    pub fn list_pids(&self, pids: &mut Vec<i32>) -> Result<(), ReadError> {
        rustix::fs::seek(&self.dir, rustix::fs::SeekFrom::Start(0)).map_err(|errno| self.error(&RelPath::top("."), errno))?;
        self.list_numbers(self.dir.as_fd(), pids, 32 * 1024).map_err(|errno| self.error(&RelPath::top("."), errno))?;
        if pids.is_empty() && self.genuine {
            return Err(ReadError::NoProc { path: self.root.clone(), why: "shows no process: its PID namespace has ended" });
        }
        Ok(())
    }

    /// The tids of `pid`, ascending, into `tids`, which is emptied first.
    ///
    /// # Errors
    /// [`ReadError::Vanished`] if the process is gone.
    pub fn list_tids(&self, pid: i32, tids: &mut Vec<i32>) -> Result<(), ReadError> {
        let path = RelPath::process(pid, "task");
        let dir =
            rustix::fs::openat(&self.dir, path.as_c_str(), OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
                .map_err(|errno| self.error(&path, errno))?;
        self.list_numbers(dir.as_fd(), tids, 32 * 1024).map_err(|errno| self.error(&path, errno))
    }

    /// The open descriptors of `pid`, ascending, into `numbers`, which is emptied first.
    ///
    /// # Errors
    /// [`ReadError::Denied`] for processes of others.
    pub fn list_fds(&self, pid: i32, numbers: &mut Vec<i32>) -> Result<(), ReadError> {
        let path = RelPath::process(pid, "fd");
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let dir =
            rustix::fs::openat(&self.dir, path.as_c_str(), flags, Mode::empty()).map_err(|errno| self.error(&path, errno))?;
        self.list_numbers(dir.as_fd(), numbers, 32 * 1024).map_err(|errno| self.error(&path, errno))
    }

    /// Whether a descriptor was opened for reading and for writing, as the permissions of its link say (proc_pid_fd(5)).
    ///
    /// # Errors
    /// As the operating system says.
    pub fn descriptor_mode(&self, pid: i32, fd: i32) -> Result<(bool, bool), ReadError> {
        let path = RelPath::descriptor(pid, fd);
        let stat = rustix::fs::statat(&self.dir, path.as_c_str(), AtFlags::SYMLINK_NOFOLLOW)
            .map_err(|errno| self.error(&path, errno))?;
        Ok((stat.st_mode & 0o400 != 0, stat.st_mode & 0o200 != 0))
    }

    /// How many entries `PID/fd` has.
    ///
    /// # Errors
    /// [`ReadError::Denied`] for processes of others.
    pub fn count_fds(&self, pid: i32) -> Result<u32, ReadError> {
        let path = RelPath::process(pid, "fd");
        // Since Linux 6.2 the directory's size is the number of open descriptors; before, it is 0 and must be listed.
        let stat = rustix::fs::statat(&self.dir, path.as_c_str(), AtFlags::empty()).map_err(|errno| self.error(&path, errno))?;
        let dir =
            rustix::fs::openat(&self.dir, path.as_c_str(), OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
                .map_err(|errno| self.error(&path, errno))?;
        if let Ok(count @ 1..) = u32::try_from(stat.st_size)
            && self.genuine
        {
            return Ok(count);
        }
        let mut numbers = Vec::new();
        self.list_numbers(dir.as_fd(), &mut numbers, 4096).map_err(|errno| self.error(&path, errno))?;
        Ok(u32::try_from(numbers.len()).unwrap_or(u32::MAX))
    }

    fn list_numbers(&self, dir: BorrowedFd<'_>, numbers: &mut Vec<i32>, buffer_bytes: usize) -> Result<(), Errno> {
        numbers.clear();
        let mut buffer: Vec<u8> = Vec::with_capacity(buffer_bytes);
        let spare: &mut [MaybeUninit<u8>] = buffer.spare_capacity_mut();
        let mut entries = RawDir::new(dir, spare);
        while let Some(entry) = entries.next() {
            // Bytes first: most names are numbers, and a number beyond 32 bits is no pid.
            let number = super::parse::unsigned(entry?.file_name().to_bytes()).and_then(|number| i32::try_from(number).ok());
            numbers.extend(number);
        }
        // The kernel lists them ascending; an ordinary file system, as tests use, does not.
        if !numbers.is_sorted() {
            numbers.sort_unstable();
        }
        numbers.dedup();
        Ok(())
    }

    /// A [`ReadError::Malformed`] for `path`.
    #[must_use]
    pub fn malformed(&self, path: &RelPath, what: super::parse::ParseError) -> ReadError {
        ReadError::Malformed { path: self.root.join(path.as_path()), what: what.to_string() }
    }

    fn error(&self, path: &RelPath, errno: Errno) -> ReadError {
        match errno {
            Errno::NOENT | Errno::SRCH => ReadError::Vanished,
            Errno::ACCESS | Errno::PERM => ReadError::Denied { path: self.root.join(path.as_path()) },
            _ => ReadError::Io { path: self.root.join(path.as_path()), source: errno.into() },
        }
    }
}

/// Whether the error means that descriptors have run out.
#[must_use]
pub fn out_of_descriptors(error: &ReadError) -> bool {
    matches!(error, ReadError::Io { source, .. } if matches!(source.raw_os_error(), Some(libc::EMFILE | libc::ENFILE)))
}
