//! The Problems screen: every finding, worst first, and what the chosen one says.

use std::sync::Arc;

use crate::diagnose::{Finding, Level, MACHINE};
use crate::snapshot::Needs;
use crate::snapshot::{Facts, ProcKey, pid_on_host};
use crate::text::{Charset, sanitize};

use super::App;
use super::layer::Layer;
use super::msg::{Effect, Notice, ProblemKey};
use super::options::Screen;

/// The state of the screen.
#[derive(Debug, Default)]
pub struct ProblemsView {
    /// The chosen finding, held by what it is about; `None`: the first.
    held: Option<(&'static str, ProcKey)>,
    /// First finding on screen.
    pub scroll: usize,
    /// Findings that are seen at once; the view's layout tells.
    pub page: usize,
    /// What the newest survey found.
    pub facts: Option<Arc<Facts>>,
    /// Why there is no survey.
    pub failed: Option<String>,
    /// When the first sample was taken, boot-time nanoseconds: births before it were not seen.
    pub since_ns: Option<u64>,
}

impl App {
    /// Index of the chosen finding.
    #[must_use]
    pub fn problem_at(&self) -> usize {
        let held = self.problems.held;
        let at = held.and_then(|(id, about)| self.findings.iter().position(|f| f.diagnosis.id == id && f.about == about));
        at.unwrap_or(0)
    }

    /// The chosen finding.
    #[must_use]
    pub fn problem(&self) -> Option<&Finding> {
        self.findings.get(self.problem_at())
    }

    /// How many findings are warnings.
    #[must_use]
    pub fn warnings(&self) -> usize {
        self.findings.iter().filter(|finding| finding.diagnosis.level == Level::Warning).count()
    }

    pub(super) fn problem_move(&mut self, by: i64) {
        let last = self.findings.len().saturating_sub(1);
        let at = i64::try_from(self.problem_at()).unwrap_or(0).saturating_add(by).max(0);
        self.problem_choose(usize::try_from(at).unwrap_or(0).min(last));
    }

    pub(super) fn problem_choose(&mut self, at: usize) {
        let Some(finding) = self.findings.get(at) else { return };
        self.problems.held = (at > 0).then_some((finding.diagnosis.id, finding.about));
        let page = self.problems.page.max(1);
        let scroll = self.problems.scroll.min(at);
        self.problems.scroll = if at >= scroll + page { at + 1 - page } else { scroll };
    }

    /// Whether something on screen is told by surveys.
    #[must_use]
    pub fn wants_survey(&self) -> bool {
        !self.paused && self.is_of_this_machine() && (self.screen == Screen::Problems || self.needs_survey())
    }

    fn needs_survey(&self) -> bool {
        (self.needs_of_all() | self.needs_of_visible()).contains(Needs::SURVEY)
    }

    /// Takes a survey in. Its findings come with the next sample.
    pub(super) fn surveyed(&mut self, facts: Result<Arc<Facts>, String>) -> Vec<Effect> {
        if !self.wants_survey() {
            return Vec::new();
        }
        match facts {
            Ok(facts) => (self.problems.facts, self.problems.failed) = (Some(facts), None),
            Err(why) => self.problems.failed = Some(why),
        }
        vec![Effect::Resample]
    }

    /// A survey is of its moment: what it found is forgotten once the screen is left.
    pub(super) fn keep_survey(&mut self) {
        if self.screen != Screen::Problems && !self.needs_survey() {
            self.problems.facts = None;
        }
    }

    pub(super) fn problem_key(&mut self, key: ProblemKey) -> Vec<Effect> {
        let Some(finding) = self.problem().cloned() else {
            self.tell(Notice::info("no problem is listed"));
            return Vec::new();
        };
        if key == ProblemKey::Copy {
            let text = [vec![finding.diagnosis.title.to_owned(), finding.evidence], finding.lines, vec![finding.advice]].concat();
            let text: Vec<String> = text.iter().map(|line| sanitize(line.as_bytes(), Charset::Unicode).into_owned()).collect();
            return self.copy_text(text.join("\n"), "the problem");
        }
        if finding.about == MACHINE {
            self.tell(Notice::info("this is about no single process"));
            return Vec::new();
        }
        let pid = finding.about.pid;
        match key {
            ProblemKey::Why => {
                let number = finding.chain.unwrap_or(pid);
                let title = format!("Why {number} waits");
                let lines = vec!["Reading the waits of all processes, twice.".to_owned()];
                self.layer = Some(Layer::Explain { title: title.clone(), lines, scroll: 0 });
                return vec![Effect::Why { number, title }];
            }
            ProblemKey::Only => {
                self.options.only = finding.others.iter().copied().chain([finding.about]).collect();
                self.screen = Screen::Processes;
                self.rebuild();
                self.select_pid(pid);
                return vec![Effect::Resample];
            }
            ProblemKey::Process | ProblemKey::Copy => {
                self.screen = Screen::Processes;
                if !self.select_pid(pid) {
                    let pid = pid_on_host(pid);
                    self.tell(Notice::info(format!("PID {pid} is hidden by the current filter or view")));
                }
            }
        }
        Vec::new()
    }
}
