//! `concmon trace`: the lanes have the CPU time that the kernel charged, and files that their viewers decode.

use std::collections::BTreeMap;
use std::process::{Command, Output};

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

/// Processes and threads that compete for two CPUs, and sleep. perf chooses events by the name of a task, which threads get from `threading`
/// since 3.14. They rest first, until every task was looked at.
const COMPETING: &str = "
import os, threading, time
def work():
    with open('/proc/thread-self/comm', 'w') as comm: comm.write('laned')
    time.sleep(1)
    for _ in range(10):
        until = time.thread_time() + 0.05
        while time.thread_time() < until: pass
        time.sleep(0.005)
    time.sleep(0.3)
with open('/proc/self/comm', 'w') as comm: comm.write('laned')
os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:2])
children = []
for n in range(4):
    child = os.fork()
    if child == 0:
        other = threading.Thread(target=work)
        if n == 0: other.start()
        work()
        if n == 0: other.join()
        os._exit(0)
    children.append(child)
for child in children: os.waitpid(child, 0)
";

/// Microseconds on a CPU and waiting for one, by TID.
type Times = BTreeMap<i64, (f64, f64)>;

/// The times in the scheduler's events, which `perf script` prints.
fn times_of_events(text: &str) -> Times {
    let (mut times, mut on, mut ready) = (Times::new(), BTreeMap::new(), BTreeMap::new());
    for line in text.lines() {
        let (time, event) = line.trim().split_once(": ").unwrap_or_else(|| panic!("{line}"));
        let now_us = time.parse::<f64>().unwrap() * 1e6;
        let field = |key: &str| event.split_once(key).map(|(_, rest)| rest.split_whitespace().next().unwrap());
        let tid = |key: &str| field(key).map(|number| number.parse::<i64>().unwrap());
        let (Some(before), Some(next)) = (tid("prev_pid="), tid("next_pid=")) else {
            ready.entry(tid(" pid=").unwrap()).or_insert(now_us);
            continue;
        };
        if let Some(since) = on.remove(&before) {
            times.entry(before).or_default().0 += now_us - since;
        }
        if field("prev_state=").unwrap().starts_with('R') {
            ready.insert(before, now_us);
        }
        if let Some(since) = ready.remove(&next) {
            times.entry(next).or_default().1 += now_us - since;
        }
        on.insert(next, now_us);
    }
    times
}

fn perf(arguments: &[&str]) -> std::io::Result<Output> {
    Command::new("perf").args(arguments).output()
}

/// One run, as perf and concmon saw it.
fn seen_by_both(place: &std::path::Path) -> (Times, Times) {
    let python = interpreters(&super::common::named()).interpreters[0].path.clone();
    let (events, file) = (place.join("events"), place.join("trace.json"));
    let (events, file) = (events.to_str().unwrap(), file.to_str().unwrap());
    let mut recording = vec!["record", "-q", "-a", "-m", "1024", "-o", events];
    let switches = "prev_comm == \"laned\" || next_comm == \"laned\"";
    let wakeups = ["sched:sched_wakeup", "sched:sched_wakeup_new"].map(|event| (event, "comm == \"laned\""));
    for (event, filter) in [("sched:sched_switch", switches)].into_iter().chain(wakeups) {
        recording.extend(["-e", event, "--filter", filter]);
    }
    recording.extend(["--", env!("CARGO_BIN_EXE_concmon"), "trace", "-o", file, "--", python.to_str().unwrap(), "-c", COMPETING]);
    let output = perf(&recording).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let script = perf(&["script", "--ns", "-F", "time,event,trace", "-i", events]).unwrap();
    let value: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    let mut ours = Times::new();
    for slice in value["traceEvents"].as_array().unwrap().iter().filter(|event| event["ph"] == "X") {
        let times = ours.entry(slice["tid"].as_i64().unwrap()).or_default();
        match slice["cat"].as_str().unwrap() {
            "run" => times.0 += slice["dur"].as_f64().unwrap(),
            "ready" => times.1 += slice["dur"].as_f64().unwrap(),
            _ => {}
        }
    }
    (times_of_events(&String::from_utf8_lossy(&script.stdout)), ours)
}

/// perf records the events that `perf sched` uses, of these tasks only: of all tasks it would write hundreds of megabytes.
#[test]
fn lanes_have_the_times_of_perf_on_a_cpu_and_waiting_for_one() {
    if super::common::no_python() {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let tried = perf(&["record", "-q", "-a", "-e", "sched:sched_switch", "-o", "/dev/null", "--", "true"]);
    let why = match &tried {
        Ok(output) if output.status.success() => None,
        Ok(output) => Some(String::from_utf8_lossy(&output.stderr).trim().replace('\n', " ")),
        Err(error) => Some(error.to_string()),
    };
    if let Some(why) = why {
        return loudly!("SKIPPED: perf cannot record the scheduler's events here: {why}");
    }
    let mut wrong = Vec::new();
    // Time that interrupts and the hypervisor take is the task's for perf and not for the kernel: on a busy machine it is measured again.
    for _ in 0..3 {
        let (theirs, ours) = seen_by_both(place.path());
        let compared: Vec<_> = theirs.iter().filter(|(tid, times)| times.0 > 300e3 && ours.contains_key(tid)).collect();
        assert_eq!(compared.len(), 5, "{theirs:?}, read {ours:?}");
        wrong.clear();
        for (tid, (run, ready)) in compared {
            let (our_run, our_ready) = ours[tid];
            let line = format!(
                "task {tid}: on a CPU {run:.0} and {our_run:.0} us, waits {ready:.0} and {our_ready:.0} us (perf, concmon)"
            );
            loudly!("{line}");
            assert!(*ready > 200e3, "{line}: five tasks compete for two CPUs");
            if (our_run - run).abs() > run * 0.05 || (our_ready - ready).abs() > ready * 0.1 {
                wrong.push(line);
            }
        }
        if wrong.is_empty() {
            return;
        }
    }
    panic!("{wrong:?}");
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
tracks, open_, sums, processes, others, rss = {}, {}, {}, set(), {}, []
for packet in trace.packet:
    assert packet.trusted_packet_sequence_id == 1
    if packet.HasField('track_descriptor'):
        d = packet.track_descriptor
        if d.HasField('process'): processes.add((d.uuid, d.process.pid, d.process.process_name))
        elif d.HasField('thread'): tracks[d.uuid] = (d.thread.pid, d.thread.tid, d.thread.thread_name, d.parent_uuid)
        else: others[d.uuid] = (d.name, d.parent_uuid)
    else:
        e = packet.track_event
        assert e.track_uuid in tracks or e.track_uuid in others
        if e.type == TrackEvent.TYPE_COUNTER:
            assert others[e.track_uuid][0] == 'RSS'
            rss.append(e.counter_value)
        elif e.type == TrackEvent.TYPE_SLICE_BEGIN:
            assert e.track_uuid not in open_
            open_[e.track_uuid] = (packet.timestamp, e.categories[0])
        else:
            begin, category = open_.pop(e.track_uuid)
            sums[category] = sums.get(category, 0) + packet.timestamp - begin
assert not open_ and len(tracks) >= 4
assert {t[3] for t in tracks.values()} == {p[0] for p in processes}
assert all(parent in tracks or parent in {p[0] for p in processes} for _, parent in others.values())
assert {name for name, _ in others.values()} >= {'RSS', 'GIL', 'function, sampled'}, others
assert len(rss) > 4 and rss[0] > 1 << 20, rss
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

/// Two threads compute and take turns at the GIL, one rests; the program prints how much CPU time each of both has used.
const TURNS: &str = "
import threading, time
def crunch():
    until = time.monotonic() + 2.5
    while time.monotonic() < until: sum(range(200))
def rest():
    time.sleep(2.5)
threads = [threading.Thread(target=crunch, name='turn-1'), threading.Thread(target=crunch, name='turn-2'),
           threading.Thread(target=rest, name='rests')]
for thread in threads: thread.start()
for thread in threads: thread.join()
";

#[test]
fn functions_and_the_gil_are_on_the_lanes_of_every_version() {
    let _alone = crate::support::exclusive::busy();
    super::on_each(9, |python, _| {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("trace.json");
        let mut command = Command::new(env!("CARGO_BIN_EXE_concmon"));
        command.args(["trace", "-o"]).arg(&file).arg("--").arg(python).args(["-c", TURNS]);
        let output = command.output().unwrap();
        let report = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{report}");
        let value: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
        let mut names: BTreeMap<i64, &str> = BTreeMap::new();
        // Per row and name, milliseconds.
        let mut times: BTreeMap<(&str, &str, &str), f64> = BTreeMap::new();
        let events = value["traceEvents"].as_array().unwrap();
        for event in events.iter().filter(|event| event["name"] == "thread_name") {
            names.insert(event["tid"].as_i64().unwrap(), event["args"]["name"].as_str().unwrap());
        }
        for event in events.iter().filter(|event| event["ph"] == "X") {
            let text = |field: &str| event[field].as_str().unwrap();
            let row = names[&event["tid"].as_i64().unwrap()];
            let name = if text("cat") == "gil" { "held" } else { text("name") };
            *times.entry((row, text("cat"), name)).or_default() += event["dur"].as_f64().unwrap() / 1000.0;
        }
        let in_function = |thread: &str, function: &str| -> f64 {
            let of = |((row, category, name), _): &(&(&str, &str, &str), &f64)| {
                *category == "function" && row.starts_with(thread) && name.starts_with(function)
            };
            times.iter().filter(of).map(|(_, ms)| ms).sum()
        };
        let asked =
            Command::new(python).args(["-c", "import sysconfig; print(sysconfig.get_config_var('Py_GIL_DISABLED'))"]).output();
        let has_gil = asked.unwrap().stdout != b"1\n";
        let (python, said) = (python.display(), format!("{times:?}\n{report}"));
        for (thread, function) in [("turn-1", "crunch"), ("turn-2", "crunch"), ("rests", "rest")] {
            let (right, all) = (in_function(thread, function), in_function(thread, ""));
            // Torn readings and the time before the runtime is found leave gaps, but nothing is wrong.
            assert!(right > 1_000.0 && right > all * 0.98, "{python}: {thread} {right} of {all}: {said}");
        }
        let blocked = |reason: &str| -> f64 {
            let of = |((row, category, name), _): &(&(&str, &str, &str), &f64)| {
                *category == "blocked" && row.starts_with("turn") && *name == reason
            };
            times.iter().filter(of).map(|(_, ms)| ms).sum()
        };
        let (waited, unnamed) = (blocked("waits for the GIL"), blocked("blocked"));
        let held = times.get(&("GIL", "gil", "held")).copied().unwrap_or(0.0);
        if has_gil {
            // All that both wait for is the GIL, beside a CPU. Where others want the CPUs, the one that asks for it is rarely seen asleep.
            let named = waited > (waited + unnamed) * 0.2;
            assert!(held > 1_500.0 && named, "{python}: held {held} ms, waited {waited} ms, {unnamed}: {said}");
            assert!(report.contains("GIL of process"), "{report}");
        } else {
            assert_eq!((held, waited), (0.0, 0.0), "{python}: {said}");
        }
    });
}

#[test]
fn bad_usage_is_said() {
    let ask = |arguments: &[&str]| Command::new(env!("CARGO_BIN_EXE_concmon")).arg("trace").args(arguments).output().unwrap();
    assert_eq!(ask(&[]).status.code(), Some(2));
    assert_eq!(ask(&["1", "-o", "/tmp/x.txt"]).status.code(), Some(2));
    assert_eq!(ask(&["2147483647"]).status.code(), Some(1));
    assert_eq!(ask(&["--", "/no/such/program"]).status.code(), Some(1));
}
