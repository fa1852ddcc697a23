//! Loads the task iterator in a separate process. Parsing the kernel's type information takes some 40 MiB, which end with that process; one
//! descriptor returns over a socket.

use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
    SocketFlags, SocketType, recvmsg, sendmsg, socketpair, sockopt,
};

use super::super::job::births;
use super::loader::{BpfUnavailable, TaskIterator, check_privilege};

/// First argument of the loading process.
const LOADER: &str = "__bpf-loader";
/// Loading takes some 100 ms; a machine that thrashes may take longer.
const PATIENCE: Duration = Duration::from_secs(20);
/// What stands before the descriptor; any other answer is the reason why there is none.
const LOADED: &[u8] = b"loaded";

/// Whether this program serves as its own loader when it is executed again: a test or a benchmark does not.
static SERVES: AtomicBool = AtomicBool::new(false);

/// Loads the iterator and sends it to the process that started this one, if the arguments say so; `None` is the ordinary program.
pub fn dispatch() -> Option<ExitCode> {
    if std::env::args_os().nth(1).is_none_or(|first| first != LOADER) {
        SERVES.store(true, Ordering::Relaxed);
        return None;
    }
    // The parent may end before the answer is there, and this process may have been stopped: then it ends too.
    let parent = rustix::process::getppid();
    let _ = rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL));
    if rustix::process::getppid() != parent {
        return Some(ExitCode::FAILURE);
    }
    let socket = std::io::stdin();
    let sent = match TaskIterator::load() {
        Ok(iterator) => send(socket.as_fd(), LOADED, Some(iterator.link())),
        Err(error) => send(socket.as_fd(), error.why.as_bytes(), None),
    };
    Some(if sent.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The loaded iterator, loaded by a child where the program can be one.
pub(super) fn load() -> Result<TaskIterator, BpfUnavailable> {
    check_privilege()?;
    if !SERVES.load(Ordering::Relaxed) {
        return TaskIterator::load();
    }
    match ask_child() {
        Ok(answer) => answer,
        // No child could be started, or it ended early: the memory is the smaller trouble.
        Err(_) => TaskIterator::load(),
    }
}

fn ask_child() -> std::io::Result<Result<TaskIterator, BpfUnavailable>> {
    let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
    sockopt::set_socket_timeout(&ours, sockopt::Timeout::Recv, Some(PATIENCE))?;
    let births = births();
    let mut child = Command::new("/proc/self/exe")
        .arg0("concmon")
        .arg(LOADER)
        .env_clear()
        .stdin(Stdio::from(theirs))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        // Out of reach of Ctrl-Z, which would only delay what it is waited for.
        .process_group(0)
        .spawn()?;
    drop(births);
    let answer = receive(ours.as_fd());
    if answer.is_err() {
        // It is our own unreaped child, so the pid is still its own.
        let _ = child.kill();
    }
    child.wait()?;
    answer
}

fn send(socket: BorrowedFd<'_>, text: &[u8], descriptor: Option<BorrowedFd<'_>>) -> std::io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let descriptors: Vec<BorrowedFd<'_>> = descriptor.into_iter().collect();
    if !descriptors.is_empty() {
        control.push(SendAncillaryMessage::ScmRights(&descriptors));
    }
    sendmsg(socket, &[IoSlice::new(text)], &mut control, SendFlags::NOSIGNAL)?;
    Ok(())
}

fn receive(socket: BorrowedFd<'_>) -> std::io::Result<Result<TaskIterator, BpfUnavailable>> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut text = [0; 1024];
    let received = recvmsg(socket, &mut [IoSliceMut::new(&mut text)], &mut control, RecvFlags::CMSG_CLOEXEC)?;
    let mut link: Option<OwnedFd> = None;
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(descriptors) = message {
            link = descriptors.into_iter().next().or(link);
        }
    }
    match (&text[..received.bytes.min(text.len())], link) {
        (LOADED, Some(link)) => Ok(Ok(TaskIterator::from_link(link))),
        // It ended without a word.
        ([], _) => Err(std::io::ErrorKind::UnexpectedEof.into()),
        (why, _) => Ok(Err(BpfUnavailable { why: String::from_utf8_lossy(why).into_owned(), better: None })),
    }
}
