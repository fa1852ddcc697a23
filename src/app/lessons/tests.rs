use super::*;
use crate::app::key::{Code, Key};
use crate::app::msg::Msg;
use crate::app::options::Options;
use crate::lab::catalog::RunSpec;
use crate::lab::launcher::LabState;
use crate::lab::run::{Outcome, RunPhase, Summary};

fn at(id: &str) -> App {
    let mut app = App::new(Options::default());
    press(&mut app, Key::char('2'));
    app.lessons.at = LESSONS.iter().position(|lesson| lesson.id == id).unwrap();
    app
}

fn press(app: &mut App, key: Key) -> Vec<Effect> {
    app.update(Msg::Key(key))
}

/// The run that an effect asks for.
fn launched(effects: &[Effect]) -> Option<RunSpec> {
    effects.iter().find_map(|effect| match effect {
        Effect::Launch(spec) => Some(spec.clone()),
        _ => None,
    })
}

/// Lets runs end as a machine would on which fork grows with its parent, until nothing more is launched; returns what ran.
fn play(app: &mut App, mut effects: Vec<Effect>) -> Vec<RunSpec> {
    let mut ran = Vec::new();
    let mut runs = app.lab.state.runs.clone();
    while let Some(spec) = launched(&effects) {
        let mut run = Run::new(app.lab.next_id(), spec.clone(), 0);
        let grows = if spec.system == "native/fork" { f64::from(spec.parent_mb) * 20_000.0 } else { 0.0 };
        let base = if spec.system == "native/spawn" { 900_000.0 } else { 200_000.0 };
        let ns = base + grows;
        run.costs.creation_ns = Some(Summary { count: 3, min: ns, median: ns, p90: ns, max: ns });
        run.phase = RunPhase::Ended(Outcome::Done);
        ran.push(spec);
        runs.push(Arc::new(run));
        effects = app.update(Msg::Lab(Arc::new(LabState { runs: runs.clone() })));
    }
    ran
}

#[test]
fn a_lesson_asks_runs_and_states_its_verdict() {
    let mut app = at("big-parent");
    assert!(app.lessons.open && matches!(app.lessons.stage(), Stage::Asking), "the lab opens on lessons");
    let effects = press(&mut app, Key::char('1'));
    let Stage::Running(progress) = app.lessons.stage() else { panic!("{:?}", app.lessons.stage()) };
    assert_eq!((progress.guess, progress.done), (Some(0), (0, 7)));
    let ran = play(&mut app, effects);
    assert_eq!(ran.iter().map(|spec| spec.parent_mb).collect::<Vec<_>>(), [0, 250, 1_000, 0, 1_000, 0, 1_000]);
    let Stage::Done(learned) = app.lessons.stage() else { panic!("{:?}", app.lessons.stage()) };
    assert_eq!((learned.verdict.answer, learned.right()), (Some(2), Some(false)), "{}", learned.verdict.sentence);
    assert_eq!((app.lessons.score(), app.lessons.done()), ((0, 1), 1));
    // It can be left and resumed, and asked again.
    press(&mut app, Key::char('n'));
    assert!(matches!(app.lessons.stage(), Stage::Asking));
    press(&mut app, Key::char('N'));
    assert!(matches!(app.lessons.stage(), Stage::Done(_)));
    press(&mut app, Key::char('r'));
    assert!(matches!(app.lessons.stage(), Stage::Asking));
    let effects = press(&mut app, Key::char('3'));
    play(&mut app, effects);
    assert_eq!(app.lessons.score(), (1, 1));
}

#[test]
fn digits_guess_while_a_question_is_open_and_else_change_the_screen() {
    let mut app = at("big-parent");
    let effects = press(&mut app, Key::char('2'));
    assert!(launched(&effects).is_some());
    press(&mut app, Key::char('1'));
    assert_eq!(app.screen, Screen::Processes, "it runs: digits are screens again");
    let mut readonly = App::new(Options { readonly: true, ..Options::default() });
    press(&mut readonly, Key::char('L'));
    press(&mut readonly, Key::char('4'));
    press(&mut readonly, Key::char('2'));
    assert_eq!(launched(&press(&mut readonly, Key::char('3'))), None);
}

#[test]
fn a_lesson_that_cannot_run_says_why_and_is_skipped() {
    let mut app = at("big-parent");
    let effects = press(&mut app, Key::plain(Code::Enter));
    let spec = launched(&effects).unwrap();
    app.update(Msg::NotLaunched { spec, why: "1,000 MiB are not free".to_owned() });
    assert!(matches!(app.lessons.stage(), Stage::Failed("1,000 MiB are not free")));
    press(&mut app, Key::plain(Code::Enter));
    assert_eq!(app.lessons.chosen().id, "copy-on-write");
    // A run that is stopped decides nothing.
    let mut app = at("big-parent");
    let spec = launched(&press(&mut app, Key::char('1'))).unwrap();
    let mut run = Run::new(RunId(1), spec, 0);
    run.phase = RunPhase::Ended(Outcome::Stopped);
    app.update(Msg::Lab(Arc::new(LabState { runs: vec![Arc::new(run)] })));
    assert!(matches!(app.lessons.stage(), Stage::Failed(why) if why.contains("was stopped")), "{:?}", app.lessons.stage());
    assert_eq!(app.lessons.score(), (0, 0));
}

#[test]
fn going_on_stops_the_run_and_what_others_launch_is_not_taken_for_it() {
    let mut app = at("big-parent");
    let spec = launched(&press(&mut app, Key::char('1'))).unwrap();
    let other = Run::new(RunId(1), RunSpec { workers: 9, ..spec.clone() }, 0);
    app.update(Msg::Lab(Arc::new(LabState { runs: vec![Arc::new(other.clone())] })));
    assert_eq!(app.lessons.run(), None, "it has other parameters");
    let own = Run::new(RunId(2), spec, 0);
    app.update(Msg::Lab(Arc::new(LabState { runs: vec![Arc::new(other), Arc::new(own)] })));
    assert_eq!(app.lessons.run(), Some(RunId(2)));
    assert_eq!(press(&mut app, Key::char('n')), [Effect::Stop(RunId(2))]);
}

#[test]
fn without_python_native_twins_run_and_say_so() {
    let mut app = at("sleep");
    let nothing = crate::lab::python::Discovery::default();
    app.update(Msg::Interpreters(Arc::new(nothing)));
    let spec = launched(&press(&mut app, Key::char('1'))).unwrap();
    assert_eq!((spec.system.as_str(), spec.task_size), ("native/sleep-threads", Some(500)));
    let Stage::Running(progress) = app.lessons.stage() else { panic!() };
    assert!(progress.figures.twins);
    let mut app = at("gil");
    app.update(Msg::Interpreters(Arc::new(crate::lab::python::Discovery::default())));
    assert_eq!(launched(&press(&mut app, Key::char('1'))), None);
    assert!(matches!(app.lessons.stage(), Stage::Failed(_)), "CPython's lock has no native twin");
}

#[test]
fn the_work_of_the_last_lesson_is_the_labs_and_every_lesson_is_one_key_away() {
    let mut app = at("your-work");
    app.update(Msg::Interpreters(Arc::new(crate::lab::python::Discovery::default())));
    press(&mut app, Key::plain(Code::Up));
    press(&mut app, Key::plain(Code::Down));
    assert!(app.lessons.has_parameters());
    app.lab.field = app.lab.fields().iter().position(|field| *field == Field::Tasks).unwrap();
    press(&mut app, Key::plain(Code::Right));
    let tasks = app.lab.spec().tasks;
    assert_eq!(launched(&press(&mut app, Key::char('1'))).map(|spec| spec.tasks), Some(tasks));
    press(&mut app, Key::plain(Code::Tab));
    assert!(!app.lessons.open && app.screen == Screen::Lab, "all systems are one Tab away");
    press(&mut app, Key::plain(Code::BackTab));
    assert!(app.lessons.open);
    press(&mut app, Key::plain(Code::Tab));
    press(&mut app, Key::plain(Code::Tab));
    assert_eq!(app.screen, Screen::Timeline);
}
