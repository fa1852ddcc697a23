//! The image of native runs: `concmon-worker` beside concmon, or concmon itself if that file is missing or not trusted; the run reports which.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use crate::support::programs;

const CONCMON: &str = env!("CARGO_BIN_EXE_concmon");
const WORKER: &str = env!("CARGO_BIN_EXE_concmon-worker");
const SAID: &str = "there is no concmon-worker beside concmon";

/// What `concmon lab run SYSTEM --json` says of its one run.
fn run(program: &Path, system: &str) -> serde_json::Value {
    let output = Command::new(program).args(["lab", "run", system, "--workers", "2", "--json"]).output().unwrap();
    let document: serde_json::Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{system}: {error}: {}", String::from_utf8_lossy(&output.stderr)));
    document["runs"][0].clone()
}

fn copy(from: &str, to: &Path) {
    programs::copy(from, to);
    std::fs::set_permissions(to, std::fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn images_are_of_the_small_program_or_of_concmon_and_that_is_said() {
    assert!(Path::new(WORKER).is_file(), "it is built with concmon");
    let directory = tempfile::tempdir().unwrap();
    let alone = directory.path().join("concmon");
    copy(CONCMON, &alone);
    for system in ["native/spawn", "native/exec"] {
        let beside = run(Path::new(CONCMON), system);
        assert_eq!(beside["outcome"], "done", "{beside}");
        assert!(!beside["output"].as_str().unwrap_or_default().contains(SAID), "{system}: {}", beside["output"]);
        let by_itself = run(&alone, system);
        assert_eq!(by_itself["outcome"], "done", "{by_itself}");
        assert!(by_itself["output"].as_str().unwrap().contains(SAID), "{system}: {}", by_itself["output"]);
    }
    assert_eq!(run(&alone, "native/forkserver")["outcome"], "done");

    // One that others may write to is as good as none.
    let small = directory.path().join("concmon-worker");
    copy("/bin/false", &small);
    std::fs::set_permissions(&small, std::fs::Permissions::from_mode(0o777)).unwrap();
    assert_eq!(run(&alone, "native/spawn")["outcome"], "done");
    // One that only its owner may write to is believed, and what it fails to do is reported.
    std::fs::set_permissions(&small, std::fs::Permissions::from_mode(0o755)).unwrap();
    let wrong = run(&alone, "native/spawn");
    assert_eq!(wrong["outcome"], "failed", "{wrong}");
    assert!(wrong["output"].as_str().unwrap().contains("exit code 1"), "{}", wrong["output"]);
}

#[test]
fn the_small_program_does_nothing_by_itself() {
    for args in [&[][..], &["ps"], &["__lab-image"], &["__lab-image", "worker", "0", "0"], &["__lab-worker"]] {
        let output = Command::new(WORKER).args(args).env_remove("CONCMON_LAB_SPEC").output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(output.stdout.is_empty(), "{args:?}");
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains("internal entry") && said.lines().count() == 1, "{args:?}: {said}");
    }
}
