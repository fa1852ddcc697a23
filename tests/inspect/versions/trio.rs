//! The tasks of trio are those that the program itself reports, in the interpreters that have trio.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use concmon::snapshot::{AsyncState, AsyncTask, Asyncio, LoopTurn};
use serde_json::Value;

use super::Target;
use super::greenlets::{json, pythons_with, read_whole};

/// Tasks in nurseries within each other, and one that reports name, coroutines and parent of all others, then blocks if it is asked to.
const PROGRAM: &str = "
import trio
def chain(awaited):
    found = []
    while awaited is not None:
        for kind in 'cr', 'gi', 'ag':
            frame = getattr(awaited, kind + '_frame', None)
            if frame is not None:
                found.append([frame.f_code.co_name, frame.f_code.co_filename, frame.f_lineno])
        for kind in 'cr_await', 'gi_yieldfrom', 'ag_await':
            if hasattr(awaited, kind):
                awaited = getattr(awaited, kind)
                break
        else:
            awaited = None
    return found[::-1]
async def leaf():
    await trio.sleep_forever(
    )
async def sleeper():
    async with trio.open_nursery() as inner:
        inner.start_soon(leaf, name='größe-名')
        with trio.move_on_after(1000):
            await leaf()
async def locked(lock):
    async with lock:
        pass
def report():
    tasks, open_tasks = {}, [trio.lowlevel.current_root_task()]
    while open_tasks:
        task = open_tasks.pop()
        nursery = task.parent_nursery
        tasks[task.name] = {'frames': chain(task.coro), 'above': nursery.parent_task.name if nursery else None}
        open_tasks += [child for nursery in task.child_nurseries for child in nursery.child_tasks]
    print(json.dumps({'tasks': tasks}), flush=True)
def block():
    print(json.dumps({}), flush=True)
    gate.acquire()
async def reporter():
    while True:
        await trio.lowlevel.wait_readable(0)
        line = os.read(0, 100)
        block() if line.strip() else report()
async def main():
    lock = trio.Lock()
    async with trio.open_nursery() as nursery:
        await lock.acquire()
        nursery.start_soon(reporter, name='reporter')
        nursery.start_soon(locked, lock, name='locked')
        for n in range(3):
            nursery.start_soon(sleeper if n == 0 else leaf, name='task-%d' % n)
trio.run(main)
";

type Frame = (String, String, i64);
type Told = BTreeMap<String, (Vec<Frame>, Option<String>)>;

fn frames(task: &AsyncTask) -> Vec<Frame> {
    let one = |frame: &concmon::snapshot::PythonFrame| {
        let name = frame.function.rsplit('.').next().unwrap().to_owned();
        std::iter::repeat_n((name, frame.file.to_string(), frame.line.map_or(-1, i64::from)), frame.times)
    };
    task.frames.iter().flat_map(one).collect()
}

fn by_name(trio: &Asyncio) -> Told {
    let names: BTreeMap<u64, String> = trio.tasks.iter().map(|task| (task.id, task.name.to_string())).collect();
    let above = |task: &AsyncTask| task.awaited_by.first().and_then(|id| names.get(id).cloned());
    trio.tasks.iter().map(|task| (task.name.to_string(), (frames(task), above(task)))).collect()
}

fn reported(told: &Value) -> Told {
    let frame =
        |frame: &Value| (frame[0].as_str().unwrap().into(), frame[1].as_str().unwrap().into(), frame[2].as_i64().unwrap());
    let one = |task: &Value| {
        (task["frames"].as_array().unwrap().iter().map(frame).collect(), task["above"].as_str().map(str::to_owned))
    };
    told["tasks"].as_object().unwrap().iter().map(|(name, task)| (name.clone(), one(task))).collect()
}

/// Reads until what was read is accepted.
fn until_so(pid: i32, accept: impl Fn(&Asyncio) -> Result<(), String>) {
    let until = Instant::now() + Duration::from_secs(60);
    loop {
        let runtime = read_whole(pid);
        let why = runtime.trio.as_ref().map_or_else(|| Err(format!("{:?}", runtime.notes)), &accept);
        let Err(why) = why else { return };
        assert!(Instant::now() < until, "{why}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn tasks_of_trio_are_those_that_the_program_reports() {
    for python in pythons_with("trio") {
        let mut target = Target::start(&python, PROGRAM);
        // Once all tasks wait.
        let until = Instant::now() + Duration::from_secs(60);
        let expected = loop {
            let mut told = reported(&target.ask());
            told.remove("reporter");
            let waits = |(frames, _): &(Vec<Frame>, _)| frames.iter().any(|(function, ..)| function == "wait_task_rescheduled");
            if told.len() == 8 && told.values().all(waits) {
                break told;
            }
            assert!(Instant::now() < until, "{told:?}");
        };
        assert_eq!(expected["größe-名"].1.as_deref(), Some("task-0"), "{expected:?}");
        until_so(target.pid(), |trio| {
            let mut found = by_name(trio);
            let reporter = found.remove("reporter");
            let waits = trio.tasks.iter().all(|task| task.state == AsyncState::Waiting && !task.moved);
            let waits = waits && matches!(&trio.loops[..], [one] if one.turn == LoopTurn::Waits);
            match waits && found == expected && reporter.is_some() && trio.task_count == 9 {
                true => Ok(()),
                false => Err(format!("{}: {trio:?}\nreported: {expected:?}", python.display())),
            }
        });
        assert_eq!(json(target.pid())["trio"]["tasks"].as_array().unwrap().len(), 9);
        target.command("block");
        until_so(target.pid(), |trio| {
            let running: Vec<&AsyncTask> = trio.tasks.iter().filter(|task| task.state == AsyncState::Running).collect();
            let functions: Vec<Vec<Frame>> = running.iter().map(|task| frames(task)).collect();
            let names: Vec<Vec<&str>> = functions.iter().map(|all| all.iter().map(|(name, ..)| &**name).collect()).collect();
            let others = by_name(trio).into_iter().filter(|(name, _)| name != "reporter").collect::<Told>();
            match names == [["block", "reporter"]] && &*running[0].name == "reporter" && others == expected {
                true => Ok(()),
                false => Err(format!("{}: {trio:?}", python.display())),
            }
        });
    }
}

/// Two tasks take two locks crosswise.
const CROSSWISE: &str = "
import trio
async def take(first, second, ready, other):
    async with first:
        ready.set()
        await other.wait()
        async with second:
            pass
async def main():
    a, b, one, two = trio.Lock(), trio.Lock(), trio.Event(), trio.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(take, a, b, one, two)
        nursery.start_soon(take, b, a, two, one)
        await one.wait()
        await two.wait()
        print(json.dumps({}), flush=True)
trio.run(main)
";

/// They rest until a signal ends them, or a timer wakes them.
const AT_REST: [&str; 3] = [
    "
import trio
async def main():
    print(json.dumps({}), flush=True)
    await trio.Event().wait()
trio.run(main)
",
    "
import trio
async def main():
    print(json.dumps({}), flush=True)
    async with trio.open_nursery() as nursery:
        lock = trio.Lock()
        await lock.acquire()
        nursery.start_soon(lock.acquire)
        await trio.sleep(600)
        lock.release()
trio.run(main)
",
    "
import trio
async def serve(stream):
    await stream.receive_some(1)
async def main():
    print(json.dumps({}), flush=True)
    await trio.serve_tcp(serve, 0, host='127.0.0.1')
trio.run(main)
",
];

fn problems(pid: i32) -> (Option<i32>, String) {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_concmon"));
    let output = command.args(["problems", &pid.to_string()]).output().unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn tasks_of_trio_that_nothing_can_wake_are_a_problem_and_those_at_rest_are_none() {
    for python in pythons_with("trio") {
        let mut stuck = Target::start(&python, CROSSWISE);
        stuck.told();
        let until = Instant::now() + Duration::from_secs(60);
        let found = loop {
            let (code, text) = problems(stuck.pid());
            if code == Some(1) {
                break text;
            }
            assert!(Instant::now() < until, "{}: {code:?} {text}", python.display());
        };
        assert!(found.contains("nothing can wake the async tasks") && found.contains("in take() at <string>:"), "{found}");
        let mut why = std::process::Command::new(env!("CARGO_BIN_EXE_concmon"));
        let why = why.args(["why", &stuck.pid().to_string()]).output().unwrap();
        let why = String::from_utf8_lossy(&why.stdout).into_owned();
        assert!(why.contains("the async tasks of its loop cannot go on"), "{why}");
        for script in AT_REST {
            let mut rests = Target::start(&python, script);
            rests.told();
            // It waits in its loop.
            until_so(rests.pid(), |trio| match &trio.loops[..] {
                [one] if one.turn == LoopTurn::Waits => Ok(()),
                loops => Err(format!("{loops:?}")),
            });
            let (code, text) = problems(rests.pid());
            assert_eq!(code, Some(0), "{}: {script}: {text}", python.display());
        }
    }
}
