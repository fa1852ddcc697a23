//! Control groups as lines: limits, use, pressure and events of each group, deepest first.

use crate::columns::cpus;
use crate::columns::in_bytes;
use crate::snapshot::{GroupDetail, Pressure, Weight};
use crate::text::{Charset, sanitize, sanitize_str};

/// Their lines, safe to draw. `before` is an earlier reading, with the nanoseconds between: the use of CPUs takes two.
pub(super) fn lines(groups: &[GroupDetail], before: Option<(&[GroupDetail], u64)>, charset: Charset) -> Vec<String> {
    let mut lines = Vec::new();
    for group in groups {
        let old = before.and_then(|(groups, span_ns)| Some((groups.iter().find(|old| old.path == group.path)?, span_ns)));
        lines.push(sanitize(group.path.as_bytes(), charset).into_owned());
        let said = [cpu(group, old), quota(group, old), memory(group), swap(group), tasks(group), storage(group, charset)];
        let said = said.into_iter().flatten().chain(pressure(group)).chain(events(group));
        let frozen = group.frozen.then(|| ("state", "frozen: its processes do not run until it is thawed".to_owned()));
        let mut heading = "";
        let before = lines.len();
        for (name, text) in said.chain(frozen) {
            // A heading is said once.
            lines.push(format!("  {:9} {text}", if name == heading { "" } else { name }));
            heading = name;
        }
        if lines.len() == before {
            lines.push("  limits nothing".to_owned());
        }
    }
    lines
}

type Line = Option<(&'static str, String)>;

/// `0.29 of 0.3 CPUs used (96 %), may run on CPUs 0-1, weight 50 of the usual 100`.
fn cpu(group: &GroupDetail, old: Option<(&GroupDetail, u64)>) -> Line {
    let used = old
        .filter(|(_, span_ns)| *span_ns > 0)
        .and_then(|(old, span_ns)| Some(group.cpu_ns?.saturating_sub(old.cpu_ns?) as f64 / span_ns as f64));
    let mut parts: Vec<String> = match (used, group.quota_cpus) {
        (Some(used), Some(most)) => vec![format!("{used:.2} of {} CPUs used ({:.0} %)", cpus(most), used * 100.0 / most)],
        (Some(used), None) => vec![format!("{used:.2} CPUs used, no quota")],
        (None, Some(most)) => vec![format!("quota of {} CPUs", cpus(most))],
        (None, None) => Vec::new(),
    };
    parts.extend(group.cpuset.as_deref().map(|list| format!("may run on CPUs {}", sanitize_str(list, Charset::Ascii))));
    let weight = group.weight.filter(|Weight { value, usual }| value != usual);
    parts.extend(weight.map(|Weight { value, usual }| format!("weight {value} (usual: {usual})")));
    (!parts.is_empty()).then(|| ("cpu", parts.join(", ")))
}

fn quota(group: &GroupDetail, old: Option<(&GroupDetail, u64)>) -> Line {
    let now = group.throttled.filter(|throttled| throttled.periods > 0)?;
    let share = |stopped: u64, periods: u64| stopped as f64 * 100.0 / periods as f64;
    let recent = old
        .and_then(|(old, _)| old.throttled)
        .map(|old| (now.stopped.saturating_sub(old.stopped), now.periods.saturating_sub(old.periods)));
    let recent = match recent {
        Some((stopped, periods)) if periods > 0 => format!("; now in {:.0} %", share(stopped, periods)),
        _ => String::new(),
    };
    let (all, seconds) = (share(now.stopped, now.periods), now.stopped_ns as f64 / 1e9);
    Some(("cpu", format!("throttled in {} of {} periods ({all:.0} %), {seconds:.1} s{recent}", now.stopped, now.periods)))
}

fn memory(group: &GroupDetail) -> Line {
    let now = group.memory?;
    let limit = match group.memory_max {
        Some(most) => of(&in_bytes(now), &in_bytes(most), now, most),
        None => format!("{}, no limit", in_bytes(now)),
    };
    let high = group.memory_high.map(|high| format!(", slowed down from {}", in_bytes(high))).unwrap_or_default();
    Some(("memory", format!("{limit}{high}")))
}

/// Only if there is some, or none may be used.
fn swap(group: &GroupDetail) -> Line {
    let now = group.swap?;
    match group.swap_max {
        Some(0) => Some(("swap", "not allowed".to_owned())),
        Some(most) => Some(("swap", of(&in_bytes(now), &in_bytes(most), now, most))),
        None if now > 0 => Some(("swap", format!("{}, no limit", in_bytes(now)))),
        None => None,
    }
}

fn tasks(group: &GroupDetail) -> Line {
    let now = group.tasks?;
    let text = match group.tasks_max {
        Some(most) => of(&now.to_string(), &most.to_string(), now, most),
        None => format!("{now}, no limit"),
    };
    Some(("tasks", text))
}

fn storage(group: &GroupDetail, charset: Charset) -> Line {
    let devices: Vec<_> = group.io_max.iter().map(|line| sanitize_str(line, charset)).collect();
    (!devices.is_empty()).then(|| ("storage", devices.join("; ")))
}

/// Share of the last 10 s in which tasks waited: `cpu 12 %, memory 0 % (all tasks at once 0 %)`.
fn pressure(group: &GroupDetail) -> Line {
    let kinds = [("cpu", group.pressure.cpu), ("memory", group.pressure.memory), ("storage", group.pressure.io)];
    let one = |(name, pressure): (&str, Option<Pressure>)| {
        let Pressure { some_avg10: some, full_avg10: full } = pressure?;
        let all = if full > 0.0 { format!(" (all of them {full:.0} %)") } else { String::new() };
        Some(format!("{name} {some:.0} %{all}"))
    };
    let words: Vec<String> = kinds.into_iter().filter_map(one).collect();
    (!words.is_empty()).then(|| ("pressure", format!("tasks waited: {}", words.join(", "))))
}

fn events(group: &GroupDetail) -> impl Iterator<Item = (&'static str, String)> {
    group.events.iter().map(|event| ("events", format!("{}: {} ({})", event.what, event.count, event.source)))
}

fn of(now: &str, most: &str, used: u64, limit: u64) -> String {
    if limit == 0 { format!("{now} of {most}") } else { format!("{now} of {most} ({:.0} %)", used as f64 * 100.0 / limit as f64) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::{GroupEvent, PressureSample, Throttled};

    fn group() -> GroupDetail {
        let stall = |some, full| Some(Pressure { some_avg10: some, full_avg10: full });
        GroupDetail {
            path: "/a".into(),
            cpu_ns: Some(1_000_000_000),
            quota_cpus: Some(0.3),
            throttled: Some(Throttled { periods: 100, stopped: 40, stopped_ns: 2_500_000_000 }),
            weight: Some(Weight { value: 100, usual: 100 }),
            cpuset: Some("0-1".into()),
            memory: Some(12 << 20),
            memory_max: Some(64 << 20),
            swap: Some(0),
            swap_max: Some(0),
            tasks: Some(5),
            pressure: PressureSample { cpu: stall(12.0, 3.0), io: None, memory: stall(0.0, 0.0) },
            events: vec![GroupEvent { what: "processes killed for memory", source: "memory.events oom_kill", count: 2 }],
            frozen: true,
            ..GroupDetail::default()
        }
    }

    #[test]
    fn a_group_says_how_full_its_limits_are() {
        let old = GroupDetail {
            cpu_ns: Some(400_000_000),
            throttled: Some(Throttled { periods: 80, stopped: 22, stopped_ns: 0 }),
            ..group()
        };
        let lines = lines(&[group()], Some((&[old], 2_000_000_000)), Charset::Ascii);
        assert_eq!(
            lines,
            [
                "/a",
                "  cpu       0.30 of 0.3 CPUs used (100 %), may run on CPUs 0-1",
                "            throttled in 40 of 100 periods (40 %), 2.5 s; now in 90 %",
                "  memory    12.0M of 64.0M (19 %)",
                "  swap      not allowed",
                "  tasks     5, no limit",
                "  pressure  tasks waited: cpu 12 % (all of them 3 %), memory 0 %",
                "  events    processes killed for memory: 2 (memory.events oom_kill)",
                "  state     frozen: its processes do not run until it is thawed",
            ]
        );
    }

    #[test]
    fn without_an_earlier_reading_no_use_is_made_up_and_hostile_paths_are_harmless() {
        let one = GroupDetail { path: "/a\x1b[31m".into(), quota_cpus: Some(2.0), ..GroupDetail::default() };
        assert_eq!(
            lines(&[one, GroupDetail::default()], None, Charset::Ascii),
            ["/a\\x1b[31m", "  cpu       quota of 2 CPUs", "", "  limits nothing"]
        );
    }
}
