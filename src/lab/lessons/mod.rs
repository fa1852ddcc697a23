//! The lessons of the lab: a question, a live run, and a verdict computed from the figures of that run.
//!
//! Each lesson is one entry of [`LESSONS`], in the order of the talk. Its acts say what runs, its readings which figures are read off the
//! runs, and its verdict which answer those figures prove. The talk's claim beside the verdict is an entry of [`super::talk::CLAIMS`].
//! Pure: runs come in, figures and sentences come out.

mod entries;
mod read;
#[cfg(test)]
mod tests;
mod verdicts;

pub use entries::LESSONS;
pub use read::{After, Seen};

use super::catalog::{RunSpec, System, find};
use super::measure::Unit;
use super::run::Run;
use super::talk::{CLAIMS, Claim};

/// A figure made from others; `None` if one of them is missing.
pub type Figure = fn(&Figures) -> Option<f64>;

/// One lesson.
#[derive(Debug, Clone, Copy)]
pub struct Lesson {
    /// Unique name.
    pub id: &'static str,
    /// Chapter of the talk.
    pub chapter: &'static str,
    /// Name in the list.
    pub title: &'static str,
    /// What is asked.
    pub question: &'static str,
    /// What one has to know to guess, without the answer.
    pub background: &'static str,
    /// The answers to guess from: two or three.
    pub answers: &'static [&'static str],
    /// What runs, in order.
    pub acts: &'static [Act],
    /// What to look at while it runs.
    pub watch: &'static str,
    /// Which answer the figures prove; `None` if figures are missing.
    pub verdict: fn(&Figures) -> Option<Verdict>,
    /// The claim of the talk, by [`Claim::id`], and its figure made from this lesson's.
    pub claim: Option<(&'static str, Figure)>,
}

/// One run of a lesson, repeated [`Act::rounds`] times.
#[derive(Debug, Clone, Copy)]
pub struct Act {
    /// What runs, in words.
    pub label: &'static str,
    /// The system.
    pub system: &'static str,
    /// The native system that runs where the Python one cannot; `None` if there is none, or `system` is native.
    pub twin: Option<&'static str>,
    /// What is asked of it beside its defaults.
    pub with: fn(&mut RunSpec),
    /// Whether the parameters of the lab apply to it.
    pub own_work: bool,
    /// Figures that are read off each run.
    pub reads: &'static [Reading],
    /// How often it runs; the median of the figures counts.
    pub rounds: u32,
    /// How long the workers stay to be looked at, milliseconds.
    pub hold_ms: u32,
    /// Whether the lesson goes on without it where it cannot run.
    pub optional: bool,
    /// What the user does to the run.
    pub deed: Option<Deed>,
}

/// A figure of a run.
#[derive(Debug, Clone, Copy)]
pub struct Reading {
    /// Its name, unique in the lesson.
    pub name: &'static str,
    /// Its unit.
    pub unit: Unit,
    /// Its value; `None` if the run does not show it.
    pub of: fn(&Seen<'_>) -> Option<f64>,
    /// Whether it is drawn as a bar.
    pub drawn: bool,
    /// What it measures, where figures of one unit measure different things: only those of one kind are compared.
    pub kind: &'static str,
}

impl Reading {
    const fn of_kind(self, kind: &'static str) -> Self {
        Self { kind, ..self }
    }
}

/// A signal that the user sends to processes of the run, with one key.
#[derive(Debug, Clone, Copy)]
pub struct Deed {
    /// What the key does, in words.
    pub words: &'static str,
    /// The signal's number and name.
    pub signal: (i32, &'static str),
    /// The processes it is sent to; empty as long as they are not there.
    pub to: fn(&Run) -> Vec<i32>,
    /// How long the run is watched afterwards, nanoseconds.
    pub watched_ns: u64,
}

/// The figures of a lesson's runs: medians over the rounds.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Figures {
    /// By [`Reading::name`], in the order of the acts.
    pub values: Vec<(&'static str, f64)>,
    /// CPUs of the machine.
    pub cpus: usize,
    /// Whether native twins ran in place of Python.
    pub twins: bool,
}

impl Figures {
    /// The figure with this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<f64> {
        self.values.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
    }
}

/// What a lesson has shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Index of the answer that the figures prove; `None` if they prove none, as on a busy machine.
    pub answer: Option<usize>,
    /// One sentence with the figures.
    pub sentence: String,
}

impl Act {
    /// The system that runs it.
    #[must_use]
    pub fn system(&self, twins: bool) -> Option<&'static System> {
        find(self.twin.filter(|_| twins).unwrap_or(self.system))
    }

    /// The run that it needs; `base` is what the lab asks of the system.
    #[must_use]
    pub fn spec(&self, system: &System, base: RunSpec) -> RunSpec {
        let mut spec = if self.own_work { base } else { system.defaults() };
        (self.with)(&mut spec);
        spec.hold_ms = self.hold_ms;
        spec.timeout_ms = spec.timeout_ms.max(60_000) + u64::from(self.hold_ms);
        spec
    }
}

impl Lesson {
    /// Every reading with its act, in order.
    pub fn readings(&self) -> impl Iterator<Item = (&'static Act, &'static Reading)> + use<> {
        self.acts.iter().flat_map(|act| act.reads.iter().map(move |reading| (act, reading)))
    }

    /// Whether all acts have a native system.
    #[must_use]
    pub fn has_twins(&self) -> bool {
        self.acts.iter().all(|act| act.twin.is_some() || act.system.starts_with("native/"))
    }

    /// The talk's claim.
    #[must_use]
    pub fn talk(&self) -> Option<&'static Claim> {
        let (id, _) = self.claim?;
        CLAIMS.iter().find(|claim| claim.id == id)
    }

    /// What the talk says, and whether the figures agree; `None` for a lesson without a claim of the talk.
    #[must_use]
    pub fn beside(&self, figures: &Figures) -> Option<Beside> {
        let claim = self.talk()?;
        let here = self.claim.and_then(|(_, figure)| figure(figures)).filter(|_| !figures.twins);
        let (low, high) = claim.holds;
        let talk = claim.talk_figure.filter(|_| claim.unit == "x").map(verdicts::times);
        Some(Beside {
            statement: claim.statement,
            talk,
            here: here.filter(|_| claim.unit == "x").map(verdicts::times),
            holds: here.map(|figure| (low..=high).contains(&figure)),
            stronger: low > 1.0 && here.is_some_and(|figure| figure > high),
        })
    }
}

/// The talk's claim beside the figures made here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Beside {
    /// The claim, one sentence.
    pub statement: &'static str,
    /// The talk's figure.
    pub talk: Option<String>,
    /// The same figure made here.
    pub here: Option<String>,
    /// Whether the claim holds here; `None` if that was not measured.
    pub holds: Option<bool>,
    /// Whether the figure is on the claim's side, and beyond what it says.
    pub stronger: bool,
}
