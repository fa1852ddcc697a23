//! Values of the columns for CPUs, containers, namespaces and dates.

use std::borrow::Cow;

use super::get::shared;
use super::{Row, Unknown, Value};
use crate::snapshot::{Namespaces, SystemInfo, container_of};

/// CPUs of the row's task; a process shows its leader's.
pub(super) fn affinity<'a>(row: &Row<'a>) -> Value<'a> {
    let exact = row.process.exact.as_deref();
    let cpus = match row.face().tid {
        leader if leader == row.process.leader.tid => exact.and_then(|e| e.cpus_allowed.as_deref()),
        tid => exact.and_then(|e| e.cpus_of(tid)),
    };
    Value::read(cpus, |c| Value::Text(Cow::Borrowed(c.as_bytes())))
}

pub(super) fn container<'a>(row: &Row<'a>) -> Value<'a> {
    let Some(path) = row.process.identity.cgroup.as_deref() else { return shared(row, None, Value::Int) };
    match container_of(path) {
        Some(container) if !row.is_task() => Value::Text(Cow::Owned(container.words().into_bytes())),
        _ => Value::Unknown(Unknown::NotApplicable),
    }
}

fn of_namespaces<'a>(row: &Row<'a>, get: impl FnOnce(&'a crate::snapshot::Exact) -> Value<'a>) -> Value<'a> {
    if row.is_task() {
        return Value::Unknown(Unknown::NotApplicable);
    }
    let exact = row.process.exact.as_deref();
    match exact.map(|exact| (exact, exact.namespaces.as_ref())) {
        Some((_, Some(Namespaces::Denied))) => Value::Unknown(Unknown::Denied),
        Some((exact, Some(Namespaces::Known(_)))) => get(exact),
        _ => Value::Unknown(Unknown::NotRead),
    }
}

pub(super) fn namespace<'a>(row: &Row<'a>, kind: &'static str) -> Value<'a> {
    of_namespaces(row, |exact| Value::read(exact.namespace(kind), |namespace| Value::Count(namespace.inode)))
}

/// Kinds that differ from concmon's own, one word each.
pub(super) fn foreign_namespaces<'a>(row: &Row<'a>) -> Value<'a> {
    of_namespaces(row, |exact| {
        let Some(Namespaces::Known(known)) = &exact.namespaces else { return Value::Unknown(Unknown::NotRead) };
        if known.is_empty() || known.iter().any(|namespace| namespace.foreign.is_none()) {
            return Value::Unknown(Unknown::NotRead);
        }
        let foreign: Vec<&str> = known.iter().filter(|n| n.foreign == Some(true)).map(|n| n.kind).collect();
        if foreign.is_empty() { Value::Word("same") } else { Value::Text(Cow::Owned(foreign.join(" ").into_bytes())) }
    })
}

/// The host as it was named, or the machine's own name.
pub(super) fn host<'a>(row: &Row<'a>) -> Value<'a> {
    let named = row.model.home(row.process.key.pid).1;
    let name = named.unwrap_or(&row.model.now.system.hostname);
    Value::Text(Cow::Borrowed(name.as_bytes()))
}

/// `2026-11-23 14:02:33`.
pub(super) fn started<'a>(row: &Row<'a>) -> Value<'a> {
    let system = &row.home().now.system;
    let after_boot_ns = row.face().start_ticks.saturating_mul(system.tick_ns());
    Value::read(wall_clock(system, after_boot_ns), |text| Value::Text(Cow::Owned(text.into_bytes())))
}

/// Date and time of day of a moment after boot, where the machine is: `2026-11-23 14:02:33`; `None` if it has no such clock.
#[must_use]
pub fn wall_clock(system: &SystemInfo, after_boot_ns: u64) -> Option<String> {
    let unix_s = i64::try_from(system.booted_unix_ns?.saturating_add(after_boot_ns) / 1_000_000_000).ok()?;
    Some(date(unix_s + i64::from(system.utc_offset_at(unix_s))))
}

/// Date and time of day of seconds since 1970, in the calendar of today.
fn date(seconds: i64) -> String {
    let (days, of_day) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    // Eras of 400 years begin on 1 March, so that the leap day ends a year: day 0 is 1 March of year 0.
    let from_year_0 = days + 719_468;
    let (era, of_era) = (from_year_0.div_euclid(146_097), from_year_0.rem_euclid(146_097));
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02} {:02}:{:02}:{:02}", of_day / 3_600, of_day / 60 % 60, of_day % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (seconds, want) in [
            (0, "1970-01-01 00:00:00"),
            (951_782_399, "2000-02-28 23:59:59"),
            (951_782_400, "2000-02-29 00:00:00"),
            (1_709_251_199, "2024-02-29 23:59:59"),
            (1_700_000_000, "2023-11-14 22:13:20"),
            (4_107_542_400, "2100-03-01 00:00:00"),
            (-1, "1969-12-31 23:59:59"),
        ] {
            assert_eq!(date(seconds), want);
        }
    }
}
