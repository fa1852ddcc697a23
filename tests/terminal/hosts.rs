//! Other machines through OpenSSH: a stub in its place that streams, stops, sends garbage or is missing; and, as root, real hosts.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output};
use std::time::{Duration, Instant};

use concmon::record::Writer;

use crate::support::key_script::bytes;
use crate::support::made_up::Machine;
use crate::support::namespaces::{Namespaces, SCRIPT};
use crate::support::pty::{Program, Pty};

mod problems;

const CONCMON: &str = env!("CARGO_BIN_EXE_concmon");

/// What the stub does for each host; `$command` is what concmon has run there, `$dir` the stub's directory.
const STUB: &str = r#"#!/bin/sh
# ssh -T -o BatchMode=yes -- HOST COMMAND
[ "$1 $2 $3 $4 $#" = "-T -o BatchMode=yes -- 6" ] || { echo "wrong arguments: $*" >&2; exit 99; }
host=$5 command=$6 dir=$(dirname "$0")
echo "$host $command" >> "$dir/log"
[ -e "$dir/answer-$host" ] && { cat "$dir/answer-$host"; exit 1; }
case $host in
  one|user@two) exec sh -c "exec $command" ;;
  stops)
    if [ -e "$dir/cut" ]; then echo 'ssh: connect to host stops port 22: No route to host' >&2; exit 255; fi
    sh -c "exec $command" & child=$!
    while kill -0 $child 2>/dev/null && [ ! -e "$dir/cut" ]; do sleep 0.1; done
    kill $child; echo 'Connection to stops closed by remote host.' >&2; exit 255 ;;
  garbage) echo 'Welcome to this machine'; exec sleep 60 ;;
  older) cat "$dir/older"; exec sleep 60 ;;
  before) printf "error: unrecognized subcommand\n\nUsage: ...\n\nFor more information, try '--help'.\n" >&2; exit 2 ;;
  hung) exec sleep 600 ;;
  flood) exec yes '{"schema": "concmon.problems/1", "looked": {' ;;
  cannot) echo 'concmon: the processes cannot be examined' >&2; exit 3 ;;
  denied) echo 'Warning: added.' >&2; echo 'me@denied: Permission denied (publickey).' >&2; exit 255 ;;
  missing) [ "$command" = 'uname -s' ] && { echo Linux; exit 0; }; exit 127 ;;
  mac) [ "$command" = 'uname -s' ] && { echo Darwin; exit 0; }; exit 127 ;;
esac
"#;

/// The stub's directory, before the directory of concmon on the PATH.
struct Stage {
    directory: tempfile::TempDir,
    path: String,
}

impl Stage {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let stub = directory.path().join("ssh");
        std::fs::write(&stub, STUB).unwrap();
        std::fs::set_permissions(&stub, std::fs::Permissions::from_mode(0o755)).unwrap();
        let older = directory.path().join("older");
        let mut writer = Writer::create(&older).unwrap();
        writer.write(&Machine::new(1).step(2)).unwrap();
        let mut bytes = std::fs::read(&older).unwrap();
        bytes[8] += 1;
        std::fs::write(&older, bytes).unwrap();
        let own = Path::new(CONCMON).parent().unwrap();
        let path = format!("{}:{}:/usr/bin:/bin", directory.path().display(), own.display());
        Self { directory, path }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn pty(&self, args: &[&str], rows: u16) -> Pty {
        let env = [("PATH", self.path.as_str())];
        Pty::spawn(&Program { program: CONCMON, args, rows, columns: 140, env: &env })
    }

    fn output(&self, args: &[&str]) -> Output {
        Command::new(CONCMON).args(args).env("PATH", &self.path).output().unwrap()
    }
}

/// A process that is seen as `sleep` on every "host", for they are all this machine.
struct Sleeper(Child);

impl Sleeper {
    fn start() -> Self {
        Self(Command::new("sleep").arg("600").spawn().unwrap())
    }

    fn pid(&self) -> String {
        self.0.id().to_string()
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// The hosts of the rows of a process, in the order of the table.
fn hosts_of(screen: &str, pid: &str) -> Vec<String> {
    let words = |line: &str| line.trim_start_matches(['>', ' ']).split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let rows = screen.lines().map(words).filter(|words| words.get(1).is_some_and(|word| word == pid));
    rows.map(|words| words[0].clone()).collect()
}

fn wait_hosts(pty: &Pty, pid: &str, wanted: &[&str]) {
    pty.wait_until(&format!("rows of {pid} on {wanted:?}"), |screen| {
        let mut hosts = hosts_of(&screen.contents(), pid);
        hosts.sort();
        hosts == wanted
    });
}

/// Inodes of sockets that a process has open.
fn sockets(pid: i32) -> Vec<String> {
    let fds = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
    let targets = fds.filter_map(|fd| std::fs::read_link(fd.unwrap().path()).ok());
    targets.filter_map(|target| Some(target.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned())).collect()
}

/// Whether one of the process's sockets is of the internet: concmon itself speaks to no other machine.
fn has_internet_socket(pid: i32) -> bool {
    let own = sockets(pid);
    ["tcp", "tcp6", "udp", "udp6", "raw", "raw6"].iter().any(|table| {
        let table = std::fs::read_to_string(format!("/proc/{pid}/net/{table}")).unwrap_or_default();
        table.lines().skip(1).filter_map(|line| line.split_whitespace().nth(9)).any(|inode| own.iter().any(|own| own == inode))
    })
}

#[test]
fn hosts_stand_in_one_table_and_each_failure_is_said() {
    let (stage, sleeper) = (Stage::new(), Sleeper::start());
    let pid = sleeper.pid();
    let hosts = "one,user@two,stops,garbage,older,before,denied,missing,mac";
    let mut pty = stage.pty(&["-d", "0.5", "-p", &pid, "--host", hosts], 40);
    wait_hosts(&pty, &pid, &["one", "stops", "two"]);
    for said in [
        "9 hosts, 6 down",
        "what came is no stream of concmon, but \"Welcome to this machine\"",
        "concmon there is of another version: its stream has recording format",
        "concmon there is of another version, without streams",
        "ssh failed: me@denied: Permission denied (publickey).",
        "concmon was not found there",
        "the host runs Darwin; concmon runs on Linux only",
    ] {
        pty.wait_text(said);
    }
    assert!(!has_internet_socket(pty.pid()), "concmon opens no port and connects to nothing itself");
    // One is cut off, and comes back by itself.
    std::fs::write(stage.file("cut"), "").unwrap();
    wait_hosts(&pty, &pid, &["one", "two"]);
    pty.wait_text("No route to host");
    std::fs::remove_file(stage.file("cut")).unwrap();
    wait_hosts(&pty, &pid, &["one", "stops", "two"]);
    // A host by filter.
    pty.send(&bytes("F4"));
    pty.send(b"host=two\r");
    wait_hosts(&pty, &pid, &["two"]);
    // Its own header, and back.
    pty.send(b"\r");
    pty.wait_text("two  Esc all hosts");
    pty.wait_text("load ");
    // Its rows keep its name, and the filter.
    wait_hosts(&pty, &pid, &["two"]);
    for (key, said) in
        [("F9", "is off with --host"), ("]", "is off with --host"), ("n", "is off with --host"), ("2", "is off with --host")]
    {
        pty.send(&bytes(key));
        pty.wait_text(said);
    }
    pty.send(&bytes("Esc"));
    pty.wait_text("9 hosts");
    pty.send(&bytes("Esc"));
    wait_hosts(&pty, &pid, &["one", "stops", "two"]);
    pty.send(b".");
    pty.wait_text("one  Esc all hosts");
    pty.send(b"q");
    assert!(pty.wait_exit().success());
    nothing_is_left_of(stage.directory.path());
}

/// No process of the stub is left after concmon has ended.
fn nothing_is_left_of(directory: &Path) {
    let mark = directory.to_str().unwrap();
    let running = || {
        let processes =
            std::fs::read_dir("/proc").unwrap().filter_map(|entry| std::fs::read(entry.ok()?.path().join("cmdline")).ok());
        processes.filter(|line| String::from_utf8_lossy(line).contains(mark)).count()
    };
    let deadline = Instant::now() + Duration::from_secs(10);
    while running() > 0 && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(running(), 0, "ssh ends with concmon");
}

#[test]
fn ps_prints_the_hosts_and_fails_where_one_does() {
    let (stage, sleeper) = (Stage::new(), Sleeper::start());
    let pid = sleeper.pid();
    let base = ["ps", "-d", "0.2", "-p", &pid, "--columns", "host,pid,cpu,comm", "--csv", "--host"];
    let output = stage.output(&[&base[..], &["one,user@two"]].concat());
    let text = String::from_utf8(output.stdout).unwrap();
    let rows: Vec<&str> = text.lines().skip(1).collect();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let row = |host: &str| format!("{host},{pid},");
    assert!(rows.len() == 2 && rows[0].starts_with(&row("one")) && rows[1].starts_with(&row("two")), "{text}");
    let output = stage.output(&[&base[..], &["one,denied"]].concat());
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert_eq!(said.trim(), "concmon: denied: ssh failed: me@denied: Permission denied (publickey).");
    assert_eq!(String::from_utf8(output.stdout).unwrap().lines().count(), 2, "what is there is printed");
    let log = std::fs::read_to_string(stage.file("log")).unwrap();
    assert!(log.contains("user@two concmon stream --every 0.2"), "{log}");
}

#[test]
fn wrong_hosts_and_a_missing_ssh_are_said_in_one_sentence() {
    let stage = Stage::new();
    for (args, code, said) in [
        (&["ps", "--host=-oProxyCommand=true"][..], 2, "is not the name of a host"),
        (&["ps", "--host", "one,one"], 2, "one is named twice"),
        (&["ps", "--host", "one", "--replay", "x"], 2, "cannot be used with"),
    ] {
        let output = stage.output(args);
        let all = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(code) && all.contains(said), "{all}");
    }
    assert!(!stage.file("log").exists(), "nothing was run for them");
    let empty = tempfile::tempdir().unwrap();
    let output = Command::new(CONCMON).args(["ps", "-d", "0.2", "--host", "box"]).env("PATH", empty.path()).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(1) && said.contains("box: ssh was not found on PATH"), "{said}");
}

/// Three namespaces with sshd; `None`, said loudly, without what it takes.
fn namespaces() -> Option<Namespaces> {
    let found = |name: &str| {
        let places = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
        places.split(':').map(|place| Path::new(place).join(name)).find(|path| path.is_file())
    };
    let Some(sshd) = found("sshd").filter(|_| rustix::process::geteuid().is_root() && found("ip").is_some()) else {
        loudly!("SKIPPED: hosts in namespaces need root, ip and sshd (OpenSSH server)");
        return None;
    };
    Namespaces::up(["a", "b", "garbage"], Some(&sshd))
}

#[test]
fn three_real_hosts_on_one_screen_one_cut_off_and_back_one_sends_garbage() {
    let Some(namespaces) = namespaces() else { return };
    let [a, b, garbage] = &namespaces.names;
    let hosts = namespaces.names.join(",");
    let args = ["in", namespaces.directory(), CONCMON, "-d", "0.5", "-F", "name=sshd and pid=1", "--host", &hosts];
    let mut pty = Pty::spawn(&Program { program: SCRIPT, args: &args, rows: 40, columns: 140, env: &[] });
    let both = [a.as_str(), b.as_str()];
    wait_hosts(&pty, "1", &both);
    pty.wait_text("but \"Welcome to this machine\"");
    // `hosts.sh in` has become concmon.
    assert!(!has_internet_socket(pty.pid()), "concmon opens no port and connects to nothing itself");
    namespaces.run(&["cut", b]);
    pty.wait_text("nothing for");
    wait_hosts(&pty, "1", &both[..1]);
    namespaces.run(&["mend", b]);
    wait_hosts(&pty, "1", &both);
    pty.send(b"q");
    assert!(pty.wait_exit().success());
    assert!(garbage.ends_with("garbage"));
}
