//! `concmon ps --format openmetrics --out FILE`: totals for the textfile collector of node_exporter, written again and again with `--every`.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::signal::unix::{SignalKind, signal};

use crate::cli::PsArgs;
use crate::columns;
use crate::config::{Config, cannot_write, write_whole};
use crate::derive::{Deriver, Model};
use crate::diagnose::{DIAGNOSES, Finding, Level, Watch};
use crate::export::{FoundIn, Kind, Table, Totals, write_openmetrics};
use crate::kernel::AutoSource;
use crate::kernel::source::{Request, Source};
use crate::query::Filter;
use crate::snapshot::{Needs, ProcKey};
use crate::why::Surveyor;

use super::Failure;
use super::ps::{Answer, BUDGET, Question, candidates, open_source};

/// What the totals are made from, beside what a filter compares.
const READ: Needs = Needs::THREADS.union(Needs::SCHEDSTAT).union(Needs::CGROUP).union(Needs::SMAPS);
/// Between the two sweeps of a file that is written once: findings need two.
const APART: Duration = Duration::from_secs(1);
const NS_PER_S: u64 = 1_000_000_000;

/// Writes the file, once or until a signal comes.
pub(super) fn run(config: &Config, args: &PsArgs, path: &Path) -> Result<(), Failure> {
    if let Some(why) = cannot_write(path) {
        return Err(Failure::Usage(anyhow::anyhow!(why)));
    }
    let filter = super::filter(config)?;
    let mut exporter = Exporter::new(config, filter.as_ref(), args.per.is_some())?;
    let Some(every) = args.every else {
        exporter.sweep()?;
        std::thread::sleep(APART.max(config.delay.min(APART)));
        return Ok(write_whole(path, exporter.sweep()?.as_bytes())?);
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        let mut ticks = tokio::time::interval(every);
        // After a sweep that took too long, or a suspended machine, nothing is made up for.
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                _ = interrupt.recv() => return Ok(()),
                _ = terminate.recv() => return Ok(()),
            }
            let text = exporter.sweep()?;
            write_whole(path, text.as_bytes()).map_err(|e| named(path, &e))?;
        }
    })
}

fn named(path: &Path, error: &io::Error) -> Failure {
    Failure::Failed(anyhow::anyhow!("{}: {error}", path.display()))
}

/// Sweeps over the processes and adds up.
struct Exporter<'a> {
    question: Question<'a>,
    source: AutoSource,
    surveyor: Surveyor,
    deriver: Deriver,
    watch: Watch,
    totals: Totals,
    /// The processes that the sweep before had, whose memory this one reads.
    visible: Vec<ProcKey>,
    per_process: bool,
}

impl<'a> Exporter<'a> {
    fn new(config: &'a Config, filter: Option<&'a Filter>, per_process: bool) -> Result<Self, Failure> {
        let asked = columns::needs(filter.map(Filter::columns).unwrap_or_default());
        let columns = if per_process { columns::needs(config.columns.iter().copied()) } else { Needs::empty() };
        Ok(Self {
            question: Question::of(config, filter, (READ | asked | columns) & !(Needs::SURVEY | Needs::PYTHON)),
            source: open_source(config)?,
            surveyor: Surveyor::new().map_err(|error| Failure::Unavailable(error.into()))?,
            // What ended since the last sweep is looked at by diagnoses.
            deriver: Deriver::new(NS_PER_S),
            watch: Watch::default(),
            totals: Totals::default(),
            visible: Vec::new(),
            per_process,
        })
    }

    fn sample(&mut self) -> Result<Model, Failure> {
        let needs = self.question.needs;
        let request = Request { all: needs, visible_needs: needs, visible: &self.visible, family: &[], budget: BUDGET };
        let snapshot = self.source.sample(&request).map_err(|error| Failure::Failed(anyhow::Error::from(error)))?;
        let model = self.deriver.step(snapshot);
        self.visible = candidates(&model, &self.question);
        Ok(model)
    }

    /// One sweep; the text that it makes.
    fn sweep(&mut self) -> Result<String, Failure> {
        if self.visible.is_empty() {
            // Which processes there are is known only now; memory is read of those.
            self.sample()?;
        }
        let begun = Instant::now();
        let survey = self.surveyor.survey().map_err(|error| Failure::Unavailable(error.into()))?;
        let mut model = self.sample()?;
        let findings = self.watch.step_with(&model, Some(&survey.facts));
        model.facts = Some(Arc::new(survey.facts));
        let lines = Answer::new(&self.question, &model).lines();
        let places = lines.iter().filter_map(|line| match line.row {
            columns::RowRef::Process(at) => usize::try_from(at).ok(),
            columns::RowRef::Task { .. } | columns::RowRef::Ghost(_) => None,
        });
        let found: Vec<FoundIn> = findings.iter().map(found_in).collect();
        self.totals.step(&model, places, &found, begun.elapsed());
        let kinds: Vec<Kind> = DIAGNOSES.iter().map(|d| Kind { id: d.id, warning: d.level == Level::Warning }).collect();
        let mut text = self.totals.text(&kinds, &found)?;
        if self.per_process {
            let mut per_process = Vec::new();
            write_openmetrics(&mut per_process, &Table { model: &model, columns: &self.question.config.columns, lines: &lines })?;
            // One end mark, at the end.
            text.truncate(text.trim_end_matches("# EOF\n").len());
            text.push_str(&String::from_utf8_lossy(&per_process));
        }
        Ok(text)
    }
}

fn found_in(finding: &Finding) -> FoundIn {
    let processes = [finding.about].into_iter().chain(finding.others.iter().copied()).filter(|key| key.pid != 0).collect();
    FoundIn { id: finding.diagnosis.id, warning: finding.diagnosis.level == Level::Warning, processes }
}
