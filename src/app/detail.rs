//! Details of one process, followed by its identity, also after its end; each page formatted as lines.

use crate::columns::{format, in_bytes};
use crate::derive::Model;
use crate::snapshot::{
    Detail, DetailContent, DetailPart, ExitStatus, FileDetail, GroupDetail, ProcKey, ProcessSample, StackDetail, State,
    ThreadDetail,
};
use crate::text::{Charset, sanitize, sanitize_str, width};

mod asyncio;
mod greenlets;
mod groups;
pub mod overview;
mod recorded;
mod refused;
pub mod runtime;
use recorded::NOT_RECORDED;
use refused::said_once;

use super::past::Point;

/// Of a reading that takes longer the page shows how long it took.
const LONG_READING_NS: u64 = 100_000_000;

/// The pane's pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tab {
    /// Program, owner, state, waits, memory and limits of the process, with graphs.
    Overview,
    /// Tasks.
    Threads,
    /// Memory.
    Memory,
    /// Files and sockets.
    Files,
    /// Environment.
    Environment,
    /// Limits.
    Limits,
    /// Control group and namespaces.
    Groups,
    /// Ancestors and children.
    Tree,
    /// Kernel functions that its tasks sleep in.
    Stacks,
    /// Interpreters, threads and functions of the Python that it runs.
    Runtime,
}

impl Tab {
    /// All, in the order of their digits.
    pub const ALL: [Self; 10] = [
        Self::Overview,
        Self::Threads,
        Self::Memory,
        Self::Files,
        Self::Environment,
        Self::Limits,
        Self::Groups,
        Self::Tree,
        Self::Stacks,
        Self::Runtime,
    ];

    /// So many pages further, round the end.
    #[must_use]
    pub fn next(self, by: usize) -> Self {
        let at = Self::ALL.iter().position(|tab| *tab == self).unwrap_or(0);
        Self::ALL[(at + by) % Self::ALL.len()]
    }

    /// One word.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Overview => "Overview",
            Self::Threads => "Threads",
            Self::Memory => "Memory",
            Self::Files => "Files",
            Self::Environment => "Env",
            Self::Limits => "Limits",
            Self::Groups => "Groups",
            Self::Tree => "Tree",
            Self::Stacks => "Stacks",
            Self::Runtime => "Runtime",
        }
    }

    /// The key that turns to it: digits as a keyboard has them, the tenth being 0.
    #[must_use]
    pub fn digit(self) -> char {
        let at = Self::ALL.iter().position(|tab| *tab == self).unwrap_or(0);
        char::from_digit((at as u32 + 1) % 10, 10).unwrap_or('0')
    }
}

/// The open pane.
#[derive(Debug, Clone)]
pub struct DetailPane {
    /// The process that it follows.
    pub key: ProcKey,
    /// The page.
    pub tab: Tab,
    /// First line shown.
    pub scroll: usize,
    /// Characters that its lines are scrolled to the left by.
    pub sideways: usize,
    /// Whether every mapping is shown.
    pub maps: bool,
    /// As last sampled; kept after its end.
    pub last: ProcessSample,
    /// CPU use, memory and switches, newest last.
    pub points: Vec<Point>,
    /// Whether leaving the full screen returns to the lower half; else to the table.
    pub split: bool,
    /// When and how it ended.
    pub ended: Option<(u64, ExitStatus)>,
    /// Whether the process is one of a recording: nothing is read of it.
    pub recorded: bool,
    /// Whether the recording is at a time before its start.
    unborn: bool,
    /// Whether the overview next reads the Python runtime; else the process.
    inside: bool,
    /// Newest reading of each part.
    read: Vec<Detail>,
    /// Reading of the threads or groups before the newest: their CPU use takes two.
    before: Option<Detail>,
}

impl DetailPane {
    /// Opens on a process.
    #[must_use]
    pub fn new(process: &ProcessSample) -> Self {
        Self {
            key: process.key,
            tab: Tab::Overview,
            scroll: 0,
            sideways: 0,
            maps: false,
            last: process.clone(),
            points: Vec::new(),
            split: false,
            ended: None,
            recorded: false,
            unborn: false,
            inside: false,
            read: Vec::new(),
            before: None,
        }
    }

    /// Shows another page from its beginning.
    pub fn turn_to(&mut self, tab: Tab) {
        (self.tab, self.scroll, self.sideways) = (tab, 0, 0);
    }

    /// What is to be read now; `None` once there is nothing left to read.
    #[must_use]
    pub fn wanted(&self) -> Option<(ProcKey, DetailPart)> {
        (self.ended.is_none() && !self.recorded).then(|| (self.key, self.part()))
    }

    fn part(&self) -> DetailPart {
        match self.tab {
            Tab::Overview if self.inside => DetailPart::Runtime,
            Tab::Overview => DetailPart::Overview,
            Tab::Threads => DetailPart::Threads,
            Tab::Memory => DetailPart::Memory { maps: self.maps },
            Tab::Files => DetailPart::Files,
            Tab::Environment => DetailPart::Environment,
            Tab::Limits => DetailPart::Limits,
            Tab::Groups => DetailPart::Groups,
            Tab::Stacks => DetailPart::Stacks,
            Tab::Runtime => DetailPart::Runtime,
            Tab::Tree => DetailPart::Samples,
        }
    }

    /// A new sample of the machine: the process's values, or its end.
    pub fn sample(&mut self, model: &Model) {
        let ghost = model.lifecycle.ghosts.iter().find(|ghost| ghost.last.key == self.key);
        match model.index_of(self.key.pid).filter(|i| model.now.processes[*i].key == self.key) {
            Some(index) => {
                let process = &model.now.processes[index];
                self.last = process.clone();
                self.inside = !self.inside && self.may_look_inside();
                (self.ended, self.unborn) = (None, false);
                if self.recorded {
                    self.take_threads(model, process);
                }
            }
            // Only a recording goes back to before it.
            None if self.recorded && self.starts_after(model) => self.unborn = true,
            None if self.ended.is_none() => {
                self.ended = Some(ghost.map_or((model.now.taken_ns, ExitStatus::Unknown), |g| (g.ended_ns, g.status)));
            }
            None => {}
        }
    }

    /// Whether the overview may read the Python runtime next: after the process's own values, and only if the last reading found one.
    fn may_look_inside(&self) -> bool {
        self.reading(DetailPart::Overview).is_some()
            && self.reading(DetailPart::Runtime).is_none_or(|detail| detail.content.is_ok())
    }

    /// The newest reading of a part.
    fn reading(&self, part: DetailPart) -> Option<&Detail> {
        self.read.iter().find(|detail| std::mem::discriminant(&detail.part) == std::mem::discriminant(&part))
    }

    /// Takes in a new reading; one of another process, or one that comes late, is dropped.
    pub fn take(&mut self, detail: Detail) {
        if detail.key != self.key {
            return;
        }
        if let Some(old) = self.read.iter().position(|d| std::mem::discriminant(&d.part) == std::mem::discriminant(&detail.part))
        {
            if detail.gone && self.read[old].content.is_ok() {
                return;
            }
            let old = self.read.swap_remove(old);
            if matches!(detail.part, DetailPart::Threads | DetailPart::Groups) {
                self.before = Some(old);
            }
        }
        self.read.push(detail);
    }

    /// Its state, or how it ended.
    #[must_use]
    pub fn standing(&self) -> String {
        match self.ended {
            None if self.unborn => "not started at this time; these are later values".to_owned(),
            None => self.last.leader.state.words().to_owned(),
            Some((_, ExitStatus::Code(code))) => format!("ended with exit code {code}; these are the last values"),
            Some((_, ExitStatus::Signal { signal, core })) => {
                format!("killed by signal {signal}{}; these are the last values", if core { ", core dumped" } else { "" })
            }
            Some((_, ExitStatus::Unknown)) => "ended, exit status unknown; these are the last values".to_owned(),
        }
    }

    /// The page as lines, safe to draw; an empty list for a page that is drawn in another form.
    #[must_use]
    pub fn lines(&self, model: Option<&Model>, charset: Charset) -> Vec<String> {
        match self.tab {
            Tab::Tree => return model.map(|m| self.tree(m, charset)).unwrap_or_default(),
            Tab::Overview => {
                let content = |part| self.reading(part).map(|detail| &detail.content);
                let subject = overview::Subject {
                    process: &self.last,
                    ended_ns: self.ended.map(|(at_ns, _)| at_ns),
                    standing: &self.standing(),
                    recorded: self.recorded,
                    read: content(DetailPart::Overview),
                    runtime: content(DetailPart::Runtime),
                };
                return overview::lines(&subject, model, charset);
            }
            _ => {}
        }
        let Some(detail) = self.reading(self.part()) else {
            let why = if self.recorded {
                NOT_RECORDED
            } else if self.ended.is_some() {
                "the process ended before this was read"
            } else {
                "reading..."
            };
            return vec![why.to_owned()];
        };
        let mut lines = match &detail.content {
            Err(why) => vec![sanitize_str(why, charset).into_owned()],
            Ok(DetailContent::Runtime(runtime)) => runtime::lines(runtime, detail.took_ns, charset),
            Ok(content) => self.content(content, detail.taken_ns, model, charset),
        };
        if let Some(cut) = &detail.cut {
            lines.extend([String::new(), sanitize_str(cut, charset).into_owned()]);
        }
        if detail.took_ns >= LONG_READING_NS {
            let seconds = detail.took_ns as f64 / 1e9;
            lines.push(format!("Reading this took {seconds:.1} s, so it is read less often."));
        }
        lines
    }

    fn content(&self, content: &DetailContent, taken_ns: u64, model: Option<&Model>, charset: Charset) -> Vec<String> {
        let clean = |bytes: &[u8]| sanitize(bytes, charset).into_owned();
        let all = |lines: &Result<Vec<Box<[u8]>>, String>| match lines {
            Ok(lines) => lines.iter().map(|line| clean(line)).collect(),
            Err(why) => vec![sanitize_str(why, charset).into_owned()],
        };
        match content {
            DetailContent::Threads(threads) => self.threads(threads, taken_ns, charset),
            DetailContent::Memory { sums, maps } => {
                let mut lines = match sums {
                    Ok(sums) => sums.iter().map(|(label, bytes)| format!("{:>8}  {}", in_bytes(*bytes), clean(label))).collect(),
                    Err(why) => vec![sanitize_str(why, charset).into_owned()],
                };
                lines.push(String::new());
                match maps {
                    Some(maps) => lines.extend(all(maps)),
                    None => lines.push("m shows every mapping".into()),
                }
                lines
            }
            DetailContent::Files(files) => file_lines(files, model, charset),
            DetailContent::Lines(lines) if lines.is_empty() => vec!["nothing here".into()],
            DetailContent::Lines(lines) => lines.iter().map(|line| clean(line)).collect(),
            DetailContent::Groups { groups, cgroups, namespaces } => {
                let mut lines = vec!["CONTROL GROUPS".to_owned()];
                match groups {
                    Ok(groups) => lines.extend(groups::lines(groups, self.groups_before(taken_ns), charset)),
                    Err(why) => lines.push(sanitize_str(why, charset).into_owned()),
                }
                lines.extend([String::new(), "MEMBER OF".to_owned()]);
                lines.extend(all(cgroups));
                lines.extend([String::new(), "NAMESPACES".to_owned()]);
                lines.extend(said_once(
                    namespaces,
                    "namespace",
                    |(_, target)| target.as_ref().err().map(String::as_str),
                    |(name, target)| vec![format!("{name:8}{}", clean(target.as_deref().unwrap_or_default()))],
                    |(name, _), why| vec![format!("{name:8}{}", sanitize_str(why, charset))],
                ));
                lines
            }
            DetailContent::Stacks(stacks) => stacks_in_words(stacks, charset),
            // Each has a pane or a module of its own.
            DetailContent::Overview(_) | DetailContent::Ledger(_) | DetailContent::Runtime(_) | DetailContent::Nothing => {
                Vec::new()
            }
        }
    }

    /// An earlier reading of the groups, and the nanoseconds since.
    fn groups_before(&self, taken_ns: u64) -> Option<(&[GroupDetail], u64)> {
        let before = self.before.as_ref()?;
        let Ok(DetailContent::Groups { groups: Ok(groups), .. }) = &before.content else { return None };
        Some((groups, taken_ns.checked_sub(before.taken_ns)?))
    }

    fn threads(&self, threads: &[ThreadDetail], taken_ns: u64, charset: Charset) -> Vec<String> {
        let mut lines = vec![format!("{:>8} S {:>6}  {:16} WAIT", "TID", "CPU%", "NAME")];
        lines.extend(threads.iter().map(|thread| {
            let mut cpu = String::new();
            match self.cpu(thread, taken_ns) {
                Some(percent) => format::percent(&mut cpu, percent),
                None => cpu.push('-'),
            }
            let wait = match &thread.wait {
                Some(wait) if wait.denied => "permission denied".to_owned(),
                Some(wait) if wait.reason.is_none() => "-".to_owned(),
                Some(wait) => sanitize_str(&wait.to_string(), charset).into_owned(),
                None if thread.state == State::RUNNING => "runs".to_owned(),
                None => "-".to_owned(),
            };
            let name = sanitize(thread.comm.as_bytes(), charset);
            // Padded by cells: a wide character takes two.
            let pad = 16usize.saturating_sub(width(&name));
            format!("{:>8} {} {cpu:>6}  {name}{:pad$} {wait}", thread.tid, thread.state.letter(), "")
        }));
        lines
    }

    fn cpu(&self, thread: &ThreadDetail, taken_ns: u64) -> Option<f32> {
        let before = self.before.as_ref()?;
        let Ok(DetailContent::Threads(threads)) = &before.content else { return None };
        let same = |t: &&ThreadDetail| t.tid == thread.tid && t.start_ticks == thread.start_ticks;
        let ran = thread.run_ns?.checked_sub(threads.iter().find(same)?.run_ns?)?;
        let gone = taken_ns.checked_sub(before.taken_ns).filter(|gone| *gone > 0)?;
        Some((ran as f64 * 100.0 / gone as f64) as f32)
    }

    fn tree(&self, model: &Model, charset: Charset) -> Vec<String> {
        let name = |p: &ProcessSample| format!("{} {}", p.key.pid, sanitize(p.leader.comm.as_bytes(), charset));
        let mut line = vec![name(&self.last)];
        let mut at = self.last.ppid;
        // A torn reading can make a circle of parents.
        while let Some(parent) = model.process(at).filter(|_| line.len() < 64) {
            line.push(name(parent));
            at = parent.ppid;
        }
        let mut lines = vec!["ANCESTORS".to_owned()];
        lines.extend(line.iter().rev().enumerate().map(|(depth, name)| format!("{:1$}{name}", "", depth * 2)));
        lines.push(String::new());
        lines.push(match model.lifecycle.birth(self.key).filter(|birth| birth.seen) {
            Some(birth) => {
                format!(
                    "Created by PID {}{}",
                    birth.parent_pid,
                    birth.method.badge().map(|b| format!(", {b}")).unwrap_or_default()
                )
            }
            None => "Started before concmon: only its current parent is known, not its creator".to_owned(),
        });
        lines.push(String::new());
        lines.push("CHILDREN".to_owned());
        // Those whose parent died belong to another now.
        let children: Vec<_> =
            model.now.processes.iter().filter(|p| self.ended.is_none() && p.ppid == self.key.pid).map(name).collect();
        if children.is_empty() {
            lines.push("none".to_owned());
        }
        lines.extend(children);
        lines
    }
}

/// Each task's frames below its name.
fn stacks_in_words(stacks: &[StackDetail], charset: Charset) -> Vec<String> {
    let head = |stack: &StackDetail| format!("{:>8}  {}", stack.tid, sanitize(stack.comm.as_bytes(), charset));
    said_once(
        stacks,
        "task",
        |stack| stack.frames.as_ref().err().map(String::as_str),
        |stack| {
            let mut lines = vec![head(stack)];
            let frames = stack.frames.as_deref().unwrap_or_default();
            if frames.is_empty() {
                lines.push("          in no kernel function: running, or ended".to_owned());
            }
            lines.extend(frames.iter().map(|frame| {
                // "[<0>] futex_wait+0x60/0x100": the address is always hidden.
                let frame = frame.strip_prefix(b"[<0>] ").unwrap_or(frame);
                format!("          {}", sanitize(frame, charset))
            }));
            lines
        },
        |stack, why| vec![head(stack), format!("          {}", sanitize_str(why, charset))],
    )
}

/// A line for each descriptor, with the locks on its file below it.
fn file_lines(files: &[FileDetail], model: Option<&Model>, charset: Charset) -> Vec<String> {
    let clean = |bytes: &[u8]| sanitize(bytes, charset).into_owned();
    let called = |pid: i32| {
        let name = model.and_then(|model| model.process(pid)).map(|process| clean(process.leader.comm.as_bytes()));
        name.map_or_else(|| pid.to_string(), |name| format!("{pid} {name}"))
    };
    let mut lines: Vec<String> = locks_in_words(files).into_iter().collect();
    lines.push(format!("{:>6}  LEADS TO", "FD"));
    lines.extend(said_once(
        files,
        "file",
        |file| file.target.as_ref().err().map(String::as_str),
        |file| {
            let target = file.target.as_deref().unwrap_or_default();
            let socket = file.socket.as_deref().map(|ends| format!("  {}", sanitize_str(ends, charset)));
            let locks = file.locks.iter().map(|lock| format!("{:8}{}", "", sanitize_str(&lock.words(called), charset)));
            let first = format!("{:>6}  {}{}", file.fd, clean(target), socket.unwrap_or_default());
            std::iter::once(first).chain(locks).collect()
        },
        |file, why| vec![format!("{:>6}  {}", file.fd, sanitize_str(why, charset))],
    ));
    lines
}

/// How many locks on files there are, which may be far below; `None` if some file could not be looked at.
fn locks_in_words(files: &[FileDetail]) -> Option<String> {
    let known = files.iter().all(|file| file.target.is_ok());
    let count = |held| files.iter().flat_map(|file| &file.locks).filter(|lock| lock.held == held).count();
    match (count(true), count(false)) {
        (0, 0) => known.then(|| "no file locks".to_owned()),
        (held, 0) => Some(format!("file locks: {held} held")),
        (held, waited) => Some(format!("file locks: {held} held, {waited} waited for")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::derive::{Deriver, test_process, test_snapshot};

    #[test]
    fn it_follows_the_process_and_not_its_pid_and_outlives_it() {
        let process = test_process(7, 1, 70);
        let mut deriver = Deriver::new(0);
        let mut pane = DetailPane::new(&process);
        pane.sample(&deriver.step(test_snapshot(1_000, vec![process.clone()])));
        assert!(pane.ended.is_none() && pane.wanted().is_some());
        let limits = |key| {
            let lines = vec![b"Max \x1b[31m"[..].into()];
            Detail::new(key, DetailPart::Limits, 1, Ok(DetailContent::Lines(lines)))
        };
        pane.tab = Tab::Limits;
        let other = ProcKey { start_ticks: process.key.start_ticks + 1, ..process.key };
        pane.take(limits(other));
        assert_eq!(pane.lines(None, Charset::Ascii), ["reading..."]);
        pane.take(limits(process.key));
        let mut successor = process.clone();
        successor.key = other;
        pane.sample(&deriver.step(test_snapshot(2_000, vec![successor])));
        assert!(pane.ended.is_some() && pane.wanted().is_none());
        assert_eq!(pane.last.key, process.key);
        assert_eq!(pane.lines(None, Charset::Ascii), ["Max \\x1b[31m"]);
        assert!(pane.standing().contains("last values"));
    }
}
