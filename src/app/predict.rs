//! Predictions: a guess before a run, the result after it, and a score for the session.
//!
//! Predicting makes a user watch the run more closely. It starts only on request, with one key of the lab screen.

use crate::lab::catalog::{self, RunSpec};
use crate::lab::measure::{Spread, baseline_of, creations};
use crate::lab::run::{Outcome, Run, RunId, RunPhase};

use super::App;
use super::lab_view::LabView;
use super::layer::{Layer, Menu, MenuKind};
use super::msg::{Effect, Notice};

/// Medians closer than this are not told apart by one run of each, whatever the spread of its workers.
const ALIKE: f64 = 1.1;
/// Speed-ups that are told apart, each from its number on, and what they are called.
const SPEED_UPS: [(f64, &str); 5] = [
    (0.0, "slower than one thread"),
    (0.9, "as fast as one thread (0.9x to 1.1x)"),
    (1.1, "faster (1.1x to 1.5x)"),
    (1.5, "much faster (1.5x to 3x)"),
    (3.0, "more than 3x as fast"),
];
/// Begins the answer that chooses one of them.
const CLASS: &str = "class ";
/// A speed-up this close to the next class, as a part of it, might as well be in that one.
const EDGE: f64 = 0.05;

/// What is asked before a run.
#[derive(Debug, Clone, PartialEq)]
pub enum Question {
    /// How many processes there will be beside the run's root.
    Processes,
    /// Whose workers are made faster: those of the chosen system, or those of a run that has ended.
    Faster {
        /// Id of the other system.
        rival: String,
        /// Creation latencies of its workers, nanoseconds.
        theirs: Spread,
    },
    /// How many times as fast the system does its work as one thread does the same.
    SpeedUp {
        /// The run of one thread.
        alone: Box<RunSpec>,
        /// Its wall time, nanoseconds; `None` before it has run.
        alone_ns: Option<f64>,
    },
}

/// What was guessed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guess {
    /// So many processes.
    Processes(u32),
    /// The chosen system is the faster one, or it is not.
    Faster(bool),
    /// The speed-up is in this class of those that are told apart, from 0.
    SpeedUp(usize),
}

/// What was so.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Truth {
    /// So many processes were seen.
    Processes(u32),
    /// Creation latencies of its workers, nanoseconds.
    Creation(Spread),
    /// So many times as fast as one thread.
    SpeedUp(f64),
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
            (Question::Faster { theirs, .. }, Guess::Faster(it), Truth::Creation(own)) => {
                (!alike(&own, theirs)).then_some(it == (own.median < theirs.median))
            }
            (_, Guess::SpeedUp(guess), Truth::SpeedUp(seen)) => {
                let near = [seen * (1.0 - EDGE), seen * (1.0 + EDGE)].map(class_of).contains(&guess);
                let right = guess == class_of(seen);
                (right || !near).then_some(right)
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
            (_, Guess::Processes(n)) => format!("{n} besides the root"),
            (_, Guess::SpeedUp(class)) => {
                SPEED_UPS.get(class).map_or_else(String::new, |(_, words)| words.split(" (").next().unwrap_or(words).to_owned())
            }
        }
    }

    /// The truth in words; `None` as long as it is open.
    #[must_use]
    pub fn told(&self) -> Option<String> {
        Some(match (&self.question, self.truth?) {
            (_, Truth::Unknown) => "the run ended too early to show it".to_owned(),
            (Question::Faster { rival, theirs }, Truth::Creation(own)) => {
                let ratio = ratio(&own, theirs);
                let own_first = own.median <= theirs.median;
                let (first, second) = if own_first { (&self.spec.system, rival) } else { (rival, &self.spec.system) };
                if alike(&own, theirs) {
                    format!("no difference larger than the spread of the workers ({ratio:.2}x, one run each)")
                } else {
                    format!("{first}, {ratio:.1}x faster than {second} (one run each)")
                }
            }
            (_, Truth::Processes(n)) => n.to_string(),
            (Question::SpeedUp { .. }, Truth::SpeedUp(seen)) => format!("{seen:.2}x one thread (one run each)"),
            (_, Truth::Creation(_) | Truth::SpeedUp(_)) => return None,
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
                let told = creation.filter(|s| all(s.count));
                told.and_then(|_| Spread::of(&creations(&run.workers))).map(Truth::Creation)
            }
            Question::SpeedUp { alone_ns, .. } => {
                let own = wall_of(run).filter(|ns| *ns > 0.0);
                alone_ns.zip(own).map(|(alone, own)| Truth::SpeedUp(alone / own))
            }
        };
        seen.or_else(|| run.ended().then_some(Truth::Unknown))
    }
}

/// How many times the smaller median the larger one is.
fn ratio(a: &Spread, b: &Spread) -> f64 {
    a.median.max(b.median) / a.median.min(b.median).max(1.0)
}

/// Whether the workers of one run each do not tell which is faster: the middle halves of their points overlap, or the medians are near.
fn alike(a: &Spread, b: &Spread) -> bool {
    (a.q1 <= b.q3 && b.q1 <= a.q3) || ratio(a, b) < ALIKE
}

/// Where a speed-up belongs.
fn class_of(speed_up: f64) -> usize {
    SPEED_UPS.iter().rposition(|(from, _)| speed_up >= *from).unwrap_or(0)
}

/// Wall time of a run that did what it should, nanoseconds.
#[expect(clippy::cast_precision_loss, reason = "2^53 ns are 104 days")]
fn wall_of(run: &Run) -> Option<f64> {
    let done = run.phase == RunPhase::Ended(Outcome::Done);
    run.costs.wall_ns.filter(|_| done).map(|ns| ns as f64)
}

/// Whether a run is of what was asked for; what was left open the launcher has filled in.
fn is_of(run: &Run, asked: &RunSpec) -> bool {
    let (python, start_method) = (asked.python.clone(), asked.start_method);
    let ran = &run.spec;
    let filled = RunSpec {
        python: python.or_else(|| ran.python.clone()),
        start_method: start_method.or(ran.start_method),
        ..asked.clone()
    };
    filled == *ran
}

/// A guess whose run waits for the run of one thread that it will be held against.
#[derive(Debug, Clone)]
struct Waiting {
    /// The run of one thread.
    alone: RunId,
    question: Question,
    guess: Guess,
    spec: RunSpec,
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
    turn: usize,
    waiting: Option<Waiting>,
}

impl Predict {
    /// The next question about the chosen system, in turn: how many processes; where something was measured to hold it against, which is
    /// faster; where one thread can do the same work, how much faster than that.
    fn next(&mut self, lab: &LabView) -> Question {
        let spec = lab.spec();
        let creates = catalog::find(&spec.system).is_some_and(|s| (s.shape)(spec).processes > 0);
        let rival = lab.rivals().first().filter(|_| creates).and_then(|run| {
            let theirs = Spread::of(&creations(&run.workers)).filter(|_| run.ended())?;
            Some(Question::Faster { rival: run.spec.system.clone(), theirs })
        });
        let speed_up = baseline_of(spec).filter(|alone| alone.system != spec.system).map(|alone| {
            let alone_ns = lab.state.runs.iter().rev().filter(|run| is_of(run, &alone)).find_map(|run| wall_of(run));
            Question::SpeedUp { alone: Box::new(alone), alone_ns }
        });
        let mut questions: Vec<Question> = [Some(Question::Processes), rival, speed_up].into_iter().flatten().collect();
        let at = self.turn % questions.len();
        self.turn += 1;
        questions.swap_remove(at)
    }

    /// The run of one thread is over: what is to run now, and whether there is something to hold it against.
    fn go_on(&mut self, lab: &LabView) -> Option<(RunSpec, bool)> {
        let waiting = self.waiting.as_ref()?;
        let run = lab.state.runs.iter().find(|r| r.id == waiting.alone)?;
        // If the run of one thread was refused, another has its number.
        let it = asked_for(run, &waiting.question);
        if it && !run.ended() {
            return None;
        }
        let waiting = self.waiting.take().filter(|_| it)?;
        let Waiting { question: Question::SpeedUp { alone, .. }, guess, spec, .. } = waiting else { return None };
        let alone_ns = wall_of(run);
        self.last = alone_ns.map(|_| Prediction {
            run: lab.next_id(),
            question: Question::SpeedUp { alone, alone_ns },
            guess,
            truth: None,
            spec: spec.clone(),
        });
        Some((spec, alone_ns.is_some()))
    }

    /// Takes in how far the runs are; says when a guess is settled.
    fn see(&mut self, runs: &[std::sync::Arc<Run>]) -> Option<bool> {
        let open = self.last.as_mut().filter(|p| p.truth.is_none())?;
        let run = runs.iter().find(|r| r.id == open.run)?;
        if !is_of(run, &open.spec) {
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

/// Whether a run is the one of one thread that the question is about.
fn asked_for(run: &Run, question: &Question) -> bool {
    matches!(question, Question::SpeedUp { alone, .. } if is_of(run, alone))
}

/// The title of a question's menu.
#[must_use]
pub fn title(question: &Question) -> &'static str {
    match question {
        Question::Processes => "Guess: how many processes besides the root?",
        Question::Faster { .. } => "Guess: which makes a worker faster?",
        Question::SpeedUp { .. } => "Guess: how fast, compared with one thread?",
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
        Question::SpeedUp { .. } => {
            SPEED_UPS.iter().enumerate().map(|(class, (_, words))| (format!("{CLASS}{class}"), (*words).to_owned())).collect()
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
        let mut spec = self.lab.spec().clone();
        if matches!(self.predict.asked, Some(Question::SpeedUp { .. })) && !answer.is_empty() {
            // A measurement is not to be disturbed by staying to be looked at: workers tell less while nobody waits for it.
            spec.hold_ms = 0;
        }
        let guess = match answer {
            "it" => Some(Guess::Faster(true)),
            "rival" => Some(Guess::Faster(false)),
            other => match other.strip_prefix(CLASS) {
                Some(class) => class.parse().ok().map(Guess::SpeedUp),
                None => other.parse().ok().map(Guess::Processes),
            },
        };
        let run = self.lab.next_id();
        self.predict.waiting = None;
        match self.predict.asked.take().zip(guess) {
            Some((Question::SpeedUp { alone, alone_ns: None }, guess)) => {
                let question = Question::SpeedUp { alone: alone.clone(), alone_ns: None };
                self.predict.waiting = Some(Waiting { alone: run, question, guess, spec });
                self.tell(Notice::info("first the same work by one thread, for comparison".to_owned()));
                return vec![Effect::Launch(*alone)];
            }
            Some((question, guess)) => {
                self.predict.last = Some(Prediction { run, question, guess, truth: None, spec: spec.clone() });
            }
            None => {}
        }
        vec![Effect::Launch(spec)]
    }

    /// The runs went on: an open guess may be settled, or the run that it is about may begin.
    pub(super) fn settle(&mut self) -> Vec<Effect> {
        if let Some((spec, held)) = self.predict.go_on(&self.lab) {
            if !held {
                let why = "the run with one thread did not finish, so there is no comparison";
                self.tell(Notice::info(why.to_owned()));
            }
            return vec![Effect::Launch(spec)];
        }
        let Some(right) = self.predict.see(&self.lab.state.runs) else { return Vec::new() };
        let (score, of) = (self.predict.right, self.predict.settled);
        let Some(told) = self.predict.last.as_ref().and_then(Prediction::told) else { return Vec::new() };
        let notice = if right { Notice::good } else { Notice::info };
        let word = if right { "right" } else { "wrong" };
        self.tell(notice(format!("your guess: {word}. Measured: {told}. {score} of {of} right in this session")));
        Vec::new()
    }
}

#[cfg(test)]
mod tests;
