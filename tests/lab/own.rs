//! Systems of the user's own: a program that the config file describes is listed, run, checked, compared and swept like the built-in ones.

use std::path::PathBuf;
use std::process::{Command, Output};

use serde_json::Value;

/// Three lines, as in docs/lab.md.
const THREE_LINES: &str = "\
[[lab.system]]
id = \"mine\"
command = [\"sh\", \"-c\", \"for i in $(seq {workers}); do sleep 0.3 & done; wait\"]
workers = 2
";

struct Config {
    dir: tempfile::TempDir,
    file: PathBuf,
}

impl Config {
    fn new(text: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("config.toml");
        std::fs::write(&file, text).unwrap();
        Self { dir, file }
    }

    fn lab(&self, args: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_concmon"));
        command.current_dir(self.dir.path()).arg("--config").arg(&self.file).arg("lab").args(args).output().unwrap()
    }

    fn json(&self, args: &[&str]) -> Value {
        let output = self.lab(args);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{args:?}: {e}: {said}"))
    }
}

fn figure(row: &Value, id: &str) -> Value {
    row["figures"].as_array().unwrap().iter().find(|f| f["measure"] == id).unwrap().clone()
}

#[test]
fn three_lines_of_toml_list_run_compare_and_sweep() {
    let config = Config::new(THREE_LINES);
    let list = config.json(&["list", "--json"]);
    let listed = list["systems"].as_array().unwrap().iter().find(|s| s["id"] == "mine").unwrap().clone();
    assert_eq!(
        (&listed["section"], &listed["backend"], &listed["default_workers"]),
        (&"Your own".into(), &"own".into(), &2.into())
    );
    assert!(String::from_utf8_lossy(&config.lab(&["list"]).stdout).contains("Your own\n  mine "));

    let run = config.json(&["run", "mine", "--workers", "3", "--json"]);
    let run = &run["runs"][0];
    assert_eq!(run["outcome"], "done", "{run}");
    // sh, and a sleep for each worker.
    assert_eq!(run["processes"], 4, "{run}");
    let wall_ns = run["wall_ns"].as_u64().unwrap();
    assert!((300_000_000..5_000_000_000).contains(&wall_ns), "{wall_ns}");
    assert!(run["cpu_ns"].as_u64().is_some_and(|ns| ns > 0 && ns < wall_ns), "sleeping costs little: {run}");
    assert!(run["unknown"]["creation_ns"].as_str().is_some_and(|why| why.contains("concmon_lab")), "{run}");

    let alone = config.json(&["run", "mine", "--workers", "1", "--json"]);
    // Of sh and sleep, not of the copy of concmon that they begin as.
    let peak = alone["runs"][0]["peak_rss_bytes"].as_u64().unwrap();
    assert!((100_000..8_000_000).contains(&peak), "{peak}");

    let swept = config.json(&["compare", "mine", "--workers", "1,2", "--repeat", "2", "--json"]);
    let rows = swept["rows"].as_array().unwrap();
    let mut labels: Vec<&str> = rows.iter().map(|row| row["label"].as_str().unwrap()).collect();
    labels.sort_unstable();
    assert_eq!(labels, ["mine 1 worker", "mine 2 workers"]);
    assert!(rows.iter().all(|row| row["runs"] == 2 && figure(row, "cpu_ns")["spread"]["median"].as_f64().unwrap() > 0.0));
    assert!(rows.iter().all(|row| figure(row, "speed_up")["unknown"].as_str().unwrap().contains("no sequential run")));
    let curves = swept["curves"].as_array().unwrap();
    assert!(curves.iter().any(|c| c["axis"] == "workers" && c["measure"] == "wall_ns"), "{curves:?}");

    let compared = config.json(&["compare", "mine", "native/fork", "--repeat", "1", "--json"]);
    let spec = |system: &str| {
        compared["rows"].as_array().unwrap().iter().find(|row| row["spec"]["system"] == system).unwrap()["spec"].clone()
    };
    assert_eq!((&spec("mine")["task"], &spec("native/fork")["task"]), (&"own".into(), &"factorial".into()));
    let schema = serde_json::from_str(include_str!("../../assets/report/compare.schema.json")).unwrap();
    let schema = jsonschema::validator_for(&schema).unwrap();
    assert!(schema.is_valid(&compared) && schema.is_valid(&swept));
}

#[test]
fn arguments_variables_and_shape_are_those_of_the_config() {
    let config = Config::new(
        "[[lab.system]]\nid = \"my/echo\"\ncommand = [\"./echo.sh\", \"{size}\", \"{other}\"]\nworkers = 3\nworkers_are = \"processes\"\n\
         env = { N = \"{workers}x{tasks}\" }\ntasks = 5\nsize = 7\n",
    );
    let script = config.dir.path().join("echo.sh");
    std::fs::write(&script, "#!/bin/sh\necho \"$1 $2 $N\"\nsleep 0.4 & sleep 0.4\n").unwrap();
    assert!(Command::new("chmod").arg("755").arg(&script).status().unwrap().success());
    let run = config.json(&["run", "my/echo", "--task", "own:9", "--workers", "4", "--json"]);
    let run = &run["runs"][0];
    assert_eq!(run["output"], "9 {other} 4x5\n", "{run}");
    // It should have four processes beside its first, and has two.
    let shape = run["shape"].as_array().unwrap();
    let pids = shape.iter().find(|check| check["what"] == "pids").unwrap();
    assert_eq!((&pids["met"], &pids["expected"], &pids["seen"]), (&false.into(), &"4 or more".into(), &"2".into()), "{shape:?}");
    assert_eq!(shape.len(), 1, "threads are not checked: {shape:?}");

    std::fs::write(&script, "#!/bin/sh\necho no disk >&2\nexit 3\n").unwrap();
    let failed = config.lab(&["run", "my/echo", "--json"]);
    assert_eq!(failed.status.code(), Some(1));
    let failed: Value = serde_json::from_slice(&failed.stdout).unwrap();
    assert!(failed["runs"][0]["why"].as_str().is_some_and(|why| why.ends_with("ended with exit code 3: no disk")), "{failed}");
    std::fs::remove_file(&script).unwrap();
    let gone = config.lab(&["run", "my/echo"]);
    let said = String::from_utf8_lossy(&gone.stderr).into_owned();
    assert_eq!((gone.status.code(), said.as_str()), (Some(3), "concmon: my/echo: there is no ./echo.sh\n"));
}

#[test]
fn what_it_does_not_take_is_refused_in_one_sentence() {
    let config = Config::new("[[lab.system]]\nid = \"fixed\"\ncommand = [\"true\"]\n");
    for (args, says) in [
        (&["fixed", "--workers", "2"][..], "put {workers} into its command or env"),
        (&["fixed", "--tasks", "2"], "put {tasks} into its command or env"),
        (&["fixed", "--task", "own:3"], "put {size} into its command or env"),
        (&["fixed", "--task", "pi"], "fixed cannot run the task pi; it can run own"),
        (&["fixed", "--python", "/usr/bin/python3"], "remove --python"),
        (&["fixd"], "did you mean fixed?"),
    ] {
        let output = config.lab(&[&["run"], args].concat());
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(2) && said.contains(says) && said.lines().count() == 1, "{args:?}: {said}");
    }
    let broken = Config::new("[[lab.system]]\nid = \"a\"\n");
    let output = broken.lab(&["list"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(2) && said.contains("config.toml:1:1: lab.system: the system has no command"), "{said}");
}

#[test]
fn a_program_that_imports_concmon_lab_tells_more() {
    if !Command::new("python3")
        .arg("-c")
        .arg("import sys; sys.exit(sys.version_info < (3, 9))")
        .status()
        .is_ok_and(|s| s.success())
    {
        return loudly!("SKIPPED: no python3 of version 3.9 or later on PATH");
    }
    let config = Config::new(
        "[[lab.system]]\nid = \"marks\"\ncommand = [\"{python}\", \"marks.py\", \"{workers}\"]\nworkers = 2\nworkers_are = \"threads\"\n",
    );
    std::fs::write(
        config.dir.path().join("marks.py"),
        "import sys, threading, time\nimport concmon_lab as lab\n\
         def work(w):\n    lab.ready(w, 'thread')\n    with lab.task(w, w):\n        time.sleep(0.4)\n\
         all = [threading.Thread(target=work, args=(w,)) for w in range(int(sys.argv[1]))]\n\
         for w, thread in enumerate(all):\n    lab.requested(w)\n    thread.start()\n\
         for thread in all:\n    thread.join()\n",
    )
    .unwrap();
    let run = config.json(&["run", "marks", "--workers", "3", "--json"]);
    let run = &run["runs"][0];
    assert_eq!((&run["outcome"], run["workers"].as_array().map(Vec::len)), (&"done".into(), Some(3)), "{run}");
    assert_eq!(run["creation_summary_ns"]["count"], 3, "{run}");
    assert!(run["throughput_per_s"].as_f64().is_some_and(|n| n > 1.0), "{run}");
    let tids = run["shape"].as_array().unwrap().iter().find(|check| check["what"] == "tids").unwrap();
    assert_eq!(tids["met"], true, "{tids}");
}
