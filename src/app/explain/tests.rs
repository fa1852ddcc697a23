use std::sync::Arc;

use crate::app::key::Key;
use crate::app::layer::Layer;
use crate::app::msg::{Effect, Msg};
use crate::app::tests::app;
use crate::app::{App, RowKey};
use crate::columns::{self, COLUMNS, Column, Unknown, Value};
use crate::snapshot::{Snapshot, Tier};

/// What `E` says of a column's cell in the selected row.
fn explained(app: &mut App, column: &'static Column) -> Vec<String> {
    app.options.sort = column;
    app.update(Msg::Key(Key::char('E')));
    match app.layer.take() {
        Some(Layer::Explain { lines, .. }) => lines.into_iter().take_while(|line| !line.is_empty()).collect(),
        other => panic!("{}: {other:?}", column.id),
    }
}

/// What stands behind a heading of the explanation.
fn part<'a>(lines: &'a [String], heading: &str) -> Option<&'a str> {
    lines.iter().find_map(|line| line.strip_prefix("  ")?.strip_prefix(heading)?.strip_prefix(' ')).map(str::trim_start)
}

#[test]
fn every_cell_of_every_column_explains_itself() {
    let mut app = app();
    let (mut known, mut unknown) = (0, 0);
    for column in COLUMNS {
        for cursor in 0..app.lines.len() {
            app.cursor = cursor;
            let lines = explained(&mut app, column);
            let of = |heading| part(&lines, heading).unwrap_or_else(|| panic!("{}: no {heading} in {lines:#?}", column.id));
            let row = app.row(cursor).unwrap();
            let pid = row.key().pid;
            assert!(lines[0].starts_with(&format!("{} of PID {pid} ", column.title)), "{lines:#?}");
            assert_eq!(lines[1].trim_start(), column.description);
            assert!(!of("source").contains("PID") && !of("source").contains("TID"), "{}: whose? {lines:#?}", column.id);
            assert_eq!(part(&lines, "unit").unwrap_or_default(), column.unit);
            let honest = ["measured", "computed", "estimated"].iter().any(|word| column.basis.starts_with(word));
            assert!(honest && of("basis").ends_with(column.basis), "{}: {lines:#?}", column.id);
            match (column.get)(&row) {
                Value::Unknown(why) => {
                    unknown += 1;
                    assert_eq!(of("value"), why.words(), "{}", column.id);
                    let start = if why == Unknown::NotApplicable { "does not apply here" } else { "unknown here" };
                    assert!(of("basis").starts_with(start), "{}: what is unknown is not measured: {lines:#?}", column.id);
                }
                value => {
                    known += 1;
                    assert_eq!(of("basis"), column.basis);
                    // All digits of a whole number stand there, however the cell shortens it.
                    if let Value::Int(_) | Value::Count(_) | Value::Bytes(_) = value {
                        let digits = format!("{}", value.number().unwrap());
                        assert!(of("value").contains(&digits), "{}: {digits} in {lines:#?}", column.id);
                    }
                }
            }
        }
    }
    assert!(known > 50 && unknown > 50, "both kinds are tried: {known} and {unknown}");
}

#[test]
fn a_folded_cell_is_explained_as_the_sum_that_it_shows() {
    let mut app = app();
    let at = |app: &App, pid| (0..app.lines.len()).find(|i| app.row(*i).is_some_and(|r| r.key().pid == pid)).unwrap();
    let line = at(&app, 10);
    let RowKey::Process(key) = app.lines[line].key else { panic!("a process") };
    app.options.folded.insert(key);
    app.rebuild();
    app.cursor = at(&app, 10);
    let lines = explained(&mut app, columns::find("pss").unwrap());
    assert!(part(&lines, "value").unwrap().contains("(60 bytes)"), "{lines:#?}");
    let sum = part(&lines, "sum").unwrap();
    assert!(sum.starts_with("of the 3 processes") && sum.ends_with("(10 bytes)"), "{sum}");
    assert_eq!(part(&explained(&mut app, columns::find("comm").unwrap()), "sum"), None, "names do not add up");
}

fn now(app: &mut App) -> &mut Snapshot {
    Arc::make_mut(&mut Arc::make_mut(app.model.as_mut().unwrap()).now)
}

#[test]
fn the_source_is_the_one_that_was_read() {
    let mut app = app();
    let process = &mut now(&mut app).processes[0];
    process.nlwp = Some(7);
    let pid = process.key.pid;
    app.cursor = (0..app.lines.len()).find(|i| app.row(*i).is_some_and(|r| r.key().pid == pid)).unwrap();
    let told = |app: &mut App, id: &str, tier| {
        now(app).report.tier = tier;
        part(&explained(app, columns::find(id).unwrap()), "source").unwrap().to_owned()
    };
    assert_eq!(told(&mut app, "cpu", Tier::Proc), format!("/proc/{pid}/task/*/schedstat, the sum over its 7 tasks"));
    let iterator = "the kernel's BPF task iterator";
    assert!(told(&mut app, "cpu", Tier::Bpf).starts_with(&format!("{iterator}, the sum over its 7 tasks")));
    assert_eq!(told(&mut app, "state", Tier::Proc), format!("/proc/{pid}/task/{pid}/stat field 3"), "the leader's");
    assert!(told(&mut app, "rss", Tier::Bpf).starts_with(iterator));
    assert_eq!(
        told(&mut app, "pss", Tier::Bpf),
        format!("/proc/{pid}/smaps_rollup Pss + Private_Hugetlb"),
        "read from its file in any case"
    );
}

#[test]
fn why_a_process_waits_is_asked_once_and_the_answer_fills_the_open_text() {
    let mut app = app();
    let effects = app.update(Msg::Key(Key::char('w')));
    let [Effect::Why { number, title }] = &effects[..] else { panic!("{effects:?}") };
    assert_eq!(Some(*number), app.selected().map(|row| row.key().pid));
    let shown = |app: &App| match &app.layer {
        Some(Layer::Explain { lines, .. }) => lines.clone(),
        other => panic!("{other:?}"),
    };
    assert!(shown(&app)[0].starts_with("Reading"));
    app.update(Msg::Explained { title: "of another".into(), lines: vec!["stale".into()] });
    assert!(shown(&app)[0].starts_with("Reading"), "an answer to another question is dropped");
    app.update(Msg::Explained { title: title.clone(), lines: vec!["1 a waits".into()] });
    assert_eq!(shown(&app), ["1 a waits"]);
}
