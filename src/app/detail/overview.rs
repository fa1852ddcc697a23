//! The first page of the details: what a process is, what it does now, and which of its limits are nearly used up.

use std::collections::BTreeMap;

use crate::columns::{format, wall_clock};
use crate::derive::Model;
use crate::snapshot::{
    DetailContent, Direction, Endpoint, LimitUse, Overview, PipePeer, ProcessSample, PythonRuntime, TaskWait, ThreadDetail,
    WaitReason,
};
use crate::text::{Charset, sanitize, sanitize_str};

use crate::columns::in_bytes;

/// Cells of the labels.
pub const LABEL: usize = 11;
/// A limit is named from this share of it on.
const BITES: f64 = 0.8;
/// The most different waits that are named.
const WAITS: usize = 3;
/// The most bytes of a command line.
const MOST_COMMAND: usize = 4096;
/// The most frames of a Python stack.
const FRAMES: usize = 4;

/// The data of the overview page.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// The process as last sampled.
    pub process: &'a ProcessSample,
    /// When it ended, boot nanoseconds.
    pub ended_ns: Option<u64>,
    /// Its state in words, or how it ended.
    pub standing: &'a str,
    /// Whether the process is part of a recording.
    pub recorded: bool,
    /// The newest reading of the process, and of the Python within.
    pub read: Option<&'a Result<DetailContent, String>>,
    /// See [`Subject::read`].
    pub runtime: Option<&'a Result<DetailContent, String>>,
}

/// The lines: a label of [`LABEL`] cells, a tab, then words. The most informative come first: a small screen shows only those.
pub fn lines(pane: &Subject<'_>, model: Option<&Model>, charset: Charset) -> Vec<String> {
    let overview = match pane.read {
        Some(Ok(DetailContent::Overview(overview))) => Ok(&**overview),
        Some(Err(why)) => Err(sanitize_str(why, charset).into_owned()),
        _ if pane.recorded => Err("not recorded".to_owned()),
        _ if pane.ended_ns.is_some() => Err("the process ended before this was read".to_owned()),
        _ => Err("reading...".to_owned()),
    };
    let link = |get: fn(&Overview) -> &Result<Box<[u8]>, String>| match &overview {
        Ok(overview) => match get(overview) {
            Ok(bytes) => sanitize(bytes, charset).into_owned(),
            Err(why) => sanitize_str(why, charset).into_owned(),
        },
        Err(why) => why.clone(),
    };
    let mut facts = vec![("command", command(pane, charset))];
    facts.extend(now(pane, overview.as_ref().ok().copied(), model, charset).into_iter().map(|words| ("now", words)));
    facts.extend(python(pane, charset).into_iter().map(|words| ("Python", words)));
    facts.push(("memory", memory(pane)));
    facts.push(("limits", overview.as_ref().map_or_else(Clone::clone, |overview| limits(overview))));
    facts.push(("parent", parent(pane, model, charset)));
    facts.push(("started", started(pane, model)));
    facts.push(("user", user(pane, charset)));
    if !pane.process.kernel_thread {
        facts.push(("program", link(|o| &o.program)));
        facts.push(("directory", link(|o| &o.directory)));
    }
    let mut before = "";
    facts
        .into_iter()
        .map(|(label, words)| {
            let shown = if label == before { "" } else { label };
            before = label;
            format!("{shown:LABEL$}\t{words}")
        })
        .collect()
}

fn command(pane: &Subject<'_>, charset: Charset) -> String {
    let args = pane.process.identity.cmdline.as_deref().unwrap_or_default();
    let end = args.iter().rposition(|b| *b != 0).map_or(0, |at| at + 1);
    let joined: Vec<u8> = args[..end.min(MOST_COMMAND)].iter().map(|b| if *b == 0 { b' ' } else { *b }).collect();
    match joined.as_slice() {
        [] if pane.process.kernel_thread => format!("{} (kernel thread)", sanitize(pane.process.leader.comm.as_bytes(), charset)),
        [] => sanitize(pane.process.leader.comm.as_bytes(), charset).into_owned(),
        args => sanitize(args, charset).into_owned(),
    }
}

fn user(pane: &Subject<'_>, charset: Charset) -> String {
    let identity = &pane.process.identity;
    let name = identity.user.as_deref().map_or("unknown".into(), |name| sanitize_str(name, charset));
    let uid = identity.uid.map_or(String::new(), |uid| format!(" ({uid})"));
    format!("{name}{uid}, process group {}, session {}", pane.process.pgrp, pane.process.session)
}

fn parent(pane: &Subject<'_>, model: Option<&Model>, charset: Charset) -> String {
    let called = |pid: i32| match model.and_then(|model| model.process(pid)) {
        Some(parent) => format!("{pid} {}", sanitize(parent.leader.comm.as_bytes(), charset)),
        None => pid.to_string(),
    };
    let birth = model.and_then(|model| model.lifecycle.birth(pane.process.key)).filter(|birth| birth.seen);
    let how = birth.and_then(|birth| birth.method.badge());
    match (pane.process.ppid, birth) {
        (0, _) => "none: the kernel started it".to_owned(),
        (ppid, Some(birth)) if birth.parent_pid != ppid => {
            format!("{}, but created by {} ({})", called(ppid), called(birth.parent_pid), how.unwrap_or("fork"))
        }
        (ppid, _) => format!("{}{}", called(ppid), how.map_or(String::new(), |how| format!(", which created it by {how}"))),
    }
}

fn started(pane: &Subject<'_>, model: Option<&Model>) -> String {
    let Some(model) = model else { return "unknown".to_owned() };
    let begun_ns = pane.process.key.start_ticks.saturating_mul(model.now.system.tick_ns());
    let mut ago = String::new();
    let end_ns = pane.ended_ns.unwrap_or(model.now.taken_ns);
    format::duration(&mut ago, end_ns.saturating_sub(begun_ns));
    let at = wall_clock(&model.now.system, begun_ns).unwrap_or_else(|| "at an unknown time".to_owned());
    let lived = if pane.ended_ns.is_some() { "lived for" } else { "has lived for" };
    format!("{at}, {lived} {ago}")
}

/// What its threads do: one line, or one for each kind of wait.
fn now(pane: &Subject<'_>, overview: Option<&Overview>, model: Option<&Model>, charset: Charset) -> Vec<String> {
    if pane.ended_ns.is_some() {
        return vec![pane.standing.to_owned()];
    }
    let use_of_cpu = model.and_then(|model| {
        let index = model.index_of(pane.process.key.pid).filter(|i| model.now.processes[*i].key == pane.process.key)?;
        let rates = model.process_rates.get(index)?;
        let waited = rates.wait_percent.filter(|percent| *percent >= 1.0);
        let waited = waited.map_or(String::new(), |percent| format!(", waits for a CPU {percent:.0} %"));
        Some(format!("uses {:.1} % of a CPU{waited}", rates.cpu_percent?))
    });
    let threads = overview.map_or(&[][..], |overview| &overview.threads);
    let words = |thread: &ThreadDetail| in_words(thread, model, charset);
    let mut kinds: BTreeMap<String, usize> = BTreeMap::new();
    threads.iter().for_each(|thread| *kinds.entry(words(thread)).or_default() += 1);
    let mut kinds: Vec<(String, usize)> = kinds.into_iter().collect();
    kinds.sort_by_key(|kind| std::cmp::Reverse(kind.1));
    let mut lines = match kinds.as_slice() {
        [] => vec![pane.process.leader.state.words().to_owned()],
        [(one, 1)] => vec![one.clone()],
        many => many.iter().take(WAITS).map(|(words, count)| format!("{count} thread{}: {words}", plural(*count))).collect(),
    };
    if let (Some(first), Some(cpu)) = (lines.first_mut(), use_of_cpu) {
        *first = format!("{first}; {}{cpu}", if kinds.len() > 1 { "the process " } else { "" });
    }
    let more: usize = kinds.iter().skip(WAITS).map(|(_, count)| count).sum();
    if more > 0 {
        lines.push(format!("{more} more threads do something else: page 2"));
    }
    lines
}

fn plural(count: usize) -> &'static str {
    if count == 1 { "" } else { "s" }
}

/// What one thread does, as a sentence without its subject.
fn in_words(thread: &ThreadDetail, model: Option<&Model>, charset: Charset) -> String {
    let called = |pid: i32| match model.and_then(|model| model.process(pid)) {
        Some(process) => format!("{pid} {}", sanitize(process.leader.comm.as_bytes(), charset)),
        None => format!("process {pid}"),
    };
    let state = thread.state.words().to_owned();
    let Some(wait) = &thread.wait else { return state };
    match wait {
        TaskWait { denied: true, .. } => format!("{state}; what it waits for: permission denied"),
        TaskWait { reason: None, .. } => state,
        TaskWait { reason: Some(reason), .. } => match reason {
            WaitReason::Futex { .. } if wait.same_futex > 1 => {
                format!("waiting for a lock or a condition that {} threads wait for (futex)", wait.same_futex)
            }
            WaitReason::Futex { .. } => "waiting for a lock or a condition (futex)".to_owned(),
            WaitReason::Epoll { fds } => format!("waiting for an event{} (epoll)", descriptors(*fds)),
            WaitReason::Poll { fds } => format!("waiting for an event{} (poll)", descriptors(*fds)),
            WaitReason::Select => "waiting for an event (select)".to_owned(),
            WaitReason::Nanosleep => "sleeping for a set time".to_owned(),
            WaitReason::Child { pid: Some(pid) } => format!("waiting for its child {} to end", called(*pid)),
            WaitReason::Child { pid: None } => "waiting for a child to end".to_owned(),
            WaitReason::Io { direction, what: Endpoint::Pipe, .. } => {
                let (verb, end) =
                    if *direction == Direction::Read { ("waiting to read", "writes") } else { ("waiting to write", "reads") };
                match wait.peer {
                    Some(PipePeer::Process { pid, more: 0 }) => format!("{verb} a pipe that {} {end}", called(pid)),
                    Some(PipePeer::Process { pid, more }) => format!("{verb} a pipe that {} and {more} others use", called(pid)),
                    Some(PipePeer::Itself) => format!("{verb} a pipe whose other end only this process has"),
                    None => format!("{verb} a pipe"),
                }
            }
            WaitReason::FileLock { holder: Some(pid) } => format!("waiting for a file lock that {} holds", called(*pid)),
            WaitReason::Fifo => "waiting until another process opens the other end of a FIFO (open)".to_owned(),
            WaitReason::Accept => "waiting for a connection (accept)".to_owned(),
            WaitReason::Reaper => "has ended; its parent has not reaped it".to_owned(),
            _ => sanitize_str(&wait.to_string(), charset).into_owned(),
        },
    }
}

fn descriptors(fds: Option<u32>) -> String {
    match fds {
        Some(1) => " on 1 descriptor".to_owned(),
        Some(n) => format!(" on {n} descriptors"),
        None => String::new(),
    }
}

/// The Python summary and the stack of the thread that matters: the one that holds the GIL, else the first.
fn python(pane: &Subject<'_>, charset: Charset) -> Vec<String> {
    let runtime: &PythonRuntime = match pane.runtime {
        Some(Ok(DetailContent::Runtime(runtime))) => runtime,
        Some(Err(why)) if runs_python(pane) => return vec![sanitize_str(why, charset).into_owned()],
        _ => return Vec::new(),
    };
    let threads = || runtime.interpreters.iter().flat_map(|one| &one.threads);
    let mut lines = vec![sanitize_str(&runtime.finding, charset).into_owned()];
    let Some(thread) = threads().find(|thread| thread.holds_gil).or_else(|| threads().next()) else { return lines };
    let file = |path: &str| path.rsplit('/').next().unwrap_or(path).to_owned();
    let frames = thread.frames.iter().take(FRAMES).map(|frame| {
        let line = frame.line.map_or(String::new(), |line| format!(":{line}"));
        format!("{} {}{line}", sanitize_str(&frame.function, charset), sanitize_str(&file(&frame.file), charset))
    });
    let arrow = if charset == Charset::Ascii { " < " } else { " ← " };
    let mut stack = frames.collect::<Vec<_>>().join(arrow);
    if thread.frames.len() > FRAMES {
        stack.push_str(arrow);
        stack.push_str("...");
    }
    if !stack.is_empty() {
        lines.push(stack);
    }
    lines
}

fn runs_python(pane: &Subject<'_>) -> bool {
    let program = pane.process.identity.exe.as_deref().and_then(|exe| exe.rsplit(|b| *b == b'/').next());
    program.is_some_and(|name| name.starts_with(b"python"))
}

fn memory(pane: &Subject<'_>) -> String {
    let p = &pane.process;
    let Some(rss) = p.rss_bytes else { return "none: a kernel thread or a zombie has no memory of its own".to_owned() };
    let parts = [("anonymous", p.rss_anon_bytes), ("of files", p.rss_file_bytes), ("shared memory", p.rss_shmem_bytes)];
    let parts: Vec<String> =
        parts.iter().filter_map(|(what, bytes)| Some(format!("{} {what}", in_bytes((*bytes).filter(|b| *b > 0)?)))).collect();
    let mut text = format!("{} resident", in_bytes(rss));
    if !parts.is_empty() {
        text += &format!(": {}", parts.join(", "));
    }
    if let Some(exact) = &p.exact {
        let own = exact.uss_bytes.map(|own| format!("; own (USS) {}", in_bytes(own)));
        let share = exact.pss_bytes.map(|pss| format!(", with its share of the rest (PSS) {}", in_bytes(pss)));
        text += &own.unwrap_or_default();
        text += &share.unwrap_or_default();
    }
    if let Some(swapped) = p.swap_bytes.filter(|bytes| *bytes > 0) {
        text += &format!("; {} swapped out", in_bytes(swapped));
    }
    text
}

/// The limits that are nearly used up; else how full the fullest one is.
fn limits(overview: &Overview) -> String {
    let words = |limit: &LimitUse| {
        let number = |n: u64| if limit.bytes { in_bytes(n) } else { n.to_string() };
        if limit.what == LimitUse::THROTTLED {
            return format!("{}: used up in {} of {} periods", limit.what, limit.used, limit.most);
        }
        let percent = match limit.share() * 100.0 {
            little if little < 1.0 => "less than 1".to_owned(),
            percent => format!("{percent:.0}"),
        };
        format!("{}: {} of {} ({percent} %)", limit.what, number(limit.used), number(limit.most))
    };
    let bites = |limit: &&LimitUse| limit.share() >= BITES || limit.what == LimitUse::THROTTLED;
    let biting: Vec<String> = overview.limits.iter().filter(bites).map(words).collect();
    if !biting.is_empty() {
        return biting.join("; ");
    }
    match overview.limits.iter().max_by(|a, b| a.share().total_cmp(&b.share())) {
        Some(fullest) => format!("none is near; the fullest is {}", words(fullest)),
        None => "none is set that could be read".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::{Comm, State};

    fn thread(state: State, wait: Option<TaskWait>) -> ThreadDetail {
        ThreadDetail { tid: 7, start_ticks: 1, comm: Comm::new(b"x"), state, run_ns: None, wait }
    }

    #[test]
    fn a_wait_is_a_sentence_and_refused_is_not_unknown() {
        let words = |wait| in_words(&thread(State::SLEEPING, Some(wait)), None, Charset::Ascii);
        let reason = |reason| TaskWait { reason: Some(reason), ..TaskWait::default() };
        assert_eq!(words(reason(WaitReason::Epoll { fds: Some(3) })), "waiting for an event on 3 descriptors (epoll)");
        assert_eq!(words(TaskWait { denied: true, ..TaskWait::default() }), "sleeping; what it waits for: permission denied");
        let pipe = WaitReason::Io { direction: Direction::Read, what: Endpoint::Pipe, fd: None };
        let peer = Some(PipePeer::Process { pid: 12, more: 0 });
        assert_eq!(words(TaskWait { peer, ..reason(pipe) }), "waiting to read a pipe that process 12 writes");
        assert_eq!(in_words(&thread(State::RUNNING, None), None, Charset::Ascii), "running or runnable");
    }

    #[test]
    fn a_limit_is_named_when_it_is_nearly_used_up() {
        let overview = |limits: Vec<LimitUse>| Overview {
            program: Err(String::new()),
            directory: Err(String::new()),
            threads: Vec::new(),
            limits,
        };
        let files = |used| LimitUse { what: "open files", used, most: 1024, bytes: false };
        let memory = LimitUse { what: "memory of its control group", used: 95 << 20, most: 100 << 20, bytes: true };
        assert_eq!(limits(&overview(vec![files(1000)])), "open files: 1000 of 1024 (98 %)");
        assert_eq!(limits(&overview(vec![files(9), memory])), "memory of its control group: 95.0M of 100M (95 %)");
        assert_eq!(limits(&overview(vec![files(256)])), "none is near; the fullest is open files: 256 of 1024 (25 %)");
        assert_eq!(limits(&overview(Vec::new())), "none is set that could be read");
    }
}
