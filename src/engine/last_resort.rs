//! Ends concmon on a signal even if its main thread is blocked in a write to a terminal that reads nothing: a separate thread receives the
//! same signals and ends the program if that takes too long.

use std::time::Duration;

use super::Signals;

/// How long an orderly end may take.
const PATIENCE: Duration = Duration::from_secs(3);

/// Starts the thread. It costs nothing until a signal comes.
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
            // The escape sequences of an orderly end would wait for the same terminal; its modes can be set without it.
            let _ = crossterm::terminal::disable_raw_mode();
            // What a shell makes of a program that a signal ended. Lab runs end with this process, which their helper watches.
            std::process::exit(128 + number);
        });
    })?;
    Ok(())
}
