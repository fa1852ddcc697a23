//! The operating system's readers and the only place that opens `/proc`, `/sys`, netlink sockets, bpf(2) or a pidfd.

mod auto_source;
pub mod bpf;
pub mod control;
mod detail;
pub mod devices;
pub mod error;
pub mod events;
mod exact;
pub mod host;
mod identity;
mod job;
pub mod kin;
mod ledger;
mod locks;
pub mod parse;
mod pipes;
mod place;
mod privilege;
mod proc_fs;
pub mod proc_source;
mod signals;
mod sockets;
pub mod source;
mod system;
mod users;
mod waits;

pub use auto_source::{AutoSource, SourceChoice};
pub use bpf::{BpfSource, dispatch as bpf_loader};
pub use detail::DetailReader;
pub use host::HostReader;
pub use job::{births, stop_job};
pub use privilege::let_go_of_loading;
pub use proc_source::ProcSource;
pub use system::{descriptor_limit, raise_descriptor_limit, share_heap, system_info};
pub use users::UserNames;
