use std::sync::Arc;

use super::detail::Tab;
use super::key::{Code, Key};
use super::layer::Layer;
use super::msg::{Effect, Msg};
use super::options::Options;
use super::*;
use crate::columns::{self, Value};
use crate::derive::{Deriver, test_process, test_snapshot};
use crate::kernel::PidSpace;
use crate::query::SavedFilters;
use crate::snapshot::{Comm, EventKind, Exact, ExitStatus, LifecycleEvent, Snapshot};

/// 1 init with 10 a, of 11 b and 12 b; and 20 c.
pub(super) fn app() -> App {
    let member = |pid, ppid, name: &str, pss| {
        let mut p = test_process(pid, ppid, 5);
        p.leader.comm = Comm::new(name.as_bytes());
        p.exact = Some(Arc::new(Exact { pss_bytes: Some(pss), ..Exact::default() }));
        p
    };
    let processes = vec![
        member(1, 0, "init", 1),
        member(10, 1, "a", 10),
        member(11, 10, "b", 20),
        member(12, 10, "b", 30),
        member(20, 1, "c", 40),
    ];
    let saved = SavedFilters::new([("workers".to_owned(), "comm=b".to_owned())]).unwrap();
    let mut app = App::new(Options { tree: true, saved_filters: saved, ..Options::default() });
    app.update(Msg::Sample(Arc::new(Deriver::new(0).step(test_snapshot(1, processes)))));
    app
}

pub(super) fn type_in(app: &mut App, text: &str) {
    for c in text.chars() {
        app.update(Msg::Key(Key::char(c)));
    }
}

fn pids(app: &App) -> Vec<(i32, bool)> {
    (0..app.lines.len()).filter_map(|i| Some((app.row(i)?.key().pid, app.lines[i].context))).collect()
}

#[test]
fn a_filter_in_the_tree_keeps_the_ancestors_of_what_matches() {
    let mut app = app();
    app.update(Msg::Key(Key::f(4)));
    type_in(&mut app, "@work");
    app.update(Msg::Key(Key::plain(Code::Tab)));
    assert!(matches!(&app.layer, Some(Layer::Input(input)) if input.line.text() == "@workers"), "{:?}", app.layer);
    let effects = app.update(Msg::Key(Key::plain(Code::Enter)));
    assert_eq!(effects, [Effect::Resample], "what it reads must be known of all");
    assert_eq!(pids(&app), [(1, true), (10, true), (11, false), (12, false)]);
    assert_eq!(app.banner().as_deref(), Some("@workers"));
    app.update(Msg::Key(Key::plain(Code::Esc)));
    assert_eq!(app.banner(), None);
    assert_eq!(pids(&app).len(), 5);
}

#[test]
fn a_mistake_keeps_the_input_open_and_the_old_rows() {
    let mut app = app();
    app.update(Msg::Key(Key::f(4)));
    type_in(&mut app, "comm=b and cpuu>");
    assert!(matches!(&app.layer, Some(Layer::Input(input)) if input.error.as_ref().is_some_and(|e| e.0 == 11)));
    app.update(Msg::Key(Key::plain(Code::Enter)));
    assert!(matches!(&app.layer, Some(Layer::Input(_))));
    assert_eq!(pids(&app).len(), 5);
}

#[test]
fn a_folded_row_shows_and_sorts_by_the_sum_of_its_subtree() {
    let mut app = app();
    let pss = columns::find("pss").unwrap();
    app.options.sort_by(pss);
    app.rebuild();
    assert_eq!(pids(&app).iter().map(|p| p.0).collect::<Vec<_>>(), [1, 20, 10, 12, 11], "40 before 10");
    let key = app.row(2).unwrap().key();
    app.options.folded.insert(key);
    app.rebuild();
    assert_eq!(pids(&app).iter().map(|p| p.0).collect::<Vec<_>>(), [1, 10, 20], "10+20+30 before 40");
    let shown = |line: usize| app.value(&app.lines[line], &app.row(line).unwrap(), pss);
    assert_eq!(shown(1), Value::Bytes(60));
    assert_eq!(shown(2), Value::Bytes(40));
    let keys: Vec<i32> = app.visible_keys().iter().map(|k| k.pid).collect();
    assert_eq!(keys, [1, 10, 11, 12, 20], "what is folded is measured too");
}

#[test]
fn the_tree_says_how_it_is_sorted() {
    let mut options = Options { tree: false, ..Options::default() };
    assert_eq!(options.sorted_by(), ("cpu", true));
    options.tree = true;
    options.sort_in_tree = false;
    assert_eq!(options.sorted_by(), ("pid", false), "siblings are in the order of their PIDs");
    options.sort_by(columns::find("rss").unwrap());
    assert_eq!(options.sorted_by(), ("rss", true));
}

#[test]
fn htops_keys_for_files_and_environment_open_their_pages_and_a_free_key_says_so() {
    let mut app = app();
    for (key, tab) in [('l', Tab::Files), ('x', Tab::Files), ('e', Tab::Environment), ('G', Tab::Runtime)] {
        app.update(Msg::Key(Key::char(key)));
        assert!(matches!(&app.layer, Some(Layer::Detail(pane)) if pane.tab == tab), "{key}");
        app.update(Msg::Key(Key::plain(Code::Esc)));
        assert!(app.layer.is_none() && app.notice.is_none());
    }
    assert!(app.update(Msg::Key(Key::char('J'))).is_empty());
    let notice = app.notice.as_ref().map(|(notice, _)| notice.text.as_str());
    assert_eq!(notice, Some("J does nothing on this screen: F1 lists the keys"));
    app.update(Msg::Key(Key::char('2')));
    assert_eq!(app.notice, None, "it was about a key and a screen that are gone");
    app.update(Msg::Key(Key::plain(Code::Esc)));
    app.update(Msg::Key(Key::char('s')));
    let notice = app.notice.as_ref().map_or("", |(notice, _)| notice.text.as_str());
    assert!(notice.starts_with("s does nothing here: "), "{notice}");
}

#[test]
fn a_frozen_picture_says_so_until_it_moves() {
    let mut app = app();
    app.update(Msg::Key(Key::char('Z')));
    assert!(app.paused);
    app.update(Msg::Clock(u64::MAX - 1));
    let notice = app.notice.as_ref().map(|(notice, _)| notice.text.as_str());
    assert_eq!(notice, Some("paused; Z resumes"), "it does not fade");
    app.update(Msg::Clock(0));
    assert_eq!(app.update(Msg::Key(Key::char('Z'))), [Effect::Resample]);
    assert!(!app.paused && app.notice.as_ref().is_some_and(|(notice, _)| !notice.lasting));
}

#[test]
fn few_chosen_pids_are_named_and_many_counted() {
    let mut app = app();
    app.options.pids = Some([20, 10].into());
    assert_eq!(app.banner().as_deref(), Some("PIDs 10, 20"));
    app.options.pids = Some([7].into());
    assert_eq!(app.banner().as_deref(), Some("PID 7"));
    app.options.pids = Some((1..=9).collect());
    assert_eq!(app.banner().as_deref(), Some("9 selected PIDs"));
}

#[test]
fn waits_come_and_go_before_the_command() {
    let mut app = app();
    app.update(Msg::Key(Key::char('W')));
    let ids: Vec<&str> = app.options.columns.iter().map(|c| c.id).collect();
    assert_eq!(&ids[ids.len() - 2..], ["wait", "command"]);
    app.update(Msg::Key(Key::char('W')));
    assert!(!app.options.columns.iter().any(|c| c.id == "wait"));
}

#[test]
fn only_the_chosen_subtrees_are_shown_until_they_are_not() {
    let mut app = app();
    let press = |app: &mut App, code| app.update(Msg::Key(Key::plain(code)));
    press(&mut app, Code::Down);
    assert_eq!(app.selected().unwrap().key().pid, 10);
    assert_eq!(app.update(Msg::Key(Key::char('o'))), [Effect::Resample]);
    assert_eq!(pids(&app), [(10, false), (11, false), (12, false)]);
    assert_eq!((app.lines[0].depth, app.lines[1].depth), (0, 1), "the chosen one is the top");
    assert_eq!(app.banner().as_deref(), Some("only the subtree of PID 10 a"));
    // A filter within it keeps ancestors up to the top, and no higher.
    app.options.filter = Some(crate::query::Filter::parse("pid=12").unwrap());
    app.rebuild();
    assert_eq!(pids(&app), [(10, true), (12, false)]);
    press(&mut app, Code::Esc);
    assert_eq!(pids(&app), [(1, true), (10, true), (12, false)], "Esc widens first, the filter stays");
    press(&mut app, Code::Esc);
    // Tagged ones, of which one is within another; in the list too.
    for pid in [12, 10, 20] {
        app.tagged.insert(app.model.as_ref().unwrap().process(pid).unwrap().key);
    }
    app.update(Msg::Key(Key::char('o')));
    assert_eq!(pids(&app).iter().map(|p| p.0).collect::<Vec<_>>(), [10, 11, 12, 20]);
    assert_eq!(app.banner().as_deref(), Some("only the subtrees of 3 selected processes"));
    app.options.tree = false;
    app.rebuild();
    assert_eq!(app.lines.len(), 4);
    app.update(Msg::Key(Key::char('o')));
    assert_eq!((app.lines.len(), app.banner()), (5, None));
    assert_eq!(app.tagged.len(), 3, "what was tagged stays so");
}

#[test]
fn a_chosen_subtree_that_has_ended_says_so_and_leads_back() {
    let mut deriver = Deriver::new(60_000_000_000);
    let mut app = App::new(Options { tree: true, ..Options::default() });
    app.update(Msg::Sample(Arc::new(deriver.step(test_snapshot(1, vec![test_process(1, 0, 5), test_process(9, 1, 5)])))));
    app.options.only = vec![app.model.as_ref().unwrap().process(9).unwrap().key];
    app.update(Msg::Sample(Arc::new(deriver.step(test_snapshot(2_000_000_000, vec![test_process(1, 0, 5)])))));
    assert_eq!(app.banner().as_deref(), Some("only the subtree of PID 9 which has ended"));
    assert_eq!((app.lines.len(), app.lines[0].depth), (1, 0));
    assert!(app.row(0).unwrap().ghost.is_some());
    app.update(Msg::Key(Key::plain(Code::Esc)));
    assert!(pids(&app).iter().any(|p| p.0 == 1));
}

#[test]
fn an_event_leads_to_its_process_as_long_as_that_lives() {
    let mut app = app();
    let begun_ns = 5 * app.model.as_ref().unwrap().now.system.tick_ns();
    let told = |app: &mut App, kind, at_ns| {
        let mut now = Snapshot::clone(&app.model.as_ref().unwrap().now);
        now.events = vec![LifecycleEvent { at_ns, kind }];
        now.taken_ns += 1;
        app.update(Msg::Sample(Arc::new(Deriver::new(0).step(now))));
        app.notice = None;
        app.screen = Screen::Events;
        app.update(Msg::Key(Key::plain(Code::Home)));
        app.update(Msg::Key(Key::plain(Code::Enter)));
        (app.screen, app.selected().unwrap().key().pid, app.notice.as_ref().map(|(n, _)| n.text.clone()))
    };
    let exec = EventKind::Exec { tgid: 20 };
    assert_eq!(told(&mut app, exec, begun_ns * 2), (Screen::Processes, 20, None));
    // Of its number's earlier owner.
    assert_eq!(told(&mut app, exec, begun_ns / 2), (Screen::Events, 20, Some("PID 20 (c) has ended".to_owned())));
    let exit = EventKind::Exit { tid: 77, tgid: 77, status: ExitStatus::Code(0) };
    assert_eq!(told(&mut app, exit, begun_ns * 2).2.as_deref(), Some("PID 77 () has ended"));
}

#[test]
fn where_pids_are_another_namespaces_the_keys_that_take_them_say_so_and_do_nothing() {
    for space in [PidSpace::Foreign, PidSpace::Outer { me: 70, depth: 1 }] {
        let mut app = app();
        app.options.pid_space = space;
        for key in [Key::f(7), Key::f(8), Key::char('a'), Key::char('i'), Key::char('n')] {
            app.notice = None;
            assert_eq!(app.update(Msg::Key(key)), [], "{key:?}");
            assert!(app.layer.is_none(), "{key:?}: nothing is asked for");
            let told = app.notice.as_ref().map(|(notice, _)| notice.text.clone());
            assert_eq!(told, Some(format!("off: {}", space.refusal().unwrap())), "{key:?}");
        }
        let effects = app.update(Msg::Key(Key::f(9)));
        assert!(matches!(effects.as_slice(), [Effect::Freeze { .. }]), "signals find their way: {effects:?}");
        let renice = Effect::Renice { keys: Vec::new(), delta: 1 };
        assert_eq!(app.refusal(&renice), space.refusal());
        assert_eq!(app.refusal(&Effect::Signal { token: 1, signal: 15, name: "SIGTERM".into() }), None);
    }
}
