//! The operating system's readers and the only place that opens `/proc`, `/sys`, netlink sockets, bpf(2) or a pidfd.

pub mod error;
pub mod source;
