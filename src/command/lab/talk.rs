//! `concmon lab talk` and `concmon lab report`: measures the claims of the talk, and writes saved results as a page.

mod measure;

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::cli::{ReportArgs, TalkArgs};
use crate::config::{cannot_write, write_whole};
use crate::lab::kept::{self, Kept};
use crate::lab::launcher::{Launcher, Limits};
use crate::lab::page::html;
use crate::lab::talk::{self, CLAIMS, Claim, SCHEMA, Talk, Verdict};
use crate::text::{Charset, sanitize_str};

use super::progress::Progress;
use super::stop::stop_by_signal;
use super::{Ended, document};
use crate::command::output::{hanging, terminal_width};
use measure::Bench;

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
        measure::set_up(&claims, &launcher);
    }
    let open: Vec<&Claim> = claims.iter().copied().filter(|c| !settled(&talk, c)).collect();
    let mut progress = Progress::new(open.iter().map(|c| c.sides().len()).sum::<usize>() * args.repeat as usize);
    let stop = stop_by_signal();
    let mut bench = Bench::new(args, &launcher);
    for claim in open {
        let Some(finding) = bench.finding_of(claim, &mut progress, &stop) else { break };
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

/// Says how far it came when the user pressed Ctrl-C.
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

/// Whether a claim needs no more runs. What was not available, undecided or went wrong is tried again.
fn settled(talk: &Talk, claim: &Claim) -> bool {
    talk.finding(claim.id).is_some_and(|f| matches!(f.verdict, Verdict::Reproduces | Verdict::DoesNot))
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
