//! `concmon trace`: when the tasks of a family ran, waited for a CPU or were blocked, as a file for a trace viewer or as a table.

use std::io::{BufWriter, Write};
use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use crate::cli::TraceArgs;
use crate::config::{Config, cannot_write, write_whole_with};
use crate::kernel::{DetailReader, reason};
use crate::lanes::gil::GilLane;
use crate::lanes::sampler::trace;
use crate::lanes::{Lanes, chrome, perfetto};
use crate::profile::sampler::descendants;
use crate::text::{Charset, sanitize_str};

use super::lab::stop_by_signal;
use super::output::with_stdout;
use super::profile::{Family, family};
use super::{Failure, ps};

/// The most rows of the table.
const ROWS: usize = 50;

/// Runs it.
pub(super) fn run(config: &Config, args: &TraceArgs) -> Result<(), Failure> {
    let reader = DetailReader::open("/proc").map_err(|error| Failure::Failed(anyhow::anyhow!("{}", reason(&error))))?;
    let file = args.output.as_deref().map(named).transpose()?;
    let began = Instant::now();
    // Ctrl-C ends the trace: what was seen until then is written.
    let stop = stop_by_signal();
    let late = |end: Option<Duration>| stop.stopped() || end.is_some_and(|end| began.elapsed() >= end);
    let lanes = match (&args.target, args.command.as_slice()) {
        (Some(target), _) => {
            // Without a command there is no end but that of the processes.
            let end = args.duration.or(Some(Duration::from_secs(10)));
            match family(config, target)? {
                Family::Process(pid) => {
                    reader.key_of(pid).map_err(|_| Failure::Failed(anyhow::anyhow!("there is no process {pid}")))?;
                    trace(&reader, |reader| descendants(reader, pid), || late(end))
                }
                Family::Matching(filter) => {
                    let mut matching = ps::Matching::new(config, &filter)?;
                    if matching.pids()?.is_empty() {
                        return Err(Failure::Failed(anyhow::anyhow!("no process matches {target:?}")));
                    }
                    let family = |_: &DetailReader| matching.pids().unwrap_or_default().into_iter().collect();
                    trace(&reader, family, || late(end))
                }
            }
        }
        (None, [program, arguments @ ..]) => {
            let mut command = Command::new(program);
            let started = command.args(arguments).spawn();
            let mut child =
                started.map_err(|error| Failure::Failed(anyhow::anyhow!("{} cannot be started: {error}", program.display())))?;
            let pid = i32::try_from(child.id()).unwrap_or(0);
            let lanes = trace(&reader, |reader| descendants(reader, pid), || late(args.duration) || has_ended(&mut child));
            // Traced for a set time only: it runs on, and concmon waits for it as a shell would.
            child.wait()?;
            lanes
        }
        (None, []) => return Err(Failure::Usage(anyhow::anyhow!("give a PID, a filter, or a command after --"))),
    };
    if lanes.lanes.is_empty() {
        return Err(Failure::Unavailable(anyhow::anyhow!("nothing was traced: the processes ended, or may not be read")));
    }
    if let Some((path, is_perfetto)) = file {
        let written = write_whole_with(path, |file| {
            let mut out = BufWriter::new(file);
            if is_perfetto { perfetto::write(&lanes, &mut out) } else { chrome::write(&lanes, &mut out) }?;
            out.flush()
        });
        written.map_err(|error| Failure::Failed(anyhow::anyhow!("cannot write {}: {error}", path.display())))?;
    }
    let charset = Charset::from_unicode(config.unicode);
    let lines: Vec<String> = lines(&lanes).iter().map(|line| sanitize_str(line, charset).into_owned()).collect();
    if args.command.is_empty() {
        with_stdout(|out| lines.iter().try_for_each(|line| writeln!(out, "{line}")))?;
    } else {
        // Standard output is the program's.
        std::io::stderr().write_all((lines.join("\n") + "\n").as_bytes())?;
    }
    Ok(())
}

fn has_ended(child: &mut Child) -> bool {
    !matches!(child.try_wait(), Ok(None))
}

/// The file, and whether it is for Perfetto. Asked before anything is traced.
fn named(path: &Path) -> Result<(&Path, bool), Failure> {
    let is_perfetto = match path.extension().and_then(|end| end.to_str()) {
        Some("json") => false,
        Some("pftrace" | "perfetto-trace") => true,
        _ => return Err(Failure::Usage(anyhow::anyhow!("-o: the name must end with .json (Chrome) or .pftrace (Perfetto)"))),
    };
    match cannot_write(path) {
        Some(why) => Err(Failure::Usage(anyhow::anyhow!("-o: {why}"))),
        None => Ok((path, is_perfetto)),
    }
}

fn lines(lanes: &Lanes) -> Vec<String> {
    let wall = lanes.to_ns.saturating_sub(lanes.from_ns);
    let ms = |ns: u64| ns as f64 / 1e6;
    let mut lines = vec![format!(
        "tasks: {}, processes: {}, seconds: {:.3}, looks: {}, at most {:.1} ms apart; looking took {:.1} % of a CPU; unseen CPU time {:.1} ms",
        lanes.lanes.len(),
        lanes.processes.len(),
        wall as f64 / 1e9,
        lanes.looks,
        ms(lanes.widest_ns),
        lanes.cost_ns as f64 * 100.0 / wall.max(1) as f64,
        ms(lanes.unseen_run_ns),
    )];
    lines.extend(lanes.notes.iter().cloned());
    lines.extend(lanes.gils.iter().filter_map(|gil| gil_line(gil, lanes)));
    lines.push(String::new());
    let heads = ["TID", "NAME", "RAN ms", "READY ms", "BLOCKED ms", "BLOCKED LONGEST BY"];
    let [tid, name, ran, ready, blocked, reason] = heads;
    let line = format!("{tid:>8} {name:15} {ran:>10} {ready:>10} {blocked:>10}  {reason:32}");
    lines.push(format!("{line} {}", if lanes.has_functions() { "MOSTLY IN" } else { "" }).trim_end().to_owned());
    let mut rows: Vec<_> = lanes.lanes.iter().map(|lane| (lane, lane.sums())).collect();
    rows.sort_by_key(|(_, sums)| std::cmp::Reverse((sums.run_ns, sums.ready_ns)));
    for (lane, sums) in rows.iter().take(ROWS) {
        let reason = lane.main_reason().map_or_else(|| "-".to_owned(), |(reason, ns)| format!("{reason}, {:.0} ms", ms(ns)));
        let (run, ready, blocked) = (ms(sums.run_ns), ms(sums.ready_ns), ms(sums.blocked_ns));
        let line = format!("{:>8} {:15} {run:>10.1} {ready:>10.1} {blocked:>10.1}  {reason:32}", lane.tid, lane.name);
        let function = lane.main_function().map_or_else(String::new, |(function, _)| function.to_string());
        lines.push(format!("{line} {function}").trim_end().to_owned());
    }
    if rows.len() > ROWS {
        lines.push(format!("and {} more tasks", rows.len() - ROWS));
    }
    lines
}

/// A line on a GIL: how long it was held, and how many threads waited for it; `None` if it was never read.
fn gil_line(gil: &GilLane, lanes: &Lanes) -> Option<String> {
    let sums = gil.sums();
    if sums.seen_ns == 0 {
        return None;
    }
    let name = lanes.processes.get(&gil.pid).map_or("?", |name| name);
    let held = sums.held_ns as f64 * 100.0 / sums.seen_ns as f64;
    let holder = sums.main_holder.and_then(|(tid, _)| lanes.lanes.iter().find(|lane| (lane.pid, lane.tid) == (gil.pid, tid)));
    let longest = holder.map_or_else(String::new, |lane| format!(", longest by thread {} {}", lane.tid, lane.name));
    let waiters = sums.waiters;
    Some(format!(
        "GIL of process {} {name}: held {held:.0} % of the time{longest}; {waiters:.1} threads waited for it on average",
        gil.pid
    ))
}
