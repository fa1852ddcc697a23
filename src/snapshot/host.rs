//! The sampled machine: cumulative CPU times, memory, load, pressure.

use serde::{Deserialize, Serialize};

/// Cumulative time of one CPU (or all of them) in each mode, nanoseconds (`/proc/stat`, proc_stat(5)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct CpuTimes {
    /// User mode, niced time excluded.
    pub user_ns: u64,
    /// User mode at positive nice.
    pub nice_ns: u64,
    /// Kernel mode.
    pub system_ns: u64,
    /// Idle.
    pub idle_ns: u64,
    /// Idle with outstanding I/O.
    pub iowait_ns: u64,
    /// Hard and soft interrupts.
    pub irq_ns: u64,
    /// Taken by the hypervisor for others.
    pub steal_ns: u64,
}

impl MemorySample {
    /// What programs can have without swapping: MemAvailable; on kernels before 3.14, which do not tell, what is free and the caches.
    #[must_use]
    pub fn available(&self) -> Option<u64> {
        self.available_bytes.or_else(|| {
            let caches = self.buffers_bytes.unwrap_or(0).saturating_add(self.cached_bytes.unwrap_or(0));
            Some(self.free_bytes?.saturating_add(caches).min(self.total_bytes))
        })
    }
}

impl CpuTimes {
    /// Everything but idling, the hypervisor's share included: time that a program could not have.
    #[must_use]
    pub fn busy_ns(&self) -> u64 {
        let own = self.user_ns.saturating_add(self.nice_ns).saturating_add(self.system_ns);
        own.saturating_add(self.irq_ns).saturating_add(self.steal_ns)
    }

    /// Busy or idle.
    #[must_use]
    pub fn all_ns(&self) -> u64 {
        self.busy_ns().saturating_add(self.idle_ns).saturating_add(self.iowait_ns)
    }
}

/// `/proc/meminfo`, bytes; what a kernel or an emulation leaves out, or writes wrongly, is `None`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct MemorySample {
    /// MemTotal.
    pub total_bytes: u64,
    /// MemAvailable, and of the ZFS cache what it can give back.
    pub available_bytes: Option<u64>,
    /// MemFree.
    pub free_bytes: Option<u64>,
    /// Buffers.
    pub buffers_bytes: Option<u64>,
    /// Cached + SReclaimable - Shmem, as htop counts the cache, and of the ZFS cache what it can give back.
    pub cached_bytes: Option<u64>,
    /// Shmem.
    pub shmem_bytes: Option<u64>,
    /// SwapTotal.
    pub swap_total_bytes: Option<u64>,
    /// SwapFree.
    pub swap_free_bytes: Option<u64>,
}

/// Share of time, in percent over the last 10 s, in which some / all tasks waited for one resource (`/proc/pressure`).
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Pressure {
    /// At least one task waited.
    pub some_avg10: f32,
    /// Every runnable task waited.
    pub full_avg10: f32,
}

/// Pressure stall information; each part `None` where the kernel has none.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct PressureSample {
    /// CPU.
    pub cpu: Option<Pressure>,
    /// Storage.
    pub io: Option<Pressure>,
    /// Memory.
    pub memory: Option<Pressure>,
}

/// What one whole disk has done since boot (`/proc/diskstats`, Documentation/admin-guide/iostats.rst).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct DiskSample {
    /// Name; not yet fit for a terminal.
    pub name: String,
    /// Read, bytes.
    pub read_bytes: u64,
    /// Written, bytes.
    pub written_bytes: u64,
    /// Time with at least one request in flight, nanoseconds.
    pub busy_ns: u64,
}

/// What one network interface has done since it was made (`/proc/net/dev`, proc_pid_net(5)).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct NetworkSample {
    /// Name; not yet fit for a terminal.
    pub name: String,
    /// Received, bytes.
    pub received_bytes: u64,
    /// Sent, bytes.
    pub sent_bytes: u64,
    /// Whether it is this machine's end of a link to a container or a virtual machine on it. What goes through such a link on its way out
    /// of the machine is counted at another interface too.
    pub inner: bool,
}

/// One sensor's temperature (`/sys/class/hwmon`, Documentation/hwmon/sysfs-interface.rst).
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Temperature {
    /// What it is of; not yet fit for a terminal.
    pub label: String,
    /// Degrees Celsius.
    pub celsius: f32,
}

/// What a control group and an affinity leave of the machine; `None`: no limit, or none that can be read.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct OwnLimits {
    /// CPUs.
    pub cpus: Option<f64>,
    /// Of the group whose quota or cpuset that is: CPU time that its processes have used since it was made, and when that was read, both
    /// nanoseconds (the second since boot).
    pub cpu_used: Option<(u64, u64)>,
    /// Bytes in use, and the most.
    pub memory: Option<(u64, u64)>,
}

/// The machine at one moment.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct HostSample {
    /// All CPUs together.
    pub cpu_total: Option<CpuTimes>,
    /// Each CPU with its number (numbers may have gaps: hot-unplug).
    pub cpus: Vec<(u32, CpuTimes)>,
    /// Memory and swap.
    pub memory: Option<MemorySample>,
    /// Tasks that run or are ready to, kernel threads and concmon among them (proc_stat(5), `procs_running`).
    pub running: Option<u64>,
    /// 1, 5, 15 minute load.
    pub load: Option<[f32; 3]>,
    /// Since boot.
    pub uptime_ns: Option<u64>,
    /// Pressure stall information.
    pub pressure: PressureSample,
    /// Whole disks; `None` if not asked for, or if they cannot be read.
    pub disks: Option<Vec<DiskSample>>,
    /// Network interfaces but the loopback; `None` as above.
    pub networks: Option<Vec<NetworkSample>>,
    /// What concmon's own control group and affinity leave.
    pub own_limits: OwnLimits,
    /// Temperatures; `None` if not asked for, empty where there are no sensors.
    pub temperatures: Option<Vec<Temperature>>,
}
