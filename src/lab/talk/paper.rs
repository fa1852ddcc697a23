//! Findings in words, for the terminal and as a report page.

use super::{BUSY, Claim, Finding, Interval, Talk, Verdict};
use crate::csv;
use crate::lab::measure::counted;
use crate::lab::page::{Bar, Bars, Block, Cell, Mark, Page, Table};
use crate::lab::run::Summary;

/// A figure with its unit.
fn with_unit(value: f64, unit: &str) -> String {
    let digits = match value.abs() {
        v if v >= 100.0 || v.fract() == 0.0 && v >= 1.0 => 0,
        v if v >= 10.0 => 1,
        _ => 2,
    };
    match unit {
        "" => format!("{value:.digits$}"),
        "x" => format!("{value:.digits$}x"),
        unit => format!("{value:.digits$} {unit}"),
    }
}

/// Median with the interval that decides.
fn spread(finding: &Finding, summary: &Summary, unit: &str) -> String {
    let median = with_unit(summary.median, unit);
    match finding.interval {
        Some(Interval { low, high, .. }) if summary.count > 1 => {
            format!("{median} ({} to {})", with_unit(low, ""), with_unit(high, ""))
        }
        _ => median,
    }
}

/// Where a claim holds, in words.
fn bound(claim: &Claim) -> String {
    match claim.holds {
        (low, high) if low == high => format!("holds at {}", with_unit(low, claim.unit)),
        (low, f64::INFINITY) => format!("holds from {}", with_unit(low, claim.unit)),
        (0.0, high) => format!("holds up to {}", with_unit(high, claim.unit)),
        (low, high) => format!("holds from {} to {}", with_unit(low, claim.unit), with_unit(high, claim.unit)),
    }
}

/// What was found, in one line: the figure with its interval and what it is, the talk's own, the interpreter and how busy the machine was;
/// or why there is none.
#[must_use]
pub fn said(finding: &Finding) -> String {
    let Some(claim) = finding.entry() else { return "unknown claim".into() };
    let Some(here) = here(claim, finding) else {
        return finding.verdict.why().unwrap_or("nothing was measured").to_owned();
    };
    let figure = if claim.is_about_looks() { String::new() } else { format!(" {}, {}", claim.figure, bound(claim)) };
    let talk = talk_says(claim).map(|talk| format!("talk: {talk}"));
    let parts = [Some(format!("{here}{figure}")), talk, undecided(finding), ran_on(finding), Some(busy(finding))];
    parts.into_iter().flatten().collect::<Vec<_>>().join("; ")
}

/// Why it is undecided; `None` if it is not.
fn undecided(finding: &Finding) -> Option<String> {
    match &finding.verdict {
        Verdict::Undecided(why) => Some(format!("undecided: {why}")),
        _ => None,
    }
}

/// What the sides ran on, each once.
fn ran_on(finding: &Finding) -> Option<String> {
    let langs: std::collections::BTreeSet<&str> = finding.arms.iter().filter_map(|arm| arm.lang.as_deref()).collect();
    (!langs.is_empty()).then(|| langs.into_iter().collect::<Vec<_>>().join(" and "))
}

/// How busy others kept the machine meanwhile.
fn busy(finding: &Finding) -> String {
    match finding.others {
        None => "too short to tell how busy the machine was".into(),
        Some(share) => {
            let busy = if share > BUSY { "the machine was busy: " } else { "" };
            format!("{busy}other processes used {:.0}% of the CPUs", share * 100.0)
        }
    }
}

/// The figure made here; `None` if there is none.
fn here(claim: &Claim, finding: &Finding) -> Option<String> {
    let summary = finding.summary.filter(|_| !matches!(finding.verdict, Verdict::NotAvailable(_) | Verdict::Failed(_)))?;
    if claim.is_about_looks() {
        return Some(if finding.verdict == Verdict::Reproduces { "seen as expected" } else { "not seen as expected" }.into());
    }
    Some(spread(finding, &summary, claim.unit))
}

/// What the talk says; `None` if it gives nothing to hold this against.
fn talk_says(claim: &Claim) -> Option<String> {
    match (claim.talk, claim.talk_figure) {
        ("", _) => None,
        (said, Some(figure)) if claim.unit == "x" => Some(format!("{said} = {}", with_unit(figure, "x"))),
        (said, _) => Some(said.to_owned()),
    }
}

/// How many claims came out how, in one sentence.
#[must_use]
pub fn summary_line(talk: &Talk) -> String {
    let count = |wanted: fn(&Verdict) -> bool| talk.findings.iter().filter(|f| wanted(&f.verdict)).count();
    let (yes, no) = (count(|v| *v == Verdict::Reproduces), count(|v| *v == Verdict::DoesNot));
    let (away, failed) = (count(|v| matches!(v, Verdict::NotAvailable(_))), count(|v| matches!(v, Verdict::Failed(_))));
    let mut line = format!(
        "{}: {yes} reproduce here, {no} {}",
        counted(talk.findings.len(), "claim"),
        if no == 1 { "does not" } else { "do not" }
    );
    let undecided = count(|v| matches!(v, Verdict::Undecided(_)));
    if undecided > 0 {
        line += &format!(", {undecided} undecided");
    }
    if away > 0 {
        line += &format!(", {away} not available");
    }
    if failed > 0 {
        line += &format!(", {failed} failed");
    }
    line
}

fn mark(verdict: &Verdict) -> Mark {
    match verdict {
        Verdict::Reproduces => Mark::Good,
        Verdict::DoesNot | Verdict::Failed(_) => Mark::Bad,
        Verdict::NotAvailable(_) | Verdict::Undecided(_) => Mark::Dim,
    }
}

/// One line per claim that this version knows: its verdict, the figure made here with its spread, and the talk's own. Unknown is empty.
#[must_use]
pub fn csv(talk: &Talk) -> String {
    const HEAD: [&str; 15] = [
        "claim",
        "part",
        "statement",
        "verdict",
        "why",
        "unit",
        "count",
        "median",
        "min",
        "max",
        "talk",
        "talk_figure",
        "others",
        "low",
        "high",
    ];
    let record = |finding: &Finding| {
        let claim = finding.entry()?;
        let why = finding.verdict.why().unwrap_or_default().to_owned();
        let of = |part: fn(&Summary) -> f64| finding.summary.as_ref().map_or_else(String::new, |s| part(s).to_string());
        let number = |number: Option<f64>| number.map_or_else(String::new, |n| n.to_string());
        Some([
            claim.id.to_owned(),
            claim.part.to_string(),
            claim.statement.to_owned(),
            finding.verdict.word().to_owned(),
            why,
            claim.unit.to_owned(),
            finding.summary.map_or_else(String::new, |s| s.count.to_string()),
            of(|s| s.median),
            of(|s| s.min),
            of(|s| s.max),
            claim.talk.to_owned(),
            number(claim.talk_figure),
            number(finding.others),
            number(finding.interval.map(|i| i.low)),
            number(finding.interval.map(|i| i.high)),
        ])
    };
    csv::text(std::iter::once(HEAD.map(str::to_owned)).chain(talk.findings.iter().filter_map(record)))
}

/// The page of a talk.
#[must_use]
pub fn page(talk: &Talk) -> Page {
    let head = [("part", true), ("claim", false), ("verdict", false), ("here", true), ("talk", false), ("figure", false)];
    let claims = Table {
        head: head.map(|(title, number)| (title.to_owned(), number)).to_vec(),
        rows: talk.findings.iter().filter_map(row).collect(),
    };
    let points = Table {
        head: [("claim", false), ("measured", false), ("system", false), ("points, round by round", false)]
            .map(|(title, number)| (title.to_owned(), number))
            .to_vec(),
        rows: talk.findings.iter().flat_map(raw).collect(),
    };
    let blocks = vec![
        Block::Heading("Ratios".into()),
        Block::Bars(ratios(talk)),
        Block::Heading("Claim by claim".into()),
        Block::Table(claims),
        Block::Heading("Raw points".into()),
        Block::Text("Durations are in nanoseconds, memory in bytes; speed-ups reported by a system are in per cent.".into()),
        Block::Table(points),
    ];
    Page {
        title: "Concurrent execution in Python: the talk's figures, measured again".into(),
        lead: vec![
            summary_line(talk),
            "Ratios can be compared between machines, milliseconds cannot; the talk used a laptop with 10 cores. Each round runs all sides of a claim. The figure is the median of the rounds, with its interval (95% from 6 rounds on); the interval decides."
                .into(),
        ],
        facts: facts(talk),
        blocks,
        data: serde_json::to_value(talk).unwrap_or_default(),
    }
}

/// What a reader must know to judge it.
fn facts(talk: &Talk) -> Vec<(String, String)> {
    let machine = |key: &str| match &talk.machine[key] {
        serde_json::Value::Null => "unknown".to_owned(),
        value => value.as_str().map_or_else(|| value.to_string(), str::to_owned),
    };
    let arms = || talk.findings.iter().flat_map(|f| &f.arms);
    let interpreter = |arm: &super::ArmPoints| {
        let path = arm.python.as_deref()?;
        Some(arm.lang.as_deref().map_or_else(|| path.to_owned(), |lang| format!("{lang} ({path})")))
    };
    let seeds = arms().filter_map(|arm| Some(arm.spec.as_ref()?.seed.to_string()));
    [
        ("machine", format!("{} ({})", machine("cpu_model"), machine("architecture"))),
        ("CPUs", machine("cpus")),
        ("kernel", machine("kernel")),
        ("interpreters", each_once(arms().filter_map(interpreter), "none")),
        ("rounds", format!("{}, more where they did not decide", talk.repeat)),
        ("seed", each_once(seeds, "unknown")),
        ("concmon", talk.concmon.clone()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .to_vec()
}

/// The texts in order, each once; `none` if there are none.
fn each_once(texts: impl Iterator<Item = String>, none: &str) -> String {
    let texts: std::collections::BTreeSet<String> = texts.collect();
    if texts.is_empty() { none.to_owned() } else { texts.into_iter().collect::<Vec<_>>().join(", ") }
}

fn row(finding: &Finding) -> Option<Vec<Cell>> {
    let claim = finding.entry()?;
    let dash = || Cell::marked("-", Mark::Dim);
    let figure = match &finding.verdict {
        Verdict::NotAvailable(why) | Verdict::Failed(why) => Cell::marked(why.clone(), Mark::Dim),
        _ if claim.is_about_looks() => "processes, threads, parents and states as reported by the kernel".into(),
        _ => {
            let parts =
                [Some(claim.figure.to_owned()), Some(bound(claim)), undecided(finding), ran_on(finding), Some(busy(finding))];
            parts.into_iter().flatten().collect::<Vec<_>>().join("; ").into()
        }
    };
    Some(vec![
        claim.part.to_string().into(),
        claim.statement.into(),
        Cell::marked(finding.verdict.word(), mark(&finding.verdict)),
        here(claim, finding).map_or_else(dash, Cell::from),
        talk_says(claim).map_or_else(dash, Cell::from),
        figure,
    ])
}

fn raw(finding: &Finding) -> Vec<Vec<Cell>> {
    let points = |points: &[f64]| points.iter().map(|p| format!("{p:.0}")).collect::<Vec<_>>().join(", ");
    let row = |arm: &super::ArmPoints| {
        vec![finding.claim.as_str().into(), arm.label.as_str().into(), arm.system.as_str().into(), points(&arm.points).into()]
    };
    finding.arms.iter().filter(|arm| !arm.points.is_empty()).map(row).collect()
}

/// The ratios as bars, with the talk's own where it gives one.
fn ratios(talk: &Talk) -> Bars {
    let bar = |finding: &Finding| {
        let (claim, summary) = (finding.entry()?, finding.summary?);
        (claim.unit == "x").then(|| Bar {
            label: claim.id.to_owned(),
            value: summary.median,
            text: with_unit(summary.median, "x"),
            spread: finding.interval.filter(|_| summary.count > 1).map(|i| (i.low, i.high)),
            reference: claim.talk_figure,
            group: 0,
        })
    };
    Bars {
        title: "Ratios: the claims that compare two sides".into(),
        axis: "ratio".into(),
        bars: talk.findings.iter().filter_map(bar).collect(),
        base: Some(1.0),
        reference: "the talk's own figure".into(),
    }
}
