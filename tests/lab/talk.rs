//! The lab from scripts: every system of the talk is listed, and each run is one JSON object with its costs.
use std::process::{Command, Output};

use concmon::lab::catalog::python_program;
use concmon::lab::talk::TOPICS;
use serde_json::Value;

fn concmon(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_concmon")).args(args).output().unwrap()
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&output.stderr)))
}

#[test]
fn every_system_of_the_talk_is_listed() {
    let list = json(&concmon(&["lab", "list", "--json"]));
    assert_eq!(list["schema"], "concmon.lab.list/1");
    let systems = list["systems"].as_array().unwrap();
    for topic in TOPICS {
        for id in topic.systems {
            let found = systems.iter().find(|s| s["id"] == *id);
            let system = found.unwrap_or_else(|| panic!("{}: {id} is not listed", topic.title));
            let available = system["available"].as_bool().unwrap();
            assert_eq!(system["why_not"].is_null(), available, "{id}: one that cannot run says why");
        }
    }
}

/// The rows of `lab talk`, one for each claim of each topic, whether or not this machine can try it: here there is no Python
/// anywhere, so that it does not take long.
#[test]
fn every_topic_of_the_talk_has_its_rows() {
    let empty = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_concmon"));
    command.args(["lab", "talk", "--json", "--no-setup", "--repeat", "1"]);
    let output = command.env_clear().env("PATH", empty.path()).env("HOME", empty.path()).output().unwrap();
    let talk = json(&output);
    let rows: Vec<&str> = talk["findings"].as_array().unwrap().iter().map(|f| f["claim"].as_str().unwrap()).collect();
    let wanted: Vec<&str> = TOPICS.iter().flat_map(|topic| topic.claims).copied().collect();
    let missing: Vec<&&str> = wanted.iter().filter(|id| !rows.contains(id)).collect();
    assert!(missing.is_empty() && rows.len() == wanted.len(), "without a row: {missing:?}; rows: {rows:?}");
    assert_eq!((1..=22).find(|part| !TOPICS.iter().any(|t| t.part == *part)), None, "each part of the talk has a topic");
    for finding in talk["findings"].as_array().unwrap().iter().filter(|f| f["arms"].as_array().unwrap().is_empty()) {
        assert!(!finding["why"].as_str().unwrap().is_empty(), "what was not measured says why: {finding}");
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
        if python_program(id).is_some_and(|program| program.cluster) {
            loudly!("SKIPPED {id}: it needs a cluster, which the tests of cluster.rs start");
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
