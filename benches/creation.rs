//! The lab's overhead in the creation of a worker: `cargo bench --bench creation`.
//!
//! `concmon lab run native/fork|spawn|forkserver|thread` beside `floor_create.c`, which does the same in plain C. Both measure from just
//! before the call to the worker's first own instruction, with all workers alive until the last is made. The two alternate, each in a fresh
//! process; the medians of the rounds are printed, and the median of the ratios within a round, which a noisy machine disturbs least. Two rows
//! show a floor of another shape: the image of a spawned worker started by the C program, and threads that are each joined before the next is
//! made, which reuse the stacks of the last one. `--quick` takes fewer rounds and omits the parent of 1,000 MB.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a benchmark that cannot run says so by ending")]

use std::path::{Path, PathBuf};
use std::process::Command;

const CONCMON: &str = env!("CARGO_BIN_EXE_concmon");
const WORKERS: usize = 24;

/// The small program that the lab's spawned workers are images of.
const WORKER: &str = env!("CARGO_BIN_EXE_concmon-worker");

/// A system of the lab, and what it is compared with: a method of the C program, and whether that starts the lab's image.
const PAIRS: &[(&str, &str, bool, &str)] = &[
    ("native/fork", "fork", false, "fork(2)"),
    ("native/spawn", "spawn", false, "posix_spawn(3) of a tiny program"),
    ("native/spawn", "spawn", true, "posix_spawn(3) of the same image"),
    ("native/forkserver", "forkserver", false, "fork(2) in a small server"),
    ("native/thread", "thread", false, "pthread_create(3)"),
    ("native/thread", "thread-reused", false, "pthread_create(3), the last one joined"),
];

fn main() {
    let quick = std::env::args().any(|a| a == "--quick");
    let (rounds, parents): (usize, &[u32]) = if quick { (5, &[0, 200]) } else { (15, &[0, 200, 1_000]) };
    let floor = build();
    println!("| parent holds | system | median us | floor in C | median us | ratio |\n|---|---|---|---|---|---|");
    for &mb in parents {
        for (system, method, own_image, title) in PAIRS {
            let (mut lab, mut least, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
            for _ in 0..rounds {
                least.push(median(floor_ns(&floor, method, mb, *own_image)));
                lab.push(median(lab_ns(system, mb)));
                ratios.push(lab[lab.len() - 1] / least[least.len() - 1]);
            }
            let ratio = median(ratios);
            println!("| {mb} MB | {system} | {:.1} | {title} | {:.1} | {ratio:.2} |", median(lab) / 1e3, median(least) / 1e3);
        }
    }
}

/// Compiles the floor beside the other temporary files of the build.
fn build() -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/floor_create.c");
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join("floor_create");
    let compiled = Command::new("cc").args(["-O2", "-pthread", "-o"]).arg(&program).arg(source).status();
    assert!(compiled.expect("a C compiler, `cc`, for the floor").success(), "cc failed");
    program
}

fn floor_ns(program: &Path, method: &str, mb: u32, own_image: bool) -> Vec<f64> {
    let mut command = Command::new(program);
    command.args([method, &mb.to_string(), &WORKERS.to_string()]);
    if own_image {
        command.arg(WORKER);
    }
    let output = command.output().unwrap();
    assert!(output.status.success(), "floor_create {method}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().map(|line| line.parse().unwrap()).collect()
}

fn lab_ns(system: &str, mb: u32) -> Vec<f64> {
    let workers = WORKERS.to_string();
    let output = Command::new(CONCMON)
        .args(["lab", "run", system, "--workers", &workers, "--tasks", &workers, "--parent-mb", &mb.to_string(), "--json"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{system}: {}", String::from_utf8_lossy(&output.stderr));
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let creations = document["runs"][0]["creation_ns"].as_array().expect("the document has the creations of its run");
    creations.iter().map(|ns| ns.as_f64().unwrap()).collect()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
