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

#[test]
fn a_worker_that_was_forked_in_a_callback_blocks_no_loop_and_may_wait_for_an_event() {
    let executor = "
import asyncio, multiprocessing
from concurrent.futures import ProcessPoolExecutor
async def main():
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context('fork')) as pool:
        loop = asyncio.get_running_loop()
        await asyncio.gather(*[loop.run_in_executor(pool, abs, number) for number in range(4)])
        print('ready', flush=True)
        await asyncio.sleep(600)
asyncio.run(main())
";
    let event = "
import multiprocessing, threading, time
multiprocessing.get_context('fork').Process(target=threading.Event().wait).start()
print('ready', flush=True)
time.sleep(600)
";
    // Its handler of SIGTERM sets the event for which all wait.
    let stops = "
import multiprocessing, signal
context = multiprocessing.get_context('fork')
stop = context.Event()
signal.signal(signal.SIGTERM, lambda *_: stop.set())
for _ in range(2):
    context.Process(target=stop.wait).start()
print('ready', flush=True)
stop.wait()
";
    at_a_time(3, pythons(), |python| {
        Stage::python(&python, executor).is_healthy();
        Stage::python(&python, event).is_healthy();
        Stage::python(&python, stops).is_healthy();
        let never = stops.replace("signal.signal", "#");
        Stage::python(&python, &never).has_problem("semaphore_abandoned");
    });
}

#[test]
fn a_handler_of_a_signal_that_is_a_message_may_end_a_circle() {
    let circle = "
import signal, subprocess, sys
cat = subprocess.Popen(['cat'], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
signal.signal(getattr(signal, sys.argv[1]), lambda *_: cat.stdin.write(b'x'))
print('ready', flush=True)
cat.stdout.read(1)
";
    let with = |python: &Path, signal: &str| Stage::python(python, &circle.replace("sys.argv[1]", &format!("'{signal}'")));
    at_a_time(3, pythons(), |python| {
        with(&python, "SIGUSR1").is_healthy();
        with(&python, "SIGALRM").is_healthy();
        // Every program with an end of its own has this one.
        let problem = with(&python, "SIGTERM").has_problem("process_cycle");
        assert!(problem["advice"].as_str().unwrap().contains("close the write end of the input"), "{problem:#}");
    });
}

#[test]
fn a_shell_between_a_parent_and_its_pipes_hides_no_deadlock() {
    let script = "
import subprocess
child = subprocess.Popen('sort | uniq -c', shell=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
print('ready', flush=True)
child.stdout.read()
";
    at_a_time(3, pythons(), |python| {
        Stage::python(&python, script).has_problem("process_cycle");
        Stage::python(
            &python,
            &script.replace("child.stdout", "child.stdin.close(); child.stdout").replace("sort |", "sleep 600 |"),
        )
        .is_healthy();
    });
}

#[test]
fn a_file_lock_belongs_to_all_that_share_its_open_file() {
    let directory = tempfile::tempdir().unwrap();
    let script = |second: &str| {
        format!(
            "cd {}
( flock 8; sleep .3; flock {second}; sleep 600 ) 8>a 9>>b &
( flock 9; sleep .3; flock 8; sleep 600 ) 9>b 8>>a &
echo ready
wait",
            directory.path().display()
        )
    };
    let crosswise = Stage::start(Command::new("bash").args(["-c", &script("9")]));
    let problem = crosswise.has_problem("file_lock_cycle");
    let text = problem.to_string();
    assert!(text.contains("share its open file") && text.contains("in the same order"), "{problem:#}");
    drop(crosswise);
    Stage::start(Command::new("bash").args(["-c", &script("8")])).is_healthy();
}

#[test]
fn children_that_are_waited_for_one_after_the_other_are_reaped_in_their_turn() {
    let script = "
import os, sys, time
children = []
for seconds in (600, 0, 0, 0):
    child = os.fork()
    if child == 0:
        time.sleep(seconds)
        os._exit(0)
    children.append(child)
print('ready', flush=True)
for child in children:
    os.waitpid(child, 0)
";
    let none_waits = script.replace("    os.waitpid(child, 0)", "    time.sleep(600)");
    let python = pythons().remove(0);
    let (_, found) = Stage::python(&python, script).problems("5");
    assert!(!found.to_string().contains("\"zombies\""), "{found:#}");
    Stage::python(&python, &none_waits).has_finding("zombies");
}

#[test]
fn a_chain_leads_to_a_writer_that_only_sleeps() {
    let stage = Stage::start(Command::new("bash").args(["-c", "echo ready; sleep 600 | cat"]));
    stage.is_healthy();
    let why = stage.why();
    assert_eq!(why["verdict"], "can_go_on", "{why:#}");
    assert!(why["end"].as_str().unwrap().contains("sleep can go on: nanosleep"), "{why:#}");
}
