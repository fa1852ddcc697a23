//! The claims, in the talk's order. The talk's figures are those of its slides, on a laptop of 10 cores.
//!
//! Bounds: where the talk gives a number for the ratio, about half and twice of it, and never on the other side of 1; where it gives words
//! only, what a reader would still call so. [`Claim::wrong`] is what a machine would give on which the words are wrong.

mod processes;
mod threads;
mod waiting;

use super::{Arm, Claim, Measure};
use crate::lab::catalog::{RunSpec, StartMethod, TaskKind};
use crate::lab::joined;

const FOREVER: f64 = f64::INFINITY;

const BASE: Claim = Claim {
    id: "",
    part: 0,
    statement: "",
    talk: "",
    talk_figure: None,
    figure: "",
    unit: "x",
    scale: 1.0,
    arms: &[],
    holds: (1.0, FOREVER),
    wrong: 1.0,
    speed_up: false,
};

/// A claim about how something appears: it holds if the kernel shows it so.
const SHAPE: Claim = Claim { figure: "seen as expected (1) or not (0)", unit: "", holds: (1.0, 1.0), wrong: 0.0, ..BASE };

/// What several threads or processes gain on several CPUs, in percent of one.
const SPEED_UP: Claim =
    Claim { figure: "one thread / two threads, the same work", scale: 0.01, speed_up: true, holds: (1.4, FOREVER), ..BASE };

const fn arm(label: &'static str, system: &'static str, with: fn(&mut RunSpec), measure: Measure) -> Arm {
    Arm { label, system, with, measure, gil: None }
}

const fn value(label: &'static str, system: &'static str, name: &'static str) -> Arm {
    arm(label, system, as_it_is, Measure::Value(name))
}

/// On a build with the GIL, or without it.
const fn on(gil: bool, arm: Arm) -> Arm {
    Arm { gil: Some(gil), ..arm }
}

const fn shape(system: &'static str) -> Arm {
    arm("appearance", system, long_enough_to_see, Measure::Shape)
}

fn as_it_is(_: &mut RunSpec) {}

/// The kernel is looked at a few times a second, so what is judged by its looks must stay.
fn long_enough_to_see(spec: &mut RunSpec) {
    spec.hold_ms = 300;
}

/// The talk's tables were made when fork was the default; today it depends on the interpreter.
fn from_fork(spec: &mut RunSpec) {
    spec.start_method = Some(StartMethod::Fork);
}

/// Eight times so many digits, by one or by two.
fn digits(spec: &mut RunSpec, size: u32) {
    (spec.task, spec.task_size, spec.tasks) = (TaskKind::Pi, Some(size), 8);
}

fn digits_2000(spec: &mut RunSpec) {
    digits(spec, 2_000);
}

/// Every claim.
pub const CLAIMS: &[Claim] = &joined::<_, { processes::CLAIMS.len() + threads::CLAIMS.len() + waiting::CLAIMS.len() }>(&[
    processes::CLAIMS,
    threads::CLAIMS,
    waiting::CLAIMS,
]);
