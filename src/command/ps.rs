//! `concmon ps`: prints the table once, as text, JSON, CSV or OpenMetrics.

use std::cmp::Ordering;
use std::collections::HashSet;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;

use crate::cli::PsArgs;
use crate::columns::{self, COLUMNS, Column, Row, RowRef};
use crate::config::Config;
use crate::derive::{Deriver, Model, Tree};
use crate::diagnose::{Level, Watch};
use crate::export::{FORMATS, Line, Table, TableOptions};
use crate::inspect::watch::WithPythons;
use crate::kernel::source::{Request, Source};
use crate::kernel::{AutoSource, SourceChoice};
use crate::query::{Filter, Lineage};
use crate::record::{MOST_STREAM_BYTES, Recorder};
use crate::snapshot::{Facts, Needs, ProcKey, ProcessSample, pid_on_host};
use crate::text::Charset;
use crate::why::Surveyor;

use super::output::{terminal_width, to_stderr, with_stdout};
use super::{Failure, begin_recording, open_recording};

/// Runs it.
pub(super) fn run(config: &Config, args: &PsArgs) -> Result<(), Failure> {
    let filter = super::filter(config)?;
    let question = Question::new(config, filter.as_ref());
    let model = match &config.replay {
        Some(recording) => replayed(recording, args)?,
        None if !config.hosts.is_empty() => super::hosts::model(config, args.samples)?,
        None => {
            let surveys = question.needs.contains(Needs::SURVEY).then(|| survey(config, args.samples));
            let mut model = sampled(config, &question, args.samples)?;
            if let Some(surveyed) = surveys.transpose()? {
                model.facts = Some(Arc::new(surveyed));
            }
            model
        }
    };
    let lines = Answer::new(&question, &model).lines();
    let format = FORMATS.iter().find(|format| format.id == args.output.id()).unwrap_or(&FORMATS[0]);
    let table = Table { model: &model, columns: &config.columns, lines: &lines };
    with_stdout(|out| {
        let charset = Charset::from_unicode(config.unicode);
        (format.write)(out, &table, &TableOptions { charset, width: terminal_width() })
    })?;
    super::hosts::complete(&model)
}

/// What surveys find, as many as samples are taken, with the findings of all processes.
fn survey(config: &Config, samples: u32) -> Result<Facts, Failure> {
    let unavailable = |error| Failure::Unavailable(anyhow::Error::from(error));
    let mut surveyor = Surveyor::new().map_err(unavailable)?;
    let mut source = AutoSource::new("/proc", config.source).map_err(unavailable)?;
    let (mut deriver, mut watch) = (Deriver::new(0), Watch::default());
    let mut facts = Facts::default();
    for number in 0..samples.max(1) {
        if number > 0 {
            std::thread::sleep(config.delay);
        }
        facts = surveyor.survey().map_err(unavailable)?.facts;
        let model = deriver.step(source.sample(&Request::basic(Needs::empty())).map_err(unavailable)?);
        let findings = watch.step_with(&model, Some(&facts));
        for finding in findings.iter().filter(|finding| finding.diagnosis.level == Level::Warning).rev() {
            for key in finding.others.iter().chain([&finding.about]) {
                facts.problems.insert(key.pid, finding.diagnosis.short());
            }
        }
    }
    Ok(facts)
}

/// The processes that a filter matches, asked again and again of one source.
pub(super) struct Matching<'a> {
    question: Question<'a>,
    source: WithPythons<AutoSource>,
}

impl<'a> Matching<'a> {
    pub(super) fn new(config: &'a Config, filter: &'a Filter) -> Result<Self, Failure> {
        // Nothing is printed: only what the filter compares is read.
        let question = Question::of(config, Some(filter), columns::needs(filter.columns()));
        Ok(Self { question, source: WithPythons::new(open_source(config)?) })
    }

    /// Those that it matches now.
    pub(super) fn pids(&mut self) -> Result<HashSet<i32>, Failure> {
        let model = sample(&mut self.source, &self.question, 1)?;
        let answer = Answer::new(&self.question, &model);
        let processes = (0u32..).zip(&model.now.processes);
        let passes = |index: u32| answer.passes(RowRef::Process(index)) || answer.tasks(index).next().is_some();
        Ok(processes.filter(|(index, _)| passes(*index)).map(|(_, process)| process.key.pid).collect())
    }
}

/// `--columns help`: every column there is, in place of the table.
pub(super) fn list_columns(args: &PsArgs) -> Result<(), Failure> {
    with_stdout(|out| {
        if args.output.id() == "json" {
            let of = |c: &Column| serde_json::json!({ "id": c.id, "title": c.title, "unit": c.unit, "key": c.json_key(), "description": c.description, "source": c.source });
            let columns: Vec<_> = COLUMNS.iter().map(of).collect();
            return writeln!(out, "{}", serde_json::json!({ "schema": "concmon.columns/1", "columns": columns }));
        }
        let width = COLUMNS.iter().map(|c| c.id.len()).max().unwrap_or(0);
        COLUMNS.iter().try_for_each(|c| writeln!(out, "{:width$}  {:9}  {}", c.id, c.title, c.description))
    })?;
    Ok(())
}

/// Whether `--columns help` was given.
pub(super) fn asks_for_columns(args: &PsArgs) -> bool {
    args.columns.iter().flatten().map(String::as_str).eq(["help"])
}

/// Nothing else waits for a sweep of `ps`: what was asked for is read, within reason.
pub(super) const BUDGET: Duration = Duration::from_secs(60);

/// What is asked.
pub(super) struct Question<'a> {
    pub config: &'a Config,
    filter: Option<&'a Filter>,
    threads: bool,
    kernel_threads: bool,
    pub needs: Needs,
}

impl<'a> Question<'a> {
    fn new(config: &'a Config, filter: Option<&'a Filter>) -> Self {
        let asked = filter.map(Filter::columns).unwrap_or_default();
        let needs = columns::needs(config.columns.iter().copied().chain([config.sort.column]).chain(asked));
        Self::of(config, filter, needs)
    }

    pub fn of(config: &'a Config, filter: Option<&'a Filter>, mut needs: Needs) -> Self {
        let threads = config.threads || filter.is_some_and(Filter::wants_threads);
        let kernel_threads = config.kernel_threads || filter.is_some_and(Filter::wants_kernel_threads);
        if threads {
            needs |= Needs::THREADS;
        }
        // Reading a very large process's share of memory holds it up for a moment: only where it is asked for by name.
        if needs.contains(Needs::SMAPS) && (!config.pids.is_empty() || filter.is_some_and(|f| f.only_pid().is_some())) {
            needs |= Needs::SMAPS_ANY_SIZE;
        }
        Self { config, filter, threads, kernel_threads, needs }
    }
}

/// A frame of a recording, with what those before it tell: rates, and who began how; alone if one sample is asked for.
fn replayed(recording: &Path, args: &PsArgs) -> Result<Model, Failure> {
    let mut replay = open_recording(recording)?;
    replay.read_to_end();
    if let Some(why) = replay.cut() {
        to_stderr(&format!("concmon: the recording {why}\n"));
    }
    let (frames, dropped) = (replay.dropped() + replay.frames(), replay.dropped());
    let at = args.at.map_or(frames, |at| usize::try_from(at).unwrap_or(usize::MAX));
    let wrong = |why: String| Failure::Usage(anyhow::anyhow!("--at: {} has {frames} frames; {why}", recording.display()));
    if at > frames {
        return Err(wrong(format!("there is no frame {at}")));
    }
    let Some(at) = at.checked_sub(dropped).filter(|at| *at > 0) else {
        return Err(wrong(format!(
            "of a stream only the last {} MiB are kept, which begin with frame {}",
            MOST_STREAM_BYTES >> 20,
            dropped + 1
        )));
    };
    let before = if args.samples == 1 { at - 1..at } else { replay.run_up(at - 1) };
    let mut deriver = Deriver::new(0);
    let mut model = None;
    for frame in before {
        model = Some(deriver.step(replay.frame(frame).context("cannot read the recording")?));
    }
    model.ok_or_else(|| Failure::Failed(anyhow::anyhow!("{} has no frame", recording.display())))
}

pub(super) fn open_source(config: &Config) -> Result<AutoSource, Failure> {
    AutoSource::new("/proc", config.source).map_err(|error| {
        let error = anyhow::Error::from(error);
        // A source that the user named is used, or none.
        if config.source == SourceChoice::Auto { Failure::Failed(error) } else { Failure::Unavailable(error) }
    })
}

/// The model of this machine, which is written down too if that is asked for.
fn sampled(config: &Config, question: &Question<'_>, samples: u32) -> Result<Model, Failure> {
    let source = open_source(config)?;
    if config.record.as_deref().is_some_and(super::stream::is_standard_output) {
        let why = "--record -: `ps` prints its table on standard output; use `concmon stream`, or name a file";
        return Err(Failure::Usage(anyhow::anyhow!(why)));
    }
    let writer = config.record.as_deref().map(begin_recording).transpose()?;
    let (told, why) = std::sync::mpsc::channel();
    let stopped = move |why| {
        // The receiver still exists: it is read below.
        let _ = told.send(why);
    };
    let model = sample(&mut Recorder::new(WithPythons::new(source), writer, stopped), question, samples)?;
    match why.try_recv() {
        Ok(why) => Err(Failure::Failed(anyhow::anyhow!(why))),
        Err(_) => Ok(model),
    }
}

/// The model of the last of `samples` samples, `config.delay` apart.
fn sample(source: &mut impl Source, question: &Question<'_>, samples: u32) -> Result<Model, Failure> {
    let needs = question.needs;
    let mut sweep = |visible: &[ProcKey]| {
        let request = Request { all: needs, visible_needs: needs, visible, family: &[], budget: BUDGET };
        source.sample(&request).context("cannot read the processes")
    };
    let mut deriver = Deriver::new(0);
    let mut model = deriver.step(sweep(&[])?);
    // What is sampled between two samples has to begin with the first.
    if needs.contains(Needs::PYTHON) || (samples == 1 && needs.intersects(Needs::VISIBLE_ONLY)) {
        // Which rows there are is known only now. Not a second sample: nothing is derived from the time between.
        deriver = Deriver::new(0);
        model = deriver.step(sweep(&candidates(&model, question))?);
    }
    for _ in 1..samples {
        let visible = candidates(&model, question);
        std::thread::sleep(question.config.delay);
        model = deriver.step(sweep(&visible)?);
    }
    Ok(model)
}

/// The processes that may be printed: all but those that no value could bring in.
pub(super) fn candidates(model: &Model, question: &Question<'_>) -> Vec<ProcKey> {
    model.now.processes.iter().filter(|process| is_candidate(process, question)).map(|process| process.key).collect()
}

fn is_candidate(process: &ProcessSample, question: &Question<'_>) -> bool {
    let config = question.config;
    let pid = pid_on_host(process.key.pid);
    let named = config.pids.contains(&pid);
    if question.filter.and_then(Filter::only_pid).is_some_and(|only| only != pid) {
        return false;
    }
    let user = config.user.as_ref().is_none_or(|user| process.identity.uid == Some(user.uid));
    user && (named || (config.pids.is_empty() && (question.kernel_threads || !process.kernel_thread)))
}

/// The question put to a model.
pub(super) struct Answer<'a> {
    question: &'a Question<'a>,
    model: &'a Model,
    lineage: Lineage,
}

impl<'a> Answer<'a> {
    pub fn new(question: &'a Question<'a>, model: &'a Model) -> Self {
        let lineage = question.filter.map(|filter| Lineage::new(filter, model)).unwrap_or_default();
        Self { question, model, lineage }
    }

    fn passes(&self, row: RowRef) -> bool {
        let filter = self.question.filter;
        filter.is_none_or(|filter| Row::new(self.model, row).is_some_and(|row| filter.matches(&row, &self.lineage)))
    }

    /// The rows, in order.
    pub fn lines(&self) -> Vec<Line> {
        let processes = (0u32..).zip(&self.model.now.processes);
        let candidates = processes.filter(|(_, process)| is_candidate(process, self.question)).map(|(index, _)| index);
        if self.question.config.tree {
            // A process whose thread passes stays: the thread's row hangs below it.
            let kept: Vec<u32> =
                candidates.filter(|i| self.passes(RowRef::Process(*i)) || self.tasks(*i).next().is_some()).collect();
            return self.tree(&kept);
        }
        let mut rows = Vec::new();
        for index in candidates {
            rows.extend(Some(RowRef::Process(index)).filter(|row| self.passes(*row)));
            rows.extend(self.tasks(index));
        }
        self.sort(&mut rows);
        rows.into_iter().map(Line::flat).collect()
    }

    /// Rows of a process's tasks, if threads are wanted; the leader's row is the process's own.
    fn tasks(&self, process: u32) -> impl Iterator<Item = RowRef> {
        let sample = &self.model.now.processes[process as usize];
        let range = if self.question.threads { sample.tasks.clone() } else { 0..0 };
        let is_leader = move |task: u32| self.model.now.tasks.get(task as usize).is_none_or(|t| t.tid == sample.leader.tid);
        let rows = range.filter(move |task| !is_leader(*task)).map(move |task| RowRef::Task { process, task });
        rows.filter(|row| self.passes(*row))
    }

    fn sort(&self, rows: &mut [RowRef]) {
        let sort = self.question.config.sort;
        // Each value once: some cost an allocation.
        let mut keyed: Vec<_> =
            rows.iter().map(|row| (Row::new(self.model, *row).map(|row| (sort.column.get)(&row)), *row)).collect();
        // Stable: equal ones stay in the order of their ids.
        keyed.sort_by(|(a, _), (b, _)| match (a, b) {
            (Some(a), Some(b)) => a.compare(b, sort.descending),
            _ => Ordering::Equal,
        });
        for (row, (_, sorted)) in rows.iter_mut().zip(keyed) {
            *row = sorted;
        }
    }

    /// Children below their nearest kept ancestor, siblings sorted.
    fn tree(&self, kept: &[u32]) -> Vec<Line> {
        let all = Tree::build(&self.model.now.processes);
        let place = |index: u32| kept.binary_search(&index).ok().and_then(|at| u32::try_from(at).ok());
        let parents = kept.iter().map(|index| {
            let above = std::iter::successors(all.parent[*index as usize], |ancestor| all.parent[*ancestor as usize]);
            above.into_iter().find_map(place)
        });
        let tree = Tree::from_parents(parents.collect());
        let mut lines = Vec::with_capacity(kept.len());
        // Depth first with a stack of our own: a chain of processes may be deeper than the thread's.
        let mut open: Vec<Line> = self.ordered(kept, tree.roots()).into_iter().rev().map(Line::flat).collect();
        while let Some(line) = open.pop() {
            lines.push(line);
            let RowRef::Process(index) = line.row else { continue };
            let goes_on = line.depth > 0 && !line.last;
            let trunk = line.trunk | if goes_on { 1u64.checked_shl(u32::from(line.depth)).unwrap_or(0) } else { 0 };
            let mut below: Vec<RowRef> = self.tasks(index).collect();
            self.sort(&mut below);
            below.extend(place(index).map(|at| self.ordered(kept, tree.children(at))).unwrap_or_default());
            for (nth, row) in below.into_iter().rev().enumerate() {
                open.push(Line { row, depth: line.depth.saturating_add(1), last: nth == 0, trunk });
            }
        }
        lines
    }

    /// Processes at these places of `kept`, sorted.
    fn ordered(&self, kept: &[u32], places: &[u32]) -> Vec<RowRef> {
        let mut rows: Vec<RowRef> = places.iter().map(|at| RowRef::Process(kept[*at as usize])).collect();
        self.sort(&mut rows);
        rows
    }
}
