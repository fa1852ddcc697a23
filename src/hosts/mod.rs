//! Other machines: OpenSSH runs `concmon stream` on each, and their frames become one [`crate::derive::Model`].
//!
//! * [`Destination`]: a host as it is named on the command line.
//! * `host`: one host's bytes, frames, clock and losses, as a pure state machine. Frames of hosts are untrusted.
//! * `ssh`: the child that runs OpenSSH, and why it ended.
//! * [`Fleet`]: all of them on one thread.
//! * [`ask`]: one command on each host, and the document that it prints.
//!
//! concmon opens no port and speaks no network protocol of its own; nothing is ever sent to a host but the command.

mod ask;
mod destination;
mod fleet;
mod host;
mod ssh;

pub use ask::{ask, shell_word};
pub use destination::{Destination, destinations};
pub use fleet::Fleet;
