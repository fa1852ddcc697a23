//! Ctrl-C in a command that measures.

use std::io;

use crate::lab::batch::Stop;

/// Ctrl-C stops what is measured: what was until then is shown.
pub(in crate::command) fn stop_by_signal() -> Stop {
    let stop = Stop::default();
    let theirs = stop.clone();
    let wait = move || {
        // The runtime panics without descriptors for its own use.
        let spare: Vec<_> = (0..4).map(|_| std::os::unix::net::UnixStream::pair()).collect::<io::Result<_>>()?;
        drop(spare);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
        runtime.block_on(tokio::signal::ctrl_c())?;
        theirs.stop();
        Ok::<(), io::Error>(())
    };
    // Without that thread Ctrl-C ends concmon as it ends every program, and its runs with it.
    let _ = std::thread::Builder::new().name("interrupt".into()).spawn(wait);
    stop
}
