//! `concmon inspect EXPR` folds the equal stacks of a family.

use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::on_each;

/// Ended when dropped, even if the test fails.
struct Family(std::process::Child);

impl Drop for Family {
    fn drop(&mut self) {
        let group = nix::unistd::Pid::from_raw(i32::try_from(self.0.id()).unwrap());
        let _ = nix::sys::signal::killpg(group, nix::sys::signal::Signal::SIGKILL);
        let _ = self.0.wait();
    }
}

#[test]
fn equal_stacks_of_a_family_are_folded() {
    let script = "
import os, sys, time
def store(n):
    time.sleep(600)
def load(n):
    time.sleep(600)
for n in range(8):
    if os.fork() == 0:
        store(n) if n < 7 else load(n)
time.sleep(600)
";
    on_each(9, |python, _| {
        use std::os::unix::process::CommandExt as _;
        let child = Command::new(python).args(["-c", script]).process_group(0).spawn().unwrap();
        let family = Family(child);
        let expression = format!("pgrp={}", family.0.id());
        let until = Instant::now() + Duration::from_secs(60);
        loop {
            let ask = |more: &[&str]| {
                Command::new(env!("CARGO_BIN_EXE_concmon")).args(["inspect", &expression]).args(more).output().unwrap()
            };
            let output = ask(&["--json"]);
            let value: Value = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
            let empty = Vec::new();
            let stacks = value["stacks"].as_array().unwrap_or(&empty);
            let counts: Vec<(u64, &str)> = stacks
                .iter()
                .map(|stack| (stack["processes"].as_u64().unwrap(), stack["place"]["function"].as_str().unwrap_or("-")))
                .collect();
            if counts.first() == Some(&(7, "store")) && counts.contains(&(1, "load")) && counts.contains(&(1, "<module>")) {
                let schema: Value =
                    serde_json::from_str(include_str!("../../../assets/report/inspect-family.schema.json")).unwrap();
                let schema = jsonschema::validator_for(&schema).unwrap();
                let wrong: Vec<String> = schema.iter_errors(&value).map(|error| error.to_string()).collect();
                assert_eq!(wrong, Vec::<String>::new());
                let text = String::from_utf8(ask(&[]).stdout).unwrap();
                // `time.sleep()` is select(2) before 3.11.
                assert!(text.contains("7 of 9 threads, of 7 processes, are in store() <string>:4, waits: "), "{text}");
                break;
            }
            let why = String::from_utf8_lossy(&output.stderr);
            assert!(Instant::now() < until, "{}: {counts:?} {why}", python.display());
        }
    });
}

#[test]
fn what_no_process_matches_is_said() {
    let ask = |target: &str| Command::new(env!("CARGO_BIN_EXE_concmon")).args(["inspect", target]).output().unwrap();
    let output = ask("name=no-such-name");
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("no process matches \"name=no-such-name\""));
    assert_eq!(ask("nosuchcolumn=1").status.code(), Some(2));
    assert_eq!(ask("-5").status.code(), Some(2));
}
