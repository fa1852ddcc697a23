//! Births and exits: the kernel's event stream in a storm of short commands, and the comparison of process lists.

use std::collections::{HashMap, HashSet};
use std::process::Command;
use std::time::{Duration, Instant};

use concmon::kernel::ProcSource;
use concmon::kernel::events::{EventStream, Lifecycle};
use concmon::kernel::source::{Needs, Request, Source};
use concmon::snapshot::{EventKind, EventTier, ExitStatus, LifecycleEvent};

use crate::support::exclusive::alone;
use crate::support::fake_proc::{Fake, FakeProc};
use crate::support::programs;

/// The stream, or a loud skip where this machine has none.
fn stream() -> Option<EventStream> {
    match EventStream::connect() {
        Ok(stream) => Some(stream),
        Err(why) => {
            // In the first pid and user namespace the kernel answers, unless it was built without the connector.
            let initial = |name: &str, inode: &str| {
                std::fs::read_link(format!("/proc/self/ns/{name}")).is_ok_and(|link| link.to_string_lossy().contains(inode))
            };
            let expected = initial("pid", "4026531836") && initial("user", "4026531837") && why.contains("not answer");
            assert!(!expected, "the kernel should have answered here: {why}");
            loudly!("SKIPPED: no event stream here: {why}");
            None
        }
    }
}

/// Collects until `done` holds; fails after ten seconds.
fn collect_until(stream: &EventStream, mut done: impl FnMut(&[LifecycleEvent]) -> bool) -> Vec<LifecycleEvent> {
    let mut events = Vec::new();
    let deadline = Instant::now() + Duration::from_secs(10);
    while !done(&events) {
        assert!(Instant::now() < deadline, "the events did not come: {} so far, {} lost", events.len(), stream.lost());
        stream.wait(Duration::from_millis(100), &mut events);
    }
    events
}

fn has_exited(events: &[LifecycleEvent], pid: i32) -> bool {
    events.iter().any(|event| matches!(event.kind, EventKind::Exit { tid, tgid, .. } if tid == pid && tgid == pid))
}

#[test]
fn two_thousand_short_commands_are_all_in_the_log_with_their_exit_status() {
    let _alone = alone();
    let Some(stream) = stream() else { return };
    let mut shell = Command::new("sh")
        .args(["-c", "i=0; while [ $i -lt 2000 ]; do /bin/true; i=$((i+1)); done"])
        .spawn()
        .expect("start a shell");
    let pid = i32::try_from(shell.id()).expect("pid");
    let events = collect_until(&stream, |events| has_exited(events, pid));
    shell.wait().expect("wait");
    let mut children = HashSet::new();
    let mut execed = HashSet::new();
    let mut ended = HashMap::new();
    for event in &events {
        match event.kind {
            EventKind::Fork { parent_tgid, child_tgid, .. } if parent_tgid == pid => {
                children.insert(child_tgid);
            }
            EventKind::Exec { tgid } if children.contains(&tgid) => {
                execed.insert(tgid);
            }
            EventKind::Exit { tid, tgid, status } if tid == tgid && children.contains(&tgid) => {
                ended.insert(tgid, status);
            }
            _ => {}
        }
    }
    // Some shells run the last command without a fork; none makes more than its script says.
    let missing = 2000u64.saturating_sub(ended.len() as u64);
    assert!(missing <= stream.lost(), "{missing} ends are missing but only {} events were counted as lost", stream.lost());
    assert!(ended.values().all(|status| *status == ExitStatus::Code(0)), "true ends with 0");
    println!(
        "{} commands seen to fork, {} to exec, {} to end; {} events lost",
        children.len(),
        execed.len(),
        ended.len(),
        stream.lost()
    );
    assert!(
        events.windows(2).filter(|pair| pair[0].at_ns > pair[1].at_ns).count() < events.len() / 10,
        "stamps ascend but for CPU races"
    );
}

#[test]
fn exit_codes_signals_and_threads_are_told_apart() {
    let Some(stream) = stream() else { return };
    let script = "import os, threading\nt = threading.Thread(target=lambda: None)\nt.start()\nt.join()\n\
                  if os.fork() == 0: os._exit(7)\nos.wait()\nif os.fork() == 0: os.kill(os.getpid(), 9)\nos.wait()\nos._exit(0)";
    let mut python = Command::new("python3").args(["-c", script]).spawn().expect("python3 is needed for this test");
    let pid = i32::try_from(python.id()).expect("pid");
    let events = collect_until(&stream, |events| has_exited(events, pid));
    python.wait().expect("wait");
    if stream.lost() > 0 {
        loudly!("SKIPPED: {} events were lost under load", stream.lost());
        return;
    }
    // python3 may be a script that starts others before it becomes the interpreter.
    let begin = events.iter().rposition(|event| event.kind == EventKind::Exec { tgid: pid }).expect("it was started");
    let events = &events[begin..];
    let threads: Vec<i32> = events
        .iter()
        .filter_map(|event| match event.kind {
            EventKind::Fork { parent_tgid, child_tid, child_tgid, .. } if child_tgid == pid && parent_tgid == pid => {
                Some(child_tid)
            }
            _ => None,
        })
        .collect();
    assert_eq!(threads.len(), 1, "one thread was made");
    let children: Vec<(i32, i32)> = events
        .iter()
        .filter_map(|event| match event.kind {
            EventKind::Fork { parent_tgid, parent_tid, child_tid, child_tgid }
                if parent_tgid == pid && child_tid == child_tgid =>
            {
                Some((child_tgid, parent_tid))
            }
            _ => None,
        })
        .collect();
    assert!(children.iter().all(|(_, by)| *by == pid), "the forking task is named: {children:?}");
    let status = |child: i32| {
        events.iter().find_map(|event| match event.kind {
            EventKind::Exit { tid, status, .. } if tid == child => Some(status),
            _ => None,
        })
    };
    let ends: Vec<_> = children.iter().map(|(child, _)| status(*child)).collect();
    assert_eq!(ends, [Some(ExitStatus::Code(7)), Some(ExitStatus::Signal { signal: 9, core: false })]);
}

#[test]
fn an_exec_is_told_with_the_new_name_and_a_fork_with_the_parents() {
    if stream().is_none() {
        return;
    }
    let concmon = |seconds: &str| {
        Command::new(env!("CARGO_BIN_EXE_concmon"))
            .args(["events", "--json", "--for", seconds])
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .expect("start concmon")
    };
    let child = concmon("3");
    // Names long enough to tell apart from all others; each lives a millisecond.
    let dir = tempfile::tempdir().expect("a directory");
    let (shell, short) = (dir.path().join("shellofevents"), dir.path().join("shortlived"));
    programs::copy("/bin/sh", &shell);
    programs::copy("/bin/true", &short);
    let script = format!("i=0; while [ $i -lt 200 ]; do {}; sleep 0.01; i=$((i+1)); done", short.display());
    Command::new(&shell).args(["-c", &script]).status().expect("run them");
    let output = child.wait_with_output().expect("concmon ends");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let named = |event: &str, name: &str| lines.iter().filter(|l| l["event"] == event && l["comm"] == name).count();
    let shells: HashSet<i64> =
        lines.iter().filter(|l| l["event"] == "fork" && l["comm"] == "shellofevents").filter_map(|l| l["pid"].as_i64()).collect();
    if shells.len() < 20 {
        loudly!("SKIPPED: only {} of the forks fell into the time that was looked at", shells.len());
        return;
    }
    let of = |event: &'static str| {
        let shells = &shells;
        lines.iter().filter(move |l| l["event"] == event && l["pid"].as_i64().is_some_and(|pid| shells.contains(&pid)))
    };
    // Never the name of before; on a busy machine some have ended before they could be asked, and then none.
    // Of an end whose exec was lost on the way nothing newer is known.
    let execed: HashSet<i64> = of("exec").filter_map(|l| l["pid"].as_i64()).collect();
    let replaced = |l: &&serde_json::Value| l["pid"].as_i64().is_some_and(|pid| execed.contains(&pid));
    let events = of("exec").chain(of("exit").filter(replaced));
    let wrong: Vec<_> = events.filter(|l| l["comm"] == "shellofevents").take(3).collect();
    let execs = of("exec").count();
    println!("{} forks, {execs} execs, {} of them named", shells.len(), named("exec", "shortlived"));
    assert!(wrong.is_empty(), "{wrong:?}");
    // How many live long enough to be asked depends on how busy the machine is.
    assert!(named("exec", "shortlived") >= 5, "{} of {execs} named", named("exec", "shortlived"));
    assert!(named("exit", "shortlived") >= named("exec", "shortlived") / 2, "an end has the name of its exec");
}

#[test]
fn stamps_are_of_the_boot_clock() {
    let Some(stream) = stream() else { return };
    let now = || concmon::clock::Clock::boot_ns(&concmon::clock::SystemClock);
    let before = now();
    let mut child = Command::new("/bin/true").spawn().expect("start true");
    let pid = i32::try_from(child.id()).expect("pid");
    child.wait().expect("wait");
    let events = collect_until(&stream, |events| has_exited(events, pid));
    let own = events.iter().filter(|event| matches!(event.kind, EventKind::Exit { tgid, .. } if tgid == pid));
    // The distance of the two clocks is measured by two readings, a few microseconds apart.
    assert!(own.map(|event| event.at_ns).all(|at| at + 1_000_000 >= before && at <= now() + 1_000_000));
}

#[test]
fn without_a_stream_two_lists_tell_births_renames_and_deaths() {
    let proc = FakeProc::new();
    proc.add(Fake::new(10)).add(Fake::new(20)).add(Fake::new(30).start(77));
    let mut source = ProcSource::with_system(proc.root(), proc.system()).expect("open the fake tree");
    let mut lifecycle = Lifecycle::polling("no reason");
    let mut sweep = || {
        let snapshot = source.sample(&Request::basic(Needs::empty())).expect("a sample");
        lifecycle.collect(&snapshot.processes, 5).into_iter().map(|event| event.kind).collect::<Vec<_>>()
    };
    assert_eq!(sweep(), [], "what was there before is no news");
    proc.remove(10).add(Fake::new(20).ran(2, 2).comm("renamed"));
    proc.remove(30).add(Fake::new(30).start(99)).add(Fake::new(40).ppid(20));
    let gone = |pid| EventKind::Exit { tid: pid, tgid: pid, status: ExitStatus::Unknown };
    let born = |pid, parent_tgid| EventKind::Fork { parent_tid: 0, parent_tgid, child_tid: pid, child_tgid: pid };
    let renamed = EventKind::Comm { tid: 20, tgid: 20, comm: concmon::snapshot::Comm::new(b"renamed") };
    assert_eq!(sweep(), [gone(10), renamed, gone(30), born(30, 1), born(40, 20)]);
    proc.add(Fake::new(40).ppid(20).ran(3, 3).zombie());
    assert_eq!(sweep(), [gone(40)], "a zombie has ended");
    proc.remove(40);
    assert_eq!(sweep(), [], "and ends only once");
    assert_eq!(lifecycle.tier(), EventTier::Polling("no reason".to_owned()));
}

#[test]
fn what_a_kernel_worker_is_at_is_no_new_name() {
    let proc = FakeProc::new();
    proc.add(Fake::new(10).kernel_thread().comm("kworker/0:1")).add(Fake::new(20).comm("server"));
    let mut source = ProcSource::with_system(proc.root(), proc.system()).expect("open the fake tree");
    let mut lifecycle = Lifecycle::polling("no reason");
    let mut sweep = || {
        let snapshot = source.sample(&Request::basic(Needs::empty())).expect("a sample");
        lifecycle.collect(&snapshot.processes, 5).into_iter().map(|event| event.kind).collect::<Vec<_>>()
    };
    assert_eq!(sweep(), []);
    proc.add(Fake::new(10).kernel_thread().comm("kworker/0:1-events").ran(2, 2)).add(Fake::new(20).comm("worker").ran(2, 2));
    let renamed = EventKind::Comm { tid: 20, tgid: 20, comm: concmon::snapshot::Comm::new(b"worker") };
    assert_eq!(sweep(), [renamed]);
}
