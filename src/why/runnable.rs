//! Why a runnable task gets the CPU that it gets.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::causes::TaskId;
use crate::kernel::groups::{Hierarchies, cpu_limit};
use crate::kernel::parse::schedstat::Schedstat;
use crate::kernel::parse::stat::Stat;
use crate::kernel::proc_fs::{ProcFs, RelPath};
use crate::kernel::treatment::treatment;
use crate::snapshot::{Comm, ProcKey};
use crate::text::{Charset, sanitize};

/// concmon watches a runnable task for this time.
const WATCHED: Duration = Duration::from_millis(200);
/// The most of a process's list of control groups that is read.
const GROUPS_BYTES: usize = 64 * 1024;
/// Other programs that are named, and the least share of one CPU that they used, percent.
const NAMED: usize = 3;
const LEAST_PERCENT: u64 = 10;

/// Clock ticks of CPU time, and the name, of each process.
type Used = HashMap<ProcKey, (u64, Comm)>;
/// Name, PID and share of one CPU in percent of another process.
type Other = (Comm, i32, u64);

/// The state of a runnable task during [`WATCHED`].
#[derive(Debug, Default)]
struct Watched {
    for_ms: u64,
    ran_ms: u64,
    /// Reported by the kernel when the wait is over: less than it is while the task still waits.
    waited_ms: u64,
    /// True if the task got a CPU at all.
    ran: bool,
    nice: i32,
    /// The group with the lowest quota, the quota in CPUs, and of the periods that passed how many it was stopped in.
    quota: Option<(String, f64, u64, u64)>,
    /// CPUs that it may run on.
    cpus: Option<usize>,
    /// Other processes that used the CPUs meanwhile, the largest share first.
    others: Vec<Other>,
}

/// Watches the task for a fifth of a second; `None` if it has ended. `stat` is its own.
pub(super) fn words(fs: &ProcFs, id: TaskId, stat: &Stat) -> Option<String> {
    let read = || {
        let mut buffer = [0u8; 128];
        Schedstat::parse(fs.read_once(&RelPath::task(id.pid, id.tid, "schedstat"), &mut buffer).ok()?).ok()
    };
    let mut cgroup = Vec::new();
    // Without its group only the quota stays unknown.
    let _ = fs.read_all(&RelPath::process(id.pid, "cgroup"), GROUPS_BYTES, &mut cgroup);
    let line = Hierarchies::read(fs).line(&cgroup, "cpu");
    let limit = || {
        let line = line.as_ref()?;
        let limits = line.levels.iter().filter_map(|(name, path)| Some((name, cpu_limit(path, line.unified)?)));
        limits.min_by(|a, b| a.1.quota_cpus.total_cmp(&b.1.quota_cpus))
    };
    let cpus = treatment(fs, id.pid).cpus;
    // On its only CPU others matter that run there.
    let here = stat.last_cpu.filter(|_| cpus == Some(1));
    let (begun, used_before) = (Instant::now(), used(fs, here));
    let (before, quota_before) = (read()?, limit());
    std::thread::sleep(WATCHED);
    let (after, quota) = (read()?, limit());
    let (for_ms, used_after) = (u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX), used(fs, here));
    let ms = |after: u64, before: u64| after.saturating_sub(before) / 1_000_000;
    let quota = quota_before.zip(quota).map(|((_, before), (name, now))| {
        let (stopped, periods) = (now.throttled.saturating_sub(before.throttled), now.periods.saturating_sub(before.periods));
        (name.to_string(), now.quota_cpus, stopped, periods)
    });
    let ran_ms = ms(after.run_ns, before.run_ns);
    let watched = Watched {
        for_ms,
        ran_ms,
        // A wait that began earlier is reported in whole when it ends.
        waited_ms: ms(after.run_delay_ns, before.run_delay_ns).min(for_ms.saturating_sub(ran_ms)),
        ran: after != before,
        nice: stat.nice,
        quota,
        cpus,
        others: others(&used_before, &used_after, id.pid, for_ms),
    };
    Some(watched.words())
}

/// Clock ticks that each process has used, with its name; only those whose main thread was last on the CPU `here`, if given.
fn used(fs: &ProcFs, here: Option<u32>) -> Used {
    let (mut pids, mut used, mut buffer) = (Vec::new(), Used::new(), [0u8; 1024]);
    // Without the list no other is named.
    let _ = fs.list_pids(&mut pids);
    for pid in pids {
        let Ok(bytes) = fs.read_once(&RelPath::process(pid, "stat"), &mut buffer) else { continue };
        let Ok(stat) = Stat::parse(bytes) else { continue };
        if here.is_none() || stat.last_cpu == here {
            let key = ProcKey { pid, start_ticks: stat.start_ticks };
            used.insert(key, (stat.utime_ticks + stat.stime_ticks, stat.comm));
        }
    }
    used
}

/// The processes that used the most CPU time between two readings, beside `own` and this program.
fn others(before: &Used, after: &Used, own: i32, for_ms: u64) -> Vec<Other> {
    let this = i32::try_from(std::process::id()).unwrap_or(0);
    let tick_ms = 1000 / rustix::param::clock_ticks_per_second().max(1);
    let share = |(key, (ticks, name)): (&ProcKey, &(u64, Comm))| {
        let grown = ticks.saturating_sub(before.get(key)?.0);
        let percent = grown * tick_ms * 100 / for_ms.max(1);
        (key.pid != own && key.pid != this && percent >= LEAST_PERCENT).then_some((*name, key.pid, percent))
    };
    let mut others: Vec<Other> = after.iter().filter_map(share).collect();
    others.sort_unstable_by_key(|(_, pid, percent)| (Reverse(*percent), *pid));
    others.truncate(NAMED);
    others
}

impl Watched {
    fn words(&self) -> String {
        let (for_ms, ran, waited) = (self.for_ms, self.ran_ms, self.waited_ms);
        let waits = !self.ran || waited > 0;
        let mut words = match self.ran {
            true => format!("In {for_ms} ms it ran for {ran} ms and waited for a CPU for {waited} ms."),
            // Its figures change only when it gets a CPU.
            false => format!("In {for_ms} ms it did not run: it waited for a CPU all the time."),
        };
        if let Some((name, cpus, stopped, periods)) = &self.quota {
            words += &format!(" Its group {name} may use {cpus:.2} CPUs and was throttled in {stopped} of {periods} periods.");
        }
        match self.cpus {
            Some(1) => words += " It may run on 1 CPU.",
            Some(cpus) => words += &format!(" It may run on {cpus} CPUs."),
            None => {}
        }
        if waits && self.nice > 0 {
            words += &format!(" Its nice value is {}: programs with a lower one get more of the CPU.", self.nice);
        }
        if waits && !self.others.is_empty() {
            let name = |comm: &Comm| sanitize(comm.as_bytes(), Charset::Unicode).into_owned();
            let named: Vec<String> =
                self.others.iter().map(|(comm, pid, percent)| format!("{} ({pid}) {percent} %", name(comm))).collect();
            words += &format!(" Meanwhile others used the CPU: {}.", named.join(", "));
        }
        words
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_task_waited_for_is_said_and_a_task_that_never_ran_has_not_waited_nothing() {
        let others = vec![(Comm::new(b"sh"), 9, 99), (Comm::new(b"make"), 8, 50)];
        let starved = Watched { for_ms: 200, cpus: Some(1), nice: 19, others: others.clone(), ..Watched::default() };
        assert_eq!(
            starved.words(),
            "In 200 ms it did not run: it waited for a CPU all the time. It may run on 1 CPU. Its nice value is 19: programs with a lower \
             one get more of the CPU. Meanwhile others used the CPU: sh (9) 99 %, make (8) 50 %."
        );
        let stopped = ("/jobs".to_owned(), 0.3, 2, 2);
        let limited =
            Watched { for_ms: 200, ran: true, ran_ms: 60, quota: Some(stopped), cpus: Some(2), others, ..Watched::default() };
        assert_eq!(
            limited.words(),
            "In 200 ms it ran for 60 ms and waited for a CPU for 0 ms. Its group /jobs may use 0.30 CPUs and was throttled in 2 of 2 periods. \
             It may run on 2 CPUs."
        );
    }

    #[test]
    fn others_are_those_that_used_the_most_between_two_readings() {
        let key = |pid, start_ticks| ProcKey { pid, start_ticks };
        let name = |pid: i32| Comm::new(format!("p{pid}").as_bytes());
        let at = |ticks: [u64; 4]| (1..).zip(ticks).map(|(pid, ticks)| (key(pid, 5), (ticks, name(pid)))).collect();
        let before: Used = at([10, 10, 10, 10]);
        let mut after: Used = at([30, 20, 10, 30]);
        after.insert(key(7, 9), (90, name(7)));
        let found = others(&before, &after, 4, 20 * 1000 / rustix::param::clock_ticks_per_second());
        assert_eq!(found, [(name(1), 1, 100), (name(2), 2, 50)]);
    }
}
