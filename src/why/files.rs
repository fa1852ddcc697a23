//! Files of one process that a survey reads now and then: the libraries that it maps, its environment, and the futexes of its threads.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use crate::kernel::parse::maps::Mapping;
use crate::kernel::parse::syscall::{Machine, SyscallLine};
use crate::kernel::proc_fs::{ProcFs, RelPath};
use crate::snapshot::contains;

/// Looks at the threads of a process with very many switches.
const LOOKS: u32 = 40;
/// Environment and mappings that are read.
const MOST_BYTES: usize = 1 << 20;

/// The math library with threads that a process maps.
pub(super) fn library(fs: &ProcFs, pid: i32) -> Option<&'static str> {
    const LIBRARIES: [(&[u8], &str); 7] = [
        (b"openblas", "OpenBLAS"),
        (b"libmkl", "MKL"),
        (b"libblis", "BLIS"),
        (b"numexpr", "NumExpr"),
        (b"libgomp", "OpenMP"),
        (b"libomp", "OpenMP"),
        (b"libiomp", "OpenMP"),
    ];
    let parts = LIBRARIES.map(|(part, _)| part);
    maps(fs, pid, &parts).map(|at| LIBRARIES[at].1)
}

/// The first of these parts of names that is in the name of a file that the process maps.
pub(super) fn maps(fs: &ProcFs, pid: i32, parts: &[&[u8]]) -> Option<usize> {
    let mut maps = Vec::new();
    fs.read_lines(&RelPath::process(pid, "maps"), MOST_BYTES, &mut maps).ok()?;
    let names: Vec<&[u8]> = maps.split(|b| *b == b'\n').filter_map(Mapping::parse).map(|mapping| mapping.name).collect();
    parts.iter().position(|part| names.iter().any(|name| contains(name, part)))
}

/// The variables that set the number of threads, as the process was started.
pub(super) fn variables(fs: &ProcFs, pid: i32) -> Vec<(String, String)> {
    let mut bytes = Vec::new();
    if fs.read_all(&RelPath::process(pid, "environ"), MOST_BYTES, &mut bytes).is_err() {
        return Vec::new();
    }
    let pair = |entry: &[u8]| {
        let (name, value) = std::str::from_utf8(entry).ok()?.split_once('=')?;
        let number = !value.is_empty() && value.len() < 6 && value.bytes().all(|b| b.is_ascii_digit());
        (name.ends_with("_NUM_THREADS") && name.len() < 32 && number).then(|| (name.to_owned(), value.to_owned()))
    };
    bytes.split(|b| *b == 0).filter_map(pair).collect()
}

/// The futex at which these threads are found in most of many quick looks, and the share of the looks, percent, in which one was there.
pub(super) fn busiest_futex(fs: &ProcFs, pid: i32, tids: &[i32]) -> Option<(u64, u32)> {
    let here = Machine::HERE?;
    let mut counts: HashMap<u64, u32> = HashMap::new();
    let mut buffer = [0u8; 512];
    for _ in 0..LOOKS {
        let mut at = HashSet::new();
        for tid in tids {
            let Ok(bytes) = fs.read_once(&RelPath::task(pid, *tid, "syscall"), &mut buffer) else { continue };
            if let Some(SyscallLine::Inside { number, args, narrow: false }) = SyscallLine::parse(bytes)
                && here.name(number) == Some("futex")
            {
                at.insert(args[0]);
            }
        }
        at.into_iter().for_each(|address| *counts.entry(address).or_default() += 1);
        std::thread::sleep(Duration::from_micros(500));
    }
    let (address, count) = counts.into_iter().max_by_key(|(address, count)| (*count, *address))?;
    Some((address, count * 100 / LOOKS))
}
