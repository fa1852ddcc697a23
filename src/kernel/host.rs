//! The machine itself: CPUs, memory, load, uptime, pressure, from files that are kept open.

use std::path::{Path, PathBuf};

use crate::snapshot::{CpuTimes, HostSample, PressureSample};

use super::devices::Devices;
use super::kept_file::{KeptFile, USUAL_BYTES};
use super::own_limits::LimitsReader;
pub use super::parse::machine::cpu_times;
use super::parse::machine::{self, count_of};
use super::parse::meminfo::{self, ZfsCache};
use super::source::Needs;

/// Reads [`HostSample`]s.
#[derive(Debug)]
pub struct HostReader {
    stat: KeptFile,
    meminfo: KeptFile,
    arcstats: KeptFile,
    loadavg: KeptFile,
    uptime: KeptFile,
    pressure: [KeptFile; 3],
    limits: LimitsReader,
    root: PathBuf,
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
        let kept = |leaf: &str| KeptFile::new(root.join(leaf));
        Self {
            stat: kept("stat"),
            meminfo: kept("meminfo"),
            arcstats: kept("spl/kstat/zfs/arcstats"),
            loadavg: kept("loadavg"),
            uptime: kept("uptime"),
            pressure: [kept("pressure/cpu"), kept("pressure/io"), kept("pressure/memory")],
            devices: Devices::new(root),
            limits: LimitsReader::default(),
            root: root.to_owned(),
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
        let Self {
            stat,
            meminfo,
            arcstats,
            loadavg,
            uptime,
            pressure,
            devices,
            limits,
            root,
            tick_ns,
            buffer,
            forks,
            booted_unix_s,
        } = self;
        let bytes = stat.read(buffer).unwrap_or_default();
        *forks = count_of(bytes, b"processes ");
        *booted_unix_s = count_of(bytes, b"btime ");
        let running = count_of(bytes, b"procs_running ");
        let (cpu_total, cpus) = cpu_times(bytes, *tick_ns);
        let zfs = arcstats.read(buffer).and_then(ZfsCache::parse);
        let [cpu, io, memory] = pressure;
        let mut stall = |kept: &mut KeptFile| kept.read(buffer).and_then(machine::pressure);
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
            own_limits: limits.read(root),
            temperatures: needs.contains(Needs::TEMPERATURES).then(|| devices.temperatures()).flatten(),
        }
    }
}

/// What all CPUs together have done since boot, read once; `None` if the kernel does not say.
#[must_use]
pub fn cpu_times_now() -> Option<CpuTimes> {
    cpu_times(&std::fs::read("/proc/stat").ok()?, super::system_info().tick_ns()).0
}
