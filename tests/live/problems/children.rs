//! Parents that wait for children in other ways than wait(2): an event loop, a pool behind a fork server.

use super::*;

#[test]
fn an_event_loop_that_waits_for_the_end_of_a_child_and_does_not_read_its_output() {
    let script = |call: &str, child: &str| {
        format!(
            "
import asyncio, sys
async def main():
    child = await asyncio.create_subprocess_exec(sys.executable, '-c', {child:?}, stdout=asyncio.subprocess.PIPE)
    print('ready', flush=True)
    await {call}
asyncio.run(main())
"
        )
    };
    let loud = "import sys; sys.stdout.write('x' * 5_000_000)";
    let quiet = "import time; time.sleep(600)";
    at_a_time(3, pythons(), |python| {
        let stage = Stage::python(&python, &script("child.wait()", loud));
        // Before 3.12 a thread of the parent waits for the child.
        let problem = stage.has_problem("process_cycle");
        let text = problem.to_string();
        assert!(text.contains("writes to the full pipe") && text.contains("waits for the end of its child"), "{problem:#}");
        assert!(problem["advice"].as_str().unwrap().contains("communicate()"), "{}: {problem:#}", python.display());
        let why = stage.why();
        assert_eq!(why["verdict"], "stuck", "{}: {why:#}", python.display());
        Stage::python(&python, &script("child.wait()", quiet)).is_healthy();
        // The other way round: the child waits for a line, the parent for its end.
        let asks = script("child.wait()", "import sys; sys.stdin.readline()").replace("stdout=", "stdin=");
        Stage::python(&python, &asks).has_problem("process_cycle");
        let beats = script("asyncio.gather(child.wait(), asyncio.sleep(600))", loud);
        Stage::python(&python, &beats).is_healthy();
    });
}

#[test]
fn a_result_that_a_killed_worker_of_a_fork_server_does_not_bring() {
    let script = "
import multiprocessing, os, signal, time
pool = multiprocessing.get_context('forkserver').Pool(2)
pool.map(abs, range(4))
result = pool.map_async(time.sleep, [1, 1], chunksize=1)
time.sleep(.3)
os.kill(pool._pool[0].pid, signal.SIGKILL)
print('ready', flush=True)
result.get()
";
    let busy = script.replace("os.kill(pool._pool[0].pid, signal.SIGKILL)\n", "").replace("[1, 1]", "[1, 600]");
    at_a_time(3, pythons(), |python| {
        let lost = Stage::python(&python, script).has_finding("task_lost");
        assert!(lost["evidence"].as_str().unwrap().contains("workers wait for a task"), "{}: {lost:#}", python.display());
        Stage::python(&python, &busy).is_healthy();
    });
}
