//! The native systems that show one thing each, in real runs: tasks, reports, and agreement with the lesson.
//! Orderings are asserted with wide margins, because the machine may be busy.

use std::collections::BTreeSet;

use concmon::lab::catalog::{Backend, RunSpec, SYSTEMS, TaskKind};
use concmon::lab::protocol::Creation;
use concmon::lab::run::{Outcome, Run, RunPhase};
use concmon::snapshot::ExitStatus;

use crate::support::lab::{await_end, await_run, await_workers, launcher, number, run_it, spec};
use crate::support::python::can_run;

/// It ended well, in its shape, and left nothing that had to be killed.
fn assert_done(run: &Run) {
    assert_eq!(run.phase, RunPhase::Ended(Outcome::Done), "{}: {:?} {}", run.spec.system, run.warnings, run.output);
    assert!(run.shape.len() >= 2, "{}: it was looked at while it held still", run.spec.system);
    assert!(run.shape.iter().all(|c| c.met), "{} with {}: {:?}", run.spec.system, run.spec.task.name(), run.shape);
    assert!(run.warnings.iter().all(|w| !w.contains("outlived its root")), "{:?}", run.warnings);
    assert_eq!(run.lines_lost, 0);
}

/// How many units of work have a beginning and an end.
fn units_done(run: &Run) -> usize {
    run.workers.iter().flat_map(|w| &w.spans).filter(|s| s.end_ns.is_some()).count()
}

#[test]
fn files_fetches_and_products_give_the_same_everywhere() {
    for (task, size, name, expected) in [
        (TaskKind::File, 40, "bytes_read", Some(10 * 40 * 1024)),
        (TaskKind::Http, 5, "bytes_received", Some(10 * 31 * 32)),
        (TaskKind::Matmul, 40, "matmul_trace", None),
    ] {
        let mut seen = Vec::new();
        for system in SYSTEMS.iter().filter(|s| s.backend == Backend::Native && s.tasks.contains(&task) && can_run(s.id)) {
            if system.params.tasks.is_none() {
                continue;
            }
            let run = run_it(&RunSpec { tasks: 10, task_size: Some(size), ..spec(system.id, task) });
            assert_done(&run);
            assert_eq!(units_done(&run), 10, "{}", system.id);
            seen.push(number(&run, name));
        }
        assert!(seen.len() >= 8, "task {} is one of many systems: {seen:?}", task.name());
        assert!(seen.iter().all(|n| *n > 0 && *n == expected.unwrap_or(seen[0])), "{}: {seen:?}", task.name());
    }
}

#[test]
fn a_fetch_takes_as_long_as_the_server_was_asked_to_take() {
    let run = run_it(&RunSpec { workers: 8, tasks: 8, task_size: Some(80), ..spec("native/thread", TaskKind::Http) });
    assert_done(&run);
    for span in run.workers.iter().flat_map(|w| &w.spans) {
        assert!(span.end_ns.unwrap() - span.start_ns >= 80_000_000, "{span:?}");
    }
    assert!(run.costs.wall_ns.unwrap() < 8 * 80_000_000 / 2, "the server answers all at once: {:?}", run.costs.wall_ns);
}

#[test]
fn the_server_on_loopback_goes_with_its_run() {
    let launcher = launcher();
    for kill_the_root in [false, true] {
        let long = RunSpec { hold_ms: 60_000, task_size: Some(60_000), ..spec("native/fork", TaskKind::Http) };
        let id = launcher.launch(long).unwrap();
        let run = await_workers(&launcher, id, 4);
        let root = run.root_pid.unwrap();
        let workers: Vec<i32> = run.workers.iter().filter_map(|w| w.pid).collect();
        let server = children_of(root).into_iter().find(|pid| !workers.contains(pid)).unwrap();
        let began = start_time(server).unwrap();
        if kill_the_root {
            nix::sys::signal::kill(nix::unistd::Pid::from_raw(root), nix::sys::signal::Signal::SIGKILL).unwrap();
        } else {
            launcher.stop(id);
        }
        let run = await_end(&launcher, id);
        assert_ne!(run.phase, RunPhase::Ended(Outcome::Done));
        assert_ne!(start_time(server), Some(began), "the server (pid {server}) has outlived its run");
    }
}

#[test]
fn a_server_that_dies_fails_the_run_and_the_output_says_why() {
    let launcher = launcher();
    for system in ["native/thread", "native/fork", "native/socket-blocking", "native/socket-epoll", "native/event-loop"] {
        let long = RunSpec { tasks: 20, task_size: Some(20_000), ..spec(system, TaskKind::Http) };
        let id = launcher.launch(long).unwrap();
        // Someone waits for an answer.
        let run = await_run(&launcher, id, "a GET is under way", |run| run.workers.iter().any(|w| !w.spans.is_empty()));
        let workers: Vec<i32> = run.workers.iter().filter_map(|w| w.pid).collect();
        let server = children_of(run.root_pid.unwrap()).into_iter().find(|pid| !workers.contains(pid)).unwrap();
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(server), nix::sys::signal::Signal::SIGKILL).unwrap();
        let run = await_end(&launcher, id);
        assert_eq!(
            run.phase,
            RunPhase::Ended(Outcome::Failed("20 of 20 tasks failed; see the output of the run".into())),
            "{system}: {}",
            run.output
        );
        let said = run.output.lines().filter(|line| line.starts_with("unit ")).count();
        assert_eq!(said, 5, "{system}: the first failures are told, not all: {}", run.output);
        assert!(run.workers.iter().all(|w| w.exited_ns.is_some()), "{system}: the workers left in order");
    }
}

/// Start time and parent of a process.
fn stat(pid: i32) -> Option<(u64, i32)> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    Some((fields.get(19)?.parse().ok()?, fields.get(1)?.parse().ok()?))
}

fn start_time(pid: i32) -> Option<u64> {
    stat(pid).map(|(start, _)| start)
}

fn children_of(parent: i32) -> Vec<i32> {
    let pids = std::fs::read_dir("/proc").unwrap().flatten().filter_map(|e| e.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|pid| stat(*pid).is_some_and(|(_, ppid)| ppid == parent)).collect()
}

#[test]
fn a_childs_result_comes_back_through_a_pipe() {
    let run = run_it(&spec("native/process-queue", TaskKind::None));
    assert_done(&run);
    assert_eq!(number(&run, "factorial_of_5"), 120);
    assert!((1..1_000_000_000).contains(&number(&run, "through_the_pipe_ns")));
    let [child] = &run.workers[..] else { panic!("{:?}", run.workers) };
    assert_ne!(child.pid, run.root_pid);
    assert_eq!(child.status, Some(ExitStatus::Code(0)));
    assert_eq!(units_done(&run), 1);
}

#[test]
fn a_child_that_dies_before_it_sends_fails_the_run() {
    let launcher = launcher();
    // The first thing the child does is to wait; it is killed while it does, before or after it has sent.
    let id = launcher.launch(RunSpec { hold_ms: 500, ..spec("native/process-queue", TaskKind::None) }).unwrap();
    let victim = await_workers(&launcher, id, 1).workers[0].pid.unwrap();
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(victim), nix::sys::signal::Signal::SIGKILL).unwrap();
    let RunPhase::Ended(Outcome::Failed(why)) = &await_end(&launcher, id).phase else { panic!("it is not done") };
    assert_eq!(*why, format!("worker 0 (pid {victim}) was killed by SIGKILL"));
}

#[test]
fn a_fork_leaves_relocated_data_alone() {
    let launcher = launcher();
    let id = launcher.launch(RunSpec { hold_ms: 60_000, ..spec("native/fork", TaskKind::None) }).unwrap();
    let run = await_workers(&launcher, id, 4);
    let worker = run.workers[0].pid.unwrap();
    for pid in [run.root_pid.unwrap(), worker] {
        let maps = std::fs::read_to_string(format!("/proc/{pid}/smaps")).unwrap();
        let shared = maps.lines().filter(|line| line.contains("memfd:concmon-relro")).count();
        assert!(shared >= 2, "the program's and the C library's: {maps}");
        // Of what may only be read, nothing is memory of its own any more, so that there is nothing to copy. (Pages of a file that was
        // written a moment ago are "dirty" in every process that maps them.)
        let mut private = false;
        for line in maps.lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            match words[..] {
                [_, protection, _, _, ..] if protection.len() == 4 => private = protection == "r--p",
                ["Anonymous:", kb, _] => assert!(!private || kb == "0", "pid {pid}: {kb} KB in {maps}"),
                _ => {}
            }
        }
    }
    launcher.stop(id);
    await_end(&launcher, id);
}

#[test]
fn only_what_a_child_writes_to_is_copied() {
    let mb = 32;
    let run = run_it(&RunSpec { parent_mb: mb, ..spec("native/copy-on-write", TaskKind::None) });
    assert_done(&run);
    let growth = |act: &str| number(&run, &format!("{act}_private_growth_bytes"));
    let all = u64::from(mb) << 20;
    assert!(number(&run, "parent_private_bytes") >= all);
    assert!(growth("untouched") < all / 16, "{}", growth("untouched"));
    assert!(growth("read") < all / 16, "reading copies nothing: {}", growth("read"));
    assert!((all / 5..all / 2).contains(&growth("quarter_written")), "{}", growth("quarter_written"));
    assert!((all / 10 * 9..all / 10 * 12).contains(&growth("written")), "{}", growth("written"));
    assert!(number(&run, "written_private_before_bytes") < all / 16, "it was shared before");
    // The parent's, a quarter and a whole copy; looked at again when they were there.
    assert!(run.costs.peak_pss_bytes.is_some_and(|pss| pss > all * 2), "{:?}", run.costs.peak_pss_bytes);
}

#[test]
fn sleeping_threads_wake_and_print_in_the_order_of_their_sleeps() {
    let run = run_it(&RunSpec { task_size: Some(60), ..spec("native/sleep-threads", TaskKind::Sleep) });
    assert_done(&run);
    let lines: Vec<&str> = run.output.lines().collect();
    assert_eq!(lines.len(), 11, "{}", run.output);
    assert!(lines[10].starts_with("thread 0 slept 0.600 s, awake after 0."), "the longest sleep ends last: {}", run.output);
    let (together, one_by_one) = (number(&run, "slept_together_ns"), number(&run, "slept_one_after_the_other_ns"));
    assert_eq!(one_by_one, 20 * 60_000_000);
    assert!(together >= 600_000_000 && together < one_by_one / 4 * 3, "{together}");
    let long = &run.workers[0].spans[0];
    for worker in &run.workers[1..] {
        assert!(worker.spans[0].start_ns < long.end_ns.unwrap() && long.start_ns < worker.spans[0].end_ns.unwrap());
        assert!(worker.spans[0].end_ns < long.end_ns, "it woke while the first one slept");
    }
}

#[test]
fn ways_to_wait_for_sockets_fetch_the_same_at_another_price() {
    let fetch = |system: &str| {
        let run = run_it(&RunSpec { tasks: 20, task_size: Some(50), ..spec(system, TaskKind::Http) });
        assert_done(&run);
        assert_eq!(units_done(&run), 20);
        assert_eq!(number(&run, "bytes_received"), 20 * 31 * 32);
        run
    };
    let (blocking, spin, epoll) =
        (fetch("native/socket-blocking"), fetch("native/socket-nonblocking"), fetch("native/socket-epoll"));
    let (wall, cpu) = (|run| number(run, "fetch_wall_ns"), |run| number(run, "client_cpu_ns"));
    assert!(wall(&blocking) >= 20 * 50_000_000, "one wait after the other: {}", wall(&blocking));
    for at_once in [&spin, &epoll] {
        assert!((50_000_000..wall(&blocking) / 2).contains(&wall(at_once)), "all waits at once: {}", wall(at_once));
    }
    assert!(cpu(&spin) > 3 * cpu(&epoll), "asking all the time costs: {} and {}", cpu(&spin), cpu(&epoll));
    assert!(number(&spin, "recv_calls_in_vain") > 20 * 20, "{:?}", spin.values);
    assert!(number(&epoll, "recv_calls") <= 3 * 20 && number(&epoll, "select_calls") <= 2 * 20, "{:?}", epoll.values);
    assert!(number(&blocking, "client_voluntary_switches") >= 20, "it slept for each: {:?}", blocking.values);
    assert!(number(&spin, "client_voluntary_switches") < 20, "it never slept: {:?}", spin.values);
    if !can_run("native/socket-uring") {
        return;
    }
    let ring = fetch("native/socket-uring");
    assert!((50_000_000..wall(&blocking) / 2).contains(&wall(&ring)), "all waits at once: {}", wall(&ring));
    assert!(cpu(&spin) > 3 * cpu(&ring), "it sleeps meanwhile: {} and {}", cpu(&spin), cpu(&ring));
    assert_eq!(number(&ring, "recv_calls"), 0, "{:?}", ring.values);
    let (operations, calls) = (number(&ring, "recv_operations"), number(&ring, "io_uring_enter_calls"));
    assert!((20..=3 * 20).contains(&operations) && (1..=operations).contains(&calls), "{:?}", ring.values);
}

#[test]
fn smol_computes_one_task_at_a_time_on_the_main_thread() {
    let run = run_it(&RunSpec { workers: 8, tasks: 8, task_size: Some(500), ..spec("native/smol", TaskKind::Pi) });
    assert_done(&run);
    assert_eq!(units_done(&run), 8);
    assert!(run.workers.iter().all(|w| w.how == Some(Creation::AsyncTask) && w.creation_ns().is_some() && w.exited_ns.is_some()));
    let root = run.root_pid.unwrap();
    assert_eq!(ids(&run), ([root].into(), [root].into()), "one thread for all");
    assert!(!overlaps(&run), "one task computes at a time");
}

/// Pids and tids of the workers.
fn ids(run: &Run) -> (BTreeSet<i32>, BTreeSet<i32>) {
    (run.workers.iter().filter_map(|w| w.pid).collect(), run.workers.iter().filter_map(|w| w.tid).collect())
}

#[test]
fn the_runtimes_run_the_same_tasks_on_one_thread_and_on_four() {
    let on = |system: &str| {
        let run = run_it(&RunSpec { workers: 20, tasks: 20, task_size: Some(500), ..spec(system, TaskKind::Pi) });
        assert_done(&run);
        assert_eq!(units_done(&run), 20);
        assert!(
            run.workers.iter().all(|w| w.how == Some(Creation::AsyncTask) && w.creation_ns().is_some() && w.exited_ns.is_some())
        );
        assert!((1..1_000_000).contains(&number(&run, "async_task_create_ns_each")), "{:?}", run.values);
        assert!(number(&run, "async_task_create_and_finish_ns_each") >= number(&run, "async_task_create_ns_each"));
        assert!(number(&run, "runtime_created_ns") > 0);
        run
    };
    let (current, multi) = (on("native/tokio-current"), on("native/tokio-multi"));
    let root = [current.root_pid.unwrap()].into();
    assert_eq!(ids(&current), (root, [current.root_pid.unwrap()].into()), "one thread for all");
    assert!(!overlaps(&current), "one task computes at a time");
    let (pids, tids) = ids(&multi);
    assert_eq!(pids, [multi.root_pid.unwrap()].into());
    assert!(!tids.contains(&multi.root_pid.unwrap()) && (1..=4).contains(&tids.len()), "on threads of the runtime: {tids:?}");
    // Even on one CPU the kernel changes between threads in the midst of a unit.
    assert!(overlaps(&multi), "tasks compute in overlapping periods");
}

/// Whether two units were ever under way at one time.
fn overlaps(run: &Run) -> bool {
    let mut spans: Vec<(u64, u64)> = run.workers.iter().flat_map(|w| &w.spans).map(|s| (s.start_ns, s.end_ns.unwrap())).collect();
    spans.sort_unstable();
    spans.windows(2).any(|pair| pair[1].0 < pair[0].1)
}

#[test]
fn sleeps_of_async_tasks_overlap_on_either_runtime() {
    for system in ["native/tokio-current", "native/tokio-multi", "native/smol"] {
        let run = run_it(&RunSpec { workers: 50, tasks: 50, task_size: Some(50), ..spec(system, TaskKind::Sleep) });
        assert_done(&run);
        assert!(run.costs.wall_ns.is_some_and(|wall| wall < 50 * 50_000_000 / 2), "{system}: {:?}", run.costs.wall_ns);
    }
}

#[test]
fn a_blocking_call_makes_the_loops_clock_late_and_the_cure_does_not() {
    for (task, size) in [(TaskKind::Sleep, 300), (TaskKind::Pi, 1_000)] {
        let run = |system: &str| {
            let run = run_it(&RunSpec { task_size: Some(size), ..spec(system, task) });
            assert_done(&run);
            assert_eq!(units_done(&run), 4);
            run
        };
        let (blocked, cured) = (run("native/blocked-loop"), run("native/blocked-loop-cured"));
        let late = |run: &Run| number(run, "largest_lateness_of_a_10_ms_tick_ns");
        assert!(!overlaps(&blocked), "one call after the other");
        assert!(overlaps(&cured), "calls at the same time");
        if task == TaskKind::Sleep {
            assert!(late(&blocked) > 200_000_000, "{}", late(&blocked));
            assert!(late(&cured) < 100_000_000, "{}", late(&cured));
            assert!(number(&cured, "ticks") > 3 * number(&blocked, "ticks"), "{:?} {:?}", cured.values, blocked.values);
        }
    }
}

#[test]
fn an_async_task_is_created_faster_and_is_smaller_than_a_thread() {
    let run = run_it(&RunSpec { task_size: Some(200), ..spec("native/async-vs-threads", TaskKind::Sleep) });
    assert_done(&run);
    for count in [100, 1_000] {
        let of = |what: &str, figure: &str| number(&run, &format!("{what}_{count}_{figure}"));
        assert!(of("threads", "create_ns_each") > 3 * of("async", "create_ns_each"), "{:?}", run.values);
        assert!(of("threads", "private_bytes_each") > 4 * of("async", "private_bytes_each"), "{:?}", run.values);
        for what in ["async", "threads"] {
            assert!((200_000_000..20_000_000_000).contains(&of(what, "wall_ns")), "all sleep at one time: {:?}", run.values);
        }
    }
    assert!(number(&run, "async_10000_wall_ns") < 10_000_000_000);
    assert!(run.warnings.iter().any(|w| w == "10000 threads were not tried: more than the 1000 requested tasks"));
    assert!(!run.values.iter().any(|v| v.name.starts_with("threads_10000")));
}
