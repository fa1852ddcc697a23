//! The machine itself: CPUs, memory, load, uptime, pressure, from files that are kept open and parsed by the `procfs` crate.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use procfs::{FromBufRead, FromRead, LoadAverage, Meminfo, PressureRecord, parse_pressure_record};

use crate::snapshot::{CpuTimes, HostSample, MemorySample, Pressure, PressureSample};

use super::devices::Devices;
use super::parse::{Fields, unsigned};
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

/// How many bytes of `buffer` the whole file now is.
fn whole(file: &File, buffer: &mut Vec<u8>) -> Option<usize> {
    buffer.resize(buffer.capacity().max(4096), 0);
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
    loadavg: Kept,
    uptime: Kept,
    pressure: [Kept; 3],
    devices: Devices,
    tick_ns: u64,
    buffer: Vec<u8>,
    forks: Option<u64>,
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
            loadavg: kept("loadavg"),
            uptime: kept("uptime"),
            pressure: [kept("pressure/cpu"), kept("pressure/io"), kept("pressure/memory")],
            devices: Devices::new(root),
            tick_ns: 1_000_000_000 / rustix::param::clock_ticks_per_second().max(1),
            buffer: Vec::with_capacity(16 * 1024),
            forks: None,
        }
    }

    /// How many tasks had been created since boot when [`HostReader::read`] was called last.
    #[must_use]
    pub fn forks(&self) -> Option<u64> {
        self.forks
    }

    /// The machine now. What cannot be read is `None`; of its devices only what is needed is read.
    pub fn read(&mut self, needs: Needs) -> HostSample {
        let Self { stat, meminfo, loadavg, uptime, pressure, devices, tick_ns, buffer, forks } = self;
        let bytes = stat.read(buffer).unwrap_or_default();
        *forks = count_of(bytes, b"processes ");
        let running = count_of(bytes, b"procs_running ");
        let (cpu_total, cpus) = cpu_times(bytes, *tick_ns);
        let [cpu, io, memory] = pressure;
        HostSample {
            cpu_total,
            cpus,
            running,
            memory: meminfo.read(buffer).and_then(memory_sample),
            load: loadavg
                .read(buffer)
                .and_then(|bytes| LoadAverage::from_read(bytes).ok())
                .map(|load| [load.one, load.five, load.fifteen]),
            uptime_ns: uptime.read(buffer).and_then(uptime_ns),
            pressure: PressureSample { cpu: stall(cpu, buffer), io: stall(io, buffer), memory: stall(memory, buffer) },
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

/// A count of `/proc/stat`, like `processes`, the tasks created since boot in all namespaces. `None` if it is absent, or 0 as where `/proc`
/// is an imitation.
fn count_of(bytes: &[u8], name: &[u8]) -> Option<u64> {
    // They are among the last lines.
    let line = bytes.rsplit(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(name))?;
    unsigned(line).filter(|count| *count > 0)
}

/// The `cpu` lines of `/proc/stat` (proc_stat(5)): all together, and each by its number.
#[must_use]
pub fn cpu_times(bytes: &[u8], tick_ns: u64) -> (Option<CpuTimes>, Vec<(u32, CpuTimes)>) {
    let mut total = None;
    let mut cpus = Vec::new();
    // They come first; the long `intr` line that follows them is not looked at.
    for line in bytes.split(|byte| *byte == b'\n').map_while(|line| line.strip_prefix(b"cpu")) {
        let mut fields = Fields::new(line);
        if line.first() == Some(&b' ') {
            total = times(&mut fields, tick_ns);
        } else if let Some(number) = fields.next().and_then(unsigned).and_then(|number| u32::try_from(number).ok()) {
            cpus.extend(times(&mut fields, tick_ns).map(|times| (number, times)));
        }
    }
    (total, cpus)
}

fn times(fields: &mut Fields<'_>, tick_ns: u64) -> Option<CpuTimes> {
    let mut next = || fields.unsigned().map(|ticks| ticks.saturating_mul(tick_ns));
    // The first four are as old as the file; the later ones came with 2.6 and are 0 where a kernel does not count them.
    let (user_ns, nice_ns, system_ns, idle_ns) = (next()?, next()?, next()?, next()?);
    let iowait_ns = next().unwrap_or(0);
    let irq_ns = next().unwrap_or(0).saturating_add(next().unwrap_or(0));
    Some(CpuTimes { user_ns, nice_ns, system_ns, idle_ns, iowait_ns, irq_ns, steal_ns: next().unwrap_or(0) })
}

fn memory_sample(bytes: &[u8]) -> Option<MemorySample> {
    let info = Meminfo::from_buf_read(bytes).ok()?;
    let shmem = info.shmem.unwrap_or(0);
    Some(MemorySample {
        total_bytes: info.mem_total,
        available_bytes: info.mem_available,
        free_bytes: info.mem_free,
        buffers_bytes: info.buffers,
        cached_bytes: info.cached.saturating_add(info.s_reclaimable.unwrap_or(0)).saturating_sub(shmem),
        shmem_bytes: info.shmem,
        swap_total_bytes: info.swap_total,
        swap_free_bytes: info.swap_free,
    })
}

/// The first number of `/proc/uptime`, seconds with two decimals.
fn uptime_ns(bytes: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(Fields::new(bytes).next()?).ok()?;
    std::time::Duration::try_from_secs_f64(text.parse().ok()?).ok().and_then(|uptime| u64::try_from(uptime.as_nanos()).ok())
}

/// One pressure file. `full` is absent for CPU on kernels before 5.13, where it is 0 by definition.
fn stall(kept: &mut Kept, buffer: &mut Vec<u8>) -> Option<Pressure> {
    let (some, full) = pressure(kept.read(buffer)?)?;
    Some(Pressure { some_avg10: some.avg10, full_avg10: full.map_or(0.0, |full| full.avg10) })
}

fn pressure(bytes: &[u8]) -> Option<(PressureRecord, Option<PressureRecord>)> {
    let text = std::str::from_utf8(bytes).ok()?;
    let record = |kind: &str| text.lines().find(|line| line.starts_with(kind)).and_then(|line| parse_pressure_record(line).ok());
    Some((record("some")?, record("full")))
}
