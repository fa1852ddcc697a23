//! Least privilege: processes of the lab have no capabilities, and `--readonly` makes no system call that changes another process.

use std::process::{Child, Command, Stdio};
use std::time::Instant;

use concmon::lab::catalog::{RunSpec, TaskKind};

use crate::support::key_script::bytes;
use crate::support::lab::{PATIENCE, await_workers, launcher, spec};
use crate::support::programs;
use crate::support::pty::{Program, Pty, row_of};

const CONCMON: &str = env!("CARGO_BIN_EXE_concmon");

/// CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH (capability.h): reading files, the one thing that root's runs keep.
const READING: u64 = 1 << 1 | 1 << 2;

fn status(pid: i32, key: &str) -> String {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
    line.unwrap_or_else(|| panic!("{key} of {pid}")).trim().to_owned()
}

fn capabilities(pid: i32, key: &str) -> u64 {
    u64::from_str_radix(&status(pid, key), 16).unwrap()
}

fn assert_powerless(pid: i32, what: &str) {
    for key in ["CapInh", "CapAmb"] {
        assert_eq!(capabilities(pid, key), 0, "{key} of {what}");
    }
    for key in ["CapPrm", "CapEff"] {
        assert_eq!(capabilities(pid, key) & !READING, 0, "{key} of {what}");
    }
    assert_eq!(status(pid, "NoNewPrivs"), "1", "{what} cannot gain any by exec");
}

#[test]
fn nothing_that_the_lab_starts_has_capabilities() {
    let launcher = launcher();
    for system in ["native/fork", "native/exec", "native/spawn", "native/forkserver", "native/thread"] {
        let long = RunSpec { workers: 2, tasks: 2, task_size: Some(60_000), ..spec(system, TaskKind::Sleep) };
        let id = launcher.launch(long).unwrap();
        let run = await_workers(&launcher, id, 2);
        for pid in run.workers.iter().filter_map(|w| w.pid).chain(run.root_pid) {
            assert_powerless(pid, system);
        }
        launcher.stop(id);
    }
}

struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The binary as README has it made privileged, in a directory that all users may use; `None`, said loudly, where that is impossible.
fn capable() -> Option<(tempfile::TempDir, std::path::PathBuf)> {
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let copy = directory.path().join("concmon");
    programs::copy(CONCMON, &copy);
    std::fs::set_permissions(directory.path(), std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    let capable = Command::new("setcap").arg("cap_bpf,cap_perfmon+ep").arg(&copy).output();
    if !capable.as_ref().is_ok_and(|output| output.status.success()) {
        loudly!("SKIPPED: setcap(8) cannot be used here: {capable:?}");
        return None;
    }
    Some((directory, copy))
}

/// Once the task iterator is loaded the capabilities that loading took are not needed.
#[test]
fn the_monitor_lets_go_of_its_capabilities_when_it_has_loaded() {
    if let Err(error) = concmon::kernel::BpfSource::load() {
        loudly!("SKIPPED: {error}");
        return;
    }
    let Some((_directory, copy)) = capable() else { return };
    let args = ["--reuid=65534", "--regid=65534", "--clear-groups", copy.to_str().unwrap(), "-d", "0.2"];
    let mut pty = Pty::spawn(&Program { program: "setpriv", args: &args, rows: 40, columns: 160, env: &[] });
    let tier = |screen: &vt100::Screen| screen.contents().lines().next().is_some_and(|line| line.contains("(bpf"));
    pty.wait_until("the better tier", tier);
    let tasks = || std::fs::read_dir(format!("/proc/{}/task", pty.pid())).unwrap().flatten().map(|e| e.path());
    let held = || -> Vec<String> {
        let mut held = Vec::new();
        for task in tasks() {
            let status = std::fs::read_to_string(task.join("status")).unwrap_or_default();
            let name = status.lines().next().unwrap_or_default().to_owned();
            let powers = status.lines().filter(|line| line.starts_with("Cap") && !line.starts_with("CapBnd"));
            held.extend(powers.filter(|line| !line.ends_with("\t0000000000000000")).map(|line| format!("{name} {line}")));
        }
        held
    };
    // The thread that loaded ends when it has handed over.
    let until = Instant::now() + PATIENCE;
    while !held().is_empty() {
        assert!(Instant::now() < until, "still held: {:?}", held());
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    // And it goes on sampling in the same tier: the uptime or any figure changes.
    let before = pty.contents();
    pty.wait_until("another sample", |screen| screen.contents() != before);
    pty.wait_until("the tier as it was", tier);
    pty.send(&bytes("q"));
    assert!(pty.wait_exit().success());
}

/// Each re-execution of such a binary would give the capabilities again.
#[test]
fn a_binary_with_capabilities_of_its_own_hands_none_to_its_runs() {
    let Some((directory, copy)) = capable() else { return };
    let mark = format!("privilege-{}", std::process::id());
    let child = Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .arg(&copy)
        .args(["lab", "run", "native/fork", "--task", "sleep:60000", "--workers", "2", "--tasks", "2"])
        .env("CONCMON_TEST_MARK", &mark)
        .env("HOME", "/")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(std::fs::File::create(directory.path().join("said")).unwrap())
        .spawn();
    let Ok(child) = child else {
        loudly!("SKIPPED: setpriv(1) does not start");
        return;
    };
    let mut child = Killed(child);
    let main = i32::try_from(child.0.id()).unwrap();
    let until = Instant::now() + PATIENCE;
    let wanted = format!("CONCMON_TEST_MARK={mark}");
    let marked = || -> Vec<i32> {
        let pids = std::fs::read_dir("/proc").unwrap().flatten().filter_map(|e| e.file_name().to_str()?.parse().ok());
        pids.filter(|pid| {
            let environ = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            environ.split(|b| *b == 0).any(|v| v == wanted.as_bytes())
        })
        .collect()
    };
    // concmon itself, the helper and its guard, the root, two workers.
    while marked().len() < 6 {
        assert!(
            child.0.try_wait().unwrap().is_none(),
            "it ended: {}",
            std::fs::read_to_string(directory.path().join("said")).unwrap()
        );
        assert!(Instant::now() < until, "the run did not come up: {:?}", marked());
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    assert_ne!(capabilities(main, "CapPrm"), 0, "the file's capabilities were given to concmon");
    let name = |pid: i32| std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    let runs: Vec<i32> =
        marked().into_iter().filter(|pid| *pid != main && !["lab guard", "lab helper"].contains(&name(*pid).trim())).collect();
    assert!(runs.len() >= 3, "root and workers: {runs:?}");
    for pid in runs {
        assert_powerless(pid, &name(pid));
        assert_eq!(capabilities(pid, "CapEff"), 0, "nobody has nothing to keep");
    }
}

/// System calls that change another process, or give a way to.
const CHANGING: &str = "kill,tkill,tgkill,rt_sigqueueinfo,rt_tgsigqueueinfo,pidfd_send_signal,pidfd_getfd,ptrace,process_vm_writev,\
    process_madvise,setpriority,ioprio_set,sched_setaffinity,sched_setscheduler,sched_setparam,sched_setattr,prlimit64,move_pages,\
    migrate_pages,execve,execveat,setpgid,openat,open,creat,unlink,unlinkat,mkdir,mkdirat,rename,renameat,renameat2,write";

/// Every key that would change something is pressed under strace.
#[test]
fn readonly_makes_no_system_call_that_changes_another_process() {
    if !Command::new("strace").args(["-qq", "-e", "trace=none", "true"]).status().is_ok_and(|status| status.success()) {
        loudly!("SKIPPED: strace is not installed or may not trace here");
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("strace");
    let trace = format!("trace={CHANGING}");
    let args = ["-f", "-qq", "-y", "-o", log.to_str().unwrap(), "-e", &trace, "-e", "signal=none", CONCMON, "--readonly"];
    // An interpreter like those that write files when they start is first on PATH.
    let ran = directory.path().join("ran");
    for name in ["python3", "python3.15"] {
        let path = directory.path().join(name);
        programs::script(&path, &format!("#!/bin/sh\ntouch {}\nexec python3.11 \"$@\"\n", ran.display()));
    }
    let path = format!("{}:{}", directory.path().display(), std::env::var("PATH").unwrap_or_default());
    let env = [("PATH", path.as_str())];
    let mut pty = Pty::spawn(&Program { program: "strace", args: &args, rows: 40, columns: 160, env: &env });
    pty.wait_until("the process table", |screen| screen.alternate_screen() && row_of(screen, "COMMAND").is_some());
    pty.wait_until("a process", |screen| screen.contents().lines().any(|line| line.starts_with('>')));
    for key in [
        "F9", "Enter", "Esc", "k", "Esc", "F7", "F8", "[", "]", "a", "i", "Space", "c", "F9", "Esc", "U", "n", "f", "X", "L",
        "Tab", "Enter",
    ] {
        pty.send(&bytes(key));
    }
    pty.wait_text("is off with --readonly");
    // The lab reports of a Python system why no interpreter is known.
    pty.send(&bytes("End"));
    pty.wait_text("concmon is readonly");
    pty.send(&bytes("1"));
    pty.send(&bytes("F1"));
    pty.wait_text("Help: type to search");
    pty.send(&bytes("Esc"));
    pty.wait_until("the table again", |screen| !screen.contents().contains("Help: type to search"));
    pty.send(&bytes("q"));
    assert!(pty.wait_exit().success());
    let traced = std::fs::read_to_string(&log).unwrap();
    assert!(traced.lines().count() > 50, "strace has seen concmon work");
    let guilty: Vec<&str> = traced.lines().filter(|line| changes_another(line)).collect();
    assert!(guilty.is_empty(), "{}", guilty.join("\n"));
    assert!(!ran.exists(), "an interpreter was started");
    let calls = traced.lines().filter(|line| !line.contains("openat(") && !line.contains("write(")).count();
    loudly!(
        "--readonly: {} system calls looked at, {calls} of them of the kind that could change a process, 0 that did",
        traced.lines().count()
    );
}

/// Whether a line of strace's shows a change of anything that is not concmon's own.
fn changes_another(line: &str) -> bool {
    let Some((pid, call)) = line.split_once(char::is_whitespace) else { return false };
    let call = call.trim_start();
    let (name, arguments) = call.split_once('(').unwrap_or((call, ""));
    let first = arguments.split([',', ')', '<']).next().unwrap_or_default();
    match name {
        // Opened for reading, or something of its own that is no process: its terminal, the bit bucket, its event descriptors.
        "openat" | "open" => {
            let writes = ["O_WRONLY", "O_RDWR", "O_CREAT"].iter().any(|flag| arguments.contains(flag));
            writes && !["\"/dev/tty\"", "\"/dev/null\"", "\"/dev/pts/", "\"/dev/ptmx\""].iter().any(|own| arguments.contains(own))
        }
        "write" => arguments.contains("</proc/") || arguments.contains("</sys/"),
        // Asking for one's own limits, or those of process 0, which is oneself.
        "prlimit64" => first != "0" && first != pid,
        // How the calling thread itself is scheduled.
        "sched_setattr" => first != "0",
        // Itself, by strace and to load the BPF program.
        "execve" => !arguments.starts_with(&format!("\"{CONCMON}\"")) && !arguments.starts_with("\"/proc/self/exe\""),
        // A group of its own for a child that loads the BPF program, set by the child itself.
        "setpgid" => first != "0" && first != pid,
        // A thread that ended with the program before strace could look at what it was doing.
        "???" => false,
        _ if call.starts_with("+++") || call.starts_with("---") || call.starts_with("<...") => false,
        "tgkill" | "kill" | "tkill" => first != pid,
        _ => true,
    }
}
