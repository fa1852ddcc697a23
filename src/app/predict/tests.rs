use std::sync::Arc;

use super::*;
use crate::app::key::{Code, Key};
use crate::app::msg::Msg;
use crate::app::options::{Options, Screen};
use crate::lab::launcher::LabState;
use crate::lab::measure;
use crate::lab::run::{Memory, Outcome, RunPhase, ShapeCheck, Worker};

fn lab(system: &str) -> App {
    let mut app = App::new(Options::default());
    app.screen = Screen::Lab;
    app.lab.system = catalog::SYSTEMS.iter().position(|s| s.id == system).unwrap();
    app
}

fn press(app: &mut App, keys: &[Key]) -> Vec<Effect> {
    keys.iter().flat_map(|key| app.update(Msg::Key(*key))).collect()
}

/// A worker that took so many nanoseconds to make.
fn worker(index: u32, creation_ns: f64) -> Worker {
    Worker {
        index,
        pid: None,
        shown_pid: None,
        tid: None,
        how: None,
        requested_ns: Some(0),
        ready_ns: Some(creation_ns as u64),
        exited_ns: None,
        status: None,
        spans: Vec::new(),
        memory: Memory::default(),
    }
}

/// The run of what was launched, of which so many processes were seen and whose workers took so long to make.
fn ran(id: u32, effects: &[Effect], seen: &str, median: f64, ended: bool) -> Arc<Run> {
    let [Effect::Launch(spec)] = effects else { panic!("{effects:?}") };
    let mut run = Run::new(RunId(id), spec.clone(), 0);
    run.phase = if ended { RunPhase::Ended(Outcome::Done) } else { RunPhase::Running };
    let (what, expected) = ("pids".to_owned(), "?".to_owned());
    run.shape = vec![ShapeCheck { what, met: ended, expected, seen: seen.to_owned() }];
    if ended {
        for index in 0..spec.workers {
            run.workers.push(worker(index, median * (0.95 + 0.1 * f64::from(index) / f64::from(spec.workers))));
        }
        run.costs.creation_ns = measure::creation(&run.workers);
    }
    Arc::new(run)
}

fn show(app: &mut App, runs: &[&Arc<Run>]) {
    app.update(Msg::Lab(Arc::new(LabState { runs: runs.iter().map(|r| Arc::clone(r)).collect() })));
}

#[test]
fn a_guess_is_asked_for_by_a_key_and_told_beside_the_truth() {
    let mut app = lab("native/forkserver");
    assert_eq!(press(&mut app, &[Key::char('P')]), []);
    let Some(Layer::Menu(menu)) = &app.layer else { panic!("{:?}", app.layer) };
    let workers = app.lab.spec().workers;
    let at = menu.entries.iter().position(|(id, _)| *id == workers.to_string()).unwrap();
    let mut keys = vec![Key::plain(Code::Down); at];
    keys.push(Key::plain(Code::Enter));
    let effects = press(&mut app, &keys);
    let open = ran(1, &effects, "1", 0.0, false);
    show(&mut app, &[&open]);
    assert_eq!(app.predict.last.as_ref().unwrap().told(), None, "not all of them are there yet");
    // The server was forgotten.
    let first = ran(1, &effects, &(workers + 1).to_string(), 3e6, true);
    show(&mut app, &[&first]);
    let told = app.predict.last.as_ref().unwrap();
    assert_eq!((told.right(), told.told().unwrap()), (Some(false), (workers + 1).to_string()));
    assert_eq!((app.predict.right, app.predict.settled), (0, 1));

    // Something was measured: the next question is which is faster.
    app.lab.system = catalog::SYSTEMS.iter().position(|s| s.id == "native/fork").unwrap();
    let effects = press(&mut app, &[Key::char('P'), Key::plain(Code::Enter)]);
    assert!(
        matches!(&app.predict.last.as_ref().unwrap().question, Question::Faster { rival, .. } if rival == "native/forkserver")
    );
    let second = ran(2, &effects, "4", 1e6, true);
    show(&mut app, &[&first, &second]);
    show(&mut app, &[&first, &second]);
    assert_eq!((app.predict.right, app.predict.settled), (1, 2), "counted once");
    let told = app.predict.last.as_ref().unwrap().told().unwrap();
    assert_eq!(told, "native/fork, 3.0x faster than native/forkserver (one run each)");
}

#[test]
fn it_is_never_in_the_way() {
    let mut app = lab("native/fork");
    assert_eq!(press(&mut app, &[Key::char('P'), Key::plain(Code::Esc)]), [], "Esc runs nothing");
    assert!(app.layer.is_none());
    let effects = press(&mut app, &[Key::char('P'), Key::plain(Code::Up), Key::plain(Code::End), Key::plain(Code::Enter)]);
    assert!(matches!(effects[..], [Effect::Launch(_)]) && app.predict.last.is_none(), "the last answer only runs it");
    assert!(matches!(press(&mut app, &[Key::plain(Code::Enter)])[..], [Effect::Launch(_)]), "Enter asks nothing");
}

#[test]
fn what_one_run_cannot_tell_counts_neither_way() {
    let spec = catalog::find("native/fork").unwrap().defaults();
    let spread = |points: &[f64]| Spread::of(points).unwrap();
    let question = |theirs: &[f64]| Question::Faster { rival: "native/spawn".to_owned(), theirs: spread(theirs) };
    let truth = Some(Truth::Creation(spread(&[0.9e6, 1.0e6, 1.1e6, 4e6])));
    let mut guess = Prediction { run: RunId(1), question: question(&[1.05e6; 4]), guess: Guess::Faster(true), truth, spec };
    assert_eq!(guess.right(), None);
    assert!(guess.told().unwrap().contains("no difference"));
    // Twice the median, but the middle halves of the workers overlap.
    guess.question = question(&[0.95e6, 1.9e6, 2.1e6, 9e6]);
    assert_eq!(guess.right(), None);
    assert!(guess.told().unwrap().contains("spread of the workers (1.90x, one run each)"), "{:?}", guess.told());
    guess.question = question(&[7e6, 8e6, 9e6, 12e6]);
    assert_eq!(guess.right(), Some(true));
    assert!(guess.told().unwrap().ends_with("8.1x faster than native/spawn (one run each)"), "{:?}", guess.told());
    guess.truth = Some(Truth::Unknown);
    assert!(guess.right().is_none() && guess.told().unwrap().contains("ended too early"));
}

/// What one thread and then the system took, in a session that has seen so many questions.
fn speed_up(system: &str, alone_ns: u64, own_ns: u64, class: usize) -> App {
    let mut app = lab(system);
    app.predict.turn = 1;
    press(&mut app, &[Key::char('P')]);
    assert!(matches!(app.predict.asked, Some(Question::SpeedUp { alone_ns: None, .. })), "{:?}", app.predict.asked);
    let mut keys = vec![Key::plain(Code::Down); class];
    keys.push(Key::plain(Code::Enter));
    let first = press(&mut app, &keys);
    let [Effect::Launch(alone)] = &first[..] else { panic!("{first:?}") };
    assert!(alone.system.ends_with("/sequential"), "{alone:?}");
    assert_eq!((alone.tasks, alone.task), (app.lab.spec().tasks, app.lab.spec().task), "the same work");
    let timed = |id, effects: &[Effect], wall_ns| {
        let mut run = ran(id, effects, "0", 1e6, true);
        // The launcher fills in what was left open.
        Arc::make_mut(&mut run).spec.python = Some("/usr/bin/python3".into());
        Arc::make_mut(&mut run).costs.wall_ns = Some(wall_ns);
        run
    };
    show(&mut app, &[&ran(1, &first, "0", 0.0, false)]);
    assert!(app.predict.last.is_none(), "it still runs");
    let one = timed(1, &first, alone_ns);
    let second = app.update(Msg::Lab(Arc::new(LabState { runs: vec![Arc::clone(&one)] })));
    let [Effect::Launch(own)] = &second[..] else { panic!("{second:?}") };
    assert_eq!((own.system.as_str(), own.hold_ms), (system, 0), "a measurement does not stay to be looked at");
    assert_eq!(app.predict.last.as_ref().unwrap().told(), None);
    show(&mut app, &[&one, &timed(2, &second, own_ns)]);
    app
}

#[test]
fn the_speed_up_is_held_against_one_thread_that_runs_first() {
    let app = speed_up("native/process-pool", 8_000_000, 4_000_000, 3);
    let last = app.predict.last.as_ref().unwrap();
    assert_eq!((last.right(), last.told().unwrap().as_str()), (Some(true), "2.00x one thread (one run each)"));
    assert_eq!(last.guessed(), "much faster");
    assert_eq!((app.predict.right, app.predict.settled), (1, 1));
    let app = speed_up("python/process-fork", 1_000_000, 90_000_000, 4);
    assert_eq!((app.predict.last.as_ref().unwrap().right(), app.predict.settled), (Some(false), 1), "processes for tiny tasks");
    let app = speed_up("native/thread", 1_080_000, 1_000_000, 2);
    assert_eq!((app.predict.last.as_ref().unwrap().right(), app.predict.settled), (None, 0), "1.08x is as good as 1.1x");
}

#[test]
fn one_thread_is_measured_once_and_a_failure_of_it_is_said() {
    let mut app = speed_up("native/process-pool", 8, 4, 3);
    app.predict.turn = 1;
    app.lab.system = catalog::SYSTEMS.iter().position(|s| s.id == "native/thread-pool").unwrap();
    press(&mut app, &[Key::char('P')]);
    let ns = 8.0;
    assert!(matches!(app.predict.asked, Some(Question::SpeedUp { alone_ns: Some(n), .. }) if n == ns), "{:?}", app.predict.asked);
    let effects = press(&mut app, &[Key::plain(Code::Enter)]);
    assert!(matches!(&effects[..], [Effect::Launch(spec)] if spec.system == "native/thread-pool"), "at once: {effects:?}");

    let mut app = lab("native/process-pool");
    app.predict.turn = 1;
    let first = press(&mut app, &[Key::char('P'), Key::plain(Code::Enter)]);
    let mut failed = ran(1, &first, "0", 0.0, true);
    Arc::make_mut(&mut failed).phase = RunPhase::Ended(Outcome::Stopped);
    let second = app.update(Msg::Lab(Arc::new(LabState { runs: vec![failed] })));
    assert!(matches!(&second[..], [Effect::Launch(spec)] if spec.system == "native/process-pool"));
    assert!(app.predict.last.is_none(), "nothing to hold it against");
}
