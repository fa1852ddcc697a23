//! `concmon problems --host`: what each host finds of itself is one list, worst first, and each failure is one sentence.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{CONCMON, Sleeper, Stage, namespaces};
use crate::support::exclusive::alone;

/// A process that can never continue: it reads a pipe whose other end only it has.
struct Stuck(Child);

impl Stuck {
    fn start() -> Self {
        let script = "import os\nr, w = os.pipe()\nprint('ready', flush=True)\nos.read(r, 1)";
        let mut child = Command::new("python3").args(["-c", script]).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
        Self(child)
    }

    fn pid(&self) -> String {
        self.0.id().to_string()
    }
}

impl Drop for Stuck {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// The document of the hosts, which holds to its schema.
fn document(output: &Output) -> Value {
    let document: Value =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", text(&output.stderr)));
    let schema = serde_json::from_str(include_str!("../../../assets/report/problems-hosts.schema.json")).unwrap();
    let schema = jsonschema::validator_for(&schema).unwrap();
    let wrong: Vec<String> = schema.iter_errors(&document).map(|e| format!("{}: {e}", e.instance_path())).collect();
    assert_eq!(wrong, Vec::<String>::new(), "{document:#}");
    document
}

/// What a host could answer: a deadlock, in strings that would change a terminal.
fn hostile() -> Value {
    json!({
        "schema": "concmon.problems/1",
        "looked": { "processes": 3, "tasks": 4, "unreadable_processes": 0, "silent_processes": 0, "unread_python_processes": 0, "apart_ms": 300 },
        "problems": [{
            "cause": "lock_cycle", "title": "Deadlock\u{1b}[2J\nall well", "advice": "\u{202e}x", "pids": [7], "behind": [], "lost_waiters": 0,
            "tasks": [{ "pid": 7, "tid": 8, "comm": "a\rb", "process": "p", "python": null, "wait": {
                "kind": "mutex", "evidence": "waits\u{7}", "for_pid": 7, "for_tid": 7, "certainty": "recorded", "asleep_ms": null,
            } }],
        }],
        "findings": [],
    })
}

#[test]
fn problems_of_hosts_are_one_list_worst_first() {
    let (stage, stuck, sleeper) = (Stage::new(), Stuck::start(), Sleeper::start());
    std::fs::write(stage.file("answer-worse"), hostile().to_string()).unwrap();
    let filter = format!("pid={} or name~'no such'", stuck.pid());
    let args = ["problems", "--for", "30", "--host", "one,user@two,worse", &filter];
    let output = stage.output(&args);
    let (said, errors) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(1), "{said}{errors}");
    let titles: Vec<&str> = said.lines().filter(|line| line.contains(": Deadlock") || line.contains("Pipe with an")).collect();
    assert!(
        matches!(titles[..], [worst, one, two] if worst.starts_with("worse: ") && one.starts_with("one: ") && two.starts_with("two: ")),
        "{said}"
    );
    assert!(said.chars().all(|c| c == '\n' || !c.is_control() && c != '\u{202e}'), "{said:?}");
    assert!(said.contains(&format!("process {} python3", stuck.pid())), "{said}");
    let log = std::fs::read_to_string(stage.file("log")).unwrap();
    let wanted = format!("user@two concmon problems --json --for 30 -- 'pid={} or name~'\\''no such'\\'''", stuck.pid());
    assert!(log.contains(&wanted), "{log}");
    // The same as JSON.
    let found = document(&stage.output(&[&args[..], &["--json"]].concat()));
    let of = |one: &Value| (one["host"].as_str().unwrap().to_owned(), one["cause"].as_str().unwrap().to_owned());
    let problems: Vec<_> = found["problems"].as_array().unwrap().iter().map(of).collect();
    let wanted = [("worse", "lock_cycle"), ("one", "pipe_without_peer"), ("two", "pipe_without_peer")];
    assert_eq!(problems, wanted.map(|(host, cause)| (host.to_owned(), cause.to_owned())));
    // A process that only sleeps has no problem.
    let output = stage.output(&["problems", "--host", "one", &format!("pid={}", sleeper.pid())]);
    let said = text(&output.stdout);
    assert!(output.status.code() == Some(0) && said.contains("one: no problem was found. Examined: the waits of"), "{said}");
}

#[test]
fn each_host_that_cannot_be_examined_is_said_in_one_sentence() {
    let (stage, stuck) = (Stage::new(), Stuck::start());
    let mut newer = hostile();
    newer["schema"] = "concmon.problems/2".into();
    std::fs::write(stage.file("answer-newer"), newer.to_string()).unwrap();
    let mut wrong = hostile();
    wrong["problems"][0]["pids"] = "7".into();
    std::fs::write(stage.file("answer-wrong"), wrong.to_string()).unwrap();
    let half = hostile().to_string();
    std::fs::write(stage.file("answer-half"), &half[..half.len() / 2]).unwrap();
    let filter = format!("pid={}", stuck.pid());
    let said = [
        ("garbage", "what came is no answer of concmon, but \"Welcome to this machine\""),
        (
            "newer",
            "concmon there is of another version: its answer is \"concmon.problems/2\"; this concmon reads concmon.problems/1",
        ),
        ("wrong", "its answer is no valid concmon.problems/1: invalid type: string"),
        ("half", "its answer is no document of concmon: EOF"),
        ("flood", "its answer is larger than 4 MiB"),
        ("before", "concmon there is of another version, without this command"),
        ("cannot", "concmon cannot read that machine: the processes cannot be examined"),
        ("denied", "ssh failed: me@denied: Permission denied (publickey)."),
        ("missing", "concmon was not found there"),
        ("mac", "the host runs Darwin; concmon runs on Linux only"),
        ("hung", "no answer came in time"),
    ];
    let hosts = said.iter().fold("one".to_owned(), |all, (host, _)| format!("{all},{host}"));
    let begun = Instant::now();
    let output = stage.output(&["problems", &filter, "--for", "2", "--host", &hosts]);
    let (found, errors) = (text(&output.stdout), text(&output.stderr));
    assert!(begun.elapsed() < Duration::from_secs(60), "the limit holds: {:?}", begun.elapsed());
    assert_eq!(output.status.code(), Some(3), "3 precedes 1: {found}{errors}");
    assert!(found.contains("one: Pipe with an unclosed end"), "what is there is printed: {found}");
    for (host, why) in said {
        let line = format!("concmon: {host}: {why}");
        assert_eq!(errors.lines().filter(|said| said.starts_with(&line)).count(), 1, "{line}: {errors}");
    }
    super::nothing_is_left_of(stage.directory.path());
    let output = stage.output(&["problems", "--json", "--host", "denied"]);
    let found = document(&output);
    assert_eq!(found["hosts"][0]["failed"], "ssh failed: me@denied: Permission denied (publickey).");
    assert!(output.status.code() == Some(3) && output.stderr.is_empty());
}

#[test]
fn a_wrong_filter_reaches_no_host() {
    let stage = Stage::new();
    for (args, said) in [
        (&["problems", "--host", "one", "pid="][..], "filter: "),
        (&["problems", "--host=-oProxyCommand=true"], "is not the name of a host"),
        (&["problems", "--host", "one", "name~'a\nb'"], "one line without control characters"),
    ] {
        let output = stage.output(args);
        assert!(output.status.code() == Some(2) && text(&output.stderr).contains(said), "{}", text(&output.stderr));
    }
    assert!(!stage.file("log").exists(), "nothing was run for them");
}

/// A control group that may use half a CPU.
struct HalfCpu(std::path::PathBuf);

impl HalfCpu {
    fn new() -> Option<Self> {
        let roots = ["/sys/fs/cgroup/cpu", "/sys/fs/cgroup"].map(std::path::Path::new);
        let root = roots.into_iter().find(|root| root.is_dir())?;
        let group = Self(root.join(format!("concmon-half-{}", std::process::id())));
        let made = std::fs::create_dir(&group.0).is_ok();
        let put = |file: &str, text: &str| {
            let path = group.0.join(file);
            path.exists() && std::fs::write(path, text).is_ok()
        };
        // It gets its half before other programs get theirs: on a busy machine it would not reach its quota.
        let _ = put("cpu.weight", "10000") || put("cpu.shares", "262144");
        (made && (put("cpu.max", "50000 100000") || put("cpu.cfs_period_us", "100000") && put("cpu.cfs_quota_us", "50000")))
            .then_some(group)
    }
}

impl Drop for HalfCpu {
    fn drop(&mut self) {
        // A group with processes cannot be removed. Only those that the test put there are in it.
        for pid in
            std::fs::read_to_string(self.0.join("cgroup.procs")).unwrap_or_default().split_whitespace().filter(|pid| *pid != "0")
        {
            drop(Command::new("kill").args(["-KILL", pid]).status());
        }
        let begun = Instant::now();
        while std::fs::remove_dir(&self.0).is_err() && begun.elapsed() < Duration::from_secs(5) {
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// PIDs, as this namespace has them, of processes with this word among their arguments.
fn pids_with(word: &str) -> Vec<String> {
    let is_it = |pid: &String| {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        line.starts_with(b"sh\0") && line.split(|byte| *byte == 0).any(|argument| argument == word.as_bytes())
    };
    let names = std::fs::read_dir("/proc").unwrap().filter_map(|entry| entry.unwrap().file_name().into_string().ok());
    names.filter(|name| name.bytes().all(|byte| byte.is_ascii_digit())).filter(is_it).collect()
}

#[test]
fn the_host_whose_group_is_throttled_is_the_one_that_is_named() {
    let _alone = alone();
    let Some(namespaces) = namespaces() else { return };
    let Some(group) = HalfCpu::new() else {
        loudly!("SKIPPED: no control group with a CPU quota can be made here");
        return;
    };
    let [a, b, garbage] = &namespaces.names;
    // Two processes of the host that compute, in a group that gives them half a CPU.
    let word = format!("spins-{b}");
    let spin = format!("for i in 1 2; do sh -c 'while :; do :; done' {word} & done; wait");
    let start = || {
        let mut ssh = Command::new(super::SCRIPT);
        ssh.args(["in", namespaces.directory(), "ssh", b, &spin]);
        ssh.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()
    };
    let begun = Instant::now();
    let (mut ssh, mut pids) = (start().unwrap(), Vec::new());
    while pids.len() < 2 {
        assert!(begun.elapsed() < Duration::from_secs(30), "sshd of {b} does not answer");
        if ssh.try_wait().unwrap().is_some() {
            // sshd was not there yet.
            ssh = start().unwrap();
        }
        std::thread::sleep(Duration::from_millis(100));
        pids = pids_with(&word);
    }
    for pid in &pids {
        std::fs::write(group.0.join("cgroup.procs"), pid).unwrap();
    }
    let problems = |hosts: &str| {
        let args = ["in", namespaces.directory(), CONCMON, "problems", "--json", "--for", "10", "--host", hosts];
        Command::new(super::SCRIPT).args(args).output().unwrap()
    };
    let output = problems(&format!("{a},{b}"));
    let found = document(&output);
    let warnings = found["findings"].as_array().unwrap().iter().filter(|finding| finding["level"] == "warning");
    let named: Vec<(&str, &str)> =
        warnings.map(|finding| (finding["host"].as_str().unwrap(), finding["id"].as_str().unwrap())).collect();
    // That two processes compute on half a CPU is a warning too.
    assert_eq!(named[0], (b.as_str(), "throttled"), "{found:#}");
    assert!(named.iter().all(|(host, _)| host == b), "{found:#}");
    assert_eq!(output.status.code(), Some(1));
    // A host that cannot be looked at takes nothing from the others.
    let output = problems(&format!("{garbage},{b}"));
    let found = document(&output);
    assert_eq!(output.status.code(), Some(3), "{found:#}");
    assert!(found["hosts"][0]["failed"].as_str().unwrap().contains("Welcome to this machine"), "{found:#}");
    assert_eq!(found["findings"][0]["host"], b.as_str(), "{found:#}");
    drop(group);
    ssh.wait().unwrap();
}
