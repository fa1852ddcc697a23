//! The signals that end or stop concmon.

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Those that it carries out in an orderly way.
pub(super) struct Signals {
    pub end: [Signal; 3],
    pub stop: Signal,
}

impl Signals {
    pub fn new() -> std::io::Result<Self> {
        let end = [signal(SignalKind::terminate())?, signal(SignalKind::hangup())?, signal(SignalKind::interrupt())?];
        Ok(Self { end, stop: signal(SignalKind::from_raw(nix::libc::SIGTSTP))? })
    }

    /// Waits for one that ends; its number.
    pub async fn ended(end: &mut [Signal; 3]) -> i32 {
        let [term, hup, int] = end;
        tokio::select! {
            _ = term.recv() => nix::libc::SIGTERM,
            _ = hup.recv() => nix::libc::SIGHUP,
            _ = int.recv() => nix::libc::SIGINT,
        }
    }
}
