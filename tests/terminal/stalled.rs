//! A source that does not answer does not stall the rest: a process whose memory map is locked, a hung file system, a directory server,
//! a reading that never returns.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::exclusive::alone;
use crate::support::hung_fs::{Holder, HungFs, compile};
use crate::support::key_script::bytes;
use crate::support::pty::{self, Program, Pty};

const CONCMON: &str = env!("CARGO_BIN_EXE_concmon");
/// What the command line says of a process that does not answer.
const MARK: &str = "(did not answer";

/// Runs a test on a thread that may have a mount namespace of its own.
fn on_stage(test: impl FnOnce(HungFs) + Send) {
    std::thread::scope(|scope| {
        scope.spawn(|| match HungFs::mount() {
            Ok(fs) => test(fs),
            Err(why) => loudly!("SKIPPED: {why}"),
        });
    });
}

struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// `concmon ps` with these arguments, and how long it took.
fn ps(arguments: &[&str]) -> (String, Duration) {
    let begun = Instant::now();
    let output = Command::new(CONCMON).arg("ps").args(arguments).env("HOME", "/nonexistent").output().unwrap();
    assert!(output.status.success(), "{output:?}");
    (String::from_utf8(output.stdout).unwrap(), begun.elapsed())
}

fn row(table: &str, pid: i32) -> &str {
    let of = |line: &&str| line.split_whitespace().next() == Some(&pid.to_string());
    table.lines().find(of).unwrap_or_else(|| panic!("no row of {pid} in\n{table}"))
}

/// A process that uses its CPU, so that its figures change from tick to tick.
fn busy() -> Killed {
    Killed(Command::new("sh").args(["-c", "while :; do :; done"]).spawn().unwrap())
}

fn open(pids: &[i32], more: &[&str]) -> Pty {
    let pids: Vec<String> = pids.iter().map(i32::to_string).collect();
    let pids = pids.join(",");
    let args = [&["-d", "0.3", "-p", &pids][..], more].concat();
    let pty = Pty::spawn(&Program { program: CONCMON, args: &args, rows: 40, columns: 160, env: &[] });
    pty.wait_until("the table", |screen| screen.alternate_screen() && pty::row_of(screen, "COMMAND").is_some());
    pty
}

/// The line of a process on the screen.
fn line_of(screen: &vt100::Screen, pid: i32) -> Option<String> {
    let is = |line: &&str| line.trim_start_matches(['>', ' ']).split(' ').next() == Some(&pid.to_string());
    screen.contents().lines().find(is).map(str::to_owned)
}

/// Waits for so many changes of a process's line.
fn changes(pty: &Pty, pid: i32, count: usize) {
    for _ in 0..count {
        let before = pty.look(|screen| line_of(screen, pid));
        pty.wait_until("another figure of another process", |screen| line_of(screen, pid).is_some_and(|now| Some(now) != before));
    }
}

/// Closes the pane: `q` would.
fn leave_detail(pty: &mut Pty) {
    pty.send(&bytes("Esc"));
    pty.wait_until("the table", |screen| pty::row_of(screen, "COMMAND").is_some());
}

/// How long `q` takes to end the program.
fn quit(mut pty: Pty) -> Duration {
    let begun = Instant::now();
    pty.send(&bytes("q"));
    assert!(pty.wait_exit().success());
    let took = begun.elapsed();
    pty.assert_restored();
    took
}

#[test]
fn ps_ends_soon_and_marks_the_process_that_holds_its_memory_map_locked() {
    let _alone = alone();
    on_stage(|fs| {
        let mut holder = match Holder::start(&fs) {
            Ok(holder) => holder,
            Err(why) => return loudly!("SKIPPED: {why}"),
        };
        let (pid, me) = (holder.pid(), i32::try_from(std::process::id()).unwrap());
        for source in ["proc", "auto"] {
            let arguments = ["--source", source, "--columns", "pid,state,fds,pss,command"];
            let (_, healthy) = ps(&arguments);
            if source == "proc" {
                holder.hold();
            }
            let (table, took) = ps(&arguments);
            loudly!("ps --source {source}: {took:?} with a process that does not answer, {healthy:?} before");
            assert!(took < healthy + Duration::from_secs(2), "{took:?} after {healthy:?}");
            let silent: Vec<&str> = row(&table, pid).split_whitespace().collect();
            assert!(row(&table, pid).contains(MARK), "{silent:?}");
            assert_eq!(silent[1], "D", "what takes no lock is known: {silent:?}");
            assert_ne!(silent[2], "-", "descriptors too: {silent:?}");
            assert_eq!(silent[3], "-", "{silent:?}");
            assert!(!row(&table, me).contains(MARK) && row(&table, me).split_whitespace().nth(3) != Some("-"), "others are read");
        }
        let begun = Instant::now();
        let inspect = Command::new(CONCMON).args(["inspect", &pid.to_string()]).output().unwrap();
        assert!(begun.elapsed() < Duration::from_secs(20));
        assert!(String::from_utf8_lossy(&inspect.stderr).contains("did not answer"), "{inspect:?}");
        drop(fs);
    });
}

#[test]
fn the_monitor_goes_on_and_ends_while_a_process_holds_its_memory_map_locked() {
    let _alone = alone();
    on_stage(|fs| {
        let mut holder = match Holder::start(&fs) {
            Ok(holder) => holder,
            Err(why) => return loudly!("SKIPPED: {why}"),
        };
        let busy = busy();
        let (pid, other) = (holder.pid(), busy.0.id().cast_signed());
        let config = tempfile::tempdir().unwrap();
        let file = config.path().join("config.toml");
        std::fs::write(&file, "columns = [\"pid\", \"time\", \"state\", \"pss\", \"io_read\", \"wait\", \"command\"]\n").unwrap();
        let columns = ["--config", file.to_str().unwrap(), "--sort", "pid:asc"];
        let healthy = open(&[pid, other], &columns);
        changes(&healthy, other, 2);
        let healthy = quit(healthy);

        let mut pty = open(&[pid, other], &columns);
        pty.wait_until("its command line", |screen| line_of(screen, pid).is_some_and(|line| line.contains(" MARK")));
        holder.hold();
        pty.wait_until("the lock", |screen| line_of(screen, pid).is_some_and(|line| line.contains(" D ")));
        let begun = Instant::now();
        changes(&pty, other, 5);
        let took = begun.elapsed();
        assert!(took < Duration::from_secs(10), "five samples of 0.3 s took {took:?}");
        // A monitor that is started now does not know its command line.
        let late = open(&[pid, other], &columns);
        late.wait_until("the mark", |screen| line_of(screen, pid).is_some_and(|line| line.contains(MARK)));
        changes(&late, other, 2);
        quit(late);
        // Detail pages that take the lock say so, others are read.
        pty.send(&bytes("F1"));
        pty.wait_text("Help: type to search");
        pty.send(&bytes("Esc"));
        pty.wait_until("the table", |screen| !screen.contents().contains("Help: type to search"));
        pty.send(&bytes(if pid < other { "Home" } else { "End" }));
        pty.send(&bytes("Enter Enter"));
        for page in ["3", "5", "0"] {
            pty.send(&bytes(page));
            pty.wait_text("no answer for");
            pty.send(&bytes("6"));
            pty.wait_text("Max open files");
        }
        leave_detail(&mut pty);
        let stuck = quit(pty);
        loudly!("q: {stuck:?} with a process that does not answer, {healthy:?} without");
        assert!(stuck < healthy + Duration::from_millis(300), "{stuck:?} after {healthy:?}");
        drop(fs);
    });
}

/// A file system that hangs behind a working directory, a descriptor and a mapped file is not asked by looking at their links.
#[test]
fn a_file_system_that_hangs_behind_links_holds_up_nothing() {
    let _alone = alone();
    on_stage(|fs| {
        let script = format!("exec 7<{}; read line", fs.file().display());
        let reader = Command::new("sh").args(["-c", &script]).current_dir(fs.path()).stdin(Stdio::piped()).spawn().unwrap();
        let reader = Killed(reader);
        let pid = reader.0.id().cast_signed();
        let opened = || std::fs::read_link(format!("/proc/{pid}/fd/7")).is_ok();
        let until = Instant::now() + Duration::from_secs(20);
        while !opened() && Instant::now() < until {
            std::thread::yield_now();
        }
        let arguments = ["--columns", "pid,fds,exe,wait,pss,command"];
        let (_, healthy) = ps(&arguments);
        fs.hang();
        let (table, took) = ps(&arguments);
        assert!(took < healthy + Duration::from_secs(2), "{took:?} after {healthy:?}");
        assert!(!row(&table, pid).contains(MARK), "{}", row(&table, pid));
        let mut pty = open(&[pid], &[]);
        pty.wait_until("its row", |screen| line_of(screen, pid).is_some());
        pty.send(&bytes("Enter Enter"));
        pty.send(&bytes("4"));
        pty.wait_text(fs.file().to_str().unwrap());
        leave_detail(&mut pty);
        quit(pty);
        drop(fs);
    });
}

/// While any reading does not return: the title says how old the figures are, keys are answered, the program ends.
fn with_a_reading_that_never_returns(end: impl FnOnce(Pty) + Send) {
    on_stage(|fs| {
        let busy = busy();
        let pid = busy.0.id().cast_signed();
        // Opened in each sweep in which the process ran.
        let mut pty = open(&[pid], &["--source", "proc"]);
        changes(&pty, pid, 2);
        if let Err(error) = fs.hang_over(&format!("/proc/{pid}/stat")) {
            return loudly!("SKIPPED: nothing can be mounted over a file of /proc: {error}");
        }
        pty.wait_text("s old: the last reading has not returned");
        pty.send(&bytes("F1"));
        pty.wait_text("Help: type to search");
        pty.send(&bytes("Esc"));
        pty.wait_until("the table", |screen| !screen.contents().contains("Help: type to search"));
        end(pty);
    });
}

#[test]
fn a_reading_that_never_returns_is_told_and_ends_with_the_program() {
    let _alone = alone();
    with_a_reading_that_never_returns(|pty| {
        let took = quit(pty);
        loudly!("q: {took:?} with a reading that never returns");
        assert!(took < Duration::from_secs(1), "{took:?}");
    });
}

#[test]
fn a_signal_that_comes_while_a_reading_never_returns_leaves_the_terminal_as_it_was() {
    let _alone = alone();
    with_a_reading_that_never_returns(|pty| {
        let begun = Instant::now();
        kill(Pid::from_raw(pty.pid()), Signal::SIGTERM).unwrap();
        pty.wait_exit();
        let took = begun.elapsed();
        pty.assert_restored();
        loudly!("SIGTERM: {took:?} with a reading that never returns");
        assert!(took < Duration::from_secs(1), "{took:?}");
    });
}

/// Names of uids from 20,000 on come from a directory server, which answers once a file exists.
const SLOW_NSS: &str = r#"
#include <errno.h>
#include <nss.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
enum nss_status _nss_slow_getpwuid_r(uid_t uid, struct passwd *entry, char *buffer, size_t size, int *error) {
    if (uid < 20000) return NSS_STATUS_NOTFOUND;
    while (access(getenv("NSS_SLOW_UP"), F_OK) != 0) usleep(10000);
    if (size < 64) { *error = ERANGE; return NSS_STATUS_TRYAGAIN; }
    snprintf(buffer, 32, "dir%u", uid);
    buffer[40] = 0;
    entry->pw_name = buffer;
    entry->pw_passwd = entry->pw_gecos = entry->pw_dir = entry->pw_shell = buffer + 40;
    entry->pw_uid = entry->pw_gid = uid;
    return NSS_STATUS_SUCCESS;
}
"#;

#[test]
fn a_directory_server_that_hangs_delays_names_only() {
    let _alone = alone();
    on_stage(|_fs| {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        if compile(SLOW_NSS, &at("libnss_slow.so.2"), &["-shared", "-fPIC"]).is_none() {
            return loudly!("SKIPPED: there is no C compiler");
        }
        std::fs::write(at("nsswitch.conf"), "passwd: files slow\n").unwrap();
        let bind = nix::mount::MsFlags::MS_BIND;
        let over = Path::new("/etc/nsswitch.conf");
        if nix::mount::mount(Some(&at("nsswitch.conf")), over, None::<&str>, bind, None::<&str>).is_err() {
            return loudly!("SKIPPED: there is no /etc/nsswitch.conf to put another one over");
        }
        let Ok(user) = Command::new("setpriv").args(["--reuid=20001", "--clear-groups", "sleep", "600"]).spawn() else {
            return loudly!("SKIPPED: setpriv(1) does not start");
        };
        let user = Killed(user);
        let (pid, up) = (user.0.id().cast_signed(), at("up"));
        let until = Instant::now() + Duration::from_secs(20);
        let is_theirs = || std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default().contains("Uid:\t20001");
        while !is_theirs() && Instant::now() < until {
            std::thread::yield_now();
        }
        let env = [("LD_LIBRARY_PATH", directory.path().to_str().unwrap()), ("NSS_SLOW_UP", up.to_str().unwrap())];
        let begun = Instant::now();
        let output = Command::new(CONCMON).args(["ps", "--columns", "pid,user,command"]).envs(env).output().unwrap();
        let (took, table) = (begun.elapsed(), String::from_utf8(output.stdout).unwrap());
        assert_eq!(row(&table, pid).split_whitespace().nth(1), Some("20001"), "the number until there is a name");
        assert!(row(&table, 1).contains("root"), "local users have their names");
        let (_, healthy) = ps(&["--columns", "pid,user,command"]);
        assert!(took < healthy + Duration::from_secs(2), "{took:?} after {healthy:?}");
        loudly!("ps: {took:?} with a directory server that hangs");
        let args = ["-d", "0.3", "-p", &pid.to_string()];
        let pty = Pty::spawn(&Program { program: CONCMON, args: &args, rows: 40, columns: 160, env: &env });
        pty.wait_until("the number", |screen| line_of(screen, pid).is_some_and(|line| line.contains("20001")));
        std::fs::write(&up, "").unwrap();
        pty.wait_until("the name", |screen| line_of(screen, pid).is_some_and(|line| line.contains("dir20001")));
        quit(pty);
    });
}
