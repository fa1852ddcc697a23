//! The command line: exit codes, messages, pipes.

use std::io::Read as _;
use std::process::{Command, Output, Stdio};

fn concmon(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_concmon"));
    command.args(args).env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("LANG", "C.UTF-8");
    command.env("TERM", "xterm-256color").stdin(Stdio::null());
    command
}

fn run(args: &[&str]) -> Output {
    concmon(args).output().unwrap()
}

/// The one line it said on standard error, and its exit code.
fn refusal(args: &[&str]) -> (i32, String) {
    let output = run(args);
    assert!(output.stdout.is_empty(), "nothing on standard output: {}", String::from_utf8_lossy(&output.stdout));
    (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
}

fn assert_refused(args: &[&str], words: &[&str]) {
    let (code, said) = refusal(args);
    assert_eq!(code, 2, "{args:?}: {said}");
    for word in words {
        assert!(said.contains(word), "{args:?} says {word:?}: {said}");
    }
    assert!(!said.contains("panicked"), "{said}");
}

#[test]
fn unknown_flags_and_values_are_named_with_the_nearest() {
    assert_refused(&["--readonl"], &["--readonl", "--readonly"]);
    assert_refused(&["--source", "bpff"], &["bpff", "bpf"]);
    assert_refused(&["laab", "list"], &["laab", "lab"]);
    assert_refused(&["ps", "--json", "--csv"], &["--json", "--csv"]);
    assert_refused(&["-p", "0"], &["0"]);
    assert_refused(&["-p", "sshd"], &["sshd", "this must be the number of a process"]);
    assert_refused(&["-d", "fast"], &["fast", "this must be a number of seconds"]);
    assert_refused(&["-d", "-1"], &["--delay: -1 is not between 0.1 and 60 seconds"]);
    assert_refused(&["-s", "zzzz"], &["there is no column \"zzzz\" (`concmon ps --columns help` lists them)"]);
    assert_refused(&["-F", "cpu >"], &["filter: a value is missing here\n  cpu >\n       ^\n"]);
    assert_refused(&["ps", "--columns", "pid,comand"], &["comand", "command"]);
    assert_refused(&["ps", "--samples", "0"], &["0", "1..=1000"]);
}

#[test]
fn a_bad_config_key_is_named_with_its_line() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("config.toml");
    std::fs::write(&path, "tree = true\n\ndelay = 0\n").unwrap();
    let name = path.to_str().unwrap();
    assert_refused(&["--config", name, "ps"], &[&format!("{name}:3:9: delay: 0 is not between 0.1 and 60 seconds")]);
    assert_refused(
        &["ps", "--config", "/nonexistent/x.toml"],
        &["cannot read the config file /nonexistent/x.toml: No such file"],
    );
}

#[test]
fn a_config_key_of_a_later_version_is_a_warning_and_concmon_starts() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("config.toml");
    std::fs::write(&path, "tree = true\n\ndealy = 2\n[next_year]\nx = 1\n").unwrap();
    let name = path.to_str().unwrap();
    let output =
        Command::new(env!("CARGO_BIN_EXE_concmon")).args(["--config", name, "ps", "--columns", "pid", "--csv"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(said.contains(&format!("concmon: warning: {name}:3:1: unknown key \"dealy\": did you mean \"delay\"?\n")), "{said}");
    assert!(said.contains("4:2: unknown key \"next_year\""), "{said}");
    assert!(output.stdout.starts_with(b"pid"), "the table is printed all the same");
}

#[test]
fn numbers_that_are_none_are_refused_in_plain_words() {
    let workers = |number: &'static str| ["lab", "run", "native/fork", "--workers", number];
    assert_refused(&workers("abc"), &["it is not a whole number"]);
    assert_refused(&workers("99999999999"), &["is not in 0..="]);
    let (_, said) = refusal(&workers("\x1b]0;mine\x07"));
    assert!(said.contains("whole number") && !said.contains(['\x1b', '\x07']), "{said:?}");
}

#[test]
fn an_unknown_theme_is_bad_usage_and_the_known_ones_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("config.toml");
    std::fs::write(&file, "theme = \"solarised\"\n").unwrap();
    assert_refused(&["--config", file.to_str().unwrap()], &["config.toml", "solarised", "default"]);
}

#[test]
fn what_a_run_is_asked_for_cannot_talk_to_the_terminal() {
    for id in ["native/\x1b]0;mine\x07fork", "native/\u{202e}krof"] {
        let (code, said) = refusal(&["lab", "run", id]);
        assert_eq!(code, 2, "{said}");
        assert!(!said.contains(['\x1b', '\x07', '\u{202e}']), "{said:?}");
    }
}

#[test]
fn a_hostile_config_cannot_talk_to_the_terminal() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("config.toml");
    std::fs::write(&path, "\"\\u001b]0;owned\\u0007\" = 1\n").unwrap();
    let output = run(&["--config", path.to_str().unwrap(), "ps"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && !said.contains('\x1b') && said.contains("owned"), "{said:?}");
    std::fs::write(&path, "sort = \"\\u001b]0;owned\\u0007\"\n").unwrap();
    let (code, said) = refusal(&["--config", path.to_str().unwrap(), "ps"]);
    assert_eq!(code, 2);
    assert!(!said.contains('\x1b') && said.contains("owned"), "{said:?}");
}

#[test]
fn without_a_terminal_it_says_so_and_points_to_ps() {
    let (code, said) = refusal(&[]);
    assert_eq!(code, 2);
    assert!(said.contains("not a terminal") && said.contains("concmon ps"), "{said}");
}

#[test]
fn help_and_version_are_no_failures() {
    for args in [&["--help"][..], &["--version"], &["ps", "--help"], &["lab", "--help"]] {
        let output = run(args);
        assert_eq!(output.status.code(), Some(0));
        assert!(!output.stdout.is_empty() && output.stderr.is_empty(), "{args:?}");
    }
    let help = String::from_utf8(run(&["--help"]).stdout).unwrap();
    assert!(!help.contains("__lab"), "hidden entries stay hidden");
}

#[test]
fn ps_finds_this_very_process() {
    let me = std::process::id().to_string();
    let output = run(&["ps", "--json", "--samples", "1", "-p", &me, "--columns", "pid,ppid,nlwp,rss,cpu,command"]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(document["schema"], "concmon.ps/1");
    let rows = document["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0]["pid"], std::process::id());
    assert!(rows[0]["rss_bytes"].as_u64().unwrap() > 100_000);
    assert!(rows[0]["cpu_percent"].is_null(), "one sample has no rates");
}

#[test]
fn ps_filters_and_names_a_filters_mistake_by_its_column() {
    let me = std::process::id();
    let output = run(&["ps", &format!("pid={me} or pid=1"), "--json", "--samples", "1", "--columns", "pid"]);
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let mut pids: Vec<_> = document["rows"].as_array().unwrap().iter().filter_map(|r| r["pid"].as_u64()).collect();
    pids.sort_unstable();
    assert_eq!(pids, [1, u64::from(me)]);
    let none = run(&["ps", "pid=1 and pid=2", "--json", "--samples", "1"]);
    let none: serde_json::Value = serde_json::from_slice(&none.stdout).unwrap();
    assert_eq!(none["rows"], serde_json::json!([]), "no row is an empty list and no failure");
    assert_refused(&["ps", "cpu>"], &["filter: a value is missing here\n  cpu>\n      ^\n"]);
}

#[test]
fn every_column_is_listed_for_those_who_ask() {
    let text = String::from_utf8(run(&["ps", "--columns", "help"]).stdout).unwrap();
    let output = run(&["ps", "--columns", "help", "--json"]);
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(document["schema"], "concmon.columns/1");
    let columns = document["columns"].as_array().unwrap();
    assert_eq!((columns.len(), text.lines().count()), (concmon::columns::COLUMNS.len(), columns.len()));
    for (column, line) in columns.iter().zip(text.lines()) {
        assert!(
            line.starts_with(column["id"].as_str().unwrap()) && line.ends_with(column["description"].as_str().unwrap()),
            "{line}"
        );
    }
    assert_refused(&["ps", "--columns", "help,pid"], &["there is no column \"help\""]);
}

#[test]
fn ps_draws_the_tree_of_what_passes() {
    let mut child = Command::new("sh").args(["-c", "read line; exit 0"]).stdin(Stdio::piped()).spawn().unwrap();
    let (me, it) = (std::process::id(), child.id());
    let pids = format!("{me},{it}");
    let output = run(&["ps", "--tree", "--json", "--samples", "1", "-p", &pids, "--columns", "pid,ppid"]);
    drop(child.stdin.take());
    child.wait().unwrap();
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let rows: Vec<_> = document["rows"].as_array().unwrap().iter().map(|r| (r["pid"].as_u64(), r["depth"].as_u64())).collect();
    assert_eq!(rows, [(Some(u64::from(me)), None), (Some(u64::from(it)), Some(1))]);
}

#[test]
fn two_samples_have_rates_and_the_measured_interval() {
    let me = std::process::id().to_string();
    let output = run(&["ps", "--json", "-d", "0.2", "-p", &me, "--columns", "pid,cpu"]);
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(document["interval_ns"].as_u64().unwrap() >= 200_000_000, "{document}");
    assert!(document["rows"][0]["cpu_percent"].is_number(), "{document}");
}

#[test]
fn every_thread_is_a_row_with_threads() {
    let (tell, wait) = std::sync::mpsc::channel::<()>();
    let wait = std::sync::Arc::new(std::sync::Mutex::new(wait));
    let threads: Vec<_> = (0..5)
        .map(|_| {
            let wait = std::sync::Arc::clone(&wait);
            std::thread::spawn(move || wait.lock().unwrap().recv().is_err())
        })
        .collect();
    let me = std::process::id().to_string();
    let output = run(&["ps", "--json", "--samples", "1", "-H", "-p", &me, "--columns", "pid,tid"]);
    drop(tell);
    assert!(threads.into_iter().all(|t| t.join().unwrap()), "they waited for the end of the channel");
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let tids: std::collections::BTreeSet<_> = document["rows"].as_array().unwrap().iter().map(|r| r["tid"].as_u64()).collect();
    assert!(tids.len() >= 6, "{document}");
}

#[test]
fn a_closed_pipe_is_the_end_and_no_failure() {
    for args in [&["ps", "--samples", "1"][..], &["ps", "--samples", "1", "--json"], &["--help"]] {
        let mut child = concmon(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // There is no reader: the first write, however short, finds the pipe closed.
        drop(child.stdout.take());
        let mut said = String::new();
        child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(0), "{args:?}: {said}");
        assert_eq!(said, "", "{args:?}");
    }
}

#[test]
fn lab_refuses_what_the_machine_should_not_do_with_the_figures() {
    assert_refused(&["lab", "run", "native/fork", "--workers", "0"], &["--workers", "at least 1"]);
    assert_refused(&["lab", "run", "native/fork", "--workers", "1000000000"], &["1000000000", "256"]);
    assert_refused(&["lab", "run", "native/fork", "--task", "factoral"], &["factoral", "factorial"]);
    let (code, said) = refusal(&["lab", "run", "native/fork", "--parent-mb", "4000000000"]);
    assert!(matches!(code, 2 | 3), "{code}: {said}");
    assert!(said.contains("4000000000") || said.contains("MiB"), "{said}");
}

#[test]
fn an_unknown_system_is_named_with_the_nearest() {
    assert_refused(&["lab", "run", "native/fokr"], &["native/fokr", "did you mean native/fork?"]);
    assert_refused(&["lab", "run", "pyton/fork"], &["did you mean python/fork?"]);
    assert_refused(&["lab", "run", "fork"], &["did you mean native/fork or python/fork?"]);
    assert_refused(&["lab", "run", "native/nope"], &["`concmon lab list` lists them"]);
}

#[test]
fn a_standard_error_that_is_closed_changes_nothing() {
    let status = concmon(&["ps", "--sort", "nothing"]).stderr(Stdio::null()).stdout(Stdio::null()).status().unwrap();
    assert_eq!(status.code(), Some(2));
}

#[test]
fn lab_list_and_run_give_one_json_object_each() {
    let list = run(&["lab", "list", "--json"]);
    assert_eq!(list.status.code(), Some(0));
    let list: serde_json::Value = serde_json::from_slice(&list.stdout).unwrap();
    let ids: Vec<_> = list["systems"].as_array().unwrap().iter().filter_map(|s| s["id"].as_str()).collect();
    assert!(ids.contains(&"native/fork"), "{ids:?}");

    let output = run(&["lab", "run", "native/fork", "--workers", "1,2", "--tasks", "2", "--task", "none", "--json"]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(document["schema"].as_str().unwrap().starts_with("concmon.lab.run/"), "{document}");
    assert_eq!(document["runs"].as_array().unwrap().len(), 2, "{document}");
}

#[test]
fn a_config_raises_and_lowers_the_limit_of_workers() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("config.toml");
    std::fs::write(&path, "[lab]\nmax_workers = 1\n").unwrap();
    assert_refused(
        &["--config", path.to_str().unwrap(), "lab", "run", "native/fork", "--workers", "2"],
        &["limit of 1", "max_workers"],
    );
}

/// The lines of `concmon events --json` while `stage` ran, from a listener that was up before.
fn events_during(stage: impl FnOnce()) -> Vec<serde_json::Value> {
    use std::io::BufRead as _;
    let mut child =
        concmon(&["events", "--json", "--source", "proc"]).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut lines = std::io::BufReader::new(child.stdout.take().unwrap()).lines();
    // Its own threads and ours make events: it prints some once it listens. A marker makes sure.
    let (done, told) = std::sync::mpsc::channel();
    let marker = std::thread::spawn(move || {
        while told.recv_timeout(std::time::Duration::from_millis(50)).is_err() {
            Command::new("true").status().unwrap();
        }
    });
    let first = lines.next().unwrap().unwrap();
    done.send(()).unwrap();
    marker.join().unwrap();
    stage();
    let mut seen = vec![serde_json::from_str(&first).unwrap()];
    let end = Command::new("sh").args(["-c", "exit 77"]).spawn().unwrap();
    let last = end.id();
    std::thread::spawn(move || {
        let mut end = end;
        end.wait()
    });
    for line in lines.map_while(Result::ok) {
        let event: serde_json::Value = serde_json::from_str(&line).unwrap();
        let over = event["event"] == "exit" && event["pid"] == last;
        seen.push(event);
        if over {
            break;
        }
    }
    child.kill().unwrap();
    child.wait().unwrap();
    seen
}

#[test]
fn events_tell_who_was_born_and_how_it_ended() {
    let mut pid = 0;
    let events = events_during(|| {
        // Lives until its input ends: also a comparison of process lists sees it.
        let mut child = Command::new("sh").args(["-c", "read line; exit 3"]).stdin(Stdio::piped()).spawn().unwrap();
        pid = child.id();
        let mut other =
            concmon(&["events", "--json", "--for", "0.5"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        other.wait().unwrap();
        drop(child.stdin.take());
        child.wait().unwrap();
    });
    let of = |name: &str| {
        events.iter().find(|e| e["event"] == name && e["pid"] == pid && e["tid"].as_u64().is_none_or(|t| t == u64::from(pid)))
    };
    assert!(of("fork").is_some(), "{events:#?}");
    let exit = of("exit").unwrap_or_else(|| panic!("{events:#?}"));
    assert!(exit["exit_code"] == 3 || exit["exit_code"].is_null(), "the code, or unknown where only lists are compared: {exit}");
    assert!(events.iter().all(|e| e["schema"] == "concmon.event/1"));
}
