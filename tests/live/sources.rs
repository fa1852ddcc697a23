//! The sources with fixed fake machines and with the real one.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use concmon::kernel::source::{Needs, Request, Source};
use concmon::kernel::{BpfSource, ProcSource};
use concmon::snapshot::{ProcKey, ProcessSample, Snapshot, State, TaskSample};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::support::exclusive::own_process;
use crate::support::fake_proc::{Fake, FakeProc};

fn source(proc: &FakeProc) -> ProcSource {
    ProcSource::with_system(proc.root(), proc.system()).expect("open the fake tree")
}

fn sweep(source: &mut ProcSource, needs: Needs) -> Snapshot {
    source.sample(&Request::basic(needs)).expect("a sample")
}

fn find(snapshot: &Snapshot, pid: i32) -> &ProcessSample {
    snapshot.processes.iter().find(|process| process.key.pid == pid).unwrap_or_else(|| panic!("process {pid} is listed"))
}

#[test]
fn every_field_comes_from_where_the_kernel_puts_it() {
    let proc = FakeProc::new();
    proc.add(
        Fake::new(300)
            .comm(b") R 1 (\n\x1b[31m\xff")
            .ppid(7)
            .session(300, 299, 34816)
            .times(250, 50)
            .ran(1, 3_005_000_000)
            .nice(5)
            .memory(2048, 1024),
    );
    proc.add(Fake::new(20).kernel_thread());
    proc.add(Fake::new(1000).zombie());
    let snapshot = sweep(&mut source(&proc), Needs::STATM | Needs::STATUS | Needs::SWITCHES | Needs::CGROUP);
    assert_eq!(snapshot.processes.iter().map(|process| process.key.pid).collect::<Vec<_>>(), [20, 300, 1000]);
    let process = find(&snapshot, 300);
    assert_eq!(process.leader.comm.as_bytes(), b") R 1 (\n\x1b[31m\xff");
    assert_eq!(process.leader.state, State::SLEEPING);
    assert_eq!((process.ppid, process.pgrp, process.session, process.tty_nr), (7, 300, 299, 34816));
    assert_eq!((process.utime_ns, process.stime_ns), (Some(2_500_000_000), Some(500_000_000)));
    assert_eq!((process.leader.nice, process.leader.priority), (5, 25));
    assert_eq!((process.virt_bytes, process.rss_bytes), (Some(2 << 20), Some(1 << 20)));
    assert_eq!((process.rss_anon_bytes, process.swap_bytes), (Some(512 << 10), Some(128 << 10)));
    assert_eq!(process.shared_bytes, Some(512 << 10));
    assert_eq!((process.voluntary_switches, process.involuntary_switches), (Some(7), Some(3)));
    assert_eq!(process.run_ns, Some(3_005_000_000), "finer than ticks");
    assert_eq!(process.seen.and_then(|seen| seen.switches), Some((7, 3)));
    assert_eq!(process.identity.cgroup.as_deref(), Some("/system.slice/fake.service"));
    assert_eq!(process.identity.cmdline.as_deref(), Some(&b"/usr/bin/fake-300\0--serve\0"[..]));
    let kernel_thread = find(&snapshot, 20);
    assert!(kernel_thread.kernel_thread);
    assert_eq!((kernel_thread.virt_bytes, kernel_thread.rss_bytes, kernel_thread.shared_bytes), (None, None, None));
    let zombie = find(&snapshot, 1000);
    assert_eq!((zombie.leader.state, zombie.virt_bytes, zombie.rss_bytes), (State::ZOMBIE, None, None));
}

#[test]
fn the_machine_is_read_from_the_same_tree() {
    let proc = FakeProc::new();
    let host = sweep(&mut source(&proc), Needs::empty()).host;
    assert_eq!(host.cpus.len(), 2);
    assert_eq!(host.cpu_total.map(|times| times.idle_ns), Some(400_000_000_000));
    let memory = host.memory.expect("memory");
    assert_eq!((memory.total_bytes, memory.available_bytes), (8 << 30, Some(6 << 30)));
    assert_eq!(memory.cached_bytes, Some((1_048_576 + 98_304 - 16_384) * 1024));
    assert_eq!(host.load, Some([0.5, 0.25, 0.1]));
    assert_eq!(host.uptime_ns, Some(1_000_500_000_000));
    assert_eq!(host.pressure.memory.map(|memory| (memory.some_avg10, memory.full_avg10)), Some((1.5, 0.5)));
}

#[test]
fn what_the_machine_does_not_tell_is_none() {
    let proc = FakeProc::new();
    for leaf in ["stat", "meminfo", "loadavg", "uptime", "pressure/cpu"] {
        std::fs::remove_file(proc.root().join(leaf)).expect("remove");
    }
    proc.add(Fake::new(5).without_schedstat());
    let snapshot = sweep(&mut source(&proc), Needs::SCHEDSTAT);
    assert_eq!(
        (snapshot.host.cpu_total, snapshot.host.memory, snapshot.host.load, snapshot.host.uptime_ns),
        (None, None, None, None)
    );
    assert_eq!(snapshot.host.pressure.cpu, None);
    let process = find(&snapshot, 5);
    assert_eq!((process.run_ns, process.seen), (Some(process.utime_ns.unwrap_or(0) + process.stime_ns.unwrap_or(0)), None));
}

#[test]
fn a_process_that_did_not_run_is_not_read_again_and_one_that_ran_is() {
    let proc = FakeProc::new();
    // No pid has its turn in the second and third sweep.
    let idle = Fake::new(160);
    proc.add(idle.clone()).add(Fake::new(320));
    let mut source = source(&proc);
    assert_eq!(find(&sweep(&mut source, Needs::empty()), 160).utime_ns, Some(100_000_000));
    proc.add(idle.clone().times(99, 5));
    assert_eq!(find(&sweep(&mut source, Needs::empty()), 160).utime_ns, Some(100_000_000), "its schedstat did not move");
    proc.add(idle.times(99, 5).ran(2, 2_000_000));
    assert_eq!(find(&sweep(&mut source, Needs::empty()), 160).utime_ns, Some(990_000_000));
}

#[test]
fn without_schedstat_every_process_is_read_in_every_sweep() {
    let proc = FakeProc::new();
    proc.add(Fake::new(160).without_schedstat());
    let mut source = source(&proc);
    sweep(&mut source, Needs::empty());
    proc.add(Fake::new(160).without_schedstat().times(99, 5));
    assert_eq!(find(&sweep(&mut source, Needs::empty()), 160).utime_ns, Some(990_000_000));
}

#[test]
fn what_others_change_in_a_sleeper_is_seen_at_once_on_screen_and_in_turn_elsewhere() {
    let proc = FakeProc::new();
    proc.add(Fake::new(160));
    let mut source = source(&proc);
    let key = find(&sweep(&mut source, Needs::empty()), 160).key;
    proc.add(Fake::new(160).nice(10));
    let visible = [key];
    let request = Request { visible: &visible, ..Request::basic(Needs::empty()) };
    assert_eq!(find(&source.sample(&request).expect("a sample"), 160).leader.nice, 10);
    proc.add(Fake::new(160).nice(15));
    let turns = (1..=16).find(|_| find(&sweep(&mut source, Needs::empty()), 160).leader.nice == 15);
    assert!(turns.is_some(), "within 16 sweeps every process has had its turn");
}

#[test]
fn a_child_whose_parent_ended_has_its_new_parent_at_once() {
    let proc = FakeProc::new();
    proc.add(Fake::new(100)).add(Fake::new(160).ppid(100));
    let mut source = source(&proc);
    sweep(&mut source, Needs::empty());
    proc.remove(100).add(Fake::new(160).ppid(1));
    assert_eq!(find(&sweep(&mut source, Needs::empty()), 160).ppid, 1);
}

#[test]
fn a_pid_that_lives_again_is_a_new_process() {
    let proc = FakeProc::new();
    proc.add(Fake::new(160).start(1000));
    let mut source = source(&proc);
    let first = find(&sweep(&mut source, Needs::empty()), 160).key;
    proc.remove(160).add(Fake::new(160).start(2000).comm("other").cmdline(&["other"]));
    let snapshot = sweep(&mut source, Needs::empty());
    let second = find(&snapshot, 160);
    assert_ne!(first, second.key);
    assert_eq!(second.identity.cmdline.as_deref(), Some(&b"other\0"[..]));
}

#[test]
fn threads_are_read_each_and_the_leader_keeps_its_own_values() {
    let proc = FakeProc::new();
    let server = Fake::new(500).comm("server").times(600, 0).leader_utime(100).ran(1, 1_000_000_000);
    proc.add(server.clone().thread(501, "worker", 'R', 200, 9).thread(502, "worker", 'S', 300, 4));
    proc.add(Fake::new(600));
    let mut source = source(&proc);
    let snapshot = sweep(&mut source, Needs::THREADS | Needs::SCHEDSTAT);
    let process = find(&snapshot, 500);
    assert_eq!((process.nlwp, process.utime_ns, process.leader.utime_ns), (Some(3), Some(6_000_000_000), Some(1_000_000_000)));
    let tasks = &snapshot.tasks[process.tasks.start as usize..process.tasks.end as usize];
    assert_eq!(
        tasks.iter().map(|task| (task.tid, task.state)).collect::<Vec<_>>(),
        [(500, State::SLEEPING), (501, State::RUNNING), (502, State::SLEEPING)]
    );
    assert_eq!(process.run_ns, Some(1_000_000_000 + 2_000_000_000 + 3_000_000_000));
    assert!(find(&snapshot, 600).tasks.is_empty(), "a single-threaded process is its own task");

    proc.add(server.thread(502, "renamed", 'S', 300, 5).thread(503, "new", 'S', 0, 1));
    let snapshot = sweep(&mut source, Needs::THREADS);
    let process = find(&snapshot, 500);
    let tasks = &snapshot.tasks[process.tasks.start as usize..process.tasks.end as usize];
    assert_eq!(
        tasks.iter().map(|task| (task.tid, task.comm.as_bytes())).collect::<Vec<_>>(),
        [(500, &b"server"[..]), (502, b"renamed"), (503, b"new")]
    );
}

#[test]
fn the_leaders_times_are_unknown_and_not_the_groups_when_threads_are_not_asked_for() {
    let proc = FakeProc::new();
    proc.add(Fake::new(500).times(600, 0).thread(501, "worker", 'S', 500, 2));
    let snapshot = sweep(&mut source(&proc), Needs::empty());
    let process = find(&snapshot, 500);
    assert_eq!((process.utime_ns, process.leader.utime_ns, process.seen), (Some(6_000_000_000), None, None));
    assert_eq!(process.run_ns, Some(6_000_000_000), "the kernel's own total");
}

#[test]
fn while_the_kernel_has_created_no_task_the_directory_is_not_listed_and_deaths_are_seen_all_the_same() {
    let proc = FakeProc::new();
    let forks = |count: u64| proc.write("stat", format!("cpu  1 1 1 1\nprocesses {count}\nprocs_running 1\n"));
    forks(500);
    proc.add(Fake::new(160)).add(Fake::new(320));
    let mut source = source(&proc);
    let mut pids = || sweep(&mut source, Needs::empty()).processes.iter().map(|process| process.key.pid).collect::<Vec<_>>();
    assert_eq!(pids(), [160, 320]);
    proc.remove(160).add(Fake::new(480));
    assert_eq!(pids(), [320], "a birth that the count does not know of cannot be");
    forks(501);
    assert_eq!(pids(), [320, 480]);
}

#[test]
fn rows_on_screen_get_their_expensive_values_and_take_turns_when_the_budget_is_short() {
    let proc = FakeProc::new();
    for pid in [10, 20, 30] {
        proc.add(Fake::new(pid).memory(100_000, 8_000));
    }
    proc.add(Fake::new(40).memory(9_000_000, 3_000_000));
    let mut source = source(&proc);
    let keys: Vec<_> = sweep(&mut source, Needs::empty()).processes.iter().map(|process| process.key).collect();
    let needs = Needs::SMAPS | Needs::IO | Needs::WCHAN | Needs::FDS | Needs::STATUS;
    let mut with = |visible: &[ProcKey], visible_needs: Needs, budget: Duration| {
        source.sample(&Request { all: Needs::empty(), visible_needs, visible, family: &[], budget }).expect("a sample")
    };
    // Without any time left one row is read in each sweep, and never the same one twice before the others had theirs.
    let mut read = Vec::new();
    for _ in 0..3 {
        let snapshot = with(&keys[..3], needs, Duration::ZERO);
        read.push(snapshot.processes.iter().filter(|process| process.exact.is_some()).count());
    }
    assert_eq!(read, [1, 2, 3]);
    let snapshot = with(&keys, needs, Duration::from_secs(10));
    let exact = find(&snapshot, 10).exact.clone().expect("read");
    assert_eq!((exact.pss_bytes, exact.uss_bytes), (Some(4_000 * 1024), Some(2_008 * 1024)));
    assert_eq!((exact.read_bytes, exact.write_bytes, exact.fds), (Some(4096), Some(8192), Some(0)));
    assert_eq!((exact.wchan.as_deref(), exact.peak_rss_bytes), (Some("futex_do_wait"), Some(9_000 * 1024)));
    assert!(exact.taken_ns >= snapshot.taken_ns, "its age is known");
    let huge = find(&snapshot, 40).exact.clone().expect("read");
    assert_eq!((huge.pss_bytes, huge.too_large_for_smaps), (None, true), "3 GB are not walked unasked");
    let asked = with(&keys, needs | Needs::SMAPS_ANY_SIZE, Duration::from_secs(10));
    assert_eq!(find(&asked, 40).exact.as_ref().and_then(|exact| exact.pss_bytes), Some(1_500_000 * 1024));
    assert!(with(&[], Needs::empty(), Duration::ZERO).processes.iter().all(|process| process.exact.is_none()), "nobody asked");
}

/// A child that takes its steps from its standard input, one per line.
struct Puppet {
    child: Child,
    stdin: std::process::ChildStdin,
    stdout: std::io::BufReader<std::process::ChildStdout>,
}

impl Puppet {
    fn start(program: &str) -> Self {
        let mut child = Command::new("python3")
            .args(["-c", program])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3 is needed for this test");
        let stdin = child.stdin.take().expect("stdin");
        let stdout = std::io::BufReader::new(child.stdout.take().expect("stdout"));
        Self { child, stdin, stdout }
    }
    fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).expect("pid")
    }
    fn say(&mut self, word: &str) {
        use std::io::Write as _;
        writeln!(self.stdin, "{word}").expect("write");
    }
    fn hear(&mut self, word: &str) {
        use std::io::BufRead as _;
        let mut line = String::new();
        self.stdout.read_line(&mut line).expect("read");
        assert_eq!(line.trim(), word);
    }
}

impl Drop for Puppet {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const PUPPET: &str = r#"
import os, sys, threading, time
print("ready", flush=True)
for line in sys.stdin:
    word = line.strip()
    if word == "work":
        end = time.process_time() + 0.05
        while time.process_time() < end: pass
    elif word == "thread":
        threading.Thread(target=threading.Event().wait, daemon=True).start()
    elif word == "exec":
        print("exec", flush=True)
        os.execvp("sh", ["sh", "-c", "echo execed; read line; exit 3"])
    print(word, flush=True)
"#;

/// The gate on the live kernel: each change of a process that was idle is in the very next sweep.
#[test]
fn an_idle_process_that_wakes_threads_stops_execs_or_dies_is_seen_in_the_next_sweep() {
    let mut puppet = Puppet::start(PUPPET);
    let pid = puppet.pid();
    puppet.hear("ready");
    let mut source = ProcSource::new("/proc").expect("/proc");
    let mut next = || {
        let snapshot = source.sample(&Request::basic(Needs::empty())).expect("a sample");
        find(&snapshot, pid).clone()
    };
    let idle = settled(pid, &mut next);
    let quiet = next();
    // Which mode the ticks fall into is chance; their sum is not.
    let cpu = |process: &ProcessSample| process.utime_ns.unwrap_or(0) + process.stime_ns.unwrap_or(0);
    assert_eq!(cpu(&quiet), cpu(&idle), "it is asleep");

    puppet.say("work");
    puppet.hear("work");
    assert!(cpu(&next()) > cpu(&idle), "it worked");

    settled(pid, &mut next);
    signal(pid, libc::SIGSTOP);
    wait_for(pid, 'T');
    assert_eq!(next().leader.state, State::STOPPED);
    signal(pid, libc::SIGCONT);
    wait_for(pid, 'S');
    assert_eq!(next().leader.state, State::SLEEPING);

    puppet.say("thread");
    puppet.hear("thread");
    assert_eq!(next().nlwp, Some(2));

    puppet.say("exec");
    puppet.hear("exec");
    puppet.hear("execed");
    let execed = next();
    assert_eq!((execed.leader.comm.as_bytes(), execed.nlwp), (&b"sh"[..], Some(1)));
    assert!(
        execed.identity.cmdline.as_deref().is_some_and(|arguments| arguments.starts_with(b"sh\0-c\0")),
        "{:?}",
        execed.identity
    );

    settled(pid, &mut next);
    puppet.say("end");
    wait_for(pid, 'Z');
    let zombie = next();
    assert_eq!((zombie.leader.state, zombie.virt_bytes), (State::ZOMBIE, None));
    assert_eq!(zombie.key, idle.key);
}

/// Sweeps until the process sleeps and a sweep has seen it so.
fn settled(pid: i32, next: &mut impl FnMut() -> ProcessSample) -> ProcessSample {
    wait_for(pid, 'S');
    next();
    next()
}

/// Waits until the kernel's own file shows the state.
fn wait_for(pid: i32, state: char) {
    let wanted = format!(") {state} ");
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while !std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("stat").contains(&wanted) {
        assert!(std::time::Instant::now() < deadline, "process {pid} did not get to {state}");
        std::thread::yield_now();
    }
}

fn signal(pid: i32, number: i32) {
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::try_from(number).expect("a signal"))
        .expect("kill");
}

/// Both sources, or a loud skip where BPF does not work.
fn both() -> Option<(BpfSource, ProcSource)> {
    match BpfSource::load() {
        Ok(bpf) => Some((bpf, ProcSource::new("/proc").expect("/proc"))),
        Err(error) => {
            loudly!("SKIPPED: {error}");
            None
        }
    }
}

/// What both sources must tell alike of a process that did not run between the two sweeps.
fn assert_same(bpf: &ProcessSample, proc: &ProcessSample, tick_ns: u64) {
    let ticks = |ns: Option<u64>| ns.map(|ns| ns / tick_ns);
    let who = format!("{:?} {:?}", proc.key, proc.leader.comm);
    assert_eq!(bpf.key, proc.key, "{who}");
    let ids = |p: &ProcessSample| (p.ppid, p.pgrp, p.session, p.tty_nr, p.kernel_thread, p.nlwp);
    assert_eq!(ids(bpf), ids(proc), "{who}");
    assert_eq!(bpf.identity, proc.identity, "{who}");
    assert_eq!((ticks(bpf.utime_ns), ticks(bpf.stime_ns)), (ticks(proc.utime_ns), ticks(proc.stime_ns)), "{who} times");
    assert_eq!((bpf.minor_faults, bpf.major_faults), (proc.minor_faults, proc.major_faults), "{who} faults");
    let seen = |p: &ProcessSample| p.seen.map(|seen| (seen.run_ns, seen.delay_ns));
    assert_eq!(seen(bpf), seen(proc), "{who} schedstat");
    // Of threads that ended before, `/proc` gives the CPU time in ticks and no switches.
    let apart = bpf.run_ns.zip(proc.run_ns).map(|(bpf, proc)| bpf.abs_diff(proc));
    assert!(apart.is_some_and(|ns| ns <= 2 * tick_ns), "{who} CPU time {:?} {:?}", bpf.run_ns, proc.run_ns);
    let switches = |p: &ProcessSample| p.voluntary_switches.zip(p.involuntary_switches);
    assert!(switches(proc).is_none_or(|known| switches(bpf) == Some(known)), "{who} switches");
    assert_eq!(bpf.virt_bytes, proc.virt_bytes, "{who} virt");
    // Both are approximate: the kernel batches resident pages per CPU, and newer ones sum them exactly in some files.
    match (bpf.rss_bytes, proc.rss_bytes) {
        (Some(bpf), Some(proc)) => assert!(bpf.abs_diff(proc) <= RSS_SLACK_BYTES, "{who} rss {bpf} {proc}"),
        (bpf, proc) => assert_eq!(bpf, proc, "{who} rss"),
    }
    same_task(&bpf.leader, &proc.leader, proc.nlwp <= Some(1), tick_ns);
}

/// 64 pages on each CPU that may hold a batch, for each of three counters.
const RSS_SLACK_BYTES: u64 = 64 * 3 * 4096 * 4;

fn same_task(bpf: &TaskSample, proc: &TaskSample, alone: bool, tick_ns: u64) {
    let who = format!("{:?} {:?}", proc.key(), proc.comm);
    let fixed = |t: &TaskSample| (t.key(), t.tgid, t.state, t.priority, t.nice, t.policy, t.rt_priority, t.last_cpu);
    assert_eq!(fixed(bpf), fixed(proc), "{who}");
    // The workers of the kernel's queues show what they last worked on in /proc, behind their own name.
    assert!(proc.comm.as_bytes().starts_with(bpf.comm.as_bytes()), "{who} {:?}", bpf.comm);
    let ticks = |ns: Option<u64>| ns.map(|ns| ns / tick_ns);
    if alone && proc.utime_ns.is_some() {
        // /proc gives a lone task's own values only together with those of threads that ended, which it leaves out beyond two ticks; it
        // rounds both down; and the kernel remembers its split into user and system time apart for task and group.
        let total = |task: &TaskSample| task.utime_ns.unwrap_or(0) + task.stime_ns.unwrap_or(0);
        assert!(total(bpf).abs_diff(total(proc)) <= 2 * tick_ns, "{who} {bpf:?} {proc:?}");
        assert!((bpf.minor_faults, bpf.major_faults) <= (proc.minor_faults, proc.major_faults), "{who} {bpf:?} {proc:?}");
    } else if !alone {
        assert_eq!((ticks(bpf.utime_ns), ticks(bpf.stime_ns)), (ticks(proc.utime_ns), ticks(proc.stime_ns)), "{who} times");
        assert_eq!((bpf.minor_faults, bpf.major_faults), (proc.minor_faults, proc.major_faults), "{who} faults");
    }
    assert_eq!((bpf.run_ns, bpf.run_delay_ns), (proc.run_ns, proc.run_delay_ns), "{who} schedstat");
}

#[test]
fn bpf_and_proc_agree_field_by_field_on_what_holds_still() {
    let Some((mut bpf, mut proc)) = both() else { return };
    let mut puppet = Puppet::start(PUPPET);
    puppet.hear("ready");
    for word in ["work", "thread", "thread"] {
        puppet.say(word);
        puppet.hear(word);
    }
    settle_threads(puppet.pid());
    let needs = Needs::THREADS | Needs::SCHEDSTAT | Needs::SWITCHES | Needs::EXE | Needs::CGROUP;
    let before = sweep(&mut proc, needs);
    let theirs = bpf.sample(&Request::basic(needs)).expect("a sample");
    let after = sweep(&mut proc, needs);
    let tick_ns = after.system.tick_ns();
    let mut compared = 0;
    for process in &after.processes {
        let Some(earlier) = before.processes.iter().find(|earlier| earlier.key == process.key) else { continue };
        // Held still: nothing in it ran from before the one reading until after the other.
        let run_ns = |p: &ProcessSample| p.seen.map(|seen| seen.run_ns);
        if earlier.seen.is_none() || run_ns(earlier) != run_ns(process) || process.leader.state == State::RUNNING {
            continue;
        }
        let other = find(&theirs, process.key.pid);
        assert_same(other, process, tick_ns);
        let of = |snapshot: &Snapshot, p: &ProcessSample| snapshot.tasks[p.tasks.start as usize..p.tasks.end as usize].to_vec();
        let (ours, others) = (of(&after, process), of(&theirs, other));
        assert_eq!(ours.len(), others.len(), "tasks of {:?}", process.key);
        for (ours, others) in ours.iter().zip(&others) {
            same_task(others, ours, false, tick_ns);
        }
        compared += 1;
    }
    assert!(compared >= 2, "only {compared} processes held still");
    let puppet = find(&theirs, puppet.pid());
    assert_eq!((puppet.nlwp, puppet.tasks.len()), (Some(3), 3), "the puppet was among them with its threads");
}

/// Waits until every thread of `pid` sleeps.
fn settle_threads(pid: i32) {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    let all_asleep = || {
        std::fs::read_dir(format!("/proc/{pid}/task")).expect("tasks").all(|task| {
            let stat = std::fs::read_to_string(task.expect("a task").path().join("stat")).unwrap_or_default();
            stat.contains(") S ")
        })
    };
    while !all_asleep() {
        assert!(std::time::Instant::now() < deadline, "the threads of {pid} did not fall asleep");
        std::thread::yield_now();
    }
}

#[test]
fn bpf_and_proc_agree_within_two_readings_on_what_is_busy() {
    let Some((mut bpf, mut proc)) = both() else { return };
    let busy = Puppet::start("while True: pass");
    let pid = busy.pid();
    let needs = Needs::SCHEDSTAT;
    let cpu = |process: &ProcessSample| process.utime_ns.unwrap_or(0) + process.stime_ns.unwrap_or(0);
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while cpu(find(&sweep(&mut proc, needs), pid)) < 200_000_000 {
        assert!(std::time::Instant::now() < deadline, "the busy process is not busy");
        std::thread::yield_now();
    }
    let before = cpu(find(&sweep(&mut proc, needs), pid));
    let theirs = cpu(find(&bpf.sample(&Request::basic(needs)).expect("a sample"), pid));
    let after = cpu(find(&sweep(&mut proc, needs), pid));
    // BPF reads what was charged at the last scheduler tick: at most 10 ms ago. /proc rounds down to ticks of 10 ms, twice.
    let slack = 30_000_000;
    assert!(theirs + slack >= before && theirs <= after + slack, "{before} <= {theirs} <= {after}");
}

#[test]
fn the_committed_bpf_object_is_what_the_script_builds() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/bpf/build.sh");
    let committed =
        std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/assets/bpf/task_iter.bpf.o")).expect("the committed object");
    let has = |tool: &str| Command::new(tool).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok();
    if !has("clang") || !has("llvm-strip") {
        loudly!("SKIPPED: clang and llvm-strip are needed to rebuild the BPF object");
        return;
    }
    let dir = tempfile::tempdir().expect("a temporary directory");
    let built = dir.path().join("built.o");
    let output = Command::new("sh").arg(script).arg(&built).output().expect("run the script");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let version = Command::new("clang").arg("--version").output().expect("clang --version").stdout;
    if !String::from_utf8_lossy(&version).contains("version 14.") {
        loudly!("SKIPPED the comparison: the committed object was built with clang 14, other versions emit other code");
        return;
    }
    assert!(std::fs::read(built).expect("the built object") == committed, "run assets/bpf/build.sh and commit the object");
}

/// The rest of the program holds more descriptors than the source leaves to it: it keeps fewer files open, and no process is missing.
#[test]
fn a_sweep_is_whole_although_others_hold_most_descriptors() {
    own_process(module_path!(), "a_sweep_is_whole_although_others_hold_most_descriptors", || {
        let proc = FakeProc::new();
        for pid in 1000..1300 {
            proc.add(Fake::new(pid));
        }
        let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        setrlimit(Resource::RLIMIT_NOFILE, 256, hard).unwrap();
        let others: Vec<_> = (0..150).map(|_| std::fs::File::open("/dev/null").unwrap()).collect();
        let mut source = source(&proc);
        for _ in 0..3 {
            assert_eq!(sweep(&mut source, Needs::SCHEDSTAT).processes.len(), 300);
        }
        drop(others);
    });
}
