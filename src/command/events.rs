//! `concmon events`: prints births, execs, renames and exits as they happen, one per line.

use std::collections::HashMap;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde_json::json;

use crate::cli::EventsArgs;
use crate::config::Config;
use crate::export::SafeFormatter;
use crate::kernel::AutoSource;
use crate::kernel::events::{EventStream, Pace};
use crate::kernel::source::{Needs, Request, Source as _};
use crate::snapshot::{Comm, EventKind, EventTier, ExitStatus, LifecycleEvent, Snapshot};
use crate::text::{Charset, sanitize, sanitize_str};

use super::Failure;
use super::output::{to_stderr, with_stdout};

/// Names and versions the lines of `--json`.
const SCHEMA: &str = "concmon.event/1";

/// How often the events that have come are printed; they carry their own times.
const BATCH: Duration = Duration::from_millis(200);

/// Runs it.
pub(super) fn run(config: &Config, args: &EventsArgs) -> Result<(), Failure> {
    let mut source = AutoSource::new("/proc", config.source).map_err(|e| Failure::Unavailable(e.into()))?;
    let mut sweep = || source.sample(&Request::basic(Needs::empty())).context("cannot read the processes");
    // What ran before is not news.
    let first = sweep()?;
    let mut names = Names { executed: Executed::start(), ..Names::default() };
    names.learn(&first);
    let printer = Printer { json: args.json, charset: Charset::from_unicode(config.unicode), started_ns: first.taken_ns };
    let until = args.duration.map(|duration| Instant::now() + duration);
    let mut lost = first.report.events_lost;
    let mut tier = None;
    loop {
        let left = until.map_or(BATCH, |until| until.saturating_duration_since(Instant::now()).min(BATCH));
        std::thread::sleep(left);
        let snapshot = sweep()?;
        say_tier(&mut tier, &snapshot.report.events, config);
        with_stdout(|out| {
            let events = snapshot.events.iter().enumerate();
            events.into_iter().try_for_each(|(at, event)| {
                let name = names.of(event, &snapshot.events[at + 1..], &snapshot);
                printer.print(out, event, name)
            })
        })?;
        names.learn(&snapshot);
        if snapshot.report.events_lost > lost {
            eprint_line(
                config,
                &format!(
                    "{} events were lost: the kernel produced them faster than concmon read them",
                    snapshot.report.events_lost - lost
                ),
            );
            lost = snapshot.report.events_lost;
        }
        if until.is_some_and(|until| Instant::now() >= until) {
            return Ok(());
        }
    }
}

/// Says once, and again when it changes, how complete the events are.
fn say_tier(said: &mut Option<EventTier>, now: &EventTier, config: &Config) {
    if said.as_ref() == Some(now) {
        return;
    }
    match now {
        EventTier::Polling(why) => {
            eprint_line(config, &format!("comparing process lists; short-lived processes are missed: {why}"));
        }
        EventTier::Connector if said.is_some() => eprint_line(config, "from here on the kernel reports every event"),
        EventTier::Connector => {}
    }
    *said = Some(now.clone());
}

fn eprint_line(config: &Config, text: &str) {
    let text = sanitize_str(text, Charset::from_unicode(config.unicode));
    to_stderr(&format!("concmon: {text}\n"));
}

/// What tasks are called: an event names ids only, and its task may be gone.
#[derive(Default)]
struct Names {
    last: HashMap<i32, Comm>,
    executed: Executed,
}

impl Names {
    fn learn(&mut self, snapshot: &Snapshot) {
        // The list is the truth: what ended without an event must not keep its name for the next of its number.
        self.last.clear();
        self.executed.forget();
        self.last.extend(snapshot.processes.iter().map(|process| (process.key.pid, process.leader.comm)));
    }

    /// The name that holds from the event on; of a fork the parent's. `later` are the events after it, all of them before `now`.
    fn of(&mut self, event: &LifecycleEvent, later: &[LifecycleEvent], now: &Snapshot) -> Option<Comm> {
        match event.kind {
            EventKind::Fork { parent_tgid, child_tgid, .. } => {
                let name = self.last.get(&parent_tgid).copied();
                if child_tgid != parent_tgid {
                    self.set(child_tgid, name);
                }
                name
            }
            EventKind::Exec { tgid } => {
                // The kernel's event does not say what was executed. The name before it is no answer, and no name is a better one.
                let name = self.executed.name(tgid, event.at_ns).or_else(|| name_in(now, tgid, later));
                self.set(tgid, name);
                name
            }
            EventKind::Exit { tgid, .. } => self.last.get(&tgid).copied(),
            EventKind::Comm { tid, tgid, comm } => {
                if tid == tgid {
                    self.set(tgid, Some(comm));
                }
                Some(comm)
            }
        }
    }

    fn set(&mut self, tgid: i32, name: Option<Comm>) {
        match name {
            Some(name) => drop(self.last.insert(tgid, name)),
            None => drop(self.last.remove(&tgid)),
        }
    }
}

/// The name in the list of processes, if nothing has changed it since: no exec, no rename, no end.
fn name_in(now: &Snapshot, pid: i32, later: &[LifecycleEvent]) -> Option<Comm> {
    let changes = |event: &LifecycleEvent| match event.kind {
        EventKind::Exec { tgid } => tgid == pid,
        EventKind::Comm { tid, .. } | EventKind::Exit { tid, .. } => tid == pid,
        EventKind::Fork { .. } => false,
    };
    let process = now.processes.iter().find(|process| process.key.pid == pid)?;
    (!later.iter().any(changes)).then_some(process.leader.comm)
}

/// Names of programs that were read as soon as they had been executed: by the next sweep those that live shortly have gone.
#[derive(Default)]
struct Executed(Arc<Mutex<NamesByPid>>);

/// Names by PID, each with when it was read (boot nanoseconds).
type NamesByPid = HashMap<i32, Vec<(u64, Comm)>>;

impl Executed {
    /// Two streams may put the same event so far apart, nanoseconds: each converts the kernel's clock by itself.
    const SAME_NS: u64 = 100_000;
    /// Most PIDs that are kept between two sweeps.
    const MOST: usize = 1 << 16;

    /// Reads them on a thread of its own, as long as the program runs; none where the kernel reports no events.
    fn start() -> Self {
        let executed = Self::default();
        let shared = Arc::clone(&executed.0);
        let work = move || {
            let Ok(stream) = EventStream::connect_with(Pace::AtOnce) else { return };
            let mut events = Vec::new();
            loop {
                events.clear();
                stream.wait(Duration::from_secs(1), &mut events);
                for (at, event) in events.iter().enumerate() {
                    let EventKind::Exec { tgid } = event.kind else { continue };
                    // A name that is read now is that of the last exec.
                    let again = |later: &LifecycleEvent| later.kind == event.kind;
                    let name = std::fs::read(format!("/proc/{tgid}/comm"));
                    if let (false, Ok(name)) = (events[at + 1..].iter().any(again), name) {
                        let mut names = shared.lock().unwrap_or_else(PoisonError::into_inner);
                        if names.len() < Self::MOST {
                            let comm = Comm::new(name.strip_suffix(b"\n").unwrap_or(&name));
                            names.entry(tgid).or_default().push((event.at_ns, comm));
                        }
                    }
                }
            }
        };
        // Without the thread names are those of the sweeps.
        drop(std::thread::Builder::new().name("names".into()).spawn(work));
        executed
    }

    fn name(&self, tgid: i32, at_ns: u64) -> Option<Comm> {
        let names = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        names.get(&tgid)?.iter().find(|(at, _)| at.abs_diff(at_ns) < Self::SAME_NS).map(|(_, name)| *name)
    }

    /// Drops all but the newest, whose events may come with the next sweep.
    fn forget(&self) {
        let mut names = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let newest = names.values().flatten().map(|(at, _)| *at).max().unwrap_or(0);
        let kept = newest.saturating_sub(u64::try_from(BATCH.as_nanos()).unwrap_or(u64::MAX) * 5);
        names.retain(|_, all| {
            all.retain(|(at, _)| *at >= kept);
            !all.is_empty()
        });
    }
}

struct Printer {
    json: bool,
    charset: Charset,
    started_ns: u64,
}

impl Printer {
    fn print(&self, out: &mut impl Write, event: &LifecycleEvent, name: Option<Comm>) -> io::Result<()> {
        if self.json { self.print_json(out, event, name) } else { self.print_text(out, event, name) }
    }

    fn print_text(&self, out: &mut impl Write, event: &LifecycleEvent, name: Option<Comm>) -> io::Result<()> {
        let seconds = event.at_ns.saturating_sub(self.started_ns) as f64 / 1e9;
        let name = name.map_or_else(|| "?".into(), |name| sanitize(name.as_bytes(), self.charset).into_owned());
        match event.kind {
            EventKind::Fork { parent_tgid, child_tid, child_tgid, .. } if child_tgid == parent_tgid => {
                writeln!(out, "{seconds:10.3} thread {child_tgid:>7} {name}: thread {child_tid}")
            }
            EventKind::Fork { parent_tgid: 0, child_tgid, .. } => {
                writeln!(out, "{seconds:10.3} birth  {child_tgid:>7}")
            }
            EventKind::Fork { parent_tgid, child_tgid, .. } => {
                writeln!(out, "{seconds:10.3} fork   {parent_tgid:>7} {name}: child {child_tgid}")
            }
            EventKind::Exec { tgid } => writeln!(out, "{seconds:10.3} exec   {tgid:>7} {name}"),
            EventKind::Comm { tid, tgid, .. } => writeln!(out, "{seconds:10.3} rename {tgid:>7} {name} (task {tid})"),
            EventKind::Exit { tid, tgid, .. } if tid != tgid => {
                writeln!(out, "{seconds:10.3} thread {tgid:>7} {name}: thread {tid} ended")
            }
            EventKind::Exit { tgid, status, .. } => {
                writeln!(out, "{seconds:10.3} exit   {tgid:>7} {name}: {}", exit_words(status))
            }
        }
    }

    fn print_json(&self, out: &mut impl Write, event: &LifecycleEvent, name: Option<Comm>) -> io::Result<()> {
        let name = name.map(|name| String::from_utf8_lossy(name.as_bytes()).into_owned());
        let mut line = json!({ "schema": SCHEMA, "at_boot_ns": event.at_ns, "comm": name });
        let more = match event.kind {
            EventKind::Fork { parent_tid, parent_tgid, child_tid, child_tgid } => json!({
                "event": if child_tgid == parent_tgid { "thread" } else { "fork" },
                "parent_tid": known(parent_tid), "parent_pid": known(parent_tgid), "tid": child_tid, "pid": child_tgid,
            }),
            EventKind::Exec { tgid } => json!({ "event": "exec", "pid": tgid }),
            EventKind::Comm { tid, tgid, .. } => json!({ "event": "rename", "tid": tid, "pid": tgid }),
            EventKind::Exit { tid, tgid, status } => {
                let (code, signal, core) = match status {
                    ExitStatus::Code(code) => (Some(code), None, None),
                    ExitStatus::Signal { signal, core } => (None, Some(signal), Some(core)),
                    ExitStatus::Unknown => (None, None, None),
                };
                json!({ "event": "exit", "tid": tid, "pid": tgid, "exit_code": code, "signal": signal, "core_dumped": core })
            }
        };
        if let (Some(line), serde_json::Value::Object(more)) = (line.as_object_mut(), more) {
            line.extend(more);
        }
        let mut serializer = serde_json::Serializer::with_formatter(&mut *out, SafeFormatter::default());
        serde::Serialize::serialize(&line, &mut serializer).map_err(io::Error::from)?;
        out.write_all(b"\n")
    }
}

/// 0 stands for a parent that was not seen.
fn known(id: i32) -> Option<i32> {
    (id != 0).then_some(id)
}

fn exit_words(status: ExitStatus) -> String {
    match status {
        ExitStatus::Code(code) => format!("exited with {code}"),
        ExitStatus::Signal { signal, core } => {
            let name = nix::sys::signal::Signal::try_from(i32::from(signal)).map_or("a signal", nix::sys::signal::Signal::as_str);
            format!("killed by {name} ({signal}){}", if core { ", core dumped" } else { "" })
        }
        ExitStatus::Unknown => "ended, exit status unknown".to_owned(),
    }
}
