//! Slow work of the lab's Python side, on separate threads: finding interpreters and making environments. Runs that wait for them start
//! afterwards; keys are answered in the meantime.

use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::lab::catalog::{self, RunSpec};
use crate::lab::python::environment::{self, Setup, SetupError, Stop};
use crate::lab::python::{self, Discovery, Interpreter};

/// What the threads report.
#[derive(Debug)]
pub(super) enum News {
    /// The interpreters of this machine.
    Found(Arc<Discovery>),
    /// How far a set-up is, in words.
    Step(String),
    /// A set-up has ended; why it failed, if it did.
    Ended(Result<(), SetupError>),
}

/// The threads, and the runs that wait for them.
pub(super) struct Pythons {
    configured: Vec<PathBuf>,
    /// Nothing is started, not even an interpreter to ask for its version.
    readonly: bool,
    tell: UnboundedSender<News>,
    looking: bool,
    setting_up: Option<Work>,
    waiting: Vec<RunSpec>,
}

/// A set-up at work; dropping this stops it.
struct Work {
    stop: Arc<Stop>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Work {
    fn drop(&mut self) {
        self.stop.stop();
        if let Some(thread) = self.thread.take() {
            // It removes what it has begun, which takes no longer than removing files does.
            let _ = thread.join();
        }
    }
}

impl Pythons {
    /// With the interpreters that the configuration names, and where the news come.
    pub(super) fn new(configured: Vec<PathBuf>, readonly: bool) -> (Self, UnboundedReceiver<News>) {
        let (tell, news) = unbounded_channel();
        (Self { configured, readonly, tell, looking: false, setting_up: None, waiting: Vec::new() }, news)
    }

    /// A run that cannot be launched before the next [`News::Found`].
    pub(super) fn wait(&mut self, spec: RunSpec) {
        self.waiting.push(spec);
        self.look();
    }

    /// The runs that have waited.
    pub(super) fn waited(&mut self) -> Vec<RunSpec> {
        self.looking = false;
        std::mem::take(&mut self.waiting)
    }

    /// Looks for interpreters, unless a search is on: it takes some tenths of a second.
    pub(super) fn look(&mut self) {
        if std::mem::replace(&mut self.looking, true) {
            return;
        }
        let (tell, configured, readonly) = (self.tell.clone(), self.configured.clone(), self.readonly);
        let looking = std::thread::Builder::new().name("lab-pythons".into()).spawn(move || {
            // The receiver may be gone.
            let found = if readonly { python::listed(&configured) } else { python::interpreters(&configured) };
            let _ = tell.send(News::Found(found));
        });
        self.looking = looking.is_ok();
    }

    /// Sets up the environment that would let this run be launched; false if none would. The run waits for it.
    pub(super) fn set_up_for(&mut self, spec: &RunSpec, found: &Arc<Discovery>) -> bool {
        let remedy = catalog::find(&spec.system).and_then(|system| environment::remedy(system, found));
        let (Some(interpreter), None, Some(home)) = (remedy.cloned(), &spec.python, python::environment_home()) else {
            return false;
        };
        if self.setting_up.is_none() {
            self.setting_up = self.start(interpreter, home, Arc::clone(found));
        }
        let begun = self.setting_up.is_some();
        if begun {
            self.waiting.push(spec.clone());
        }
        begun
    }

    fn start(&self, interpreter: Interpreter, home: PathBuf, found: Arc<Discovery>) -> Option<Work> {
        let stop = Arc::new(Stop::default());
        let (tell, theirs) = (self.tell.clone(), Arc::clone(&stop));
        let work = move || {
            let mut progress = |step: environment::Step| {
                let words = format!("packages for Python {} (once): {}; X stops it", interpreter.short(), step.words());
                let _ = tell.send(News::Step(words));
            };
            let setup = Setup { home: &home, interpreter: &interpreter, found: &found, progress: &mut progress, stop: &theirs };
            let ended = setup.run().map(|_| ());
            let _ = tell.send(News::Ended(ended));
        };
        let thread = std::thread::Builder::new().name("lab-setup".into()).spawn(work).ok()?;
        Some(Work { stop, thread: Some(thread) })
    }

    /// A set-up has ended; where it has failed, the runs that waited for it are dropped.
    pub(super) fn set_up_ended(&mut self, well: bool) {
        self.setting_up = None;
        if well {
            python::look_again();
            self.look();
        } else {
            self.waiting.clear();
        }
    }

    /// Stops a set-up; whether there was one.
    pub(super) fn stop(&mut self) -> bool {
        match &self.setting_up {
            Some(work) => {
                work.stop.stop();
                true
            }
            None => false,
        }
    }
}
