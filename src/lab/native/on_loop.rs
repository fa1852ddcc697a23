//! The pauses of a run whose root is an event loop: the root stays in its loop, so that it appears in epoll.

use std::time::{Duration, Instant};

use super::root::{LOOK_TIMEOUT, Root, is_kept};

/// As [`Root::begin`].
pub async fn begin(root: &mut Root) {
    hold_still(root).await;
    root.phase("steady");
    root.release();
}

/// As [`Root::hold_still`].
pub async fn hold_still(root: &mut Root) {
    root.ask_to_be_seen();
    let answered = tokio::time::timeout(LOOK_TIMEOUT, await_answer(root)).await;
    // What the root says is written in one piece, by calls that block; if this failed, so would what it says.
    let _ = root.socket().set_nonblocking(false);
    // Without an answer the run goes on unseen, which its shape checks will say.
    if answered.is_ok_and(|result| result.is_ok()) {
        root.await_seen();
    }
}

/// Waits, in the loop, until there is something to read. The loop wants a socket that does not block, and the mode is that of both
/// descriptors.
async fn await_answer(root: &Root) -> std::io::Result<()> {
    let socket = root.socket().try_clone()?;
    socket.set_nonblocking(true)?;
    tokio::net::UnixStream::from_std(socket)?.readable().await
}

/// As [`Root::linger`].
pub async fn linger(root: &mut Root) {
    let until = Instant::now() + Duration::from_millis(u64::from(root.spec.hold_ms));
    if root.spec.hold_ms > 0 {
        root.phase("hold");
    }
    tokio::time::sleep(until.saturating_duration_since(Instant::now())).await;
    if root.spec.hold_ms > 0 && is_kept() {
        std::future::pending::<()>().await;
    }
}
