//! `concmon problems --host`: each host looks at itself, and all that they found is one list, worst first. What hosts send is untrusted. The
//! schema of the JSON is `assets/report/problems-hosts.schema.json`.

use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::document::{Document, Finding, Problem};
use super::text;
use crate::cli::{ProblemsArgs, exit};
use crate::command::Failure;
use crate::command::hosts::{asked_for, say};
use crate::command::output::with_stdout;
use crate::command::waits::{Looked, write_json};
use crate::config::Config;
use crate::hosts::{ask, shell_word};
use crate::query::{Filter, SavedFilters};

/// Names and versions the document.
const SCHEMA: &str = "concmon.problems-hosts/1";
/// How long a host may take beside the time that it is to look for.
const PATIENCE: Duration = Duration::from_secs(30);
/// The most problems of one host that the text lists: a host could send any number, before those of others.
const MOST_OF_HOST: usize = 50;

/// A host, and what it answered.
struct Host {
    name: Arc<str>,
    answer: Result<Document, String>,
}

/// Runs it.
pub(super) fn run(config: &Config, args: &ProblemsArgs) -> Result<(), Failure> {
    let destinations = asked_for(&args.hosts)?;
    let command = command(config, args)?;
    let limit = args.duration.unwrap_or_default() + PATIENCE;
    let answers = ask(&destinations, &command, limit).into_iter();
    let read = |answer: Result<Vec<u8>, String>| answer.and_then(|bytes| Document::read(&bytes));
    let hosts: Vec<Host> =
        destinations.iter().zip(answers).map(|(to, answer)| Host { name: Arc::clone(&to.name), answer: read(answer) }).collect();
    let all = All::new(&hosts);
    with_stdout(|out| if args.json { write_json(out, &all.json()) } else { all.write(out, args.duration.is_some()) })?;
    if !args.json {
        all.say_failed();
    }
    match (all.hosts.iter().any(|host| host.answer.is_err()), all.warns()) {
        (true, _) => Err(Failure::Reported(exit::UNAVAILABLE)),
        (false, true) => Err(Failure::Reported(exit::FAILED)),
        (false, false) => Ok(()),
    }
}

/// What each host runs.
fn command(config: &Config, args: &ProblemsArgs) -> Result<String, Failure> {
    let mut command = "concmon problems --json".to_owned();
    if let Some(duration) = args.duration {
        command += &format!(" --for {}", duration.as_secs_f64());
    }
    if let Some(filter) = &args.filter {
        // The hosts do not know the filters that are saved here.
        if Filter::parse_with(filter, &SavedFilters::default()).is_err()
            && Filter::parse_with(filter, &config.saved_filters).is_ok()
        {
            let why = "filter: with --host a saved filter cannot be named; write its expression";
            return Err(Failure::Usage(anyhow::anyhow!(why)));
        }
        if filter.chars().any(char::is_control) {
            return Err(Failure::Usage(anyhow::anyhow!("filter: with --host it must be one line without control characters")));
        }
        command += &format!(" -- {}", shell_word(filter));
    }
    Ok(command)
}

/// The answers of all hosts.
struct All<'a> {
    hosts: &'a [Host],
    problems: Vec<Of<'a, Problem>>,
    findings: Vec<Of<'a, Finding>>,
}

/// Something of a host.
#[derive(Serialize)]
struct Of<'a, T> {
    host: &'a str,
    #[serde(flatten)]
    what: &'a T,
}

/// How the look at a host ended.
#[derive(Serialize)]
struct Seen<'a> {
    host: &'a str,
    looked: Option<&'a Looked>,
    failed: Option<&'a str>,
}

/// The document.
#[derive(Serialize)]
struct Json<'a> {
    schema: &'static str,
    hosts: Vec<Seen<'a>>,
    problems: &'a [Of<'a, Problem>],
    findings: &'a [Of<'a, Finding>],
}

impl<'a> All<'a> {
    fn new(hosts: &'a [Host]) -> Self {
        let read = || hosts.iter().filter_map(|host| Some((&*host.name, host.answer.as_ref().ok()?)));
        let mut problems: Vec<_> =
            read().flat_map(|(host, found)| found.problems.iter().map(move |what| Of { host, what })).collect();
        let mut findings: Vec<_> =
            read().flat_map(|(host, found)| found.findings.iter().map(move |what| Of { host, what })).collect();
        // Stable: those of one kind stay in the order of the hosts.
        problems.sort_by_key(|one| one.what.rank());
        findings.sort_by_key(|one| one.what.rank());
        Self { hosts, problems, findings }
    }

    fn warns(&self) -> bool {
        self.hosts.iter().any(|host| host.answer.as_ref().is_ok_and(Document::warns))
    }

    fn json(&self) -> Json<'_> {
        let seen = |host: &'a Host| Seen {
            host: &host.name,
            looked: host.answer.as_ref().ok().map(|found| &found.looked),
            failed: host.answer.as_ref().err().map(String::as_str),
        };
        let hosts = self.hosts.iter().map(seen).collect();
        Json { schema: SCHEMA, hosts, problems: &self.problems, findings: &self.findings }
    }

    /// `again` if the hosts were looked at more than once.
    fn write(&self, out: &mut impl Write, again: bool) -> io::Result<()> {
        let mut listed = Listed::default();
        for one in self.problems.iter().filter(|one| listed.admits(one.host)) {
            text::problem(out, &format!("{}: ", one.host), one.what)?;
        }
        for one in self.findings.iter().filter(|one| listed.admits(one.host)) {
            text::finding(out, &format!("{}: ", one.host), one.what)?;
        }
        let mut examined = 0;
        for host in self.hosts {
            let Ok(found) = &host.answer else { continue };
            examined += 1;
            let Looked { processes, tasks, apart_ms, .. } = found.looked;
            let nothing = if found.warns() { "" } else { "no problem was found. " };
            let looked = format!("Examined: the waits of {tasks} threads of {processes} processes, twice, {apart_ms} ms apart.");
            text::line(out, 0, &format!("{}: {nothing}{looked}", host.name))?;
            let more = listed.of(&host.name).saturating_sub(MOST_OF_HOST);
            if more > 0 {
                text::line(out, 0, &format!("{}: {more} more problems, which --json lists.", host.name))?;
            }
            text::not_examined(out, &format!("{}: ", host.name), &found.looked)?;
        }
        if examined > 0 { text::limits(out, again) } else { Ok(()) }
    }

    /// Says of each host that could not be looked at why.
    fn say_failed(&self) {
        for host in self.hosts {
            let Err(why) = &host.answer else { continue };
            say(&host.name, why);
        }
    }
}

/// How many problems of each host came up for the list.
#[derive(Default)]
struct Listed<'a>(std::collections::HashMap<&'a str, usize>);

impl<'a> Listed<'a> {
    fn admits(&mut self, host: &'a str) -> bool {
        let count = self.0.entry(host).or_default();
        *count += 1;
        *count <= MOST_OF_HOST
    }

    fn of(&self, host: &str) -> usize {
        self.0.get(host).copied().unwrap_or(0)
    }
}
