//! A small server is spawned first; each worker is a fork of it, requested over a socket pair.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::process::ExitCode;
use std::sync::atomic::Ordering;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
use nix::sys::wait::WaitPidFlag;
use nix::unistd::{ForkResult, Pid, getpid, read, write};

use super::arena::{Arena, EXITED};
use super::error::{RootError, failed};
use super::image::{self, Images};
use super::root::Root;
use super::worker::{self, Worker};
use super::{relro, signals};
use crate::clock::monotonic_ns;
use crate::lab::catalog::RunSpec;
use crate::lab::hidden::name_task;

pub fn run(root: &mut Root) -> Result<(), RootError> {
    let (ours, theirs) = socketpair(AddressFamily::Unix, SockType::Stream, None, SockFlag::SOCK_CLOEXEC)
        .map_err(failed("making a socket pair for the fork server"))?;
    let inherit = nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::empty());
    nix::fcntl::fcntl(&theirs, inherit).map_err(failed("handing the socket pair to the fork server"))?;
    let server = Images::find()
        .spawn(&image::server_arguments(root.arena.raw_fd(), theirs.as_raw_fd()))
        .map_err(failed("spawning the fork server"))?;
    drop(theirs);
    // It answers once it listens: its own start is no part of a worker's creation.
    let mut byte = [0];
    if read(&ours, &mut byte).is_ok_and(|n| n == 0) {
        return Err(RootError::Worker("the fork server ended before it served requests".into()));
    }
    root.hold_memory()?;
    root.launch();
    for w in 0..root.spec.workers {
        root.requested(w);
        let asked = write(&ours, &w.to_ne_bytes()).map_err(failed(format!("asking the fork server for worker {w}")))?;
        root.arena.note_sent(asked);
    }
    root.await_all_ready()?;
    let result = root.run_workers(|_| Ok(()));
    drop(ours);
    let _ = signals::wait_raw(server, WaitPidFlag::empty());
    result
}

/// The server: forks a worker for each number it is sent, notes the end of those that ended, until the root hangs up.
pub fn serve(arena: &Arena, spec: &RunSpec, socket: &OwnedFd) -> ExitCode {
    let mut ends = SigSet::empty();
    ends.add(Signal::SIGCHLD);
    let (Ok(()), Ok(ended)) = (ends.thread_block(), SignalFd::with_flags(&ends, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC))
    else {
        return ExitCode::FAILURE;
    };
    name_task("forkserver");
    // Small as it is, most of what a fork of it copies would be the table entries of these pages.
    relro::share_relocated();
    let server = getpid();
    let mut children: Vec<(Pid, u32)> = Vec::new();
    match write(socket, b"!") {
        Ok(said) => arena.note_sent(said),
        Err(_) => return ExitCode::FAILURE,
    }
    loop {
        let mut ready = [PollFd::new(socket.as_fd(), PollFlags::POLLIN), PollFd::new(ended.as_fd(), PollFlags::POLLIN)];
        match poll(&mut ready, PollTimeout::NONE) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(_) => return ExitCode::FAILURE,
        }
        let asked = ready[0].any().unwrap_or(false);
        if ready[1].any().unwrap_or(false) {
            while ended.read_signal().is_ok_and(|s| s.is_some()) {}
            note_ends(arena, &mut children);
        }
        if !asked {
            continue;
        }
        let mut number = [0; 4];
        match read(socket, &mut number) {
            Ok(4) => {}
            Ok(_) => return ExitCode::SUCCESS,
            Err(Errno::EINTR) => continue,
            Err(_) => return ExitCode::FAILURE,
        }
        let index = u32::from_ne_bytes(number);
        match signals::fork() {
            Ok(ForkResult::Child) => {
                let ready_ns = monotonic_ns();
                let worker = Worker { arena, spec, ballast: None, index };
                worker::live(&worker, server, ready_ns)
            }
            Ok(ForkResult::Parent { child }) => children.push((child, index)),
            // The root waits for this worker: it sees it end with an exit code of its own.
            Err(_) => note_end(arena, index, 125 << 8),
        }
    }
}

fn note_ends(arena: &Arena, children: &mut Vec<(Pid, u32)>) {
    children.retain(|(pid, index)| match signals::wait_raw(*pid, WaitPidFlag::WNOHANG) {
        Ok(Some(status)) => {
            note_end(arena, *index, status);
            false
        }
        Ok(None) => true,
        Err(_) => false,
    });
}

fn note_end(arena: &Arena, index: u32, status: u32) {
    if let Some(slot) = arena.slots().get(index as usize) {
        slot.status.store(status, Ordering::Relaxed);
        slot.exited_ns.store(monotonic_ns(), Ordering::Relaxed);
        slot.state.store(EXITED, Ordering::Release);
        super::arena::futex_wake(&slot.state, 1);
    }
    arena.nudge();
}
