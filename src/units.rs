//! Numbers with their units. Cells of tables have fixed widths and one letter for a unit, and are appended to a reused buffer; sentences,
//! reports and charts have the unit as a word.

use std::fmt::Write as _;

/// Memory in at most 5 cells: `0`, `300B`, `812K`, `6.1M`, `107M`, `1.90G`; powers of 1024. Little is not nothing.
pub fn bytes(out: &mut String, value: u64) {
    const UNITS: [char; 6] = ['K', 'M', 'G', 'T', 'P', 'E'];
    if value < 1000 {
        let _ = if value == 0 { write!(out, "0") } else { write!(out, "{value}B") };
        return;
    }
    let mut scaled = value as f64 / 1024.0;
    let mut unit = 0;
    // 999.5 and not 1024: never more than three digits before the letter.
    while scaled >= 999.5 && unit + 1 < UNITS.len() {
        scaled /= 1024.0;
        unit += 1;
    }
    let digits = if unit == 0 || scaled >= 99.95 {
        0
    } else if scaled >= 9.995 || unit == 1 {
        1
    } else {
        2
    };
    let _ = write!(out, "{scaled:.digits$}{}", UNITS[unit]);
}

/// The same as a text of its own.
#[must_use]
pub fn in_bytes(value: u64) -> String {
    let mut text = String::new();
    bytes(&mut text, value);
    text
}

/// CPUs with at most two digits: `2`, `0.3`.
#[must_use]
pub fn cpus(cpus: f64) -> String {
    ((cpus * 100.0).round() / 100.0).to_string()
}

/// Percent with one digit up to 999.9, then none.
pub fn percent(out: &mut String, value: f32) {
    let _ = if value >= 999.95 { write!(out, "{value:.0}") } else { write!(out, "{value:.1}") };
}

/// How much of the time a lock was held and waited for, percent, in at most 7 cells: `97/45`; `97/?` where waits are not known.
pub fn held_wanted(out: &mut String, held: f32, wanted: Option<f32>) {
    let _ = match wanted {
        Some(wanted) => write!(out, "{held:.0}/{wanted:.0}"),
        None => write!(out, "{held:.0}/?"),
    };
}

/// A rate per second: `0`, `0.4`, `37`, `1.2k`.
pub fn rate(out: &mut String, value: f32) {
    let _ = match value {
        v if v <= 0.0 => write!(out, "0"),
        v if v < 9.95 => write!(out, "{v:.1}"),
        v if v < 9_999.5 => write!(out, "{v:.0}"),
        v if v < 9_999_500.0 => write!(out, "{:.0}k", v / 1e3),
        v => write!(out, "{:.0}M", v / 1e6),
    };
}

/// A count in at most 6 cells: `99999`, `1234k`, `12M`.
pub fn count(out: &mut String, value: u64) {
    let _ = match value {
        0..=99_999 => write!(out, "{value}"),
        100_000..=9_999_999 => write!(out, "{}k", value / 1_000),
        10_000_000..=99_999_999_999 => write!(out, "{}M", value / 1_000_000),
        _ => write!(out, "{}G", value / 1_000_000_000),
    };
}

/// A latency in at most 7 cells: `8 us`, `0.12 ms`, `10.4 ms`, `1.20 s`.
pub fn latency(out: &mut String, ns: u64) {
    let ms = ns as f64 / 1e6;
    let _ = match ms {
        ms if ms < 0.0995 => write!(out, "{:.0} us", ms * 1e3),
        ms if ms < 0.995 => write!(out, "{ms:.2} ms"),
        ms if ms < 99.95 => write!(out, "{ms:.1} ms"),
        ms if ms < 999.5 => write!(out, "{ms:.0} ms"),
        ms => write!(out, "{:.2} s", ms / 1e3),
    };
}

/// The same as a text of its own.
#[must_use]
pub fn latency_text(ns: u64) -> String {
    let mut text = String::new();
    latency(&mut text, ns);
    text
}

/// CPU or elapsed time in at most 8 cells: `0:01.23`, `59:59.99`, `1h02:03`, `3d04h`.
pub fn duration(out: &mut String, ns: u64) {
    let seconds = ns / 1_000_000_000;
    let hundredths = ns / 10_000_000 % 100;
    let _ = match seconds {
        0..=3_599 => write!(out, "{}:{:02}.{hundredths:02}", seconds / 60, seconds % 60),
        3_600..=86_399 => write!(out, "{}h{:02}:{:02}", seconds / 3_600, seconds / 60 % 60, seconds % 60),
        _ => write!(out, "{}d{:02}h", seconds / 86_400, seconds / 3_600 % 24),
    };
}

/// A time in nanoseconds with three digits: `1.23 us`, `298 ms`.
#[must_use]
pub fn time(ns: f64) -> String {
    scaled(ns, 1000.0, &["ns", "us", "ms", "s"])
}

/// An amount of memory in bytes with three digits: `60.0 MiB`.
#[must_use]
pub fn memory(bytes: f64) -> String {
    scaled(bytes, 1024.0, &["B", "KiB", "MiB", "GiB"])
}

/// A number without a unit, three digits, thousands as k.
#[must_use]
pub fn number(value: f64) -> String {
    scaled(value, 1000.0, &["", "k", "M", "G"]).replace(' ', "")
}

fn scaled(mut value: f64, step: f64, units: &[&str]) -> String {
    let mut unit = 0;
    while value.abs() >= 999.5 && unit + 1 < units.len() {
        value /= step;
        unit += 1;
    }
    let digits = match value.abs() {
        v if unit == 0 && v.fract() == 0.0 => 0,
        v if v >= 99.95 => 0,
        v if v >= 9.995 => 1,
        _ => 2,
    };
    format!("{value:.digits$} {}", units[unit])
}

/// How long something has lasted, of milliseconds: `340 ms`, `12 s`, `3 min 12 s`, `2 h 5 min`.
#[must_use]
pub fn age(ms: u64) -> String {
    match ms / 1000 {
        0 => format!("{ms} ms"),
        s @ 1..60 => format!("{s} s"),
        s @ 60..3600 => format!("{} min {} s", s / 60, s % 60),
        s => format!("{} h {} min", s / 3600, s % 3600 / 60),
    }
}

/// The length of a part of a timeline, with as many digits as its axis can show.
#[must_use]
pub fn period(ns: u64) -> String {
    match ns as f64 {
        n if n < 1e3 => format!("{n:.0} ns"),
        n if n < 1e5 => format!("{:.1} us", n / 1e3),
        n if n < 1e6 => format!("{:.0} us", n / 1e3),
        n if n < 1e8 => format!("{:.2} ms", n / 1e6),
        n if n < 1e9 => format!("{:.0} ms", n / 1e6),
        n => format!("{:.2} s", n / 1e9),
    }
}
