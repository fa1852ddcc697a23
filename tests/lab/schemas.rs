//! `--json` output matches the published schemas, and the schemas reject invalid documents.

use std::process::Command;

use concmon::lab::catalog;
use jsonschema::Validator;
use serde_json::Value;

use crate::pools;
use crate::support::python::{available, named};
use crate::support::together::at_a_time;

fn schema(text: &str) -> Validator {
    jsonschema::validator_for(&serde_json::from_str(text).unwrap()).unwrap()
}

fn wrong(schema: &Validator, value: &Value) -> Vec<String> {
    schema.iter_errors(value).map(|e| format!("{}: {e}", e.instance_path())).collect()
}

fn printed(args: &[&str]) -> Value {
    let output = Command::new(env!("CARGO_BIN_EXE_concmon")).arg("lab").args(args).arg("--json").output().unwrap();
    serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&output.stderr)))
}

/// The value passes; and with each of the changes, it does not.
fn holds(schema: &Validator, value: &Value, breaks: &[fn(&mut Value)]) {
    assert_eq!(wrong(schema, value), Vec::<String>::new());
    for (at, change) in breaks.iter().enumerate() {
        let mut broken = value.clone();
        change(&mut broken);
        assert_ne!(wrong(schema, &broken), Vec::<String>::new(), "change {at} passes");
    }
}

fn lose(value: &mut Value, key: &str) {
    value.as_object_mut().unwrap().remove(key).unwrap();
}

#[test]
fn runs() {
    let schema = schema(include_str!("../../assets/report/run.schema.json"));
    let value = printed(&["run", "native/process-pool", "--workers", "1,2", "--tasks", "3", "--repeat", "2"]);
    assert_eq!(value["runs"].as_array().unwrap().len(), 4);
    holds(
        &schema,
        &value,
        &[
            |v| lose(&mut v["runs"][0], "wall_ns"),
            |v| v["runs"][0]["user_ns"] = "7 ms".into(),
            |v| v["runs"][0]["workers"][0]["spans"][0]["task"] = (-1).into(),
            |v| v["runs"][0]["outcome"] = "fine".into(),
            |v| v["schema"] = "concmon.lab.run/2".into(),
            |v| v["surplus"] = 1.into(),
        ],
    );
}

/// Every system that needs packages, and every pool.
fn pools_and_packages() -> impl Iterator<Item = &'static str> {
    let needs_packages = |id: &str| catalog::python_program(id).is_some_and(|p| !p.packages.is_empty());
    catalog::SYSTEMS.iter().map(|s| s.id).filter(move |id| needs_packages(id) || pools::systems().any(|pool| pool == *id))
}

#[test]
fn runs_of_every_pool_and_of_every_system_that_needs_packages() {
    let schema = schema(include_str!("../../assets/report/run.schema.json"));
    let found = concmon::lab::python::interpreters(&named());
    at_a_time(2, pools_and_packages().filter(|id| available(id)), |id| {
        let python = concmon::lab::python::choose(catalog::find(id).unwrap(), None, &found).unwrap().path;
        // On a busy machine a loop may be ready to run, and not wait, when it is looked at: then it is looked at again.
        let met = |value: &Value| value["runs"][0]["shape"].as_array().unwrap().iter().all(|check| check["met"] == true);
        let once = || printed(&["run", id, "--no-setup", "--python", python.to_str().unwrap()]);
        let value = (0..3).map(|_| once()).find(met).unwrap_or_else(once);
        holds(&schema, &value, &[|v| lose(&mut v["runs"][0], "wall_ns")]);
        let run = &value["runs"][0];
        assert_eq!((run["spec"]["system"].as_str(), run["outcome"].as_str()), (Some(id), Some("done")), "{run}");
        let shape = run["shape"].as_array().unwrap();
        assert!(shape.len() >= 2 && met(&value), "{id}: {shape:?}");
        assert!(run["wall_ns"].as_u64().is_some_and(|ns| ns > 0), "{run}");
    });
}

#[test]
fn a_run_that_is_killed() {
    let value = printed(&["run", "native/sleep-threads", "--workers", "2", "--hold-ms", "60000", "--timeout", "1"]);
    assert_ne!(value["runs"][0]["outcome"], "done");
    holds(&schema(include_str!("../../assets/report/run.schema.json")), &value, &[|v| lose(&mut v["runs"][0], "why")]);
}

#[test]
fn comparisons() {
    let schema = schema(include_str!("../../assets/report/compare.schema.json"));
    let value = printed(&["compare", "native/fork", "native/thread", "--workers", "2", "--tasks", "2", "--repeat", "2"]);
    holds(&schema, &value, &[|v| v["rows"][0]["runs"] = "two".into(), |v| lose(&mut v["batch"]["points"][0], "wall_ns")]);
}

#[test]
fn talks() {
    let schema = schema(include_str!("../../assets/report/talk.schema.json"));
    // Whether the machine has what the claims need or not: both are said in words of the schema.
    let value = printed(&["talk", "--only", "gil,uvloop", "--repeat", "1", "--no-setup"]);
    assert_eq!(value["findings"].as_array().unwrap().len(), 2);
    holds(
        &schema,
        &value,
        &[
            |v| v["findings"][0]["verdict"] = "perhaps".into(),
            |v| lose(&mut v["findings"][0], "figures"),
            |v| {
                v["findings"][0]["verdict"] = "not_available".into();
                v["findings"][0].as_object_mut().unwrap().remove("why");
            },
        ],
    );
}
