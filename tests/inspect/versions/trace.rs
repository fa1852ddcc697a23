//! `concmon trace`: the lanes have the CPU time that the kernel charged, and files that their viewers decode.

use std::collections::BTreeMap;
use std::process::Command;

use concmon::lab::python::interpreters;
use serde_json::Value;

/// Two processes of two threads: one computes for a set CPU time, one sleeps. They rest first, until every task was looked at: what runs before
/// the first look is not seen, and where others want the CPUs that look is late.
const PROGRAM: &str = "
import os, sys, threading, time
def spin(seconds):
    until = time.thread_time() + seconds
    while time.thread_time() < until: pass
child = os.fork()
threading.Thread(target=time.sleep, args=(0.8,)).start()
time.sleep(1)
spin(0.5 if child else 0.3)
time.sleep(0.3)
if child: os.waitpid(child, 0)
else: os._exit(0)
";

/// Runs the program under `concmon trace`; what the kernel charged to both, and the events of the Chrome trace.
fn traced(place: &std::path::Path, name: &str) -> String {
    let python = interpreters(&super::common::named()).interpreters[0].path.clone();
    let file = place.join(name);
    let program = format!(
        "{PROGRAM}\nimport resource\nu = [resource.getrusage(w) for w in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]\nprint(sum(x.ru_utime + x.ru_stime for x in u))"
    );
    let output = Command::new(env!("CARGO_BIN_EXE_concmon"))
        .args(["trace", "-o"])
        .arg(&file)
        .arg("--")
        .arg(python)
        .args(["-c", &program])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report = String::from_utf8(output.stderr).unwrap();
    assert!(report.contains("looks: "), "{report}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn lanes_have_the_cpu_time_that_the_kernel_charged() {
    if super::common::no_python() {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let charged_us: f64 = traced(place.path(), "trace.json").trim().parse::<f64>().unwrap() * 1e6;
    let value: Value = serde_json::from_slice(&std::fs::read(place.path().join("trace.json")).unwrap()).unwrap();
    let events = value["traceEvents"].as_array().unwrap();
    let slices = events.iter().filter(|event| event["ph"] == "X");
    let mut sums: BTreeMap<&str, f64> = BTreeMap::new();
    let mut reasons: BTreeMap<&str, f64> = BTreeMap::new();
    let mut lanes = std::collections::BTreeSet::new();
    for slice in slices {
        *sums.entry(slice["cat"].as_str().unwrap()).or_default() += slice["dur"].as_f64().unwrap();
        *reasons.entry(slice["name"].as_str().unwrap()).or_default() += slice["dur"].as_f64().unwrap();
        lanes.insert((slice["pid"].as_i64(), slice["tid"].as_i64()));
    }
    let unseen_us = value["otherData"]["unseen_run_ns"].as_f64().unwrap() / 1000.0;
    let seen_us = sums["run"];
    // What was spent before the first look at a task is said; what the interpreter takes to end after the report is not charged yet.
    assert!((seen_us + unseen_us - charged_us).abs() < charged_us * 0.05, "{seen_us} + {unseen_us} of {charged_us}: {sums:?}");
    // Seven eighths of what the program computes.
    assert!(seen_us > 700_000.0, "{seen_us} of {charged_us}: {sums:?}");
    assert!(lanes.len() >= 4, "{lanes:?}");
    assert!(reasons.get("nanosleep").is_some_and(|us| *us > 800_000.0), "{reasons:?}");
    let other = &value["otherData"];
    let wall: f64 = events.iter().filter_map(|e| Some(e["ts"].as_f64()? + e["dur"].as_f64()?)).fold(0.0, f64::max)
        - events.iter().filter_map(|e| e["ts"].as_f64()).fold(f64::MAX, f64::min);
    let share = other["cost_ns"].as_f64().unwrap() / 1000.0 / wall;
    loudly!("tracing took {:.1} % of a CPU, {} looks", share * 100.0, other["looks"]);
    // A build without optimisation pays more for what is outside of the looks.
    assert!(share < if cfg!(debug_assertions) { 0.1 } else { 0.04 }, "{share}");
}

/// The official messages of Perfetto (Python package `perfetto`) decode the file, with the same sums.
#[test]
fn perfetto_decodes_the_trace_with_the_same_sums() {
    let python = std::env::var_os("CONCMON_TEST_PERFETTO").unwrap_or_else(|| "python3".into());
    let decode = "
import sys
from perfetto.protos.perfetto.trace.perfetto_trace_pb2 import Trace, TrackEvent
trace = Trace()
trace.ParseFromString(open(sys.argv[1], 'rb').read())
tracks, open_, sums, processes, depth = {}, {}, {}, set(), 0
for packet in trace.packet:
    assert packet.trusted_packet_sequence_id == 1
    if packet.HasField('track_descriptor'):
        d = packet.track_descriptor
        if d.HasField('process'): processes.add((d.uuid, d.process.pid, d.process.process_name))
        else: tracks[d.uuid] = (d.thread.pid, d.thread.tid, d.thread.thread_name, d.parent_uuid)
    else:
        e = packet.track_event
        assert e.track_uuid in tracks
        if e.type == TrackEvent.TYPE_SLICE_BEGIN:
            assert e.track_uuid not in open_
            open_[e.track_uuid] = (packet.timestamp, e.categories[0])
        else:
            begin, category = open_.pop(e.track_uuid)
            sums[category] = sums.get(category, 0) + packet.timestamp - begin
assert not open_ and len(tracks) >= 4
assert {t[3] for t in tracks.values()} == {p[0] for p in processes}
print(sums['run'], len(processes))
";
    if !Command::new(&python)
        .args(["-c", "import perfetto.protos.perfetto.trace.perfetto_trace_pb2"])
        .output()
        .unwrap()
        .status
        .success()
    {
        return loudly!(
            "SKIPPED: there is no Python package perfetto here (CONCMON_TEST_PERFETTO may name a Python that has it)"
        );
    }
    if super::common::no_python() {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let charged_ns = traced(place.path(), "trace.pftrace").trim().parse::<f64>().unwrap() * 1e9;
    let output = Command::new(&python).args(["-c", decode]).arg(place.path().join("trace.pftrace")).output().unwrap();
    let told = String::from_utf8(output.stdout).unwrap();
    let mut words = told.split_whitespace().map(|word| word.parse::<f64>().unwrap());
    let run_ns = words.next().unwrap_or_else(|| panic!("{}", String::from_utf8_lossy(&output.stderr)));
    assert_eq!(words.next(), Some(2.0));
    assert!(run_ns > charged_ns * 0.75 && run_ns < charged_ns * 1.05, "{run_ns} of {charged_ns}");
}

#[test]
fn bad_usage_is_said() {
    let ask = |arguments: &[&str]| Command::new(env!("CARGO_BIN_EXE_concmon")).arg("trace").args(arguments).output().unwrap();
    assert_eq!(ask(&[]).status.code(), Some(2));
    assert_eq!(ask(&["1", "-o", "/tmp/x.txt"]).status.code(), Some(2));
    assert_eq!(ask(&["2147483647"]).status.code(), Some(1));
    assert_eq!(ask(&["--", "/no/such/program"]).status.code(), Some(1));
}
