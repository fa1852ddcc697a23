//! A machine at its worst, in a fake `/proc`: as many processes and threads as fit, files that vanish while they are read, cycles of
//! parents, unplugged CPUs, a clock that jumps.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use concmon::derive::Deriver;
use concmon::kernel::ProcSource;
use concmon::kernel::source::{Needs, Request, Source};
use concmon::snapshot::Snapshot;

use crate::support::exclusive::alone;
use crate::support::fake_proc::{Fake, FakeProc};

/// The default `pid_max`: a machine has more processes than this only if it was configured for it.
const MANY: i32 = 32_000;

fn source(proc: &FakeProc) -> ProcSource {
    ProcSource::with_system(proc.root(), proc.system()).expect("open the fake tree")
}

fn sweep(source: &mut ProcSource, needs: Needs) -> Snapshot {
    source.sample(&Request::basic(needs)).expect("a sample")
}

/// The least that makes a process, in three files: there are many of them.
fn write_process(proc: &FakeProc, pid: i32, ppid: i32, nlwp: u32) {
    let stat = stat_line(pid, ppid, nlwp);
    proc.write(&format!("{pid}/stat"), stat);
    proc.write(&format!("{pid}/schedstat"), "1000 10 1\n");
    proc.write(&format!("{pid}/cmdline"), "many\0");
}

fn stat_line(pid: i32, ppid: i32, nlwp: u32) -> String {
    format!(
        "{pid} (many) S {ppid} 1 1 0 -1 4194560 1 0 0 0 5 5 0 0 20 0 {nlwp} 0 100 4096 10 18446744073709551615 1 1 0 0 0 0 0 0 0 0 0 0 17 0 \
         0 0 0 0 0 0 0 0 0 0 0 0 0\n"
    )
}

#[test]
fn thirty_two_thousand_processes_are_a_table_like_any_other() {
    let _alone = alone();
    let proc = FakeProc::new();
    for pid in 1..=MANY {
        // One long chain below process 1, the deepest tree there can be, and a broad one.
        write_process(&proc, pid, if pid <= MANY / 2 { pid - 1 } else { 1 }, 1);
    }
    let mut source = source(&proc);
    let mut deriver = Deriver::new(0);
    let begun = Instant::now();
    let first = sweep(&mut source, Needs::empty());
    let (cold, begun) = (begun.elapsed(), Instant::now());
    assert_eq!(first.processes.len(), MANY as usize);
    deriver.step(first);
    let second = sweep(&mut source, Needs::empty());
    let warm = begun.elapsed();
    assert_eq!(second.processes.len(), MANY as usize);
    let model = deriver.step(second);
    let tree = model.tree(false);
    assert_eq!(tree.roots().len(), 1);
    assert_eq!(tree.subtree(tree.roots()[0]).len(), MANY as usize, "the chain is walked without recursion");
    loudly!(
        "{MANY} processes: first sweep {} ms, second {} ms, in a debug build on ordinary files",
        cold.as_millis(),
        warm.as_millis()
    );
    assert!(warm < Duration::from_secs(10), "{warm:?}");
}

#[test]
fn a_process_of_thirty_thousand_threads_is_read_whole() {
    let _alone = alone();
    const THREADS: u32 = 30_000;
    let proc = FakeProc::new();
    write_process(&proc, 7, 0, THREADS);
    for tid in 7..7 + i32::try_from(THREADS).expect("it fits") {
        proc.write(&format!("7/task/{tid}/stat"), stat_line(tid, 0, THREADS));
        proc.write(&format!("7/task/{tid}/schedstat"), "1000 10 1\n");
    }
    let mut source = source(&proc);
    let snapshot = sweep(&mut source, Needs::THREADS | Needs::SCHEDSTAT);
    assert_eq!(snapshot.processes.len(), 1);
    assert_eq!(snapshot.processes[0].nlwp, Some(THREADS));
    assert_eq!(snapshot.tasks.len(), THREADS as usize);
    let again = sweep(&mut source, Needs::THREADS | Needs::SCHEDSTAT);
    assert_eq!(again.tasks.len(), THREADS as usize);
}

struct StopAtTheEnd<'a>(&'a AtomicBool);

impl Drop for StopAtTheEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn files_that_vanish_while_they_are_read_take_nobody_else_with_them() {
    let _alone = alone();
    let proc = FakeProc::new();
    for pid in 1..=40 {
        proc.add(Fake::new(pid));
    }
    let stop = AtomicBool::new(false);
    let sweeps = std::thread::scope(|scope| {
        // Also if an assertion fails: a scope waits for all of its threads.
        let _stopped = StopAtTheEnd(&stop);
        scope.spawn(|| {
            let mut round = 0u32;
            while !stop.load(Ordering::Relaxed) {
                for pid in 21..=40i32 {
                    // In every state of undoing: emptied, without one file, gone, back.
                    let base = proc.root().join(pid.to_string());
                    match (round + pid.unsigned_abs()) % 4 {
                        0 => drop(std::fs::remove_file(base.join("stat"))),
                        1 => drop(std::fs::remove_dir_all(base.join("task"))),
                        2 => drop(std::fs::remove_dir_all(&base)),
                        _ => {
                            proc.add(Fake::new(pid).start(1000 + u64::from(round)));
                        }
                    }
                }
                round += 1;
            }
        });
        let mut source = source(&proc);
        let mut deriver = Deriver::new(1_000_000_000);
        let until = Instant::now() + Duration::from_secs(3);
        let mut sweeps = 0;
        while Instant::now() < until {
            let snapshot = sweep(&mut source, Needs::all());
            let steady = snapshot.processes.iter().filter(|process| process.key.pid <= 20).count();
            assert!(steady == 20, "those that stay are always there: {steady} of 20 in sweep {sweeps}");
            for process in &snapshot.processes {
                assert!(process.key.start_ticks > 0 && !process.leader.comm.as_bytes().is_empty(), "half a process: {process:?}");
            }
            deriver.step(snapshot);
            sweeps += 1;
        }
        sweeps
    });
    loudly!("{sweeps} sweeps over processes that come and go, 0 of those that stay were missed");
    assert!(sweeps >= 10, "{sweeps}");
}

#[test]
fn parents_in_a_circle_lose_nobody() {
    let _alone = alone();
    let proc = FakeProc::new();
    proc.add(Fake::new(1)).add(Fake::new(10).ppid(11)).add(Fake::new(11).ppid(12)).add(Fake::new(12).ppid(10));
    proc.add(Fake::new(20).ppid(20)).add(Fake::new(30).ppid(999)).add(Fake::new(31).ppid(30));
    let model = Deriver::new(0).step(sweep(&mut source(&proc), Needs::empty()));
    for by_spawner in [false, true] {
        let tree = model.tree(by_spawner);
        let mut seen: Vec<u32> = tree.roots().iter().flat_map(|root| tree.subtree(*root)).collect();
        seen.sort_unstable();
        assert_eq!(seen, (0..7).collect::<Vec<u32>>(), "each once");
    }
}

#[test]
fn unplugged_cpus_leave_the_others_in_their_place() {
    let _alone = alone();
    let line = |n: u64| format!("{} 0 {} {} 0 0 0 0 0 0", 100 * n, 100 * n, 200 * n);
    let cpus = |numbers: &[u32], n: u64| {
        let each: String = numbers.iter().map(|cpu| format!("cpu{cpu} {}\n", line(n))).collect();
        format!("cpu  {}\n{each}", line(n * numbers.len() as u64))
    };
    let proc = FakeProc::new();
    proc.add(Fake::new(1));
    let mut source = source(&proc);
    let mut deriver = Deriver::new(0);
    let mut step = |numbers: &[u32], n: u64| {
        proc.write("stat", cpus(numbers, n));
        deriver.step(Snapshot { taken_ns: n * 1_000_000_000, ..sweep(&mut source, Needs::empty()) }).host
    };
    step(&[0, 1, 2, 3], 1);
    let unplugged = step(&[0, 2, 3], 2);
    assert_eq!(
        unplugged.cpus.iter().map(|(cpu, share)| (*cpu, share.is_some())).collect::<Vec<_>>(),
        [(0, true), (2, true), (3, true)]
    );
    for (cpu, share) in &unplugged.cpus {
        assert_eq!(share.map(|share| share.busy().round()), Some(50.0), "cpu{cpu}");
    }
    let back = step(&[0, 1, 2, 3], 3);
    assert_eq!(
        back.cpus.iter().map(|(_, share)| share.is_some()).collect::<Vec<_>>(),
        [true, false, true, true],
        "unknown, not 0"
    );
    let alone = step(&[], 4);
    assert!(alone.cpus.is_empty());
}

/// Suspend takes hours between two samples; a clock that stands or goes back is no interval at all.
#[test]
fn a_clock_that_jumps_makes_no_nonsense() {
    let _alone = alone();
    const HOUR: u64 = 3_600_000_000_000;
    let proc = FakeProc::new();
    proc.add(Fake::new(5).times(100, 0));
    let mut source = source(&proc);
    let mut deriver = Deriver::new(0);
    let mut step = |taken_ns: u64, utime: u64| {
        proc.add(Fake::new(5).times(utime, 0).ran(utime, utime * 10_000_000));
        let mut snapshot = sweep(&mut source, Needs::empty());
        snapshot.taken_ns = taken_ns;
        snapshot.processes.iter_mut().for_each(|process| process.read_after_ns = 0);
        let model = deriver.step(snapshot);
        (model.dt_ns, model.process_rates[0].cpu_percent)
    };
    assert_eq!(step(10 * HOUR, 100), (None, None), "rates need two samples");
    let (dt, cpu) = step(10 * HOUR + 1_000_000_000, 150);
    assert_eq!((dt, cpu.map(f32::round)), (Some(1_000_000_000), Some(50.0)));
    assert_eq!(step(10 * HOUR + 1_000_000_000, 200), (None, Some(50.0)), "no time has gone: what was known stands");
    assert_eq!(step(9 * HOUR, 250), (None, None), "the clock went back");
    let (dt, cpu) = step(17 * HOUR, 350);
    assert_eq!(dt, Some(8 * HOUR));
    assert!(cpu.is_some_and(|cpu| (0.0..0.1).contains(&cpu)), "eight hours asleep: {cpu:?}");
    let (_, cpu) = step(18 * HOUR, 10);
    assert!(cpu.is_none_or(|cpu| (0.0..=100.0).contains(&cpu)), "a counter that went back: {cpu:?}");
}
