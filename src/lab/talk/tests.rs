use super::*;
use crate::lab::measure;
use crate::lab::page::{html, markdown};
use crate::lab::run::{Memory, ReportedValue, RunId, ShapeCheck, Worker};
use crate::snapshot::ExitStatus;

fn done(spec: RunSpec, wall_ns: u64, values: &[(&str, u64)]) -> Run {
    let mut run = Run::new(RunId(1), spec, 0);
    run.phase = RunPhase::Ended(Outcome::Done);
    run.costs.wall_ns = Some(wall_ns);
    run.values = values.iter().map(|(n, v)| ReportedValue { name: (*n).into(), text: String::new(), number: Some(*v) }).collect();
    run
}

fn specs(claim: &Claim) -> [RunSpec; 2] {
    let specs: Vec<RunSpec> = claim.sides().into_iter().map(|side| side.spec).collect();
    specs.try_into().unwrap()
}

fn claim(id: &str) -> &'static Claim {
    CLAIMS.iter().find(|c| c.id == id).unwrap()
}

#[test]
fn every_claim_can_be_tried_by_systems_of_the_catalogue() {
    let mut ids = std::collections::HashSet::new();
    let mut part = 1;
    for claim in CLAIMS {
        assert!(ids.insert(claim.id), "{} is there twice", claim.id);
        assert!(claim.part >= part, "{} is out of the talk's order", claim.id);
        part = claim.part;
        assert!(!claim.statement.is_empty() && !claim.figure.is_empty(), "{}", claim.id);
        assert!((1..=3).contains(&claim.arms.len()) && claim.holds.0 <= claim.holds.1, "{}", claim.id);
        for arm in claim.arms {
            assert!(catalog::find(arm.system).is_some(), "{}: there is no {}", claim.id, arm.system);
        }
    }
    assert_eq!((part, CLAIMS.len()), (22, 68), "22 parts of the talk, and as many claims as docs/lab.md says");
    assert!((1..=22).all(|part| CLAIMS.iter().any(|c| c.part == part)), "each part has a claim");
}

#[test]
fn what_two_sides_share_runs_once_a_round() {
    assert_eq!(claim("copied-by-reading").sides().len(), 1);
    assert_eq!(claim("pool-10-to-1").sides().len(), 2);
    assert_eq!(claim("django-one-thread").sides().len(), 2, "one run on each build");
}

#[test]
fn the_interval_of_the_median_decides() {
    let claim = claim("pool-10-to-1");
    let [one, ten] = specs(claim);
    let of = |ten_ns: &[u64]| {
        let rounds: Vec<[Run; 2]> = ten_ns.iter().map(|ns| [done(one.clone(), 10, &[]), done(ten.clone(), *ns, &[])]).collect();
        judge(claim, &rounds.iter().map(|r| r.iter().collect()).collect::<Vec<_>>())
    };
    let finding = of(&[20, 15, 30]);
    assert_eq!(finding.figures, [2.0, 1.5, 3.0]);
    assert_eq!((finding.verdict.clone(), finding.summary.unwrap().median), (Verdict::Reproduces, 2.0));
    assert_eq!(finding.interval, Some(Interval { low: 1.5, high: 3.0, confidence: 0.75 }));
    assert_eq!(finding.arms[1].points, [20.0, 15.0, 30.0], "the raw points are kept");
    assert_eq!(of(&[9]).verdict, Verdict::DoesNot);
    let wide = of(&[20, 10, 30]);
    assert_eq!(wide.verdict, Verdict::Undecided("3 rounds gave figures on both sides of the bound".into()));
    assert!(wide.is_open() && said(&wide).contains("undecided: 3 rounds"), "{}", said(&wide));
    let one_far_off = of(&[20, 20, 21, 20, 22, 20, 20, 20, 300]);
    assert_eq!(one_far_off.verdict, Verdict::Reproduces, "nine rounds: the farthest on either side is not in the interval");
    assert_eq!(one_far_off.interval.unwrap().confidence, 0.95);
    let half = of(&[20, 10, 20, 10, 20, 10, 20, 10, 20]);
    assert!(matches!(half.verdict, Verdict::Undecided(_)), "the median alone would say that it holds: {half:?}");
}

/// Runs of a round from which the claim's figure is `figure`: the last arm gives it, the others give one unit of it.
fn round_with(claim: &Claim, figure: f64) -> Vec<Run> {
    const BASE: f64 = 1e9;
    let raw = figure / claim.scale;
    let of = |arm: &Arm, last: bool| match (last, claim.arms.len()) {
        (true, 1) => raw,
        (true, _) => raw * BASE,
        (false, _) if arm.measure == Measure::Shape => 1.0,
        (false, _) => BASE,
    };
    let mut runs: Vec<Run> = claim.sides().into_iter().map(|side| done(side.spec, 0, &[])).collect();
    for (at, arm) in claim.arms.iter().enumerate() {
        let point = of(arm, at + 1 == claim.arms.len());
        let side = arm.side().unwrap();
        let run = &mut runs[claim.sides().iter().position(|s| *s == side).unwrap()];
        give(run, arm.measure, point);
    }
    runs
}

fn give(run: &mut Run, measure: Measure, point: f64) {
    let whole = point.round() as u64;
    match measure {
        Measure::Wall => run.costs.wall_ns = Some(whole),
        Measure::Cpu => (run.costs.user_ns, run.costs.sys_ns) = (Some(whole), Some(0)),
        Measure::Creation => run.costs.creation_ns = measure::summary(&[point]),
        Measure::Value(name) => {
            run.values.push(ReportedValue { name: name.into(), text: String::new(), number: Some(whole) });
        }
        Measure::Shape => {
            let check = |met| ShapeCheck { what: "pids".into(), met, expected: String::new(), seen: String::new() };
            run.shape = vec![check(true), check(point > 0.5)];
        }
        Measure::EndsLast => {
            let worker = |exited_ns| Worker {
                index: 0,
                pid: Some(2),
                shown_pid: None,
                tid: Some(2),
                how: None,
                requested_ns: Some(1),
                ready_ns: Some(2),
                exited_ns,
                status: exited_ns.map(|_| ExitStatus::Code(0)),
                spans: Vec::new(),
                memory: Memory::default(),
            };
            run.workers = vec![worker(Some(3)), worker((point > 0.5).then_some(3))];
        }
    }
}

#[test]
fn every_claim_fails_where_it_is_wrong_and_holds_where_it_is_right() {
    let verdict = |claim: &'static Claim, figures: &[f64]| {
        let rounds: Vec<Vec<Run>> = figures.iter().map(|figure| round_with(claim, *figure)).collect();
        judge(claim, &rounds.iter().map(|r| r.iter().collect()).collect::<Vec<_>>())
    };
    for claim in CLAIMS {
        let id = claim.id;
        assert!(claim.wrong.is_finite() && claim.wrong >= 0.0, "{id}: a measure can give {}", claim.wrong);
        let wrong = verdict(claim, &[claim.wrong; 6]);
        assert_eq!(wrong.verdict, Verdict::DoesNot, "{id} fails at {}: {wrong:?}", claim.wrong);
        let (low, high) = claim.holds;
        let right = if high.is_finite() { f64::midpoint(low, high) } else { low * 1.5 };
        let held = verdict(claim, &[right; 6]);
        assert_eq!(held.verdict, Verdict::Reproduces, "{id} holds at {right}: {held:?}");
        let mixed = verdict(claim, &[right, claim.wrong, right, claim.wrong, right, claim.wrong]);
        assert!(mixed.is_open(), "{id} is undecided where half of the rounds are wrong: {mixed:?}");
        if let Some(figure) = claim.talk_figure {
            assert!(claim.holds_at(figure), "{id}: the talk's own figure {figure} is within its bounds");
        }
    }
}

#[test]
fn every_topic_of_the_talk_has_claims_and_every_claim_a_topic() {
    let mut part = 1;
    for topic in TOPICS {
        assert!(topic.part == part || topic.part == part + 1, "{} is out of the talk's order", topic.title);
        part = topic.part;
        assert!(!topic.claims.is_empty() && !topic.systems.is_empty(), "{}", topic.title);
        for id in topic.claims {
            assert_eq!(claim(id).part, topic.part, "{id} is in another part than {}", topic.title);
        }
        for id in topic.systems {
            assert!(catalog::find(id).is_some(), "{}: there is no system {id}", topic.title);
        }
    }
    for claim in CLAIMS {
        assert_eq!(TOPICS.iter().filter(|t| t.claims.contains(&claim.id)).count(), 1, "{} belongs to one topic", claim.id);
        let topic = TOPICS.iter().find(|t| t.claims.contains(&claim.id)).unwrap();
        let shown = claim.arms.iter().any(|arm| topic.systems.contains(&arm.system));
        assert!(shown, "{}: none of its systems is among those of {}", claim.id, topic.title);
    }
}

#[test]
fn what_went_wrong_is_said_and_nothing_is_made_up() {
    let claim = claim("copied-by-reading");
    let spec = claim.sides().remove(0).spec;
    let silent = done(spec.clone(), 1, &[("parent_private_bytes", 5)]);
    assert_eq!(
        judge(claim, &[vec![&silent]]).verdict,
        Verdict::Failed("python/copy-on-write did not report read_private_growth_bytes".into())
    );
    let nothing = done(spec.clone(), 1, &[("parent_private_bytes", 0), ("read_private_growth_bytes", 5)]);
    assert!(matches!(judge(claim, &[vec![&nothing]]).verdict, Verdict::Failed(_)), "nothing is divided by 0");
    let mut crashed = done(spec, 1, &[]);
    crashed.phase = RunPhase::Ended(Outcome::Failed("it crashed".into()));
    assert_eq!(judge(claim, &[vec![&crashed]]).verdict, Verdict::Failed("python/copy-on-write failed: it crashed".into()));
}

#[test]
fn the_paper_says_what_the_findings_say() {
    let entry = claim("pool-10-to-1");
    let [one, ten] = specs(entry);
    let mut runs = [done(one, 1_000, &[]), done(ten, 2_500, &[])];
    runs.iter_mut().for_each(|run| run.lang = Some("python 3.14.0, GIL".into()));
    let mut talk = Talk {
        schema: SCHEMA.into(),
        concmon: "0".into(),
        machine: serde_json::json!({ "kernel": "6.18<b>", "cpus": 2 }),
        repeat: 1,
        findings: Vec::new(),
    };
    talk.add(Finding::without(claim("uvloop"), Verdict::NotAvailable("python/uvloop-echo needs uvloop".into())));
    talk.add(Finding { others: Some(0.03), ..judge(entry, &[runs.iter().collect()]) });
    assert_eq!(talk.findings[0].claim, "pool-10-to-1", "in the talk's order");
    assert_eq!(summary_line(&talk), "2 claims: 1 reproduce here, 0 do not, 1 not available");
    assert_eq!(
        said(&talk.findings[0]),
        "2.50x ProcessPoolExecutor.map from fork, 10 workers / 1 worker, holds from 1.20x to 6x; talk: 71.4012 / 42.3365 ms = 1.69x; \
         python 3.14.0, GIL; other processes used 3% of the CPUs"
    );
    let paper = html(&page(&talk));
    for text in ["2.50x", "1.69x", "reproduces", "not available", "needs uvloop", "6.18&lt;b&gt;"] {
        assert!(paper.contains(text), "{text}");
    }
    assert!(
        markdown(&page(&talk)).contains("| 8 | For ten tiny tasks, ten processes are slower than one | **reproduces** | 2.50x |")
    );
}

#[test]
fn a_talk_survives_being_written_and_read() {
    let mut talk =
        Talk { schema: SCHEMA.into(), concmon: "0".into(), machine: serde_json::Value::Null, repeat: 3, findings: Vec::new() };
    talk.add(Finding::without(claim("gil"), Verdict::DoesNot));
    talk.add(Finding::without(claim("uvloop"), Verdict::NotAvailable("no".into())));
    let text = serde_json::to_string(&talk).unwrap();
    assert!(text.contains(r#""verdict":"does_not""#), "{text}");
    assert_eq!(serde_json::from_str::<Talk>(&text).unwrap(), talk);
}

#[test]
fn a_busy_machine_is_asked_twice_and_never_blamed_on_the_claim() {
    let claim = claim("pool-10-to-1");
    let [one, ten] = specs(claim);
    let measured = |ten_ns: u64, others: f64| {
        let runs = [done(one.clone(), 10, &[]), done(ten.clone(), ten_ns, &[])];
        Finding { others: Some(others), ..judge(claim, &[runs.iter().collect()]) }
    };
    let (holds, busy, quiet) = (20, BUSY + 0.4, BUSY);
    assert!(!measured(holds, busy).may_be_the_machine(), "what holds although others were busy is left at that");
    assert!(!measured(9, quiet).may_be_the_machine(), "a quiet machine's word counts");
    let first = measured(9, busy);
    assert!(first.may_be_the_machine());
    assert_eq!(after_two(&first, measured(holds, busy)).verdict, Verdict::Reproduces);
    assert_eq!(after_two(&first, measured(9, quiet)).verdict, Verdict::DoesNot, "the second time was quiet, so it counts");
    let never = after_two(&first, measured(9, busy + 0.1));
    let why = "other processes used 55% of the CPUs, and 65% during the repeat";
    assert_eq!(never.verdict, Verdict::Undecided(why.into()));
    assert!(said(&never).starts_with("0.90x") && said(&never).contains(&format!("undecided: {why}")), "{}", said(&never));
    let mut talk =
        Talk { schema: SCHEMA.into(), concmon: "0".into(), machine: serde_json::Value::Null, repeat: 1, findings: Vec::new() };
    talk.add(never);
    assert_eq!(summary_line(&talk), "1 claim: 0 reproduce here, 0 do not, 1 undecided");
    assert!(markdown(&page(&talk)).contains("| undecided | 0.90x |"), "{}", markdown(&page(&talk)));
    let text = serde_json::to_string(&talk).unwrap();
    assert!(text.contains(r#""verdict":"undecided","why":"other processes"#), "{text}");
    assert_eq!(serde_json::from_str::<Talk>(&text).unwrap(), talk);
}

#[test]
fn a_gain_that_a_busy_machine_hides_is_no_proof_that_there_is_none() {
    let claim = claim("gil");
    let runs = round_with(claim, 0.9);
    let measured = |others| Finding { others: Some(others), ..judge(claim, &[runs.iter().collect()]) };
    assert_eq!(measured(0.0).verdict, Verdict::Reproduces);
    assert!(measured(BUSY + 0.1).may_be_the_machine() && !measured(BUSY).may_be_the_machine());
    let twice = after_two(&measured(0.9), measured(0.8));
    assert!(matches!(twice.verdict, Verdict::Undecided(_)), "{twice:?}");
}

#[test]
fn documents_of_versions_that_judged_by_the_median_are_read() {
    let old = r#"{"claim":"gil","verdict":"machine_busy","why":"others","figures":[1.3],"summary":null,"arms":[],"others":0.9}"#;
    let finding: Finding = serde_json::from_str(old).unwrap();
    assert_eq!((finding.verdict, finding.interval), (Verdict::Undecided("others".into()), None));
}
