//! The tasks and loops of asyncio are those that the program itself reports, and that `python3.14 -m asyncio` prints.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use concmon::clock::monotonic_ns;
use concmon::kernel::DetailReader;
use concmon::lab::python::interpreters;
use concmon::snapshot::{AsyncState, AsyncTask, Asyncio, LoopTurn};
use serde_json::Value;

use super::{Target, common, on_each, read};

/// Tasks that await each other in every way that is known, and one that reports all of them: name, coroutines with lines, and by which tasks
/// each is awaited. `sys.argv` is not used: a line of input lets it block, spin or end.
const PROGRAM: &str = "
import asyncio
async def leaf(future):
    await future
async def mid(future):
    await leaf(
        future)
async def worker(future):
    await mid(future)
async def numbers(future):
    await future
    yield 1
async def over_numbers(future):
    async for number in numbers(future):
        pass
async def group(future):
    if not hasattr(asyncio, 'TaskGroup'):
        return await asyncio.gather(*[asyncio.create_task(worker(future), name='in-group-%d' % n) for n in range(3)])
    async with asyncio.TaskGroup() as group:
        for n in range(3):
            group.create_task(worker(future), name='in-group-%d' % n)
async def gather(future):
    await asyncio.gather(*[asyncio.create_task(worker(future), name='gathered-%d' % n) for n in range(2)])
async def wait(future):
    await asyncio.wait([asyncio.create_task(worker(future), name='waited-%d' % n) for n in range(2)])
async def direct(task):
    await task
PARENTS = {'in-group': ['group'], 'gathered': ['gather'], 'waited': ['wait'], 'größe-名': ['direct']}
def chain(awaited):
    found = []
    while awaited is not None:
        for kind in 'cr', 'gi', 'ag':
            frame = getattr(awaited, kind + '_frame', None)
            if frame is not None:
                found.append([frame.f_code.co_name, frame.f_code.co_filename, frame.f_lineno])
        if type(awaited).__name__ == 'async_generator_asend':
            generator = next(g for g in gc.get_referents(awaited) if type(g).__name__ == 'async_generator')
            awaited = generator
            continue
        for kind in 'cr_await', 'gi_yieldfrom', 'ag_await':
            if hasattr(awaited, kind):
                awaited = getattr(awaited, kind)
                break
        else:
            awaited = None
    return found[::-1]
def report():
    tasks = {}
    for task in asyncio.all_tasks():
        name = task.get_name()
        if task is not asyncio.current_task():
            tasks[name] = {'frames': chain(task.get_coro()), 'above': PARENTS.get(name.rsplit('-', 1)[0], PARENTS.get(name, []))}
    print(json.dumps({'tasks': tasks}), flush=True)
def block():
    print(json.dumps({'end': loop.last, 'now': time.monotonic()}), flush=True)
    gate.acquire()
async def main():
    global loop
    loop = asyncio.get_running_loop()
    note_rounds(loop)
    future = loop.create_future()
    keep = [asyncio.create_task(function(future), name=function.__name__) for function in (group, gather, wait, over_numbers)]
    target = asyncio.create_task(worker(future), name='größe-名')
    keep += [target, asyncio.create_task(direct(target), name='direct')]
    never = loop.create_future()
    loop.call_later(0.05, report)
    def command():
        line = sys.stdin.readline().strip()
        loop.call_soon(block if line == 'block' else report)
    loop.add_reader(0, command)
    await never
import gc
asyncio.run(main())
";

type Frame = (String, String, i64);

fn frames(task: &AsyncTask) -> Vec<Frame> {
    let one = |frame: &concmon::snapshot::PythonFrame| {
        let name = frame.function.rsplit('.').next().unwrap().to_owned();
        std::iter::repeat_n((name, frame.file.to_string(), frame.line.map_or(-1, i64::from)), frame.times)
    };
    task.frames.iter().flat_map(one).collect()
}

/// Each task by its name: its coroutines, and the names of the tasks that await it.
fn by_name(asyncio: &Asyncio) -> BTreeMap<String, (Vec<Frame>, BTreeSet<String>)> {
    let names: BTreeMap<u64, String> = asyncio.tasks.iter().map(|task| (task.id, task.name.to_string())).collect();
    let above = |task: &AsyncTask| task.awaited_by.iter().filter_map(|id| names.get(id).cloned()).collect();
    asyncio.tasks.iter().map(|task| (task.name.to_string(), (frames(task), above(task)))).collect()
}

fn reported(told: &Value) -> BTreeMap<String, (Vec<Frame>, BTreeSet<String>)> {
    let frame =
        |frame: &Value| (frame[0].as_str().unwrap().into(), frame[1].as_str().unwrap().into(), frame[2].as_i64().unwrap());
    let tasks = told["tasks"].as_object().unwrap().iter();
    tasks
        .map(|(name, task)| {
            let above = task["above"].as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned());
            (name.clone(), (task["frames"].as_array().unwrap().iter().map(frame).collect(), above.collect()))
        })
        .collect()
}

/// Reads until its loop waits, and it has so many tasks.
fn settled(python: &Path, pid: i32, count: usize) -> Asyncio {
    let until = Instant::now() + Duration::from_secs(60);
    loop {
        let why = match read(pid) {
            Ok(runtime) => match runtime.asyncio {
                Some(asyncio)
                    if asyncio.tasks.len() == count
                        && asyncio.loops.len() == 1
                        && asyncio.loops[0].turn == LoopTurn::Waits
                        && asyncio.tasks.iter().all(|task| task.state == AsyncState::Waiting && !task.moved) =>
                {
                    return asyncio;
                }
                asyncio => format!("{asyncio:?} {:?}", runtime.notes),
            },
            Err(why) => why,
        };
        assert!(Instant::now() < until, "{}: {why}", python.display());
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn tasks_coroutines_and_awaiters_are_those_that_the_program_reports() {
    on_each(9, |python, _| {
        let mut target = Target::start(python, PROGRAM);
        let expected = reported(&target.told());
        assert_eq!(expected.len(), 14);
        let asyncio = settled(python, target.pid(), 14);
        let found = by_name(&asyncio);
        for (name, (frames, above)) in &expected {
            let (read, awaited_by) = &found[name];
            assert_eq!(read, frames, "{}: {name}", python.display());
            assert_eq!(awaited_by, above, "{}: {name}", python.display());
        }
        assert_eq!(asyncio.loops[0].tid, Some(target.pid()));
        let tree = asyncio.tree(asyncio.loops[0].id);
        let depth = |name: &str| tree.iter().find(|row| &*asyncio.tasks[row.task].name == name).unwrap().depth;
        assert_eq!((depth("in-group-1"), depth("group"), tree.len()), (1, 0, 14));
    });
}

/// The truth is the time that the loop took from its clock itself; the reading lies between two looks at the same clock.
#[test]
fn a_blocked_loop_has_its_lag_the_frame_that_blocks_it_and_no_task_but_the_right_one() {
    on_each(9, |python, _| {
        let mut target = Target::start(python, PROGRAM);
        target.told();
        settled(python, target.pid(), 14);
        std::io::Write::write_all(target.child.stdin.as_mut().unwrap(), b"block\n").unwrap();
        let told = target.told();
        let end_ns = (told["end"].as_f64().unwrap() * 1e9) as u64;
        let until = Instant::now() + Duration::from_secs(60);
        loop {
            let before = monotonic_ns();
            let runtime = read(target.pid()).unwrap();
            let after = monotonic_ns();
            let asyncio = runtime.asyncio.unwrap();
            let LoopTurn::Runs { lag_ns, at: Some(at), .. } = &asyncio.loops[0].turn else {
                panic!("{}: {:?}", python.display(), asyncio.loops)
            };
            if &*at.function != "block" {
                assert!(Instant::now() < until, "{}: {at:?}", python.display());
                continue;
            }
            // A float has 53 bits: half a microsecond is more than it loses.
            let (least, most) = (before - end_ns - 500, after - end_ns + 500);
            assert!((least..=most).contains(lag_ns), "{}: {lag_ns} of {least} to {most}", python.display());
            assert!(asyncio.tasks.iter().all(|task| task.state != AsyncState::Running), "a callback of no task");
            // What was read is the truth within the time of the reading: once that is short.
            assert!(Instant::now() < until, "{}: no reading took less than 20 ms", python.display());
            if *lag_ns > 100_000_000 && after - before < 20_000_000 {
                assert!(runtime.finding.starts_with("its event loop has run for "), "{}", runtime.finding);
                assert!(runtime.finding.contains(" without a wait, in block() "), "{}", runtime.finding);
                break;
            }
        }
    });
}

#[test]
fn a_running_task_has_all_frames_of_its_thread_down_to_its_own() {
    let script = "
import asyncio
def inner():
    gate.acquire()
async def outer():
    print('{}', flush=True)
    inner()
async def main():
    await asyncio.create_task(outer(), name='blocker')
asyncio.run(main())
";
    on_each(9, |python, _| {
        let mut target = Target::start(python, script);
        target.told();
        let until = Instant::now() + Duration::from_secs(60);
        loop {
            let asyncio = read(target.pid()).unwrap().asyncio.unwrap();
            let running = asyncio.tasks.iter().find(|task| &*task.name == "blocker").unwrap();
            assert_eq!(running.state, AsyncState::Running, "{}", python.display());
            let names: Vec<String> = frames(running).into_iter().map(|frame| frame.0).collect();
            if names == ["inner", "outer"] && !running.moved {
                let above = asyncio.tasks.iter().find(|task| running.awaited_by == [task.id]).unwrap();
                assert_eq!(frames(above)[0].0, "main");
                break;
            }
            assert!(Instant::now() < until, "{}: {names:?}", python.display());
        }
    });
}

#[test]
fn a_python_without_asyncio_has_none() {
    on_each(9, |python, _| {
        let mut target = Target::start(python, "print('{}', flush=True)\ngate.acquire()\n");
        target.told();
        assert_eq!(read(target.pid()).unwrap().asyncio, None);
    });
}

/// Every way from a root to a leaf of the tree that `pstree` prints, which puts coroutines and tasks in one tree.
fn ways_printed(text: &str) -> BTreeSet<Vec<String>> {
    let mut ways = BTreeSet::new();
    let mut open: Vec<String> = Vec::new();
    let rows: Vec<(usize, String)> = text
        .lines()
        .filter_map(|line| {
            let at = line.chars().position(|c| c == '└' || c == '├')?;
            let label: String = line.chars().skip(at + 4).collect();
            Some((at / 4, label.trim().to_owned()))
        })
        .collect();
    for (at, (depth, label)) in rows.iter().enumerate() {
        open.truncate(*depth);
        open.push(label.clone());
        if rows.get(at + 1).is_none_or(|next| next.0 <= *depth) {
            ways.insert(open.clone());
        }
    }
    ways
}

fn ways_read(asyncio: &Asyncio) -> BTreeSet<Vec<String>> {
    let mut ways = BTreeSet::new();
    let mut open: Vec<String> = Vec::new();
    let mut lengths: Vec<usize> = Vec::new();
    let tree = asyncio.tree(asyncio.loops[0].id);
    for (at, row) in tree.iter().enumerate() {
        let task = &asyncio.tasks[row.task];
        lengths.truncate(row.depth);
        open.truncate(lengths.last().copied().unwrap_or(0));
        open.push(format!("(T) {}", task.name));
        let frames = task.frames.iter().rev();
        open.extend(frames.map(|frame| format!("{} {}:{}", frame.function, frame.file, frame.line.unwrap())));
        lengths.push(open.len());
        if tree.get(at + 1).is_none_or(|next| next.depth <= row.depth) {
            ways.insert(open.clone());
        }
    }
    ways
}

#[test]
fn the_tree_is_that_of_pstree_and_the_list_that_of_ps() {
    let found = interpreters(&common::named());
    let Some(python) = found.interpreters.iter().find(|i| i.version >= (3, 14, 0) && i.version < (3, 15, 0)) else {
        return loudly!("SKIPPED: there is no CPython 3.14 here, whose `-m asyncio pstree` is the reference");
    };
    // A name that is not ASCII is printed as other bytes by `-m asyncio` of 3.14.
    let program = PROGRAM.replace("größe-名", "named");
    let mut target = Target::start(&python.path, &program);
    target.told();
    let asyncio = settled(&python.path, target.pid(), 14);
    let run = |command: &str| {
        let output = Command::new(&python.path).args(["-m", "asyncio", command, &target.pid().to_string()]).output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        output.status.success().then(|| String::from_utf8(output.stdout).unwrap()).ok_or(errors)
    };
    let (tree, list) = match (run("pstree"), run("ps")) {
        (Ok(tree), Ok(list)) => (tree, list),
        (tree, list) => return loudly!("SKIPPED: `-m asyncio` may not read here: {tree:?} {list:?}"),
    };
    assert_eq!(ways_read(&asyncio), ways_printed(&tree), "{tree}");
    let ids: BTreeSet<&str> = list.lines().skip(2).filter_map(|line| line.split_whitespace().nth(1)).collect();
    let read: Vec<String> = asyncio.tasks.iter().map(|task| format!("{:#x}", task.id)).collect();
    assert_eq!(read.iter().map(String::as_str).collect::<BTreeSet<_>>(), ids, "{list}");
}

#[test]
fn a_tree_of_1000_tasks_is_read_quickly() {
    let script = "
import asyncio
async def leaf(future): await future
async def mid(future): await leaf(future)
async def worker(future): await mid(future)
async def parent(future):
    await asyncio.gather(*[asyncio.create_task(worker(future)) for n in range(99)])
async def main():
    future = asyncio.get_running_loop().create_future()
    tasks = [asyncio.create_task(parent(future)) for n in range(10)]
    asyncio.get_running_loop().call_later(0.05, lambda: print('{}', flush=True))
    await asyncio.gather(*tasks)
asyncio.run(main())
";
    on_each(9, |python, _| {
        let mut target = Target::start(python, script);
        target.told();
        let asyncio = settled(python, target.pid(), 1001);
        let deepest = asyncio.tree(asyncio.loops[0].id).iter().map(|row| row.depth).max();
        assert_eq!(deepest, Some(2), "{}", python.display());
        let reader = DetailReader::open("/proc").unwrap();
        let key = reader.key_of(target.pid()).unwrap();
        let mut took: Vec<u64> = (0..20).map(|_| concmon::inspect::read(&reader, key).unwrap().took_ns).collect();
        took.sort_unstable();
        loudly!("{}: 1001 tasks in {:.1} ms (median of 20)", python.display(), took[10] as f64 / 1e6);
        // A build without optimisation is some ten times slower; the fastest says what it costs on a machine that has other work too.
        assert!(took[0] < if cfg!(debug_assertions) { 1_000_000_000 } else { 20_000_000 }, "{took:?}");
    });
}

/// While tasks come, go and change all the time, no task has coroutines that are not one function calling the next.
#[test]
fn tasks_that_change_all_the_time_are_never_mixed_up() {
    let script = "
import asyncio, random
async def c_leaf(): await asyncio.sleep(random.random() * 0.002)
async def b_leaf(): await asyncio.sleep(0)
async def c_mid(): await c_leaf()
async def b_mid(): await b_leaf()
async def c_top():
    await c_mid()
async def b_top():
    await b_mid()
async def family(kind):
    while True:
        tasks = [asyncio.create_task(c_top() if kind == 'c' else b_top(), name=kind) for n in range(20)]
        await asyncio.gather(*tasks)
async def main():
    print('{}', flush=True)
    await asyncio.gather(*[asyncio.create_task(family(kind), name='family') for kind in 'cbcb'])
asyncio.run(main())
";
    on_each(9, |python, _| {
        let mut target = Target::start(python, script);
        target.told();
        let (mut whole, mut moved, mut refused) = (0, 0, 0);
        for _ in 0..60 {
            let Ok(runtime) = read(target.pid()) else { continue };
            let Some(asyncio) = runtime.asyncio else {
                refused += 1;
                continue;
            };
            for task in &asyncio.tasks {
                let kind = &*task.name;
                if !matches!(kind, "c" | "b") {
                    continue;
                }
                if task.moved {
                    moved += 1;
                    continue;
                }
                let names: Vec<String> = frames(task).into_iter().map(|frame| frame.0).collect();
                let is_own = |name: &&str| ["_leaf", "_mid", "_top"].iter().any(|end| name.ends_with(end));
                let own: Vec<&str> = names.iter().map(String::as_str).filter(is_own).collect();
                let expected = [format!("{kind}_leaf"), format!("{kind}_mid"), format!("{kind}_top")];
                assert!(
                    expected.iter().map(String::as_str).collect::<Vec<_>>().ends_with(&own),
                    "{}: {task:?}",
                    python.display()
                );
                whole += 1;
            }
        }
        loudly!("{}: {whole} tasks whole, {moved} that ran on, {refused} of 60 readings refused", python.display());
        assert!(whole > 100, "{}: {whole} {moved} {refused}", python.display());
    });
}
