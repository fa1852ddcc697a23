//! Locks of Python whose owner is read from frames, and tasks of asyncio that cannot go on.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use super::{Stage, evidence, pythons};
use crate::support::together::at_a_time;

impl Stage {
    /// No warning in several looks, of a program that may have one thread.
    fn is_calm(&self) {
        let (code, found) = self.problems("4");
        assert_eq!(code, 0, "{:?}: {found:#}", self.0);
        assert_ne!(self.why()["verdict"], "stuck");
    }
}

/// A thread that works beside those that are stuck: the process as a whole goes on.
const BEAT: &str = "
import threading, time
def beat():
    while True: time.sleep(.05)
threading.Thread(target=beat, daemon=True).start()
";

#[test]
fn owners_of_python_locks_are_known_by_their_with_blocks() {
    let join = "
lock, started = threading.Lock(), threading.Event()
def worker():
    started.set()
    with lock: pass
def stop():
    thread = threading.Thread(target=worker)
    with lock:
        thread.start()
        started.wait()
        print('ready', flush=True)
        thread.join()
stop()
";
    let recursive = "
a, b, both = threading.RLock(), threading.RLock(), threading.Barrier(2)
def run(first, second, with_block):
    if with_block:
        with first:
            both.wait()
            with second: pass
    else:
        first.acquire()
        both.wait()
        second.acquire()
threads = [threading.Thread(target=run, args=args) for args in ((a, b, True), (b, a, False))]
for thread in threads: thread.start()
print('ready', flush=True)
for thread in threads: thread.join()
";
    let condition = "
lock, other, both = threading.Lock(), threading.Lock(), threading.Barrier(2)
changed = threading.Condition(lock)
def one():
    with changed:
        both.wait()
        with other: pass
def two():
    with other:
        both.wait()
        with lock: pass
threads = [threading.Thread(target=work) for work in (one, two)]
for thread in threads: thread.start()
print('ready', flush=True)
for thread in threads: thread.join()
";
    at_a_time(3, pythons(), |python| {
        let of = |script: &str| Stage::python(&python, &format!("{BEAT}{script}"));
        let found = of(join).is_found("lock_cycle", 2);
        let words = evidence(&found);
        assert!(words.contains("(join)") && words.contains("(held in stop() at"), "{}: {found:#}", python.display());
        for script in [recursive, condition] {
            let found = of(script).is_found("lock_cycle", 2);
            assert!(evidence(&found).matches("Python lock").count() == 2, "{}: {found:#}", python.display());
        }
    });
}

#[test]
fn a_thread_that_a_module_waits_for_while_it_is_imported() {
    let script = "
import atexit, shutil, sys, tempfile
folder = tempfile.mkdtemp()
module = ['import threading', 'def load():', '    import of_itself', 'thread = threading.Thread(target=load)', 'thread.start()',
    'print(\"ready\", flush=True)', 'thread.join()']
with open(folder + '/of_itself.py', 'w') as file: file.write('\\n'.join(module))
atexit.register(shutil.rmtree, folder)
sys.path.insert(0, folder)
import of_itself
";
    for python in pythons() {
        let found = Stage::python(&python, script).is_found("lock_cycle", 2);
        let words = evidence(&found);
        assert!(words.contains("waits for a module that thread") && words.contains("(join)"), "{}: {found:#}", python.display());
        assert!(found.to_string().contains("while a module is imported"), "{}: {found:#}", python.display());
    }
}

#[test]
fn a_lock_that_a_signal_handler_takes_again_and_semaphores_crosswise() {
    let handler = "
import os, signal, threading, time
lock = threading.Lock()
def handler(*_):
    print('ready', flush=True)
    with lock: pass
signal.signal(signal.SIGUSR1, handler)
def work():
    with lock:
        os.kill(os.getpid(), signal.SIGUSR1)
        time.sleep(600)
work()
";
    let crosswise = "
import multiprocessing
context = multiprocessing.get_context('fork')
a, b, both = context.Lock(), context.Lock(), context.Barrier(2)
def work(first, second):
    with first:
        both.wait()
        with second: pass
workers = [context.Process(target=work, args=args) for args in ((a, b), (b, a))]
for worker in workers: worker.start()
print('ready', flush=True)
for worker in workers: worker.join()
";
    for python in pythons() {
        let found = Stage::python(&python, handler).is_found("self_lock", 1);
        assert!(evidence(&found).contains("held by this thread itself (held in work() at"), "{}: {found:#}", python.display());
        let found = Stage::python(&python, crosswise).is_found("lock_cycle", 2);
        assert!(evidence(&found).contains("held by process"), "{}: {found:#}", python.display());
    }
}

#[test]
fn what_python_threads_wait_for_is_said_with_what_to_do() {
    let queue = "
import queue, threading
jobs = queue.Queue()
def consume():
    while True: jobs.get()
for _ in range(2): threading.Thread(target=consume, daemon=True).start()
jobs.put(1)
print('ready', flush=True)
jobs.join()
";
    let pool = "
from concurrent.futures import ThreadPoolExecutor
pool = ThreadPoolExecutor(1)
def outer(): return pool.submit(abs, 1).result()
future = pool.submit(outer)
print('ready', flush=True)
future.result()
";
    let full = "
import queue, threading
jobs = queue.Queue(1)
def produce():
    while True: jobs.put(1)
producer = threading.Thread(target=produce)
producer.start()
print('ready', flush=True)
producer.join()
";
    let semaphore = "
import threading
places = threading.Semaphore(1)
def work():
    while True: places.acquire()
worker = threading.Thread(target=work)
worker.start()
print('ready', flush=True)
worker.join()
";
    at_a_time(3, pythons(), |python| {
        for (script, tasks, hint) in [
            (queue, 3, "task_done()"),
            (pool, 2, "result() within the pool"),
            (full, 2, "no thread is left that takes an item"),
            (semaphore, 2, "could release the semaphore"),
        ] {
            let found = Stage::python(&python, script).is_found("no_thread_can_go_on", tasks);
            assert!(found["advice"].as_str().unwrap().contains(hint), "{}: {found:#}", python.display());
        }
    });
}

#[test]
fn asyncio_tasks_that_cannot_go_on() {
    let crosswise = "
import asyncio
async def work(first, second, both):
    async with first:
        both.append(first)
        while len(both) < 2: await asyncio.sleep(.01)
        async with second: pass
async def main():
    a, b, both = asyncio.Lock(), asyncio.Lock(), []
    listener = await asyncio.start_server(lambda r, w: None, '127.0.0.1', 0)
    tasks = [asyncio.create_task(work(*args, both), name=name) for name, args in (('forward', (a, b)), ('backward', (b, a)))]
    print('ready', flush=True)
    await asyncio.gather(*tasks)
asyncio.run(main())
";
    let future = "
import asyncio
async def fetch(future): return await future
async def main():
    future = asyncio.get_running_loop().create_future()
    print('ready', flush=True)
    await asyncio.create_task(fetch(future), name='fetch')
asyncio.run(main())
";
    // The workers have ended with an exception.
    let joined = "
import asyncio
async def consume(jobs):
    while True:
        1 / await jobs.get()
        jobs.task_done()
async def main():
    jobs = asyncio.Queue()
    workers = [asyncio.create_task(consume(jobs)) for _ in range(2)]
    for number in (0, 0, 7): jobs.put_nowait(number)
    print('ready', flush=True)
    await jobs.join()
asyncio.run(main())
";
    // The worker forgets task_done(); a server listens.
    let forgotten = "
import asyncio
async def consume(jobs):
    while True: await jobs.get()
async def main():
    jobs = asyncio.PriorityQueue(1)
    server = await asyncio.start_server(lambda r, w: None, '127.0.0.1', 0)
    worker = asyncio.create_task(consume(jobs))
    for number in range(2): await jobs.put(number)
    print('ready', flush=True)
    await asyncio.create_task(jobs.join(), name='all done')
asyncio.run(main())
";
    // Each connection takes an item.
    let served = forgotten.replace("worker = asyncio.create_task(consume(jobs))", "pass").replace("PriorityQueue(1)", "Queue()");
    // Work of an executor waits for more work of that executor.
    let executor = "
import asyncio, concurrent.futures
pool = concurrent.futures.ThreadPoolExecutor(1)
def outer(): return pool.submit(abs, 1).result()
async def main():
    print('ready', flush=True)
    await asyncio.get_running_loop().run_in_executor(pool, outer)
asyncio.run(main())
";
    // Each awaits the other, while a third one runs.
    let awaits = "
import asyncio
async def first():
    await asyncio.sleep(.1)
    await tasks[1]
async def second():
    await asyncio.sleep(.1)
    await tasks[0]
async def beat():
    while True: await asyncio.sleep(.05)
async def main():
    global tasks
    beats = asyncio.create_task(beat())
    tasks = [asyncio.create_task(first(), name='one'), asyncio.create_task(second(), name='two')]
    print('ready', flush=True)
    await asyncio.gather(*tasks)
asyncio.run(main())
";
    // The same as the first while another task of the loop runs.
    let beating = crosswise.replace(
        "async def main():",
        "async def beat():\n    while True: await asyncio.sleep(.05)\nasync def main():\n    beats = asyncio.create_task(beat())",
    );
    at_a_time(3, pythons(), |python| {
        Stage::python(&python, &served).is_healthy();
        for (script, id, words) in [
            (beating.as_str(), "task_cycle", "task forward waits in work() at"),
            (awaits, "task_cycle", "task one waits in first() at"),
            (executor, "tasks_never_wake", "task Task-1 waits in main() at"),
            (crosswise, "task_cycle", "task forward waits in work() at"),
            (future, "tasks_never_wake", "task fetch waits in fetch() at"),
            (joined, "tasks_never_wake", "at join() of an asyncio.Queue, 3 not done"),
            (forgotten, "tasks_never_wake", "task all done waits, at join() of an asyncio.Queue, 2 not done"),
        ] {
            let stage = Stage::python(&python, script);
            let begun = Instant::now();
            // One look is enough; but the tasks are on their way when the program says that it is ready.
            let look = || {
                let (_, found) = stage.look(&[]);
                let findings = found["findings"].as_array().unwrap();
                findings.iter().find(|finding| finding["id"] == id).cloned()
            };
            let finding = loop {
                if let Some(finding) = look() {
                    break finding;
                }
                assert!(begun.elapsed() < Duration::from_secs(60), "{}: {id} was not found", python.display());
            };
            let found = Instant::now();
            assert!(finding["lines"].to_string().contains(words), "{}: {finding:#}", python.display());
            if script == beating || script == awaits {
                continue;
            }
            let why = stage.why();
            assert!(why["end"].as_str().unwrap().contains(words) && why["verdict"] == "stuck", "{}: {why:#}", python.display());
            std::thread::sleep(Duration::from_millis(500));
            // How long the loop has slept; not every kernel keeps it.
            let (since, again) = (found.elapsed(), look().unwrap());
            let known = Path::new("/proc/self/sched").exists();
            assert!(!known || again["for_s"].as_f64().unwrap() >= since.as_secs_f64() - 0.1, "{since:?}: {again:#}");
        }
    });
}

/// Tasks that hand locks to each other more often than they can be read are no cycle.
#[test]
fn locks_that_change_hands_all_the_time_are_no_cycle() {
    let script = "import asyncio
async def client(lock, other):
    while True:
        async with lock: await asyncio.sleep(0)
        async with other: await asyncio.sleep(0.001)
async def main():
    a, b = asyncio.Lock(), asyncio.Lock()
    await asyncio.gather(*(client(*((a, b) if n % 2 else (b, a))) for n in range(6)))
print('ready', flush=True)
asyncio.run(main())";
    at_a_time(2, pythons(), |python| {
        let stage = Stage::python(&python, script);
        let pid = stage.pid().cast_signed();
        let mut surveyor = concmon::why::Surveyor::new().unwrap();
        surveyor.prefer(std::iter::once(pid).collect());
        let mut read = 0;
        let until = Instant::now() + Duration::from_secs(60);
        while read < 20 && Instant::now() < until {
            let survey = surveyor.survey().unwrap();
            let python = survey.facts.processes.get(&pid).and_then(|facts| facts.python.clone());
            read += u32::from(python.is_some());
            assert_eq!(python.and_then(|python| python.stuck_tasks.clone()), None);
        }
        assert!(read >= 5, "{read}");
    });
}

/// Of many Python processes one look reads those first that it was asked about.
#[test]
fn one_look_reads_the_python_that_is_asked_about_before_all_others() {
    let stuck = "import asyncio
async def fetch(future): await future
async def main(): await asyncio.create_task(fetch(asyncio.get_running_loop().create_future()))
print('ready', flush=True)
asyncio.run(main())";
    let resting = "import time\nprint('ready', flush=True)\ntime.sleep(1000)";
    let Some(python) = pythons().into_iter().next() else { return };
    let begin = |script: &str| Stage::python(&python, script);
    // Before and after the others, which are more than one look reads.
    let stages: Vec<Stage> = std::iter::once(stuck).chain([resting; 20]).chain([stuck]).map(begin).collect();
    let (first, last) = (&stages[0], &stages[21]);
    for stage in [first, last] {
        let until = Instant::now() + Duration::from_secs(30);
        let asleep = || std::fs::read_to_string(format!("/proc/{}/wchan", stage.pid())).is_ok_and(|at| at.contains("poll"));
        while !asleep() {
            assert!(Instant::now() < until, "the loop sleeps");
        }
        let (_, found) = stage.look(&[]);
        assert!(found["findings"].to_string().contains("tasks_never_wake"), "{found:#}");
    }
}

#[test]
fn a_program_that_a_known_process_executes_is_looked_at_anew() {
    let directory = tempfile::tempdir().unwrap();
    let go = directory.path().join("go");
    let stuck = "import asyncio
async def work(future): await future
async def main(): await asyncio.create_task(work(asyncio.get_running_loop().create_future()))
asyncio.run(main())";
    for python in pythons() {
        let wait = "echo ready; while [ ! -e \"$0\" ]; do sleep .05; done; exec \"$@\"";
        let stage = Stage::start(Command::new("sh").args(["-c", wait]).arg(&go).arg(&python).args(["-c", stuck]));
        let mut surveyor = concmon::why::Surveyor::new().unwrap();
        surveyor.survey().unwrap();
        std::fs::write(&go, []).unwrap();
        let begun = Instant::now();
        loop {
            let survey = surveyor.survey().unwrap();
            let of = survey.facts.processes.get(&stage.pid().cast_signed()).and_then(|facts| facts.python.as_ref());
            if of.is_some_and(|python| python.stuck_tasks.is_some()) {
                break;
            }
            assert!(begun.elapsed() < Duration::from_secs(60), "{}: {of:?}", python.display());
        }
        std::fs::remove_file(&go).unwrap();
    }
}

#[test]
fn python_locks_that_change_hands_and_tasks_at_rest_are_healthy() {
    let locks = "
import threading, time
lock, recursive = threading.Lock(), threading.RLock()
ready = threading.Condition(lock)
def work():
    while True:
        with recursive:
            with lock: time.sleep(.01)
def wait():
    with ready: ready.wait()
for _ in range(3): threading.Thread(target=work, daemon=True).start()
for _ in range(2): threading.Thread(target=wait, daemon=True).start()
print('ready', flush=True)
threading.Event().wait()
";
    let rests = "
import asyncio
async def consume(jobs):
    while True: await jobs.get()
async def main():
    consumer = asyncio.create_task(consume(asyncio.Queue()))
    print('ready', flush=True)
    await asyncio.Event().wait()
asyncio.run(main())
";
    let timed = "
import asyncio
async def work(first, second):
    while True:
        try:
            async with first:
                await asyncio.sleep(.01)
                await asyncio.wait_for(second.acquire(), 60)
        except TimeoutError: pass
async def main():
    a, b = asyncio.Lock(), asyncio.Lock()
    print('ready', flush=True)
    await asyncio.gather(work(a, b), work(b, a))
asyncio.run(main())
";
    let serves = "
import asyncio
async def consume(jobs):
    while True: await jobs.get()
async def main():
    consumer = asyncio.create_task(consume(asyncio.Queue()))
    server = await asyncio.start_server(lambda r, w: None, '127.0.0.1', 0)
    print('ready', flush=True)
    await server.serve_forever()
asyncio.run(main())
";
    let joins = "
import asyncio
async def consume(jobs, reader):
    while True:
        await jobs.get()
        await reader.read()
        jobs.task_done()
kept = []
async def main():
    server = await asyncio.start_server(lambda r, w: kept.append((r, w)), '127.0.0.1', 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    jobs = asyncio.Queue()
    workers = [asyncio.create_task(consume(jobs, reader)), asyncio.create_task(consume(jobs, reader))]
    jobs.put_nowait(1)
    print('ready', flush=True)
    await jobs.join()
asyncio.run(main())
";
    let pythons = pythons();
    let programs = pythons.iter().flat_map(|python| [locks, rests, timed, serves, joins].map(|script| (python, script)));
    at_a_time(4, programs, |(python, script)| Stage::python(python, script).is_calm());
}
