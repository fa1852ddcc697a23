//! Formats a value that a run reported: the unit in its name moves to the number, and the number is scaled.

use crate::lab::measure::Unit;
use crate::lab::run::ReportedValue;

use super::show;

/// Units at the end of a name, with what they count, how many of the name's are one of the shown, and what stays of them.
const ENDS: [(&str, Unit, f64, &str); 6] = [
    ("_ns", Unit::Ns, 1.0, ""),
    ("_ns_each", Unit::Ns, 1.0, " each"),
    ("_ns_per_request", Unit::Ns, 1.0, " per request"),
    ("_bytes", Unit::Bytes, 1.0, ""),
    ("_bytes_each", Unit::Bytes, 1.0, " each"),
    ("_percent", Unit::Ratio, 100.0, ""),
];
/// The same at the beginning: what has been counted in it follows.
const BEGINS: [(&str, Unit); 1] = [("bytes_", Unit::Bytes)];

/// Name and text as a person reads them.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "shown with three digits")]
pub fn reported(value: &ReportedValue) -> (String, String) {
    let end = ENDS.iter().find_map(|(end, unit, part, stays)| {
        let name = value.name.strip_suffix(end).filter(|name| !name.is_empty())?;
        Some((format!("{name}{stays}"), *unit, *part))
    });
    let begin = || BEGINS.iter().find_map(|(begin, unit)| Some((value.name.strip_prefix(begin)?.to_owned(), *unit, 1.0)));
    let words = |name: &str| name.replace('_', " ");
    match (end.or_else(begin), value.number) {
        (Some((name, unit, part)), Some(number)) => {
            (words(&name), format!("{}{}", show(number as f64 / part, unit), remark(&value.text)))
        }
        // No number: the text says why, or is one that lost its meaning without the unit.
        (Some((name, ..)), None) if !value.text.starts_with(|c: char| c.is_ascii_digit()) => (words(&name), value.text.clone()),
        _ => (words(&value.name), value.text.clone()),
    }
}

/// What a text says after its number and unit: `12 ms, 3 times as long` gives `, 3 times as long`.
fn remark(text: &str) -> &str {
    let rest = text.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
    if rest.len() == text.len() {
        return "";
    }
    let word = rest.strip_prefix(' ').unwrap_or(rest);
    let unit = word.find(|c: char| !c.is_alphabetic() && c != '%').unwrap_or(word.len());
    let known = ["", "ns", "us", "ms", "s", "B", "KB", "MB", "GB", "KiB", "MiB", "GiB", "x", "%"];
    if known.contains(&&word[..unit]) && unit > 0 { &word[unit..] } else { rest }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(name: &str, text: &str, number: Option<u64>) -> (String, String) {
        reported(&ReportedValue { name: name.into(), text: text.into(), number })
    }

    #[test]
    fn the_unit_goes_from_the_name_to_the_number() {
        let cases = [
            ("speed_up_percent", "0.83x", Some(83), "speed up", "0.83x"),
            ("through_the_pipe_ns", "6.0 us", Some(6_012), "through the pipe", "6.01 us"),
            ("largest_lateness_of_a_10_ms_tick_ns", "297.7 ms", Some(297_712_345), "largest lateness of a 10 ms tick", "298 ms"),
            ("parent_private_bytes", "60 MB", Some(62_914_560), "parent private", "60.0 MiB"),
            ("one_thread_ns", "285353962", Some(285_353_962), "one thread", "285 ms"),
            (
                "slept_one_after_the_other_ns",
                "2000000000 (computed)",
                Some(2_000_000_000),
                "slept one after the other",
                "2.00 s (computed)",
            ),
            (
                "one_file_with_aiofiles_ns",
                "1.50 ms, 3 times as long",
                Some(1_500_000),
                "one file with aiofiles",
                "1.50 ms, 3 times as long",
            ),
            ("interpreter_create_ns", "12.1 ms each (median)", Some(12_100_000), "interpreter create", "12.1 ms each (median)"),
            ("asyncio_100_create_ns_each", "1234", Some(1_234), "asyncio 100 create each", "1.23 us"),
            ("server_cpu_ns_per_request", "61.0 us", Some(61_000), "server cpu per request", "61.0 us"),
            ("bytes_read", "1048576", Some(1 << 20), "read", "1.00 MiB"),
            ("touch_minor_faults", "4096", Some(4_096), "touch minor faults", "4096"),
            ("gil", "off", Some(0), "gil", "off"),
            ("factorials", "1! = 1", None, "factorials", "1! = 1"),
            ("parent_private_bytes", "it could not be read", None, "parent private", "it could not be read"),
            ("made_up_ns", "12", None, "made up ns", "12"),
            ("_ns", "12", Some(12), " ns", "12"),
        ];
        for (name, text, number, shown_name, shown_text) in cases {
            assert_eq!(shown(name, text, number), (shown_name.to_owned(), shown_text.to_owned()), "{name}");
        }
    }
}
