//! `E`: explains the sorted cell of the selected row, and the cost of sampling.

use crate::columns::{self, Column, Fold, Row, Unknown, Value};
use crate::snapshot::{Comm, EventTier, Needs, PythonSeen, Tier};
use crate::text::{Charset, fit, sanitize};

use super::App;
use super::layer::Layer;
use super::msg::{Effect, Notice};
use super::profile_page::ProfilePage;

/// The most of a text that is explained, cells: a command line may have megabytes.
const MOST_CELLS: usize = 16 * 1024;

/// What is read of rows on screen only, as far as its budget goes.
const READ_IN_TURN: Needs = Needs::STATUS
    .union(Needs::IO)
    .union(Needs::SMAPS)
    .union(Needs::WCHAN)
    .union(Needs::FDS)
    .union(Needs::WAITS)
    .union(Needs::AFFINITY)
    .union(Needs::OOM)
    .union(Needs::NAMESPACES);

impl App {
    /// Opens the profile of the selected process and its descendants.
    pub(super) fn open_profile(&mut self) {
        let Some(row) = self.selected().filter(|row| row.ghost.is_none()) else {
            self.tell(self.no_target());
            return;
        };
        let (name, unicode) = (self.plain(row.process.leader.comm), self.options.unicode);
        let (key, title) = (row.key(), format!("Profile of {} {name} and descendants", row.key().pid));
        self.layer =
            Some(Layer::Explain { title: title.clone(), lines: vec!["The first looks are taken.".to_owned()], scroll: 0 });
        self.profile = Some(ProfilePage { key, title, unicode });
    }

    /// The name of a task, fit for the terminal.
    pub(super) fn plain(&self, comm: Comm) -> String {
        sanitize(comm.as_bytes(), Charset::from_unicode(self.options.unicode)).into_owned()
    }

    /// Why there is no process to act on.
    pub(super) fn no_target(&self) -> Notice {
        let ended = self.selected().is_some_and(|row| row.ghost.is_some());
        Notice::info(if ended { "the selected process has ended" } else { "no process is selected" })
    }

    /// The page that is open.
    #[must_use]
    pub fn profiled(&self) -> Option<&ProfilePage> {
        let page = self.profile.as_ref()?;
        matches!(&self.layer, Some(Layer::Explain { title, .. }) if *title == page.title).then_some(page)
    }

    /// Asks for the waits of the selected row.
    pub(super) fn ask_why(&mut self) -> Vec<Effect> {
        let Some(row) = self.selected().filter(|row| row.ghost.is_none()) else {
            self.tell(self.no_target());
            return Vec::new();
        };
        let number = if row.is_task() { row.face().tid } else { row.key().pid };
        let name = self.plain(row.face().comm);
        let title = format!("Why {number} {name} waits");
        let lines = vec!["Reading the waits of all processes, twice.".to_owned()];
        self.layer = Some(Layer::Explain { title: title.clone(), lines, scroll: 0 });
        vec![Effect::Why { number, title }]
    }

    pub(super) fn explain(&self) -> Layer {
        let mut lines = Vec::new();
        let column = self.options.sort;
        if let Some(row) = self.selected() {
            let name = self.plain(row.face().comm);
            lines.push(format!("{} of PID {} ({name}): the sort column", column.title, row.key().pid));
            lines.push(format!("  {}", column.description));
            // The very cell: of a folded row that is what its subtree has together.
            let line = &self.lines[self.cursor];
            let value = self.value(line, &row, column);
            lines.push(format!("  value   {}", in_words(&value)));
            if let (Some(family), Fold::Sum) = (self.family_of(line), column.fold) {
                let own = in_words(&(column.get)(&row));
                lines.push(format!("  sum     of the {} processes folded into this row; its own: {own}", family.len()));
            }
            let unknown = if let Value::Unknown(why) = value { Some(why) } else { None };
            if let Some(remedy) = unknown.and_then(Unknown::remedy) {
                lines.push(format!("  remedy  {remedy}"));
            }
            if let Some(taken_ns) = read_in_turn(column, &row) {
                let age = self.now_ns.saturating_sub(taken_ns) as f64 / 1e9;
                lines.push(format!("  age     {age:.1} s: rows on screen are read in rotation, within a time budget"));
            }
            if !column.unit.is_empty() {
                lines.push(format!("  unit    {}", column.unit));
            }
            lines.push(format!("  source  {}", source_of(column, &row)));
            lines.push(match unknown {
                None => format!("  basis   {}", column.basis),
                Some(Unknown::NotApplicable) => format!("  basis   does not apply here; in other rows: {}", column.basis),
                Some(_) => format!("  basis   unknown here; where known: {}", column.basis),
            });
            lines.push(format!("  state   {}: {}", row.face().state.letter(), row.face().state.words()));
            lines.push(String::new());
        }
        self.explain_sampling(&mut lines);
        Layer::Explain { title: "Explain".into(), lines, scroll: 0 }
    }

    fn explain_sampling(&self, lines: &mut Vec<String>) {
        let Some(model) = &self.model else { return };
        let report = &model.now.report;
        if self.replay.is_some() {
            lines.push("This is a recording; nothing of this machine is read. When it was recorded:".to_owned());
        }
        if let Some(hosts) = self.host_parts() {
            lines.push(format!(
                "{} hosts, each read by its own `concmon stream` through OpenSSH; this machine is not shown.",
                hosts.len()
            ));
            if self.chosen_host().is_none() {
                return;
            }
        }
        lines.push(format!("Source of the samples: {}", report.tier.name()));
        lines.push(format!(
            "  one sweep of {} processes took {:.2} ms of CPU, {:.2} ms of wall time",
            model.now.processes.len(),
            report.sample_cpu_ns as f64 / 1e6,
            report.sample_wall_ns as f64 / 1e6
        ));
        if !report.why.is_empty() {
            lines.push(format!("  why this source: {}", report.why));
        }
        if let Some(better) = &report.better {
            lines.push(format!("  faster with: {better}"));
        }
        match &report.events {
            EventTier::Connector => lines.push(format!("  events: the kernel's process connector; {} lost", report.events_lost)),
            EventTier::Polling(why) => {
                lines.push(format!("  events: by comparing samples; short-lived processes are missed: {why}"));
            }
        }
        if report.denied > 0 {
            lines.push(format!("  {} processes could not be read: permission denied", report.denied));
        }
    }
}

/// When a value was read, `CLOCK_BOOTTIME` nanoseconds; `None` if it is not one that is read for rows on screen only.
fn read_in_turn(column: &Column, row: &Row<'_>) -> Option<u64> {
    let exact = row.process.exact.as_deref()?;
    match (column.needs.contains(Needs::PYTHON), exact.python.as_deref()) {
        (true, Some(PythonSeen::Look(look))) => Some(look.taken_ns),
        (true, _) => None,
        (false, _) => column.needs.intersects(READ_IN_TURN).then_some(exact.taken_ns),
    }
}

/// Where a cell was read. A process's value that the kernel counts per task is a sum; the task iterator gives some values of files.
fn source_of(column: &Column, row: &Row<'_>) -> String {
    let counted_per_task = column.source.ends_with("/schedstat") || column.source.contains("ctxt_switches");
    let tasks = row.process.nlwp.filter(|n| *n > 1 && counted_per_task && !row.is_task());
    let tid = tasks.map_or_else(|| row.face().tid.to_string(), |_| "*".to_owned());
    let file = column.source.replace("TID", &tid).replace("PID", &row.key().pid.to_string());
    let sum = tasks.map_or_else(String::new, |n| format!(", the sum over its {n} tasks"));
    let fields = ["/proc/PID/stat", "/proc/PID/task/TID/stat"];
    let told = counted_per_task || fields.iter().any(|f| column.source == *f || column.source.starts_with(&format!("{f} ")));
    match row.model.now.report.tier {
        Tier::Bpf if told => format!("the kernel's BPF task iterator{sum} (without it: {file})"),
        _ => format!("{file}{sum}"),
    }
}

/// A value with all its digits.
fn in_words(value: &Value<'_>) -> String {
    let mut text = String::new();
    match value {
        Value::Unknown(why) => text.push_str(why.words()),
        Value::Bytes(n) => text = format!("{} ({n} bytes)", columns::in_bytes(*n)),
        Value::Duration(ns) => text = format!("{:.6} s", *ns as f64 / 1e9),
        Value::Percent(p) => text = format!("{p:.3} %"),
        Value::Rate(r) => text = format!("{r:.2} per second"),
        Value::BytesPerSecond(r) => text = format!("{r:.0} bytes per second"),
        Value::RunWait { run, wait } => text = format!("{run:.2} % on a CPU, {wait:.2} % waiting for one"),
        Value::HeldWanted { held, wanted } => {
            let wanted = wanted.map_or_else(|| "unknown".to_owned(), |wanted| format!("{wanted:.0} %"));
            text = format!("held in {held:.0} % of the looks, waited for in {wanted} of them");
        }
        Value::Recent(recent) => text = format!("{} (percent on a CPU + waiting for one, oldest first)", recent.text()),
        Value::Int(i) => text = i.to_string(),
        Value::Count(n) => text = n.to_string(),
        Value::State(s) => text = format!("{}: {}", s.letter(), s.words()),
        Value::Text(t) => text = fit(t, MOST_CELLS, Charset::Unicode).into_owned(),
        Value::Word(w) => text.push_str(w),
    }
    text
}

#[cfg(test)]
mod tests;
