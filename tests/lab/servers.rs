//! Services under load. Web servers: every request is served, by all workers, as many at a time as the server is built for. celery: every
//! call is done, through files of the run's own directory.

use concmon::lab::catalog::{RunSpec, TaskKind};
use concmon::lab::protocol::Creation;
use concmon::lab::roles::{self, Seen};
use concmon::lab::run::{Outcome, Run, RunPhase};

use crate::support::lab::{await_end, await_run, launcher, number, run_it, run_on, spec, text};
use crate::support::python::{assert_done, available, named};
use crate::support::together::at_a_time;

/// Each with what its main process is called.
pub const SERVERS: &[(&str, &str)] = &[
    ("python/gunicorn-sync", "gunicorn master"),
    ("python/gunicorn-gthread", "gunicorn master"),
    ("python/gunicorn-uvicorn", "gunicorn master"),
    ("python/uvicorn", "uvicorn supervisor"),
    ("python/granian", "granian main process"),
];

fn here() -> impl Iterator<Item = (&'static str, &'static str)> {
    SERVERS.iter().copied().filter(|(id, _)| available(id))
}

/// Most requests that were served at one moment.
fn most_at_once(run: &Run) -> usize {
    let spans = || run.workers.iter().flat_map(|w| &w.spans);
    let at = |t: u64| spans().filter(|s| s.start_ns <= t && s.end_ns.is_none_or(|end| t < end)).count();
    spans().map(|s| at(s.start_ns)).max().unwrap_or(0)
}

#[test]
fn every_request_is_served_and_its_rate_is_the_throughput() {
    let expected = run_it(&RunSpec { tasks: 40, ..spec("native/sequential", TaskKind::Factorial) });
    let launcher = launcher().with_pythons(named());
    at_a_time(2, here(), |(id, _)| {
        for workers in [1, 3] {
            let run = run_on(&launcher, &RunSpec { workers, tasks: 40, ..spec(id, TaskKind::Factorial) });
            assert_done(&run);
            assert_eq!(run.output, "", "{id}");
            assert_eq!(text(&run, "factorials"), text(&expected, "factorials"), "{id}: the answers are the results");
            assert_eq!(run.workers.len(), workers as usize, "{id}");
            let mut served: Vec<u32> = run.workers.iter().flat_map(|w| &w.spans).map(|s| s.index).collect();
            served.sort_unstable();
            assert_eq!(served, (0..40).collect::<Vec<_>>(), "{id}: each request once");
            assert!(run.workers.iter().all(|w| w.how.is_some_and(Creation::is_process)), "{id}: {:?}", run.workers);
            assert!(number(&run, "requests_per_second") > 0);
            assert!(number(&run, "request_p99_ns") >= number(&run, "request_median_ns"), "{id}");
            let point = concmon::lab::measure::Point::of(&run);
            assert_eq!(point.served_per_s, Some(number(&run, "requests_per_second")), "{id}");
            assert_eq!((run.costs.sent_bytes, run.costs.run_delay_ns), (None, None), "{id}: unknown, and not a part of it");
        }
    });
}

#[test]
fn a_sync_worker_serves_one_request_at_a_time_and_others_serve_several() {
    let launcher = launcher().with_pythons(named());
    at_a_time(2, here(), |(id, _)| {
        let sleeps = RunSpec { workers: 2, tasks: 12, task_size: Some(100), ..spec(id, TaskKind::Sleep) };
        let run = run_on(&launcher, &sleeps);
        assert_done(&run);
        let most = most_at_once(&run);
        if id == "python/gunicorn-sync" {
            assert_eq!(most, 2, "one in each of two workers");
        } else {
            assert!(most > 2, "{id}: {most}");
        }
    });
}

#[test]
fn the_main_process_and_the_workers_of_a_server_have_their_roles() {
    let launcher = launcher().with_pythons(named());
    at_a_time(2, here(), |(id, main)| {
        let stays = RunSpec { workers: 2, tasks: 4, hold_ms: 60_000, timeout_ms: 120_000, ..spec(id, TaskKind::Factorial) };
        let run = launcher.launch(stays).unwrap();
        let held = |run: &Run| run.ended() || (run.hold_began_ns().is_some() && !run.shape.is_empty());
        let run = await_run(&launcher, run, "it holds and was looked at", held);
        assert!(!run.ended(), "{id}: {:?}\n{}", run.phase, run.output);
        let mut words: Vec<String> = Vec::new();
        for member in run.family.iter().filter(|m| m.state != 'Z') {
            let cmdline = std::fs::read(format!("/proc/{}/cmdline", member.pid)).unwrap_or_default();
            let seen = Seen { pid: member.pid, tid: member.pid, thread: false, comm: b"python3", cmdline: &cmdline };
            words.push(roles::words(&run, &seen, "server"));
        }
        for wanted in ["server: main process", main, "worker 0", "worker 1"] {
            assert_eq!(words.iter().filter(|w| w.starts_with(wanted)).count(), 1, "{id}: {wanted} in {words:?}");
        }
        assert!(!words.iter().any(|w| w == "helper process"), "{id}: {words:?}");
        launcher.stop(run.id);
        assert_eq!(await_end(&launcher, run.id).phase, RunPhase::Ended(Outcome::Stopped), "{id}");
    });
}

#[test]
fn celery_does_every_call_in_its_workers() {
    if !available("python/celery") {
        return;
    }
    let expected = run_it(&spec("native/sequential", TaskKind::Factorial));
    let run = run_on(&launcher().with_pythons(named()), &RunSpec { workers: 2, ..spec("python/celery", TaskKind::Factorial) });
    assert_done(&run);
    assert_eq!(text(&run, "factorials"), text(&expected, "factorials"));
    let mut done: Vec<u32> = run.workers.iter().flat_map(|w| &w.spans).map(|s| s.index).collect();
    done.sort_unstable();
    assert_eq!(done, (0..10).collect::<Vec<_>>(), "each call once");
    assert!(run.workers.iter().all(|w| w.how == Some(Creation::Fork) && w.pid != run.root_pid), "{:?}", run.workers);
    assert_eq!(concmon::lab::measure::Point::of(&run).served_per_s, Some(number(&run, "calls_per_second")));
}
