//! `concmon run -- CMD` is CMD in everything that it can notice: each property is asked for twice, bare and under concmon.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::exclusive::alone;
use crate::support::gone;
use crate::support::programs;
use crate::support::pty::{Program, Pty};

const CONCMON: &str = env!("CARGO_BIN_EXE_concmon");
const PROBE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/run_probe.py");
/// How long anything may take before a test fails.
const PATIENCE: Duration = Duration::from_secs(30);

/// An interpreter that is no wrapper script, or nothing, loudly.
fn python() -> Option<PathBuf> {
    let asked = Command::new("python3").args(["-c", "import sys; print(sys.executable)"]).output();
    let path = asked.ok().filter(|o| o.status.success()).map(|o| String::from_utf8_lossy(&o.stdout).trim().to_owned());
    if path.is_none() {
        loudly!("SKIPPED: there is no python3 on PATH, and this test needs one");
    }
    path.map(PathBuf::from)
}

/// What to put before a program.
fn forms() -> [Vec<&'static str>; 2] {
    [Vec::new(), vec![CONCMON, "run", "--"]]
}

/// The properties that the probe finds.
fn probed(python: &Path, before: &[&str], dir: &Path) -> BTreeMap<String, String> {
    let root = if nix::unistd::geteuid().is_root() { "root" } else { "user" };
    let mut command = Command::new(python);
    command.args([PROBE, "launch", dir.to_str().unwrap(), root]).args(before).arg(python).args([PROBE, "probe"]);
    command.arg(OsStr::from_bytes(b"not\xffUTF-8")).arg("").arg("two words");
    let out = dir.join("out");
    let output = command.stdout(std::fs::File::create(&out).unwrap()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{before:?}: {said}");
    assert!(!said.contains("Traceback"), "{said}");
    let text = String::from_utf8_lossy(&std::fs::read(out).unwrap()).into_owned();
    text.lines().filter_map(|line| line.split_once('\t')).map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

#[test]
fn a_program_finds_what_it_would_find_without_concmon() {
    let Some(python) = python() else { return };
    let dir = tempfile::tempdir().unwrap();
    let [bare, under] = forms().map(|before| probed(&python, &before, dir.path()));
    let differing: Vec<_> = bare.iter().filter(|(name, value)| under.get(*name) != Some(value)).collect();
    let report: Vec<String> =
        differing.iter().map(|(name, value)| format!("{name}: bare {value}, under concmon {:?}", under.get(*name))).collect();
    assert!(report.is_empty(), "{}", report.join("\n"));
    assert_eq!(bare.len(), under.len(), "more than the bare program finds: {under:?}");
    assert!(bare.len() >= 50, "{} properties", bare.len());
    // The surroundings were odd indeed, or this test would show nothing.
    assert!(!bare.contains_key("descriptor 0") && bare.contains_key("descriptor 200"), "{bare:?}");
    assert!(bare["limit Max open files"].starts_with("211 400") && bare["nice"] != "0", "{bare:?}");
}

#[test]
fn signals_that_were_ignored_or_blocked_stay_so_and_closed_streams_stay_closed() {
    // Asked of a program that changes none of it itself: SIGPIPE, above all.
    for prepare in
        [":", "trap '' HUP PIPE CHLD INT", "exec 0<&-", "exec 2>&-; exec 0</dev/null", "exec 1>&- 0<&-; exec 5</dev/null 1>&5"]
    {
        let ask = |before: &[&str]| {
            let script = format!("{prepare}; exec \"$@\"");
            let mut command = Command::new("bash");
            command.args(["-c", &script, "bash"]).args(before).args(["sh", "-c"]);
            let dir = tempfile::tempdir().unwrap();
            let found = dir.path().join("found");
            command.arg("{ grep ^Sig /proc/$$/status | grep -v SigQ; cd /proc/$$/fd; for f in *; do [ $f = 9 ] || readlink $f; done; true; } 9>\"$0\" >&9 2>/dev/null");
            command.arg(&found).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            assert!(command.status().unwrap().success(), "{prepare} {before:?}");
            let text = std::fs::read_to_string(found).unwrap();
            text.replace(dir.path().to_str().unwrap(), "DIR")
        };
        let [bare, under] = forms().map(|before| ask(&before));
        assert_eq!(bare, under, "after {prepare:?}");
        assert!(bare.contains("SigIgn"), "{bare}");
    }
}

#[test]
fn it_ends_as_the_program_ends() {
    for end in [
        "exit 0",
        "exit 1",
        "exit 42",
        "exit 255",
        "kill -TERM $$",
        "kill -KILL $$",
        "kill -PIPE $$",
        "kill -SEGV $$",
        "kill -INT $$",
    ] {
        let [bare, under] = forms().map(|before| {
            let words: Vec<&str> = before.into_iter().chain(["sh", "-c", end]).collect();
            let status = Command::new(words[0]).args(&words[1..]).stderr(Stdio::null()).status().unwrap();
            (status.code(), status.signal())
        });
        assert_eq!(bare, under, "{end}");
    }
}

#[test]
fn a_substituted_file_can_be_read_and_a_pipe_that_is_closed_ends() {
    let script = "\"$@\" cat <(echo from a process)";
    let [bare, under] = forms().map(|before| {
        let output = Command::new("bash").args(["-c", script, "bash"]).args(before).stderr(Stdio::null()).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    });
    assert_eq!((bare.as_str(), under.as_str()), ("from a process\n", "from a process\n"));
    // A program that goes on after it has closed its output: the reader sees the end at once.
    let mut child = Command::new(CONCMON)
        .args(["run", "--", "sh", "-c", "echo said; exec >&-; exec sleep 600"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut text = String::new();
    child.stdout.take().unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(text, "said\n");
    assert!(child.try_wait().unwrap().is_none(), "the program goes on");
    kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGTERM).unwrap();
    assert_eq!(child.wait().unwrap().signal(), Some(15));
}

#[test]
fn a_script_without_an_interpreter_line_and_one_with_a_missing_one() {
    let dir = tempfile::tempdir().unwrap();
    for (name, text, code, out) in
        [("plain", "echo $0 $1\n", 0, "./plain arg\n"), ("broken", "#!/no/such/interpreter\n", 127, "")]
    {
        let path = dir.path().join(name);
        programs::script(&path, text);
        let output =
            Command::new(CONCMON).args(["run", "--", &format!("./{name}"), "arg"]).current_dir(dir.path()).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{output:?}");
        assert_eq!(String::from_utf8_lossy(&output.stdout), out);
    }
}

/// Counts what arrives, and says so.
const COUNTER: &str = "trap 'echo got TERM' TERM; trap 'echo got USR1' USR1; trap 'echo got CONT' CONT; echo ready; \
                       while :; do read line || exit 0; echo \"heard $line\"; done";

#[test]
fn a_signal_arrives_once_whether_it_was_for_concmon_or_for_the_whole_group() {
    for group in [false, true] {
        let mut child = Command::new(CONCMON)
            .args(["run", "--", "bash", "-c", COUNTER])
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut input = child.stdin.take().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        assert_eq!(lines.next().as_deref(), Some("ready"));
        let pid = child.id().cast_signed();
        let target = Pid::from_raw(if group { -pid } else { pid });
        for name in ["TERM", "USR1", "TERM"] {
            kill(target, format!("SIG{name}").parse::<Signal>().unwrap()).unwrap();
            // bash runs a trap when `read` has returned or was interrupted; the line after it is the mark that nothing more came.
            assert_eq!(lines.next().unwrap(), format!("got {name}"), "to the group: {group}");
            // A second one would come within 5 ms: concmon waits so long for the other half of a signal to the group.
            let after = Instant::now() + Duration::from_millis(40);
            while Instant::now() < after {
                std::thread::yield_now();
            }
            writeln!(input, "mark").unwrap();
            assert_eq!(lines.next().unwrap(), "heard mark", "{name} came twice; to the group: {group}");
        }
        drop(input);
        assert_eq!(child.wait().unwrap().code(), Some(0));
    }
}

fn state(pid: i32) -> Option<char> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat[stat.rfind(')')? + 2..].chars().next()
}

fn children(pid: i32) -> Vec<i32> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    text.split_ascii_whitespace().map(|pid| pid.parse().unwrap()).collect()
}

fn await_that(what: &str, mut holds: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < until, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn a_program_that_is_stopped_and_continued_by_its_own_pid_goes_on() {
    let mut child = Command::new(CONCMON)
        .args(["run", "--", "bash", "-c", "echo $$; read line; exit 5"])
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let root: i32 = lines.next().unwrap().parse().unwrap();
    let front = child.id().cast_signed();
    for _ in 0..20 {
        kill(Pid::from_raw(root), Signal::SIGSTOP).unwrap();
        await_that("the front to stop with the program", || state(front) == Some('T'));
        kill(Pid::from_raw(root), Signal::SIGCONT).unwrap();
        await_that("both to go on", || state(front) != Some('T') && state(root) != Some('T'));
        // And the other way round: a user continues the front.
        kill(Pid::from_raw(root), Signal::SIGSTOP).unwrap();
        await_that("the front to stop with the program", || state(front) == Some('T'));
        kill(Pid::from_raw(front), Signal::SIGCONT).unwrap();
        await_that("both to go on", || state(front) != Some('T') && state(root) != Some('T'));
    }
    writeln!(child.stdin.take().unwrap(), "end").unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(5));
}

#[test]
fn a_shell_stops_and_continues_it_as_a_job() {
    let home = format!("{CONCMON} run --");
    let mut shell = Pty::spawn(&Program {
        program: "bash",
        args: &["--norc", "--noprofile", "--noediting", "-i"],
        rows: 50,
        columns: 100,
        env: &[("PS1", "prompt: "), ("RUN", &home)],
    });
    shell.wait_text("prompt: ");
    shell.send(b"$RUN bash -c 'trap \"echo got-INT; exit 7\" INT; echo rea\"\"dy; while :; do read -t 1000 line; echo he\"\"ard $line; done'\n");
    shell.wait_text("ready");
    let front = *children(shell.pid()).first().expect("the job");
    let watcher = *children(front).first().expect("the watcher");
    let root = *children(watcher).first().expect("the program");
    for round in 0..3 {
        shell.send(b"\x1a");
        await_that("the shell's word", || shell.contents().matches("Stopped").count() > round);
        assert_eq!((state(front), state(root)), (Some('T'), Some('T')), "the whole job is stopped");
        shell.send(b"fg\n");
        await_that("the job to go on", || state(front) != Some('T') && state(root) != Some('T'));
        shell.send(format!("line{round}\n").as_bytes());
        shell.wait_text(&format!("heard line{round}"));
    }
    shell.send(b"\x03");
    shell.wait_text("got-INT");
    shell.wait_text("exit code 7");
    shell.send(b"echo \"status=$?\"\n");
    shell.wait_text("status=7");
    let interrupts = shell.contents().lines().filter(|line| line.trim_end().ends_with("got-INT")).count();
    assert_eq!(interrupts, 1, "one Ctrl-C is one SIGINT:\n{}", shell.contents());
    // The foreground of the terminal is the program's too, and a program that asks for the next job's is refused as ever.
    shell.send(b"$RUN python3 -c 'import os; print(\"fore\" + \"ground\", os.tcgetpgrp(0) == os.getpgrp(), os.isatty(2))'\n");
    shell.wait_until("the terminal's answer", |screen| {
        let text = screen.contents();
        text.contains("foreground True True") || text.contains("not found") || text.contains("no program python3")
    });
    shell.send(b"$RUN sleep 1000\n");
    let only_child = |pid: &i32| children(*pid).first().copied();
    await_that("the next program", || {
        let root = only_child(&shell.pid()).as_ref().and_then(only_child).as_ref().and_then(only_child);
        root.is_some_and(|root| std::fs::read(format!("/proc/{root}/cmdline")).is_ok_and(|line| line.starts_with(b"sleep")))
    });
    shell.send(b"\x03");
    shell.wait_text("killed by SIGINT");
    shell.send(b"echo \"after=$?\"\n");
    shell.wait_text("after=130");
}

#[test]
fn a_daemon_is_ended_with_a_word_or_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    for detach in [false, true] {
        let file = dir.path().join(format!("pid{detach}"));
        // Those that were seen while the program ran are known to be left: it gives the watch time for some hundred looks.
        let script = format!(
            "setsid sh -c 'echo $$ > {0}; exec sleep 600' & while ! [ -s {0} ]; do sleep 0.01; done; sleep 0.5",
            file.display()
        );
        let mut command = Command::new(CONCMON);
        command.arg("run").args(detach.then_some("--detach")).args(["--", "sh", "-c", &script]);
        // The daemon holds no pipe of this test.
        let said = dir.path().join("said");
        let status =
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(std::fs::File::create(&said).unwrap()).status().unwrap();
        assert_eq!(status.code(), Some(0));
        let said = std::fs::read_to_string(said).unwrap();
        let daemon: i32 = std::fs::read_to_string(&file).unwrap().trim().parse().unwrap();
        if detach {
            assert!(matches!(state(daemon), Some('S' | 'R' | 'D')), "the daemon goes on: {said}");
            assert!(said.contains("left running, as --detach asks"), "{said}");
            kill(Pid::from_raw(daemon), Signal::SIGKILL).unwrap();
        } else {
            gone::await_gone(daemon, PATIENCE);
            assert!(said.contains("1 process outlived the program") && said.contains("--detach"), "{said}");
        }
    }
    let help = Command::new(CONCMON).args(["run", "--help"]).output().unwrap();
    assert!(String::from_utf8_lossy(&help.stdout).contains("--detach"));
}

#[test]
fn nothing_is_left_when_a_process_of_concmon_is_killed() {
    for which in ["front", "watcher"] {
        let mut child = Command::new(CONCMON)
            .args(["run", "--", "bash", "-c", "(setsid sleep 600 & echo $!); echo $$; read line"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(|line| line.unwrap().parse::<i32>().unwrap());
        let (orphan, root) = (lines.next().unwrap(), lines.next().unwrap());
        let front = child.id().cast_signed();
        let target = if which == "front" { front } else { children(front)[0] };
        kill(Pid::from_raw(target), Signal::SIGKILL).unwrap();
        child.wait().unwrap();
        gone::await_gone(root, PATIENCE);
        gone::await_gone(orphan, PATIENCE);
    }
}

/// The run in the JSON document of a program.
fn document_of(command: &[&str]) -> serde_json::Value {
    let output = Command::new(CONCMON).args(["run", "--json", "--"]).args(command).output().unwrap();
    let mut document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {output:?}"));
    document["runs"][0].take()
}

#[test]
fn peak_memory_is_never_below_what_the_kernel_knows_of_it() {
    let Some(python) = python() else { return };
    let python = python.to_str().unwrap();
    // 200 MiB held for an instant, by the program itself; by the child of a shim, and by four workers at once.
    let hold = "b = b'x' * (200 << 20)";
    let script = format!("{python} -c \"{hold}\"; :");
    for command in [vec![python, "-c", hold], vec!["sh", "-c", &script]] {
        let run = document_of(&command);
        let (rss, pss) = (run["peak_rss_bytes"].as_u64().unwrap(), run["peak_pss_bytes"].as_u64());
        assert!(rss > 200 << 20, "{command:?}: {rss} bytes");
        assert!(pss.is_none_or(|pss| pss <= rss), "{command:?}: PSS {pss:?} above RSS {rss}");
    }
    let pool = "import os, time\nr, w = os.pipe()\nfor _ in range(4):\n    if os.fork() == 0:\n        b = b'x' * (50 << 20); os.write(w, b'.'); time.sleep(1); os._exit(0)\n\
                for _ in range(4): os.read(r, 1)\nfor _ in range(4): os.wait()\n";
    let script = format!("{python} -c \"$POOL\"; :");
    let output = Command::new(CONCMON).args(["run", "--json", "--", "sh", "-c", &script]).env("POOL", pool).output().unwrap();
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let rss = document["runs"][0]["peak_rss_bytes"].as_u64().unwrap();
    assert!(rss > 200 << 20, "a pool behind a shim: {rss} bytes");
}

#[test]
fn the_axis_of_the_lanes_is_the_wall_time_and_the_workers_that_worked_are_shown() {
    let Some(python) = python() else { return };
    let program = "import threading, time\n\
                   idle = [threading.Thread(target=time.sleep, args=(.6,)) for _ in range(40)]\n[t.start() for t in idle]\n\
                   def spin():\n    open(f'/proc/self/task/{threading.get_native_id()}/comm', 'w').write('spinner')\n    end = time.thread_time() + .15\n    while time.thread_time() < end: pass\n\
                   t = threading.Thread(target=spin); t.start(); t.join()\n[t.join() for t in idle]\n";
    let output = Command::new(CONCMON).args(["run", "--"]).arg(python).args(["-c", program]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    let wall = said.split("wall").nth(1).unwrap().split("   ").find(|s| !s.trim().is_empty()).unwrap().trim();
    let axis = said.split("axis 0-").nth(1).unwrap().split(',').next().unwrap();
    let number = |text: &str| -> f64 {
        let (number, unit) = text.split_once(' ').unwrap();
        number.parse::<f64>().unwrap() * if unit == "s" { 1e3 } else { 1.0 }
    };
    assert!((number(axis) / number(wall) - 1.0).abs() < 0.02, "axis {axis}, wall {wall}:\n{said}");
    assert!(said.contains("sampled for") && said.contains("42 tasks seen") && said.contains("and 26 more"), "{said}");
    assert!(said.contains("spinner"), "the thread that worked, though it is the last of 42:\n{said}");
}

#[test]
fn running_under_concmon_costs_no_more_than_a_few_starts_of_a_program() {
    let _alone = alone();
    let spent = |command: &mut Command| {
        let begun = Instant::now();
        assert!(command.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap().success());
        begun.elapsed()
    };
    let (mut version, mut under) = (Duration::MAX, Duration::MAX);
    // Interleaved, and the quickest of each, as the machine may be busy.
    for _ in 0..40 {
        version = version.min(spent(Command::new(CONCMON).arg("--version")));
        under = under.min(spent(Command::new(CONCMON).args(["run", "--", "true"])));
    }
    println!("--version {version:?}, run -- true {under:?}");
    assert!(under < version * 6, "{under:?}, where concmon --version takes {version:?}");
}
