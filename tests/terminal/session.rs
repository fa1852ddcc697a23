//! The built program in a real terminal: keys, mouse, and the terminal's state afterwards.

use std::process::{Child, ChildStdin, Command, Stdio};

use concmon::ui::clipboard;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use vt100::Screen;

use crate::support::exclusive::full_name;
use crate::support::key_script::{bytes, click, wheel};
use crate::support::pty::{Program, Pty, is_restored, row_of};

const CONCMON: &str = env!("CARGO_BIN_EXE_concmon");

fn open(rows: u16, columns: u16, args: &[&str]) -> Pty {
    let pty = Pty::spawn(&Program { program: CONCMON, args, rows, columns, env: &[] });
    wait_for_table(&pty);
    pty
}

fn wait_for_table(pty: &Pty) {
    // With a process in it: what is typed before the first sample has nothing to act on.
    let is_process =
        |line: &str| line.trim_start_matches(['>', ' ', '◆']).split(' ').next().is_some_and(|w| w.parse::<u32>().is_ok());
    pty.wait_until("the process table", |screen| {
        let below = |head: u16| screen.contents().lines().skip(usize::from(head) + 1).any(is_process);
        screen.alternate_screen() && row_of(screen, "COMMAND").is_some_and(below)
    });
}

/// A process that does nothing, with an argument that no other has.
struct Marker {
    child: Child,
    /// What it waits for; `Child::wait` would close it and so end the marker on its own account.
    _line_to_come: Option<ChildStdin>,
    name: String,
}

impl Marker {
    fn start(tag: &str) -> Self {
        let name = format!("marker{tag}{}", std::process::id());
        // `sleep` would refuse the name; a shell that waits for input it never gets does not.
        let mut child = Command::new("sh").args(["-c", "read line", &name]).stdin(Stdio::piped()).spawn().unwrap();
        Self { _line_to_come: child.stdin.take(), child, name }
    }

    fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits for its end: the signal that killed it, if one did.
    fn signal_of_end(&mut self) -> Option<i32> {
        use std::os::unix::process::ExitStatusExt as _;
        self.child.wait().unwrap().signal()
    }
}

impl Drop for Marker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_process_is_found_signalled_and_seen_to_vanish() {
    let mut marker = Marker::start("term");
    let mut pty = open(40, 160, &[]);
    pty.send(&bytes(&format!("/ '{}'", marker.name)));
    let pid = marker.pid().to_string();
    pty.wait_until("the marker's row", |screen| screen.contents().lines().any(|l| l.contains(&pid) && l.contains("read line")));
    pty.send(&bytes("Enter"));
    pty.send(&bytes("F9"));
    pty.wait_until("the signal dialog with its target", |screen| {
        let shown = screen.contents();
        shown.contains("SIGTERM") && shown.contains(&pid)
    });
    assert!(marker.child.try_wait().unwrap().is_none(), "one keystroke never kills");
    pty.send(&bytes("Enter"));
    assert_eq!(marker.signal_of_end(), Some(libc_sigterm()));
    pty.wait_until("the marker gone from the table", |screen| {
        !screen.contents().lines().any(|l| l.contains(&pid) && l.contains("read line") && !l.contains("killed"))
    });
    quit(pty);
}

fn libc_sigterm() -> i32 {
    Signal::SIGTERM as i32
}

fn quit(mut pty: Pty) {
    pty.send(&bytes("q"));
    let status = pty.wait_exit();
    assert!(status.success(), "{status:?}");
    pty.assert_restored();
}

#[test]
fn exactly_the_tagged_ones_get_the_signal() {
    let mut tagged = [Marker::start("taga"), Marker::start("tagb")];
    let mut other = Marker::start("tagc");
    let mut pty = open(40, 160, &[]);
    for marker in &tagged {
        let pid = marker.pid().to_string();
        pty.send(&bytes(&format!("/ '{}' Enter", marker.name)));
        pty.wait_until("the marker's row", |screen| screen.contents().lines().any(|l| l.contains(&pid)));
        pty.send(&bytes("Space"));
    }
    pty.wait_text("2 tagged");
    pty.send(&bytes("k"));
    let pids = [tagged[0].pid().to_string(), tagged[1].pid().to_string()];
    pty.wait_until("both in the dialog", |screen| {
        let shown = screen.contents();
        shown.contains("SIGTERM") && pids.iter().all(|pid| shown.contains(pid))
    });
    pty.send(&bytes("Enter"));
    for marker in &mut tagged {
        assert_eq!(marker.signal_of_end(), Some(libc_sigterm()));
    }
    assert!(other.child.try_wait().unwrap().is_none(), "the third was not tagged");
    quit(pty);
}

#[test]
fn every_way_out_gives_the_terminal_back() {
    for key in ["q", "F10", "C-c"] {
        let mut pty = open(24, 80, &[]);
        pty.send(&bytes(key));
        pty.wait_exit();
        pty.assert_restored();
    }
    let asks = [Signal::SIGTERM, Signal::SIGHUP, Signal::SIGINT];
    let others = [Signal::SIGQUIT, Signal::SIGUSR1, Signal::SIGUSR2, Signal::SIGALRM, Signal::SIGXCPU, Signal::SIGPWR];
    for signal in asks.into_iter().chain(others) {
        let pty = open(24, 80, &[]);
        kill(Pid::from_raw(pty.pid()), signal).unwrap();
        pty.wait_exit();
        pty.assert_restored();
    }
}

/// A shell in a terminal, as a person has it: Ctrl-Z, then `kill %1`, which continues what it is to end.
#[test]
fn a_suspended_monitor_ends_when_it_is_told_to() {
    let args = ["--norc", "--noprofile", "-i"];
    let mut pty = Pty::spawn(&Program { program: "bash", args: &args, rows: 24, columns: 80, env: &[("PS1", "ready> ")] });
    pty.wait_text("ready>");
    pty.send(format!("{CONCMON}\n").as_bytes());
    pty.wait_text("Quit");
    pty.send(&[0x1a]);
    pty.wait_text("Stopped");
    pty.send(b"kill %1; wait %1; echo it has 'ended'\n");
    pty.wait_text("it has ended");
    pty.send(b"exit\n");
    pty.wait_exit();
    pty.assert_restored();
}

/// A file that may not grow ends the recording, not the monitor.
#[test]
fn the_limit_of_file_sizes_is_survived() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("r.rec");
    let script = format!("ulimit -f 40; exec {CONCMON} -d 0.1 --record {}", file.display());
    let pty = Pty::spawn(&Program { program: "bash", args: &["-c", &script], rows: 24, columns: 80, env: &[] });
    pty.wait_text("recording has stopped");
    quit(pty);
}

/// The nice value as the kernel has it.
fn nice_of(pid: u32) -> i32 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    stat.rsplit_once(')').unwrap().1.split_whitespace().nth(16).unwrap().parse().unwrap()
}

#[test]
fn f8_makes_the_selected_process_politer() {
    let marker = Marker::start("nice");
    let before = nice_of(marker.pid());
    let mut pty = open(40, 160, &[]);
    pty.send(&bytes(&format!("/ '{}' Enter", marker.name)));
    let pid = marker.pid().to_string();
    pty.wait_until("the marker selected", |screen| screen.contents().lines().any(|l| l.starts_with('>') && l.contains(&pid)));
    pty.send(&bytes("F8"));
    pty.wait_until("the new nice value", |_| nice_of(marker.pid()) == before + 1);
    quit(pty);
}

/// What is copied is what a terminal takes out of the bytes; a command line that would fill the clipboard itself does not.
#[test]
fn y_copies_for_the_terminal_and_hostile_bytes_do_not() {
    let theirs = "\x1b]52;c;ZXZpbA==\x07";
    let marker = Marker::start(&format!("clip{theirs}"));
    let mut pty = open(40, 160, &[]);
    pty.send(&bytes("/ 'markerclip' Enter"));
    let pid = marker.pid().to_string();
    pty.wait_until("the marker selected", |screen| screen.contents().lines().any(|l| l.starts_with('>') && l.contains(&pid)));
    let command = format!("sh -c read line markerclip␛]52;c;ZXZpbA==␇{}", std::process::id());
    pty.send(&bytes("C-y"));
    pty.wait_bytes("the command line", clipboard::sequence(&command, false).as_bytes());
    pty.wait_text(&format!("copied the command line of PID {pid}"));
    pty.send(&bytes("N"));
    pty.wait_text("PID▲");
    pty.send(&bytes("y"));
    pty.wait_bytes("the pid", clipboard::sequence(&pid, false).as_bytes());
    pty.wait_text(&format!("copied PID of PID {pid}: {pid}"));
    assert!(!pty.has_written(b"\x1bPtmux;"), "there is no tmux here");
    assert!(!pty.has_written(theirs.as_bytes()), "an escape sequence of another process came through");
    quit(pty);
}

/// Keys that a person presses while only a text is asked for; and what is pasted is no keys at all.
#[test]
fn the_palette_runs_what_is_found_and_a_pasted_text_does_nothing_by_itself() {
    let mut marker = Marker::start("paste");
    let mut pty = open(40, 160, &[]);
    pty.send(&bytes(&format!("/ '{}' Enter", marker.name)));
    pty.send(b"\x1b[200~k\rq\r\x1b[201~");
    pty.wait_text("there is no text field");
    pty.send(&bytes("':zzqq'"));
    pty.wait_text(":zzqq_");
    pty.wait_text("no match");
    pty.send(&bytes("C-u 'spawn' Enter"));
    pty.wait_text("tree by creator");
    assert!(marker.child.try_wait().unwrap().is_none());
    quit(pty);
}

#[test]
fn a_terminal_without_a_name_is_refused_with_the_way_out() {
    for term in ["", "dumb"] {
        let program = Program { program: CONCMON, args: &[], rows: 24, columns: 80, env: &[("TERM", term)] };
        let pty = Pty::spawn(&program);
        assert!(!pty.wait_exit().success());
        let shown = pty.contents();
        assert!(shown.contains("TERM") && shown.contains("concmon ps"), "{shown}");
        pty.assert_restored();
    }
}

#[test]
fn readonly_signals_nobody() {
    let mut marker = Marker::start("ro");
    let mut pty = open(40, 160, &["--readonly"]);
    pty.send(&bytes(&format!("/ '{}' Enter", marker.name)));
    let pid = marker.pid().to_string();
    pty.wait_until("the marker's row", |screen| screen.contents().lines().any(|l| l.contains(&pid)));
    pty.send(&bytes("F9"));
    pty.wait_until("a word on readonly", |screen| {
        screen.contents().to_lowercase().contains("read-only") || screen.contents().contains("readonly")
    });
    // No dialog is open that Enter would confirm: it opens the details, which only read.
    pty.send(&bytes("Enter"));
    pty.wait_text("Limits");
    pty.send(&bytes("Esc"));
    pty.wait_until("the table again", |screen| !screen.contents().contains("Limits"));
    quit(pty);
    assert!(marker.child.try_wait().unwrap().is_none());
}

#[test]
fn ctrl_z_gives_the_terminal_to_the_shell_and_fg_takes_it_again() {
    // Without readline, which sets modes of its own at each prompt.
    let args = ["--norc", "--noprofile", "--noediting", "-i"];
    let mut pty = Pty::spawn(&Program { program: "bash", args: &args, rows: 30, columns: 100, env: &[("PS1", "shell> ")] });
    pty.wait_text("shell>");
    pty.send(format!("{CONCMON}\r").as_bytes());
    wait_for_table(&pty);
    pty.send(&bytes("C-z"));
    pty.wait_until("the shell's word on the stopped job", |screen| is_restored(screen) && screen.contents().contains("Stopped"));
    pty.send(b"fg\r");
    wait_for_table(&pty);
    pty.send(&bytes("q"));
    // The prompt itself: until it is there, what is typed may still be concmon's.
    pty.wait_until("the shell's prompt again", |screen| is_restored(screen) && screen.contents().trim_end().ends_with("shell>"));
    pty.send(b"echo left with $?\r");
    pty.wait_text("left with 0");
    pty.send(b"exit\r");
    pty.wait_exit();
}

#[test]
fn a_storm_of_sizes_leaves_a_whole_frame() {
    let mut pty = open(24, 80, &[]);
    let sizes = [(5, 20), (120, 400), (6, 300), (110, 21), (1, 1), (2, 2), (24, 80), (50, 132)];
    for (rows, columns) in sizes.into_iter().cycle().take(64) {
        pty.resize(rows, columns);
    }
    for (rows, columns) in [(5, 20), (120, 400)] {
        pty.resize(rows, columns);
        // The clock of the frame: the table's head is drawn for the new size.
        pty.wait_until("a frame of the new size", |screen| screen.size() == (rows, columns) && row_of(screen, "PID").is_some());
    }
    pty.wait_until("the key bar on the last line", |screen| row_of(screen, "Quit") == Some(119));
    quit(pty);
}

/// Input is drawn when it comes, not when the next sample does: that one is a minute away.
#[test]
fn a_key_is_drawn_at_once() {
    let mut pty = open(30, 100, &["-d", "60"]);
    for round in 0..10 {
        pty.send(&bytes("F1"));
        pty.wait_until("the help", |screen| screen.contents().contains("Help: type to search"));
        pty.send(&bytes("Esc"));
        pty.wait_until(&format!("the table again, round {round}"), |screen| !screen.contents().contains("Help: type to search"));
    }
    quit(pty);
}

/// The kernel's type information takes some 40 MiB while it is parsed: that is done by a process which is gone afterwards.
#[test]
fn loading_the_better_tier_leaves_no_peak_of_memory() {
    if let Err(error) = concmon::kernel::BpfSource::load() {
        loudly!("SKIPPED: {error}");
        return;
    }
    let pty = open(30, 140, &["-d", "0.2"]);
    pty.wait_text("(bpf");
    let status = std::fs::read_to_string(format!("/proc/{}/status", pty.pid())).unwrap();
    let peak = status.lines().find_map(|l| l.strip_prefix("VmHWM:")).unwrap();
    let peak_kib: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
    assert!(peak_kib < 40 * 1024, "{peak_kib} KiB at the most");
    quit(pty);
}

#[test]
fn the_mouse_selects_sorts_and_scrolls() {
    let mut pty = open(40, 160, &[]);
    let (row, column) = pty.wait_for("the PID title", |screen| {
        let row = row_of(screen, "COMMAND")?;
        let line = screen.rows(0, 160).nth(usize::from(row))?;
        let at = line.find("PID")?;
        Some((row, u16::try_from(line[..at].chars().count()).ok()?))
    });
    pty.send(&click(row, column + 1));
    // Ascending by PID: process 1, which every machine and container has, comes first.
    pty.wait_until("process 1 on top", |screen| {
        screen.rows(0, 160).nth(usize::from(row) + 1).is_some_and(|line| line.split_whitespace().any(|word| word == "1"))
    });
    pty.send(&wheel(row + 3, column, true));
    pty.send(&click(row + 2, column));
    quit(pty);
}

#[test]
fn help_lists_the_keys_and_goes_away() {
    let mut pty = open(50, 120, &[]);
    pty.send(&bytes("F1"));
    pty.wait_until("the help", |screen| screen.contents().contains("tag") && screen.contents().contains("F9"));
    pty.send(&bytes("Esc"));
    wait_for_table(&pty);
    quit(pty);
}

/// Run by the test below in a terminal of its own: not a test of anything by itself.
#[test]
#[ignore = "started by a_panic_gives_the_terminal_back_before_its_message"]
fn stage_that_panics() {
    let options = concmon::ui::terminal::TerminalOptions { mouse: true };
    let guard = concmon::ui::terminal::TerminalGuard::enter(options).unwrap();
    assert!(guard.is_taken());
    if std::env::var_os("CONCMON_PANIC_ELSEWHERE").is_some() {
        let _ = std::thread::spawn(|| panic!("the stage falls")).join();
        assert!(!guard.is_taken(), "whoever draws can tell");
    } else {
        panic!("the stage falls");
    }
}

#[test]
fn a_panic_gives_the_terminal_back_before_its_message() {
    let exe = std::env::current_exe().unwrap();
    for env in [&[][..], &[("CONCMON_PANIC_ELSEWHERE", "1")][..]] {
        let args = ["--exact", &full_name(module_path!(), "stage_that_panics"), "--ignored", "--nocapture"];
        let pty = Pty::spawn(&Program { program: exe.to_str().unwrap(), args: &args, rows: 24, columns: 100, env });
        pty.wait_exit();
        pty.assert_restored();
        // On the main screen, so it came after the alternate one was left.
        assert!(pty.contents().contains("the stage falls"), "{}", pty.contents());
    }
}

#[test]
fn what_is_set_up_is_saved_and_there_again_at_the_next_start() {
    let home = tempfile::tempdir().unwrap();
    let directory = home.path().join("concmon");
    std::fs::create_dir(&directory).unwrap();
    let file = directory.join("config.toml");
    std::fs::write(&file, "# mine\ndelay = 0.5 # fast\n").unwrap();
    let env = [("XDG_CONFIG_HOME", home.path().to_str().unwrap())];
    let start = |columns| {
        let pty = Pty::spawn(&Program { program: CONCMON, args: &[], rows: 30, columns, env: &env });
        wait_for_table(&pty);
        pty
    };
    let mut pty = start(160);
    assert!(pty.contents().contains(" PPID "), "one of the default columns");
    pty.send(&bytes("F2"));
    pty.wait_text("Set-up");
    pty.send(b"\x1b[B\x1b[B ");
    pty.wait_text("changed, not saved");
    // The first meter goes from the left to the right, which the header shows at once.
    pty.send(b"2 ");
    pty.wait_until("the meter on the other side", |s| s.contents().lines().any(|l| l.contains("   right  cpu:bar")));
    pty.send(b"s");
    pty.wait_text("saved to");
    pty.send(b"\x1b");
    let without =
        |s: &Screen| !s.contents().contains("Set-up ") && s.contents().contains("COMMAND") && !s.contents().contains(" PPID ");
    pty.wait_until("the table without the column", without);
    pty.send(b"q");
    assert_eq!(pty.wait_exit().exit_code(), 0);
    pty.assert_restored();
    let saved = std::fs::read_to_string(&file).unwrap();
    assert!(saved.starts_with("# mine\ndelay = 0.5 # fast\ncolumns = [\"pid\", \"tid\", \"user\", "), "{saved}");
    assert!(saved.contains("\nmeters_left = [\"cpus:bar\", ") && saved.contains("\nmeters_right = [\"cpu:bar\", "), "{saved}");
    let mut again = start(160);
    again.wait_until("the table as it was saved", without);
    again.send(b"q");
    again.wait_exit();
}
