//! The signals that end or stop concmon.

use std::future::poll_fn;
use std::task::Poll;

use nix::libc;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Those that end a program that does not handle them: each would leave the terminal raw.
const ENDS: [libc::c_int; 12] = [
    libc::SIGTERM,
    libc::SIGHUP,
    libc::SIGINT,
    libc::SIGQUIT,
    libc::SIGUSR1,
    libc::SIGUSR2,
    libc::SIGALRM,
    libc::SIGVTALRM,
    libc::SIGPROF,
    libc::SIGXCPU,
    libc::SIGIO,
    libc::SIGPWR,
];

/// The signals on which concmon ends or stops in an orderly way.
pub(super) struct Signals {
    pub end: Ends,
    pub stop: Signal,
}

impl Signals {
    pub fn new() -> std::io::Result<Self> {
        let heard = |number: libc::c_int| Ok((number, signal(SignalKind::from_raw(number))?));
        let end = Ends(ENDS.into_iter().map(heard).collect::<std::io::Result<_>>()?);
        Ok(Self { end, stop: signal(SignalKind::from_raw(libc::SIGTSTP))? })
    }
}

/// The signals that end it.
pub(super) struct Ends(Vec<(libc::c_int, Signal)>);

impl Ends {
    /// Waits for one of them; its number.
    pub async fn one(&mut self) -> libc::c_int {
        poll_fn(|context| {
            let came = self.0.iter_mut().find_map(|(number, signal)| signal.poll_recv(context).is_ready().then_some(*number));
            came.map_or(Poll::Pending, Poll::Ready)
        })
        .await
    }
}
