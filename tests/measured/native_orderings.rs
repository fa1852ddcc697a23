//! The orderings of the talk among native systems, as ratios with wide margins: the least of interleaved runs.
//!
//! One test at a time: what is compared must not be disturbed by the next comparison.

use concmon::lab::catalog::{RunSpec, TaskKind};
use concmon::lab::run::{Outcome, Run, RunPhase};

use crate::support::exclusive::alone;
use crate::support::lab::{await_end, launcher, spec};

/// The least of a figure over several interleaved rounds: its cost when no other program is in the way. Everything else that the
/// machine does can only add to it.
fn least<const N: usize>(rounds: u32, specs: &[RunSpec; N], figure: impl Fn(&Run) -> Vec<u64>) -> [u64; N] {
    let launcher = launcher();
    let mut least = [u64::MAX; N];
    for _ in 0..rounds {
        for (spec, least) in specs.iter().zip(&mut least) {
            let id = launcher.launch(spec.clone()).unwrap();
            let run = await_end(&launcher, id);
            assert_eq!(run.phase, RunPhase::Ended(Outcome::Done), "{}: {}", run.spec.system, run.output);
            *least = figure(&run).into_iter().fold(*least, u64::min);
        }
    }
    least
}

fn creations(run: &Run) -> Vec<u64> {
    run.workers.iter().filter_map(concmon::lab::run::Worker::creation_ns).collect()
}

#[test]
fn fork_pays_for_a_large_parent_and_a_fork_server_does_not() {
    let _alone = alone();
    let of = |system: &str, parent_mb| RunSpec { parent_mb, ..spec(system, TaskKind::None) };
    let [fork, server, small] =
        least(7, &[of("native/fork", 500), of("native/forkserver", 500), of("native/fork", 0)], creations);
    eprintln!("creation ns: fork of 500 MB {fork}, forkserver beside 500 MB {server}, fork of next to nothing {small}");
    assert!(fork > server * 2, "{fork} and {server}");
    assert!(fork > small * 2, "{fork} and {small}");
}

#[test]
fn a_thread_is_created_faster_than_a_process_and_an_async_task_faster_than_a_thread() {
    let _alone = alone();
    let of = |system| spec(system, TaskKind::None);
    let [task, thread, fork, spawn] =
        least(10, &[of("native/event-loop"), of("native/thread"), of("native/fork"), of("native/spawn")], creations);
    eprintln!("creation ns: async task {task}, thread {thread}, fork {fork}, spawn {spawn}");
    assert!(thread > task * 2, "{thread} and {task}");
    assert!(fork > thread && spawn > thread * 2, "{fork}, {spawn} and {thread}");
}

#[test]
fn ten_processes_lose_to_one_for_ten_factorials_and_one_thread_beats_all() {
    let _alone = alone();
    let pool = |workers| RunSpec { workers, ..spec("native/process-pool", TaskKind::Factorial) };
    let threads = RunSpec { workers: 10, ..spec("native/thread-pool", TaskKind::Factorial) };
    let single = spec("native/sequential", TaskKind::Factorial);
    let [ten, one, threads, single] = least(20, &[pool(10), pool(1), threads, single], |run| vec![run.costs.wall_ns.unwrap()]);
    eprintln!("wall ns: 10 processes {ten}, 1 process {one}, 10 threads {threads}, single thread {single}");
    assert!(ten > one * 3 / 2, "{ten} and {one}");
    assert!(single < one && single < threads, "{single}, {one} and {threads}");
}
