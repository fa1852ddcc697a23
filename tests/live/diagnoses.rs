//! Each diagnosis on real processes with that problem: it reports the right ones, in one line with advice, and not too early.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use concmon::clock::{Clock as _, SystemClock};
use concmon::derive::Deriver;
use concmon::diagnose::{DIAGNOSES, Finding, Watch, needs};
use concmon::kernel::source::{Request, Source as _};
use concmon::kernel::{AutoSource, ProcSource, SourceChoice};
use concmon::snapshot::EventTier;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::exclusive::{alone, starved};
use crate::support::fake_proc::{Fake, FakeProc};

/// No trouble takes longer to be reported.
const PATIENCE: Duration = Duration::from_secs(60);

/// Processes in trouble, which end with the test.
struct Troubled {
    child: Child,
    /// What it has said: the pids of its own children.
    pids: Vec<i32>,
}

impl Troubled {
    /// Runs a program of python's; it prints pids and, at the end of them, an empty line.
    fn start(program: &str) -> Option<Self> {
        let mut command = Command::new("python3");
        command.args(["-c", program]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        let mut child = match command.spawn() {
            Ok(child) => child,
            Err(error) => {
                loudly!("SKIPPED a diagnosis: python3 cannot be started: {error}");
                return None;
            }
        };
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        let pids = lines.take_while(|line| !line.is_empty()).map(|line| line.parse().unwrap()).collect();
        Some(Self { child, pids })
    }

    fn pid(&self) -> i32 {
        // The first that it says is itself: what was started may be a script around it.
        self.pids[0]
    }
}

impl Drop for Troubled {
    fn drop(&mut self) {
        for pid in self.pids.iter().rev() {
            // Gone already is as good.
            let _ = kill(Pid::from_raw(*pid), Signal::SIGKILL);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Looks at the machine several times a second until `wanted` is among what is wrong.
fn told(id: &str, wanted: impl Fn(&Finding) -> bool) -> Option<Finding> {
    told_of(&[], id, wanted)
}

/// The same with these processes on screen: shares of memory are read of those only.
fn told_of(shown: &[i32], id: &str, wanted: impl Fn(&Finding) -> bool) -> Option<Finding> {
    let mut source = AutoSource::new("/proc", SourceChoice::Auto).unwrap();
    let (mut deriver, mut watch) = (Deriver::new(1_000_000_000), Watch::default());
    let until = Instant::now() + PATIENCE;
    let (mut last, mut visible) = (Vec::new(), Vec::new());
    while Instant::now() < until {
        let due = Instant::now() + Duration::from_millis(250);
        let request = Request { visible: &visible, visible_needs: needs(), ..Request::basic(needs()) };
        let snapshot = source.sample(&request).unwrap();
        visible = snapshot.processes.iter().map(|p| p.key).filter(|key| shown.contains(&key.pid)).collect();
        last = watch.step(&deriver.step(snapshot));
        if let Some(found) = last.iter().find(|f| f.diagnosis.id == id && wanted(f)) {
            assert!(!found.evidence.contains('\n') && !found.advice.is_empty(), "{found:?}");
            let held = SystemClock.boot_ns().saturating_sub(found.since_ns);
            assert!(held >= found.diagnosis.after_ns, "told after {held} ns: {found:?}");
            return Some(found.clone());
        }
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
    }
    panic!("{id} was not told within {PATIENCE:?}; what was: {last:#?}");
}

fn pids(finding: &Finding) -> BTreeSet<i32> {
    finding.others.iter().map(|key| key.pid).chain([finding.about.pid]).collect()
}

/// Whether births are seen as they are: without the kernel's stream the creator of a process is unknown.
fn stream() -> bool {
    let mut source = AutoSource::new("/proc", SourceChoice::Auto).unwrap();
    let mut sample = || source.sample(&Request::basic(needs())).unwrap().report.events == EventTier::Connector;
    // The kernel's answer to the subscription comes with the second sample at the latest.
    let told = sample() || sample();
    if !told {
        loudly!("SKIPPED a diagnosis that needs the kernel's stream of events: it is for root alone here");
    }
    told
}

#[test]
fn zombies_are_told_once_for_their_parent() {
    let program = "import os, time\nprint(os.getpid())\nfor _ in range(30):\n    pid = os.fork()\n    if pid == 0:\n        os._exit(0)\n    \
                   print(pid)\nprint(flush=True)\ntime.sleep(600)\n";
    let Some(parent) = Troubled::start(program) else { return };
    let found = told("zombies", |f| f.about.pid == parent.pid() && f.others.len() == 30).unwrap();
    assert!(found.evidence.contains("30 ended children it does not reap"), "{found:?}");
    assert!(found.advice.contains(&parent.pid().to_string()), "{found:?}");
    assert_eq!(pids(&found), parent.pids.iter().copied().collect());
}

#[test]
fn a_stopped_process_is_told() {
    let Some(idle) = Troubled::start("import os, time\nprint(os.getpid())\nprint(flush=True)\ntime.sleep(600)\n") else { return };
    kill(Pid::from_raw(idle.pid()), Signal::SIGSTOP).unwrap();
    let found = told("stopped", |f| f.about.pid == idle.pid()).unwrap();
    assert!(found.advice.contains("CONT") || found.advice.contains("fg"), "{found:?}");
}

#[test]
fn a_thread_that_spins_is_told() {
    let _alone = alone();
    let program = "import os, threading, time\nprint(os.getpid())\nprint(flush=True)\ndef spin():\n    while True:\n        pass\n\
                   threading.Thread(target=spin, daemon=True).start()\ntime.sleep(600)\n";
    let Some(spinning) = Troubled::start(program) else { return };
    let found = told("never_blocks", |f| f.about.pid == spinning.pid()).unwrap();
    assert!(found.evidence.contains("thread ") && found.advice.contains("perf top"), "{found:?}");
}

#[test]
fn more_busy_workers_than_cpus_are_told_of_their_parent() {
    let _alone = alone();
    let workers = std::thread::available_parallelism().unwrap().get() + 4;
    let program = format!(
        "import os, time\nprint(os.getpid())\nfor _ in range({workers}):\n    pid = os.fork()\n    if pid == 0:\n        while True:\n            pass\n    \
         print(pid)\nprint(flush=True)\ntime.sleep(600)\n"
    );
    let Some(pool) = Troubled::start(&program) else { return };
    if starved(pool.pid(), workers - 4) {
        return;
    }
    let found = told("oversubscribed", |f| f.about.pid == pool.pid()).unwrap();
    assert!(found.evidence.contains("busy children on") && found.evidence.contains("% of their runnable time"), "{found:?}");
    assert!(pids(&found).is_subset(&pool.pids.iter().copied().collect()), "{found:?}");
}

#[test]
fn workers_whose_creator_has_ended_are_told_in_one_line() {
    if !stream() {
        return;
    }
    // The creator lives long enough to be seen, and leaves three; what started it waits for it, so that it is no zombie.
    let program = "import os, time\nprint(os.getpid())\ncreator = os.fork()\nif creator == 0:\n    time.sleep(2)\n    for _ in range(3):\n        pid = os.fork()\n        \
                   if pid == 0:\n            time.sleep(600)\n        print(pid)\n    print(flush=True)\n    time.sleep(2)\n    os._exit(0)\n\
                   os.waitpid(creator, 0)\ntime.sleep(600)\n";
    let watched = std::thread::spawn(|| told("orphans", |f| f.others.len() == 2));
    let Some(left) = Troubled::start(program) else { return };
    let found = watched.join().unwrap().unwrap();
    assert_eq!(pids(&found), left.pids[1..].iter().copied().collect());
    assert!(found.evidence.contains(", which forked these 3 workers, has ended"), "{found:?}");
}

#[test]
fn a_fork_beside_threads_is_told() {
    if !stream() {
        return;
    }
    let program = "import os, threading, time, warnings\nwarnings.simplefilter('ignore')\nprint(os.getpid())\nthreading.Thread(target=time.sleep, args=(600,), daemon=True).start()\n\
                   time.sleep(3)\nfor _ in range(2):\n    pid = os.fork()\n    if pid == 0:\n        time.sleep(600)\n    print(pid)\nprint(flush=True)\ntime.sleep(600)\n";
    let watched = std::thread::spawn(|| told("fork_threads", |f| f.others.len() == 1));
    let Some(forked) = Troubled::start(program) else { return };
    let found = watched.join().unwrap().unwrap();
    assert_eq!(pids(&found), forked.pids[1..].iter().copied().collect());
    assert!(found.evidence.contains("and 1 other were forked by") && found.evidence.contains("at least 2 threads"), "{found:?}");
}

#[test]
fn memory_that_is_counted_more_than_once_is_told() {
    let program = "import os, time\nprint(os.getpid())\nheld = b'x' * (100 << 20)\nfor _ in range(4):\n    pid = os.fork()\n    if pid == 0:\n        \
                   time.sleep(600)\n    print(pid)\nprint(flush=True)\ntime.sleep(600)\n";
    let Some(family) = Troubled::start(program) else { return };
    let found = told_of(&family.pids, "overcount", |f| f.about.pid == family.pid()).unwrap();
    assert!(found.evidence.contains("and 4 below it: RES adds up to ") && found.advice.contains("plan with PSS"), "{found:?}");
}

/// A desktop after so many seconds: shells, a browser of many threads and processes, a compiler that computes, children about to be
/// reaped, daemons left to init. Two CPUs.
fn desktop(proc: &FakeProc, second: u64) {
    const S: u64 = 1_000_000_000;
    let ran = |fake: Fake, per_s: u64| fake.ran(1 + second * 50, second * per_s).times(second * per_s / 10_000_000, 0);
    proc.add(Fake::new(1).comm("systemd").ppid(0));
    proc.add(Fake::new(9).comm("kworker/0:1").kernel_thread().state('I'));
    proc.add(Fake::new(100).comm("gnome-shell").thread(101, "gmain", 'S', 0, 1).thread(102, "JS Helper", 'S', 0, 1));
    proc.add(Fake::new(200).comm("bash").session(200, 200, 34816));
    proc.add(Fake::new(201).comm("vim").ppid(200).session(201, 200, 34816));
    proc.add(Fake::new(210).comm("sleep").ppid(1).session(205, 204, 0));
    proc.add(Fake::new(220).comm("sshd").ppid(1));
    let mut browser = Fake::new(300).comm("firefox").memory(4_000_000, 400_000);
    for tid in 301..391 {
        browser = browser.thread(tid, "StyleThread", 'S', second, 1 + second * 10);
    }
    proc.add(ran(browser, S * 9 / 10));
    for pid in 400..406 {
        let tab = Fake::new(pid).comm("Web Content").ppid(300).session(300, 300, 0).memory(2_000_000, 150_000);
        proc.add(ran(tab, S / 20));
        // A part is shared, as a desktop's libraries are.
        proc.write(
            &format!("{pid}/smaps_rollup"),
            "0-1 ---p 0 00:00 0 [rollup]\nRss: 150000 kB\nPss: 110000 kB\nPrivate_Dirty: 90000 kB\n",
        );
    }
    proc.write("300/smaps_rollup", "0-1 ---p 0 00:00 0 [rollup]\nRss: 400000 kB\nPss: 350000 kB\nPrivate_Dirty: 300000 kB\n");
    // It computes all the time and yet waits for its disk now and then.
    proc.add(ran(Fake::new(500).comm("cc1").ppid(200).session(500, 200, 34816), S * 99 / 100));
    proc.write("500/status", format!("Name:\tcc1\nvoluntary_ctxt_switches:\t{}\nnonvoluntary_ctxt_switches:\t9\n", second * 20));
    // Each second another child has ended that is reaped before the next.
    let ended = 600 + i32::try_from(second).unwrap();
    proc.add(Fake::new(ended).comm("git").ppid(200).zombie());
    if second > 0 {
        proc.remove(ended - 1);
    }
}

#[test]
fn an_ordinary_desktop_has_nothing_wrong_until_it_has() {
    let proc = FakeProc::new();
    let mut source = ProcSource::with_system(proc.root(), proc.system()).unwrap();
    let (mut deriver, mut watch) = (Deriver::new(1_000_000_000), Watch::default());
    let mut visible = Vec::new();
    let mut measured = 0;
    let mut look = |second: u64| {
        let request = Request { visible: &visible, visible_needs: needs(), ..Request::basic(needs()) };
        let mut snapshot = source.sample(&request).unwrap();
        // The machine is held still, and so is its clock: nothing depends on how long this test takes.
        snapshot.taken_ns = (1_000 + second) * 1_000_000_000;
        visible = snapshot.processes.iter().map(|p| p.key).collect();
        measured = snapshot.processes.iter().filter(|p| p.exact.as_ref().is_some_and(|e| e.pss_bytes.is_some())).count();
        let model = deriver.step(snapshot);
        let busiest = model.process_rates.iter().filter_map(|r| r.cpu_percent).fold(0.0, f32::max);
        (watch.step(&model), busiest)
    };
    for second in 0..30 {
        desktop(&proc, second);
        let (found, busiest) = look(second);
        assert_eq!(found, [], "after {second} s");
        assert!(second < 2 || busiest > 90.0, "the compiler is seen at work: {busiest}");
    }
    // The same eyes see trouble: one job is stopped, and two children are left unreaped.
    for second in 30..36 {
        desktop(&proc, second);
        proc.add(Fake::new(201).comm("vim").ppid(200).session(201, 200, 34816).state('T'));
        proc.add(Fake::new(700).comm("git").ppid(220).zombie());
        proc.add(Fake::new(701).comm("git").ppid(220).zombie());
        let (found, _) = look(second);
        if second == 35 {
            assert_eq!(
                found.iter().map(|f| (f.diagnosis.id, f.about.pid)).collect::<Vec<_>>(),
                [("zombies", 220), ("stopped", 201)]
            );
        }
    }
    assert!(measured > 5, "memory was looked at too, of {measured} processes");
}

#[test]
fn every_diagnosis_is_tried_here() {
    let here = include_str!("diagnoses.rs");
    let problems =
        concat!(include_str!("problems.rs"), include_str!("problems/findings.rs"), include_str!("problems/python_locks.rs"));
    for diagnosis in DIAGNOSES {
        let tried = here.contains(&format!("\"{}\", |f|", diagnosis.id)) || problems.contains(&format!("\"{}\"", diagnosis.id));
        assert!(tried, "{} is not tried on real processes", diagnosis.id);
    }
}
