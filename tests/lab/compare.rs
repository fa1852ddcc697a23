//! `concmon lab compare` as a program: its output matches its schema, it continues after an interruption, and its ratios are those of the
//! machine.

use std::process::{Command, Output};
use std::time::{Duration, Instant};

use jsonschema::Validator;
use serde_json::Value;

fn compare(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_concmon")).args(["lab", "compare"]).args(args).output().unwrap()
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&output.stderr)))
}

fn schema() -> Validator {
    let schema = serde_json::from_str(include_str!("../../assets/report/compare.schema.json")).unwrap();
    jsonschema::validator_for(&schema).unwrap()
}

/// What of a value is not as the schema says.
fn wrong(schema: &Validator, value: &Value) -> Vec<String> {
    schema.iter_errors(value).map(|e| format!("{}: {e}", e.instance_path())).collect()
}

#[test]
fn json_is_what_the_schema_says() {
    let output = compare(&["native/fork", "native/thread", "--workers", "1,2", "--tasks", "4", "--repeat", "2", "--json"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let value = json(&output);
    let schema = schema();
    let found = wrong(&schema, &value);
    assert!(found.is_empty(), "{found:#?}");
    assert_eq!(value["rows"].as_array().unwrap().len(), 5, "two systems at two numbers of workers, and the sequential run");
    assert_eq!(value["batch"]["points"].as_array().unwrap().len(), 15, "each once to warm up, twice measured");
    assert!(value["curves"].as_array().unwrap().iter().any(|c| c["measure"] == "speed_up" && c["axis"] == "workers"));
    let figure = |row: &Value, id: &str| row["figures"].as_array().unwrap().iter().find(|f| f["measure"] == id).unwrap().clone();
    let fork = value["rows"].as_array().unwrap().iter().find(|r| r["spec"]["system"] == "native/fork").unwrap();
    for known in
        ["wall_ns", "creation_ns", "cpu_ns", "speed_up", "first_task_ns", "run_delay_ns", "worker_uss_bytes", "teardown_ns"]
    {
        assert!(figure(fork, known)["spread"]["median"].as_f64().is_some_and(|m| m >= 0.0), "{known}: {}", figure(fork, known));
    }
    assert_eq!(figure(fork, "sent_bytes")["spread"]["max"], 0.0, "its results are in shared memory");
    let thread = value["rows"].as_array().unwrap().iter().find(|r| r["spec"]["system"] == "native/thread").unwrap();
    let unknown = figure(thread, "sent_bytes");
    assert!(unknown["spread"].is_null() && unknown["unknown"].as_str().is_some_and(|why| why.contains("share one memory")));
    // The schema does say something.
    let mut broken = value.clone();
    broken["rows"][0]["runs"] = "two".into();
    broken["surplus"] = 1.into();
    broken["batch"]["points"][0].as_object_mut().unwrap().remove("wall_ns");
    assert_eq!(wrong(&schema, &broken).len(), 3, "{:#?}", wrong(&schema, &broken));
}

#[test]
fn a_comparison_that_is_kept_goes_on_where_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("kept.json");
    let args = |repeat: &'static str| {
        let mut args = ["native/fork", "native/spawn", "--workers", "1", "--tasks", "2", "--json", "--repeat", repeat]
            .map(str::to_owned)
            .to_vec();
        args.extend(["--out".to_owned(), file.to_str().unwrap().to_owned()]);
        args
    };
    let run = |args: &[String]| compare(&args.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(run(&args("2")).status.success());
    let mut kept: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    let points = kept["batch"]["points"].as_array_mut().unwrap();
    assert_eq!(points.len(), 9);
    // As if it had been interrupted after four runs, of which the first has a time that identifies it.
    points.truncate(4);
    points[0]["wall_ns"] = 123_456_789.into();
    std::fs::write(&file, kept.to_string()).unwrap();
    let again = json(&run(&args("2")));
    assert_eq!(again["complete"], true);
    assert_eq!(again["batch"]["points"].as_array().unwrap().len(), 9);
    assert_eq!(again["batch"]["points"][0]["wall_ns"], 123_456_789);
    let other = run(&args("3"));
    assert_eq!(other.status.code(), Some(2), "other options are not mixed in");
    assert!(String::from_utf8_lossy(&other.stderr).contains("other options"));
    std::fs::write(&file, "{\"schema\":\"theirs\"}").unwrap();
    assert_eq!(run(&args("2")).status.code(), Some(2));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "{\"schema\":\"theirs\"}", "what is not ours is left as it was");
}

#[test]
fn bad_usage_is_one_sentence() {
    for (args, says) in [
        (&["native/frok", "native/fork"][..], "did you mean native/fork"),
        (&["native/fork", "--sort", "speed"], "speed_up"),
        (&["native/fork", "--task", "factorial", "--task-size", "1,2"], "no size"),
        (&["native/fork", "--task", "file", "--task-ms", "1"], "--task-size"),
        (&["native/fork", "--workers", "0"], "at least 1 worker"),
    ] {
        let output = compare(args);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{args:?}: {said}");
        assert!(said.contains(says) && said.lines().count() == 1, "{args:?}: {said}");
    }
}

#[test]
fn a_file_that_cannot_be_written_is_refused_before_anything_runs() {
    for option in ["--html", "--out"] {
        let begun = Instant::now();
        // So many rounds would take minutes.
        let output = compare(&["native/fork", "native/spawn", "--repeat", "1000", option, "/nonexist/x.html"]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains("there is no directory /nonexist") && said.lines().count() == 1, "{said}");
        assert!(output.stdout.is_empty() && begun.elapsed() < Duration::from_secs(20), "nothing has run");
    }
}

/// The median of a measure of a system, and whether others used the machine while it was made.
fn median(value: &Value, system: &str, id: &str) -> (f64, bool) {
    let row = value["rows"].as_array().unwrap().iter().find(|r| r["spec"]["system"] == system).unwrap();
    let noisy = value["rows"].as_array().unwrap().iter().flat_map(|r| r["advice"].as_array().unwrap());
    let noisy = noisy.clone().any(|a| a["kind"] == "noisy_machine" || a["kind"] == "contended");
    let figure = row["figures"].as_array().unwrap().iter().find(|f| f["measure"] == id).unwrap();
    (figure["spread"]["median"].as_f64().unwrap(), noisy)
}

fn speed_up(system: &str, task: &str, tasks: &str, least: f64, most: f64) {
    if std::thread::available_parallelism().unwrap().get() < 2 {
        eprintln!("SKIPPED: two CPUs are needed to see a speed-up");
        return;
    }
    // Others can only disturb: where they did, it is measured again.
    let (mut seen, mut noisy) = (0.0, false);
    for _ in 0..4 {
        let output = compare(&[system, "--task", task, "--tasks", tasks, "--workers", "2", "--repeat", "5", "--json"]);
        if output.status.code() == Some(3) {
            eprintln!("SKIPPED: {}", String::from_utf8_lossy(&output.stderr));
            return;
        }
        (seen, noisy) = median(&json(&output), system, "speed_up");
        if (least..=most).contains(&seen) {
            return;
        }
    }
    if noisy {
        eprintln!(
            "SKIPPED: others use the CPUs: {system} gained {seen:.2}x, to be judged on a quiet machine ({least} to {most})"
        );
        return;
    }
    assert!((least..=most).contains(&seen), "{system}: {seen:.2}x, wanted {least} to {most}");
}

#[test]
fn two_processes_on_two_cpus_do_cpu_work_almost_twice_as_fast() {
    speed_up("native/process-pool", "pi:4000", "4", 1.6, 2.05);
    speed_up("python/process-pool-executor", "pi:2500", "4", 1.6, 2.05);
}

#[test]
fn threads_under_the_gil_gain_nothing() {
    speed_up("python/thread-pool-executor", "pi:1500", "4", 0.7, 1.2);
}

#[test]
fn sleeping_scales_with_the_workers_however_busy_the_machine_is() {
    // Eight sleeps of 150 ms: sleeping needs no CPU, so this holds with others about; half of the ideal is left to them.
    let output =
        compare(&["native/thread-pool", "--task", "sleep:150", "--tasks", "8", "--workers", "4", "--repeat", "3", "--json"]);
    let (seen, _) = median(&json(&output), "native/thread-pool", "speed_up");
    assert!((2.0..=4.1).contains(&seen), "{seen:.2}x");
}

#[test]
fn fork_grows_with_the_parent_and_forkserver_does_not() {
    let args = [
        "native/fork",
        "native/forkserver",
        "--parent-mb",
        "0,1000",
        "--task",
        "none",
        "--tasks",
        "1",
        "--workers",
        "4",
        "--repeat",
        "5",
        "--json",
    ];
    // Others can only disturb: where they did, it is measured again.
    let until = Instant::now() + Duration::from_secs(120);
    loop {
        let output = compare(&args);
        if !output.status.success() {
            eprintln!("SKIPPED: {}", String::from_utf8_lossy(&output.stderr));
            return;
        }
        let (fork, server) = growth(&json(&output));
        if fork >= 20.0 && (0.5..=2.0).contains(&server) {
            return;
        }
        assert!(Instant::now() < until, "from 0 to 1,000 MB fork grew {fork:.1} times, forkserver {server:.2} times");
    }
}

/// How many times as long a creation takes with 1,000 MB in the parent: by fork, and by a fork server.
fn growth(value: &Value) -> (f64, f64) {
    let lowest = |system: &str, mb: u64| {
        let points = value["batch"]["points"].as_array().unwrap();
        let cells = value["batch"]["plan"]["cells"].as_array().unwrap();
        let own = points.iter().filter(|p| {
            let spec = &cells[usize::try_from(p["cell"].as_u64().unwrap()).unwrap()]["spec"];
            p["warm_up"] == false && spec["system"] == system && spec["parent_mb"] == mb
        });
        // Others can only make a creation slower: the lowest quartile of the points is what it costs with the least of them.
        let mut ns: Vec<u64> =
            own.flat_map(|p| p["creation_ns"].as_array().unwrap().clone()).map(|n| n.as_u64().unwrap()).collect();
        ns.sort_unstable();
        ns[ns.len() / 4] as f64
    };
    let grown = |system: &str| lowest(system, 1000) / lowest(system, 0);
    (grown("native/fork"), grown("native/forkserver"))
}
