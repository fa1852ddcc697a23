//! CPU shares between two readings of `/proc/stat`.

use crate::snapshot::{CpuTimes, HostSample};

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
    /// All CPUs together.
    pub total: Option<CpuShare>,
    /// Each CPU by number.
    pub cpus: Vec<(u32, Option<CpuShare>)>,
}

pub(super) fn rates(before: Option<&HostSample>, now: &HostSample) -> HostRates {
    let total = before.and_then(|b| share(b.cpu_total.as_ref()?, now.cpu_total.as_ref()?));
    let cpus = now
        .cpus
        .iter()
        .map(|(id, times)| {
            let old = before.and_then(|b| b.cpus.iter().find(|(other, _)| other == id));
            (*id, old.and_then(|(_, old)| share(old, times)))
        })
        .collect();
    HostRates { total, cpus }
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
