//! `concmon run --repeat`: a program runs with everything that is swept, and the result compares as that of `lab compare`.

use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

fn concmon(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_concmon"));
    command.arg("run").args(args);
    command
}

fn run(args: &[&str]) -> Output {
    concmon(args).output().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn every_combination_runs_and_is_compared() {
    let dir = tempfile::tempdir().unwrap();
    let (page, log) = (dir.path().join("page.html"), dir.path().join("log"));
    let script = format!("echo {{WHO}} $N >> {}; sleep 0.0$N", log.display());
    let mut args =
        vec!["--repeat", "3", "--warmup", "0", "--sweep", "N=1,9", "--arg", "WHO=a,b", "--baseline", "--json", "--html"];
    args.extend([page.to_str().unwrap(), "--", "sh", "-c", &script]);
    let output = run(&args);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let value: Value = serde_json::from_slice(&output.stdout).unwrap();
    let schema = serde_json::from_str(include_str!("../../assets/report/compare.schema.json")).unwrap();
    let wrong: Vec<String> =
        jsonschema::validator_for(&schema).unwrap().iter_errors(&value).map(|e| format!("{}: {e}", e.instance_path())).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    let rows = value["rows"].as_array().unwrap();
    let mut labels: Vec<&str> = rows.iter().map(|row| row["label"].as_str().unwrap()).collect();
    assert!(labels[0].contains("N=1") && labels[3].contains("N=9"), "the fastest first: {labels:?}");
    labels.sort_unstable();
    assert_eq!(labels, ["sh N=1 WHO=a", "sh N=1 WHO=b", "sh N=9 WHO=a", "sh N=9 WHO=b"]);
    let curve = value["curves"].as_array().unwrap().iter().find(|c| c["measure"] == "wall_ns").unwrap();
    assert_eq!((&curve["axis"], curve["series"].as_array().unwrap().len()), (&"setting".into(), 2));
    assert!(
        value["finding"].as_str().is_some_and(|text| text.contains("N=1") || text.contains("Not decided")),
        "{}",
        value["finding"]
    );
    let figure = |row: &Value, id: &str| row["figures"].as_array().unwrap().iter().find(|f| f["measure"] == id).unwrap().clone();
    for row in rows {
        assert_eq!(row["runs"], 3);
        assert!(figure(row, "cpu_ns")["spread"]["median"].as_f64().is_some_and(|ns| ns > 0.0), "{row}");
        assert!(figure(row, "speed_up")["spread"].is_object(), "against the first combination: {row}");
        assert!(figure(row, "run_delay_ns")["unknown"].is_string(), "{row}");
    }
    // Each round has every combination once, in an order of its own.
    let text = std::fs::read_to_string(log).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    for round in lines.chunks(4) {
        let mut round = round.to_vec();
        round.sort_unstable();
        assert_eq!(round, ["a 1", "a 9", "b 1", "b 9"], "{lines:?}");
    }
    assert_eq!(lines.len(), 12);
    assert!(std::fs::read_to_string(page).unwrap().contains("N=9 WHO=b"));
}

#[test]
fn a_run_that_fails_gives_its_exit_code_and_is_named() {
    let output = run(&["--sweep", "CODE=0,3", "--repeat", "2", "--", "sh", "-c", "echo no disk >&2; exit $CODE"]);
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    assert!(stderr(&output).contains("a run with CODE=3 failed") && stderr(&output).contains("no disk"), "{}", stderr(&output));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains("sh CODE=0") && text.contains("3 runs failed and excluded"), "the others are shown: {text}");
    let killed = run(&["--repeat", "1", "--", "sh", "-c", "kill -TERM $$"]);
    assert_eq!(killed.status.code(), Some(143), "{}", stderr(&killed));
    let late = run(&["--repeat", "1", "--warmup", "0", "--timeout", "0.3", "--", "sleep", "60"]);
    assert!(late.status.code() == Some(1) && stderr(&late).contains("timed out"), "{}", stderr(&late));
    assert_eq!(run(&["--repeat", "1", "--", "/nonexist/program"]).status.code(), Some(127));
}

#[test]
fn an_interrupt_shows_what_was_measured() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("kept.json");
    let args = ["--repeat", "900", "--warmup", "1", "--out", file.to_str().unwrap(), "--", "sleep", "0.05"];
    let child = concmon(&args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let points = || -> Option<usize> {
        let kept: Value = serde_json::from_slice(&std::fs::read(&file).ok()?).ok()?;
        kept["batch"]["points"].as_array().map(Vec::len)
    };
    let begun = Instant::now();
    while points().is_none_or(|n| n < 4) {
        assert!(begun.elapsed() < Duration::from_secs(30), "it measures");
        std::thread::sleep(Duration::from_millis(20));
    }
    kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), Signal::SIGINT).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.code() == Some(1) && stderr(&output).contains("was stopped after"), "{}", stderr(&output));
    assert!(stderr(&output).contains("continues from there"), "{}", stderr(&output));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.starts_with("sleep 0.05, ") && text.contains("\nsleep "), "{text}");
}

#[test]
fn bad_usage_is_one_sentence() {
    for (args, says) in [
        (&["--arg", "X=1,2", "--", "true"][..], "the command does not contain {X}"),
        (&["--arg", "seed=1,2", "--", "echo", "{seed}"], "use another"),
        (&["--sweep", "X=1", "--sweep", "X=2", "--", "true"], "X is swept twice"),
        (&["--repeat", "2", "--sort", "speed", "--", "true"], "there is no measure"),
        (&["--repeat", "2", "--html", "/nonexist/x.html", "--", "true"], "there is no directory /nonexist"),
    ] {
        let output = run(args);
        assert!(output.status.code() == Some(2) && stderr(&output).contains(says), "{args:?}: {}", stderr(&output));
        assert_eq!(stderr(&output).lines().count(), 1, "{}", stderr(&output));
    }
    for (args, says) in [
        (&["--sweep", "X", "--", "true"][..], "THREADS=1,2,4"),
        (&["--sweep", "X=1,1", "--", "true"], "is given twice"),
        (&["--html", "x.html", "--", "true"], "--repeat"),
        (&["--repeat", "2", "--detach", "--", "true"], "--detach"),
    ] {
        let output = run(args);
        assert!(output.status.code() == Some(2) && stderr(&output).contains(says), "{args:?}: {}", stderr(&output));
    }
}
