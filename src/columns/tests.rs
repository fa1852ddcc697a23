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
        (1, "1B"),
        (999, "999B"),
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
fn terminals_are_named_by_their_device_number() {
    let shown = |tty_nr| {
        let mut p = crate::derive::test_process(7, 1, 5);
        p.tty_nr = tty_nr;
        let model = crate::derive::Deriver::new(0).step(crate::derive::test_snapshot(1, vec![p]));
        let row = Row::new(&model, RowRef::Process(0)).unwrap();
        match (find("tty").unwrap().get)(&row) {
            Value::Text(t) => String::from_utf8(t.into_owned()).unwrap(),
            other => format!("{other:?}"),
        }
    };
    assert_eq!(shown(0x8803), "pts/3");
    assert_eq!(shown(0x0010_8800), "pts/256");
    assert_eq!(shown(0x8901), "pts/257");
    assert_eq!(shown(0x0401), "tty1");
    assert_eq!(shown(0x0440), "ttyS0");
    assert_eq!(shown(0x0501), "console");
    assert_eq!(shown(0), "Unknown(NotApplicable)");
    assert_eq!(shown(-1), "4095:1048575", "hostile numbers are only shown");
}

#[test]
fn json_keys_carry_the_unit_once() {
    let key = |id| find(id).map(Column::json_key);
    assert_eq!(key("rss").as_deref(), Some("rss_bytes"));
    assert_eq!(key("pid").as_deref(), Some("pid"));
}

#[test]
fn a_folded_subtree_adds_up_what_adds_up_and_nothing_else() {
    let member = |pid, rss: u64, pss: Option<u64>| {
        let mut p = crate::derive::test_process(pid, 1, 5);
        p.rss_bytes = Some(rss);
        p.nlwp = Some(2);
        p.exact = Some(std::sync::Arc::new(crate::snapshot::Exact { pss_bytes: pss, ..Default::default() }));
        p
    };
    let folded = |id: &str, processes: Vec<crate::snapshot::ProcessSample>| {
        let n = u32::try_from(processes.len()).unwrap();
        let model = crate::derive::Deriver::new(0).step(crate::derive::test_snapshot(1, processes));
        let value = find(id).unwrap().folded((0..n).map(|i| Row::new(&model, RowRef::Process(i)).unwrap()));
        value.number().ok_or(format!("{value:?}"))
    };
    let family = |last| vec![member(7, 100, Some(10)), member(8, 100, Some(5)), member(9, 100, last)];
    assert_eq!(folded("pss", family(Some(5))), Ok(20.0));
    assert_eq!(folded("nlwp", family(Some(5))), Ok(6.0));
    assert_eq!(folded("rss", family(Some(5))), Ok(100.0), "shared pages would count again and again");
    assert_eq!(folded("pss", family(None)), Err("Unknown(NotRead)".into()), "one unknown part, no sum");
    let mut zombie = family(None);
    zombie[2].kernel_thread = true;
    assert_eq!(folded("pss", zombie), Ok(15.0), "what it cannot have adds nothing");
    assert_eq!(folded("comm", family(None)), Err("Text([116, 101, 115, 116])".into()), "words are the top's own");
}

#[test]
fn what_the_kernel_refuses_is_told_from_what_is_just_not_known() {
    let mut process = crate::derive::test_process(7, 1, 5);
    let denied = crate::snapshot::Denied { smaps: true, io: true, fds: true };
    process.exact = Some(std::sync::Arc::new(crate::snapshot::Exact { denied, ..Default::default() }));
    std::sync::Arc::make_mut(&mut process.identity).exe_denied = true;
    let model_of = |process| crate::derive::Deriver::new(0).step(crate::derive::test_snapshot(1, vec![process]));
    let value = |id: &str, process: &crate::snapshot::ProcessSample| {
        let model = model_of(process.clone());
        match (find(id).unwrap().get)(&Row::new(&model, RowRef::Process(0)).unwrap()) {
            Value::Unknown(why) => why,
            known => panic!("{id}: {known:?}"),
        }
    };
    for id in ["pss", "uss", "private_dirty", "io_read", "io_write", "fds", "exe"] {
        let why = value(id, &process);
        assert_eq!(why, Unknown::Denied, "{id}");
        let cells = usize::from(find(id).unwrap().width);
        let mark = why.mark(cells);
        assert!(mark.len() <= cells && mark.starts_with("den"), "{id}: {mark} in {cells} cells");
        assert!(why.remedy().is_some_and(|r| r.contains("root")));
    }
    process.kernel_thread = true;
    assert_eq!(value("fds", &process), Unknown::NotApplicable, "a kernel thread has none, whoever asks");
    let unread = crate::derive::test_process(8, 1, 5);
    assert_eq!((value("fds", &unread), Unknown::NotRead.mark(9)), (Unknown::NotRead, "-"));
}
