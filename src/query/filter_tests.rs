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
        ("cpu>5 and", 9, "a condition is missing"),
        ("(cpu>5", 6, "closing )"),
        ("rss>lots", 4, "wants a number"),
        ("comm~[", 5, "not a regular expression"),
        ("comm=\"x", 5, "not closed"),
        ("pid=1 )", 6, "one too many"),
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

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3_000))]
    #[test]
    fn no_text_panics(text in "[ -~]{0,40}|\\PC{0,20}|((cpu|rss|and|or|not|under|thread|[()<>=~!\"' 5M])){0,24}") {
        if let Ok(f) = Filter::parse(&text) {
            let m = model();
            let lineage = Lineage::new(&f, &m);
            for i in 0..3 {
                if let Some(r) = Row::new(&m, RowRef::Process(i)) {
                    let _ = f.matches(&r, &lineage);
                }
            }
        }
    }
}
