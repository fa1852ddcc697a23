//! The supervisor's loop: orders, exits of children, connections, output and timers, in one `poll`.

use std::io::{self, ErrorKind, Read as _, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::unistd::{Pid, getppid};

use super::run::{Active, Leftovers};
use super::start;
use super::sys::{self, Reaped};
use crate::clock::monotonic_ns;
use crate::lab::control::{KillReason, Notice, Order, to_line};

/// Notices waiting for a concmon that does not read, beyond which runs are not read either.
const UNREAD_MOST: usize = 8 << 20;
/// An order is short; more than this without a newline is no order.
const ORDER_MOST: usize = 1 << 20;

struct Supervisor {
    control: UnixStream,
    /// False once concmon has gone: no reader for notices, and every run is to end.
    listening: bool,
    orders: Vec<u8>,
    unsent: Vec<u8>,
    signals: SignalFd,
    runs: Vec<Active>,
    /// Children that have ended, not yet handed to their runs, and when each was waited for in monotonic nanoseconds.
    ended: Vec<(Reaped, u64)>,
}

/// What a ready descriptor belongs to.
#[derive(Clone, Copy)]
enum Ready {
    Control,
    Signal,
    Listener(usize),
    Output(usize),
    Conn(usize, usize),
}

/// Serves until concmon hangs up and the last run has ended.
pub fn run(control: OwnedFd, dir: &Path, guard: Pid) -> io::Result<()> {
    let mut set = SigSet::empty();
    for signal in [Signal::SIGCHLD, Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
        set.add(signal);
    }
    set.thread_block()?;
    nix::sys::prctl::set_pdeathsig(Signal::SIGTERM)?;
    if getppid() != guard {
        return Ok(());
    }
    sys::limit_files(sys::FileLimit::Most);
    let control = UnixStream::from(control);
    control.set_nonblocking(true)?;
    let signals = SignalFd::with_flags(&set, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?;
    let mut supervisor = Supervisor {
        control,
        listening: true,
        orders: Vec::new(),
        unsent: Vec::new(),
        signals,
        runs: Vec::new(),
        ended: Vec::new(),
    };
    while supervisor.listening || !supervisor.runs.is_empty() {
        supervisor.turn(dir)?;
    }
    // What is still unsent reports how the last runs ended; concmon may be waiting for just that.
    supervisor.control.set_nonblocking(false)?;
    let _ = supervisor.control.set_write_timeout(Some(Duration::from_millis(200)));
    let _ = supervisor.control.write_all(&supervisor.unsent);
    std::fs::remove_dir_all(dir)
}

impl Supervisor {
    fn turn(&mut self, dir: &Path) -> io::Result<()> {
        let mut notices = Vec::new();
        for ready in self.wait()? {
            match ready {
                Ready::Control => self.read_orders(dir, &mut notices),
                Ready::Signal => {
                    self.read_signals();
                    // First of all that is ready, so that nothing else comes between the end of a child and its time.
                    self.reap();
                }
                Ready::Listener(r) => self.runs[r].accept(&mut notices),
                Ready::Output(r) => self.runs[r].read_output(&mut notices),
                Ready::Conn(r, c) => self.runs[r].read_conn(c, &mut notices),
            }
        }
        self.reap();
        for (Reaped { pid, status, usage, max_rss_bytes }, t) in std::mem::take(&mut self.ended) {
            // A child that no run knows was an orphan that no look had seen; it is gone.
            let _ = self.runs.iter_mut().any(|run| run.child_ended(pid, status, usage, max_rss_bytes, t, &mut notices));
        }
        for run in &mut self.runs {
            run.sweep();
            run.tick(&mut notices);
        }
        self.runs.retain(|run| !run.ended());
        for notice in &notices {
            self.unsent.extend(to_line(notice));
        }
        self.write_notices();
        Ok(())
    }

    fn wait(&self) -> io::Result<Vec<Ready>> {
        let mut fds = vec![PollFd::new(self.signals.as_fd(), PollFlags::POLLIN)];
        let mut owners = vec![Ready::Signal];
        if self.listening {
            let wanted = if self.unsent.is_empty() { PollFlags::POLLIN } else { PollFlags::POLLIN | PollFlags::POLLOUT };
            fds.push(PollFd::new(self.control.as_fd(), wanted));
            owners.push(Ready::Control);
        }
        if self.unsent.len() < UNREAD_MOST {
            for (r, run) in self.runs.iter().enumerate() {
                if let Some(listener) = &run.listener {
                    fds.push(PollFd::new(listener.as_fd(), PollFlags::POLLIN));
                    owners.push(Ready::Listener(r));
                }
                if let Some(output) = &run.output {
                    fds.push(PollFd::new(output.as_fd(), PollFlags::POLLIN));
                    owners.push(Ready::Output(r));
                }
                for (c, conn) in run.conns.iter().enumerate() {
                    fds.push(PollFd::new(conn.stream.as_fd(), PollFlags::POLLIN));
                    owners.push(Ready::Conn(r, c));
                }
            }
        }
        let timeout = self.runs.iter().map(Active::wake_at).min().map_or(PollTimeout::NONE, |at| {
            // Rounded up, or the loop would spin through the last millisecond.
            let ms = at.saturating_duration_since(Instant::now()).as_micros().div_ceil(1000);
            PollTimeout::try_from(ms).unwrap_or(PollTimeout::from(1000_u16))
        });
        match poll(&mut fds, timeout) {
            Ok(_) => {}
            Err(Errno::EINTR) => return Ok(Vec::new()),
            Err(e) => return Err(e.into()),
        }
        Ok(fds.iter().zip(owners).filter(|(fd, _)| fd.any().unwrap_or(true)).map(|(_, owner)| owner).collect())
    }

    /// Waits for the children that have ended. The kernel does not tell when that was: this is as near as can be known.
    fn reap(&mut self) {
        while let Some(reaped) = sys::reap_one() {
            self.ended.push((reaped, monotonic_ns()));
        }
    }

    fn read_signals(&mut self) {
        while let Ok(Some(signal)) = self.signals.read_signal() {
            // Any signal but the end of a child means that this process is to end: the guard has ended, or the signal asks for it.
            if i32::try_from(signal.ssi_signo).is_ok_and(|n| n != Signal::SIGCHLD as i32) {
                self.hang_up();
            }
        }
    }

    fn hang_up(&mut self) {
        self.listening = false;
        for run in &mut self.runs {
            run.kill(KillReason::Stopped);
        }
    }

    fn read_orders(&mut self, dir: &Path, notices: &mut Vec<Notice>) {
        let mut bytes = [0; 16 * 1024];
        match self.control.read(&mut bytes) {
            Ok(0) => return self.hang_up(),
            Ok(n) => self.orders.extend_from_slice(&bytes[..n]),
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => return,
            Err(_) => return self.hang_up(),
        }
        let mut orders = std::mem::take(&mut self.orders);
        let mut begin = 0;
        while let Some(length) = orders[begin..].iter().position(|b| *b == b'\n') {
            if let Ok(order) = serde_json::from_slice(&orders[begin..begin + length]) {
                self.obey(order, dir, notices);
            }
            begin += length + 1;
        }
        orders.drain(..begin);
        if orders.len() > ORDER_MOST {
            return self.hang_up();
        }
        self.orders = orders;
    }

    fn obey(&mut self, order: Order, dir: &Path, notices: &mut Vec<Notice>) {
        match order {
            Order::Launch { run, spec, program } => match start::start(dir, run, &spec, &program) {
                Ok(started) => {
                    notices.push(Notice::Started { run, root_pid: started.root, t: started.forked_ns });
                    self.runs.push(Active::new(run, *spec, started, Leftovers::EndMarked));
                }
                Err(why) => notices.push(Notice::NotStarted { run, why }),
            },
            Order::Keep { run } => {
                if let Some(run) = self.runs.iter_mut().find(|r| r.id == run) {
                    run.keep();
                }
            }
            Order::Stop { run } => {
                if let Some(run) = self.runs.iter_mut().find(|r| r.id == run) {
                    run.kill(KillReason::Stopped);
                }
            }
        }
    }

    fn write_notices(&mut self) {
        while !self.unsent.is_empty() {
            match self.control.write(&self.unsent) {
                Ok(n) => drop(self.unsent.drain(..n)),
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) if e.kind() == ErrorKind::WouldBlock => return,
                // The reader is gone. The end of the stream reports the rest.
                Err(_) => return self.unsent.clear(),
            }
        }
    }
}
