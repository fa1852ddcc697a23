//! Measures one claim of the talk: rounds until its interval decides, on one interpreter.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::cli::TalkArgs;
use crate::kernel::host::cpu_times_now;
use crate::lab::batch::{Halt, Stop};
use crate::lab::catalog::{self, Backend, RunSpec, System};
use crate::lab::launcher::{LaunchError, Launcher};
use crate::lab::python::{self, Discovery};
use crate::lab::run::Run;
use crate::lab::talk::{self, Claim, Finding, Side, Verdict, judge};

use super::super::progress::Progress;
use super::super::{await_end_unless, setup};

/// How many times the rounds that were asked for an undecided claim may take, and never fewer than these.
const TIMES_MOST: u32 = 3;
const ROUNDS_MOST: u32 = 18;
/// No more rounds are begun for an undecided claim after this time.
const PATIENCE: Duration = Duration::from_secs(60);

/// Makes the environment that the claims need, once.
pub(super) fn set_up(claims: &[&Claim], launcher: &Launcher) {
    let systems = claims.iter().flat_map(|c| c.arms).filter_map(|arm| catalog::find(arm.system));
    for system in systems.filter(|s| s.backend == Backend::Python) {
        let found = launcher.interpreters();
        // What could not be made is reported by the claims that need it. One environment serves all.
        if python::availability(system, &found).is_some() && !setup::for_first_use(system, &found) {
            continue;
        }
    }
}

/// Rounds of the same runs, which several claims may read.
struct Rounds {
    specs: Vec<RunSpec>,
    runs: Vec<Vec<Arc<Run>>>,
    /// CPU time of the machine and of the runs while they were made, nanoseconds: all, busy, own.
    used: (u64, u64, u64),
}

/// Why a claim has no more rounds.
enum NoRound {
    Stopped,
    Settled(Verdict),
}

impl Rounds {
    fn one_more(&mut self, launcher: &Launcher, stop: &Stop, mut step: impl FnMut()) -> Result<(), NoRound> {
        let before = cpu_times_now();
        let mut runs: Vec<Option<Arc<Run>>> = vec![None; self.specs.len()];
        // Every other round goes the other way, so that neither side always comes second.
        let forth = 0..self.specs.len();
        let order: Vec<usize> = if self.runs.len().is_multiple_of(2) { forth.collect() } else { forth.rev().collect() };
        for at in order {
            step();
            let ended = launcher.launch(self.specs[at].clone()).map_err(Halt::Launch);
            runs[at] = match ended.and_then(|id| await_end_unless(launcher, id, stop)) {
                Ok(run) => Some(run),
                Err(Halt::Stopped) => return Err(NoRound::Stopped),
                Err(Halt::Launch(LaunchError::Unavailable(why) | LaunchError::TooLarge(why))) => {
                    return Err(NoRound::Settled(Verdict::NotAvailable(why)));
                }
                Err(halt) => return Err(NoRound::Settled(Verdict::Failed(halt.to_string()))),
            };
        }
        let runs: Vec<Arc<Run>> = runs.into_iter().flatten().collect();
        if let Some((from, to)) = before.zip(cpu_times_now()) {
            self.used.0 += to.all_ns().saturating_sub(from.all_ns());
            self.used.1 += to.busy_ns().saturating_sub(from.busy_ns());
            self.used.2 += runs.iter().filter_map(|run| run.costs.charged_cpu_ns()).sum::<u64>();
        }
        self.runs.push(runs);
        Ok(())
    }

    fn judged(&self, claim: &Claim) -> Finding {
        let rounds: Vec<Vec<&Run>> = self.runs.iter().map(|runs| runs.iter().map(AsRef::as_ref).collect()).collect();
        let (all, busy, own) = self.used;
        Finding { others: others(all, busy, own), ..judge(claim, &rounds) }
    }
}

/// Measures claims one after the other. Claims that need the same runs share them.
pub(super) struct Bench<'a> {
    args: &'a TalkArgs,
    launcher: &'a Launcher,
    kept: Vec<Rounds>,
}

impl<'a> Bench<'a> {
    pub(super) fn new(args: &'a TalkArgs, launcher: &'a Launcher) -> Self {
        Self { args, launcher, kept: Vec::new() }
    }

    /// The result of a claim; `None` if the user stops. What other programs may have decided is measured once more from the beginning.
    pub(super) fn finding_of(&mut self, claim: &Claim, progress: &mut Progress, stop: &Stop) -> Option<Finding> {
        let specs = match specs(claim, self.args.python.as_deref(), &self.launcher.interpreters()) {
            Ok(specs) => specs,
            Err(why) => {
                progress.skip(claim.sides().len() * self.args.repeat as usize);
                return Some(Finding::without(claim, Verdict::NotAvailable(why)));
            }
        };
        let first = self.measure(claim, &specs, progress, stop)?;
        if !first.may_be_the_machine() {
            return Some(first);
        }
        progress.add(specs.len() * self.args.repeat as usize);
        self.kept.retain(|rounds| rounds.specs != specs);
        let again = self.measure(claim, &specs, progress, stop)?;
        Some(talk::after_two(&first, again))
    }

    /// Rounds until the interval decides or there are too many; `None` if the user stops.
    fn measure(&mut self, claim: &Claim, specs: &[RunSpec], progress: &mut Progress, stop: &Stop) -> Option<Finding> {
        let least = self.args.repeat as usize;
        let most = (self.args.repeat * TIMES_MOST).max(ROUNDS_MOST) as usize;
        let at = self.kept.iter().position(|rounds| rounds.specs == specs).unwrap_or_else(|| {
            self.kept.push(Rounds { specs: specs.to_vec(), runs: Vec::new(), used: (0, 0, 0) });
            self.kept.len() - 1
        });
        let rounds = &mut self.kept[at];
        progress.skip(rounds.runs.len().min(least) * specs.len());
        let begun = Instant::now();
        loop {
            let made = rounds.runs.len();
            if made >= least {
                let finding = rounds.judged(claim);
                if !finding.is_open() || made >= most || begun.elapsed() > PATIENCE {
                    return Some(finding);
                }
                progress.add(specs.len());
            }
            match rounds.one_more(self.launcher, stop, || progress.step(claim.id)) {
                Ok(()) => {}
                Err(NoRound::Stopped) => return None,
                Err(NoRound::Settled(verdict)) => return Some(Finding::without(claim, verdict)),
            }
        }
    }
}

/// Ticks are 10 ms, so that a shorter time says nothing about who used it.
const TELLING_NS: u64 = 200_000_000;

/// The share of all CPU time that was busy and not `own`.
#[expect(clippy::cast_precision_loss, reason = "2^53 ns are 104 days")]
fn others(all: u64, busy: u64, own: u64) -> Option<f64> {
    (all >= TELLING_NS).then(|| busy.saturating_sub(own) as f64 / all as f64)
}

/// The runs of one round, in the order of [`Claim::sides`]. All that the claim compares run on one interpreter, except where it compares
/// builds with and without the GIL: those are of one version if there are two of one version.
fn specs(claim: &Claim, named: Option<&Path>, found: &Discovery) -> Result<Vec<RunSpec>, String> {
    let mut sides = claim.sides();
    if let Some(unknown) = claim.arms.iter().find(|arm| catalog::find(arm.system).is_none()) {
        return Err(format!("the catalogue has no {}", unknown.system));
    }
    let both = sides.iter().any(|s| s.gil == Some(true)) && sides.iter().any(|s| s.gil == Some(false));
    let mut twin = None;
    for gil in [Some(false), Some(true), None] {
        let group: Vec<&mut Side> =
            sides.iter_mut().filter(|s| s.gil == gil && catalog::python_program(&s.spec.system).is_some()).collect();
        let systems: Vec<&System> = group.iter().filter_map(|side| catalog::find(&side.spec.system)).collect();
        if systems.is_empty() {
            continue;
        }
        let chosen = match named {
            Some(named) => match on_named(named, &systems, gil, found) {
                // The other build of a claim that compares two is looked for.
                Err(_) if both => python::choose_twin(&systems, gil, twin, found)?,
                chosen => chosen?,
            },
            None => python::choose_twin(&systems, gil, twin, found)?,
        };
        twin = Some((chosen.version.0, chosen.version.1));
        group.into_iter().for_each(|side| side.spec.python = Some(chosen.path.clone()));
    }
    Ok(sides.into_iter().map(|side| side.spec).collect())
}

fn on_named(named: &Path, systems: &[&System], gil: Option<bool>, found: &Discovery) -> Result<python::Interpreter, String> {
    let path = python::resolve(named, systems, found)?;
    let mut chosen = Err("there is nothing to run".to_owned());
    for system in systems {
        chosen = Ok(python::choose(system, Some(&path), found)?);
    }
    chosen.and_then(|i| {
        if gil.is_none_or(|gil| i.gil == gil) {
            return Ok(i);
        }
        let kind = if gil == Some(true) { "with the GIL" } else { "without the GIL" };
        Err(format!("the claim is about an interpreter {kind}, which {} is not", path.display()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_used_is_what_the_runs_did_not() {
        let (all, busy) = (1_000_000_000, 600_000_000);
        assert_eq!(others(all, busy, 500_000_000), Some(0.1));
        assert_eq!(others(all, busy, 700_000_000), Some(0.0));
        assert_eq!(others(100_000_000, 50_000_000, 0), None, "too short to tell");
    }
}
