//! The cards of runs: their figures agree with the run's document and with the kernel, and they report the ends of workers in order.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use concmon::app::App;
use concmon::app::msg::Msg;
use concmon::app::options::Options;
use concmon::columns::latency_text;
use concmon::command::lab::run_document;
use concmon::lab::catalog::{DEMOS, Demo};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use vt100::Screen;

use super::demos::{lines, open, press, quit, runs_here, worker};
use crate::support::exclusive::alone;
use crate::support::lab::{await_run, launcher};
use crate::support::pty::{Program, Pty};

const CONCMON: &str = env!("CARGO_BIN_EXE_concmon");

fn demo(key: char) -> &'static Demo {
    DEMOS.iter().find(|demo| demo.key == key).unwrap()
}

/// The first line of the newest card.
fn card(screen: &Screen) -> Option<String> {
    lines(screen).into_iter().find(|line| line.starts_with(['▌', '|']) && line.contains("run "))
}

/// The line of a card that says what happened.
fn story(screen: &Screen) -> String {
    let all = lines(screen);
    let of_card = |line: &&String| line.starts_with(['▌', '|']) && !line.contains("run 1 ");
    let told = |line: &&String| line.contains("killed by") || line.contains("too long") || line.contains("failed");
    all.iter().find(|line| of_card(line) && told(line)).cloned().unwrap_or_default()
}

/// The PID of a worker's row.
fn pid_of(screen: &Screen, index: u32) -> Option<i32> {
    let line = worker(screen, index)?;
    line.chars().skip(2).collect::<String>().split_whitespace().next()?.parse().ok()
}

#[test]
fn a_cards_sentence_agrees_with_the_document_of_its_run() {
    let _alone = alone();
    for demo in [demo('f'), demo('t'), demo('F')].into_iter().filter(|demo| runs_here(demo)) {
        let launcher = launcher();
        let spec = demo.spec(2).unwrap();
        let spec = concmon::lab::catalog::RunSpec {
            tasks: spec.workers,
            task_size: Some(200),
            hold_ms: 500,
            timeout_ms: 30_000,
            ..spec
        };
        let id = launcher.launch(spec).unwrap();
        let run = await_run(&launcher, id, "the run has ended", |run| run.ended());
        let mut app = App::new(Options::default());
        app.update(Msg::Lab(launcher.watch().borrow().clone()));
        let card = app.cards().into_iter().next().expect("an ended run keeps its card for some seconds");
        let facts: Vec<String> = card.facts.iter().map(|fact| fact.text.clone()).collect();
        let document = run_document(&[Arc::clone(&run)]);
        let told = &document["runs"][0];
        let median = told["creation_summary_ns"]["median"].as_f64().expect("a creation time");
        let each = format!("{} each", latency_text(median as u64));
        assert!(facts.contains(&each), "{each} of the document is not in {facts:?}");
        let created = told["creation_ns"].as_array().unwrap().iter().filter(|ns| ns.is_u64()).count();
        assert!(facts.iter().any(|fact| fact.starts_with(&format!("{created} workers"))), "{created} workers: {facts:?}");
        let cpu = format!("{:.2} s CPU", told["cpu_ns"].as_f64().expect("CPU time") / 1e9);
        assert!(facts.contains(&cpu), "{cpu} of the document is not in {facts:?}");
        let own = card.bars.iter().find(|bar| bar.own).expect("a bar of its own");
        assert!((own.ns - median).abs() < 1.0, "the bar says {}, the document {median}", own.ns);
    }
}

/// Memory that a process shares with no other, bytes: the private lines of `smaps_rollup` (proc(5)).
fn own_memory(pid: i32) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    let private = text.lines().filter(|line| line.starts_with("Private_"));
    private.map(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kb| kb << 10)).sum()
}

fn in_bytes(cell: &str) -> Option<f64> {
    let scale = match cell.chars().last()? {
        'K' => 1024.0,
        'M' => 1024.0 * 1024.0,
        _ => return None,
    };
    Some(cell.trim_end_matches(['K', 'M']).parse::<f64>().ok()? * scale)
}

#[test]
fn own_memory_on_the_card_is_what_the_kernel_counts() {
    let _alone = alone();
    let mut pty = open(40, 140);
    press(&mut pty, &["n", "s"]);
    let said = |screen: &Screen| {
        let card = card(screen)?;
        let words = card.split("own memory ").nth(1)?;
        in_bytes(words.split_whitespace().next()?)
    };
    // A sample that was taken before the workers had their memory is replaced by the next.
    pty.wait_until("the card's figure within a tenth of the kernel's", |screen| {
        let mut own: Vec<u64> = (0..4).filter_map(|index| own_memory(pid_of(screen, index)?)).collect();
        own.sort_unstable();
        let (Some(said), Some(truth)) = (said(screen), own.get(own.len() / 2)) else { return false };
        own.len() == 4 && (said / *truth as f64 - 1.0).abs() < 0.1
    });
    quit(pty);
}

#[test]
fn the_curve_over_the_parents_memory_takes_four_keys() {
    let _alone = alone();
    let mut pty = open(40, 140);
    assert_eq!(press(&mut pty, &["4", "s", "s", "Enter"]), 4);
    pty.wait_until("a point of each start method and size, and the runs that measure them", |screen| {
        let all = lines(screen);
        let rows = |name: &str| all.iter().filter(|line| line.contains(name) && line.contains(" MiB")).count();
        let runs = all.iter().any(|line| line.contains("parent memory") && line.contains("running:"));
        runs && ["native/fork ", "native/spawn ", "native/forkserver "].iter().all(|name| rows(name) >= 4)
    });
    press(&mut pty, &["X"]);
    quit(pty);
}

#[test]
fn deaths_of_workers_are_told_in_order_with_times() {
    let _alone = alone();
    let mut pty = open(40, 140);
    press(&mut pty, &["n", "f"]);
    let pids = pty.wait_for("all workers", |screen| (0..4).map(|index| pid_of(screen, index)).collect::<Option<Vec<i32>>>());
    kill(Pid::from_raw(pids[2]), Signal::SIGABRT).unwrap();
    pty.wait_until("the crash", |screen| story(screen).contains("worker 2 killed by SIGABRT"));
    kill(Pid::from_raw(pids[0]), Signal::SIGKILL).unwrap();
    pty.wait_until("the crash, then the kill with the time between", |screen| {
        let told = story(screen);
        let (first, second) = (told.find("worker 2 killed by SIGABRT"), told.find("worker 0 killed by SIGKILL"));
        matches!((first, second), (Some(first), Some(second)) if first < second) && told.contains("s later")
    });
    quit(pty);
}

#[test]
fn a_broken_pool_is_told_from_the_first_death_to_the_last() {
    let _alone = alone();
    let demo = demo('P');
    if !runs_here(demo) {
        return;
    }
    // Deaths milliseconds apart may be seen in one look of a busy machine, where their order is not known.
    let mut told = String::new();
    let whole = (0..4).any(|_| {
        let mut pty = open(40, 140);
        press(&mut pty, &["n", "P"]);
        let pid = pty.wait_for("a worker at work", |screen| {
            worker(screen, 3)?;
            worker(screen, 1).filter(|line| line.contains("task"))?;
            pid_of(screen, 1)
        });
        kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
        let until = Instant::now() + Duration::from_secs(10);
        let parts = ["worker 1 killed by SIGKILL", "workers killed by SIGTERM", "s later", "the run failed"];
        let in_order = |told: &str| {
            let at: Vec<Option<usize>> = parts.iter().map(|part| told.find(part)).collect();
            at.iter().all(Option::is_some) && at.is_sorted()
        };
        while Instant::now() < until && !in_order(&told) {
            told = pty.look(story);
            std::thread::sleep(Duration::from_millis(50));
        }
        quit(pty);
        in_order(&told)
    });
    assert!(whole, "who died first, what followed and when, and why the run ended: {told}");
}

#[test]
fn a_run_that_takes_too_long_is_told_so() {
    let _alone = alone();
    let home = std::env::temp_dir().join(format!("concmon-timeout-{}", std::process::id()));
    std::fs::create_dir_all(&home).unwrap();
    let config = home.join("config.toml");
    std::fs::write(&config, "[lab]\ntimeout_secs = 1.0\n").unwrap();
    let args = ["-d", "0.3", "--config", config.to_str().unwrap()];
    let mut pty = Pty::spawn(&Program { program: CONCMON, args: &args, rows: 40, columns: 140, env: &[] });
    pty.wait_text("COMMAND");
    press(&mut pty, &["n", "f"]);
    pty.wait_until("the end of a run that takes longer", |screen| {
        story(screen).contains("the run took too long and was ended")
            && card(screen).is_some_and(|card| card.contains("timed out"))
    });
    quit(pty);
    remove(&home);
}

fn remove(directory: &Path) {
    std::fs::remove_dir_all(directory).unwrap();
}

/// The longest block of lines that are empty from a column on, between the header and the key bar.
fn longest_gap(screen: &Screen, from_line: usize, from_column: usize) -> usize {
    let all = lines(screen);
    let empty = |line: &String| line.chars().skip(from_column).all(|c| c == ' ' || c == '│');
    all[from_line..all.len() - 1].split(|line| !empty(line)).map(<[String]>::len).max().unwrap_or(0)
}

#[test]
fn lab_and_timeline_use_their_space_while_a_run_is_shown() {
    let _alone = alone();
    for key in ["f", "t", "a"] {
        let mut pty = open(40, 140);
        press(&mut pty, &["n", key]);
        pty.wait_until("its card", |screen| card(screen).is_some_and(|card| card.contains(" each")));
        press(&mut pty, &["L"]);
        pty.wait_until("the lab's pane of the run", |screen| {
            lines(screen).iter().any(|line| line.contains("run #1")) && longest_gap(screen, 5, 46) <= 8
        });
        press(&mut pty, &["V"]);
        pty.wait_until("its timeline", |screen| {
            lines(screen).iter().any(|line| line.contains("run #1")) && longest_gap(screen, 5, 0) <= 8
        });
        quit(pty);
    }
}
