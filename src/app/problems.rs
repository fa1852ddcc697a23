//! The Problems screen: every finding, worst first, and what the chosen one says.

use std::sync::Arc;

use crate::derive::Model;
use crate::diagnose::{Finding, FindingName, Level, MACHINE};
use crate::snapshot::Needs;
use crate::snapshot::{Facts, Scope, pid_on_host};
use crate::text::{Charset, sanitize};

use super::App;
use super::key::{Code, Key};
use super::layer::{Layer, TextSize};
use super::layer_update::scrolled;
use super::msg::{Effect, Notice, ProblemKey};
use super::options::Screen;
use super::search::Search;

/// The most processes of a problem whose stacks are read, and problems whose stacks are kept.
const MOST_PROCESSES: usize = 4;
const MOST_KEPT: usize = 64;
/// For so long a survey counts after the screen was left, nanoseconds.
const KEPT_NS: u64 = 60_000_000_000;

/// The stacks of a problem's processes as it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptStacks {
    problem: FindingName,
    /// When they were read, `CLOCK_BOOTTIME` nanoseconds.
    pub taken_ns: u64,
    /// Empty until they are read, and where no process is a Python that can be read.
    pub lines: Vec<String>,
}

/// The state of the screen.
#[derive(Debug, Default)]
pub struct ProblemsView {
    /// The chosen finding, held by what it is about; `None`: the first.
    held: Option<FindingName>,
    /// The stacks of the findings, read once when they were found.
    stacks: Vec<KeptStacks>,
    /// First finding on screen.
    pub scroll: usize,
    /// Findings that are seen at once; set by the layout.
    pub page: usize,
    /// First line on screen of the text below the findings.
    pub below: usize,
    /// What the newest survey found.
    pub facts: Option<Arc<Facts>>,
    /// The search in the background.
    search: Search,
    /// Deadlocks that were announced or seen.
    announced: Vec<FindingName>,
    /// Why there is no survey.
    pub failed: Option<String>,
    /// When the first sample was taken, boot-time nanoseconds: births before it were not seen.
    pub since_ns: Option<u64>,
}

impl ProblemsView {
    /// The stacks of a finding's processes at the moment when it was found.
    #[must_use]
    pub fn stacks(&self, finding: &Finding) -> Option<&KeptStacks> {
        self.stacks.iter().find(|kept| kept.problem == finding.name() && !kept.lines.is_empty())
    }

    pub(super) fn take_stacks(&mut self, problem: FindingName, taken_ns: u64, lines: Vec<String>) {
        if let Some(kept) = self.stacks.iter_mut().find(|kept| kept.problem == problem) {
            (kept.taken_ns, kept.lines) = (taken_ns, lines);
        }
    }
}

impl App {
    /// Asks for the stacks of a finding that is new; one at a time. Those of findings that are gone are forgotten.
    pub(super) fn ask_stacks(&mut self) -> Option<Effect> {
        if !self.is_of_this_machine() || self.looks_back() || self.paused {
            return None;
        }
        let findings = &self.findings;
        self.problems.stacks.retain(|kept| findings.iter().any(|finding| finding.name() == kept.problem));
        let known = |finding: &&Finding| self.problems.stacks.iter().any(|kept| kept.problem == finding.name());
        let new = findings.iter().find(|finding| finding.about != MACHINE && !known(finding));
        let finding = new.filter(|_| self.problems.stacks.len() < MOST_KEPT)?;
        let keys = std::iter::once(&finding.about).chain(&finding.others).take(MOST_PROCESSES).copied().collect();
        let problem = finding.name();
        self.problems.stacks.push(KeptStacks { problem, taken_ns: 0, lines: Vec::new() });
        Some(Effect::ReadStacks { problem, keys })
    }

    /// Index of the chosen finding.
    #[must_use]
    pub fn problem_at(&self) -> usize {
        let held = self.problems.held;
        let at = held.and_then(|held| self.findings.iter().position(|f| f.name() == held));
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
        self.problems.below = 0;
        self.problems.held = (at > 0).then(|| finding.name());
        let page = self.problems.page.max(1);
        let scroll = self.problems.scroll.min(at);
        self.problems.scroll = if at >= scroll + page { at + 1 - page } else { scroll };
    }

    /// Scrolls the text of the chosen finding by a page; false at its end.
    pub(super) fn scroll_problem(&mut self, by: i32) -> bool {
        // A mark covers one of the lines that are seen.
        let size = TextSize { lines: self.text.lines.saturating_sub(1), page: self.text.page.saturating_sub(1) };
        let key = Key::plain(if by < 0 { Code::PageUp } else { Code::PageDown });
        let to = scrolled(key, self.problems.below, size).unwrap_or(0);
        std::mem::replace(&mut self.problems.below, to) != to
    }

    /// The survey that is wanted: of everything if the screen needs one, of waits if a search runs in the background.
    #[must_use]
    pub fn wants_survey(&self) -> Option<Scope> {
        if self.paused || !self.is_of_this_machine() {
            return None;
        }
        let on_screen = self.screen == Screen::Problems || self.needs_survey();
        if on_screen { Some(Scope::Everything) } else { self.problems.search.is_on().then_some(Scope::Waits) }
    }

    fn needs_survey(&self) -> bool {
        (self.needs_of_all() | self.needs_of_visible()).contains(Needs::SURVEY)
    }

    fn has_deadlock(&self) -> bool {
        self.findings.iter().any(|finding| finding.diagnosis.is_of_waits())
    }

    /// Takes a survey in. Its findings come with the next sample.
    pub(super) fn surveyed(&mut self, facts: Result<Arc<Facts>, String>) -> Vec<Effect> {
        let wanted = self.wants_survey();
        if wanted.is_none() || facts.as_ref().is_ok_and(|facts| wanted != Some(facts.scope)) {
            return Vec::new();
        }
        self.problems.search.surveyed(facts.as_ref().map_or(0, |facts| facts.cost_ns));
        match facts {
            Ok(facts) => (self.problems.facts, self.problems.failed) = (Some(facts), None),
            Err(why) => self.problems.failed = Some(why),
        }
        vec![Effect::Resample]
    }

    /// A survey is of its moment: what it found is forgotten some time after the screen is left. Until then the rows that it leads to are
    /// marked. A deadlock is searched for again.
    pub(super) fn keep_survey(&mut self) {
        let now_ns = self.now_ns;
        let old = |facts: &Arc<Facts>| now_ns.saturating_sub(facts.taken_ns) > KEPT_NS;
        if self.wants_survey().is_none() && self.problems.facts.as_ref().is_some_and(old) {
            if self.options.find_deadlocks && self.has_deadlock() {
                self.problems.search.begin(now_ns);
            } else {
                self.problems.facts = None;
            }
        }
    }

    /// Begins and ends the search in the background, by a sample whose findings are known.
    pub(super) fn search_deadlocks(&mut self, model: &Model) {
        if !self.options.find_deadlocks || !self.is_of_this_machine() {
            return;
        }
        let found = self.has_deadlock();
        // What a survey of everything found marks rows for some time yet.
        if self.problems.facts.as_ref().is_some_and(|facts| facts.scope == Scope::Everything) && !self.problems.search.is_on() {
            return;
        }
        if self.wants_survey() == Some(Scope::Everything) {
            self.problems.search.end(model.now.taken_ns);
        } else if self.problems.search.sampled(model, found) {
            self.problems.facts = None;
        }
    }

    /// Says once of a deadlock that was found while another screen is open what it is, and where it is explained.
    pub(super) fn announce_deadlocks(&mut self) {
        let deadlocks = || self.findings.iter().filter(|finding| finding.diagnosis.is_of_waits());
        let known: Vec<FindingName> = deadlocks().map(Finding::name).collect();
        let new = deadlocks().find(|finding| !self.problems.announced.contains(&finding.name()));
        let words = new.map(|finding| format!("{} ({}): screen 6 says more", finding.diagnosis.title, self.name_of(finding)));
        self.problems.announced.retain(|name| known.contains(name));
        if self.screen == Screen::Problems {
            self.problems.announced = known;
        } else if let Some(words) = words.filter(|_| self.notice.is_none()) {
            self.problems.announced = known;
            self.tell(Notice::info(words));
        }
    }

    /// The name and number of a finding's process; an interpreter has the name of its script. Any bytes: sanitise before drawing.
    #[must_use]
    pub fn name_of(&self, finding: &Finding) -> String {
        let process = self.model.as_deref().and_then(|model| model.process(finding.about.pid));
        let name = process.map(|process| process.identity.script().unwrap_or(process.leader.comm.as_bytes()));
        format!("{} {}", String::from_utf8_lossy(name.unwrap_or_default()), finding.about.pid)
    }

    pub(super) fn problem_key(&mut self, key: ProblemKey) -> Vec<Effect> {
        let Some(finding) = self.problem().cloned() else {
            self.tell(Notice::info("no problem is listed"));
            return Vec::new();
        };
        if key == ProblemKey::Copy {
            let stacks = self.problems.stacks(&finding).map_or_else(Vec::new, |kept| kept.lines.clone());
            let head = vec![finding.diagnosis.title.to_owned(), finding.evidence];
            let text = [head, finding.lines, vec![finding.advice], stacks].concat();
            let text: Vec<String> = text.iter().map(|line| sanitize(line.as_bytes(), Charset::Unicode).into_owned()).collect();
            return self.copy_text(text.join("\n"), "the problem");
        }
        if finding.about == MACHINE {
            self.tell(Notice::info("this problem has no single process"));
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::msg::{Command, Msg};
    use crate::app::options::Options;
    use crate::diagnose::DIAGNOSES;
    use crate::snapshot::ProcKey;

    fn finding(about: ProcKey, others: &[i32]) -> Finding {
        Finding {
            diagnosis: &DIAGNOSES[0],
            about,
            others: others.iter().map(|pid| ProcKey { pid: *pid, start_ticks: 1 }).collect(),
            evidence: "7 waits for 8".into(),
            advice: "End it.".into(),
            lines: Vec::new(),
            chain: None,
            since_ns: 0,
            since_known: true,
        }
    }

    #[test]
    fn page_down_reads_the_text_to_its_end_and_goes_on_in_the_list() {
        let mut app = App::new(Options::default());
        let key = |pid| ProcKey { pid, start_ticks: 1 };
        app.findings = vec![finding(key(7), &[]), finding(key(8), &[])];
        (app.screen, app.problems.page, app.text) = (Screen::Problems, 2, TextSize { lines: 25, page: 10 });
        let mut down = |by| {
            app.run(Command::Page(by));
            (app.problem_at(), app.problems.below)
        };
        assert_eq!([down(1), down(1), down(1)], [(0, 8), (0, 15), (1, 0)]);
        assert_eq!([down(1), down(-1), down(-1)], [(1, 8), (1, 0), (0, 0)]);
    }

    #[test]
    fn a_deadlock_is_announced_once_while_another_screen_is_open() {
        let mut app = App::new(Options::default());
        let key = |pid| ProcKey { pid, start_ticks: 1 };
        app.findings = vec![finding(key(7), &[])];
        let said = |app: &mut App| {
            app.announce_deadlocks();
            app.notice.take().map(|(notice, _)| notice.text)
        };
        let words = said(&mut app).unwrap();
        assert!(words.contains("7): screen 6") && words.starts_with(DIAGNOSES[0].title), "{words}");
        assert_eq!(said(&mut app), None, "again");
        app.findings.push(finding(key(8), &[]));
        app.screen = Screen::Problems;
        assert_eq!(said(&mut app), None, "it is on screen");
        app.screen = Screen::Processes;
        assert_eq!(said(&mut app), None, "it was seen");
        app.findings.clear();
        assert_eq!(said(&mut app), None);
        app.findings.push(finding(key(8), &[]));
        assert!(said(&mut app).is_some(), "it is another one of the same kind, or the same once more");
    }

    #[test]
    fn what_was_found_marks_rows_for_a_minute_after_the_screen_was_left() {
        let mut app = App::new(Options::default());
        app.problems.facts = Some(Arc::new(Facts { taken_ns: 5_000_000_000, ..Facts::default() }));
        app.screen = Screen::Processes;
        let mut kept = |at_s: u64| {
            app.now_ns = at_s * 1_000_000_000;
            app.keep_survey();
            app.problems.facts.is_some()
        };
        assert_eq!([kept(6), kept(65), kept(66)], [true, true, false]);
    }

    #[test]
    fn stacks_are_read_once_when_a_problem_is_found_and_go_with_it() {
        let mut app = App::new(Options::default());
        let key = ProcKey { pid: 7, start_ticks: 1 };
        app.findings = vec![finding(MACHINE, &[]), finding(key, &[8, 9, 10, 11])];
        let Some(Effect::ReadStacks { problem, keys }) = app.ask_stacks() else { panic!("nothing is read") };
        assert_eq!(problem, app.findings[1].name());
        assert_eq!(keys.iter().map(|key| key.pid).collect::<Vec<_>>(), [7, 8, 9, 10], "so many at most");
        assert_eq!(app.ask_stacks(), None, "the machine has no stack, and the other one is asked");
        assert_eq!(app.problems.stacks(&app.findings[1]), None, "not read yet");
        app.update(Msg::Stacks { problem, taken_ns: 5, lines: vec!["thread 7: main a.py:3".into()] });
        assert_eq!(app.problems.stacks(&app.findings[1]).map(|kept| kept.taken_ns), Some(5));
        assert_eq!(app.ask_stacks(), None);
        // Once it is gone, so are they: the same problem later has stacks of its own.
        let found = std::mem::take(&mut app.findings);
        assert_eq!(app.ask_stacks(), None);
        app.findings = found;
        assert!(app.problems.stacks(&app.findings[1]).is_none() && app.ask_stacks().is_some());
        app.paused = true;
        assert_eq!(app.ask_stacks(), None);
    }
}
