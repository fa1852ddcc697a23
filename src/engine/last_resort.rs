//! Ends the program when its main thread cannot: it may be blocked in a write to a terminal that reads nothing, or in a read that does not
//! return. A separate thread receives the signals that end a program; another one is started when the main thread begins to leave.

use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use super::Signals;
use crate::ui::terminal::give_back_without_waiting;

/// How long an orderly end may take.
const PATIENCE: Duration = Duration::from_secs(3);

/// Starts the thread that receives the signals. It costs nothing until one comes.
///
/// # Errors
/// If it cannot be started, or signals cannot be handled.
pub fn start() -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::Builder::new().name("last-resort".into()).spawn(move || {
        runtime.block_on(async {
            let Ok(mut signals) = Signals::new() else { return };
            let number = signals.end.one().await;
            tokio::time::sleep(PATIENCE).await;
            // What a shell makes of a program that a signal ended. Lab runs end with this process, which their helper watches.
            exit(128 + number);
        });
    })?;
    Ok(())
}

/// Ends the program unless the returned sender is dropped in time.
pub fn leaving() -> Sender<()> {
    let (done, end) = channel();
    // Without a thread the end is waited for, as long as it takes.
    let _ = std::thread::Builder::new().name("last-resort".into()).spawn(move || {
        if end.recv_timeout(PATIENCE) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
            exit(0);
        }
    });
    done
}

fn exit(code: i32) -> ! {
    give_back_without_waiting();
    std::process::exit(code)
}
