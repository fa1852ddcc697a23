//! `concmon problems`: deadlocks, waits that no task can end, and what the diagnoses find, on this machine or on others.

mod document;
mod found;
mod hosts;
mod text;

use std::collections::HashSet;
use std::time::{Duration, Instant};

use crate::causes::Problem;
use crate::cli::{ProblemsArgs, exit};
use crate::config::Config;
use crate::derive::{Deriver, Model};
use crate::diagnose::{Finding, Level, Watch};
use crate::kernel::source::{Request, Source};
use crate::kernel::{AutoSource, reason};
use crate::query::Filter;
use crate::snapshot::Needs;
use crate::why::Surveyor;

use super::output::with_stdout;
use super::waits::write_json;
use super::{Failure, ps};
use document::Document;
use found::Found;

/// Looks that `--for` takes at least, unless something is found of the processes that were asked about.
const LEAST_LOOKS: usize = 3;
/// Of these, looks that have read every Python process: what stays so is known from the second on. On a busy machine `--for` takes up to so
/// many times as long for them.
const LEAST_WHOLE: usize = 2;
const AT_MOST: u32 = 3;
/// Time between two looks with `--for`: shorter spans say little of what threads do.
const BETWEEN: Duration = Duration::from_millis(1000);
/// Time to look on after the first finding of the processes that were asked about.
const SETTLE: Duration = Duration::from_secs(3);

/// Runs it.
pub(super) fn run(config: &Config, args: &ProblemsArgs) -> Result<(), Failure> {
    let filter = args.filter.as_deref().map(|text| {
        let parsed = Filter::parse_with(text, &config.saved_filters);
        parsed.map_err(|error| Failure::Usage(anyhow::anyhow!("filter: {}", error.pointed(text))))
    });
    let filter = filter.transpose()?;
    if !args.hosts.is_empty() {
        return hosts::run(config, args);
    }
    let begun = Instant::now();
    let mut looker = Looker::new(config, filter.as_ref())?;
    let mut found = looker.look()?;
    let is_whole = |found: &Found| usize::from(found.scene.unread_pythons == 0);
    let (mut looks, mut whole) = (1, is_whole(&found));
    let mut matched = !found.matched_none;
    let mut warned = None;
    // Of all processes, what one of them has for long must not hide what comes to another.
    let asked = filter.is_some();
    let mut over = |found: &Found| {
        // A chain of waits is proven; the first of the other findings may be the lesser one, so that others may follow it. A mere risk
        // is no answer yet.
        let wrong = |finding: &Finding| finding.diagnosis.level == Level::Warning && !finding.diagnosis.is_risk();
        warned = found.findings.iter().any(wrong).then(|| warned.unwrap_or_else(Instant::now));
        asked && (found.is_whole || warned.is_some_and(|at: Instant| at.elapsed() >= SETTLE))
    };
    // What threads do is known from the second look on, however slow the machine is.
    let goes_on = |duration: Duration, looks: usize, whole: usize| {
        let elapsed = begun.elapsed();
        elapsed < duration || looks < LEAST_LOOKS || whole < LEAST_WHOLE && elapsed < AT_MOST * duration
    };
    while !over(&found) && args.duration.is_some_and(|duration| goes_on(duration, looks, whole)) {
        std::thread::sleep(BETWEEN);
        found = looker.look()?;
        found.again = true;
        matched |= !found.matched_none;
        looks += 1;
        whole += is_whole(&found);
    }
    if let (Some(text), true) = (&args.filter, !matched && !args.json) {
        return Err(Failure::Unavailable(anyhow::anyhow!("no process matches `{text}`, so nothing was examined")));
    }
    let document = Document::new(&found);
    with_stdout(|out| {
        if args.json { write_json(out, &document) } else { text::all(out, &document, found.again, args.duration.is_some()) }
    })?;
    if document.warns() { Err(Failure::Reported(exit::FAILED)) } else { Ok(()) }
}

/// Looks at the machine again and again.
struct Looker<'a> {
    surveyor: Surveyor,
    source: AutoSource,
    deriver: Deriver,
    watch: Watch,
    /// The processes that are asked about; all without a filter.
    matching: Option<ps::Matching<'a>>,
}

impl<'a> Looker<'a> {
    fn new(config: &'a Config, filter: Option<&'a Filter>) -> Result<Self, Failure> {
        let unavailable = |error| {
            let why = reason(&error);
            Failure::Unavailable(anyhow::anyhow!("the processes cannot be examined: {why}"))
        };
        let mut surveyor = Surveyor::new().map_err(unavailable)?.thorough();
        let mut matching = filter.map(|filter| ps::Matching::new(config, filter)).transpose()?;
        if let Some(matching) = &mut matching {
            surveyor.prefer(matching.pids()?);
        }
        Ok(Self {
            surveyor,
            source: AutoSource::new("/proc", config.source).map_err(unavailable)?,
            // What ended since the last look must still be known: who created it, and how it ended.
            deriver: Deriver::new(1_000_000_000),
            watch: Watch::default(),
            matching,
        })
    }

    fn sample(&mut self) -> Result<Model, Failure> {
        let snapshot = self.source.sample(&Request::basic(Needs::empty()));
        let snapshot = snapshot.map_err(|error| Failure::Unavailable(anyhow::anyhow!("{}", reason(&error))))?;
        Ok(self.deriver.step(snapshot))
    }

    fn look(&mut self) -> Result<Found, Failure> {
        let survey = self.surveyor.survey();
        let survey = survey
            .map_err(|error| Failure::Unavailable(anyhow::anyhow!("the processes cannot be examined: {}", reason(&error))))?;
        let model = self.sample()?;
        let (scene, mut problems) = (survey.scene, survey.problems);
        let wanted = self.matching.as_mut().map(ps::Matching::pids).transpose()?;
        if let Some(wanted) = &wanted {
            self.surveyor.prefer(wanted.clone());
        }
        let is_wanted = |pid: i32| wanted.as_ref().is_none_or(|wanted| wanted.contains(&pid));
        let own = i32::try_from(std::process::id()).unwrap_or(0);
        let mut candidates = scene.processes.keys().filter(|pid| **pid != own && is_wanted(**pid)).peekable();
        if candidates.peek().is_some() && candidates.all(|pid| scene.unreadable.contains_key(pid)) {
            let why = "what these processes wait for can be read only by their owner and by root";
            return Err(Failure::Unavailable(anyhow::anyhow!("{why}; nothing was examined")));
        }
        problems.retain(|problem| problem.tasks.iter().chain(&problem.behind).any(|id| is_wanted(id.pid)));
        let mut findings = self.watch.step_with(&model, Some(&survey.facts));
        // The diagnoses decide which of the problems are reported.
        let told = |problem: &Problem, pid: i32| {
            findings.iter().any(|finding| finding.about.pid == pid && finding.diagnosis.id == problem.cause.id())
        };
        problems.retain(|problem| problem.tasks.first().is_some_and(|id| told(problem, id.pid)));
        findings.retain(|finding| {
            let concerned = finding.others.iter().chain([&finding.about]).any(|key| is_wanted(key.pid));
            let in_view = wanted.is_none() || concerned;
            in_view && !finding.diagnosis.is_stuck() && finding.about.pid != own
        });
        // What is found may be of one of the programs that were asked about: the others are looked at on.
        let group = |pid: i32| model.index_of(pid).map(|at| model.now.processes[at].pgrp);
        let groups: HashSet<i32> =
            problems.iter().flat_map(|one| one.tasks.iter().chain(&one.behind)).filter_map(|id| group(id.pid)).collect();
        let in_found = |pid: &i32| group(*pid).is_none_or(|group| groups.contains(&group));
        let is_whole = !problems.is_empty() && wanted.as_ref().is_some_and(|wanted| wanted.iter().all(in_found));
        let matched_none = wanted.is_some_and(|wanted| wanted.is_empty());
        let (pythons, taken_ns) = (survey.pythons, model.now.taken_ns);
        Ok(Found { scene, problems, pythons, findings, taken_ns, again: false, matched_none, is_whole })
    }
}
