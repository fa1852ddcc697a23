//! Namespaces of processes, and CPU affinity of each thread.

use std::time::Instant;

use super::error::ReadError;
use super::parse::namespace;
use super::parse::status::cpus_allowed;
use super::proc_fs::{ProcFs, RelPath};
use crate::snapshot::{Namespace, Namespaces, TaskSample};

/// Kinds of namespaces (namespaces(7)); a kernel without one has no file of its name.
const KINDS: [&str; 8] = ["cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts"];

/// Numbers of concmon's own namespaces, in the order of [`KINDS`].
pub(super) type Own = [Option<u64>; KINDS.len()];

/// Reads concmon's own namespaces, which it never leaves.
pub(super) fn own(fs: &ProcFs) -> Own {
    KINDS.map(|kind| {
        let target = fs.read_link(&RelPath::top(&format!("self/ns/{kind}"))).ok()?;
        namespace::inode(&target, kind)
    })
}

/// Reads those of a process and compares them with concmon's.
pub(super) fn namespaces(fs: &ProcFs, pid: i32, own: &Own) -> Namespaces {
    let mut known = Vec::with_capacity(KINDS.len());
    for (kind, own) in KINDS.into_iter().zip(own) {
        match fs.read_link(&RelPath::process(pid, &format!("ns/{kind}"))) {
            Ok(target) => known.extend(namespace::inode(&target, kind).map(|inode| Namespace {
                kind,
                inode,
                foreign: own.map(|own| own != inode),
            })),
            Err(ReadError::Denied { .. }) => return Namespaces::Denied,
            Err(_) => {}
        }
    }
    Namespaces::Known(known.into_boxed_slice())
}

/// Reads the CPUs that the threads beside the leader may run on, until the deadline: ascending tid.
pub(super) fn thread_cpus(fs: &ProcFs, pid: i32, tasks: &[TaskSample], deadline: Option<Instant>) -> Box<[(i32, Box<str>)]> {
    let mut buffer = Vec::new();
    let mut known = Vec::new();
    for tid in tasks.iter().map(|task| task.tid).filter(|tid| *tid != pid) {
        if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            break;
        }
        let status = fs.read_whole(&RelPath::task(pid, tid, "status"), &mut buffer);
        known.extend(status.ok().and_then(cpus_allowed).map(|cpus| (tid, cpus.into())));
    }
    known.into_boxed_slice()
}
