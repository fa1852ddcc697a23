//! Draws the pictures in `assets/tour/*.svg` again, from frames of real runs: `cargo bench --bench pictures`, with names for some of them.
//!
//! Each opens the program in a terminal, presses keys, waits until the screen shows what it should, and draws the terminal's cells. The
//! program runs in a PID namespace of its own where that is allowed, so that no process of the machine is in a picture.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a picture that cannot be taken says so by ending")]

#[expect(dead_code, reason = "tests use more of it")]
#[path = "../tests/support/pty.rs"]
mod pty;

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use maud::{PreEscaped, html};
use pty::{Program, Pty};
use vt100::{Cell, Color, Screen};

/// A cell, pixels.
const CELL: (f32, f32) = (8.4, 18.0);
const GROUND: &str = "#16181c";
const TEXT: &str = "#e4e4e4";
/// No picture is larger, bytes.
const LARGEST: usize = 300_000;

/// A picture: what it is called, its size in cells, programs that run beside concmon, and how it comes about. Each frame that is handed over
/// is one of the picture: with more than one it moves.
struct Picture {
    name: &'static str,
    size: (u16, u16),
    beside: &'static str,
    take: fn(&mut Pty, &mut Vec<Vec<String>>),
}

const fn picture(name: &'static str, size: (u16, u16), take: fn(&mut Pty, &mut Vec<Vec<String>>)) -> Picture {
    Picture { name, size, beside: "", take }
}

const PICTURES: &[Picture] = &[
    picture("launch", (22, 132), launch),
    picture("session", (22, 110), session),
    picture("lesson", (32, 132), lesson),
    Picture { beside: SICK, ..picture("problems", (20, 132), problems) },
    picture("timeline", (32, 132), timeline),
    picture("lab", (34, 132), lab),
    picture("compare", (28, 132), compare),
    picture("ledger", (24, 132), ledger),
];

/// Two threads that each hold a lock and want the other's, and a parent that does not wait for its children.
const SICK: &str = r#"
cat > transfer.py <<'END'
import threading, time
first, second = threading.Lock(), threading.Lock()

def move(source, target):
    with source:
        time.sleep(0.3)
        with target:
            print("moved")

threading.Thread(target=move, args=(first, second), name="to-second").start()
threading.Thread(target=move, args=(second, first), name="to-first").start()
END
python3 transfer.py & sh -c 'sleep 0.2 & sleep 0.2 & exec sleep 600' & "#;

fn lines(screen: &Screen) -> Vec<String> {
    screen.rows(0, screen.size().1).collect()
}

/// Rows of a run's processes and threads, which have a bracket.
fn run_rows(screen: &Screen) -> usize {
    lines(screen).iter().filter(|line| line.chars().nth(1).is_some_and(|c| "┌│└".contains(c))).count()
}

/// The line of the newest run's figures.
fn card(screen: &Screen) -> String {
    lines(screen).into_iter().find(|line| line.starts_with('▌')).unwrap_or_default()
}

fn frame(pty: &Pty, frames: &mut Vec<Vec<String>>) {
    // The terminal may be half-way through a frame.
    std::thread::sleep(Duration::from_millis(400));
    frames.push(pty.look(draw));
}

/// A process pool with its threads and workers under their roles, and the card with its cost.
fn launch(pty: &mut Pty, frames: &mut Vec<Vec<String>>) {
    pty.send(b"nP");
    pty.wait_until("workers that work, and idle ones beside them", |s| {
        run_rows(s) >= 7 && card(s).contains("own memory") && lines(s).iter().filter(|l| l.contains("pi(")).count() >= 4
    });
    std::thread::sleep(Duration::from_millis(2_500));
    frame(pty, frames);
}

/// The first half minute: the sheet, a launch, the work, a worker that is killed and what followed.
fn session(pty: &mut Pty, frames: &mut Vec<Vec<String>>) {
    let watch = |pty: &Pty, frames: &mut Vec<Vec<String>>, count: usize| {
        for _ in 0..count {
            std::thread::sleep(Duration::from_millis(700));
            frame(pty, frames);
        }
    };
    frame(pty, frames);
    pty.send(b"n");
    pty.wait_text("Launch a demo");
    frame(pty, frames);
    frame(pty, frames);
    pty.send(b"p");
    pty.wait_until("the first rows of the run", |s| run_rows(s) >= 2);
    frame(pty, frames);
    watch(pty, frames, 5);
    pty.send(b"\x1b[B\x1b[B");
    pty.send(b"\x1b[20~");
    pty.wait_text("SIGTERM");
    frame(pty, frames);
    frame(pty, frames);
    pty.send(b"\r");
    pty.wait_until("the story", |s| lines(s).iter().any(|line| line.starts_with('▌') && line.contains("killed by")));
    frame(pty, frames);
    watch(pty, frames, 3);
}

/// A lesson with its verdict.
fn lesson(pty: &mut Pty, frames: &mut Vec<Vec<String>>) {
    pty.send(b"L");
    pty.wait_text("Lesson 1 of");
    pty.send(&b"\x1b[B".repeat(4));
    pty.wait_text("Lesson 5 of");
    pty.send(b"1");
    pty.wait_text("Verdict");
    frame(pty, frames);
}

/// What is wrong, with the chain of waits.
fn problems(pty: &mut Pty, frames: &mut Vec<Vec<String>>) {
    pty.send(b"6");
    pty.wait_until("the threads that wait for each other", |s| {
        let text = s.contents();
        text.contains("transfer.py") && text.contains("Zombies")
    });
    std::thread::sleep(Duration::from_secs(3));
    frame(pty, frames);
}

/// Two Python threads that compute, under the GIL.
fn timeline(pty: &mut Pty, frames: &mut Vec<Vec<String>>) {
    pty.send(b"ng");
    pty.wait_until("the work", |s| run_rows(s) >= 3);
    pty.send(b"V");
    pty.wait_until("all of the work", |s| s.contents().contains("over 2."));
    frame(pty, frames);
}

/// A process pool on the lab's screen, once its shape has been checked.
fn lab(pty: &mut Pty, frames: &mut Vec<Vec<String>>) {
    pty.send(b"npL");
    pty.wait_until("the run's costs", |s| {
        let text = s.contents();
        text.contains(" create ") && text.contains("shape  ok ")
    });
    std::thread::sleep(Duration::from_secs(4));
    frame(pty, frames);
}

/// Four ways to four workers, side by side.
fn compare(pty: &mut Pty, frames: &mut Vec<Vec<String>>) {
    pty.send(b"L");
    pty.wait_text("Lesson 1 of");
    pty.send(b"\t");
    pty.wait_text("native/forkserver");
    for wanted in ["native/fork", "native/spawn", "native/forkserver", "native/thread-pool"] {
        pty.send(format!("/{wanted}\r").as_bytes());
        pty.send(b"c");
        pty.wait_text(&format!("{wanted} added to the comparison"));
    }
    pty.send(b"4\r");
    pty.wait_until("all runs of all four", |s| {
        let text = s.contents();
        !text.contains("running") && lines(s).iter().filter(|l| l.contains('━')).count() >= 4
    });
    frame(pty, frames);
}

/// What four forked Python workers still share with their parent.
fn ledger(pty: &mut Pty, frames: &mut Vec<Vec<String>>) {
    pty.send(b"nF");
    pty.wait_until("a Python family", |s| run_rows(s) >= 5);
    pty.send(b"D");
    pty.wait_until("pages of each child", |s| {
        let text = s.contents();
        text.contains("4 of 4 children read") && !text.contains(" -  ")
    });
    frame(pty, frames);
}

/// The command that opens the program for a picture: alone in a PID namespace and before other work, where that is allowed.
fn stage(beside: &str, directory: &Path) -> [String; 2] {
    let alone = "unshare --pid --fork --mount-proc --kill-child";
    let allowed = Command::new("sh").args(["-c", &format!("{alone} nice -n -10 true")]).status().is_ok_and(|s| s.success());
    let before = if allowed { format!("{alone} nice -n -10 ") } else { String::new() };
    let program = Path::new(env!("CARGO_BIN_EXE_concmon"));
    let bin = program.parent().unwrap_or(program).display();
    // Shared memory of the machine is no part of a picture, nor is where concmon was built.
    let shared = if allowed { "mount -t tmpfs none /dev/shm;" } else { "" };
    let inner = format!("{shared} cd '{}'; {beside} PATH='{bin}':\"$PATH\" exec concmon", directory.display());
    ["-c".to_owned(), format!("exec {before}sh -c {}", quoted(&inner))]
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    let assets = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/tour");
    std::fs::create_dir_all(&assets).unwrap();
    let scratch = std::env::temp_dir().join(format!("concmon-pictures-{}", std::process::id()));
    std::fs::create_dir_all(&scratch).unwrap();
    for picture in PICTURES.iter().filter(|p| wanted.is_empty() || wanted.iter().any(|w| w == p.name)) {
        let (rows, columns) = picture.size;
        let env = [("TERM", "xterm-256color"), ("COLORTERM", "truecolor"), ("LANG", "C.UTF-8")];
        let command = stage(picture.beside, &scratch);
        let args = [command[0].as_str(), command[1].as_str()];
        let mut pty = Pty::spawn(&Program { program: "sh", args: &args, rows, columns, env: &env });
        pty.wait_text("COMMAND");
        pty.wait_until("rates", |s| !s.contents().contains("known after the second"));
        std::thread::sleep(Duration::from_secs(2));
        let mut frames = Vec::new();
        (picture.take)(&mut pty, &mut frames);
        pty.send(b"\x03");
        pty.wait_exit();
        let svg = svg(picture.size, &frames);
        assert!(svg.len() < LARGEST, "{} has {} bytes", picture.name, svg.len());
        let path = assets.join(format!("{}.svg", picture.name));
        std::fs::write(&path, svg).unwrap();
        println!("{}", path.display());
    }
    std::fs::remove_dir_all(&scratch).unwrap();
}

/// The screen, line by line, as SVG.
fn draw(screen: &Screen) -> Vec<String> {
    let (rows, columns) = screen.size();
    (0..rows).map(|row| line(screen, row, columns)).collect()
}

/// Seconds that a frame of a moving picture stays.
const FRAME_S: f32 = 0.9;

/// Frames as one SVG. A line that is the same in several frames is drawn once and shown in these.
fn svg((rows, columns): (u16, u16), frames: &[Vec<String>]) -> String {
    let (width, height) = (f32::from(columns) * CELL.0 + 20.0, f32::from(rows) * CELL.1 + 20.0);
    let mut drawn = String::new();
    for row in 0..usize::from(rows) {
        let mut seen: Vec<&String> = Vec::new();
        for line in frames.iter().filter_map(|frame| frame.get(row)) {
            if !line.is_empty() && !seen.contains(&line) {
                seen.push(line);
            }
        }
        for line in seen {
            let shown: Vec<bool> = frames.iter().map(|frame| frame.get(row) == Some(line)).collect();
            drawn += &if shown.iter().all(|shown| *shown) { line.clone() } else { in_frames(line, &shown) };
        }
    }
    html! {
        svg xmlns="http://www.w3.org/2000/svg" viewBox=(format!("0 0 {width:.0} {height:.0}"))
            font-family="ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace" font-size="14" {
            rect width="100%" height="100%" rx="8" fill=(GROUND) {}
            (PreEscaped(drawn))
        }
    }
    .into_string()
}

/// A line that is there in some frames only; where nothing moves, the last frame is seen.
fn in_frames(line: &str, shown: &[bool]) -> String {
    let display = |shown: bool| if shown { "inline" } else { "none" };
    let changes: Vec<usize> = (0..shown.len()).filter(|at| *at == 0 || shown[*at] != shown[at - 1]).collect();
    let values: Vec<&str> = changes.iter().map(|at| display(shown[*at])).collect();
    let times: Vec<String> = changes.iter().map(|at| format!("{:.3}", *at as f32 / shown.len() as f32)).collect();
    html! {
        g display=(display(shown.last() == Some(&true))) {
            animate attributeName="display" calcMode="discrete" values=(values.join(";")) keyTimes=(times.join(";"))
                dur=(format!("{:.1}s", shown.len() as f32 * FRAME_S)) repeatCount="indefinite" {}
            (PreEscaped(line))
        }
    }
    .into_string()
}

/// How a run of cells looks.
#[derive(PartialEq, Clone)]
struct Look {
    text: String,
    ground: Option<String>,
    bold: bool,
}

impl Look {
    fn of(cell: &Cell) -> Self {
        let (text, ground) = (colour(cell.fgcolor()), colour(cell.bgcolor()));
        let (text, ground) =
            if cell.inverse() { (ground.or(Some(GROUND.into())), text.or(Some(TEXT.into()))) } else { (text, ground) };
        Self { text: text.unwrap_or_else(|| TEXT.into()), ground, bold: cell.bold() }
    }
}

/// One line as runs of cells that look alike.
fn line(screen: &Screen, row: u16, columns: u16) -> String {
    let mut runs: Vec<(u16, String, Look)> = Vec::new();
    for column in 0..columns {
        let Some(cell) = screen.cell(row, column).filter(|c| !c.is_wide_continuation()) else { continue };
        let look = Look::of(cell);
        let text = if cell.has_contents() { cell.contents() } else { " " };
        match runs.last_mut() {
            Some((_, run, same)) if *same == look => run.push_str(text),
            _ => runs.push((column, text.to_owned(), look)),
        }
    }
    let (top, base) = (f32::from(row) * CELL.1 + 10.0, f32::from(row) * CELL.1 + 24.0);
    let drawn = runs.iter().map(|(column, text, look)| {
        let (x, width) = (f32::from(*column) * CELL.0 + 10.0, text.chars().count() as f32 * CELL.0);
        html! {
            @if let Some(ground) = &look.ground {
                rect x=(format!("{x:.1}")) y=(format!("{top:.0}")) width=(format!("{width:.1}")) height=(CELL.1) fill=(ground) {}
            }
            @if !text.trim().is_empty() {
                text x=(format!("{x:.1}")) y=(format!("{base:.0}")) fill=(look.text) textLength=(format!("{width:.1}"))
                    lengthAdjust="spacingAndGlyphs" style="white-space:pre" font-weight=[look.bold.then_some("bold")] { (text) }
            }
        }
        .into_string()
    });
    drawn.collect()
}

fn colour(colour: Color) -> Option<String> {
    match colour {
        Color::Default => None,
        Color::Idx(index) => {
            let rgb = anstyle_lossy::xterm_to_rgb(anstyle::Ansi256Color(index), anstyle_lossy::palette::DEFAULT);
            Some(format!("#{:02x}{:02x}{:02x}", rgb.r(), rgb.g(), rgb.b()))
        }
        Color::Rgb(r, g, b) => Some(format!("#{r:02x}{g:02x}{b:02x}")),
    }
}
