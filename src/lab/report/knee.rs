//! Where more stops to pay: the setting of a sweep after which the next costs CPU and brings little.

use super::clear::{below, list};
use crate::lab::measure::Spread;

/// A step that makes a run less than this many times as fast brings little.
const PAYS: f64 = 1.1;

/// Figures at the ascending settings of a sweep.
type Points = [(f64, Spread)];

/// One series of a sweep.
pub(super) struct Swept<'a> {
    /// What distinguishes it from the others.
    pub label: &'a str,
    /// Wall times.
    pub wall: &'a Points,
    /// CPU times, where they are known.
    pub cpu: Option<&'a Points>,
}

/// The knee of each series over what is called `along`, with the CPU time that the next step costs.
pub(super) fn knee(along: &str, all: &[Swept<'_>]) -> Option<String> {
    let said = all.iter().filter_map(|series| {
        let sentence = of_series(along, series)?;
        Some(if all.len() > 1 { format!("{}: {sentence}", series.label) } else { sentence })
    });
    let said: Vec<String> = said.collect();
    (!said.is_empty()).then(|| format!("{}.", if all.len() > 1 { said.join(". ") } else { list(&said) }))
}

fn of_series(along: &str, series: &Swept<'_>) -> Option<String> {
    let pays = |from: &Spread, to: &Spread| below(to, from) && from.median / to.median.max(1.0) >= PAYS;
    let points = series.wall;
    let at = (0..points.len()).find(|i| !points[i + 1..].iter().any(|later| pays(&points[*i].1, &later.1)))?;
    let ((x, here), first) = (&points[at], points.first()?);
    let what = match along {
        "workers" if at == 0 && points.len() > 1 && number(*x) == "1" => "1 worker".to_owned(),
        "workers" => format!("{} workers", number(*x)),
        name => format!("{name}={}", number(*x)),
    };
    let so_far = if at == 0 {
        String::new()
    } else {
        format!(" ({:.2}x the speed of {})", first.1.median / here.median.max(1.0), number(first.0))
    };
    let Some((next_x, next)) = points.get(at + 1) else {
        return Some(format!("{what} is the fastest{so_far}, and the largest that was tried"));
    };
    let speed = here.median / next.median.max(1.0);
    let spent = |x: f64| series.cpu?.iter().find(|p| number(p.0) == number(x)).map(|p| p.1.median);
    let price = match (spent(*x), spent(*next_x)) {
        (Some(here), Some(next)) if here > 0.0 => format!("costs {:.1}x the CPU for {speed:.2}x the speed", next / here),
        _ => format!("brings {speed:.2}x the speed"),
    };
    Some(format!("{what}{so_far}; {} {price}", number(*next_x)))
}

/// A number of the command line.
fn number(x: f64) -> String {
    x.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Points over 1, 2, 4, 8, each value with a little around it.
    fn over(values: &[f64]) -> Vec<(f64, Spread)> {
        let spread = |value: f64| Spread::of(&[value * 0.99, value, value * 1.01]).unwrap();
        [1.0, 2.0, 4.0, 8.0].into_iter().zip(values.iter().copied().map(spread)).collect()
    }

    fn said(wall: &[f64], cpu: &[f64]) -> String {
        knee("N", &[Swept { label: "a", wall: &over(wall), cpu: Some(&over(cpu)) }]).unwrap()
    }

    #[test]
    fn the_knee_is_where_the_next_costs_more_than_it_brings() {
        let knee_at_two = said(&[1e9, 5.2e8, 5.1e8, 5.1e8], &[1e9, 1.05e9, 2e9, 4e9]);
        assert_eq!(knee_at_two, "N=2 (1.92x the speed of 1); 4 costs 1.9x the CPU for 1.02x the speed.");
        let useless = said(&[1e9, 1e9, 1.2e9, 1.3e9], &[1e9, 2e9, 4e9, 8e9]);
        assert_eq!(useless, "N=1; 2 costs 2.0x the CPU for 1.00x the speed.");
        let pays = said(&[8e9, 4e9, 2e9, 1e9], &[8e9; 4]);
        assert_eq!(pays, "N=8 is the fastest (8.00x the speed of 1), and the largest that was tried.");
        let plateau = said(&[8e9, 8e9, 2e9, 2e9], &[8e9; 4]);
        assert!(plateau.starts_with("N=4 (4.00x"), "a step that brings nothing is passed where a later one pays: {plateau}");
    }

    #[test]
    fn workers_are_called_workers_and_each_series_is_named() {
        let (a, b) = (over(&[2e9, 1e9, 1e9, 1e9]), over(&[1e9; 4]));
        let said = knee("workers", &[Swept { label: "a", wall: &a, cpu: None }, Swept { label: "b", wall: &b, cpu: None }]);
        assert_eq!(
            said.as_deref(),
            Some("a: 2 workers (2.00x the speed of 1); 4 brings 1.00x the speed. b: 1 worker; 2 brings 1.00x the speed.")
        );
    }
}
