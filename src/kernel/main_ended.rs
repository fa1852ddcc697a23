//! Processes whose main thread has ended (`pthread_exit` in `main`) while other threads live. The kernel keeps the main thread as a
//! zombie without memory, program or descriptors, so most files in `/proc/PID` are empty; those in `/proc/TID` of a living thread are
//! not (the directory is not listed, but it is there).

use super::parse::stat::Stat;
use super::parse::status::Status;
use super::proc_fs::{ProcFs, RelPath};
use crate::snapshot::ProcessValues;

const STATUS_BYTES: usize = 64 * 1024;

fn stat(fs: &ProcFs, path: &RelPath) -> Option<Stat> {
    let mut buffer = [0u8; 1024];
    Stat::parse(fs.read_once(path, &mut buffer).ok()?).ok()
}

/// The first thread of `pid` that lives, with its `stat`; `None` if none does.
#[must_use]
pub fn first_living(fs: &ProcFs, pid: i32) -> Option<Stat> {
    let mut tids = Vec::new();
    fs.list_tids(pid, &mut tids).ok()?;
    tids.iter().find_map(|tid| stat(fs, &RelPath::task(pid, *tid, "stat")).filter(|stat| !stat.state.is_over()))
}

/// The thread whose files describe the process: the main thread unless it has ended, else the first that lives. The main thread too if
/// nothing can be read: then reading its files gives the reason.
#[must_use]
pub fn face(fs: &ProcFs, pid: i32) -> i32 {
    let lost = stat(fs, &RelPath::process(pid, "stat")).is_some_and(|stat| stat.has_lost_main());
    if lost { first_living(fs, pid).map_or(pid, |stat| stat.pid) } else { pid }
}

/// Fills in the memory of such a process from the thread that speaks for it.
pub fn read_memory(fs: &ProcFs, process: &mut ProcessValues, page_bytes: u64) {
    let (pid, tid) = (process.key.pid, process.leader.tid);
    if let Some(stat) = stat(fs, &RelPath::task(pid, tid, "stat")) {
        process.virt_bytes = Some(stat.virt_bytes);
        process.rss_bytes = Some(stat.rss_pages.saturating_mul(page_bytes));
    }
    let mut bytes = Vec::new();
    if fs.read_all(&RelPath::task(pid, tid, "status"), STATUS_BYTES, &mut bytes).is_ok() {
        let status = Status::parse(&bytes);
        process.rss_anon_bytes = status.rss_anon_bytes;
        process.rss_file_bytes = status.rss_file_bytes;
        process.rss_shmem_bytes = status.rss_shmem_bytes;
        process.swap_bytes = status.swap_bytes;
        process.shared_bytes = status.rss_file_bytes.zip(status.rss_shmem_bytes).map(|(file, shmem)| file.saturating_add(shmem));
    }
}
