//! Processes with names, arguments, environments, programs and directories chosen by an attacker, drawn in a real terminal and exported: the
//! terminal is unchanged, columns stay aligned, and hidden characters are visible.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::support::key_script::bytes;
use crate::support::programs;
use crate::support::pty::{self, Program, Pty};

const CONCMON: &str = env!("CARGO_BIN_EXE_concmon");

/// A name (of at most 15 bytes, so that the kernel keeps all of it as comm) and what a person must see of it.
const FAMILY: &[(&[u8], &str)] = &[
    (b"plain", "plain"),
    (b"\x1b]0;owned\x07", "␛]0;owned␇"),
    (b"\x1b]2;o\x1b\\\x1b[2J", "␛]2;o␛\\␛[2J"),
    (b"\x1b[31;41m\x1b[5m", "␛[31;41m␛[5m"),
    (b"\x1b[?1049l\x1bc", "␛[?1049l␛c"),
    (b"\x1b]52;c;aGk=\x07", "␛]52;c;aGk=␇"),
    ("\u{9b}31m\u{9d}0;t\u{9c}".as_bytes(), "\\u{9b}31m\\u{9d}0;t\\u{9c}"),
    (b"\x9b31m\x90q\x84", "\\x9b31m\\x90q\\x84"),
    (b"a\nb\tc\r\x0bd\x0e", "a␊b␉c␍␋d␎"),
    ("\u{202e}gpj\u{2066}x".as_bytes(), "\\u{202e}gpj\\u{2066}x"),
    ("a\u{200b}\u{200d}\u{feff}b".as_bytes(), "a\\u{200b}\\u{200d}\\u{feff}b"),
    ("e\u{301}\u{302}\u{303}\u{304}\u{305}".as_bytes(), "e\u{301}\u{302}\\u{303}"),
    ("進程管理器".as_bytes(), "進程管理器"),
    ("👩\u{200d}👧\u{1f3fd}".as_bytes(), "👩\\u{200d}👧\\u{1f3fd}"),
    ("한\u{fe0f}글".as_bytes(), "한\\u{fe0f}글"),
    (b"\xff\xfe\xc3(", "\\xff\\xfe\\xc3("),
    (b"x) R 1 (", "x) R 1 ("),
    (b"=1+1", "=1+1"),
    (b"+1;cmd", "+1;cmd"),
    (b"-1", "-1"),
    (b"@SUM(A1)", "@SUM(A1)"),
    ("＝1＋1".as_bytes(), "＝1＋1"),
    (b"\t=1+1", "␉=1+1"),
    (b"\"',;\"", "\"',;\""),
];

/// A shell that waits for a line which never comes, under a name, arguments, environment, program, directory and open file of an attacker.
struct Member {
    child: Child,
    _line_to_come: Option<ChildStdin>,
}

impl Drop for Member {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn member(stage: &Path, name: &[u8], arguments: &[OsString]) -> Member {
    let program = stage.join(OsStr::from_bytes(name));
    programs::copy("/bin/sh", &program);
    let home = stage.join(OsString::from_vec([name, b".d"].concat()));
    std::fs::create_dir(&home).unwrap();
    let file = std::fs::File::create(home.join(OsStr::from_bytes(name))).unwrap();
    let text = OsStr::from_bytes(name);
    let mut command = Command::new(&program);
    command.arg0(text).args(["-c", "read line"]).args(arguments).current_dir(&home);
    command.env_clear().env("AAA_EVIL", text).stdin(Stdio::piped()).stdout(file.try_clone().unwrap());
    let mut child = command.spawn().unwrap();
    Member { _line_to_come: child.stdin.take(), child }
}

/// The whole family, and two more: 2 MB of arguments, and none.
fn family(stage: &Path) -> Vec<Member> {
    let mut all: Vec<Member> = FAMILY.iter().map(|(name, _)| member(stage, name, &[OsString::from_vec(name.to_vec())])).collect();
    // A quarter of the stack may be arguments (execve(2)), each of them at most 128 KiB. A limit is of the whole process: it is set for one
    // member only. Children of other tests that start meanwhile may have a larger stack, which changes nothing for them.
    let (soft, hard) = getrlimit(Resource::RLIMIT_STACK).unwrap();
    setrlimit(Resource::RLIMIT_STACK, (16 << 20).min(hard), hard).unwrap();
    let long = OsString::from_vec("\x1b]0;long\x07é".as_bytes().repeat(11_000));
    all.push(member(stage, b"long", &vec![long; 18]));
    setrlimit(Resource::RLIMIT_STACK, soft, hard).unwrap();
    let mut empty = Command::new("/bin/sh").arg0("").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    all.push(Member { _line_to_come: empty.stdin.take(), child: empty });
    all
}

fn pids(family: &[Member]) -> String {
    family.iter().map(|m| m.child.id().to_string()).collect::<Vec<_>>().join(",")
}

struct Stage {
    directory: tempfile::TempDir,
    family: Vec<Member>,
}

impl Stage {
    fn set() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let family = family(directory.path());
        let config = "columns = [\"pid\", \"comm\", \"state\", \"exe\", \"nlwp\", \"command\"]\nsort = \"pid:asc\"\n";
        std::fs::write(directory.path().join("config.toml"), config).unwrap();
        Self { directory, family }
    }

    fn config(&self) -> String {
        self.directory.path().join("config.toml").to_str().unwrap().to_owned()
    }

    fn ps(&self, args: &[&str]) -> String {
        let output = Command::new(CONCMON)
            .args(["ps", "--samples", "1", "--columns", "pid,comm,state,exe,nlwp,command", "-p", &pids(&self.family)])
            .args(args)
            .env_clear()
            .env("LANG", "C.UTF-8")
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("the output is UTF-8 whatever the names are")
    }
}

/// The modes that an attacker would change, as concmon itself has set them.
fn is_untouched(screen: &vt100::Screen) -> bool {
    screen.alternate_screen()
        && screen.hide_cursor()
        && !screen.application_keypad()
        && !screen.application_cursor()
        && screen.mouse_protocol_encoding() == vt100::MouseProtocolEncoding::Sgr
}

/// Every cell's colours, as `(row, column)` of those that are not the terminal's own: without colours there can be none.
fn coloured(screen: &vt100::Screen) -> Vec<(u16, u16)> {
    let (rows, columns) = screen.size();
    let places = (0..rows).flat_map(|row| (0..columns).map(move |column| (row, column)));
    let plain = |(row, column): &(u16, u16)| {
        screen
            .cell(*row, *column)
            .is_none_or(|cell| cell.fgcolor() == vt100::Color::Default && cell.bgcolor() == vt100::Color::Default)
    };
    places.filter(|place| !plain(place)).collect()
}

fn assert_untouched(pty: &Pty, where_: &str) {
    pty.look(|screen| {
        assert!(is_untouched(screen), "{where_}: modes changed\n{}", screen.contents());
        assert_eq!(coloured(screen), [], "{where_}: colours that concmon did not set");
        for c in screen.contents().chars().filter(|c| *c != '\n') {
            assert!(!c.is_control() && !concmon::text::is_invisible(c), "{where_}: {c:?} reached the screen");
        }
    });
    assert_eq!(pty.alarms(), [""; 0], "{where_}");
}

/// The text of the cells from one column to another (not included), as the terminal holds them.
fn cells(screen: &vt100::Screen, row: u16, from: u16, to: u16) -> String {
    let cells = (from..to).filter_map(|column| screen.cell(row, column)).filter(|cell| !cell.is_wide_continuation());
    cells.map(|cell| if cell.has_contents() { cell.contents() } else { " " }).collect()
}

/// Where the column of this title starts and ends, in cells.
fn column_of(screen: &vt100::Screen, title: &str) -> Option<(u16, u16, u16)> {
    let head = pty::row_of(screen, "COMMAND")?;
    let line = cells_of_row(screen, head);
    let at = line.find(title)?;
    let at = u16::try_from(line[..at].chars().count()).ok()?;
    Some((head, at, at + u16::try_from(title.len()).ok()?))
}

fn cells_of_row(screen: &vt100::Screen, row: u16) -> String {
    let (_, columns) = screen.size();
    (0..columns)
        .map(|column| screen.cell(row, column).map_or(' ', |cell| cell.contents().chars().next().unwrap_or(' ')))
        .collect()
}

/// The row whose PID column holds this.
fn row_of_pid(screen: &vt100::Screen, pid: u32) -> Option<u16> {
    let (rows, _) = screen.size();
    let (head, end, _) = column_of(screen, "COMM")?;
    (head + 1..rows).find(|row| cells(screen, *row, 0, end).trim_matches(['>', ' ', '◆']) == pid.to_string())
}

fn assert_columns(pty: &Pty, stage: &Stage, where_: &str) {
    for (member, (_, shown)) in stage.family.iter().zip(FAMILY) {
        let pid = member.child.id();
        // All of it at once: a frame arrives in pieces.
        pty.wait_until(&format!("{where_}: {shown} with every column in its place"), |screen| {
            let (Some(row), Some((_, state, after)), Some((_, _, threads)), Some((_, command, _))) =
                (row_of_pid(screen, pid), column_of(screen, " S "), column_of(screen, "THR"), column_of(screen, "COMMAND"))
            else {
                return false;
            };
            cells(screen, row, state, after) == " S "
                && cells(screen, row, threads - 2, threads) == " 1"
                && cells(screen, row, command, screen.size().1).contains(shown)
        });
    }
}

#[test]
fn a_family_of_hostile_processes_leaves_the_terminal_as_it_is() {
    let stage = Stage::set();
    let (config, pids) = (stage.config(), pids(&stage.family));
    let args = ["--config", &config, "--no-color", "-p", &pids];
    let mut pty = Pty::spawn(&Program { program: CONCMON, args: &args, rows: 60, columns: 220, env: &[] });
    assert_columns(&pty, &stage, "list");
    assert_untouched(&pty, "list");
    pty.send(&bytes("t"));
    pty.wait_text("├");
    assert_columns(&pty, &stage, "tree");
    assert_untouched(&pty, "tree");
    pty.send(&bytes("t"));
    pty.wait_until("the list again", |screen| !screen.contents().contains('├'));
    for (index, (_, shown)) in FAMILY.iter().enumerate() {
        detail_of(&mut pty, stage.family[index].child.id(), shown);
    }
    detail_of(&mut pty, stage.family[FAMILY.len()].child.id(), "␛]0;long");
    signal_dialog(&mut pty, &stage);
    pty.send(&bytes("q"));
    assert!(pty.wait_exit().success());
    pty.assert_restored();
    assert_eq!(pty.alarms(), [""; 0], "to the end");
}

/// Every page of the detail pane of the selected process; selects the next.
fn detail_of(pty: &mut Pty, pid: u32, shown: &str) {
    pty.wait_until(&format!("{shown} selected"), |screen| {
        row_of_pid(screen, pid).is_some_and(|row| cells(screen, row, 0, 1) == ">")
    });
    pty.send(&bytes("Enter"));
    pty.wait_text(&format!(" PID {pid} "));
    assert_untouched(pty, &format!("the lower half of {shown}"));
    pty.send(&bytes("Enter"));
    pty.wait_text("lower half");
    for (digit, title) in ["Overview", "Threads", "Memory", "Files", "Env", "Limits", "Groups", "Tree"].iter().enumerate() {
        pty.send((digit + 1).to_string().as_bytes());
        let telling = match *title {
            "Threads" => "TID",
            "Memory" => "Rss",
            "Files" => "pipe:[",
            "Env" => "AAA_EVIL=",
            "Limits" => "Max open files",
            "Groups" => "NAMESPACES",
            "Tree" => "ANCESTORS",
            _ => "directory",
        };
        pty.wait_text(telling);
        assert_untouched(pty, &format!("{title} of {shown}"));
        if *title == "Env" && shown != "␛]0;long" {
            pty.wait_text(&format!("AAA_EVIL={shown}"));
        }
    }
    pty.send(&bytes("Esc"));
    pty.wait_until("the table again", |screen| column_of(screen, "THR").is_some());
    pty.send(&bytes("Esc"));
    pty.wait_until("the table alone", |screen| !screen.contents().contains(&format!(" PID {pid} ")));
    pty.send(&bytes("Down"));
}

fn signal_dialog(pty: &mut Pty, stage: &Stage) {
    pty.send(&bytes("Home"));
    for _ in &stage.family {
        pty.send(&bytes("Space"));
    }
    pty.wait_text("tagged");
    pty.send(&bytes("F9"));
    pty.wait_text("SIGTERM");
    assert_untouched(pty, "signal dialog");
    let seen = pty.contents();
    let listed = FAMILY.iter().filter(|(_, shown)| seen.contains(shown)).count();
    assert!(listed >= 5, "the dialog names its targets: {seen}");
    pty.send(&bytes("Esc"));
    pty.wait_until("the table again", |screen| column_of(screen, "THR").is_some() && !screen.contents().contains("SIGTERM"));
}

#[test]
fn what_is_printed_of_them_holds_nothing_that_acts() {
    let stage = Stage::set();
    for args in [&[][..], &["--json"], &["--csv"], &["--tree"], &["--openmetrics"]] {
        let printed = stage.ps(args);
        let acting: Vec<char> =
            printed.chars().filter(|c| *c != '\n' && (c.is_control() || concmon::text::is_invisible(*c))).collect();
        assert!(acting.is_empty(), "{args:?}: {acting:?}");
    }
}

#[test]
fn json_loses_nothing_of_a_name() {
    let stage = Stage::set();
    let document: serde_json::Value = serde_json::from_str(&stage.ps(&["--json"])).unwrap();
    let rows = document["rows"].as_array().unwrap();
    for (member, (name, _)) in stage.family.iter().zip(FAMILY) {
        let row = rows.iter().find(|row| row["pid"] == member.child.id()).expect("a row for each");
        assert_eq!(row["comm"].as_str().unwrap(), String::from_utf8_lossy(name), "comm");
        assert!(row["command"].as_str().unwrap().starts_with(&*String::from_utf8_lossy(name)));
        assert!(row["exe"].as_str().unwrap().ends_with(&*String::from_utf8_lossy(name)));
        assert_eq!(row["state"], "S");
    }
}

/// The records of a file of comma-separated values, as RFC 4180 has them.
fn records(csv: &str) -> Vec<Vec<String>> {
    let mut records = vec![vec![String::new()]];
    let (mut quoted, mut chars) = (false, csv.chars().peekable());
    while let Some(c) = chars.next() {
        let record = records.last_mut().unwrap();
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => record.last_mut().unwrap().push(chars.next().unwrap()),
            '"' => quoted = !quoted,
            ',' if !quoted => record.push(String::new()),
            '\n' if !quoted => records.push(vec![String::new()]),
            c => record.last_mut().unwrap().push(c),
        }
    }
    records.pop();
    records
}

#[test]
fn no_cell_of_a_csv_is_a_formula() {
    let stage = Stage::set();
    let records = records(&stage.ps(&["--csv"]));
    assert_eq!(records.len(), stage.family.len() + 1, "one record per process, whatever line ends their names hold");
    let mut guarded = 0;
    for record in &records {
        assert_eq!(record.len(), records[0].len(), "{record:?}");
        for cell in record {
            // A number is no formula.
            let number = cell.parse::<f64>().is_ok();
            assert!(number || !cell.starts_with(['=', '+', '-', '@', '\t', '\r', '＝', '＋', '－', '＠']), "{cell:?}");
            guarded += usize::from(cell.starts_with('\''));
        }
    }
    assert!(guarded >= 5, "names that would be formulas are there, behind an apostrophe: {guarded}");
}

/// Names of control groups, and what a person must see of them. The kernel takes no line ends in them, and prints all else as it is.
const GROUPS: &[(&str, &str)] = &[
    ("\x1b]0;owned\x07", "␛]0;owned␇"),
    ("\x1b[2J\x1b[31m", "␛[2J␛[31m"),
    ("\u{9b}31m\u{202e}gpj", "\\u{9b}31m\\u{202e}gpj"),
    ("a\tb:0::c", "a␉b:0::c"),
    ("進程\u{200b}", "進程\\u{200b}"),
];

/// A process in a control group of its own, which goes with it.
struct Grouped {
    member: Member,
    dir: PathBuf,
}

impl Drop for Grouped {
    fn drop(&mut self) {
        let _ = self.member.child.kill();
        let _ = self.member.child.wait();
        let _ = std::fs::remove_dir(&self.dir);
    }
}

impl Grouped {
    fn start(own: &Path, name: &str) -> std::io::Result<Self> {
        let dir = own.join(format!("{name}{}", std::process::id()));
        std::fs::create_dir(&dir)?;
        let mut child = Command::new("/bin/sh").args(["-c", "read line"]).stdin(Stdio::piped()).spawn().unwrap();
        let grouped = Self { member: Member { _line_to_come: child.stdin.take(), child }, dir };
        std::fs::write(grouped.dir.join("cgroup.procs"), grouped.member.child.id().to_string())?;
        Ok(grouped)
    }
}

/// The group of this test in the hierarchy of version 2.
fn own_group() -> Option<PathBuf> {
    let groups = std::fs::read_to_string("/proc/self/cgroup").ok()?;
    let path = groups.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let mounts = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"].into_iter();
    mounts.map(|mount| Path::new(mount).join(path)).find(|dir| dir.join("cgroup.procs").exists())
}

#[test]
fn control_groups_with_hostile_names_are_shown_and_do_nothing() {
    let Some(own) = own_group() else {
        loudly!("SKIPPED: there are no control groups of version 2 here, so none with a hostile name");
        return;
    };
    let family: Vec<Grouped> = match GROUPS.iter().map(|(name, _)| Grouped::start(&own, name)).collect() {
        Ok(family) => family,
        Err(error) => {
            loudly!("SKIPPED: no control group may be made in {}: {error}", own.display());
            return;
        }
    };
    assert!(std::fs::create_dir(own.join("a\nb")).is_err(), "a line end in a name would be a line of its own");
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("config.toml");
    std::fs::write(&config, "columns = [\"pid\", \"comm\", \"cgroup\", \"command\"]\nsort = \"pid:asc\"\n").unwrap();
    for (grouped, (name, shown)) in family.iter().zip(GROUPS) {
        let pid = grouped.member.child.id().to_string();
        let ps = Command::new(CONCMON)
            .args(["ps", "--samples", "1", "--columns", "pid,cgroup", "--json", "-p", &pid])
            .env_clear()
            .output()
            .unwrap();
        let document: serde_json::Value = serde_json::from_slice(&ps.stdout).unwrap();
        assert!(document["rows"][0]["cgroup"].as_str().unwrap().contains(name), "{document}");
        let args = ["--config", config.to_str().unwrap(), "--no-color", "-p", &pid];
        let mut pty = Pty::spawn(&Program { program: CONCMON, args: &args, rows: 40, columns: 160, env: &[] });
        pty.wait_until("its row", |screen| row_of_pid(screen, grouped.member.child.id()).is_some());
        assert_untouched(&pty, "list");
        pty.send(&bytes("Enter Enter"));
        pty.wait_text("lower half");
        pty.send(b"7");
        pty.wait_text("NAMESPACES");
        pty.wait_text(&format!("{shown}{}", std::process::id()));
        assert_untouched(&pty, "Groups");
        pty.send(&bytes("Esc"));
        pty.wait_until("the table again", |screen| column_of(screen, "CGROUP").is_some());
        pty.send(&bytes("q"));
        assert!(pty.wait_exit().success());
        assert_eq!(pty.alarms(), [""; 0], "to the end");
    }
}
