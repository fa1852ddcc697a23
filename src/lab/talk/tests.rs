use super::*;
use crate::lab::page::{html, markdown};
use crate::lab::run::{ReportedValue, RunId};

fn done(spec: RunSpec, wall_ns: u64, values: &[(&str, u64)]) -> Run {
    let mut run = Run::new(RunId(1), spec, 0);
    run.phase = RunPhase::Ended(Outcome::Done);
    run.costs.wall_ns = Some(wall_ns);
    run.values = values.iter().map(|(n, v)| ReportedValue { name: (*n).into(), text: String::new(), number: Some(*v) }).collect();
    run
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
        assert!((1..=2).contains(&claim.arms.len()) && claim.holds.0 <= claim.holds.1, "{}", claim.id);
        for arm in claim.arms {
            assert!(catalog::find(arm.system).is_some(), "{}: there is no {}", claim.id, arm.system);
        }
    }
    assert_eq!((part, CLAIMS.len()), (22, 37), "22 parts of the talk, and as many claims as the README says");
    assert!((1..=22).all(|part| CLAIMS.iter().any(|c| c.part == part)), "each part has a claim");
}

#[test]
fn what_two_sides_share_runs_once_a_round() {
    assert_eq!(claim("copied-by-reading").specs().len(), 1);
    assert_eq!(claim("pool-10-to-1").specs().len(), 2);
}

#[test]
fn a_ratio_is_judged_by_the_median_of_its_rounds() {
    let claim = claim("pool-10-to-1");
    let [one, ten] = <[RunSpec; 2]>::try_from(claim.specs()).unwrap();
    let round = |one_ns: u64, ten_ns: u64| [done(one.clone(), one_ns, &[]), done(ten.clone(), ten_ns, &[])];
    let rounds = [round(10, 20), round(10, 10), round(10, 30)];
    let finding = judge(claim, &rounds.iter().map(|r| r.iter().collect()).collect::<Vec<_>>());
    assert_eq!(finding.figures, [2.0, 1.0, 3.0]);
    assert_eq!((finding.verdict.clone(), finding.summary.unwrap().median), (Verdict::Reproduces, 2.0));
    assert_eq!(finding.arms[1].points, [20.0, 10.0, 30.0], "the raw points are kept");
    let lost = [round(10, 9)];
    assert_eq!(judge(claim, &[lost[0].iter().collect()]).verdict, Verdict::DoesNot);
}

#[test]
fn what_went_wrong_is_said_and_nothing_is_made_up() {
    let claim = claim("copied-by-reading");
    let spec = claim.specs().remove(0);
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
    let [one, ten] = <[RunSpec; 2]>::try_from(entry.specs()).unwrap();
    let runs = [done(one, 1_000, &[]), done(ten, 2_500, &[])];
    let mut talk = Talk {
        schema: SCHEMA.into(),
        concmon: "0".into(),
        machine: serde_json::json!({ "kernel": "6.18<b>", "cpus": 2 }),
        repeat: 1,
        findings: Vec::new(),
    };
    talk.add(Finding::without(claim("uvloop"), Verdict::NotAvailable("python/uvloop-echo needs uvloop".into())));
    talk.add(judge(entry, &[runs.iter().collect()]));
    assert_eq!(talk.findings[0].claim, "pool-10-to-1", "in the talk's order");
    assert_eq!(summary_line(&talk), "2 claims: 1 reproduce here, 0 do not, 1 not available");
    assert_eq!(
        said(&talk.findings[0]),
        "2.50x ProcessPoolExecutor.map from fork, 10 workers / 1 worker; talk: 71.4012 / 42.3365 ms = 1.69x"
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
    let [one, ten] = <[RunSpec; 2]>::try_from(claim.specs()).unwrap();
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
    assert_eq!(never.verdict, Verdict::MachineBusy(why.into()));
    assert!(
        said(&never).starts_with("0.90x") && said(&never).ends_with(&format!("contradicts the claim, but {why}")),
        "{}",
        said(&never)
    );
    let mut talk =
        Talk { schema: SCHEMA.into(), concmon: "0".into(), machine: serde_json::Value::Null, repeat: 1, findings: Vec::new() };
    talk.add(never);
    assert_eq!(summary_line(&talk), "1 claim: 0 reproduce here, 0 do not, 1 undecided on a busy machine");
    assert!(markdown(&page(&talk)).contains("| machine busy | 0.90x |"), "{}", markdown(&page(&talk)));
    let text = serde_json::to_string(&talk).unwrap();
    assert!(text.contains(r#""verdict":"machine_busy","why":"other processes"#), "{text}");
    assert_eq!(serde_json::from_str::<Talk>(&text).unwrap(), talk);
}
