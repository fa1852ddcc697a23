//! What changes in real processes without exec, and what is longer than usual: command lines, groups, control groups, deleted programs,
//! users, dates of start, huge pages. Each is compared with the kernel's own file, or ps(1), read beside it.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use concmon::kernel::source::{Needs, Request, Source};
use concmon::kernel::{BpfSource, ProcSource};
use concmon::snapshot::{Identity, ProcKey, container_of};
use serde_json::Value;

use crate::support::programs;

/// A process of the test's own, which ends with it. It says a line when it is ready, and reads lines.
struct Own {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Own {
    fn start(command: &mut Command) -> Option<Self> {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().ok()?;
        let (input, output) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        let mut own = Self { child, input, output };
        own.line().is_some().then_some(own)
    }

    fn python(program: &str, args: &[&str]) -> Option<Self> {
        Self::start(Command::new("python3").args(["-I", "-c", program]).args(args))
    }

    /// The next line it says; `None` if it has ended.
    fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        self.output.read_line(&mut line).ok().filter(|length| *length > 0).map(|_| line.trim_end().to_owned())
    }

    fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).unwrap()
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        // It is our own child, not yet waited for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The rows of `concmon ps` in a time zone.
fn rows(zone: &str, args: &[&str]) -> Vec<Value> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_concmon"));
    let output = command.args(["ps", "--samples", "1", "--json"]).args(args).env("TZ", zone).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    document["rows"].as_array().unwrap().clone()
}

fn row_of(pid: i32, columns: &str, source: &str) -> Value {
    let rows = rows("UTC", &["-p", &pid.to_string(), "--columns", columns, "--source", source]);
    assert_eq!(rows.len(), 1, "{rows:?}");
    rows[0].clone()
}

#[test]
fn a_long_command_line_is_whole_in_filters_and_exports() {
    // Eight arguments of 100,000 bytes; the word that is looked for is the very last.
    let long = "x".repeat(100_000);
    let script = "echo ready; read line";
    let mut command = Command::new("sh");
    command.args(["-c", script, "name"]).args(std::iter::repeat_n(&long, 8)).arg("the-very-last-word");
    let own = Own::start(&mut command).expect("sh");
    let whole = std::fs::read(format!("/proc/{}/cmdline", own.pid())).unwrap();
    let joined: String = String::from_utf8(whole).unwrap().trim_end_matches('\0').replace('\0', " ");
    assert!(joined.len() > 800_000);
    let found = rows("UTC", &["command~very-last-w[o]rd", "--columns", "pid,command"]);
    let row = found.iter().find(|row| row["pid"] == own.pid()).unwrap_or_else(|| panic!("the filter finds it: {}", found.len()));
    assert!(row["command"] == joined, "the whole line, not {} bytes", row["command"].as_str().map_or(0, str::len));
}

#[test]
fn a_status_longer_than_a_page_is_read_whole() {
    const GROUPS: &str = "
import os, sys
os.setgroups([1000000000 + n for n in range(int(sys.argv[1]))])
memory = bytearray(os.urandom(4096) * 2560)
print('ready', flush=True)
sys.stdin.read()
";
    // The end of the page falls into another line each time.
    for groups in ["300", "345", "5000"] {
        let Some(own) = Own::python(GROUPS, &[groups]) else {
            loudly!("SKIPPED a status longer than a page: python3 is not installed, or this is not root");
            return;
        };
        let status = std::fs::read_to_string(format!("/proc/{}/status", own.pid())).unwrap();
        assert!(status.len() > 3500);
        let line = |key: &str| status.lines().find_map(|line| line.strip_prefix(key)).unwrap().trim();
        let anon: u64 = line("RssAnon:").trim_end_matches(" kB").parse().unwrap();
        for source in ["proc", "auto"] {
            let row = row_of(own.pid(), "pid,affinity,anon", source);
            assert_eq!(row["affinity"], line("Cpus_allowed_list:"), "{groups} groups, {source}");
            let bytes = row["anon_bytes"].as_u64().unwrap_or_else(|| panic!("{row}"));
            assert!(bytes.abs_diff(anon * 1024) <= 64 * 1024, "{groups} groups, {source}: {bytes} of {anon} kB");
        }
    }
}

/// The sources that work here, each with a name.
fn sources() -> Vec<(&'static str, Box<dyn Source>)> {
    let mut found: Vec<(&str, Box<dyn Source>)> = vec![("proc", Box::new(ProcSource::new("/proc").unwrap()))];
    match BpfSource::load() {
        Ok(source) => found.push(("bpf", Box::new(source))),
        Err(why) => loudly!("SKIPPED the BPF half of a test: {why}"),
    }
    found
}

/// The identity of a process, on screen or off it.
fn identity(source: &mut dyn Source, pid: i32, on_screen: bool) -> Arc<Identity> {
    let needs = Needs::EXE | Needs::CGROUP;
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let start_ticks = stat.rsplit(')').next().unwrap().split_whitespace().nth(19).unwrap().parse().unwrap();
    let visible = [ProcKey { pid, start_ticks }];
    let request = Request { visible: if on_screen { &visible } else { &[] }, ..Request::basic(needs) };
    let snapshot = source.sample(&request).unwrap();
    let found = snapshot.processes.iter().find(|process| process.key.pid == pid).expect("it is listed");
    Arc::clone(&found.identity)
}

/// Whether it is so at once on screen, and within sixteen sweeps off it.
fn becomes(source: &mut dyn Source, pid: i32, on_screen: bool, is: impl Fn(&Identity) -> bool) -> bool {
    let sweeps = if on_screen { 1 } else { 16 };
    (0..sweeps).any(|_| is(&identity(source, pid, on_screen)))
}

#[test]
fn a_deleted_program_says_so_though_it_sleeps() {
    for (name, mut source) in sources() {
        for on_screen in [true, false] {
            let dir = tempfile::tempdir().unwrap();
            let program = dir.path().join("sleeper");
            programs::copy("/bin/sh", &program);
            let own = Own::start(Command::new(&program).args(["-c", "echo ready; read line"])).expect("a copy of sh");
            let exe = |identity: &Identity| String::from_utf8(identity.exe.as_deref().unwrap().to_vec()).unwrap();
            let before = exe(&identity(&mut *source, own.pid(), on_screen));
            assert!(before.ends_with("/sleeper"), "{before}");
            std::fs::remove_file(&program).unwrap();
            let told = becomes(&mut *source, own.pid(), on_screen, |now| exe(now).ends_with("/sleeper (deleted)"));
            assert!(told, "{name}, on screen: {on_screen}");
        }
    }
}

#[test]
fn a_process_that_is_moved_is_in_its_new_control_group_and_container() {
    let id = format!("{:064x}", std::process::id());
    let roots = ["/sys/fs/cgroup/memory", "/sys/fs/cgroup/cpu", "/sys/fs/cgroup"].map(Path::new);
    let parent = roots.into_iter().filter(|root| root.join("cgroup.procs").exists()).map(|root| root.join("docker")).next();
    let made = parent.filter(|parent| std::fs::create_dir_all(parent.join(&id)).is_ok());
    let Some(parent) = made else {
        loudly!("SKIPPED a move to another control group: none can be made here");
        return;
    };
    let group = parent.join(&id);
    let outcome = std::panic::catch_unwind(|| {
        for (name, mut source) in sources() {
            for on_screen in [true, false] {
                let own = Own::start(Command::new("sh").args(["-c", "echo ready; read line"])).expect("sh");
                let is_in = |now: &Identity| now.cgroup.as_deref().and_then(container_of).is_some_and(|found| found.id == id);
                assert!(!is_in(&identity(&mut *source, own.pid(), on_screen)), "{name}");
                if std::fs::write(group.join("cgroup.procs"), own.pid().to_string()).is_err() {
                    loudly!("SKIPPED a move to another control group: it takes no process");
                    return;
                }
                assert!(becomes(&mut *source, own.pid(), on_screen, is_in), "{name}, on screen: {on_screen}");
            }
        }
    });
    // The group is empty as soon as its last process has been reaped.
    let until = Instant::now() + Duration::from_secs(10);
    while std::fs::remove_dir(&group).is_err() && Instant::now() < until {
        std::thread::yield_now();
    }
    let _ = std::fs::remove_dir(&parent);
    if let Err(why) = outcome {
        std::panic::resume_unwind(why);
    }
}

#[test]
fn a_process_that_drops_its_rights_has_its_new_user() {
    const DROP: &str = "
import os, sys
print('ready', flush=True)
sys.stdin.readline()
os.setuid(65534)
print('dropped', flush=True)
sys.stdin.read()
";
    for (name, mut source) in sources() {
        let Some(mut own) = Own::python(DROP, &[]).filter(|_| rustix::process::geteuid().is_root()) else {
            loudly!("SKIPPED a process that drops its rights: python3 is not installed, or this is not root");
            return;
        };
        assert_eq!(identity(&mut *source, own.pid(), false).uid, Some(0), "{name}");
        own.input.write_all(b"go\n").unwrap();
        assert_eq!(own.line().as_deref(), Some("dropped"));
        assert_eq!(identity(&mut *source, own.pid(), false).uid, Some(65534), "{name}");
    }
}

/// `Sat Nov 28 17:12:39 2026` as `2026-11-28 17:12:39`.
fn from_ps(lstart: &str) -> String {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let words: Vec<&str> = lstart.split_whitespace().collect();
    let [_, month, day, time, year] = words[..] else { panic!("{lstart:?}") };
    let month = MONTHS.iter().position(|name| *name == month).unwrap() + 1;
    format!("{year}-{month:02}-{:02} {time}", day.parse::<u32>().unwrap())
}

#[test]
fn dates_of_start_are_those_of_ps_also_across_a_change_to_summer_time() {
    let own = Own::start(Command::new("sh").args(["-c", "echo ready; read line"])).expect("sh");
    let pids = ["1".to_owned(), std::process::id().to_string(), own.pid().to_string()];
    let boot = std::fs::read_to_string("/proc/stat").unwrap();
    let btime: u64 = boot.lines().find_map(|line| line.strip_prefix("btime ")).unwrap().parse().unwrap();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    // A zone whose summer time began between the start of the machine and now: process 1 began before, the others after.
    let change = btime + (now - btime) / 2;
    let (year_begins, of_day) = (day_of_year(change), change % 86_400);
    let zone = format!("AAA0BBB,{year_begins}/{}:{:02}:{:02},0/0", of_day / 3600, of_day / 60 % 60, of_day % 60);
    for zone in ["UTC", "Europe/Berlin", "America/New_York", "IST-5:30", zone.as_str()] {
        let told =
            Command::new("ps").args(["-o", "pid=,lstart=", "-p", &pids.join(",")]).env("TZ", zone).env("LC_ALL", "C").output();
        let Ok(told) = told else {
            loudly!("SKIPPED dates of start: there is no ps");
            return;
        };
        let told = String::from_utf8(told.stdout).unwrap();
        let ours = rows(zone, &["-p", &pids.join(","), "--columns", "pid,started"]);
        let lines: Vec<(String, String)> = told
            .lines()
            .map(|line| line.trim().split_once(' ').unwrap())
            .map(|(pid, at)| (pid.to_owned(), from_ps(at)))
            .collect();
        assert_eq!(lines.len(), 3, "{told}");
        for (pid, at) in lines {
            let row = ours
                .iter()
                .find(|row| row["pid"].as_i64().is_some_and(|own| pid.parse() == Ok(own)))
                .unwrap_or_else(|| panic!("{pid}: {ours:?}"));
            assert_eq!(row["started"], at, "process {pid} in {zone}");
        }
    }
}

/// The day of the year of a second since 1970, from 0.
fn day_of_year(unix_s: u64) -> u64 {
    let is_leap = |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let (mut days, mut year) = (unix_s / 86_400, 1970);
    while days >= 365 + u64::from(is_leap(year)) {
        days -= 365 + u64::from(is_leap(year));
        year += 1;
    }
    days
}

/// Puts the number of huge pages back.
struct HugePages;

impl HugePages {
    const FILE: &str = "/proc/sys/vm/nr_hugepages";

    /// Makes some where there are none; `None` if that cannot be done.
    fn make(count: u32) -> Option<Self> {
        if std::fs::read_to_string(Self::FILE).ok()?.trim() != "0" {
            return None;
        }
        std::fs::write(Self::FILE, count.to_string()).ok()?;
        let made = Self;
        let have: u32 = std::fs::read_to_string(Self::FILE).ok()?.trim().parse().ok()?;
        (have >= count).then_some(made)
    }
}

impl Drop for HugePages {
    fn drop(&mut self) {
        let _ = std::fs::write(Self::FILE, "0");
    }
}

#[test]
fn huge_pages_of_its_own_are_a_process_s_share() {
    const HUGE: &str = "
import mmap, sys
memory = mmap.mmap(-1, 48 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x40000)
for page in range(0, 48 << 20, 2 << 20):
    memory[page] = 1
print('ready', flush=True)
sys.stdin.read()
";
    let Some(_pages) = HugePages::make(24) else {
        loudly!("SKIPPED huge pages: they cannot be made here");
        return;
    };
    let Some(own) = Own::python(HUGE, &[]) else {
        loudly!("SKIPPED huge pages: python3 gets none");
        return;
    };
    let row = row_of(own.pid(), "pid,pss,uss", "proc");
    for column in ["pss_bytes", "uss_bytes"] {
        let bytes = row[column].as_u64().unwrap_or_else(|| panic!("{row}"));
        assert!((48 << 20..64 << 20).contains(&bytes), "{column}: {row}");
    }
}
