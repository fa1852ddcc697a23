//! Names of signals in reports.

/// `SIGKILL` for 9; real-time and unknown signals by number.
pub(super) fn signal_name(signal: u8) -> String {
    nix::sys::signal::Signal::try_from(i32::from(signal)).map_or_else(|_| format!("signal {signal}"), |s| s.as_str().to_owned())
}
