//! A file system that stops answering, as a network file system does whose server is gone: FUSE (fuse(4)), served by a thread of the
//! test, mounted in a mount namespace of the calling thread and of what it starts. And a process that holds its memory map locked on it.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use nix::mount::{MsFlags, mount};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::{CloneFlags, unshare};

/// Bytes of its files.
const SIZE: u64 = 1 << 20;
/// Its directory, and its file "f", whose writes are never answered.
const ROOT: u64 = 1;
const WRITES_HANG: u64 = 2;

/// The mounted file system. Dropping it aborts the connection: every waiting request fails.
pub struct HungFs {
    directory: tempfile::TempDir,
    end: UnixStream,
    hung: Arc<AtomicBool>,
    server: Option<JoinHandle<()>>,
}

impl HungFs {
    /// Gives the calling thread a mount namespace and mounts it there.
    ///
    /// # Errors
    /// Why that is not possible here: it takes root and /dev/fuse.
    pub fn mount() -> Result<Self, String> {
        let device = File::options().read(true).write(true).open("/dev/fuse").map_err(|e| format!("/dev/fuse: {e}"))?;
        unshare(CloneFlags::CLONE_NEWNS).map_err(|e| format!("a mount namespace: {e}"))?;
        let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
        mount(None::<&str>, "/", None::<&str>, private, None::<&str>).map_err(|e| format!("a private namespace: {e}"))?;
        let directory = tempfile::tempdir().map_err(|e| e.to_string())?;
        let options = format!("fd={},rootmode=40000,user_id=0,group_id=0,allow_other", device.as_raw_fd());
        mount(Some("hung"), directory.path(), Some("fuse"), MsFlags::empty(), Some(options.as_str()))
            .map_err(|e| format!("mounting FUSE: {e}"))?;
        let (end, ended) = UnixStream::pair().map_err(|e| e.to_string())?;
        let hung = Arc::new(AtomicBool::new(false));
        let theirs = Arc::clone(&hung);
        let server = std::thread::spawn(move || serve(&device, &ended, &theirs));
        Ok(Self { directory, end, hung, server: Some(server) })
    }

    /// Its file.
    pub fn file(&self) -> PathBuf {
        self.directory.path().join("f")
    }

    /// Where it is mounted.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Mounts its file over another one. It hangs from then on.
    ///
    /// # Errors
    /// As mount(2) says.
    pub fn hang_over(&self, target: &str) -> nix::Result<()> {
        let file = nix::fcntl::open(&self.file(), nix::fcntl::OFlag::O_PATH, nix::sys::stat::Mode::empty())?;
        self.hang();
        let path = format!("/proc/self/fd/{}", file.as_raw_fd());
        mount(Some(path.as_str()), target, None::<&str>, MsFlags::MS_BIND, None::<&str>)
    }

    /// From now on nothing is answered.
    pub fn hang(&self) {
        self.hung.store(true, Ordering::SeqCst);
    }
}

impl Drop for HungFs {
    fn drop(&mut self) {
        let _ = self.end.write_all(b"e");
        // The device is closed by it, which aborts the connection.
        let _ = self.server.take().map(JoinHandle::join);
        let _ = nix::mount::umount2(self.directory.path(), nix::mount::MntFlags::MNT_DETACH);
    }
}

fn serve(mut device: &File, ended: &UnixStream, hung: &AtomicBool) {
    let mut buffer = vec![0; 1 << 18];
    loop {
        // A request that the server has not read yet ends with the process that made it.
        let wanted = if hung.load(Ordering::SeqCst) { PollFlags::empty() } else { PollFlags::POLLIN };
        let mut fds = [PollFd::new(device.as_fd(), wanted), PollFd::new(ended.as_fd(), PollFlags::POLLIN)];
        if poll(&mut fds, PollTimeout::from(100u8)).is_err() || fds[1].any() == Some(true) {
            return;
        }
        if fds[0].any() != Some(true) || hung.load(Ordering::SeqCst) {
            continue;
        }
        let Ok(length) = device.read(&mut buffer) else { return };
        if let Some(answer) = answer(&buffer[..length]) {
            // One that was interrupted meanwhile wants no answer any more.
            let _ = device.write(&answer);
        }
    }
}

/// The answer to a request (include/uapi/linux/fuse.h); `None`: there is none.
fn answer(request: &[u8]) -> Option<Vec<u8>> {
    let u32_at = |at: usize| request.get(at..at + 4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]));
    let u64_at = |at: usize| Some(u64::from(u32_at(at)?) | u64::from(u32_at(at + 4)?) << 32);
    let (opcode, unique, node) = (u32_at(4)?, u64_at(8)?, u64_at(16)?);
    let body: Result<Vec<u8>, i32> = match opcode {
        // INIT comes before anything can hang.
        26 => Ok(words(&[7, 31, 1 << 16, 0, 0, 1 << 17, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0])),
        // FORGET, BATCH_FORGET and INTERRUPT want no answer.
        2 | 42 | 36 => return None,
        // LOOKUP
        1 => match request.get(40..)?.split(|b| *b == 0).next()? {
            b"f" => Ok(entry(WRITES_HANG)),
            _ => Err(nix::libc::ENOENT),
        },
        // GETATTR, SETATTR
        3 | 4 => Ok([words(&[0, 0, 0, 0]), attributes(node)].concat()),
        // OPEN, OPENDIR
        14 | 27 => Ok(words(&[1, 0, 0, 0])),
        // READ, WRITE
        16 => return None,
        15 => Ok(vec![b'A'; usize::try_from(u64::from(u32_at(56)?).min(SIZE.saturating_sub(u64_at(48)?))).ok()?]),
        _ => Err(nix::libc::ENOSYS),
    };
    let (error, body) = match body {
        Ok(body) => (0, body),
        Err(errno) => (errno, Vec::new()),
    };
    let length = u32::try_from(16 + body.len()).ok()?;
    Some([&length.to_le_bytes()[..], &(-error).to_le_bytes(), &unique.to_le_bytes(), &body].concat())
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

/// `fuse_attr` of a node; nothing of it is kept by the kernel.
fn attributes(node: u64) -> Vec<u8> {
    let (mode, size) = if node == ROOT { (0o040_755, 0) } else { (0o100_666, SIZE) };
    let numbers = [node, size, size / 512, 0, 0, 0].iter().flat_map(|n| n.to_le_bytes()).collect::<Vec<u8>>();
    [numbers, words(&[0, 0, 0, mode, 1, 0, 0, 0, 4096, 0])].concat()
}

fn entry(node: u64) -> Vec<u8> {
    let head = [node, 0, 0, 0].iter().flat_map(|n| n.to_le_bytes()).collect::<Vec<u8>>();
    [head, words(&[0, 0]), attributes(node)].concat()
}

/// Maps a file of the file system shared, changes it, and on a line of input maps over it: the old mapping is written back with the
/// memory map locked, which lasts as long as the file system does not answer.
const HOLDER: &str = r#"
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>
int main(int count, char **arguments) {
    int file = open(arguments[1], O_RDWR);
    char *page = file < 0 ? MAP_FAILED : mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (count < 2 || page == MAP_FAILED) { perror(arguments[1]); return 1; }
    page[0] = 'x';
    puts("ready"); fflush(stdout);
    getchar();
    mmap(page, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    for (;;) pause();
}
"#;

/// Compiles a C program, or a library with `-shared`; `None` without a compiler.
pub fn compile(source: &str, target: &Path, options: &[&str]) -> Option<()> {
    let mut child = Command::new("cc")
        .args(["-x", "c", "-O1", "-o"])
        .arg(target)
        .args(options)
        .arg("-")
        .stdin(Stdio::piped())
        .spawn()
        .ok()?;
    child.stdin.take()?.write_all(source.as_bytes()).ok()?;
    child.wait().ok()?.success().then_some(())
}

/// A process that can be made to hold its memory map locked. Killed when dropped; the file system has to go first.
pub struct Holder {
    child: Child,
    _directory: tempfile::TempDir,
}

impl Holder {
    /// Starts it, with `MARK` in its command line and environment.
    ///
    /// # Errors
    /// Why that is not possible here.
    pub fn start(fs: &HungFs) -> Result<Self, String> {
        let directory = tempfile::tempdir().map_err(|e| e.to_string())?;
        let program = directory.path().join("holder");
        compile(HOLDER, &program, &[]).ok_or("there is no C compiler")?;
        let mut child = Command::new(&program)
            .arg(fs.file())
            .arg("MARK")
            .env("MARKED", "MARK")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|e| e.to_string())?;
        let mut line = String::new();
        let out = child.stdout.as_mut().ok_or("no output")?;
        BufReader::new(out).read_line(&mut line).map_err(|e| e.to_string())?;
        if line == "ready\n" { Ok(Self { child, _directory: directory }) } else { Err(format!("the holder said {line:?}")) }
    }

    pub fn pid(&self) -> i32 {
        self.child.id().cast_signed()
    }

    /// Has it take the lock, and waits until it sleeps with it.
    pub fn hold(&mut self) {
        self.child.stdin.as_mut().expect("its input").write_all(b"\n").expect("it reads");
        let until = std::time::Instant::now() + std::time::Duration::from_secs(20);
        let stat = || std::fs::read_to_string(format!("/proc/{}/stat", self.pid())).unwrap_or_default();
        while !stat().contains(") D ") {
            assert!(std::time::Instant::now() < until, "it does not wait for the file system: {}", stat());
            std::thread::yield_now();
        }
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = self.child.kill();
        // Not waited for: after a failed assertion the file system is still there, and the holder waits for it.
    }
}
