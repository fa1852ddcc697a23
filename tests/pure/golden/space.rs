//! Lessons for frames, and how much of a screen is used while a run is shown.

use concmon::app::lessons::Stage;
use concmon::lab::catalog::RunSpec;
use concmon::lab::run::{Outcome, Run, RunPhase, Summary};

use super::*;

/// A run of a lesson: it goes on where the first answer was guessed, and has ended where another was.
pub fn lesson_run(app: &mut App, spec: &RunSpec) {
    let Stage::Running(progress) = app.lessons.stage() else { return };
    let ends = progress.guess != Some(0);
    let mut run = Run::clone(&stages::lab("native/forkserver", 3).runs[0]);
    (run.id, run.spec) = (app.lab.next_id(), spec.clone());
    let ns = if spec.system == "native/fork" { 200_000.0 + f64::from(spec.parent_mb) * 22_000.0 } else { 300_000.0 };
    run.costs.creation_ns = Some(Summary { count: 3, min: ns, median: ns, p90: ns, max: ns });
    if ends {
        run.phase = RunPhase::Ended(Outcome::Done);
    }
    for effect in app.update(Msg::Lab(Arc::new(LabState { runs: vec![Arc::new(run)] }))) {
        answer(app, &effect);
    }
}

/// The longest run of lines without anything in these columns.
fn emptiest(frame: &str, from: usize) -> usize {
    let lines = frame.lines().take(SIZES[1].1 as usize);
    let empty = |line: &str| line.chars().skip(from).all(|c| c == ' ' || c == '│');
    let mut longest = (0, 0);
    for line in lines {
        longest.1 = if empty(line) { longest.1 + 1 } else { 0 };
        longest.0 = longest.0.max(longest.1);
    }
    longest.0
}

#[test]
fn while_a_run_is_shown_lab_and_timeline_use_their_space() {
    let theme = Theme::named("default", ColorDepth::TwoFiftySix).unwrap();
    for (name, from) in
        [("lab", 46), ("lab-many", 46), ("lesson-run", 35), ("lesson-done", 35), ("timeline", 0), ("timeline-processes", 0)]
    {
        let scene = SCENES.iter().find(|scene| scene.name == name).unwrap();
        let frame = text(&frame(scene, &theme, true, SIZES[1]));
        assert!(emptiest(&frame, from) <= 8, "{name}: {} empty lines\n{frame}", emptiest(&frame, from));
    }
}
