//! The sources against held-still fake machines and against the real one.
#![expect(clippy::expect_used, reason = "a test that cannot prepare its stage has failed")]

mod support;

use std::process::{Child, Command, Stdio};

use concmon::kernel::ProcSource;
use concmon::kernel::source::{Needs, Request, Source};
use concmon::snapshot::{ProcessSample, Snapshot, State};
use support::fake_proc::{Fake, FakeProc};

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
        Fake::new(300).comm(b") R 1 (\n\x1b[31m\xff").ppid(7).session(300, 299, 34816).times(250, 50).nice(5).memory(2048, 1024),
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
    assert_eq!(process.run_ns, Some(1_000_000));
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
    assert_eq!(memory.cached_bytes, (1_048_576 + 98_304 - 16_384) * 1024);
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
    assert_eq!((find(&snapshot, 5).run_ns, find(&snapshot, 5).run_delay_ns), (None, None));
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
    assert_eq!((process.utime_ns, process.leader.utime_ns, process.run_ns), (Some(6_000_000_000), None, None));
}

/// A child that does what it is told, one step per line on its standard input.
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
    assert_eq!(quiet.utime_ns, idle.utime_ns, "it is asleep");

    puppet.say("work");
    puppet.hear("work");
    assert!(next().utime_ns > idle.utime_ns, "it worked");

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
