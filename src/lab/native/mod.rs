//! What native run roots do: one file per system. To add one: a file and its `mod` line, a line in [`system`], an entry in
//! `lab/catalog/native.rs`.

mod arena;
mod async_vs_threads;
mod birth;
mod blocked_loop;
mod copy_on_write;
mod crossbeam;
mod error;
mod event_loop;
mod exec;
mod fork;
mod forkserver;
mod http;
mod http_server;
mod image;
mod image_entry;
mod memory;
mod on_loop;
mod process_pool;
mod process_queue;
mod rayon;
mod relro;
mod root;
mod sequential;
mod signals;
mod sleep_threads;
mod smol;
mod sockets;
mod spawn;
mod spec;
mod states;
mod tasks;
mod thread;
mod thread_pool;
mod tokio_runtimes;
mod uring;
mod worker;

use std::process::ExitCode;
use std::sync::OnceLock;

use error::RootError;
use root::Root;
use spec::spec_from_env;

use super::protocol::Creation;
pub use image_entry::image_main;
pub use worker::exit_now;

/// How a system creates its workers, and the code that does it.
type Entry = (Creation, fn(&mut Root) -> Result<(), RootError>);

/// The code of each native system.
fn system(id: &str) -> Option<Entry> {
    Some(match id {
        "native/sequential" => (Creation::Inline, sequential::run),
        "native/fork" => (Creation::Fork, fork::run),
        "native/exec" => (Creation::ForkExec, exec::run),
        "native/spawn" => (Creation::Spawn, spawn::run),
        "native/forkserver" => (Creation::ForkServer, forkserver::run),
        "native/process-pool" => (Creation::Fork, process_pool::run),
        "native/thread" => (Creation::Thread, thread::run),
        "native/thread-pool" => (Creation::Thread, thread_pool::run),
        "native/crossbeam" => (Creation::Thread, crossbeam::run),
        "native/rayon" => (Creation::Thread, rayon::run),
        "native/event-loop" => (Creation::AsyncTask, event_loop::run),
        "native/process-queue" => (Creation::Fork, process_queue::run),
        "native/sleep-threads" => (Creation::Thread, sleep_threads::run),
        "native/socket-blocking" => (Creation::Inline, sockets::run_blocking),
        "native/socket-nonblocking" => (Creation::Inline, sockets::run_nonblocking),
        "native/socket-epoll" => (Creation::Inline, sockets::run_epoll),
        "native/socket-uring" => (Creation::Inline, uring::run),
        "native/copy-on-write" => (Creation::Fork, copy_on_write::run),
        "native/tokio-current" => (Creation::AsyncTask, tokio_runtimes::run_current),
        "native/tokio-multi" => (Creation::AsyncTask, tokio_runtimes::run_multi),
        "native/smol" => (Creation::AsyncTask, smol::run),
        "native/blocked-loop" => (Creation::AsyncTask, blocked_loop::run_blocked),
        "native/blocked-loop-cured" => (Creation::AsyncTask, blocked_loop::run_cured),
        "native/async-vs-threads" => (Creation::Inline, async_vs_threads::run),
        "native/states" => (Creation::Fork, states::run),
        _ => return None,
    })
}

/// Why this machine cannot run a native system; `None` if it can.
#[must_use]
pub fn missing(id: &str) -> Option<String> {
    static RING: OnceLock<Option<String>> = OnceLock::new();
    (id == "native/socket-uring").then(|| RING.get_or_init(uring::refused).clone()).flatten()
}

/// The root of a native run. What goes wrong before it is connected is printed, and so ends up in the run's output.
pub fn root_main() -> ExitCode {
    crate::lab::hidden::name_task("lab run");
    let (Some(spec), Some(socket)) = (spec_from_env(), std::env::var_os("CONCMON_LAB_SOCKET")) else {
        eprintln!("this is an internal entry of concmon; use `concmon lab run`");
        return ExitCode::from(2);
    };
    let Some((how, run)) = system(&spec.system) else {
        eprintln!("{} has no native code", spec.system);
        return ExitCode::from(2);
    };
    relro::share_relocated();
    match Root::new(spec, how, socket.as_ref()) {
        Ok(mut root) => {
            let result = root.start_server().and_then(|()| run(&mut root));
            if root.close(&result) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::lab::catalog::{Backend, SYSTEMS};

    #[test]
    fn every_native_system_of_the_catalog_has_code() {
        for system in SYSTEMS.iter().filter(|s| s.backend == Backend::Native) {
            assert!(super::system(system.id).is_some(), "{} has no code", system.id);
        }
    }
}
