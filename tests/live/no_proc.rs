//! Where there is no `/proc` (a chroot, a rescue shell, an empty directory in its place), each command says so once and ends with exit
//! code 3: never an empty table. Needs root.

use std::process::{Command, Output};

use crate::support::pty;

const CONCMON: &str = env!("CARGO_BIN_EXE_concmon");
/// Every command that reads processes; the monitor itself comes first.
const COMMANDS: [&[&str]; 9] = [
    &[],
    &["ps"],
    &["ps", "--json"],
    &["ps", "--source", "bpf"],
    &["events", "--for", "1"],
    &["inspect", "1"],
    &["run", "--", "true"],
    &["lab", "run", "native/fork"],
    &["lab", "compare", "native/fork", "native/thread"],
];

/// Runs a command in a mount namespace of its own, after a shell script that leaves the place for it in `$@`. `None` if that cannot be.
fn in_own_mounts(script: &str, words: &[&str]) -> Option<Output> {
    let possible = Command::new("unshare").args(["--mount", "true"]).output();
    if !possible.is_ok_and(|output| output.status.success()) {
        loudly!("SKIPPED: no mount namespace can be made here");
        return None;
    }
    Some(Command::new("unshare").args(["--mount", "sh", "-ec", script, "sh", CONCMON]).args(words).output().unwrap())
}

fn assert_said_once(script: &str, what: &str) {
    for words in COMMANDS {
        let Some(output) = in_own_mounts(script, words) else { return };
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(3), "{words:?}: {output:?}");
        assert_eq!(said.lines().count(), 1, "{words:?}: {said}");
        assert!(said.contains(&format!("/proc {what}")) && said.contains("mount -t proc proc /proc"), "{words:?}: {said}");
        assert!(output.stdout.is_empty(), "{words:?}: {output:?}");
    }
}

#[test]
fn an_empty_directory_is_no_proc() {
    assert_said_once("umount -l /proc; exec \"$@\"", "is not the process file system");
}

#[test]
fn a_directory_that_only_looks_like_it_is_no_proc() {
    let script = "mount -t tmpfs none /proc; mkdir /proc/1; echo '1 (init) S 0' > /proc/1/stat; echo 'cpu 1 2 3' > /proc/stat; exec \"$@\"";
    assert_said_once(script, "is not the process file system");
}

#[test]
fn a_root_without_the_directory_has_no_proc() {
    let script = "dir=$(mktemp -d); mount -t tmpfs none \"$dir\"; cd \"$dir\"; concmon=$1; shift
        for d in bin lib lib64 usr; do
            if [ -L /$d ]; then cp -P /$d $d; elif [ -d /$d ]; then mkdir $d; mount --bind /$d $d; fi
        done
        touch concmon; mount --bind \"$concmon\" concmon; exec chroot . /concmon \"$@\"";
    assert_said_once(script, "is missing");
}

/// Without `/proc/stat` the CPUs are not known, which is not the same as none.
#[test]
fn where_proc_has_processes_only_the_cpus_are_unknown() {
    let script = "mount -t proc -o subset=pid proc /proc; exec \"$@\"";
    let Some(output) = in_own_mounts(script, &["ps"]) else { return };
    if String::from_utf8_lossy(&output.stderr).starts_with("mount:") {
        loudly!("SKIPPED: this kernel mounts no proc with subset=pid (Linux 5.8)");
        return;
    }
    assert!(output.status.success() && output.stdout.len() > 1_000, "{output:?}");
    let args = ["--mount", "sh", "-ec", script, "sh", CONCMON];
    let pty = pty::Pty::spawn(&pty::Program { program: "unshare", args: &args, rows: 30, columns: 120, env: &[] });
    pty.wait_text("? cpus");
}

/// The mounts of a container may outlive it.
#[test]
fn a_proc_whose_namespace_has_ended_shows_nothing() {
    assert_said_once("unshare --pid --fork mount -t proc proc /proc; exec \"$@\"", "shows no process");
}
