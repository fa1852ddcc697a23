//! The lab from scripts: every system of the talk is listed, and each run is one JSON object with its costs.
use std::process::{Command, Output};

use serde_json::Value;

fn concmon(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_concmon")).args(args).output().unwrap()
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&output.stderr)))
}

/// The talk's systems in its order, and what shows each of them here.
const TALK: &[(&str, &[&str])] = &[
    ("process states and signals", &["native/states"]),
    ("fork, exec", &["native/fork", "native/exec", "python/fork", "python/exec"]),
    ("copy-on-write and the collector", &["native/copy-on-write", "python/copy-on-write"]),
    (
        "start methods",
        &["native/spawn", "native/forkserver", "python/process-fork", "python/process-spawn", "python/process-forkserver"],
    ),
    ("Process: child and parent", &["python/process-fork"]),
    ("Process and Queue", &["native/process-queue", "python/process-queue"]),
    ("ProcessPoolExecutor.submit", &["python/process-pool-submit"]),
    ("ProcessPoolExecutor.map, single thread", &["native/process-pool", "python/process-pool-executor", "python/sequential"]),
    ("mpire", &["python/mpire"]),
    ("ThreadPoolExecutor.map", &["native/thread-pool", "python/thread-pool-executor"]),
    ("the GIL", &["python/gil-threads"]),
    (
        "no obstacle: files, C code, sleep",
        &[
            "python/aiofiles",
            "python/asyncio-files",
            "python/numpy-threads",
            "python/hash-threads",
            "python/sleep-threads",
            "native/sleep-threads",
        ],
    ),
    ("no GIL, Django", &["python/no-gil-threads", "python/django"]),
    ("sub-interpreters", &["python/interpreters", "python/interpreter-pool-executor"]),
    ("asyncio", &["python/asyncio", "native/event-loop", "native/tokio-current", "native/tokio-multi"]),
    ("raw socket and aiohttp", &["native/socket-blocking", "python/socket-blocking", "python/aiohttp"]),
    (
        "non-blocking and selector",
        &["native/socket-nonblocking", "native/socket-epoll", "python/socket-nonblocking", "python/selectors"],
    ),
    (
        "blocked event loop",
        &["native/blocked-loop", "native/blocked-loop-cured", "python/blocked-loop", "python/blocked-loop-cured"],
    ),
    ("async against threads", &["native/async-vs-threads", "python/async-vs-threads"]),
    ("gevent", &["python/gevent"]),
    ("uvloop", &["python/uvloop-echo", "python/asyncio-echo"]),
    ("AnyIO", &["python/anyio-asyncio", "python/anyio-trio"]),
];

#[test]
fn every_system_of_the_talk_is_listed() {
    let list = json(&concmon(&["lab", "list", "--json"]));
    assert_eq!(list["schema"], "concmon.lab.list/1");
    let systems = list["systems"].as_array().unwrap();
    assert_eq!(TALK.len(), 22);
    for (row, ids) in TALK {
        for id in *ids {
            let system = systems.iter().find(|s| s["id"] == *id).unwrap_or_else(|| panic!("{row}: {id} is not listed"));
            let available = system["available"].as_bool().unwrap();
            assert_eq!(system["why_not"].is_null(), available, "{id}: one that cannot run says why");
        }
    }
}

#[test]
fn every_run_is_one_json_object_with_what_it_cost() {
    let list = json(&concmon(&["lab", "list", "--json"]));
    for system in list["systems"].as_array().unwrap() {
        let id = system["id"].as_str().unwrap();
        if !system["available"].as_bool().unwrap() {
            loudly!("SKIPPED {}", system["why_not"].as_str().unwrap());
            continue;
        }
        let mut args = vec!["lab", "run", id, "--json", "--no-setup"];
        if id == "native/states" {
            // Its states are there to be looked at for as long as it is let.
            args.extend(["--hold-ms", "1"]);
        }
        let output = concmon(&args);
        assert_eq!(output.status.code(), Some(0), "{id}: {}", String::from_utf8_lossy(&output.stdout));
        let document = json(&output);
        assert_eq!(document["schema"], "concmon.lab.run/1");
        let run = &document["runs"][0];
        assert_eq!(run["outcome"], "done", "{id}: {run}");
        for figure in
            ["wall_ns", "user_ns", "sys_ns", "peak_rss_bytes", "voluntary_switches", "involuntary_switches", "minor_faults"]
        {
            assert!(run[figure].is_u64(), "{id}: {figure} is {}", run[figure]);
        }
        // Where the root does the work itself, nothing is created.
        let created = run["workers"].as_array().unwrap().iter().any(|w| w["how"] != "inline");
        assert_eq!(run["creation_summary_ns"]["median"].is_number(), created, "{id}: {}", run["creation_summary_ns"]);
        let unmet: Vec<&Value> = run["shape"].as_array().unwrap().iter().filter(|c| c["met"] == false).collect();
        assert!(unmet.is_empty(), "{id}: {unmet:?}");
    }
}

#[test]
fn what_cannot_run_here_is_listed_with_the_reason_and_the_way_out() {
    // Nowhere is there a Python.
    let empty = tempfile::tempdir().unwrap();
    let bare = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_concmon"));
        command.args(args).env_clear().env("PATH", empty.path()).env("HOME", empty.path()).output().unwrap()
    };
    let list = json(&bare(&["lab", "list", "--json"]));
    let python = list["systems"].as_array().unwrap().iter().find(|s| s["id"] == "python/fork").unwrap();
    assert_eq!(python["available"], false);
    assert!(python["why_not"].as_str().unwrap().contains("install python3"), "{}", python["why_not"]);
    let run = bare(&["lab", "run", "python/fork"]);
    assert_eq!(run.status.code(), Some(3));
    let said = String::from_utf8_lossy(&run.stderr).into_owned();
    assert!(said.contains("none was found") && said.lines().count() == 1, "{said}");
    let native = bare(&["lab", "run", "native/fork"]);
    assert_eq!(native.status.code(), Some(0), "native systems need no Python: {}", String::from_utf8_lossy(&native.stderr));
    let doctor = bare(&["lab", "doctor"]);
    assert!(String::from_utf8_lossy(&doctor.stdout).contains("No suitable Python interpreter"), "{doctor:?}");
}
