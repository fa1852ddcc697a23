//! `concmon profile`: where the time of a process, its descendants, or all processes that match a filter goes.

use std::io::Write as _;

use crate::cli::{ProfileArgs, ProfileFormat};
use crate::config::Config;
use crate::kernel::{DetailReader, reason};
use crate::profile::sampler::{Options, Sampler, descendants};
use crate::profile::{Mode, Profile, files, flame, text};
use crate::query::Filter;
use crate::text::{Charset, sanitize_str};

use super::output::with_stdout;
use super::waits::write_json;
use super::{Failure, ps};

/// Runs it.
pub(super) fn run(config: &Config, args: &ProfileArgs) -> Result<(), Failure> {
    let reader = DetailReader::open("/proc").map_err(|error| Failure::Failed(anyhow::anyhow!("{}", reason(&error))))?;
    let mode = match (args.cpu, args.gil) {
        (true, _) => Mode::Cpu,
        (_, true) => Mode::Gil,
        _ => Mode::Wall,
    };
    let options = Options { mode, duration: args.duration, rate_hz: args.rate, threads: args.threads };
    let profile = match family(config, &args.target)? {
        Family::Process(pid) => {
            if reader.key_of(pid).is_err() {
                return Err(Failure::Failed(anyhow::anyhow!("there is no process {pid}")));
            }
            Sampler::new(reader, options, move |reader| descendants(reader, pid)).run()
        }
        Family::Matching(filter) => {
            let mut matching = ps::Matching::new(config, &filter)?;
            if matching.pids()?.is_empty() {
                return Err(Failure::Failed(anyhow::anyhow!("no process matches {:?}", args.target)));
            }
            Sampler::new(reader, options, move |_| matching.pids().unwrap_or_default().into_iter().collect()).run()
        }
    };
    if profile.account.samples == 0 {
        return Err(Failure::Unavailable(anyhow::anyhow!("nothing was sampled: the processes ended, or may not be read")));
    }
    show(config, args, &profile)
}

/// Which processes are meant.
pub(super) enum Family {
    /// A process and its descendants.
    Process(i32),
    /// Those that match.
    Matching(Filter),
}

/// A number is a process; everything else a filter.
pub(super) fn family(config: &Config, target: &str) -> Result<Family, Failure> {
    if let Ok(pid) = target.parse() {
        return Ok(Family::Process(pid));
    }
    match Filter::parse_with(target, &config.saved_filters) {
        Ok(filter) => Ok(Family::Matching(filter)),
        Err(error) => Err(Failure::Usage(anyhow::anyhow!("filter: {}", error.pointed(target)))),
    }
}

fn show(config: &Config, args: &ProfileArgs, profile: &Profile) -> Result<(), Failure> {
    let title = format!("concmon profile {}", args.target);
    let charset = Charset::from_unicode(config.unicode);
    with_stdout(|out| match args.format() {
        ProfileFormat::Json => write_json(out, &files::document(profile)),
        ProfileFormat::Speedscope => write_json(out, &files::speedscope(profile, &title)),
        ProfileFormat::Html => out.write_all(flame::page(profile, &title).as_bytes()),
        ProfileFormat::Folded => {
            files::folded(profile).iter().try_for_each(|line| writeln!(out, "{}", sanitize_str(line, charset)))
        }
        ProfileFormat::Text => text::lines(profile).iter().try_for_each(|line| writeln!(out, "{}", sanitize_str(line, charset))),
    })?;
    Ok(())
}
