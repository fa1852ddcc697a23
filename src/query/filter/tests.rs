use super::*;
use crate::columns::{COLUMNS, RowRef};
use crate::derive::{Deriver, test_process, test_snapshot};
use proptest::prelude::*;

fn model() -> Model {
    let mut www = test_process(100, 1, 5);
    www.rss_bytes = Some(300 << 20);
    www.nlwp = Some(8);
    let mut child = test_process(101, 100, 6);
    child.rss_bytes = None;
    Deriver::new(0).step(test_snapshot(1, vec![test_process(1, 0, 0), www, child]))
}

fn pids(text: &str) -> Vec<i32> {
    let m = model();
    let f = Filter::parse(text).unwrap_or_else(|e| panic!("{text}: {e}"));
    let lineage = Lineage::new(&f, &m);
    (0..3)
        .filter_map(|i| Row::new(&m, RowRef::Process(i)))
        .filter(|r| f.matches(r, &lineage))
        .map(|r| r.process.key.pid)
        .collect()
}

#[test]
fn conditions_combine() {
    assert_eq!(pids("rss>200M"), [100]);
    assert_eq!(pids("rss>0 or pid=101"), [100, 101]);
    assert_eq!(pids("not (pid=1 or pid=100)"), [101]);
    assert_eq!(pids("state=S nlwp>=8"), [100]);
    assert_eq!(pids("comm~^te and pid!=1"), [100, 101]);
    assert_eq!(pids("under(100)"), [100, 101]);
    assert_eq!(pids("under(100) and not pid=100"), [101]);
    assert_eq!(pids("thread"), [] as [i32; 0]);
    assert_eq!(pids("test"), [1, 100, 101]);
}

#[test]
fn unknown_values_pass_no_comparison() {
    assert_eq!(pids("rss<1G"), [1, 100]);
    assert_eq!(pids("rss>=1G"), [] as [i32; 0]);
}

#[test]
fn errors_name_the_place_and_the_mend() {
    for (text, column, word) in [
        ("cpuu>5", 0, "did you mean cpu"),
        ("cpu>", 4, "a value is missing"),
        ("cpuu>", 0, "did you mean cpu"),
        ("cpu>5 and", 9, "a condition is missing"),
        ("(cpu>5", 6, "closing )"),
        ("rss>lots", 4, "needs a number"),
        ("comm~[", 5, "not a regular expression"),
        ("comm=\"x", 5, "not closed"),
        ("pid=1 )", 6, "unexpected"),
        ("", 0, "a condition is missing"),
    ] {
        let e = Filter::parse(text).expect_err(text);
        assert_eq!(e.column, column, "{text}: {e}");
        assert!(e.message.contains(word), "{text}: {e}");
    }
    assert!(Filter::parse(&"(".repeat(100_000)).is_err());
    assert!(Filter::parse(&"not ".repeat(100_000)).is_err());
}

#[test]
fn every_column_can_be_filtered_by() {
    for c in COLUMNS {
        for op in ["=", "!=", "<", ">=", "~"] {
            Filter::parse(&format!("{}{op}1", c.id)).unwrap_or_else(|e| panic!("{}: {e}", c.id));
        }
    }
}

#[test]
fn the_contrary_of_unknown_is_unknown() {
    // 101 has no rss: neither large nor not large. A thread's rss does not exist: it is certainly not large.
    assert_eq!(pids("not rss>200M"), [1]);
    assert_eq!(pids("not (rss>200M or pid=101)"), [1]);
    assert_eq!(pids("rss>200M or pid=101"), [100, 101], "what is true beside it decides");
    assert_eq!(pids("not (rss>200M and pid=1)"), [1, 100, 101], "what is false beside it decides");
    assert_eq!(pids("pss=0 or pss!=0 or not pss=0"), [] as [i32; 0]);
}

#[test]
fn units_are_those_of_the_column() {
    let of = |text, unit| operand::number(text, unit);
    for (text, unit, want) in [
        ("200M", "bytes", Some(200.0 * 1_048_576.0)),
        ("1.5g", "bytes", Some(1.5 * 1_073_741_824.0)),
        ("4KiB", "bytes", Some(4096.0)),
        ("4kB/s", "bytes_per_s", Some(4096.0)),
        ("10", "ns", Some(10e9)),
        ("250ms", "ns", Some(250e6)),
        ("3m", "ns", Some(180e9)),
        ("2h", "ns", Some(7_200e9)),
        ("1d", "ns", Some(86_400e9)),
        ("5%", "percent", Some(5.0)),
        ("5M", "percent", None),
        ("5%", "bytes", None),
        ("2k", "", Some(2000.0)),
        ("-5", "", Some(-5.0)),
        ("1-2", "", None),
        ("M", "bytes", None),
    ] {
        assert_eq!(of(text, unit), want, "{text} of {unit:?}");
    }
}

fn saved(filters: &[(&str, &str)]) -> Result<SavedFilters, (String, String)> {
    SavedFilters::new(filters.iter().map(|(n, t)| ((*n).to_owned(), (*t).to_owned())))
}

#[test]
fn saved_filters_stand_for_their_expressions() {
    let known = saved(&[("big", "rss>200M"), ("mine", "@big and not pid=1")]).unwrap();
    let m = model();
    let f = Filter::parse_with("@mine or pid=1", &known).unwrap();
    let row = |i| Row::new(&m, RowRef::Process(i)).unwrap();
    let lineage = Lineage::new(&f, &m);
    assert_eq!((0..3).map(|i| f.matches(&row(i), &lineage)).collect::<Vec<_>>(), [true, true, false]);
    assert!(f.columns().iter().any(|c| c.id == "rss"), "what a saved filter reads is read");
    let e = Filter::parse_with("pid=1 or @bgi", &known).unwrap_err();
    assert_eq!(e.column, 9);
    assert!(e.message.contains("@big, @mine"), "{e}");
}

#[test]
fn saved_filters_cannot_name_themselves_or_grow_without_end() {
    let (name, why) = saved(&[("a", "@b"), ("b", "pid=1 or @a")]).unwrap_err();
    assert_eq!(name, "a");
    assert!(why.contains("refers to itself"), "{why}");
    assert!(saved(&[("a b", "pid=1")]).unwrap_err().1.contains("letters, digits"));
    assert!(saved(&[("a", "cpuu>1")]).unwrap_err().1.contains("character 1"));
    let ten = |name: &str| vec![format!("@{name}"); 10].join(" or ");
    let bomb: Vec<(String, String)> =
        (1..7).map(|i| (format!("f{i}"), ten(&format!("f{}", i - 1)))).chain([("f0".into(), "pid=1".into())]).collect();
    assert!(SavedFilters::new(bomb).unwrap_err().1.contains("more than"));
}

#[test]
fn names_are_completed_as_far_as_they_agree() {
    let known = saved(&[("big", "rss>1G"), ("bigger", "rss>2G")]).unwrap();
    let of = |text: &str| complete(text, &known);
    assert_eq!(of("cpu").candidates, ["cpu_user", "cpu_life", "cpu_system"]);
    assert_eq!(of("cpu").apply("cpu").as_deref(), Some("cpu_"));
    assert_eq!(of("pid=1 and invol").apply("pid=1 and invol").as_deref(), Some("pid=1 and involuntary_switches"));
    assert_eq!(of("(und").apply("(und").as_deref(), Some("(under("));
    assert_eq!(of("not @b").apply("not @b").as_deref(), Some("not @big"));
    assert_eq!(of("@big").candidates, ["@bigger"]);
    for none in ["", "cpu ", "user=cp", "under(cp", "\"cp", "comm=\"x\"", "zzz", "é"] {
        assert!(of(none).candidates.is_empty(), "{none}: {:?}", of(none));
        assert_eq!(of(none).apply(none), None);
    }
}

#[test]
fn the_caret_stands_under_the_column_even_after_wide_letters() {
    let text = "comm=漢字 and cpuu>5";
    let e = Filter::parse(text).unwrap_err();
    let lines = e.pointed(text);
    let lines: Vec<&str> = lines.lines().collect();
    assert_eq!(lines[1], "  comm=漢字 and cpuu>5");
    assert_eq!(lines[2].len(), "  comm=".len() + 4 + " and ".len() + 1);
}

fn any_expr() -> impl Strategy<Value = Expr> {
    let value = "[a-z0-9.%@/*+-]{0,8}|\\PC{0,6}|[ ()=<>~!\"'a\n]{0,6}|and|or|not|thread|under";
    let word = prop_oneof![value, value];
    let field = prop_oneof![Just("cpu"), Just("rss"), Just("comm"), Just("no_such")];
    let leaf = prop_oneof![
        (field, prop::sample::select(Op::ALL.to_vec()), value).prop_map(|(field, op, value)| Expr::Compare {
            field: field.to_owned(),
            field_at: At(0),
            op,
            value,
            value_at: At(0),
        }),
        word.prop_filter_map("empty", |t| (!t.is_empty()).then_some(Expr::Text(t, At(0)))),
        value.prop_map(Expr::Under),
        "[a-z0-9_-]{1,6}".prop_map(|n| Expr::Saved(n, At(0))),
        Just(Expr::Thread),
        Just(Expr::Kernel),
        Just(Expr::Ghost),
    ];
    leaf.prop_recursive(6, 48, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 2..5).prop_map(Expr::All),
            prop::collection::vec(inner.clone(), 2..5).prop_map(Expr::Any),
            inner.prop_map(|e| Expr::Not(Box::new(e))),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]
    #[test]
    fn what_is_printed_parses_to_the_same(expr in any_expr()) {
        let text = expr.to_string();
        let parsed = syntax::parse(&text);
        prop_assert_eq!(parsed.as_ref(), Ok(&expr), "{}", text);
        prop_assert_eq!(parsed.unwrap().to_string(), text);
    }
}

/// 100,000 byte strings, half of them made of the language's own pieces, never panic, and an error always points into the text.
#[test]
fn no_bytes_panic() {
    const PIECES: [&str; 24] = [
        "cpu", "rss", "comm", "state", "and", " or ", "not ", "under(", "thread", "(", ")", "=", "<=", "~", "!~", "!", "\"", "'",
        " ", "5M", "@a", "[a-", "é", "\u{202e}",
    ];
    let m = model();
    let known = saved(&[("a", "pid=1")]).unwrap();
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = move || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random
    };
    let mut parsed = 0;
    for case in 0..100_000 {
        let length = next() % 24;
        let bytes: Vec<u8> = if case % 2 == 0 {
            (0..length).map(|_| (next() >> 32) as u8).collect()
        } else {
            (0..length).flat_map(|_| PIECES[(next() >> 32) as usize % PIECES.len()].bytes()).collect()
        };
        let text = String::from_utf8_lossy(&bytes);
        let completion = complete(&text, &known);
        let _ = completion.apply(&text);
        match Filter::parse_with(&text, &known) {
            Ok(f) => {
                parsed += 1;
                let lineage = Lineage::new(&f, &m);
                for i in 0..3 {
                    let _ = f.matches(&Row::new(&m, RowRef::Process(i)).unwrap(), &lineage);
                }
            }
            Err(e) => {
                assert!(e.column <= text.chars().count(), "{text:?}: {e}");
                let _ = e.pointed(&text);
            }
        }
    }
    assert!(parsed > 1_000, "the pieces make filters often enough to mean something: {parsed}");
}
