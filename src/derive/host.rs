//! CPU shares between two readings of `/proc/stat`.

use crate::snapshot::{CpuTimes, DiskSample, HostSample, NetworkSample};

/// How one CPU (or all) spent the interval, in percent of its time; they add up to 100.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct CpuShare {
    /// User mode.
    pub user: f32,
    /// User mode at positive nice.
    pub nice: f32,
    /// Kernel mode.
    pub system: f32,
    /// Interrupts.
    pub irq: f32,
    /// Taken by the hypervisor.
    pub steal: f32,
    /// Idle with outstanding I/O.
    pub iowait: f32,
}

impl CpuShare {
    /// Percent of the time that it was not idle (iowait is idle).
    #[must_use]
    pub fn busy(&self) -> f32 {
        (self.user + self.nice + self.system + self.irq + self.steal).min(100.0)
    }
}

/// Shares of the interval; `None` on the first sample and for a CPU that has just come online.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct HostRates {
    /// Whether there was a sample before this one: what is then still unknown has another reason.
    pub compared: bool,
    /// All CPUs together.
    pub total: Option<CpuShare>,
    /// Each CPU by number.
    pub cpus: Vec<(u32, Option<CpuShare>)>,
    /// Percent of the CPUs that concmon's control group may use; `None` without a limit.
    pub of_limit: Option<f32>,
    /// All whole disks together; `None` if unknown.
    pub disks: Option<Flow>,
    /// All network interfaces together; `None` if unknown.
    pub networks: Option<Flow>,
}

/// What goes into the machine and out of it over several devices, each byte once. A device that has just come counts from the next sample on.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Flow {
    /// Read or received, bytes per second.
    pub in_bytes_per_s: f64,
    /// Written or sent, bytes per second.
    pub out_bytes_per_s: f64,
    /// The device with the most bytes, or of disks the busiest; not yet fit for a terminal. `None` if there is no device.
    pub most: Option<String>,
    /// Of disks: percent of the time in which the busiest had a request in flight.
    pub busy_percent: Option<f32>,
}

pub(super) fn rates(before: Option<&HostSample>, now: &HostSample, dt_ns: Option<u64>) -> HostRates {
    let total = before.and_then(|b| share(b.cpu_total.as_ref()?, now.cpu_total.as_ref()?));
    let cpus = now
        .cpus
        .iter()
        .map(|(id, times)| {
            let old = before.and_then(|b| b.cpus.iter().find(|(other, _)| other == id));
            (*id, old.and_then(|(_, old)| share(old, times)))
        })
        .collect();
    let between = before.zip(dt_ns);
    let disks = between.and_then(|(before, dt)| disks(before.disks.as_deref()?, now.disks.as_deref()?, dt));
    let networks = between.and_then(|(before, dt)| networks(before.networks.as_deref()?, now.networks.as_deref()?, dt));
    let of_limit = before.and_then(|before| of_limit(before, now));
    HostRates { compared: before.is_some(), total, cpus, of_limit, disks, networks }
}

/// CPU time of the own control group between two readings, in percent of what it may use.
fn of_limit(before: &HostSample, now: &HostSample) -> Option<f32> {
    let (old, now, cpus) = (before.own_limits.cpu_used?, now.own_limits.cpu_used?, now.own_limits.cpus?);
    // Another group's time may be less.
    let (used, span) = (now.0.checked_sub(old.0)?, now.1.checked_sub(old.1)?);
    (span > 0 && cpus > 0.0).then(|| (used as f64 * 100.0 / span as f64 / cpus) as f32)
}

/// Counters that went backwards (a device was taken away and came back, or a counter of 32 bits is full) tell nothing this time.
fn per_second(before: u64, now: u64, dt_ns: u64) -> f64 {
    now.saturating_sub(before) as f64 * 1e9 / dt_ns as f64
}

fn disks(before: &[DiskSample], now: &[DiskSample], dt_ns: u64) -> Option<Flow> {
    let mut flow = Flow::default();
    for disk in now {
        let Some(old) = before.iter().find(|d| d.name == disk.name) else { continue };
        flow.in_bytes_per_s += per_second(old.read_bytes, disk.read_bytes, dt_ns);
        flow.out_bytes_per_s += per_second(old.written_bytes, disk.written_bytes, dt_ns);
        let busy = (per_second(old.busy_ns, disk.busy_ns, dt_ns) / 1e7).min(100.0) as f32;
        if flow.busy_percent.is_none_or(|most| busy > most) {
            (flow.busy_percent, flow.most) = (Some(busy), Some(disk.name.clone()));
        }
    }
    Some(flow)
}

fn networks(before: &[NetworkSample], now: &[NetworkSample], dt_ns: u64) -> Option<Flow> {
    let mut flow = Flow::default();
    let (mut inner_in, mut inner_out) = (0.0, 0.0);
    let mut most = -1.0;
    for network in now {
        let Some(old) = before.iter().find(|n| n.name == network.name) else { continue };
        let received = per_second(old.received_bytes, network.received_bytes, dt_ns);
        let sent = per_second(old.sent_bytes, network.sent_bytes, dt_ns);
        if network.inner {
            inner_in += received;
            inner_out += sent;
        } else {
            flow.in_bytes_per_s += received;
            flow.out_bytes_per_s += sent;
        }
        if received + sent > most {
            (most, flow.most) = (received + sent, Some(network.name.clone()));
        }
    }
    // What a container sends comes in over its link; if it goes on to the outside, it is among what went out there already.
    let (outside_in, outside_out) = (flow.in_bytes_per_s, flow.out_bytes_per_s);
    flow.in_bytes_per_s += (inner_in - outside_out).max(0.0);
    flow.out_bytes_per_s += (inner_out - outside_in).max(0.0);
    Some(flow)
}

/// `None` if no time has gone or all went backwards (a CPU was unplugged and came back).
fn share(a: &CpuTimes, b: &CpuTimes) -> Option<CpuShare> {
    // iowait may go backwards by documentation (proc_stat(5)): saturate each part.
    let d = |x: u64, y: u64| y.saturating_sub(x) as f32;
    let parts = [
        d(a.user_ns, b.user_ns),
        d(a.nice_ns, b.nice_ns),
        d(a.system_ns, b.system_ns),
        d(a.irq_ns, b.irq_ns),
        d(a.steal_ns, b.steal_ns),
        d(a.iowait_ns, b.iowait_ns),
        d(a.idle_ns, b.idle_ns),
    ];
    let all: f32 = parts.iter().sum();
    (all > 0.0).then(|| {
        let of = |part: f32| part * 100.0 / all;
        CpuShare {
            user: of(parts[0]),
            nice: of(parts[1]),
            system: of(parts[2]),
            irq: of(parts[3]),
            steal: of(parts[4]),
            iowait: of(parts[5]),
        }
    })
}
