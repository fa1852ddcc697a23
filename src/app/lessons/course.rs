//! The runs of a lesson, one after the other: which is next, what is read off each, and the verdict at the end.

use crate::lab::catalog::RunSpec;
use crate::lab::lessons::{After, Figures, LESSONS, Lesson, Seen};
use crate::lab::measure;
use crate::lab::run::{FamilyMember, Outcome, Run, RunId, RunPhase};
use crate::snapshot::ProcKey;

use super::{App, Effect, Learned, Notice};

/// A lesson at work.
#[derive(Debug)]
pub(super) struct Course {
    lesson: usize,
    guess: Option<usize>,
    /// Whether native twins run; `None` before it is known which interpreters there are.
    twins: Option<bool>,
    /// Acts left, by index.
    left: Vec<usize>,
    all: usize,
    current: Option<Current>,
    /// Points by index of the reading.
    points: Vec<Vec<f64>>,
    /// The newest run.
    pub(super) shown: Option<RunId>,
}

/// The run that was asked for.
#[derive(Debug)]
struct Current {
    act: usize,
    spec: RunSpec,
    /// The least number that it can have.
    least: RunId,
    run: Option<RunId>,
    family: Vec<FamilyMember>,
    sent: Option<Sent>,
}

/// A signal of the lesson on its way.
#[derive(Debug)]
struct Sent {
    token: u64,
    pids: Vec<i32>,
    /// Boot nanoseconds of the newest sample when it was sent, and of the first sample after that.
    before_ns: u64,
    at_ns: Option<u64>,
}

/// How far a course is, for the screen.
#[derive(Debug)]
pub struct Progress {
    /// Index of the answer that was guessed.
    pub guess: Option<usize>,
    /// What runs now.
    pub doing: Doing,
    /// Runs done, and runs in all.
    pub done: (usize, usize),
    /// Figures so far.
    pub figures: Figures,
    /// Whether the user's signal has been sent; `None` if this act has none.
    pub sent: Option<bool>,
}

/// What a lesson does at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doing {
    /// It waits until the Python interpreters are known.
    Looking,
    /// An act runs: its index.
    Act(usize),
}

impl Course {
    fn new(lesson: usize, guess: Option<usize>) -> Self {
        let acts = LESSONS[lesson].acts;
        // Interleaved: every round runs all acts once, so that a busy machine disturbs all alike.
        let rounds = acts.iter().map(|act| act.rounds).max().unwrap_or(1);
        let order = (0..rounds).flat_map(|round| (0..acts.len()).filter(move |act| round < acts[*act].rounds));
        let left: Vec<usize> = order.collect();
        let readings = LESSONS[lesson].readings().count();
        Self { lesson, guess, twins: None, all: left.len(), left, current: None, points: vec![Vec::new(); readings], shown: None }
    }

    fn entry(&self) -> &'static Lesson {
        &LESSONS[self.lesson]
    }

    pub(super) fn progress(&self) -> Progress {
        let running = usize::from(self.current.is_some());
        let deed = self.current.as_ref().filter(|c| self.entry().acts[c.act].deed.is_some());
        Progress {
            guess: self.guess,
            doing: self.current.as_ref().map_or(Doing::Looking, |current| Doing::Act(current.act)),
            done: (self.all.saturating_sub(self.left.len() + running), self.all),
            figures: self.figures(0),
            sent: deed.map(|current| current.sent.is_some()),
        }
    }

    /// The medians of the points so far.
    fn figures(&self, cpus: usize) -> Figures {
        let named = self.entry().readings().zip(&self.points);
        let values = named.filter_map(|((_, reading), points)| Some((reading.name, measure::summary(points)?.median))).collect();
        Figures { values, cpus, twins: self.twins.unwrap_or(false) }
    }

    /// Keeps what a run showed.
    fn read(&mut self, act: usize, seen: &Seen<'_>) {
        let before: usize = self.entry().acts[..act].iter().map(|act| act.reads.len()).sum();
        for (at, reading) in self.entry().acts[act].reads.iter().enumerate() {
            if let (Some(value), Some(points)) = ((reading.of)(seen), self.points.get_mut(before + at)) {
                points.push(value);
            }
        }
    }
}

/// Whether a run is of what was asked for; what was left open the launcher has filled in.
fn is_of(run: &Run, asked: &RunSpec) -> bool {
    let ran = &run.spec;
    let filled = RunSpec {
        python: asked.python.clone().or_else(|| ran.python.clone()),
        start_method: asked.start_method.or(ran.start_method),
        ..asked.clone()
    };
    filled == *ran
}

impl App {
    pub(super) fn begin_lesson(&mut self, guess: Option<usize>) -> Vec<Effect> {
        if self.options.readonly {
            self.tell(Notice::bad("off with --readonly: a lesson starts processes"));
            return Vec::new();
        }
        self.lessons.course = Some(Course::new(self.lessons.at, guess));
        let needs_python = self.lessons.chosen().acts.iter().any(|act| act.system.starts_with("python/"));
        if needs_python && self.lab.interpreters.is_none() {
            return vec![Effect::Discover];
        }
        self.step_lesson()
    }

    /// Gives the course up and stops its run.
    pub(super) fn leave_course(&mut self) -> Vec<Effect> {
        let Some(course) = self.lessons.course.take() else { return Vec::new() };
        course.current.and_then(|current| current.run).map(Effect::Stop).into_iter().collect()
    }

    fn fail_lesson(&mut self, why: String) -> Vec<Effect> {
        let effects = self.leave_course();
        self.lessons.failed = Some(why);
        effects
    }

    /// A run could not be launched: the course that asked for it ends. Returns whether there was one.
    pub(in crate::app) fn lesson_not_launched(&mut self, spec: &RunSpec, why: &str) -> bool {
        let current = self.lessons.course.as_ref().and_then(|course| course.current.as_ref());
        let ours = current.is_some_and(|current| current.run.is_none() && current.spec == *spec);
        if ours {
            self.fail_lesson(why.to_owned());
        }
        ours
    }

    /// Runs or interpreters have changed: reads what has ended, and launches what is next.
    pub(in crate::app) fn step_lesson(&mut self) -> Vec<Effect> {
        let Some(course) = self.lessons.course.as_mut() else { return Vec::new() };
        if let Some(current) = course.current.as_mut() {
            let runs = &self.lab.state.runs;
            let found = match current.run {
                Some(id) => runs.iter().find(|run| run.id == id),
                None => runs.iter().find(|run| run.id >= current.least && !run.id.is_compared() && is_of(run, &current.spec)),
            };
            let Some(run) = found.cloned() else { return Vec::new() };
            current.run = Some(run.id);
            course.shown = Some(run.id);
            // A family that is being ended shrinks: the largest counts.
            if run.family.len() >= current.family.len() && !run.ended() {
                current.family.clone_from(&run.family);
            }
            return self.watch_run(&run);
        }
        self.launch_next()
    }

    fn watch_run(&mut self, run: &Run) -> Vec<Effect> {
        let now_ns = self.lesson_now();
        let Some(course) = self.lessons.course.as_mut() else { return Vec::new() };
        let Some(current) = course.current.as_mut() else { return Vec::new() };
        if let Some(sent) = current.sent.as_mut().filter(|sent| sent.at_ns.is_none() && now_ns > sent.before_ns) {
            // What is older than the signal shows nothing of it.
            sent.at_ns = Some(now_ns);
        }
        let act = &LESSONS[course.lesson].acts[current.act];
        let after = match (&act.deed, &current.sent) {
            (Some(deed), Some(sent)) if sent.at_ns.is_some_and(|at| now_ns >= at.saturating_add(deed.watched_ns)) => {
                self.stories.after(run, &sent.pids, &current.family)
            }
            // It ends when the user's signal has been watched for long enough.
            (Some(_), Some(_)) => return Vec::new(),
            (Some(_), None) if run.ended() => {
                return self.fail_lesson("the run ended before a signal was sent; r asks again".to_owned());
            }
            _ if !run.ended() => return Vec::new(),
            _ => After::default(),
        };
        if act.deed.is_none()
            && let Some(why) = went_wrong(run)
            && !act.optional
        {
            return self.fail_lesson(why);
        }
        let Some(current) = course.current.take() else { return Vec::new() };
        course.read(current.act, &Seen { run, family: &current.family, after });
        let mut effects: Vec<Effect> = (!run.ended()).then_some(Effect::Stop(run.id)).into_iter().collect();
        effects.extend(self.launch_next());
        effects
    }

    /// Launches the next act, or states the verdict.
    fn launch_next(&mut self) -> Vec<Effect> {
        let missing = |app: &Self, twins: bool| {
            let lesson = app.lessons.chosen();
            let needed = lesson.acts.iter().filter(|act| !act.optional).filter_map(|act| act.system(twins));
            needed.filter(|system| !app.lab.can_be_set_up(system)).find_map(|system| app.lab.unavailable(system))
        };
        if self.lessons.course.as_ref().is_some_and(|course| course.twins.is_none()) {
            let twins = match missing(self, false) {
                None => false,
                Some(_) if self.lessons.chosen().has_twins() => true,
                Some(why) => return self.fail_lesson(why),
            };
            if let Some(course) = self.lessons.course.as_mut() {
                course.twins = Some(twins);
            }
        }
        loop {
            let Some(course) = self.lessons.course.as_mut() else { return Vec::new() };
            if course.left.is_empty() {
                return self.conclude();
            }
            let (at, twins) = (course.left.remove(0), course.twins.unwrap_or(false));
            let act = &course.entry().acts[at];
            let Some(system) = act.system(twins) else { continue };
            let spec = act.spec(system, self.lab.spec_of(system));
            let other_work = act.own_work && spec.task != self.lab.spec().task;
            if act.optional && (other_work || self.lab.unavailable(system).is_some()) {
                continue;
            }
            if system.on_python() && self.lab.interpreters.is_none() {
                course.left.insert(0, at);
                return vec![Effect::Discover];
            }
            let least = self.lab.next_id();
            course.current = Some(Current { act: at, spec: spec.clone(), least, run: None, family: Vec::new(), sent: None });
            return vec![Effect::Launch(spec)];
        }
    }

    fn conclude(&mut self) -> Vec<Effect> {
        let cpus = self.model.as_deref().map_or(1, |model| model.host.cpus.len());
        let Some(course) = self.lessons.course.take() else { return Vec::new() };
        let figures = course.figures(cpus);
        let Some(verdict) = (course.entry().verdict)(&figures) else {
            let missing = course.entry().readings().find(|(_, reading)| figures.get(reading.name).is_none());
            let name = missing.map_or("a figure", |(_, reading)| reading.name);
            return self
                .fail_lesson(format!("the runs did not show everything that decides it: {name} is missing; r asks again"));
        };
        let learned = Learned { guess: course.guess, verdict, figures, run: course.shown };
        if let Some(place) = self.lessons.learned.get_mut(course.lesson) {
            *place = Some(learned);
        }
        Vec::new()
    }

    /// Sends the lesson's signal.
    pub(super) fn do_deed(&mut self) -> Vec<Effect> {
        let (token, now_ns) = (self.token + 1, self.lesson_now());
        let Some((current, lesson)) = self.lessons.course.as_mut().and_then(|c| Some((c.current.as_mut()?, c.lesson))) else {
            self.tell(Notice::info("this key sends the signal of a lesson that has one, while it runs"));
            return Vec::new();
        };
        let Some(deed) = LESSONS[lesson].acts[current.act].deed.filter(|_| current.sent.is_none()) else {
            self.tell(Notice::info("no signal is to be sent now"));
            return Vec::new();
        };
        let run = current.run.and_then(|id| self.lab.state.run(id));
        let pids = run.map(|run| (deed.to)(run)).unwrap_or_default();
        let keys: Option<Vec<ProcKey>> =
            pids.iter().map(|pid| self.model.as_deref()?.process(*pid).map(|process| process.key)).collect();
        match keys.filter(|keys| !keys.is_empty()) {
            Some(keys) => {
                current.sent = Some(Sent { token, pids, before_ns: now_ns, at_ns: None });
                self.token = token;
                vec![Effect::Freeze { token, keys }]
            }
            None => {
                self.tell(Notice::info("its processes are not all there yet: press it again"));
                vec![Effect::Resample]
            }
        }
    }

    /// The targets of a lesson's signal are held: it is sent.
    pub(in crate::app) fn lesson_frozen(&self, token: u64) -> Vec<Effect> {
        let current = self.lessons.course.as_ref().and_then(|course| Some((course.current.as_ref()?, course.lesson)));
        let Some((current, lesson)) = current.filter(|(c, _)| c.sent.as_ref().is_some_and(|sent| sent.token == token)) else {
            return Vec::new();
        };
        let Some(deed) = LESSONS[lesson].acts[current.act].deed else { return Vec::new() };
        let (signal, name) = deed.signal;
        vec![Effect::Signal { token, signal, name: name.to_owned() }, Effect::Thaw { token }]
    }

    /// Boot nanoseconds of the newest sample.
    fn lesson_now(&self) -> u64 {
        self.model.as_ref().map_or(0, |model| model.now.taken_ns).max(self.now_ns)
    }
}

/// Why a run did not do its work.
fn went_wrong(run: &Run) -> Option<String> {
    let system = &run.spec.system;
    match &run.phase {
        RunPhase::Ended(Outcome::Failed(why)) => {
            Some(format!("{system} failed: {}", why.lines().next().unwrap_or("no reason given")))
        }
        RunPhase::Ended(Outcome::TimedOut) => Some(format!("{system} took too long and was ended")),
        RunPhase::Ended(Outcome::Stopped) => Some(format!("{system} was stopped; r asks again")),
        _ => None,
    }
}
