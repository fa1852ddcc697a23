//! `concmon run -- CMD`: a program keeps its streams, exit status and signals, and no process is left.
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Command, Output, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::exclusive::alone;
use crate::support::gone;

fn concmon(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_concmon"));
    command.arg("run").args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn run(args: &[&str]) -> (i32, String, String) {
    let Output { status, stdout, stderr } = concmon(args).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    (status.code().unwrap(), text(stdout), text(stderr))
}

fn pid(child: &Child) -> Pid {
    Pid::from_raw(i32::try_from(child.id()).unwrap())
}

#[test]
fn streams_and_exit_status_are_the_programs() {
    let mut child = concmon(&["--", "sh", "-c", "echo out; echo err >&2; cat; exit 3"]).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"from outside\n").unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(3));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "out\nfrom outside\n", "nothing of concmon's own");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.starts_with("err\n") && said.contains("ended with exit code 3") && said.contains("wall"), "{said}");
    assert_eq!(run(&["--", "true"]).0, 0);
    assert_eq!(concmon(&["--", "sh", "-c", "kill -SEGV $$"]).status().unwrap().signal(), Some(11));
    assert_eq!(run(&["--", "sh", "-c", "pwd; echo ${TMPDIR-unset}"]).1.lines().next(), std::env::current_dir().unwrap().to_str());
}

#[test]
fn what_cannot_be_run_is_said_in_one_sentence() {
    for (command, code, words) in [
        ("no-such-program", 127, "no program no-such-program on PATH"),
        ("./nowhere", 127, "there is no ./nowhere"),
        ("/etc/passwd", 126, "not an executable"),
    ] {
        let (status, out, said) = run(&["--", command]);
        assert_eq!((status, out.as_str()), (code, ""), "{said}");
        assert!(said.contains(words) && said.lines().count() == 1, "{said}");
    }
    assert_eq!(run(&[]).0, 2, "a command is needed");
}

#[test]
fn every_task_has_a_lane() {
    let program = "import threading, time, os\n\
        def spin(s):\n    end = time.thread_time() + s\n    while time.thread_time() < end: pass\n\
        t = threading.Thread(target=spin, args=(.6,))\n\
        t.start(); t.join()\n\
        pid = os.fork()\n\
        if pid == 0:\n    spin(.6); os._exit(0)\n\
        os.waitpid(pid, 0)\n";
    let (status, _, said) = run(&["--json", "--", "/usr/bin/env", "python3", "-c", program]);
    assert_eq!(status, 0, "{said}");
    let (_, out, _) = run(&["--json", "--", "python3", "-c", program]);
    let document: serde_json::Value = serde_json::from_str(&out).unwrap();
    let lanes = document["runs"][0]["lanes"].as_array().unwrap();
    let busy = lanes.iter().filter(|l| (300_000_000..1_200_000_000).contains(&l["run_ns"].as_u64().unwrap())).count();
    assert!(busy >= 2, "the thread and the child: {lanes:?}");
    let (_, _, said) = run(&["--", "python3", "-c", program]);
    assert!(said.contains("█") && said.contains("% of the CPU time used"), "{said}");
}

#[test]
fn costs_of_everything_it_created_come_as_json() {
    let (status, out, said) = run(&[
        "--json",
        "--",
        "sh",
        "-c",
        "echo printed; for i in 1 2 3; do sh -c 'i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done'; done",
    ]);
    assert_eq!(status, 0, "{said}");
    assert!(said.contains("printed"), "with --json the program's output goes to standard error: {said}");
    let document: serde_json::Value = serde_json::from_str(&out).unwrap();
    let run = &document["runs"][0];
    assert_eq!(run["outcome"], "done");
    assert!(run["user_ns"].as_u64().unwrap() > 1_000_000 && run["wall_ns"].as_u64().unwrap() > 1_000_000, "{run}");
}

/// The run in the JSON document of a program.
fn document_of(command: &[&str]) -> serde_json::Value {
    let (_, out, said) = run(&[&["--json", "--"], command].concat());
    let mut document: serde_json::Value = serde_json::from_str(&out).unwrap_or_else(|e| panic!("{e}: {said}"));
    document["runs"][0].take()
}

#[test]
fn its_wall_time_is_its_own() {
    let _alone = alone();
    let (mut ours, mut theirs) = (u64::MAX, u64::MAX);
    for _ in 0..12 {
        let run = document_of(&["sh", "-c", "exit 1"]);
        let (wall, cpu) = (run["wall_ns"].as_u64().unwrap(), run["user_ns"].as_u64().unwrap() + run["sys_ns"].as_u64().unwrap());
        // The kernel charges the end of a process a little beyond what its parent waits for.
        assert!(wall + 500_000 > cpu, "one thread used {cpu} ns of CPU in {wall} ns");
        ours = ours.min(wall);
        let begun = std::time::Instant::now();
        Command::new("sh").args(["-c", "exit 1"]).status().unwrap();
        theirs = theirs.min(u64::try_from(begun.elapsed().as_nanos()).unwrap());
    }
    // The quickest of each, as the machine may be busy: neither a move to a control group nor what the helper does besides is in it.
    assert!(ours < 3 * theirs + 2_000_000, "{ours} ns, where a plain spawn and wait take {theirs} ns");
    let busy = document_of(&["sh", "-c", "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done"]);
    let (wall, cpu) = (busy["wall_ns"].as_u64().unwrap(), busy["user_ns"].as_u64().unwrap() + busy["sys_ns"].as_u64().unwrap());
    assert!(cpu > 20_000_000 && wall + 1_000_000 > cpu, "{busy}");
}

#[test]
fn what_is_unknown_of_it_is_not_explained_by_what_the_lab_does() {
    let run = document_of(&["true"]);
    let reasons = run["unknown"].as_object().unwrap();
    for (measure, says) in [
        ("creation_ns", "no worker processes were reported"),
        ("sent_bytes", "not counted"),
        ("protocol_ns", "the program reported nothing"),
    ] {
        assert!(reasons[measure].as_str().is_some_and(|why| why.contains(says)), "{measure}: {reasons:?}");
    }
    let all = format!("{reasons:?}");
    assert!(!all.contains("share one memory") && !all.contains("native workers"), "{all}");
}

#[test]
fn a_python_program_says_what_its_workers_do() {
    if !Command::new("python3").arg("--version").output().is_ok_and(|o| o.status.success()) {
        loudly!("SKIPPED: there is no python3 on PATH, and this test needs one");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let app = dir.path().join("app.py");
    let program = "import threading, time\nimport concmon_lab as lab\n\n\ndef work(w):\n    lab.ready(w, 'thread')\n    with lab.task(w, w):\n        time.sleep(0.02)\n\n\nfor w in range(3):\n    lab.requested(w)\n    thread = threading.Thread(target=work, args=(w,))\n    thread.start()\n    thread.join()\nlab.value('answer', 'forty-two', 42)\n";
    std::fs::write(&app, program).unwrap();
    let (status, out, said) = run(&["--json", "--", "python3", app.to_str().unwrap()]);
    assert_eq!(status, 0, "{said}");
    let document: serde_json::Value = serde_json::from_str(&out).unwrap();
    let run = &document["runs"][0];
    assert_eq!(run["workers"].as_array().unwrap().len(), 3);
    assert!(run["workers"].as_array().unwrap().iter().all(|w| w["how"] == "thread" && w["spans"].as_array().unwrap().len() == 1));
    assert_eq!((&run["values"][0]["name"], &run["values"][0]["number"]), (&"answer".into(), &42.into()));
    // Without concmon the same program runs, and reports nothing.
    std::fs::write(dir.path().join("concmon_lab.py"), concmon::lab::python::WORKER_MODULE.1).unwrap();
    assert!(Command::new("python3").arg(&app).status().unwrap().success());
}

#[test]
fn each_signal_is_passed_on() {
    for (trap, times) in [("exit 7", 1), ("n=$((n+1)); echo again; [ $n = 3 ] && exit 7", 3)] {
        let script = format!("n=0; trap '{trap}' INT; echo ready; while :; do sleep 0.01; done");
        // A shell cannot trap what was ignored when it began, as SIGINT is for tests that are started in the background.
        let mut command = Command::new("env");
        command.args(["--default-signal=INT", env!("CARGO_BIN_EXE_concmon"), "run", "--", "sh", "-c", &script]);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        out.read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
        for _ in 0..times {
            kill(pid(&child), Signal::SIGINT).unwrap();
            if times > 1 {
                line.clear();
                out.read_line(&mut line).unwrap();
                assert_eq!(line, "again\n");
            }
        }
        assert_eq!(child.wait().unwrap().code(), Some(7), "{trap}");
    }
}

#[test]
fn the_program_goes_with_concmon() {
    let mut child = concmon(&["--", "sh", "-c", "echo $$; sleep 600"]).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let root: i32 = line.trim().parse().unwrap();
    kill(pid(&child), Signal::SIGKILL).unwrap();
    child.wait().unwrap();
    gone::await_gone(root, std::time::Duration::from_secs(30));
}
