//! `concmon lab talk` and `concmon lab report`: measures the claims of the talk, and writes saved results as a page.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::cli::{ReportArgs, TalkArgs};
use crate::config::{cannot_write, write_whole};
use crate::kernel::host::cpu_times_now;
use crate::lab::batch::{Halt, Stop};
use crate::lab::catalog::{self, Backend, RunSpec, System};
use crate::lab::kept::{self, Kept};
use crate::lab::launcher::{LaunchError, Launcher, Limits};
use crate::lab::page::html;
use crate::lab::python;
use crate::lab::run::Run;
use crate::lab::talk::{self, CLAIMS, Claim, Finding, SCHEMA, Talk, Verdict, judge};
use crate::snapshot::CpuTimes;
use crate::text::{Charset, sanitize_str};

use super::progress::Progress;
use super::stop::stop_by_signal;
use super::{Ended, await_end_unless, document, setup};
use crate::command::output::{hanging, terminal_width};

/// Measures the talk's claims and prints what came of them. An error is one of writing.
pub fn talk(args: &TalkArgs, limits: &Limits, pythons: &[PathBuf], out: &mut dyn Write) -> io::Result<Ended> {
    let claims = match chosen(&args.only) {
        Ok(claims) => claims,
        Err(why) => return refuse(&why, Ended::BadUsage),
    };
    if let Some(why) = args.output.html.iter().chain(&args.output.out).find_map(|path| cannot_write(path)) {
        return refuse(&why, Ended::BadUsage);
    }
    let mut talk = match begin(args) {
        Ok(talk) => talk,
        Err(why) => return refuse(&why, Ended::BadUsage),
    };
    // Some claims are about a thousand of something; what a run may hold is still checked against the machine.
    let limits = Limits { max_workers: limits.max_workers.max(1_000), ..limits.clone() };
    let launcher = match Launcher::start_with(Path::new("/proc/self/exe"), limits) {
        Ok(launcher) => launcher.with_pythons(pythons.to_vec()),
        Err(error) => return refuse(&error.to_string(), Ended::Unavailable),
    };
    if !args.no_setup {
        set_up(&claims, &launcher);
    }
    let open: Vec<&Claim> = claims.iter().copied().filter(|c| !settled(&talk, c)).collect();
    let mut progress = Progress::new(open.iter().map(|c| c.specs().len()).sum::<usize>() * args.repeat as usize);
    let stop = stop_by_signal();
    for claim in open {
        let Some(finding) = finding_of(claim, args, &launcher, &mut progress, &stop) else { break };
        talk.add(finding);
        if let Some(path) = &args.output.out
            && let Err(error) = write_whole(path, Kept::Talk(talk.clone()).json()?.as_bytes())
        {
            progress.end();
            return refuse(&format!("{}: {error}", path.display()), Ended::Failed);
        }
    }
    progress.end();
    if stop.stopped() {
        return stopped(args, &claims, &talk);
    }
    talk.findings.retain(|f| claims.iter().any(|c| c.id == f.claim));
    let failed = talk.findings.iter().any(|f| matches!(f.verdict, Verdict::Failed(_)));
    let kept = Kept::Talk(talk);
    show(&kept, args, out)?;
    if let Some(path) = &args.output.html
        && let Err(error) = write_whole(path, html(&kept.page()).as_bytes())
    {
        return refuse(&format!("{}: {error}", path.display()), Ended::Failed);
    }
    Ok(if failed { Ended::Failed } else { Ended::Done })
}

/// Says how far it came when somebody pressed Ctrl-C.
fn stopped(args: &TalkArgs, claims: &[&Claim], talk: &Talk) -> io::Result<Ended> {
    let tried = claims.iter().filter(|c| talk.finding(c.id).is_some()).count();
    let kept = match &args.output.out {
        Some(path) => format!("{} has them, and the same command continues from there", path.display()),
        None => "--out FILE would save them, to continue later".to_owned(),
    };
    refuse(&format!("stopped after {tried} of {} claims; {kept}", claims.len()), Ended::Failed)
}

/// Makes a page of what was measured and kept as JSON. An error is one of writing.
pub fn report(args: &ReportArgs, out: &mut dyn Write) -> io::Result<Ended> {
    let kept = match Kept::read(&args.file) {
        Ok(kept) => kept,
        Err(why) => return refuse(&why, Ended::BadUsage),
    };
    match &args.html {
        Some(Some(path)) => {
            return match write_whole(path, html(&kept.page()).as_bytes()) {
                Ok(()) => Ok(Ended::Done),
                Err(error) => refuse(&format!("{}: {error}", path.display()), Ended::Failed),
            };
        }
        Some(None) => out.write_all(html(&kept.page()).as_bytes())?,
        None => {
            let id = args.format.as_deref().unwrap_or(if args.csv { "csv" } else { "markdown" });
            let Some(format) = kept::format(id) else { return Ok(Ended::BadUsage) };
            out.write_all((format.text)(&kept)?.as_bytes())?;
        }
    }
    Ok(Ended::Done)
}

/// The claims that were asked for, in the talk's order.
fn chosen(only: &[String]) -> Result<Vec<&'static Claim>, String> {
    if let Some(unknown) = only.iter().find(|id| !CLAIMS.iter().any(|c| c.id == **id)) {
        let ids: Vec<&str> = CLAIMS.iter().map(|c| c.id).collect();
        return Err(format!("--only: there is no claim {unknown:?}; the claims are {}", ids.join(", ")));
    }
    Ok(CLAIMS.iter().filter(|c| only.is_empty() || only.iter().any(|id| id == c.id)).collect())
}

/// What was measured before, if the file to write has it, or nothing yet.
fn begin(args: &TalkArgs) -> Result<Talk, String> {
    let new = Talk {
        schema: SCHEMA.into(),
        concmon: env!("CARGO_PKG_VERSION").into(),
        machine: document::machine(),
        repeat: args.repeat,
        findings: Vec::new(),
    };
    let Some(path) = args.output.out.as_ref().filter(|p| p.exists()) else { return Ok(new) };
    let old = match Kept::read(path) {
        Ok(Kept::Talk(old)) => old,
        Ok(Kept::Comparison { .. }) => {
            return Err(format!("{}: the file has no talk to continue; use another file", path.display()));
        }
        Err(why) => return Err(format!("{why}; the file has no talk to continue: use another file")),
    };
    let same = |key: &str| old.machine[key] == new.machine[key];
    if (&old.schema, &old.concmon, old.repeat) != (&new.schema, &new.concmon, new.repeat) || !same("kernel") || !same("cpus") {
        return Err(format!(
            "{}: the file was made on another machine, by another version or with another --repeat; use another file or remove it",
            path.display()
        ));
    }
    Ok(old)
}

/// Whether a claim needs no more runs. What was not to be had or went wrong is tried again.
fn settled(talk: &Talk, claim: &Claim) -> bool {
    talk.finding(claim.id).is_some_and(|f| matches!(f.verdict, Verdict::Reproduces | Verdict::DoesNot))
}

/// Makes the environment that the claims need, once.
fn set_up(claims: &[&Claim], launcher: &Launcher) {
    let systems = claims.iter().flat_map(|c| c.arms).filter_map(|arm| catalog::find(arm.system));
    for system in systems.filter(|s| s.backend == Backend::Python) {
        let found = launcher.interpreters();
        // What could not be made is said by the claims that need it. One environment serves all.
        if python::availability(system, &found).is_some() && !setup::for_first_use(system, &found) {
            continue;
        }
    }
}

/// What comes of a claim; `None` if somebody stops. A figure that contradicts it while others had the machine is measured once more.
fn finding_of(claim: &Claim, args: &TalkArgs, launcher: &Launcher, progress: &mut Progress, stop: &Stop) -> Option<Finding> {
    let first = measure_claim(claim, args, launcher, progress, stop)?;
    if !first.may_be_the_machine() {
        return Some(first);
    }
    progress.add(claim.specs().len() * args.repeat as usize);
    let again = measure_claim(claim, args, launcher, progress, stop)?;
    Some(talk::after_two(&first, again))
}

/// All rounds of a claim; `None` if somebody stops.
fn measure_claim(claim: &Claim, args: &TalkArgs, launcher: &Launcher, progress: &mut Progress, stop: &Stop) -> Option<Finding> {
    let repeat = args.repeat;
    let specs = match specs(claim, args.python.as_deref(), launcher) {
        Ok(specs) => specs,
        Err(why) => {
            progress.skip(claim.specs().len() * repeat as usize);
            return Some(Finding::without(claim, Verdict::NotAvailable(why)));
        }
    };
    let before = cpu_times_now();
    let mut rounds: Vec<Vec<Arc<Run>>> = Vec::new();
    for round in 0..repeat {
        let mut runs: Vec<Option<Arc<Run>>> = vec![None; specs.len()];
        // Every other round goes the other way, so that neither side always comes second.
        let forth = 0..specs.len();
        let order: Vec<usize> = if round % 2 == 0 { forth.collect() } else { forth.rev().collect() };
        for at in order {
            progress.step(claim.id);
            let ended = launcher.launch(specs[at].clone()).map_err(Halt::Launch);
            runs[at] = match ended.and_then(|id| await_end_unless(launcher, id, stop)) {
                Ok(run) => Some(run),
                Err(Halt::Stopped) => return None,
                Err(Halt::Launch(LaunchError::Unavailable(why) | LaunchError::TooLarge(why))) => {
                    return Some(Finding::without(claim, Verdict::NotAvailable(why)));
                }
                Err(halt) => return Some(Finding::without(claim, Verdict::Failed(halt.to_string()))),
            };
        }
        rounds.push(runs.into_iter().flatten().collect());
    }
    let rounds: Vec<Vec<&Run>> = rounds.iter().map(|runs| runs.iter().map(AsRef::as_ref).collect()).collect();
    let own = rounds.iter().flatten().filter_map(|run| run.costs.charged_cpu_ns()).sum();
    Some(Finding { others: before.zip(cpu_times_now()).and_then(|(from, to)| others(&from, &to, own)), ..judge(claim, &rounds) })
}

/// Ticks are 10 ms, so that a shorter time says nothing about who used it.
const TELLING_NS: u64 = 200_000_000;

/// The share of all CPU time between two readings that was not `own`.
#[expect(clippy::cast_precision_loss, reason = "2^53 ns are 104 days")]
fn others(from: &CpuTimes, to: &CpuTimes, own: u64) -> Option<f64> {
    let all = to.all_ns().checked_sub(from.all_ns()).filter(|all| *all >= TELLING_NS)?;
    let busy = to.busy_ns().saturating_sub(from.busy_ns());
    Some(busy.saturating_sub(own) as f64 / all as f64)
}

/// The runs of one round. All that the claim compares run on one interpreter, except where it compares builds with and without the GIL.
fn specs(claim: &Claim, named: Option<&Path>, launcher: &Launcher) -> Result<Vec<RunSpec>, String> {
    let found = launcher.interpreters();
    let mut specs = claim.specs();
    for gil in [None, Some(true), Some(false)] {
        let arms: Vec<_> = claim.arms.iter().filter(|arm| arm.gil == gil).collect();
        if let Some(unknown) = arms.iter().find(|arm| catalog::find(arm.system).is_none()) {
            return Err(format!("the catalogue has no {}", unknown.system));
        }
        let systems = arms.iter().filter_map(|arm| catalog::find(arm.system)).filter(|s| s.backend == Backend::Python);
        let systems: Vec<&System> = systems.collect();
        if systems.is_empty() {
            continue;
        }
        let chosen = match named {
            None => python::choose_common(&systems, gil, &found)?,
            Some(named) => {
                let path = python::resolve(named, &systems, &found)?;
                let all: Result<Vec<_>, String> = systems.iter().map(|s| python::choose(s, Some(&path), &found)).collect();
                let Some(chosen) = all?.into_iter().next().filter(|i| gil.is_none_or(|gil| i.gil == gil)) else {
                    let kind = if gil == Some(true) { "with the GIL" } else { "without the GIL" };
                    return Err(format!("the claim is about an interpreter {kind}, which {} is not", path.display()));
                };
                chosen
            }
        };
        for wanted in arms.iter().filter_map(|arm| arm.spec()).filter(|spec| catalog::python_program(&spec.system).is_some()) {
            let same = |spec: &&mut RunSpec| RunSpec { python: None, ..(**spec).clone() } == wanted;
            specs.iter_mut().filter(same).for_each(|spec| spec.python = Some(chosen.path.clone()));
        }
    }
    Ok(specs)
}

fn show(kept: &Kept, args: &TalkArgs, out: &mut dyn Write) -> io::Result<()> {
    if let Some(format) = args.output.printed.format() {
        return out.write_all((format.text)(kept)?.as_bytes());
    }
    let Kept::Talk(talk) = kept else { return Ok(()) };
    for finding in &talk.findings {
        let Some(claim) = finding.entry() else { continue };
        writeln!(out, "{}", hanging(&format!("{:>2}  ", claim.part), claim.statement, terminal_width()))?;
        let said = talk::said(finding);
        let label = format!("    {:<13}  ", finding.verdict.word());
        writeln!(out, "{}", hanging(&label, &sanitize_str(&said, Charset::Unicode), terminal_width()))?;
    }
    writeln!(out, "\n{}", talk::summary_line(talk))
}

fn refuse(why: &str, ended: Ended) -> io::Result<Ended> {
    writeln!(io::stderr(), "concmon: {}", sanitize_str(why, Charset::Unicode))?;
    Ok(ended)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_used_is_what_the_runs_did_not() {
        let times = |user_ns, idle_ns| CpuTimes { user_ns, idle_ns, ..CpuTimes::default() };
        let from = times(1_000_000_000, 0);
        assert_eq!(others(&from, &times(1_600_000_000, 400_000_000), 500_000_000), Some(0.1));
        assert_eq!(others(&from, &times(1_600_000_000, 400_000_000), 700_000_000), Some(0.0));
        assert_eq!(others(&from, &times(1_050_000_000, 50_000_000), 0), None, "too short to tell");
    }
}
