//! CPU and memory of whole monitors, concmon and those installed: `cargo bench --bench monitors`.
//!
//! Each monitor runs in a terminal of 40 x 140 with a refresh of one second, beside idle processes, in sequence, three rounds; the medians are
//! printed as the table of docs/performance.md. CPU is what the scheduler counted for all its threads (`schedstat`) and for the children it
//! reaped; memory is the peak (`VmHWM`). `--quick` takes one round of the small populations, `--population 5000` that one only.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a benchmark that cannot run says so by ending")]

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use portable_pty::{CommandBuilder, PtySize, native_pty_system};

const WARM_UP: Duration = Duration::from_secs(4);
const MEASURED: Duration = Duration::from_secs(6);

/// A monitor: how it is called in the table, and with a refresh of one second.
struct Monitor {
    name: &'static str,
    command: &'static [&'static str],
    /// Arguments that make it show threads as rows.
    threads: &'static [&'static str],
}

const CONCMON: &str = env!("CARGO_BIN_EXE_concmon");

const MONITORS: &[Monitor] = &[
    Monitor { name: "concmon", command: &[CONCMON, "-d", "1"], threads: &["--threads"] },
    Monitor { name: "concmon --source proc", command: &[CONCMON, "-d", "1", "--source", "proc"], threads: &["--threads"] },
    Monitor { name: "htop", command: &["htop", "-d", "10"], threads: &[] },
    // Its refresh comes from the config file that `measure` makes: not every version has an argument for it.
    Monitor { name: "btop", command: &["btop", "--utf-force"], threads: &[] },
    Monitor { name: "btm", command: &["btm", "-r", "1s"], threads: &["--get_threads"] },
    Monitor { name: "top", command: &["top", "-d", "1"], threads: &["-H"] },
];

/// Idle processes, threads of one idle process.
const POPULATIONS: [(usize, usize); 4] = [(0, 0), (1_000, 0), (5_000, 0), (0, 10_000)];

/// What was measured of one monitor in one round.
#[derive(Clone, Copy)]
struct Cost {
    cpu_ms_per_s: f64,
    peak_mib: f64,
    first_ms: f64,
}

fn main() {
    let args: Vec<String> = std::env::args().collect();
    if let Some(at) = args.iter().position(|a| a == "--idle-threads") {
        idle(args[at + 1].parse().unwrap());
        return;
    }
    let quick = args.iter().any(|a| a == "--quick");
    let large = args.iter().any(|a| a == "--large");
    let mut populations = if quick { POPULATIONS[..2].to_vec() } else { POPULATIONS.to_vec() };
    if large {
        populations.push((20_000, 0));
    }
    if let Some(at) = args.iter().position(|a| a == "--population") {
        let wanted = args.get(at + 1).and_then(|n| n.parse().ok()).expect("--population takes a number of processes");
        populations.retain(|(processes, _)| *processes == wanted);
    }
    let rounds = if quick { 1 } else { 3 };
    println!("| idle population | monitor | CPU ms/s | of htop's | peak MiB | first frame ms |\n|---|---|---|---|---|---|");
    for (processes, threads) in populations {
        let population = Population::start(processes, threads);
        let mut all: Vec<(&Monitor, Vec<Cost>)> = MONITORS.iter().map(|m| (m, Vec::new())).collect();
        for _ in 0..rounds {
            for (monitor, costs) in &mut all {
                costs.extend(measure(monitor, threads > 0));
            }
        }
        drop(population);
        print!("{}", table(&describe(processes, threads), &all));
    }
}

fn describe(processes: usize, threads: usize) -> String {
    match (processes, threads) {
        (0, 0) => "idle machine".to_owned(),
        (n, 0) => format!("{n} processes"),
        (_, n) => format!("a process of {n} threads, shown where it can"),
    }
}

fn table(population: &str, all: &[(&Monitor, Vec<Cost>)]) -> String {
    let median = |costs: &[Cost], of: fn(&Cost) -> f64| {
        let mut values: Vec<f64> = costs.iter().map(of).collect();
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied()
    };
    let htop = all.iter().find(|(m, _)| m.name == "htop").and_then(|(_, costs)| median(costs, |c| c.cpu_ms_per_s));
    let mut out = String::new();
    for (monitor, costs) in all {
        let Some(cpu) = median(costs, |c| c.cpu_ms_per_s) else {
            eprintln!("{}: not installed, or it did not open", monitor.name);
            continue;
        };
        let of_htop = htop.map_or_else(|| "-".to_owned(), |htop| format!("{:.3}", cpu / htop));
        let (peak, first) =
            (median(costs, |c| c.peak_mib).unwrap_or(f64::NAN), median(costs, |c| c.first_ms).unwrap_or(f64::NAN));
        writeln!(out, "| {population} | {} | {cpu:.1} | {of_htop} | {peak:.1} | {first:.0} |", monitor.name).unwrap();
    }
    out
}

/// Threads that wait until the standard input is closed.
fn idle(threads: usize) {
    for _ in 1..threads {
        std::thread::Builder::new().stack_size(16 * 1024).spawn(std::thread::park).expect("a thread");
    }
    println!("ready");
    let _ = std::io::stdin().read(&mut [0]);
    // The parked threads end with the process.
    std::process::exit(0);
}

/// What idles; gone when dropped.
struct Population {
    children: Vec<Child>,
}

impl Population {
    fn start(processes: usize, threads: usize) -> Self {
        let sleeper =
            || Command::new("sleep").arg("infinity").stdin(Stdio::null()).stdout(Stdio::null()).spawn().expect("a process");
        let mut children: Vec<Child> = (0..processes).map(|_| sleeper()).collect();
        if threads > 0 {
            let myself = std::env::current_exe().unwrap();
            let mut child = Command::new(myself)
                .args(["--idle-threads", &threads.to_string()])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .expect("a process of threads");
            let mut ready = String::new();
            BufReader::new(child.stdout.take().unwrap()).read_line(&mut ready).unwrap();
            assert_eq!(ready, "ready\n");
            children.push(child);
        }
        Self { children }
    }
}

impl Drop for Population {
    fn drop(&mut self) {
        for child in &mut self.children {
            let _ = child.kill();
        }
        for child in &mut self.children {
            let _ = child.wait();
        }
    }
}

/// Opens a monitor, lets it warm up, and measures it; `None` if it is not installed or gave up.
fn measure(monitor: &Monitor, threads: bool) -> Option<Cost> {
    let pair = native_pty_system().openpty(PtySize { rows: 40, cols: 140, pixel_width: 0, pixel_height: 0 }).ok()?;
    let mut command = CommandBuilder::new(monitor.command[0]);
    command.args(&monitor.command[1..]);
    if threads {
        command.args(monitor.threads);
    }
    for (name, value) in [("TERM", "xterm-256color"), ("LANG", "C.UTF-8"), ("COLORTERM", "truecolor")] {
        command.env(name, value);
    }
    let settings = tempfile::tempdir().ok()?;
    std::fs::create_dir(settings.path().join("btop")).ok()?;
    std::fs::write(settings.path().join("btop/btop.conf"), "update_ms = 1000\n").ok()?;
    command.env("XDG_CONFIG_HOME", settings.path());
    let begun = Instant::now();
    let mut child = pair.slave.spawn_command(command).ok()?;
    drop(pair.slave);
    let mut reader = pair.master.try_clone_reader().ok()?;
    let mut writer = pair.master.take_writer().ok()?;
    let (sender, first_frame) = std::sync::mpsc::channel();
    let drain = std::thread::spawn(move || {
        let (mut buffer, mut tail) = ([0; 1 << 16], Vec::new());
        while let Ok(n @ 1..) = reader.read(&mut buffer) {
            // Some ask the terminal where the cursor is and wait for the answer.
            if buffer[..n].windows(4).any(|w| w == b"\x1b[6n") {
                let _ = writer.write_all(b"\x1b[1;1R");
            }
            tail.extend_from_slice(&buffer[..n]);
            if tail.windows(3).any(|w| w.eq_ignore_ascii_case(b"pid")) {
                let _ = sender.send(begun.elapsed());
            }
            let keep = tail.len().saturating_sub(2);
            tail.drain(..keep);
        }
    });
    let pid = child.process_id()?;
    let first = first_frame.recv_timeout(WARM_UP);
    std::thread::sleep(WARM_UP.saturating_sub(begun.elapsed()));
    let before = (Instant::now(), cpu_ns(pid));
    std::thread::sleep(MEASURED);
    let (seconds, after) = (before.0.elapsed().as_secs_f64(), cpu_ns(pid));
    let peak = peak_mib(pid);
    let _ = child.kill();
    let _ = child.wait();
    drop(pair.master);
    let _ = drain.join();
    Some(Cost {
        cpu_ms_per_s: (after?.saturating_sub(before.1?)) as f64 / 1e6 / seconds,
        peak_mib: peak?,
        first_ms: first.ok()?.as_secs_f64() * 1e3,
    })
}

/// CPU time of all live threads, and of reaped children.
fn cpu_ns(pid: u32) -> Option<u64> {
    let mut sum = 0;
    for task in std::fs::read_dir(format!("/proc/{pid}/task")).ok()? {
        let text = std::fs::read_to_string(task.ok()?.path().join("schedstat")).unwrap_or_default();
        sum += text.split(' ').next().and_then(|n| n.parse::<u64>().ok()).unwrap_or(0);
    }
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = fields.get(13)?.parse::<u64>().ok()? + fields.get(14)?.parse::<u64>().ok()?;
    Some(sum + ticks * 10_000_000)
}

fn peak_mib(pid: u32) -> Option<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"))?;
    Some(line.trim().trim_end_matches(" kB").parse::<f64>().ok()? / 1024.0)
}
