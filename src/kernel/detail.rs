//! One process in depth, for the detail pane: read by its own thread, one part at a time, and only while somebody looks.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use super::error::ReadError;
use super::ledger;
use super::parse::schedstat::Schedstat;
use super::parse::stat::Stat;
use super::parse::{key_values, kibibytes};
use super::proc_fs::{ProcFs, RelPath};
use super::waits;
use crate::clock::{Clock as _, SystemClock};
use crate::snapshot::{Detail, DetailContent, DetailPart, FileDetail, ProcKey, ThreadDetail};

/// The most of any file that is read.
const MOST_BYTES: usize = 1 << 20;
/// The most tasks and descriptors that are looked at in one reading.
const MOST_ENTRIES: usize = 4096;
const NAMESPACES: [&str; 8] = ["cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts"];

/// Reads details below one `/proc`.
#[derive(Debug)]
pub struct DetailReader {
    fs: ProcFs,
}

impl DetailReader {
    /// Opens the directory.
    ///
    /// # Errors
    /// If it does not exist or may not be opened.
    pub fn open(root: impl Into<PathBuf>) -> Result<Self, ReadError> {
        Ok(Self { fs: ProcFs::open(root)? })
    }

    /// Reads one part of a process.
    ///
    /// # Errors
    /// [`ReadError::Vanished`] if it is gone or its pid belongs to another, before or after the reading.
    pub fn read(&self, key: ProcKey, part: DetailPart) -> Result<Detail, ReadError> {
        self.identify(key)?;
        let taken_ns = SystemClock.boot_ns();
        let content = match part {
            DetailPart::Threads => self.threads(key.pid).map(DetailContent::Threads),
            DetailPart::Memory { maps } => Ok(self.memory(key.pid, maps)),
            DetailPart::Files => self.files(key.pid).map(DetailContent::Files),
            DetailPart::Environment => self.pieces(key.pid, "environ", 0).map(DetailContent::Lines),
            DetailPart::Limits => self.pieces(key.pid, "limits", b'\n').map(DetailContent::Lines),
            DetailPart::Groups => Ok(self.groups(key.pid)),
            DetailPart::CopyOnWrite => ledger::read(&self.fs, key.pid).map(|ledger| DetailContent::Ledger(Box::new(ledger))),
            DetailPart::Samples => Ok(DetailContent::Nothing),
        };
        // What was read between two looks at the same process is that process's own.
        self.identify(key)?;
        Ok(Detail { key, part, taken_ns, content: content.map_err(|error| reason(&error)) })
    }

    fn identify(&self, key: ProcKey) -> Result<(), ReadError> {
        let stat = self.stat(&RelPath::process(key.pid, "stat"))?;
        if stat.start_ticks == key.start_ticks { Ok(()) } else { Err(ReadError::Vanished) }
    }

    fn stat(&self, path: &RelPath) -> Result<Stat, ReadError> {
        let mut buffer = [0u8; 1024];
        let bytes = self.fs.read_once(path, &mut buffer)?;
        Stat::parse(bytes).map_err(|what| self.fs.malformed(path, what))
    }

    fn threads(&self, pid: i32) -> Result<Vec<ThreadDetail>, ReadError> {
        let mut tids = Vec::new();
        self.fs.list_tids(pid, &mut tids)?;
        let mut epolls = HashMap::new();
        let mut threads: Vec<ThreadDetail> = Vec::with_capacity(tids.len().min(MOST_ENTRIES));
        let mut found = Vec::new();
        for tid in tids.into_iter().take(MOST_ENTRIES) {
            // One that ended since the listing is no thread any more.
            let Ok(stat) = self.stat(&RelPath::task(pid, tid, "stat")) else { continue };
            let mut buffer = [0u8; 128];
            let schedstat = self.fs.read_once(&RelPath::task(pid, tid, "schedstat"), &mut buffer);
            let run_ns = schedstat.ok().and_then(|b| Schedstat::parse(b).ok()).filter(Schedstat::is_kept).map(|s| s.run_ns);
            found.extend(waits::read_one(&self.fs, pid, tid, stat.state, &mut epolls));
            let (start_ticks, comm, state) = (stat.start_ticks, stat.comm, stat.state);
            threads.push(ThreadDetail { tid, start_ticks, comm, state, run_ns, wait: None });
        }
        waits::count_same_futex(&mut found);
        for wait in found {
            if let Ok(at) = threads.binary_search_by_key(&wait.tid, |thread| thread.tid) {
                threads[at].wait = Some(wait);
            }
        }
        Ok(threads)
    }

    fn memory(&self, pid: i32, maps: bool) -> DetailContent {
        let mut bytes = Vec::new();
        let sums = self.fs.read_all(&RelPath::process(pid, "smaps_rollup"), MOST_BYTES, &mut bytes);
        let sums = sums
            .map(|()| key_values(&bytes).filter_map(|(key, value)| Some((Box::from(key), kibibytes(value)?))).collect())
            .map_err(|error| reason(&error));
        let maps = maps.then(|| self.pieces(pid, "maps", b'\n').map_err(|error| reason(&error)));
        DetailContent::Memory { sums, maps }
    }

    fn files(&self, pid: i32) -> Result<Vec<FileDetail>, ReadError> {
        let mut numbers = Vec::new();
        self.fs.list_fds(pid, &mut numbers)?;
        numbers.truncate(MOST_ENTRIES);
        let mut sockets = None;
        let mut files = Vec::with_capacity(numbers.len());
        for fd in numbers {
            let target = match self.fs.read_link(&RelPath::descriptor(pid, fd)) {
                // Closed since the listing.
                Err(ReadError::Vanished) => continue,
                other => other.map_err(|error| reason(&error)),
            };
            let inode = target.as_deref().ok().and_then(socket_inode);
            // The tables are of the process's own network namespace, and are read once and only if it has a socket.
            let socket = inode.and_then(|inode| sockets.get_or_insert_with(|| self.sockets(pid)).get(&inode).cloned());
            files.push(FileDetail { fd, target, socket });
        }
        Ok(files)
    }

    fn sockets(&self, pid: i32) -> HashMap<u64, Box<str>> {
        let mut ends = HashMap::new();
        let mut bytes = Vec::new();
        for (table, name) in [("net/tcp", "tcp"), ("net/tcp6", "tcp"), ("net/udp", "udp"), ("net/udp6", "udp")] {
            if self.fs.read_all(&RelPath::process(pid, table), MOST_BYTES, &mut bytes).is_ok() {
                ends.extend(bytes.split(|b| *b == b'\n').skip(1).filter_map(|line| socket_line(line, name)));
            }
        }
        ends
    }

    fn groups(&self, pid: i32) -> DetailContent {
        let cgroups = self.pieces(pid, "cgroup", b'\n').map_err(|error| reason(&error));
        let of = |name: &'static str| {
            let target = self.fs.read_link(&RelPath::process(pid, &format!("ns/{name}")));
            (name, target.map_err(|error| reason(&error)))
        };
        DetailContent::Groups { cgroups, namespaces: NAMESPACES.map(of).into() }
    }

    fn pieces(&self, pid: i32, leaf: &str, divider: u8) -> Result<Vec<Box<[u8]>>, ReadError> {
        let mut bytes = Vec::new();
        self.fs.read_all(&RelPath::process(pid, leaf), MOST_BYTES, &mut bytes)?;
        Ok(bytes.split(|b| *b == divider).filter(|piece| !piece.is_empty()).map(Box::from).collect())
    }
}

pub(super) fn reason(error: &ReadError) -> String {
    match error {
        ReadError::Denied { .. } => format!("{error}: only its owner and root may read it"),
        other => other.to_string(),
    }
}

fn socket_inode(target: &[u8]) -> Option<u64> {
    std::str::from_utf8(target).ok()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
}

/// A line of `/proc/net/tcp` and its kin (proc_pid_net(5)): inode, and both ends in words.
fn socket_line(line: &[u8], name: &str) -> Option<(u64, Box<str>)> {
    let mut fields = std::str::from_utf8(line).ok()?.split_ascii_whitespace();
    let (local, peer, state) = (end(fields.nth(1)?)?, end(fields.next()?)?, fields.next()?);
    let inode = fields.nth(5)?.parse().ok()?;
    let state = match (name, state) {
        ("udp", _) => "",
        (_, "01") => " established",
        (_, "06") => " time-wait",
        (_, "08") => " close-wait",
        (_, "0A") => " listening",
        _ => " changing",
    };
    let peer = if peer.port() == 0 && peer.ip().is_unspecified() { String::new() } else { format!(" to {peer}") };
    Some((inode, format!("{name} {local}{peer}{state}").into()))
}

/// `0100007F:1F90`: words of the address as this machine stores them in memory, the port as a plain number.
fn end(text: &str) -> Option<SocketAddr> {
    let (address, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let word = |at: usize| u32::from_str_radix(address.get(at * 8..at * 8 + 8)?, 16).ok().map(u32::to_ne_bytes);
    let ip = match address.len() {
        8 => IpAddr::from(Ipv4Addr::from(word(0)?)),
        32 => {
            let mut all = [0u8; 16];
            for (at, part) in all.chunks_exact_mut(4).enumerate() {
                part.copy_from_slice(&word(at)?);
            }
            IpAddr::from(Ipv6Addr::from(all))
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_endian = "little")]
    fn sockets_are_read_with_both_ends() {
        let line = b"   1: 0100007F:1F90 0200007F:C001 01 00000000:00000000 00:00000000 00000000  1000        0 4242 1 0";
        assert_eq!(socket_line(line, "tcp").unwrap(), (4242, "tcp 127.0.0.1:8080 to 127.0.0.2:49153 established".into()));
        let six = b" 0: 00000000000000000000000001000000:0050 00000000000000000000000000000000:0000 0A 0:0 0:0 0 0 0 7 1";
        assert_eq!(socket_line(six, "tcp").unwrap(), (7, "tcp [::1]:80 listening".into()));
        for bad in
            [&b""[..], b"1: x y z", b" 0: 0:0 0:0 0A", b"\xff\xfe", b" 0: \xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9:0 0:0 0 0 0 0 0 0 7"]
        {
            assert_eq!(socket_line(bad, "tcp"), None);
        }
    }

    #[test]
    fn a_real_process_is_read_part_by_part() {
        let reader = DetailReader::open("/proc").unwrap();
        let pid = i32::try_from(std::process::id()).unwrap();
        let start_ticks = reader.stat(&RelPath::process(pid, "stat")).unwrap().start_ticks;
        let key = ProcKey { pid, start_ticks };
        let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let client = std::net::TcpStream::connect(server.local_addr().unwrap()).unwrap();
        let content = |part| reader.read(key, part).unwrap().content.unwrap();
        let DetailContent::Files(files) = content(DetailPart::Files) else { panic!() };
        let ends = format!("tcp {} to {} established", client.local_addr().unwrap(), server.local_addr().unwrap());
        assert!(files.iter().any(|file| file.socket.as_deref() == Some(&*ends)), "{files:?}");
        let DetailContent::Threads(threads) = content(DetailPart::Threads) else { panic!() };
        assert!(threads.iter().any(|thread| thread.tid == pid));
        let DetailContent::Memory { sums, maps } = content(DetailPart::Memory { maps: true }) else { panic!() };
        assert!(sums.unwrap().iter().any(|(label, bytes)| **label == *b"Pss" && *bytes > 0));
        assert!(maps.unwrap().unwrap().len() > 5);
        let DetailContent::Lines(limits) = content(DetailPart::Limits) else { panic!() };
        assert!(limits.iter().any(|line| line.starts_with(b"Max open files")));
        let DetailContent::Groups { namespaces, .. } = content(DetailPart::Groups) else { panic!() };
        assert!(namespaces.iter().any(|(name, target)| *name == "pid" && target.as_ref().unwrap().starts_with(b"pid:[")));
        let other = ProcKey { start_ticks: start_ticks + 1, ..key };
        assert!(matches!(reader.read(other, DetailPart::Threads), Err(ReadError::Vanished)));
    }
}
