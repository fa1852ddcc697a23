use super::*;

fn shown(f: fn(&mut String, u64), v: u64) -> String {
    let mut s = String::new();
    f(&mut s, v);
    s
}

#[test]
fn memory_never_takes_more_than_five_cells() {
    for (v, want) in [
        (0, "0"),
        (1, "0K"),
        (4096, "4K"),
        (1024 * 1023, "1.0M"),
        (6_400_000, "6.1M"),
        (112_197_632, "107M"),
        (2_040_109_466, "1.90G"),
        (15 << 30, "15.0G"),
        (u64::MAX, "16.0E"),
    ] {
        assert_eq!(shown(bytes, v), want);
    }
    for shift in 0..64 {
        for v in [(1u64 << shift) - 1, 1 << shift, (1 << shift) + 1] {
            assert!(shown(bytes, v).len() <= 5, "{v} -> {}", shown(bytes, v));
        }
    }
}

#[test]
fn times_fit_eight_cells() {
    for (v, want) in [(0, "0:00.00"), (61_230_000_000, "1:01.23"), (3_723_000_000_000, "1h02:03"), (270_000_000_000_000, "3d03h")]
    {
        assert_eq!(shown(duration, v), want);
    }
}

#[test]
fn unknown_is_last_in_both_directions() {
    let unknown = Value::Unknown(Unknown::FirstSample);
    for descending in [false, true] {
        assert_eq!(Value::Percent(0.0).compare(&unknown, descending), std::cmp::Ordering::Less);
        assert_eq!(unknown.compare(&Value::Percent(99.0), descending), std::cmp::Ordering::Greater);
    }
}

#[test]
fn nearest_helps_with_slips_and_stays_silent_for_nonsense() {
    assert_eq!(nearest("comand"), Some("command"));
    assert_eq!(nearest("xq"), None);
}

#[test]
fn json_keys_carry_the_unit_once() {
    let key = |id| find(id).map(Column::json_key);
    assert_eq!(key("rss").as_deref(), Some("rss_bytes"));
    assert_eq!(key("pid").as_deref(), Some("pid"));
}
