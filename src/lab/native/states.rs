//! One child in each process state, and one that ends.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use nix::sys::ptrace;
use nix::sys::signal::{Signal, kill, raise};
use nix::unistd::{ForkResult, Pid, getpid};

use super::arena::FINISHED;
use super::error::{RootError, failed};
use super::root::Root;
use super::worker::{Worker, die_with, exit_now};
use super::{fork, signals};
use crate::clock::monotonic_ns;
use crate::lab::hidden::name_task;

/// The letters in the order of the workers; the last one ends.
const LETTERS: [char; 7] = ['R', 'S', 'D', 'T', 't', 'Z', 'X'];
/// Longest that the children may take to get into their states.
const SETTLE: Duration = Duration::from_secs(2);

pub fn run(root: &mut Root) -> Result<(), RootError> {
    root.launch();
    let creator = getpid();
    let mut pids = Vec::new();
    for (w, letter) in (0..).zip(LETTERS) {
        let pid = if letter == 'Z' {
            // Not adopted yet: adopting means being waited for.
            create_unreaped(root, w)?
        } else {
            fork::create(root, w, |root, ready_ns| live(&root.worker(w), letter, creator, ready_ns))?
        };
        pids.push(pid);
    }
    settle(root, &pids)?;
    root.begin();
    root.await_finished();
    root.linger();
    let [_, _, _, stopped, traced, zombie, _] = pids[..] else { return Ok(()) };
    root.adopt(5, zombie);
    root.dismiss(|| {
        // Each fails only for a child that was killed from outside, which needs no waking.
        let _ = kill(stopped, Signal::SIGCONT);
        let _ = ptrace::detach(traced, None);
    })
}

fn create_unreaped(root: &mut Root, w: u32) -> Result<Pid, RootError> {
    root.requested(w);
    match signals::fork() {
        Ok(ForkResult::Child) => {
            root.worker(w).ready(monotonic_ns());
            name_task("state Z");
            exit_now(0)
        }
        Ok(ForkResult::Parent { child }) => {
            root.await_ready(w)?;
            if let Some(slot) = root.arena.slots().get(w as usize) {
                slot.state.store(FINISHED, Ordering::Release);
            }
            Ok(child)
        }
        Err(e) => Err(failed(format!("forking worker {w}"))(e)),
    }
}

fn live(worker: &Worker<'_>, letter: char, creator: Pid, ready_ns: u64) -> ! {
    worker.ready(ready_ns);
    name_task(&format!("state {letter}"));
    die_with(creator);
    worker.mark_finished();
    match letter {
        'R' => {
            while !worker.may_leave() {
                std::hint::spin_loop();
            }
        }
        'D' => signals::wait_for_vfork(&worker.arena.header().leave),
        'T' => stop_here(),
        't' if ptrace::traceme().is_ok() => stop_here(),
        'X' => exit_now(0),
        _ => {}
    }
    worker.await_leave();
    exit_now(0)
}

fn stop_here() {
    // It fails only for a signal that does not exist.
    let _ = raise(Signal::SIGSTOP);
}

/// Waits until each child is in its state. The kernel has no event for "sleeps now", so their `stat` is read until it says so.
fn settle(root: &mut Root, pids: &[Pid]) -> Result<(), RootError> {
    let until = Instant::now() + SETTLE;
    loop {
        root.reap();
        let letters: Vec<Option<char>> = pids.iter().map(|pid| letter_of(*pid)).collect();
        let settled = letters.iter().zip(LETTERS).all(|(seen, wanted)| match wanted {
            'X' => seen.is_none(),
            _ => *seen == Some(wanted),
        });
        if settled {
            return Ok(());
        }
        if Instant::now() >= until {
            let seen: String = letters.iter().map(|l| l.unwrap_or('-')).collect();
            let wanted: String = LETTERS.iter().collect();
            return Err(RootError::Worker(format!("the children did not reach their states: {seen} instead of {wanted}")));
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn letter_of(pid: Pid) -> Option<char> {
    let stat = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
    let end = stat.iter().rposition(|b| *b == b')')?;
    stat.get(end + 2).map(|b| char::from(*b))
}
