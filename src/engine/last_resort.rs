//! Ends the program when its main thread cannot: it may wait in a write to a terminal that reads nothing, or for something that does not
//! return. A thread of its own hears the signals that end a program, and is told when the main thread begins to leave.

use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use super::Signals;
use crate::ui::terminal::give_back_without_waiting;

/// How long an orderly end may take.
const PATIENCE: Duration = Duration::from_secs(3);

/// Starts the thread that hears the signals. It costs nothing until one comes.
///
/// # Errors
/// If it cannot be started, or signals cannot be handled.
pub fn start() -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::Builder::new().name("last-resort".into()).spawn(move || {
        runtime.block_on(async {
            let Ok(mut signals) = Signals::new() else { return };
            let number = Signals::ended(&mut signals.end).await;
            tokio::time::sleep(PATIENCE).await;
            // What a shell makes of a program that a signal ended. Lab runs end with this process, which their helper watches.
            exit(128 + number);
        });
    })?;
    Ok(())
}

/// The program is leaving: unless that is done in time, it is ended. What is returned is kept until it is done.
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
