//! Findings and marks from made-up batches: what is said must follow from the data, and nothing may be said that does not.

use super::*;
use crate::lab::catalog::{self, RunSpec, TaskKind};
use crate::lab::measure::{Batch, Host, Length, Load, Plan, Point, measure};

fn spec(system: &str, change: impl FnOnce(&mut RunSpec)) -> RunSpec {
    let mut spec = catalog::find(system).unwrap().defaults();
    change(&mut spec);
    spec
}

/// A batch in which each run's wall and creation time follow from its spec; `jitter` widens every point of a round.
fn batch(specs: Vec<RunSpec>, repetitions: u32, jitter: f64, ns: impl Fn(&RunSpec) -> f64) -> Batch {
    let host = Host { cpus: Some(2), ..Host::default() };
    let mut batch = Batch::new(Plan::new(specs, repetitions, 1), host);
    for (cell, repetition, warm_up) in batch.plan.order() {
        let off = 1.0 + jitter * (f64::from(repetition % 5) - 2.0);
        let ns = (ns(&batch.plan.cells[cell].spec) * off) as u64;
        let (wall_ns, creation_ns) = (Some(ns), vec![ns; 2]);
        batch.points.push(Point { cell, repetition, warm_up, wall_ns, creation_ns, tasks_done: 10, ..Point::default() });
    }
    batch
}

fn pi(system: &str, size: u32) -> RunSpec {
    spec(system, |s| {
        s.task = TaskKind::Pi;
        s.task_size = Some(size);
    })
}

/// One unit of work of a size in milliseconds: alone it takes all of them one after the other, in a pool half, and the pool's cost.
fn pool_or_alone(spec: &RunSpec) -> f64 {
    let work = f64::from(spec.size()) * 1e6 * 10.0;
    if spec.system.ends_with("sequential") { work } else { 45e6 + work / 2.0 }
}

#[test]
fn the_length_from_which_a_pool_pays_is_found() {
    let sizes = [1, 2, 5, 10, 20, 50];
    let swept = batch(sizes.map(|n| pi("native/process-pool", n)).to_vec(), 5, 0.01, pool_or_alone);
    let said = finding(&swept).unwrap();
    // 10 n = 45 + 5 n at 9 ms.
    let at: f64 = said.split("about ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
    assert!((8.0..10.0).contains(&at) && said.contains("native/process-pool"), "{said}");
    let short = batch([1, 2, 5].map(|n| pi("native/process-pool", n)).to_vec(), 5, 0.01, pool_or_alone);
    assert!(finding(&short).unwrap().contains("does not pay up to 5.00 ms"), "{:?}", finding(&short));
    let few = batch(sizes.map(|n| pi("native/process-pool", n)).to_vec(), 2, 0.01, pool_or_alone);
    assert_eq!(finding(&few), None, "two repetitions support nothing");
    let loud = batch(sizes.map(|n| pi("native/process-pool", n)).to_vec(), 5, 0.45, pool_or_alone);
    assert!(finding(&loud).is_none_or(|said| !said.contains("does not pay up to")), "{:?}", finding(&loud));
}

#[test]
fn who_grows_with_the_parent_is_told_from_who_does_not() {
    let systems = ["native/fork", "native/forkserver"];
    let specs = systems.iter().flat_map(|id| [0, 100, 1000].map(|mb| spec(id, |s| s.parent_mb = mb))).collect();
    let swept = batch(specs, 5, 0.02, |s| match s.system.as_str() {
        "native/fork" => 200e3 + f64::from(s.parent_mb) * 10e3,
        _ => 300e3 + f64::from(s.parent_mb) * 50.0,
    });
    let said = finding(&swept).unwrap();
    assert_eq!(
        said,
        "From 0 to 1000 MiB of parent, the creation of native/fork grows 51 times (200 us to 10.2 ms); that of native/forkserver stays within a factor of 1.2."
    );
    let table = compare(&swept, measure("creation").unwrap());
    let found = curves(&swept, &table, measure("creation").unwrap()).unwrap();
    assert_eq!((found.axis, found.series.len(), found.series[0].points.len()), (Axis::ParentMb, 2, 3));
    let plot = found.plot().unwrap();
    assert!(plot.series.iter().flat_map(|s| &s.1).all(|(x, y)| (0.0..=1.0).contains(x) && (-0.001..=1.001).contains(y)));
    assert!(plot.title.contains("logarithmic"), "51 times is drawn on a logarithmic scale: {}", plot.title);
}

#[test]
fn what_workers_bring_is_said_by_speed_up() {
    let specs = [1, 2, 4].map(|n| RunSpec { workers: n, ..pi("native/process-pool", 100) });
    let swept = batch(specs.to_vec(), 5, 0.01, |s| 100e6 / f64::from(s.workers.min(2)));
    let said = finding(&swept).unwrap();
    assert!(said.contains("gains most with 2 workers, 2.00x one thread"), "{said}");
    let flat = batch([1, 2, 4].map(|n| RunSpec { workers: n, ..pi("native/thread-pool", 100) }).to_vec(), 5, 0.01, |_| 100e6);
    assert!(finding(&flat).unwrap().contains("gains nothing"), "{:?}", finding(&flat));
}

#[test]
fn the_best_is_marked_and_so_is_what_cannot_be_told_from_it() {
    let ids = ["native/fork", "native/spawn", "native/thread"];
    let ns = |s: &RunSpec| match s.system.as_str() {
        "native/thread" => 100e6,
        "native/fork" => 104e6,
        "native/spawn" => 300e6,
        _ => 500e6,
    };
    let wall = measure("wall").unwrap();
    let run = batch(ids.map(|id| spec(id, |_| ())).to_vec(), 5, 0.05, ns);
    let table = compare(&run, wall);
    let marks: Vec<_> = table.rows.iter().map(|r| (r.spec.system.as_str(), r.figure(wall).unwrap().mark)).collect();
    assert_eq!(
        marks,
        [
            ("native/thread", Mark::Best),
            ("native/fork", Mark::AsGood),
            ("native/spawn", Mark::None),
            ("native/sequential", Mark::None)
        ]
    );
    let said = table.finding.clone().unwrap_or_default();
    assert!(said.starts_with("Not decided: native/thread and native/fork overlap"), "{said}");
    let tiny = batch(ids.map(|id| spec(id, |_| ())).to_vec(), 5, 0.05, |s| ns(s) / 1e6);
    assert!(compare(&tiny, wall).finding.unwrap_or_default().starts_with("Too short to tell: native/thread takes"));
    let repetitions = &table.rows[0].figure(wall).unwrap().repetitions;
    assert_eq!(repetitions.len(), 5, "one dot for each");
    let speed_up = measure("speed-up").unwrap();
    let best = compare(&run, speed_up);
    assert_eq!(best.rows[0].spec.system, "native/thread", "more is better here");
    let spread = best.rows[0].spread(speed_up).unwrap();
    assert!((spread.median - 5.0).abs() < 0.2, "paired by round: {spread:?}");
    assert!(best.rows[0].figures.iter().any(|f| f.spread.is_none() && f.unknown.is_some()), "unknown has a reason");
}

#[test]
fn runs_that_differ_in_their_parameters_are_not_compared_unwarned() {
    let differ = |specs: &[RunSpec]| differences(specs.iter());
    let fork = |change: fn(&mut RunSpec)| spec("native/fork", change);
    let spawn = |change: fn(&mut RunSpec)| spec("native/spawn", change);
    assert_eq!(differ(&[fork(|_| ()), spawn(|_| ()), spec("native/sequential", |_| ())]), None);
    let said = differ(&[fork(|s| (s.task, s.tasks) = (TaskKind::Pi, 4)), spawn(|s| s.workers = 9)]).unwrap();
    assert!(said.contains("work (4 x pi of 1000 digits, 10 x factorial) and workers (4, 9)"), "{said}");
    // A sweep varies on purpose.
    let swept = [fork(|s| s.workers = 1), fork(|s| s.workers = 2), spawn(|s| s.workers = 1), spawn(|s| s.workers = 2)];
    assert_eq!(differ(&swept), None);
}

#[test]
fn warm_ups_and_failures_are_no_figures() {
    let mut run = batch(vec![spec("native/fork", |_| ())], 6, 0.01, |_| 10e6);
    for point in run.points.iter_mut().filter(|p| p.cell == 0) {
        if point.warm_up {
            point.wall_ns = Some(90_000_000);
        } else if point.repetition == 0 {
            (point.failed, point.wall_ns) = (Some("it was killed".into()), Some(1));
        }
    }
    let wall = measure("wall").unwrap();
    let table = compare(&run, wall);
    let row = table.rows.iter().find(|r| r.cell == 0).unwrap();
    assert!(row.spread(wall).unwrap().min > 9e6 && row.runs == 5);
    let advice: Vec<String> = row.advice.iter().map(ToString::to_string).collect();
    assert!(advice.iter().any(|a| a.contains("1 run failed and excluded: it was killed")), "{advice:?}");
    assert!(advice.iter().any(|a| a.contains("9.") && a.contains("cold")), "{advice:?}");
}

/// What is said of the first cell of a batch of 10 ms each, whose runs are then changed.
fn said_of(change: impl Fn(&mut Point)) -> String {
    let mut run = batch(vec![spec("native/fork", |_| ())], 6, 0.01, |_| 10e6);
    for point in run.points.iter_mut().filter(|p| p.cell == 0) {
        if point.warm_up {
            point.wall_ns = Some(90_000_000);
        }
        change(point);
    }
    advice_lines(&compare(&run, measure("wall").unwrap())).join("\n")
}

#[test]
fn a_slow_first_run_is_only_told_where_nothing_else_explains_it() {
    assert!(said_of(|_| ()).contains("took 9.0 times the median, as is common"), "{}", said_of(|_| ()));
    let noisy = said_of(|p| {
        (p.user_ns, p.sys_ns) = (Some(1), Some(1));
        p.load = Some(Load { capacity_ns: 1_000_000_000, busy_ns: 900_000_000 });
    });
    assert!(noisy.contains("busy machine") && !noisy.contains("first run"), "{noisy}");
    let only_then = said_of(|p| {
        (p.user_ns, p.sys_ns) = (Some(1), Some(1));
        let busy_ns = if p.warm_up { 900_000_000 } else { 0 };
        p.load = Some(Load { capacity_ns: 1_000_000_000, busy_ns });
    });
    assert!(!only_then.contains("first run"), "it was the warm-up that was disturbed: {only_then}");
    let another = said_of(|p| {
        if p.repetition == 3 && !p.warm_up {
            p.wall_ns = Some(95_000_000);
        }
    });
    assert!(!another.contains("first run"), "a later one took as long: {another}");
    // What the root used to fill its memory is its own, not others'.
    let own = said_of(|p| {
        (p.user_ns, p.sys_ns, p.apart_ns) = (Some(1), Some(1), Some(300_000_000));
        p.load = Some(Load { capacity_ns: 1_000_000_000, busy_ns: 310_000_000 });
    });
    assert!(!own.contains("noisy"), "{own}");
}

#[test]
fn growth_that_is_not_sure_is_a_range_and_nobody_is_left_out() {
    let systems = ["native/fork", "native/exec", "native/spawn"];
    let specs: Vec<RunSpec> = systems.iter().flat_map(|id| [0, 1000].map(|mb| spec(id, |s| s.parent_mb = mb))).collect();
    let ns = |s: &RunSpec| match (s.system.as_str(), s.parent_mb) {
        ("native/fork", 0) | ("native/exec", _) => 1e6,
        ("native/fork", _) => 50e6,
        // Up, but not by enough to be clear.
        ("native/spawn", 0) => 1e6,
        _ => 2.4e6,
    };
    let said = finding(&batch(specs.clone(), 5, 0.2, ns)).unwrap();
    assert!(said.contains("native/fork grows 21 to 117 times (1.00 ms to 50.0 ms)"), "{said}");
    assert!(systems.iter().all(|id| said.contains(id)), "{said}");
    assert!(said.contains("; unclear for native/exec and native/spawn."), "{said}");
    let sure = finding(&batch(specs, 5, 0.01, ns)).unwrap();
    assert!(sure.contains("native/fork grows 50 times") && sure.contains("native/spawn grows 2.4 times"), "{sure}");
    assert!(sure.contains("that of native/exec stays within a factor of 1.0."), "{sure}");
}

#[test]
fn lengths_that_were_asked_for_are_what_rows_and_axis_show() {
    let mut swept = batch([100, 224, 447].map(|n| pi("native/process-pool", n)).to_vec(), 3, 0.01, pool_or_alone);
    swept.plan.lengths = [(100, 1.0), (224, 5.0), (447, 20.0)].map(|(size, ms)| Length::new(size, ms)).to_vec();
    let wall = measure("wall").unwrap();
    let table = compare(&swept, wall);
    let labels: Vec<&str> = table.rows.iter().map(|r| r.label.as_str()).collect();
    assert!(labels.contains(&"native/process-pool 5 ms (224 digits)"), "{labels:?}");
    let found = curves(&swept, &table, wall).unwrap();
    let xs: Vec<f64> = found.series[0].points.iter().map(|p| p.0).collect();
    assert_eq!(xs, [1.0, 5.0, 20.0]);
    assert_eq!(found.along, "work per task, ms, requested: 100, 224, 447 digits");
    swept.plan.lengths.clear();
    let found = curves(&swept, &compare(&swept, wall), wall).unwrap();
    assert!(
        found.along.contains("measured with one thread") && found.series[0].points[0].0 > 90.0,
        "{:?}",
        found.series[0].points
    );
}

#[test]
fn nine_tenths_are_only_told_of_ten_or_more() {
    let of = |n: usize| creation(&crate::lab::measure::summary(&vec![1e6; n]).unwrap(), ", ");
    assert_eq!(of(1), "1.00 ms, 1 worker");
    assert_eq!(of(4), "median 1.00 ms, min 1.00 ms, max 1.00 ms, 4 workers");
    assert!(of(10).contains("p90 1.00 ms"));
}

#[test]
fn the_best_stands_out_in_markdown_which_has_no_colours() {
    let run = batch(["native/fork", "native/spawn"].map(|id| spec(id, |_| ())).to_vec(), 3, 0.0, |s| {
        if s.system == "native/fork" { 1e6 } else { 3e6 }
    });
    let text = crate::lab::page::markdown(&page(&run, &compare(&run, measure("wall").unwrap())));
    assert!(text.contains("**1.00 ms") && !text.contains("**3.00 ms") && !text.to_lowercase().contains("green"), "{text}");
}

#[test]
fn what_is_unknown_of_a_program_of_ones_own_has_reasons_of_its_own() {
    for measure in crate::lab::measure::MEASURES {
        let why = measure.unknown_of_own();
        assert!(
            !["share one memory", "native workers", "the memory of one process"].iter().any(|w| why.contains(w)),
            "{}",
            measure.id
        );
    }
}

#[test]
fn a_cell_of_csv_cannot_become_a_formula() {
    let mut table = compare(&batch(vec![spec("native/fork", |_| ())], 3, 0.0, |_| 1e6), measure("wall").unwrap());
    table.rows[0].label = "=cmd(\"x\"),y".into();
    let text = csv(&table);
    assert!(text.lines().nth(1).unwrap().starts_with("\"'=cmd(\"\"x\"\"),y\","), "{text}");
    let commas: Vec<usize> = text.lines().skip(2).map(|l| l.matches(',').count()).collect();
    assert!(commas.iter().all(|n| *n == text.lines().next().unwrap().matches(',').count()));
}

#[test]
fn values_have_three_digits_and_a_unit() {
    let shown = [
        (0.0, Unit::Ns),
        (1234.0, Unit::Ns),
        (5.5e6, Unit::Ns),
        (6.0 * 1048576.0, Unit::Bytes),
        (212.0, Unit::Count),
        (12345.0, Unit::Count),
        (1.936, Unit::Ratio),
    ];
    let texts: Vec<String> = shown.iter().map(|(v, u)| show(*v, *u)).collect();
    assert_eq!(texts, ["0 ns", "1.23 us", "5.50 ms", "6.00 MiB", "212", "12.3k", "1.94x"]);
}
