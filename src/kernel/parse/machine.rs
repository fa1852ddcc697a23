//! Small files about the whole machine: `/proc/stat`, `loadavg`, `uptime`, `pressure/*`. Each line is read for itself.

use super::{Fields, unsigned, whole_lines};
use crate::snapshot::{CpuTimes, Pressure};

/// A count of `/proc/stat`, like `processes`, the tasks created since boot in all namespaces. `None` if it is absent, or 0 as where `/proc`
/// is an imitation.
#[must_use]
pub fn count_of(bytes: &[u8], name: &[u8]) -> Option<u64> {
    let whole = bytes.get(..bytes.iter().rposition(|byte| *byte == b'\n')?)?;
    // They are among the last lines.
    let line = whole.rsplit(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(name))?;
    Fields::new(line).unsigned().filter(|count| *count > 0)
}

/// The `cpu` lines of `/proc/stat` (proc_stat(5)): all together, and each by its number, ascending. Lines of another form are passed over.
/// Without the line of all, theirs is the sum.
#[must_use]
pub fn cpu_times(bytes: &[u8], tick_ns: u64) -> (Option<CpuTimes>, Vec<(u32, CpuTimes)>) {
    let mut total = None;
    let mut cpus: Vec<(u32, CpuTimes)> = Vec::new();
    for line in whole_lines(bytes).filter_map(|line| line.strip_prefix(b"cpu")) {
        let mut fields = Fields::new(line);
        match line.first() {
            Some(b' ' | b'\t') => total = times(&mut fields, tick_ns).or(total),
            Some(b'0'..=b'9') => {
                let number = fields.next().and_then(unsigned).and_then(|number| u32::try_from(number).ok());
                cpus.extend(number.zip(times(&mut fields, tick_ns)));
            }
            _ => {}
        }
    }
    if !cpus.is_sorted_by(|a, b| a.0 < b.0) {
        cpus.sort_by_key(|(number, _)| *number);
        cpus.dedup_by_key(|(number, _)| *number);
    }
    (total.or_else(|| sum(&cpus)), cpus)
}

fn times(fields: &mut Fields<'_>, tick_ns: u64) -> Option<CpuTimes> {
    let mut next = || fields.unsigned().map(|ticks| ticks.saturating_mul(tick_ns));
    // The first four are as old as the file; the later ones came with 2.6 and are 0 where a kernel does not count them.
    let (user_ns, nice_ns, system_ns, idle_ns) = (next()?, next()?, next()?, next()?);
    let iowait_ns = next().unwrap_or(0);
    let irq_ns = next().unwrap_or(0).saturating_add(next().unwrap_or(0));
    Some(CpuTimes { user_ns, nice_ns, system_ns, idle_ns, iowait_ns, irq_ns, steal_ns: next().unwrap_or(0) })
}

fn sum(cpus: &[(u32, CpuTimes)]) -> Option<CpuTimes> {
    cpus.iter().map(|(_, times)| *times).reduce(|a, b| CpuTimes {
        user_ns: a.user_ns.saturating_add(b.user_ns),
        nice_ns: a.nice_ns.saturating_add(b.nice_ns),
        system_ns: a.system_ns.saturating_add(b.system_ns),
        idle_ns: a.idle_ns.saturating_add(b.idle_ns),
        iowait_ns: a.iowait_ns.saturating_add(b.iowait_ns),
        irq_ns: a.irq_ns.saturating_add(b.irq_ns),
        steal_ns: a.steal_ns.saturating_add(b.steal_ns),
    })
}

/// The three averages of `/proc/loadavg` (proc_loadavg(5)), over 1, 5 and 15 minutes; what follows them is ignored.
#[must_use]
pub fn load(bytes: &[u8]) -> Option<[f32; 3]> {
    let mut fields = Fields::new(bytes);
    let mut next = || fields.next().and_then(decimal);
    Some([next()?, next()?, next()?])
}

/// The first number of `/proc/uptime` (proc_uptime(5)), seconds with two decimals, in nanoseconds.
#[must_use]
pub fn uptime_ns(bytes: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(Fields::new(bytes).next()?).ok()?;
    std::time::Duration::try_from_secs_f64(text.parse().ok()?).ok().and_then(|uptime| u64::try_from(uptime.as_nanos()).ok())
}

/// A file of `/proc/pressure` (Documentation/accounting/psi.rst); `None` without `some`. `full` is absent for CPU on kernels before 5.13,
/// where it is 0 by definition, and elsewhere no reading shows it.
#[must_use]
pub fn pressure(bytes: &[u8]) -> Option<Pressure> {
    let average = |kind: &[u8]| {
        let line = whole_lines(bytes).find(|line| Fields::new(line).next() == Some(kind))?;
        Fields::new(line).find_map(|field| field.strip_prefix(b"avg10=")).and_then(decimal)
    };
    Some(Pressure { some_avg10: average(b"some")?, full_avg10: average(b"full").unwrap_or(0.0) })
}

/// A number as these files write it; `None` for one that is below 0, or none at all.
fn decimal(field: &[u8]) -> Option<f32> {
    std::str::from_utf8(field).ok()?.parse().ok().filter(|value: &f32| value.is_finite() && *value >= 0.0)
}
