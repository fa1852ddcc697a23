//! The columns `python`, `gil`, `loop_lag` and `async_tasks` of `concmon ps` are what the program itself reports.

use std::process::Command;
use std::time::{Duration, Instant};

use concmon::clock::monotonic_ns;
use serde_json::Value;

use super::{Target, on_each};

const COLUMNS: &str = "pid,tid,python,gil,loop_lag,async_tasks";

/// The rows of a process and its threads, by TID; `gil` needs two samples.
fn rows(pid: i32, samples: &str, threads: bool) -> Vec<Value> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_concmon"));
    command.args(["ps", "--json", "--columns", COLUMNS, "--samples", samples, "--delay", "1", "--pid", &pid.to_string()]);
    if threads {
        command.arg("--threads");
    }
    let output = command.output().unwrap();
    let value: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
    value["rows"].as_array().unwrap_or_else(|| panic!("{value}")).clone()
}

/// Asks until the rows are so.
fn once(what: &str, pid: i32, samples: &str, threads: bool, so: impl Fn(&[Value]) -> bool) {
    let until = Instant::now() + Duration::from_secs(60);
    loop {
        let rows = rows(pid, samples, threads);
        if so(&rows) {
            return;
        }
        assert!(Instant::now() < until, "{what}: {rows:#?}");
    }
}

fn of(rows: &[Value], tid: &str) -> Value {
    let tid: u64 = tid.parse().unwrap();
    rows.iter().find(|row| row["tid"] == tid).cloned().unwrap_or_default()
}

#[test]
fn every_thread_shows_the_function_in_which_the_program_says_that_it_is() {
    let script = "
import queue
def stand_in_library():
    queue.Queue().get()
begin(2)
begin(1, stand_in_library)
tell(3)
stay()
";
    on_each(9, |python, _| {
        let mut target = Target::start(python, script);
        let (pid, told) = (target.pid(), target.told());
        once(&python.display().to_string(), pid, "1", true, |rows| {
            let threads = told["threads"].as_object().unwrap();
            let others = threads.iter().filter(|(tid, _)| **tid != pid.to_string());
            // The user's own code is that of `-c`: frames of the library are passed over.
            others.into_iter().all(|(tid, thread)| {
                let own = thread["frames"].as_array().unwrap().iter().find(|frame| frame[1] == "<string>").unwrap();
                let wanted = format!("{} <string>:{}", own[0].as_str().unwrap(), own[2]);
                of(rows, tid)["python"] == wanted
            }) && of(rows, &pid.to_string())["python"].as_str().is_some_and(|place| place.starts_with("stay <string>:"))
        });
        // Waits in C and in the kernel hold no GIL; nothing of asyncio is imported.
        once(&python.display().to_string(), pid, "2", false, |rows| {
            let idle = (rows[0]["gil_held_percent"].as_f64(), rows[0]["gil_wanted_percent"].as_f64());
            let has_gil = idle == (Some(0.0), Some(0.0));
            let is_free = python.display().to_string().contains("13t") && idle == (None, None);
            (has_gil || is_free) && rows[0]["loop_lag_ns"].is_null() && rows[0]["async_tasks"].is_null()
        });
    });
}

#[test]
fn a_gil_that_two_threads_compete_for_is_held_and_wanted_nearly_always() {
    let script = "
def stand_busy():
    while True: pass
begin(2, stand_busy)
tell(2)
stay()
";
    on_each(9, |python, _| {
        if python.display().to_string().contains("13t") {
            return;
        }
        let mut target = Target::start(python, script);
        target.told();
        once(&python.display().to_string(), target.pid(), "3", true, |rows| {
            let percent = |row: &Value, key: &str| row[key].as_f64().unwrap_or(-1.0);
            let process = of(rows, &target.pid().to_string());
            let threads = rows.iter().filter(|row| row["python"].as_str().is_some_and(|place| place.starts_with("stand_busy ")));
            let held: f64 =
                threads.clone().filter(|row| row["tid"] != row["pid"]).map(|row| percent(row, "gil_held_percent")).sum();
            // Where the CPUs are busy, a thread that wants the GIL may be waiting for a CPU when it is looked at.
            percent(&process, "gil_held_percent") > 80.0
                && percent(&process, "gil_wanted_percent") > 20.0
                && (percent(&process, "gil_held_percent") - held).abs() < 20.0
        });
    });
}

#[test]
fn tasks_of_asyncio_are_as_many_as_the_program_counts_and_a_blocked_loop_has_its_lag() {
    let script = "
import asyncio
def block():
    print(json.dumps({'end': loop.last}), flush=True)
    gate.acquire()
async def main():
    global loop
    loop = asyncio.get_running_loop()
    note_rounds(loop)
    keep = [asyncio.create_task(asyncio.sleep(600)) for _ in range(40)]
    await asyncio.sleep(0)
    done = asyncio.create_task(asyncio.sleep(0))
    await done
    def command():
        sys.stdin.readline()
        loop.call_soon(block)
    loop.add_reader(0, command)
    print(json.dumps({'tasks': len(asyncio.all_tasks())}), flush=True)
    await loop.create_future()
asyncio.run(main())
";
    on_each(9, |python, _| {
        let mut target = Target::start(python, script);
        let pid = target.pid();
        let tasks = target.told()["tasks"].clone();
        assert_eq!(tasks, 41);
        once(&python.display().to_string(), pid, "1", false, |rows| {
            rows[0]["async_tasks"] == tasks && rows[0]["loop_lag_ns"] == 0
        });
        let end = target.ask()["end"].as_f64().unwrap();
        let since = |end: f64| monotonic_ns() as f64 - end * 1e9;
        once(&python.display().to_string(), pid, "1", false, |_| {
            let before = since(end);
            let row = rows(pid, "1", false).remove(0);
            let (lag, after) = (row["loop_lag_ns"].as_f64().unwrap_or(-1.0), since(end));
            (before - 1e3..=after + 1e3).contains(&lag) && row["python"].as_str().is_some_and(|at| at.starts_with("block "))
        });
    });
}

#[test]
fn what_is_no_python_has_no_such_values_and_says_nothing_wrong() {
    let mut child = Command::new("sleep").arg("600").spawn().unwrap();
    let rows = rows(i32::try_from(child.id()).unwrap(), "2", false);
    let _ = child.kill();
    let _ = child.wait();
    for key in ["python", "gil_held_percent", "gil_wanted_percent", "loop_lag_ns", "async_tasks"] {
        assert!(rows[0].as_object().unwrap().contains_key(key) && rows[0][key].is_null(), "{key}: {}", rows[0]);
    }
}
