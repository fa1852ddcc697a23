//! The pauses of a run whose root is an event loop: the root stays in its loop, so that it appears in epoll.

use std::io;
use std::os::unix::net::UnixStream;
use std::pin::pin;
use std::time::{Duration, Instant};

use futures_util::future::{Either, select};

use super::root::{LOOK_TIMEOUT, Root, is_kept};

/// What a runtime's loop waits for.
pub trait Loop {
    /// The end of a time.
    fn sleep(time: Duration) -> impl Future<Output = ()> + Send;
    /// Something to read.
    fn readable(socket: UnixStream) -> impl Future<Output = io::Result<()>>;
}

/// The loop of tokio.
pub struct Tokio;

impl Loop for Tokio {
    fn sleep(time: Duration) -> impl Future<Output = ()> + Send {
        tokio::time::sleep(time)
    }

    async fn readable(socket: UnixStream) -> io::Result<()> {
        socket.set_nonblocking(true)?;
        tokio::net::UnixStream::from_std(socket)?.readable().await
    }
}

/// As [`Root::begin`].
pub async fn begin<L: Loop>(root: &mut Root) {
    hold_still::<L>(root).await;
    root.phase("steady");
    root.release();
}

/// As [`Root::hold_still`].
pub async fn hold_still<L: Loop>(root: &mut Root) {
    root.ask_to_be_seen();
    let answered = {
        let (answer, late) = (pin!(await_answer::<L>(root)), pin!(L::sleep(LOOK_TIMEOUT)));
        matches!(select(answer, late).await, Either::Left((Ok(()), _)))
    };
    // What the root says is written in one piece, by calls that block; if this failed, so would what it says.
    let _ = root.socket().set_nonblocking(false);
    // Without an answer the run goes on unseen, which its shape checks will say.
    if answered {
        root.await_seen();
    }
}

/// Waits, in the loop, until there is something to read. The loop wants a socket that does not block, and the mode is that of both
/// descriptors.
async fn await_answer<L: Loop>(root: &Root) -> io::Result<()> {
    L::readable(root.socket().try_clone()?).await
}

/// As [`Root::linger`].
pub async fn linger<L: Loop>(root: &mut Root) {
    let until = Instant::now() + Duration::from_millis(u64::from(root.spec.hold_ms));
    if root.spec.hold_ms > 0 {
        root.phase("hold");
    }
    L::sleep(until.saturating_duration_since(Instant::now())).await;
    if root.spec.hold_ms > 0 && is_kept() {
        std::future::pending::<()>().await;
    }
}
