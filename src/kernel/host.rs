//! The machine itself: CPUs, memory, load, uptime, pressure, from files that are kept open.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::snapshot::{CpuTimes, HostSample, PressureSample};

use super::devices::Devices;
pub use super::parse::machine::cpu_times;
use super::parse::machine::{self, count_of};
use super::parse::meminfo::{self, ZfsCache};
use super::source::Needs;
use super::system::descriptor_limit;

/// One kept file: opened at the first reading, read again from its beginning after that. Where descriptors are few it is opened for each
/// reading instead: the processes cannot be read without.
#[derive(Debug)]
pub(super) struct Kept {
    path: PathBuf,
    file: Option<File>,
}

impl Kept {
    /// So many must be left beyond the one that is kept.
    const LEFT: u64 = 16;

    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, file: None }
    }

    /// The whole content in `buffer`; `None` if it is absent or unreadable (and tried again next time).
    pub(super) fn read<'b>(&mut self, buffer: &'b mut Vec<u8>) -> Option<&'b [u8]> {
        if let Some(file) = &self.file {
            let length = whole(file, buffer);
            if length.is_none() {
                self.file = None;
            }
            return Some(&buffer[..length?]);
        }
        let file = File::open(&self.path).ok()?;
        let length = whole(&file, buffer)?;
        // The kernel gives the lowest free number, so all below it are taken.
        let taken = u64::try_from(file.as_raw_fd()).unwrap_or(u64::MAX);
        self.file = (taken.saturating_add(Self::LEFT) < descriptor_limit()).then_some(file);
        Some(&buffer[..length])
    }
}

/// What the files usually need, bytes.
const USUAL_BYTES: usize = 16 * 1024;

/// How many bytes of `buffer` the whole file now is.
fn whole(file: &File, buffer: &mut Vec<u8>) -> Option<usize> {
    // What one long file has taken (a machine of a thousand CPUs has a megabyte of interrupts) is given back when it is short again.
    buffer.resize(USUAL_BYTES, 0);
    buffer.shrink_to(4 * USUAL_BYTES);
    let mut length = 0;
    loop {
        match file.read_at(&mut buffer[length..], length as u64).ok()? {
            0 => return Some(length),
            more => length += more,
        }
        if length == buffer.len() {
            buffer.resize(length * 2, 0);
        }
    }
}

/// Reads [`HostSample`]s.
#[derive(Debug)]
pub struct HostReader {
    stat: Kept,
    meminfo: Kept,
    arcstats: Kept,
    loadavg: Kept,
    uptime: Kept,
    pressure: [Kept; 3],
    devices: Devices,
    tick_ns: u64,
    buffer: Vec<u8>,
    forks: Option<u64>,
    booted_unix_s: Option<u64>,
}

impl HostReader {
    /// Reads below `root`, `/proc` outside tests. Nothing is opened before the first reading.
    #[must_use]
    pub fn new(root: impl AsRef<Path>) -> Self {
        let root = root.as_ref();
        let kept = |leaf: &str| Kept::new(root.join(leaf));
        Self {
            stat: kept("stat"),
            meminfo: kept("meminfo"),
            arcstats: kept("spl/kstat/zfs/arcstats"),
            loadavg: kept("loadavg"),
            uptime: kept("uptime"),
            pressure: [kept("pressure/cpu"), kept("pressure/io"), kept("pressure/memory")],
            devices: Devices::new(root),
            tick_ns: 1_000_000_000 / rustix::param::clock_ticks_per_second().max(1),
            buffer: Vec::with_capacity(USUAL_BYTES),
            forks: None,
            booted_unix_s: None,
        }
    }

    /// How many tasks had been created since boot when [`HostReader::read`] was called last.
    #[must_use]
    pub fn forks(&self) -> Option<u64> {
        self.forks
    }

    /// When the machine was booted, seconds since 1970 by the clock as it was set when [`HostReader::read`] was called last (`btime`).
    #[must_use]
    pub fn booted_unix_s(&self) -> Option<u64> {
        self.booted_unix_s
    }

    /// The machine now. What cannot be read is `None`; of its devices only what is needed is read.
    pub fn read(&mut self, needs: Needs) -> HostSample {
        let Self { stat, meminfo, arcstats, loadavg, uptime, pressure, devices, tick_ns, buffer, forks, booted_unix_s } = self;
        let bytes = stat.read(buffer).unwrap_or_default();
        *forks = count_of(bytes, b"processes ");
        *booted_unix_s = count_of(bytes, b"btime ");
        let running = count_of(bytes, b"procs_running ");
        let (cpu_total, cpus) = cpu_times(bytes, *tick_ns);
        let zfs = arcstats.read(buffer).and_then(ZfsCache::parse);
        let [cpu, io, memory] = pressure;
        let mut stall = |kept: &mut Kept| kept.read(buffer).and_then(machine::pressure);
        let pressure = PressureSample { cpu: stall(cpu), io: stall(io), memory: stall(memory) };
        HostSample {
            cpu_total,
            cpus,
            running,
            memory: meminfo.read(buffer).and_then(|bytes| meminfo::parse(bytes, zfs)),
            load: loadavg.read(buffer).and_then(machine::load),
            uptime_ns: uptime.read(buffer).and_then(machine::uptime_ns),
            pressure,
            disks: needs.contains(Needs::DISKS).then(|| devices.disks(buffer)).flatten(),
            networks: needs.contains(Needs::NETWORKS).then(|| devices.networks(buffer)).flatten(),
            temperatures: needs.contains(Needs::TEMPERATURES).then(|| devices.temperatures()).flatten(),
        }
    }
}

/// What all CPUs together have done since boot, read once; `None` if the kernel does not say.
#[must_use]
pub fn cpu_times_now() -> Option<CpuTimes> {
    cpu_times(&std::fs::read("/proc/stat").ok()?, super::system_info().tick_ns()).0
}
