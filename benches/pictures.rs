//! Draws the pictures in `assets/tour/*.svg` again, from frames of real runs: `cargo bench --bench pictures`.
//!
//! Each opens the program in a terminal, presses keys, waits until the screen shows what it should, and draws the terminal's cells.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a picture that cannot be taken says so by ending")]

#[expect(dead_code, reason = "tests use more of it")]
#[path = "../tests/support/pty.rs"]
mod pty;

use std::path::Path;

use concmon::lab::catalog::SYSTEMS;
use maud::{PreEscaped, html};
use pty::{Program, Pty};
use vt100::{Cell, Color, Screen};

/// A cell, pixels.
const CELL: (f32, f32) = (8.4, 18.0);
const GROUND: &str = "#16181c";
const TEXT: &str = "#e4e4e4";

/// A picture: what it is called, its size in cells, the program's arguments, and how it comes about.
struct Picture {
    name: &'static str,
    size: (u16, u16),
    args: &'static [&'static str],
    take: fn(&mut Pty),
}

const PICTURES: &[Picture] = &[
    Picture { name: "launch", size: (20, 130), args: &[], take: launch },
    Picture { name: "lab", size: (34, 130), args: &[], take: lab },
    Picture { name: "timeline", size: (24, 130), args: &[], take: timeline },
    Picture { name: "compare", size: (26, 130), args: &[], take: compare },
    Picture { name: "ledger", size: (24, 120), args: &[], take: ledger },
];

/// Rows of lab processes.
fn lab_rows(screen: &Screen) -> usize {
    screen.contents().lines().filter(|line| line.starts_with('◆')).count()
}

/// A fork server with four workers, alone in the tree.
fn launch(pty: &mut Pty) {
    pty.send(b"nv");
    pty.wait_until("the run's first process under the cursor, and its family", |s| lab_rows(s) >= 5);
    pty.send(b"o");
    pty.wait_until("nothing but the run, measured", |s| lab_rows(s) >= 5 && s.contents().contains("own memory of all"));
}

/// A process pool on the lab's screen, once its shape has been checked.
fn lab(pty: &mut Pty) {
    pty.send(b"np");
    pty.send(b"L");
    pty.wait_until("the run's costs", |s| {
        let text = s.contents();
        text.contains(" create ") && text.contains("shape  ok ") && text.contains(" wall ")
    });
}

/// Python threads that compute, under the GIL.
fn timeline(pty: &mut Pty) {
    pty.send(b"L");
    pty.wait_text("native/forkserver");
    for _ in 0..SYSTEMS.iter().position(|s| s.id == "python/gil-threads").unwrap() {
        pty.send(b"\x1b[B");
    }
    pty.wait_text("bytecode threads, GIL");
    pty.send(b"\rV");
    pty.wait_until("all of the work, and what it shows", |s| {
        let text = s.contents();
        text.contains("alternate") && text.contains("200 ms")
    });
    pty.send(b"\x1b[B\x1b[B");
    pty.send(&b"\x1b[D".repeat(30));
    // To the end of the line, so that no half-drawn frame is taken.
    pty.wait_until("the cursor on the second lane", |s| {
        let text = s.contents();
        text.lines().any(|l| l.contains("worker #1") && l.contains("waiting for one"))
    });
}

/// Four ways to four workers, side by side.
fn compare(pty: &mut Pty) {
    pty.send(b"L");
    pty.wait_text("native/forkserver");
    // fork, spawn, forkserver and thread pool are found by going down the list.
    for (downs, wanted) in [(2, "native/fork "), (2, "native/spawn"), (1, "native/forkserver"), (13, "native/thread-pool")] {
        for _ in 0..downs {
            pty.send(b"\x1b[B");
        }
        pty.send(b"c");
        pty.wait_text(&format!("{} added to the comparison", wanted.trim()));
    }
    pty.send(b"4\r");
    pty.wait_until("all runs of all four", |s| {
        let text = s.contents();
        text.contains(" runs")
            && !text.contains("running")
            && text.matches("speed-up").count() == 1
            && text.lines().filter(|l| l.contains('█') && l.contains('±')).count() >= 4
    });
}

/// What four forked Python workers still share with their parent.
fn ledger(pty: &mut Pty) {
    pty.send(b"nF");
    pty.wait_until("a Python family", |s| lab_rows(s) >= 4);
    pty.send(b"D");
    pty.wait_until("pages of each child", |s| {
        let text = s.contents();
        text.contains("4 of 4 children read") && !text.contains(" -  ")
    });
}

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/tour");
    std::fs::create_dir_all(&directory).unwrap();
    for picture in PICTURES.iter().filter(|p| wanted.is_empty() || wanted.iter().any(|w| w == p.name)) {
        let (rows, columns) = picture.size;
        let env = [("TERM", "xterm-256color"), ("COLORTERM", "truecolor"), ("LANG", "C.UTF-8")];
        let mut pty =
            Pty::spawn(&Program { program: env!("CARGO_BIN_EXE_concmon"), args: picture.args, rows, columns, env: &env });
        pty.wait_text("COMMAND");
        pty.wait_until("rates", |s| !s.contents().contains("known after the second"));
        (picture.take)(&mut pty);
        let svg = pty.look(draw);
        pty.send(b"\x1b\x1bq");
        let path = directory.join(format!("{}.svg", picture.name));
        std::fs::write(&path, svg).unwrap();
        println!("{}", path.display());
    }
}

/// The screen as SVG.
fn draw(screen: &Screen) -> String {
    let (rows, columns) = screen.size();
    let (width, height) = (f32::from(columns) * CELL.0 + 20.0, f32::from(rows) * CELL.1 + 20.0);
    let lines: Vec<String> = (0..rows).map(|row| line(screen, row, columns)).collect();
    html! {
        svg xmlns="http://www.w3.org/2000/svg" viewBox=(format!("0 0 {width:.0} {height:.0}"))
            font-family="ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace" font-size="14" {
            rect width="100%" height="100%" rx="8" fill=(GROUND) {}
            @for line in &lines { (PreEscaped(line)) }
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
