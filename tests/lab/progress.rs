//! Progress of a lab command: a line on a terminal that is erased at the end, and nothing elsewhere.

use std::process::Command;

use concmon::lab::catalog::{RunSpec, TaskKind};
use concmon::lab::run::{Outcome, RunPhase};
use serde_json::Value;

use crate::support::lab;
use crate::support::pty::{Program, Pty};

const CONCMON: &str = env!("CARGO_BIN_EXE_concmon");

fn terminal(args: &[&str]) -> Pty {
    Pty::spawn(&Program { program: CONCMON, args, rows: 40, columns: 100, env: &[] })
}

/// The bar of a progress line, at any place of the screen.
fn shows_a_bar(pty: &Pty) -> bool {
    let text = pty.contents();
    text.contains("#-") || text.contains("[--") || text.contains("s left")
}

#[test]
fn a_line_tells_how_far_the_runs_are_and_goes() {
    for (command, last) in [
        (&["lab", "run", "native/fork", "--workers", "1,2", "--repeat", "3"][..], "6/6"),
        (&["lab", "compare", "native/fork", "native/thread", "--workers", "1", "--repeat", "2", "--seed", "1"], "9/9"),
        (&["lab", "talk", "--only", "fork", "--repeat", "4", "--no-setup"], "4/"),
    ] {
        let pty = terminal(command);
        pty.wait_exit();
        assert!(pty.has_written(b" 1/") && pty.has_written(b"s left"), "{command:?}: {}", pty.contents());
        assert!(pty.has_written(last.as_bytes()), "{command:?}: {}", pty.contents());
        assert!(!shows_a_bar(&pty), "{command:?}: the line is gone: {}", pty.contents());
        assert!(pty.contents().contains("fork"), "{command:?}: what was measured is there");
    }
}

#[test]
fn where_nobody_looks_nothing_is_written() {
    for command in [
        &["lab", "run", "native/fork", "--workers", "1", "--repeat", "2", "--json"][..],
        &["lab", "compare", "native/fork", "--workers", "1", "--repeat", "1", "--json"],
        &["lab", "talk", "--only", "fork", "--repeat", "1", "--no-setup", "--json"],
    ] {
        let output = Command::new(CONCMON).args(command).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{command:?}");
        serde_json::from_slice::<Value>(&output.stdout).unwrap();
    }
}

#[test]
fn a_talk_that_is_interrupted_says_how_far_it_came_and_goes_on_from_there() {
    let dir = tempfile::tempdir().unwrap();
    let kept = dir.path().join("talk.json");
    let claims = ["fork", "fork-grows"];
    let args = ["lab", "talk", "--only", "fork,fork-grows", "--repeat", "8", "--no-setup", "--out", kept.to_str().unwrap()];
    let mut pty = terminal(&args);
    // The first claim is over when the second is on; that one takes seconds.
    pty.wait_text("fork-grows");
    pty.send(b"\x03");
    pty.wait_exit();
    let said = pty.contents();
    assert!(said.contains("stopped after 1 of 2 claims") && said.contains("continues from there"), "{said}");
    assert!(!shows_a_bar(&pty), "{said}");
    let findings = || serde_json::from_slice::<Value>(&std::fs::read(&kept).unwrap()).unwrap()["findings"].clone();
    let first = findings();
    assert_eq!(first.as_array().unwrap().len(), 1);

    let output = Command::new(CONCMON).args(args).output().unwrap();
    let all = findings();
    let ids: Vec<&str> = all.as_array().unwrap().iter().map(|f| f["claim"].as_str().unwrap()).collect();
    assert_eq!(ids, claims, "{}", String::from_utf8_lossy(&output.stderr));
    if first[0]["verdict"] != "undecided" {
        assert_eq!(all[0], first[0], "what was measured before is not measured again");
    }
    match all[1]["verdict"].as_str().unwrap() {
        // A machine without the memory for it, or one on which a run took too long: it was tried.
        "not_available" | "failed" => loudly!("SKIPPED the rounds of fork-grows: {}", all[1]["why"]),
        _ => assert_eq!(all[1]["figures"].as_array().unwrap().len(), 8, "{}", all[1]),
    }
}

#[test]
fn runs_that_are_interrupted_are_shown_as_far_as_they_came() {
    let mut pty = terminal(&["lab", "run", "native/sleep-threads", "--workers", "2", "--repeat", "50"]);
    pty.wait_bytes("the third run", b"3/50");
    pty.send(b"\x03");
    let status = pty.wait_exit();
    assert_eq!(status.exit_code(), 1);
    let said = pty.contents();
    assert!(said.contains("stopped after") && said.contains("of 50 runs") && said.contains("[done]"), "{said}");
    assert!(!shows_a_bar(&pty), "{said}");
}

/// A kept run stays when its time is over, with its workers, until it is stopped; one that began later with the same time ends by itself.
#[test]
fn a_kept_run_stays_until_it_is_stopped() {
    let launcher = lab::launcher();
    let mut systems = vec!["native/fork", "native/event-loop"];
    match launcher.interpreters().interpreters.is_empty() {
        true => loudly!("SKIPPED: no Python interpreter, so only native runs are kept"),
        false => systems.extend(["python/thread", "python/asyncio"]),
    }
    for system in systems {
        let spec = RunSpec { hold_ms: 300, workers: 2, ..lab::spec(system, TaskKind::Factorial) };
        let kept = launcher.launch(spec.clone()).unwrap();
        launcher.keep(kept);
        lab::await_run(&launcher, kept, "it stays to be looked at", |run| run.hold_began_ns().is_some() || run.ended());
        let other = launcher.launch(spec).unwrap();
        assert_eq!(lab::await_end(&launcher, other).phase, RunPhase::Ended(Outcome::Done), "{system}");
        let state = launcher.watch().borrow().clone();
        let run = state.run(kept).unwrap();
        assert!(!run.ended(), "{system}: {:?}", run.phase);
        let root = run.root_pid.unwrap();
        assert!(std::path::Path::new(&format!("/proc/{root}")).exists());
        launcher.stop(kept);
        assert_eq!(lab::await_end(&launcher, kept).phase, RunPhase::Ended(Outcome::Stopped), "{system}");
    }
}
