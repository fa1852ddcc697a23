//! Demos in a real terminal: what one key launches is on the screen with its cost, and stays there; budgets in keys.

use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use concmon::lab::catalog::{Backend, DEMOS, Demo, find};
use concmon::lab::python;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use vt100::Screen;

use crate::support::exclusive::alone;
use crate::support::key_script::{bytes, click};
use crate::support::pty::{Program, Pty, row_of};

const CONCMON: &str = env!("CARGO_BIN_EXE_concmon");
const SIZES: [(u16, u16); 3] = [(24, 80), (30, 100), (40, 140)];

/// The home directory is the user's, with the interpreters that [`runs_here`] finds; settings are not read.
pub fn open(rows: u16, columns: u16) -> Pty {
    open_with(rows, columns, &[])
}

/// The same with more arguments.
fn open_with(rows: u16, columns: u16, more: &[&str]) -> Pty {
    let home = std::env::var("HOME").unwrap_or_default();
    let env = [("HOME", home.as_str()), ("XDG_CONFIG_HOME", "/nonexistent")];
    let pty = Pty::spawn(&Program { program: CONCMON, args: &[&["-d", "0.3"], more].concat(), rows, columns, env: &env });
    pty.wait_until("the process table", |screen| screen.alternate_screen() && row_of(screen, "COMMAND").is_some());
    pty
}

pub fn quit(mut pty: Pty) {
    pty.send(&bytes("C-c"));
    assert!(pty.wait_exit().success());
}

pub fn lines(screen: &Screen) -> Vec<String> {
    let (_, columns) = screen.size();
    screen.rows(0, columns).collect()
}

/// The living row of a worker, by its role.
pub fn worker(screen: &Screen, index: u32) -> Option<String> {
    let roles = ["worker", "async task", "interpreter"].map(|role| format!("{role} {index}"));
    lines(screen).into_iter().find(|line| {
        let role = roles.iter().find_map(|role| Some((line.find(role.as_str())?, role.len())));
        // How a row ended stands before its role; what it does, such as "stopped by SIGSTOP", behind it.
        role.is_some_and(|(at, cells)| {
            let (before, after) = (&line[..at], &line[at + cells..]);
            let living = !before.contains("SIG") && !before.contains("exit ") && !before.contains("thread of ");
            living && !after.starts_with(|c: char| c.is_ascii_digit())
        })
    })
}

/// The cell of a row below a column's head, whose values end where the head does.
pub fn cell(screen: &Screen, line: &str, head: &str) -> Option<String> {
    let heads = lines(screen).into_iter().find(|line| line.contains("PID") && line.contains("COMMAND"))?;
    let at = heads.find(head)?;
    let end = heads[..at].chars().count() + head.chars().count();
    let until: String = line.chars().take(end).collect();
    until.rsplit(' ').next().map(str::to_owned)
}

fn has_create_time(line: &str) -> bool {
    let words: Vec<&str> = line.split_whitespace().collect();
    words.windows(2).any(|pair| pair[0].parse::<f64>().is_ok() && ["us", "ms", "s"].contains(&pair[1]))
}

fn is_memory(cell: &str) -> bool {
    cell.trim_end_matches(['B', 'K', 'M', 'G']).parse::<f64>().is_ok()
}

/// Concepts whose workers share one process: its row has their memory.
const IN_ONE_PROCESS: [&str; 6] = ["threads", "event loop", "blocked event loop", "GIL", "GIL released", "sub-interpreters"];

/// Whether every worker of the demo has its row with state and create time, and own memory is known, all on this screen.
fn is_complete(screen: &Screen, demo: &Demo, workers: u32) -> bool {
    let rows: Vec<String> = (0..workers).filter_map(|index| worker(screen, index)).collect();
    // The bracket of the run begins at its root.
    let root = lines(screen).into_iter().find(|line| line.chars().take(3).any(|c| c == '┌'));
    let own = |line: &String| cell(screen, line, "USS").is_some_and(|cell| is_memory(&cell));
    // Some of the states have no memory any more, and are made in other ways than by a request.
    let states = demo.system == "native/states";
    let known = if IN_ONE_PROCESS.contains(&demo.concept) { root.iter().all(own) } else { states || rows.iter().all(own) };
    rows.len() == workers as usize && root.is_some() && known && (states || rows.iter().all(|row| has_create_time(row)))
}

/// Whether this machine can run it.
pub fn runs_here(demo: &Demo) -> bool {
    let system = find(demo.system).unwrap();
    if system.backend != Backend::Python {
        return true;
    }
    match python::choose(system, None, &python::interpreters(&[])) {
        Ok(_) => true,
        Err(why) => {
            loudly!("SKIPPED {}: {why}", demo.system);
            false
        }
    }
}

#[test]
fn every_demo_shows_its_workers_with_state_create_time_and_own_memory() {
    let _alone = alone();
    for (at, demo) in DEMOS.iter().enumerate().filter(|(_, demo)| runs_here(demo)) {
        // Launched at one size, then seen at all of them while it lives.
        let sizes = [SIZES[at % 3], SIZES[(at + 1) % 3], SIZES[(at + 2) % 3]];
        let mut pty = open(sizes[0].0, sizes[0].1);
        let workers = demo.spec(2).unwrap().workers.min(6);
        let begun = Instant::now();
        let mut first = None;
        // A demo lives ten seconds. Where the machine is so busy that it is over before its figures are read, it is launched again.
        for round in 1.. {
            pty.send(&bytes(&format!("n {}", demo.key)));
            let until = Instant::now() + Duration::from_secs(12);
            let unseen = sizes.into_iter().find(|(rows, columns)| {
                pty.resize(*rows, *columns);
                let whole = |screen: &Screen| screen.size() == (*rows, *columns) && is_complete(screen, demo, workers);
                while Instant::now() < until && !pty.look(whole) {
                    std::thread::sleep(Duration::from_millis(20));
                }
                first = first.or(Some(begun.elapsed()));
                !pty.look(whole)
            });
            let Some((rows, columns)) = unseen else { break };
            assert!(round < 8, "{} is not whole at {columns}x{rows}:\n{}", demo.system, pty.contents());
        }
        let took = first.unwrap_or_default();
        if took > Duration::from_secs(2) {
            loudly!("{} was complete only after {:.1} s", demo.system, took.as_secs_f64());
        }
        quit(pty);
    }
}

/// Processes that are born elsewhere, some fifty a second.
struct Crowd(Child);

impl Crowd {
    fn start() -> Self {
        let script = "while :; do /bin/true & sleep 0.02; wait; done";
        Self(Command::new("sh").args(["-c", script]).stdout(Stdio::null()).spawn().unwrap())
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_family_stays_in_sight_for_its_whole_life_while_others_are_born() {
    let _alone = alone();
    let _crowd = Crowd::start();
    let demo = DEMOS.iter().find(|demo| demo.system == "native/fork").unwrap();
    let workers = demo.spec(2).unwrap().workers;
    let mut pty = open(24, 80);
    pty.send(&bytes("n f"));
    pty.wait_until("all rows", |screen| is_complete(screen, demo, workers));
    let mut looks = 0;
    loop {
        let (over, missing) = pty.look(|screen| {
            let all = lines(screen);
            let ends = ["ending", "ended", "timed out"];
            let over = all.iter().any(|line| line.contains("run 1") && ends.iter().any(|end| line.contains(end)));
            let missing = (0..workers).find(|index| worker(screen, *index).is_none());
            let root = all.iter().any(|line| line.contains("main process"));
            (over, if root { missing } else { Some(u32::MAX) })
        });
        if over {
            break;
        }
        // The frame between the end of the work and the word for it may have rows of processes that have ended, or that were killed at the
        // timeout of the run because the CPUs were busy.
        let is_end = |line: &String| line.contains("exit 0") || line.contains("SIGKILL");
        let ended = pty.look(|screen| lines(screen).iter().any(is_end));
        assert!(missing.is_none() || ended, "row {missing:?} is out of sight:\n{}", pty.contents());
        looks += 1;
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(looks > 20, "{looks} looks");
    quit(pty);
}

/// Presses so many keys, one after the other.
pub fn press(pty: &mut Pty, keys: &[&str]) -> usize {
    keys.iter().for_each(|key| pty.send(&bytes(key)));
    keys.len()
}

#[test]
fn a_demo_and_its_cost_take_two_keys_its_timeline_three_a_race_four() {
    let _alone = alone();
    let mut pty = open(40, 140);
    assert_eq!(press(&mut pty, &["n", "f"]), 2);
    pty.wait_until("the cost", |screen| lines(screen).iter().any(|line| line.contains("run 1") && line.contains(" each")));
    assert_eq!(press(&mut pty, &["V"]), 1);
    pty.wait_until("its lanes", |screen| {
        let all = lines(screen);
        all.iter().any(|line| line.contains("[3 Timeline]")) && all.iter().filter(|line| line.contains("worker")).count() >= 4
    });
    quit(pty);
    let mut pty = open(40, 140);
    assert_eq!(press(&mut pty, &["n", "r", "f", "s"]), 4);
    pty.wait_until("the verdict", |screen| {
        lines(screen)
            .iter()
            .any(|line| line.contains("fork creates") || line.contains("spawn creates") || line.contains("create a worker"))
    });
    quit(pty);
}

#[test]
fn a_worker_is_killed_and_what_followed_is_told_with_five_keys() {
    let _alone = alone();
    let mut pty = open(40, 140);
    let mut keys = press(&mut pty, &["n", "p"]);
    pty.wait_until("the cursor on the run", |screen| {
        worker(screen, 3).is_some()
            && lines(screen).iter().any(|line| line.contains("main process") && line.starts_with(['1', '>']))
    });
    keys += press(&mut pty, &["Down", "F9"]);
    pty.wait_until("the dialog", |screen| lines(screen).iter().any(|line| line.contains("SIGTERM")));
    keys += press(&mut pty, &["Enter"]);
    pty.wait_until("the story", |screen| lines(screen).iter().any(|line| line.contains("worker 0 killed by SIGTERM")));
    assert_eq!(keys, 5);
    quit(pty);
}

#[test]
fn a_run_is_kept_and_ended_by_keys_and_by_clicks_on_its_card() {
    let _alone = alone();
    let mut pty = open(30, 100);
    press(&mut pty, &["n", "f"]);
    let at = |screen: &Screen, text: &str| {
        let row = row_of(screen, text)?;
        let line = lines(screen).into_iter().nth(usize::from(row))?;
        let column = line[..line.find(text)?].chars().count();
        Some((row, u16::try_from(column).ok()?))
    };
    let (row, column) = pty.wait_for("the card's keys", |screen| at(screen, "R keep"));
    pty.send(&click(row, column));
    pty.wait_text("kept until X");
    let (row, column) = pty.wait_for("the card's keys", |screen| at(screen, "X end"));
    pty.send(&click(row, column));
    pty.wait_text("stopped");
    quit(pty);
}

/// A process with four children that rest, in a group of their own.
struct Sleepers(Child);

impl Sleepers {
    fn start() -> Self {
        let script = "for i in 1 2 3 4; do sleep 600 & done; wait";
        Self(Command::new("sh").args(["-c", script]).process_group(0).spawn().unwrap())
    }
}

impl Drop for Sleepers {
    fn drop(&mut self) {
        let _ = killpg(Pid::from_raw(self.0.id().cast_signed()), Signal::SIGKILL);
        let _ = self.0.wait();
    }
}

#[test]
fn two_clicks_on_a_row_open_its_details_and_the_wheel_moves_on() {
    let _alone = alone();
    // Rows that stay where they are while other processes come and go.
    let family = Sleepers::start();
    let mut pty = open_with(30, 100, &["-F", &format!("ppid={}", family.0.id())]);
    let row = pty.wait_for("the heads", |screen| row_of(screen, "COMMAND"));
    pty.wait_until("the rows", |screen| lines(screen).iter().filter(|line| line.contains("sleep 600")).count() == 4);
    pty.send(&[click(row + 2, 10), click(row + 2, 10)].concat());
    pty.wait_text("Overview Threads");
    let title =
        |screen: &Screen| lines(screen).into_iter().find(|line| line.contains("full screen") || line.contains("more line"));
    let first = pty.wait_for("the details", title);
    pty.send(&crate::support::key_script::wheel(row + 2, 10, true));
    pty.wait_until("the details of another process", |screen| {
        title(screen).is_some_and(|now| now.split_whitespace().nth(1) != first.split_whitespace().nth(1))
    });
    quit(pty);
}
