//! Predict, then see: a guess before a run, the truth beside it after, and a score for as long as concmon runs.
//!
//! Who has said what will happen looks harder at what does. Nothing asks by itself: one key of the lab's screen does.

use crate::lab::catalog::{self, RunSpec};
use crate::lab::run::{Run, RunId};

use super::App;
use super::lab_view::LabView;
use super::layer::{Layer, Menu, MenuKind};
use super::msg::{Effect, Notice};

/// Medians closer than this are not told apart by one run of each.
const ALIKE: f64 = 1.1;

/// What is asked before a run.
#[derive(Debug, Clone, PartialEq)]
pub enum Question {
    /// How many processes there will be beside the run's root.
    Processes,
    /// Whose workers are made faster: those of the chosen system, or those of a run that has ended.
    Faster {
        /// Id of the other system.
        rival: String,
        /// Its median creation latency, nanoseconds.
        median_ns: f64,
    },
}

/// What was guessed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guess {
    /// So many processes.
    Processes(u32),
    /// The chosen system is the faster one, or it is not.
    Faster(bool),
}

/// What was so.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Truth {
    /// So many processes were seen.
    Processes(u32),
    /// Its median creation latency, nanoseconds.
    Creation(f64),
    /// The run ended without showing it.
    Unknown,
}

/// One guess.
#[derive(Debug, Clone, PartialEq)]
pub struct Prediction {
    /// The run it is about.
    pub run: RunId,
    /// What was asked.
    pub question: Question,
    /// What was guessed.
    pub guess: Guess,
    /// What was so, once that is known.
    pub truth: Option<Truth>,
    spec: RunSpec,
}

impl Prediction {
    /// Whether it was right; `None` as long as that is open, and where nothing tells.
    #[must_use]
    pub fn right(&self) -> Option<bool> {
        match (&self.question, self.guess, self.truth?) {
            (_, Guess::Processes(guess), Truth::Processes(seen)) => Some(guess == seen),
            (Question::Faster { median_ns, .. }, Guess::Faster(it), Truth::Creation(own)) => {
                let alike = own.max(*median_ns) < own.min(*median_ns) * ALIKE;
                (!alike).then_some(it == (own < *median_ns))
            }
            _ => None,
        }
    }

    /// The guess in words.
    #[must_use]
    pub fn guessed(&self) -> String {
        match (&self.question, self.guess) {
            (Question::Faster { rival, .. }, Guess::Faster(false)) => format!("{rival} makes a worker faster"),
            (_, Guess::Faster(_)) => format!("{} makes a worker faster", self.spec.system),
            (_, Guess::Processes(n)) => format!("{n} beside the root"),
        }
    }

    /// The truth in words; `None` as long as it is open.
    #[must_use]
    pub fn told(&self) -> Option<String> {
        Some(match (&self.question, self.truth?) {
            (_, Truth::Unknown) => "the run did not get so far as to show it".to_owned(),
            (Question::Faster { rival, median_ns }, Truth::Creation(own)) => {
                let ratio = own.max(*median_ns) / own.min(*median_ns).max(1.0);
                let (first, second) = if own <= *median_ns { (&self.spec.system, rival) } else { (rival, &self.spec.system) };
                if ratio < ALIKE {
                    format!("no difference that one run shows ({ratio:.2}x)")
                } else {
                    format!("{first}, {ratio:.1}x faster than {second}")
                }
            }
            (_, Truth::Processes(n)) => n.to_string(),
            (Question::Processes, Truth::Creation(_)) => return None,
        })
    }

    /// What the run shows by now.
    fn look(&self, run: &Run) -> Option<Truth> {
        let seen = match self.question {
            Question::Processes => {
                // What was seen while all stood; before that, some of them are not there yet.
                let check = run.shape.iter().find(|c| c.what == "pids").filter(|c| c.met || run.ended());
                check.and_then(|c| c.seen.parse().ok()).map(Truth::Processes)
            }
            Question::Faster { .. } => {
                let creation = run.costs.creation_ns.as_ref();
                let all = |count: usize| count >= run.spec.workers as usize || run.ended();
                creation.filter(|s| all(s.count)).map(|s| Truth::Creation(s.median))
            }
        };
        seen.or_else(|| run.ended().then_some(Truth::Unknown))
    }
}

/// The guesses of a session.
#[derive(Debug, Default)]
pub struct Predict {
    /// The question that is open on the screen.
    pub asked: Option<Question>,
    /// The newest guess.
    pub last: Option<Prediction>,
    /// Guesses that were right.
    pub right: u32,
    /// Guesses that were right or wrong.
    pub settled: u32,
    turn: u32,
}

impl Predict {
    /// The next question about the chosen system: in turn how many processes, and, where something was measured to hold it against,
    /// which is faster.
    fn next(&mut self, lab: &LabView) -> Question {
        self.turn += 1;
        let rival = lab.rivals().first().and_then(|run| {
            let median_ns = run.costs.creation_ns.as_ref().filter(|_| run.ended())?.median;
            Some(Question::Faster { rival: run.spec.system.clone(), median_ns })
        });
        let creates = catalog::find(&lab.spec().system).is_some_and(|s| (s.shape)(lab.spec()).processes > 0);
        rival.filter(|_| creates && self.turn.is_multiple_of(2)).unwrap_or(Question::Processes)
    }

    /// Takes in how far the runs are; says when a guess is settled.
    fn see(&mut self, runs: &[std::sync::Arc<Run>]) -> Option<bool> {
        let open = self.last.as_mut().filter(|p| p.truth.is_none())?;
        let run = runs.iter().find(|r| r.id == open.run)?;
        if run.spec != open.spec {
            // The run that was guessed about was refused, and another has its number.
            self.last = None;
            return None;
        }
        open.truth = open.look(run);
        let right = open.right()?;
        self.settled += 1;
        self.right += u32::from(right);
        Some(right)
    }
}

/// The title of a question's menu.
#[must_use]
pub fn title(question: &Question) -> &'static str {
    match question {
        Question::Processes => "Guess: how many processes beside the root?",
        Question::Faster { .. } => "Guess: which makes a worker faster?",
    }
}

/// The answers to a question: what `choose` is given, and a label.
fn answers(question: &Question, spec: &RunSpec) -> Vec<(String, String)> {
    let mut answers: Vec<(String, String)> = match question {
        Question::Processes => {
            let expected = catalog::find(&spec.system).map_or(0, |s| (s.shape)(spec).processes);
            let n = spec.workers;
            let mut numbers = vec![0, 1, n, n + 1, n + 2, expected];
            numbers.sort_unstable();
            numbers.dedup();
            let words = |n: u32| if n == 1 { "1 process".to_owned() } else { format!("{n} processes") };
            numbers.into_iter().map(|n| (n.to_string(), words(n))).collect()
        }
        Question::Faster { rival, .. } => {
            vec![("it".to_owned(), spec.system.clone()), ("rival".to_owned(), rival.clone())]
        }
    };
    answers.push((String::new(), "no guess: just run it".to_owned()));
    answers
}

impl App {
    /// Asks before the chosen system is run.
    pub(super) fn ask(&mut self) {
        let question = self.predict.next(&self.lab);
        let entries = answers(&question, self.lab.spec());
        self.predict.asked = Some(question);
        self.layer = Some(Layer::Menu(Menu { kind: MenuKind::Guess, entries, cursor: 0 }));
    }

    /// Runs the chosen system with the guess that was chosen.
    pub(super) fn guessed(&mut self, answer: &str) -> Vec<Effect> {
        let spec = self.lab.spec().clone();
        let guess = match answer {
            "it" => Some(Guess::Faster(true)),
            "rival" => Some(Guess::Faster(false)),
            number => number.parse().ok().map(Guess::Processes),
        };
        if let Some((question, guess)) = self.predict.asked.take().zip(guess) {
            let run = RunId(self.lab.state.runs.last().map_or(0, |r| r.id.0) + 1);
            self.predict.last = Some(Prediction { run, question, guess, truth: None, spec: spec.clone() });
        }
        vec![Effect::Launch(spec)]
    }

    /// The runs went on: an open guess may be settled.
    pub(super) fn settle(&mut self) {
        let Some(right) = self.predict.see(&self.lab.state.runs) else { return };
        let (score, of) = (self.predict.right, self.predict.settled);
        let Some(told) = self.predict.last.as_ref().and_then(Prediction::told) else { return };
        let notice = if right { Notice::good } else { Notice::info };
        let word = if right { "right" } else { "not so" };
        self.tell(notice(format!("your guess: {word}. The truth: {told}. {score} of {of} right in this session")));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::app::key::{Code, Key};
    use crate::app::msg::Msg;
    use crate::app::options::{Options, Screen};
    use crate::lab::launcher::LabState;
    use crate::lab::run::{Outcome, RunPhase, ShapeCheck, Summary};

    fn lab(system: &str) -> App {
        let mut app = App::new(Options::default());
        app.screen = Screen::Lab;
        app.lab.system = catalog::SYSTEMS.iter().position(|s| s.id == system).unwrap();
        app
    }

    fn press(app: &mut App, keys: &[Key]) -> Vec<Effect> {
        keys.iter().flat_map(|key| app.update(Msg::Key(*key))).collect()
    }

    /// The run of what was launched, of which so many processes were seen and whose workers took so long to make.
    fn ran(id: u32, effects: &[Effect], seen: &str, median: f64, ended: bool) -> Arc<Run> {
        let [Effect::Launch(spec)] = effects else { panic!("{effects:?}") };
        let mut run = Run::new(RunId(id), spec.clone(), 0);
        run.phase = if ended { RunPhase::Ended(Outcome::Done) } else { RunPhase::Running };
        let (what, expected) = ("pids".to_owned(), "?".to_owned());
        run.shape = vec![ShapeCheck { what, met: ended, expected, seen: seen.to_owned() }];
        run.costs.creation_ns =
            ended.then_some(Summary { count: spec.workers as usize, min: median, median, p90: median, max: median });
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
        assert_eq!(told, "native/fork, 3.0x faster than native/forkserver");
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
        let question = Question::Faster { rival: "native/spawn".to_owned(), median_ns: 1.05e6 };
        let mut guess =
            Prediction { run: RunId(1), question, guess: Guess::Faster(true), truth: Some(Truth::Creation(1e6)), spec };
        assert_eq!(guess.right(), None);
        assert!(guess.told().unwrap().contains("no difference"));
        guess.truth = Some(Truth::Unknown);
        assert!(guess.right().is_none() && guess.told().unwrap().contains("did not get so far"));
    }
}
