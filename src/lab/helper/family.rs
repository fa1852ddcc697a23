//! Finds the processes of each run in one walk over `/proc`, which needs no kernel option (`task/TID/children` does).

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use crate::snapshot::contains;

/// One process, from `/proc/PID/stat` (proc_pid_stat(5)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Proc {
    pub pid: i32,
    pub ppid: i32,
    pub session: i32,
    pub state: char,
    pub nlwp: u32,
    pub rss_pages: u64,
    /// CPU time of the children that it has waited for, nanoseconds, as the kernel counts it: in ticks.
    pub waited_cpu_ns: u64,
    /// Start time in clock ticks: with the pid, an identity.
    pub start: u64,
}

impl Proc {
    /// Reads one; `None` if it has gone.
    pub fn read(pid: i32) -> Option<Self> {
        Self::parse(pid, &std::fs::read(format!("/proc/{pid}/stat")).ok()?)
    }

    /// Whether it has ended and only waits to be reaped.
    pub fn is_dead(&self) -> bool {
        matches!(self.state, 'Z' | 'X')
    }

    fn parse(pid: i32, stat: &[u8]) -> Option<Self> {
        // The name, in parentheses, may hold anything: the last closing one ends it.
        let end = stat.iter().rposition(|b| *b == b')')?;
        let rest = std::str::from_utf8(stat.get(end + 2..)?).ok()?;
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        let number = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
        let ticks = number(16)? + number(17)?;
        Some(Self {
            pid,
            waited_cpu_ns: ticks * 1_000_000_000 / rustix::param::clock_ticks_per_second().max(1),
            state: fields.first()?.chars().next()?,
            ppid: fields.get(1)?.parse().ok()?,
            session: fields.get(3)?.parse().ok()?,
            nlwp: u32::try_from(number(20)?).ok()?,
            start: number(22)?,
            rss_pages: number(24)?,
        })
    }
}

/// All processes by pid.
pub fn scan() -> HashMap<i32, Proc> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return HashMap::new() };
    let pids = entries.flatten().filter_map(|e| e.file_name().to_str()?.parse::<i32>().ok());
    pids.filter_map(|pid| Some((pid, Proc::read(pid)?))).collect()
}

/// Everything below `ancestor`, without itself.
pub fn descendants(all: &HashMap<i32, Proc>, ancestor: i32) -> Vec<Proc> {
    closure(all, [ancestor].into()).into_iter().filter(|p| p.pid != ancestor).collect()
}

/// The members of one run: its root, every descendant of the root, and what has lost its parents and was handed to the helper (`me`) but
/// is in the root's session, was seen before (`known`), or is the run's by what else is known of it (`mine`).
pub fn members(
    all: &HashMap<i32, Proc>,
    me: i32,
    root: i32,
    mine: impl Fn(&Proc) -> bool,
    known: &HashSet<(i32, u64)>,
) -> Vec<Proc> {
    let adopted = all
        .values()
        .filter(|p| p.ppid == me)
        .filter(|p| p.pid == root || p.session == root || known.contains(&(p.pid, p.start)) || mine(p));
    let mut starts: HashSet<i32> = adopted.map(|p| p.pid).collect();
    starts.insert(root);
    // A process that was seen as a member stays one, even if its parent is another now.
    starts.extend(known.iter().filter(|(pid, start)| all.get(pid).is_some_and(|p| p.start == *start)).map(|(pid, _)| *pid));
    let mut members = closure(all, starts);
    members.retain(|p| p.pid != me);
    members.sort_unstable_by_key(|p| p.pid);
    members
}

fn closure(all: &HashMap<i32, Proc>, mut inside: HashSet<i32>) -> Vec<Proc> {
    loop {
        let before = inside.len();
        let found: Vec<i32> = all.values().filter(|p| inside.contains(&p.ppid)).map(|p| p.pid).collect();
        inside.extend(found);
        if inside.len() == before {
            return inside.iter().filter_map(|pid| all.get(pid).copied()).collect();
        }
    }
}

/// Whether the process's environment names run `run`.
pub fn carries(process: &Proc, run: u32) -> bool {
    let wanted = format!("CONCMON_LAB_RUN={run}");
    let names = |env: Vec<u8>| env.split(|b| *b == 0).any(|v| v == wanted.as_bytes());
    !process.is_dead() && std::fs::read(format!("/proc/{}/environ", process.pid)).is_ok_and(names)
}

/// Whether it is CPython's resource tracker, which must be the last to go: it unlinks what the others have left.
pub fn is_tracker(pid: i32) -> bool {
    std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| contains(&line, b"resource_tracker"))
}

/// What CPython's resource tracker is given to clean up once all others are gone.
const TRACKER_GRACE: Duration = Duration::from_millis(600);

/// Rounds of stopping after which a family is killed as it is.
const ROUNDS: u32 = 64;

/// What to do to some of a family.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// Stop these: they cannot fork any more, and their pids stay taken.
    Stop(Vec<Proc>),
    /// Kill these.
    Kill(Vec<Proc>),
}

/// The order in which a family is killed.
///
/// Every process is stopped first. One that forks as fast as it can has new children while the old ones are being killed, and where the
/// number of processes is limited each that is killed makes room for the next.
///
/// Trackers come after all others, and only if they do not end by themselves: one that is killed leaves named semaphores and shared memory
/// behind.
#[derive(Debug, Default)]
pub struct Order {
    /// Since when there are only trackers.
    alone: Option<Instant>,
    /// The processes that have been sent SIGSTOP, by pid and start time.
    stopped: HashSet<(i32, u64)>,
    rounds: u32,
}

impl Order {
    /// What to do now about those that are left.
    pub fn next(&mut self, left: &[Proc], now: Instant) -> Step {
        self.choose(left.iter().filter(|p| !p.is_dead()).partition(|p| is_tracker(p.pid)), now)
    }

    fn choose(&mut self, (trackers, others): (Vec<Proc>, Vec<Proc>), now: Instant) -> Step {
        if !others.is_empty() {
            self.alone = None;
            let fresh: Vec<Proc> = others.iter().filter(|p| self.stopped.insert((p.pid, p.start))).copied().collect();
            if fresh.is_empty() || self.rounds == ROUNDS {
                return Step::Kill(others);
            }
            self.rounds += 1;
            return Step::Stop(fresh);
        }
        let alone = *self.alone.get_or_insert(now);
        Step::Kill(if now < alone + TRACKER_GRACE { Vec::new() } else { trackers })
    }
}

/// Longest command line that is handed on, bytes.
const COMMAND_MOST: usize = 1024;
/// Most tasks of one process whose waits are read in one look.
const WAITS_MOST: usize = 64;

/// Command line of a process, arguments joined by spaces, cut; empty if it cannot be read.
pub fn command(pid: i32) -> String {
    let Ok(mut line) = std::fs::read(format!("/proc/{pid}/cmdline")) else { return String::new() };
    line.truncate(COMMAND_MOST);
    let words: Vec<_> = line.split(|b| *b == 0).map(String::from_utf8_lossy).collect();
    words.join(" ").trim_end().to_owned()
}

/// What the tasks of a process wait for, in the words of [`crate::lab::waits`].
pub fn waits(pid: i32) -> Vec<String> {
    let Ok(tasks) = std::fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    let files = tasks.flatten().take(WAITS_MOST).map(|task| task.path().join("syscall"));
    files.filter_map(|file| crate::lab::waits::parse(&std::fs::read(file).ok()?)).map(str::to_owned).collect()
}

/// Whether a thread of the process, other than its leader, is on a CPU or wants one.
pub fn any_running(process: &Proc) -> bool {
    if process.nlwp < 2 || process.is_dead() {
        return false;
    }
    let Ok(tasks) = std::fs::read_dir(format!("/proc/{}/task", process.pid)) else { return false };
    let stats = tasks.flatten().take(WAITS_MOST).filter_map(|task| std::fs::read(task.path().join("stat")).ok());
    stats.into_iter().any(|stat| Proc::parse(process.pid, &stat).is_some_and(|task| task.state == 'R'))
}

/// Proportional and unique set size of a process, bytes (`smaps_rollup`, proc_pid_smaps(5)).
pub fn pss_uss_bytes(pid: i32) -> Option<(u64, u64)> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    let field = |name: &str| -> Option<u64> {
        let line = text.lines().find_map(|l| l.strip_prefix(name))?;
        line.split_whitespace().next()?.parse::<u64>().ok().map(|kb| kb * 1024)
    };
    Some((field("Pss:")?, field("Private_Clean:")? + field("Private_Dirty:")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proc(pid: i32, ppid: i32, session: i32) -> (i32, Proc) {
        (pid, Proc { pid, ppid, session, state: 'S', nlwp: 1, rss_pages: 1, waited_cpu_ns: 0, start: 1 })
    }

    #[test]
    fn a_hostile_name_does_not_shift_the_fields() {
        let stat = b"77 (a) R 1 (\n) S 5 6 7 0 -1 4194560 100 0 0 0 0 0 0 0 20 0 3 0 4242 1000 55 18446744073709551615";
        let p = Proc::parse(77, stat).unwrap();
        assert_eq!((p.state, p.ppid, p.session, p.nlwp, p.start, p.rss_pages), ('S', 5, 7, 3, 4242, 55));
        assert_eq!(Proc::parse(77, b"77 (a"), None);
        assert_eq!(Proc::parse(77, b"77 (a) S 5"), None);
    }

    #[test]
    fn orphans_belong_to_the_run_of_their_session() {
        // Helper 10 with runs 20 and 30; 21 has a child 22, 23 was orphaned, 33 belongs to the other run, 99 to none.
        let all: HashMap<i32, Proc> = [
            proc(10, 1, 10),
            proc(20, 10, 20),
            proc(21, 20, 20),
            proc(22, 21, 22),
            proc(23, 10, 20),
            proc(30, 10, 30),
            proc(33, 10, 30),
            proc(99, 1, 99),
        ]
        .into();
        let pids: Vec<i32> = members(&all, 10, 20, |_: &Proc| false, &HashSet::new()).iter().map(|p| p.pid).collect();
        assert_eq!(pids, [20, 21, 22, 23]);
        let mut below: Vec<i32> = descendants(&all, 10).iter().map(|p| p.pid).collect();
        below.sort_unstable();
        assert_eq!(below, [20, 21, 22, 23, 30, 33]);
    }

    #[test]
    fn a_tracker_has_its_time_after_all_others() {
        let (worker, tracker) = (proc(21, 20, 20).1, proc(22, 20, 20).1);
        let (mut order, begun) = (Order::default(), Instant::now());
        assert_eq!(order.choose((vec![tracker], vec![worker]), begun), Step::Stop(vec![worker]));
        assert_eq!(order.choose((vec![tracker], vec![worker]), begun), Step::Kill(vec![worker]));
        let late = begun + 10 * TRACKER_GRACE;
        assert_eq!(order.choose((vec![tracker], vec![]), late), Step::Kill(vec![]), "however long the others have taken");
        assert_eq!(order.choose((vec![tracker], vec![]), late + TRACKER_GRACE), Step::Kill(vec![tracker]));
    }

    #[test]
    fn a_family_that_multiplies_is_stopped_before_anybody_is_killed() {
        let (mut order, now) = (Order::default(), Instant::now());
        let family: Vec<Proc> = (21..24).map(|pid| proc(pid, 20, 20).1).collect();
        assert_eq!(order.choose((vec![], family[..1].to_vec()), now), Step::Stop(family[..1].to_vec()));
        assert_eq!(order.choose((vec![], family.clone()), now), Step::Stop(family[1..].to_vec()), "its children");
        assert_eq!(order.choose((vec![], family.clone()), now), Step::Kill(family));
        for pid in 100..100 + ROUNDS as i32 {
            order.choose((vec![], vec![proc(pid, 20, 20).1]), now);
        }
        let last = proc(4000, 20, 20).1;
        assert_eq!(order.choose((vec![], vec![last]), now), Step::Kill(vec![last]), "not for ever");
    }

    #[test]
    fn who_was_seen_as_a_member_stays_one() {
        let all: HashMap<i32, Proc> = [proc(10, 1, 10), proc(20, 10, 20), proc(25, 10, 25), proc(26, 10, 26)].into();
        let known = HashSet::from([(25, 1), (26, 7)]);
        let pids: Vec<i32> = members(&all, 10, 20, |_: &Proc| false, &known).iter().map(|p| p.pid).collect();
        assert_eq!(pids, [20, 25], "26 has another start time: its pid was reused");
    }
}
