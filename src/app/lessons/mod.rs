//! State of the lessons, the first view of the lab's screen: a question, a guess, live runs, a verdict.
//!
//! Progress and score are kept while concmon runs, so that a lesson can be left and resumed.

use std::sync::Arc;

mod course;
#[cfg(test)]
mod tests;

use crate::lab::lessons::{Figures, LESSONS, Lesson, Verdict};
use crate::lab::run::{Run, RunId};

use super::App;
use super::lab_view::Field;
use super::msg::{Effect, Notice};
use super::options::Screen;

use course::Course;
pub use course::{Doing, Progress};

/// What a key of the lessons does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LessonKey {
    /// Guesses the answer with this number, from 1; goes to the screen with this number where no question is open.
    Answer(u8),
    /// Runs without a guess, or goes to the next lesson once this one is done.
    Enter,
    /// The next lesson (negative: the one before).
    Other(i32),
    /// Asks the question again.
    Again,
    /// Sends the lesson's signal.
    Deed,
    /// All systems.
    Systems,
    /// Back to the lessons.
    Lessons,
}

/// A lesson that has been done.
#[derive(Debug, Clone, PartialEq)]
pub struct Learned {
    /// Index of the answer that was guessed; `None` without a guess.
    pub guess: Option<usize>,
    /// What its runs proved.
    pub verdict: Verdict,
    /// The figures of its runs.
    pub figures: Figures,
    /// The last of its runs.
    pub run: Option<RunId>,
}

impl Learned {
    /// Whether the guess was right; `None` without a guess, and where the runs proved nothing.
    #[must_use]
    pub fn right(&self) -> Option<bool> {
        Some(self.guess? == self.verdict.answer?)
    }
}

/// How far the chosen lesson is.
#[derive(Debug)]
pub enum Stage<'a> {
    /// The question is open.
    Asking,
    /// It runs.
    Running(Progress),
    /// It cannot run, or went wrong; why.
    Failed(&'a str),
    /// It is done.
    Done(&'a Learned),
}

/// State of the lessons.
#[derive(Debug)]
pub struct LessonsView {
    /// Whether the lab's screen shows the lessons, and not all systems.
    pub open: bool,
    /// Index of the chosen lesson.
    pub at: usize,
    /// What came of each.
    learned: Vec<Option<Learned>>,
    /// Why the chosen lesson could not run.
    failed: Option<String>,
    course: Option<Course>,
}

impl Default for LessonsView {
    fn default() -> Self {
        Self { open: true, at: 0, learned: vec![None; LESSONS.len()], failed: None, course: None }
    }
}

impl LessonsView {
    /// The chosen lesson.
    #[must_use]
    pub fn chosen(&self) -> &'static Lesson {
        &LESSONS[self.at.min(LESSONS.len() - 1)]
    }

    /// What came of the lesson with this index.
    #[must_use]
    pub fn learned(&self, lesson: usize) -> Option<&Learned> {
        self.learned.get(lesson)?.as_ref()
    }

    /// How far the chosen lesson is.
    #[must_use]
    pub fn stage(&self) -> Stage<'_> {
        if let Some(course) = &self.course {
            return Stage::Running(course.progress());
        }
        match (&self.failed, self.learned(self.at)) {
            (Some(why), _) => Stage::Failed(why),
            (None, Some(learned)) => Stage::Done(learned),
            (None, None) => Stage::Asking,
        }
    }

    /// The run that the chosen lesson shows.
    #[must_use]
    pub fn run(&self) -> Option<RunId> {
        match &self.course {
            Some(course) => course.shown,
            None => self.learned(self.at)?.run,
        }
    }

    /// Guesses that were right, and guesses in all.
    #[must_use]
    pub fn score(&self) -> (usize, usize) {
        let decided = self.learned.iter().flatten().filter_map(Learned::right);
        decided.fold((0, 0), |(right, all), one| (right + usize::from(one), all + 1))
    }

    /// Lessons that are done.
    #[must_use]
    pub fn done(&self) -> usize {
        self.learned.iter().flatten().count()
    }

    /// Whether a key of the lessons does what it is there for now; the bar names no other.
    #[must_use]
    pub fn has_use(&self, key: LessonKey) -> bool {
        match (key, self.stage()) {
            (LessonKey::Answer(_), stage) => matches!(stage, Stage::Asking),
            (LessonKey::Enter, stage) => !matches!(stage, Stage::Running(_)),
            (LessonKey::Deed, Stage::Running(progress)) => progress.sent == Some(false),
            (LessonKey::Deed, _) => false,
            (LessonKey::Again, stage) => !matches!(stage, Stage::Asking),
            _ => true,
        }
    }

    /// Whether the parameters of the lab are the chosen lesson's.
    #[must_use]
    pub fn has_parameters(&self) -> bool {
        self.chosen().acts.iter().any(|act| act.own_work)
    }
}

impl App {
    /// The run that the lab's screen shows: the lesson's, or the newest of the chosen system.
    #[must_use]
    pub fn output_run(&self) -> Option<&Arc<Run>> {
        if self.lessons.open { self.lab.state.run(self.lessons.run()?) } else { self.lab.shown() }
    }

    /// A key of the lessons.
    pub(super) fn lesson_key(&mut self, key: LessonKey) -> Vec<Effect> {
        let asking = matches!(self.lessons.stage(), Stage::Asking);
        match key {
            LessonKey::Answer(number) if !asking => {
                let screen = Screen::ALL.get(usize::from(number).saturating_sub(1)).copied();
                return screen.map(|screen| self.go(screen)).unwrap_or_default();
            }
            LessonKey::Answer(number) => {
                let answer = usize::from(number).saturating_sub(1);
                if answer < self.lessons.chosen().answers.len() {
                    return self.begin_lesson(Some(answer));
                }
                self.tell(Notice::info("there is no such answer"));
            }
            LessonKey::Enter => match self.lessons.stage() {
                Stage::Asking => return self.begin_lesson(None),
                Stage::Running(_) => self.tell(Notice::info("the lesson is running; X stops it, n goes to the next one")),
                Stage::Failed(_) | Stage::Done(_) => return self.other_lesson(1),
            },
            LessonKey::Other(by) => return self.other_lesson(by),
            LessonKey::Again => {
                let effects = self.leave_course();
                self.lessons.failed = None;
                let at = self.lessons.at;
                if let Some(learned) = self.lessons.learned.get_mut(at) {
                    *learned = None;
                }
                return effects;
            }
            LessonKey::Deed => return self.do_deed(),
            LessonKey::Systems => self.lessons.open = false,
            LessonKey::Lessons => self.lessons.open = true,
        }
        Vec::new()
    }

    fn other_lesson(&mut self, by: i32) -> Vec<Effect> {
        let last = i64::try_from(LESSONS.len()).unwrap_or(1) - 1;
        let at = i64::try_from(self.lessons.at).unwrap_or(0) + i64::from(by);
        if at > last {
            let (right, all) = self.lessons.score();
            let score = if all == 0 { String::new() } else { format!(": {right} of {all} guesses were right") };
            self.tell(Notice::good(format!("this was the last lesson{score}. Tab shows all systems")));
            return Vec::new();
        }
        self.choose_lesson(usize::try_from(at.max(0)).unwrap_or(0))
    }

    /// Chooses a lesson; the one that runs is stopped.
    pub(super) fn choose_lesson(&mut self, at: usize) -> Vec<Effect> {
        if at == self.lessons.at {
            return Vec::new();
        }
        let effects = self.leave_course();
        (self.lessons.at, self.lessons.failed) = (at.min(LESSONS.len() - 1), None);
        self.lab.field = 0;
        if self.lessons.has_parameters() {
            // Its parameters are those of the systems that it compares.
            let pool = crate::lab::catalog::SYSTEMS.iter().position(|system| system.id == "native/process-pool");
            self.lab.choose(pool.unwrap_or(0));
        }
        effects
    }

    /// A parameter of the lab is changed from the lessons.
    pub(super) fn lesson_parameter(&mut self, change: impl FnOnce(&mut Self)) {
        if !self.lessons.has_parameters() {
            self.tell(Notice::info("this lesson has no parameters; Tab shows all systems, which have"));
        } else if matches!(self.lessons.stage(), Stage::Running(_)) {
            self.tell(Notice::info("the lesson is running; X stops it"));
        } else {
            let at = self.lessons.at;
            if let Some(learned) = self.lessons.learned.get_mut(at) {
                *learned = None;
            }
            change(self);
        }
    }

    /// The parameters of the lab that a lesson's own work has.
    #[must_use]
    pub fn lesson_fields(&self) -> Vec<Field> {
        let wanted = [Field::Task, Field::Size, Field::Workers, Field::Tasks, Field::ParentMb];
        self.lab.fields().into_iter().filter(|field| wanted.contains(field)).collect()
    }
}
