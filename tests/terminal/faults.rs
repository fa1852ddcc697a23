//! The monitor where things are broken: a terminal that does not read, is gone, is tiny or huge, no descriptors, full disks.

use std::fs::File;
use std::io::Read as _;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::exclusive::{alone, busy, full_name};
use crate::support::gone;
use crate::support::key_script::bytes;
use crate::support::pty::{Program, Pty, row_of};

const CONCMON: &str = env!("CARGO_BIN_EXE_concmon");

fn open(rows: u16, columns: u16, args: &[&str]) -> Pty {
    let pty = Pty::spawn(&Program { program: CONCMON, args, rows, columns, env: &[] });
    pty.wait_until("the process table", |screen| screen.alternate_screen() && row_of(screen, "COMMAND").is_some());
    pty
}

fn quit(mut pty: Pty) {
    pty.send(&bytes("q"));
    assert!(pty.wait_exit().success());
    pty.assert_restored();
}

/// KiB of its own memory that are resident. Pages of its program are left out: they come in as they are executed.
fn own_kib(pid: i32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// The turns that each thread of this name has had on a CPU.
fn turns(pid: i32, thread: &str) -> u64 {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let mut tasks = tasks.map(|task| task.unwrap().path());
    let task = tasks.find(|task| std::fs::read_to_string(task.join("comm")).unwrap().trim() == thread).expect("the thread");
    let schedstat = std::fs::read_to_string(task.join("schedstat")).unwrap();
    schedstat.split_whitespace().nth(2).unwrap().parse().unwrap()
}

/// The process that loads the task iterator for this one, while there is one.
fn loader(pid: i32) -> Option<i32> {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).ok()?;
    let children = tasks.flatten().filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok());
    let pids: Vec<i32> = children.flat_map(|c| c.split_whitespace().map(|p| p.parse().unwrap()).collect::<Vec<_>>()).collect();
    let loads = |pid: &i32| std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|c| c.ends_with(b"__bpf-loader\0"));
    pids.into_iter().find(loads)
}

/// What the better tier comes from is stopped and never answers: the monitor continues with `/proc`, and ends at once anyway, and
/// the stopped process with it.
#[test]
fn a_source_that_is_stopped_holds_up_nobody() {
    let program = Program { program: CONCMON, args: &[], rows: 30, columns: 140, env: &[] };
    // It lives for a tenth of a second: looked for at once, and in several starts. One that was stopped after its work does not count.
    let caught = (0..8).find_map(|_| {
        let mut pty = Pty::spawn(&program);
        let until = Instant::now() + Duration::from_secs(2);
        while Instant::now() < until {
            if let Some(loader) = loader(pty.pid()) {
                let stopped = kill(Pid::from_raw(loader), Signal::SIGSTOP).is_ok();
                let state = std::fs::read_to_string(format!("/proc/{loader}/stat")).unwrap_or_default();
                if stopped && state.contains(") T ") {
                    pty.wait_until("the process table", |screen| {
                        screen.alternate_screen() && row_of(screen, "COMMAND").is_some()
                    });
                    pty.send(&bytes("5"));
                    pty.wait_until("the events", |screen| screen.contents().contains("[5 Events]"));
                    pty.send(&bytes("1"));
                    // A table that is late says so in the place of its source.
                    if pty.look(|screen| !screen.contents().lines().next().unwrap_or_default().contains(" bpf ")) {
                        return Some((pty, loader));
                    }
                    break;
                }
            }
            std::thread::yield_now();
        }
        quit(pty);
        None
    });
    let Some((pty, loader)) = caught else {
        loudly!("SKIPPED: no process that loads the task iterator was seen: this user may not load it");
        return;
    };
    let asked = Instant::now();
    quit(pty);
    assert!(asked.elapsed() < Duration::from_secs(5), "it waited for a process that is stopped: {:?}", asked.elapsed());
    gone::await_gone(loader, Duration::from_secs(5));
}

/// More births than the kernel keeps for a reader that is stopped: lost events are reported, and the table is true anyway.
#[test]
fn events_that_were_lost_are_counted_and_the_table_is_swept_whole() {
    let _busy = busy();
    if let Err(why) = concmon::kernel::events::EventStream::connect() {
        loudly!("SKIPPED: no event stream here: {why}");
        return;
    }
    let sleeper = |seconds: &str| Command::new("sleep").arg(seconds).spawn().unwrap();
    let mut leaves = sleeper("3141");
    let pty = open(30, 140, &["-d", "0.2", "-F", "cmd~\"sleep (3141|2718)\""]);
    pty.wait_text("sleep 3141");
    let monitor = Pid::from_raw(pty.pid());
    kill(monitor, Signal::SIGSTOP).unwrap();
    leaves.kill().unwrap();
    leaves.wait().unwrap();
    // A birth and a death each, a kilobyte or so of the kernel's memory both: some times the 16 MB that the socket may hold.
    let births = 40_000;
    for _ in 0..births {
        std::thread::spawn(|| ()).join().unwrap();
    }
    let mut comes = sleeper("2718");
    kill(monitor, Signal::SIGCONT).unwrap();
    pty.wait_until("what was lost", |screen| screen.contents().contains(" events lost"));
    pty.wait_until("only who is there", |screen| {
        row_of(screen, "sleep 2718").is_some() && row_of(screen, "sleep 3141").is_none()
    });
    // An overrun counts as one until the next event shows by its number how many are missing.
    let lost = pty.wait_for("how many", |screen| {
        let contents = screen.contents();
        let before = contents.split(" events lost").next()?;
        before.rsplit(' ').next()?.parse::<u64>().ok().filter(|lost| *lost > 1_000)
    });
    loudly!("{births} threads came and went while nobody read: {lost} events lost and said so, nobody missed");
    assert!(lost < 4 * births, "{lost}");
    comes.kill().unwrap();
    comes.wait().unwrap();
    quit(pty);
}

/// Ten seconds in which the terminal reads nothing: sampling goes on, nothing piles up, and afterwards a whole frame is there.
#[test]
fn a_terminal_that_reads_nothing_blocks_neither_sampling_nor_memory() {
    let _alone = alone();
    let pty = open(40, 160, &["-d", "0.1"]);
    pty.wait_until("rates, so that all is warm", |screen| screen.contents().contains(" ms") || screen.contents().contains("ms "));
    pty.pause(true);
    let begun = Instant::now();
    let wait_until = |seconds: u64| {
        std::thread::sleep(Duration::from_secs(seconds).saturating_sub(begun.elapsed()));
    };
    // The pty's own buffer is full after the first frames.
    wait_until(2);
    let (own, sampled) = (own_kib(pty.pid()), turns(pty.pid(), "sampler"));
    wait_until(10);
    let (own_after, sampled_after) = (own_kib(pty.pid()), turns(pty.pid(), "sampler"));
    assert!(sampled_after >= sampled + 20, "sampling went on: {sampled} then {sampled_after} turns in 8 s of 0.1 s ticks");
    assert!(own_after <= own + 1024, "nothing piles up: {own} KiB, then {own_after} KiB");
    loudly!(
        "10 s without a reader: {} turns of the sampler, {own} KiB of its own before and {own_after} KiB after",
        sampled_after - sampled
    );
    pty.pause(false);
    pty.wait_until("the table", |screen| row_of(screen, "COMMAND").is_some());
    quit(pty);
}

/// A signal to end is obeyed, even while concmon waits for a terminal that reads nothing.
#[test]
fn a_blocked_terminal_does_not_keep_it_from_ending() {
    for signal in [Signal::SIGTERM, Signal::SIGHUP] {
        let pty = open(60, 220, &["-d", "0.1"]);
        pty.pause(true);
        let blocked = || {
            let wchan = std::fs::read_to_string(format!("/proc/{}/wchan", pty.pid())).unwrap_or_default();
            let syscall = std::fs::read_to_string(format!("/proc/{}/syscall", pty.pid())).unwrap_or_default();
            wchan.contains("n_tty_write") || wchan.contains("tty") || syscall.starts_with("1 0x1 ")
        };
        let deadline = Instant::now() + Duration::from_secs(20);
        while !blocked() {
            assert!(Instant::now() < deadline, "it never had to wait for its terminal");
            std::thread::sleep(Duration::from_millis(20));
        }
        let begun = Instant::now();
        kill(Pid::from_raw(pty.pid()), signal).unwrap();
        pty.wait_dead();
        assert!(begun.elapsed() < Duration::from_secs(5), "{signal} was obeyed after {:?}", begun.elapsed());
    }
}

#[test]
fn sizes_from_one_cell_to_five_hundred_columns_are_drawn() {
    let mut pty = open(24, 80, &[]);
    for (rows, columns) in [(1, 1), (1, 500), (200, 1), (2, 3), (200, 500)] {
        pty.resize(rows, columns);
    }
    pty.wait_until("a frame of 500 columns", |screen| screen.size() == (200, 500) && row_of(screen, "Quit") == Some(199));
    for key in ["F1", "Esc", "Enter", "Esc", "F9", "Esc", "L", "Esc", "t", "E", "Esc"] {
        // Every dialog where there is no room for any.
        pty.resize(1, 1);
        pty.send(&bytes(key));
        pty.resize(3, 9);
    }
    pty.resize(40, 140);
    pty.wait_until("a whole frame again", |screen| screen.size() == (40, 140) && row_of(screen, "Quit") == Some(39));
    quit(pty);
}

/// Not a test: holds a terminal with a monitor until it is killed, which takes the terminal away.
#[test]
#[ignore = "started by the tests below, and killed by them"]
fn stage_of_a_terminal() {
    let Some(line) = std::env::var_os("STAGE_COMMAND") else { return };
    let line = line.to_str().unwrap().to_owned();
    let pty = Pty::spawn(&Program { program: "sh", args: &["-c", &line], rows: 30, columns: 100, env: &[] });
    pty.wait_until("the process table", |screen| row_of(screen, "COMMAND").is_some());
    println!("it is up");
    loop {
        std::thread::park();
    }
}

/// The terminal's window is closed: with the hang-up that the shell's session gets, and without it.
#[test]
fn a_terminal_that_goes_away_ends_it() {
    for (case, how) in [("hang-up", "exec"), ("no hang-up", "exec setsid -w")] {
        let mark = format!("concmon-faults-{}-{}", std::process::id(), case.len());
        let mut stage = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", &full_name(module_path!(), "stage_of_a_terminal"), "--ignored", "--nocapture"])
            .env("STAGE_COMMAND", format!("{how} {CONCMON} -d 0.2 -F \"comm!={mark}\""))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut told = String::new();
        let mut out = stage.stdout.take().unwrap();
        let mut byte = [0; 256];
        while !told.contains("it is up") {
            let n = out.read(&mut byte).unwrap();
            assert!(n > 0, "{case}: the stage fell: {told}");
            told.push_str(&String::from_utf8_lossy(&byte[..n]));
        }
        let mine = || -> Vec<i32> {
            let pids = std::fs::read_dir("/proc").unwrap().flatten().filter_map(|e| e.file_name().to_str()?.parse().ok());
            pids.filter(|pid| {
                let args = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
                args.starts_with(CONCMON.as_bytes()) && String::from_utf8_lossy(&args).contains(&mark)
            })
            .collect()
        };
        // A second one of that command line is the loader of its BPF programs, which ends by itself.
        assert!((1..=2).contains(&mine().len()), "{case}: {:?}", mine());
        stage.kill().unwrap();
        stage.wait().unwrap();
        let begun = Instant::now();
        while !mine().is_empty() {
            assert!(begun.elapsed() < Duration::from_secs(5), "{case}: still there: {:?}", mine());
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

#[test]
fn standard_input_at_its_end_is_no_reason_to_spin() {
    let line = format!("{CONCMON} -d 0.5 </dev/null");
    let mut pty = Pty::spawn(&Program { program: "sh", args: &["-c", &line], rows: 30, columns: 100, env: &[] });
    pty.wait_until("the process table", |screen| row_of(screen, "COMMAND").is_some());
    // Keys come from the controlling terminal then.
    pty.send(&bytes("F1"));
    pty.wait_text("Help: type to search");
    pty.send(&bytes("Esc"));
    pty.wait_until("the table again", |screen| !screen.contents().contains("Help: type to search"));
    quit(pty);
}

fn run(wrapper: &[&str], args: &[&str], out: Stdio) -> Output {
    let mut words: Vec<&str> = wrapper.to_vec();
    words.push(CONCMON);
    words.extend(args);
    Command::new(words[0]).args(&words[1..]).stdin(Stdio::null()).stdout(out).output().unwrap()
}

/// A full disk: one sentence, an exit code, nothing of a panic.
#[test]
fn a_full_disk_is_said_in_one_sentence() {
    for args in [
        &["ps", "--samples", "1"][..],
        &["ps", "--samples", "1", "--json"],
        &["ps", "--samples", "1", "--csv"],
        &["events", "--for", "0.3", "--json"],
        &["lab", "list"],
        &["lab", "list", "--json"],
        &["lab", "run", "native/fork", "--json"],
    ] {
        let output = run(&[], args, Stdio::from(File::options().write(true).open("/dev/full").unwrap()));
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        if args[0] == "events" && output.status.success() {
            // Nothing happened in that time, so nothing was written.
            continue;
        }
        assert_eq!(output.status.code(), Some(1), "{args:?}: {said}");
        assert!(said.contains("No space left on device") && !said.contains("panicked"), "{args:?}: {said}");
        assert_eq!(said.trim().lines().count(), 1, "{args:?}: {said}");
    }
}

/// Runs its arguments with no descriptor but the standard streams: other tests of this process, and its parent, may leave more
/// open.
const STANDARD_STREAMS: &str =
    r#"for fd in /proc/self/fd/*; do fd=${fd##*/}; [ "$fd" -le 2 ] || eval "exec $fd>&-"; done; exec "$@""#;

/// With hardly any descriptors it works, or says which limit is too low; it never panics and never shows an empty machine.
#[test]
fn few_descriptors_are_enough_or_are_said() {
    for limit in [4, 5, 6, 8, 10, 12, 16, 24, 32] {
        let wrapper = format!("--nofile={limit}:{limit}");
        let wrapper = ["bash", "-c", STANDARD_STREAMS, "bash", "prlimit", &wrapper];
        let output = run(&wrapper, &["ps", "--samples", "2", "-d", "0.1", "pid=1"], Stdio::piped());
        let (out, said) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(!said.contains("panicked"), "{limit}: {said}");
        if output.status.success() {
            assert!(out.lines().count() == 2, "{limit}: process 1 is there: {out}");
        } else {
            assert!(said.contains("concmon: ") || said.contains("prlimit") || said.contains("shared librar"), "{limit}: {said}");
        }
        if limit >= 10 {
            assert!(output.status.success(), "{limit} descriptors are enough: {said}");
        }
    }
}

/// The monitor needs more; with fewer it says so and leaves the terminal and the recording as they were.
#[test]
fn a_monitor_that_cannot_start_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("kept.rec");
    run(&[], &["ps", "--record", file.to_str().unwrap()], Stdio::piped());
    let before = std::fs::read(&file).unwrap();
    assert!(!before.is_empty());
    let output = run(&[], &["--record", file.to_str().unwrap()], Stdio::piped());
    assert!(String::from_utf8_lossy(&output.stderr).contains("is not a terminal"));
    assert_eq!(std::fs::read(&file).unwrap(), before, "the recording is still there");
    let output = run(&[], &["trace", "-o", directory.path().join("t.json").to_str().unwrap(), "4194303"], Stdio::piped());
    assert!(!output.status.success() && !directory.path().join("t.json").exists(), "no empty trace is left");
    for limit in [8, 15, 24] {
        let wrapper = format!("--nofile={limit}:{limit}");
        let args = ["-c", STANDARD_STREAMS, "bash", "prlimit", &wrapper, CONCMON];
        let pty = Pty::spawn(&Program { program: "bash", args: &args, rows: 24, columns: 80, env: &[] });
        pty.wait_text("the limit of open files is");
        assert!(!pty.wait_exit().success());
        pty.assert_restored();
    }
}

/// A file system that takes no writes, mounted for one program alone: `None` where no such thing may be made, which is said.
fn read_only<'a>(directory: &'a str, rest: &'a [&'a str]) -> Option<Vec<&'a str>> {
    const MOUNT: &str = "mount -t tmpfs -o ro tmpfs \"$0\" && exec \"$@\"";
    let words = |flags: &'a str| {
        let mut words = vec!["unshare", flags, "sh", "-c", MOUNT, directory];
        words.extend(rest);
        words
    };
    let may = |flags: &str| {
        let tried = Command::new("unshare").args([flags, "sh", "-c", MOUNT, directory, "true"]).output();
        tried.is_ok_and(|output| output.status.success())
    };
    let found = ["-m", "-rm"].into_iter().find(|flags| may(flags)).map(words);
    if found.is_none() {
        loudly!("SKIPPED: no mount namespace may be made here, so there is no read-only file system");
    }
    found
}

#[test]
fn a_report_onto_a_read_only_file_system_is_refused_in_one_sentence() {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path().to_str().unwrap();
    let page = format!("{at}/report.html");
    let args = ["lab", "compare", "native/fork", "native/thread", "--repeat", "1", "--workers", "1", "--html", &page];
    let Some(wrapper) = read_only(at, &[]) else { return };
    let output = run(&wrapper, &args, Stdio::piped());
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(matches!(output.status.code(), Some(1..=3)), "{:?}: {said}", output.status);
    assert!(said.contains("Read-only file system") && said.contains(&page) && !said.contains("panicked"), "{said}");
    assert_eq!(std::fs::read_dir(at).unwrap().count(), 0, "nothing was left outside either");
}

/// The set-up screen says that it could not save, and the monitor continues with what was chosen.
#[test]
fn settings_onto_a_read_only_file_system_are_kept_for_now_and_said() {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path().to_str().unwrap();
    let config = format!("{at}/concmon/config.toml");
    let rest = [CONCMON, "-d", "0.5"];
    let Some(words) = read_only(at, &rest) else { return };
    let env = [("XDG_CONFIG_HOME", at)];
    let mut pty = Pty::spawn(&Program { program: words[0], args: &words[1..], rows: 40, columns: 140, env: &env });
    pty.wait_until("the process table", |screen| row_of(screen, "COMMAND").is_some());
    pty.send(&bytes("F2"));
    pty.wait_text("Set-up");
    pty.send(&bytes("Space s"));
    pty.wait_text("Read-only file system");
    pty.send(&bytes("Esc Esc"));
    pty.wait_until("the table", |screen| row_of(screen, "COMMAND").is_some());
    quit(pty);
    assert!(!std::path::Path::new(&config).exists());
}

/// With hardly any address space the table is whole or there is none: closes in on the limit under which it ceases to work.
#[test]
fn little_memory_gives_a_whole_table_or_none() {
    let _busy = busy();
    let works = |kib: u64| {
        let wrapper = format!("--as={}", kib * 1024);
        let output =
            run(&["prlimit", &wrapper], &["ps", "--source", "proc", "--samples", "2", "-d", "0.1", "pid=1"], Stdio::piped());
        let (out, said) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        // Rust's own runtime gives up before `main` where there is no room for its signal stack; what is ours says so in words.
        assert!(!said.contains("panicked") || said.contains("failed to allocate an alternative stack"), "{kib} KiB: {said}");
        if output.status.success() {
            assert_eq!(out.lines().count(), 2, "{kib} KiB: process 1 is there: {out}");
        } else {
            assert!(out.is_empty(), "{kib} KiB: {}, and no half table: {out}", output.status);
        }
        output.status.success()
    };
    let (mut fails, mut enough) = (4 << 10, 1 << 20);
    assert!(!works(fails) && works(enough));
    while enough - fails > 64 {
        let middle = fails.midpoint(enough);
        *(if works(middle) { &mut enough } else { &mut fails }) = middle;
    }
    loudly!("{enough} KiB of addresses are enough, libraries and all; with {fails} there is no table");
}
