//! The state machine by itself: notices in, figures and verdicts out.

use super::*;
use crate::lab::catalog::RunSpec;
use crate::lab::run::RunId;

fn run(system: &str) -> Run {
    let mut run = Run::new(RunId(1), catalog::find(system).unwrap().defaults(), 0);
    run.apply(&Notice::Started { run: 1, root_pid: 100, t: 10 });
    run
}

fn say(run: &mut Run, t: u64, pid: i32, message: Message) {
    run.apply(&Notice::Line { run: 1, line: Line { t, pid, tid: pid, n: 0, message } });
}

fn done() -> Message {
    Message::Done {
        user_ns: 0,
        sys_ns: 0,
        minor_faults: 0,
        major_faults: 0,
        voluntary_switches: 0,
        involuntary_switches: 0,
        run_delay_ns: None,
        sent_bytes: None,
    }
}

fn ended(t: u64, killed: Option<KillReason>) -> Notice {
    Notice::Ended {
        run: 1,
        t,
        usage: Usage { user_ns: 7, ..Usage::default() },
        memory_peak_bytes: None,
        max_rss_bytes: None,
        left_running: 0,
        orphans: 0,
        killed,
    }
}

fn member(pid: i32, ppid: i32, state: char, nlwp: u32) -> Member {
    Member {
        pid,
        ppid,
        state,
        nlwp,
        rss_bytes: Some(1000),
        pss_bytes: None,
        uss_bytes: None,
        command: String::new(),
        waits: Vec::new(),
    }
}

#[test]
fn wall_time_does_not_count_the_pause_in_which_the_run_was_looked_at() {
    let mut run = run("native/fork");
    say(&mut run, 1_000, 100, Message::Requested { w: 0 });
    say(&mut run, 1_300, 101, Message::Ready { w: 0, how: Creation::Fork });
    say(&mut run, 2_000, 100, Message::Phase { name: "inspect".into() });
    say(&mut run, 9_000, 100, Message::Phase { name: "steady".into() });
    say(&mut run, 9_500, 100, done());
    run.apply(&Notice::RootEnded { run: 1, t: 9_600, status: 0, used: Usage::default(), began: None });
    run.apply(&ended(9_900, None));
    assert_eq!(run.phase, RunPhase::Ended(Outcome::Done));
    assert_eq!((run.costs.wall_ns, run.costs.teardown_ns, run.costs.user_ns), (Some(1_500), Some(400), Some(7)));
    assert_eq!(run.workers[0].creation_ns(), Some(300));
}

#[test]
fn what_the_work_has_cost_is_known_while_the_run_stays_and_kept_when_it_is_stopped() {
    let mut run = run("native/fork");
    say(&mut run, 1_000, 100, Message::Requested { w: 0 });
    let used = |user_ns, sys_ns| Usage { user_ns, sys_ns, minor_faults: 10, ..Usage::default() };
    say(&mut run, 1_100, 100, Message::Apart(used(20, 1)));
    say(&mut run, 1_200, 101, Message::Apart(used(1_000_000, 1)));
    say(&mut run, 2_000, 100, Message::Phase { name: "inspect".into() });
    say(&mut run, 9_000, 100, Message::Phase { name: "steady".into() });
    assert_eq!((run.costs.wall_ns, run.costs.so_far_cpu_ns), (None, None));
    say(&mut run, 9_500, 100, Message::Phase { name: "hold".into() });
    let look = |cpu_ns| Notice::Family { run: 1, t: 1, members: vec![], pss_bytes: None, held: false, cpu_ns };
    run.apply(&look(Some(121)));
    // Later looks say what staying costs too.
    run.apply(&look(Some(500)));
    assert_eq!((run.costs.wall_ns, run.costs.so_far_cpu_ns), (Some(1_500), Some(100)));
    run.apply(&Notice::RootEnded { run: 1, t: 50_000, status: 9, used: Usage::default(), began: None });
    let total = Usage { minor_faults: 12, ..used(90, 60) };
    let kill = Some(KillReason::Stopped);
    run.apply(&Notice::Ended {
        run: 1,
        t: 50_100,
        usage: total,
        memory_peak_bytes: None,
        max_rss_bytes: None,
        left_running: 0,
        orphans: 0,
        killed: kill,
    });
    assert_eq!(run.phase, RunPhase::Ended(Outcome::Stopped));
    let c = &run.costs;
    assert_eq!((c.wall_ns, c.user_ns, c.sys_ns, c.minor_faults), (Some(1_500), Some(70), Some(59), Some(2)));
    assert_eq!((c.charged_cpu_ns(), c.so_far_cpu_ns), (Some(150), None), "with what is apart it is what wait4 says");
}

#[test]
fn a_program_of_the_users_own_is_timed_from_its_exec_to_its_wait() {
    let mut run = Run::new(RunId(1), RunSpec::own(), 0);
    run.apply(&Notice::Started { run: 1, root_pid: 100, t: 1_000 });
    let used = Usage { user_ns: 300, ..Usage::default() };
    let began = Some(crate::lab::control::Began { t: 11_000, used, max_rss_bytes: 0 });
    run.apply(&Notice::RootEnded { run: 1, t: 12_000, status: 1 << 8, used: Usage::default(), began });
    let usage = Usage { user_ns: 1_200, ..Usage::default() };
    run.apply(&Notice::Ended {
        run: 1,
        t: 40_000,
        usage,
        memory_peak_bytes: None,
        max_rss_bytes: None,
        left_running: 0,
        orphans: 0,
        killed: None,
    });
    assert_eq!((run.costs.wall_ns, run.costs.user_ns), (Some(1_000), Some(900)));
}

#[test]
fn the_verdict_says_what_happened() {
    let verdict = |status: u32, says: &[Message], killed| {
        let mut run = run("native/fork");
        for message in says {
            say(&mut run, 1, 100, message.clone());
        }
        run.apply(&Notice::RootEnded { run: 1, t: 2, status, used: Usage::default(), began: None });
        run.apply(&ended(3, killed));
        match run.phase {
            RunPhase::Ended(outcome) => outcome,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(verdict(0, &[done()], None), Outcome::Done);
    assert_eq!(verdict(9, &[], Some(KillReason::Stopped)), Outcome::Stopped);
    assert_eq!(verdict(9, &[], Some(KillReason::TimedOut)), Outcome::TimedOut);
    let failed = |status, says: &[Message]| match verdict(status, says, None) {
        Outcome::Failed(why) => why,
        other => panic!("{other:?}"),
    };
    assert_eq!(failed(9, &[]), "the run root (PID 100) was killed by SIGKILL");
    assert_eq!(failed(3 << 8, &[]), "the run root (PID 100) ended with exit code 3");
    assert!(failed(0, &[]).contains("without reporting that it was done"));
    let trace = Message::Error { text: "Traceback:\n  line 1\nValueError: no".into() };
    assert_eq!(failed(0, &[trace, done()]), "ValueError: no", "a traceback's last line is what went wrong");
}

#[test]
fn a_run_that_has_ended_does_not_change() {
    let mut run = run("native/fork");
    run.apply(&ended(5, Some(KillReason::Stopped)));
    say(&mut run, 6, 100, Message::Warn { text: "late".into() });
    assert!(run.warnings.is_empty());
}

#[test]
fn output_keeps_its_beginning_and_its_end() {
    let mut run = run("native/fork");
    run.append_output("begin");
    for _ in 0..2000 {
        run.append_output(&"\u{e9}\u{4e16}x".repeat(100));
    }
    run.append_output("end");
    assert!(run.output.len() <= OUTPUT_KEPT, "{}", run.output.len());
    assert!(run.output.starts_with("begin") && run.output.ends_with("end"));
    assert_eq!(run.output.matches("output cut here").count(), 1);
}

#[test]
fn a_worker_cannot_make_concmon_grow() {
    let mut run = run("native/fork");
    say(&mut run, 1, 100, Message::Requested { w: u32::MAX });
    assert!(run.workers.is_empty());
    for i in 0..1000 {
        say(&mut run, 1, 100, Message::Warn { text: format!("{i}") });
    }
    assert_eq!(run.warnings.len(), NOTES_KEPT);
}

#[test]
fn a_shape_is_met_only_by_the_family_it_describes() {
    let checks = |system: &str, members: &[Member]| -> Vec<(String, bool)> {
        let mut run = run(system);
        run.spec = RunSpec { workers: 2, ..run.spec };
        for (w, pid) in [(0, 101), (1, 102)] {
            say(&mut run, 1, pid, Message::Ready { w, how: Creation::Fork });
        }
        run.apply(&Notice::Family { run: 1, t: 1, members: members.to_vec(), pss_bytes: None, held: true, cpu_ns: None });
        run.shape.iter().map(|c| (c.what.clone(), c.met)).collect()
    };
    let all = |checks: Vec<(String, bool)>| checks.iter().all(|(_, met)| *met);
    let root = || member(100, 1, 'S', 1);
    assert!(all(checks("native/fork", &[root(), member(101, 100, 'S', 1), member(102, 100, 'S', 1)])));
    let short = checks("native/fork", &[root(), member(101, 100, 'S', 1)]);
    assert!(short.contains(&("pids".into(), false)));
    let stranger = checks("native/fork", &[root(), member(101, 100, 'S', 1), member(102, 101, 'S', 1)]);
    assert!(stranger.contains(&("parents".into(), false)));
    let server = [root(), member(103, 100, 'S', 1), member(101, 103, 'S', 1), member(102, 103, 'S', 1)];
    assert!(all(checks("native/forkserver", &server)));
    let busy = [root(), member(101, 100, 'R', 1), member(102, 100, 'R', 2)];
    let busy = checks("native/fork", &busy);
    assert!(busy.contains(&("states".into(), false)) && busy.contains(&("tids".into(), false)));
}

#[test]
fn a_shape_once_met_stays_met_and_an_unheld_look_does_not_judge_a_native_run() {
    let mut run = run("native/thread");
    let look = |held, nlwp| Notice::Family {
        run: 1,
        t: 1,
        members: vec![member(100, 1, 'S', nlwp)],
        pss_bytes: None,
        held,
        cpu_ns: None,
    };
    run.apply(&look(false, 1));
    assert!(run.shape.is_empty());
    run.apply(&look(true, 5));
    run.apply(&look(true, 1));
    assert!(run.shape.len() == 2 && run.shape.iter().all(|c| c.met), "{:?}", run.shape);
}
