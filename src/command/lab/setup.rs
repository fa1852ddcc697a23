//! `concmon lab setup`: makes the managed environments and reports progress.

use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::signal::unix::{SignalKind, signal};

use crate::command::output::to_stderr;
use crate::lab::catalog::System;
use crate::lab::python::environment::{self, Lock, Setup, SetupError, Step, Stop};
use crate::lab::python::{self, Discovery, Interpreter, Origin};
use crate::text::{Charset, sanitize_str};

use super::Ended;

/// Makes the environment of one interpreter, or of the newest of each version.
#[must_use]
pub fn setup(named: Option<&Path>, all: bool, pythons: &[PathBuf]) -> Ended {
    let found = python::interpreters(pythons);
    let wanted = match wanted(named, all, &found) {
        Ok(wanted) => wanted,
        Err((why, ended)) => {
            say(&format!("concmon: {why}"));
            return ended;
        }
    };
    let Some(home) = python::environment_home() else {
        say(&format!("concmon: {}", SetupError::NoHome));
        return Ended::Unavailable;
    };
    let mut ended = Ended::Done;
    for interpreter in &wanted {
        match one(&home, interpreter, &found) {
            Ok(()) => {}
            Err(SetupError::Stopped) => {
                say(&format!("concmon: Python {}: {}", interpreter.release, SetupError::Stopped));
                return Ended::Failed;
            }
            Err(error) => {
                ended = if error.is_unavailable() { Ended::Unavailable } else { Ended::Failed };
                say(&format!("concmon: Python {}: {error}", interpreter.release));
            }
        }
    }
    ended
}

/// The interpreters to make an environment for.
fn wanted(named: Option<&Path>, all: bool, found: &Discovery) -> Result<Vec<Interpreter>, (String, Ended)> {
    if let Some(named) = named {
        let path = python::resolve(named, &[], found).map_err(|why| (why, Ended::BadUsage))?;
        let known = found.interpreters.iter().find(|i| i.path == path).cloned();
        let interpreter = known.map_or_else(|| python::probe(&path, Origin::Named), Ok);
        return interpreter
            .map(|i| vec![i])
            .map_err(|r| (format!("{} cannot run the lab: {}", r.path.display(), r.why), Ended::Unavailable));
    }
    let mut able: Vec<Interpreter> = environment::default_interpreter(found).cloned().into_iter().collect();
    if all {
        let others = found.interpreters.iter().filter(|i| i.origin != Origin::Managed && Lock::of(i).is_some());
        able = others.cloned().collect();
        able.sort_by_key(|i| std::cmp::Reverse(i.version));
        let mut seen = std::collections::HashSet::new();
        able.retain(|i| seen.insert(i.short()));
    }
    if able.is_empty() {
        return Err((SetupError::NoLock("(no interpreter found has one)".to_owned()).to_string(), Ended::Unavailable));
    }
    Ok(able)
}

/// Makes the environment that a run needs, if that is all it needs; whether it is there now.
pub(super) fn for_first_use(system: &System, found: &Discovery) -> bool {
    let (Some(interpreter), Some(home)) = (environment::remedy(system, found), python::environment_home()) else { return false };
    say(&format!("{} needs packages: setting up their environment (once)", system.id));
    match one(&home, interpreter, found) {
        Ok(()) => {
            python::look_again();
            true
        }
        Err(error) => {
            say(&format!("concmon: Python {}: {error}", interpreter.release));
            false
        }
    }
}

/// Makes one, on another thread, so that Ctrl-C can be heard here.
fn one(home: &Path, interpreter: &Interpreter, found: &Discovery) -> Result<(), SetupError> {
    let stop = Arc::new(Stop::default());
    let io = |what: &str| {
        let what = what.to_owned();
        move |source| SetupError::Io { what, source }
    };
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(io("cannot start the event loop"))?;
    let mut line = ProgressLine::new(interpreter);
    let (tell, ended) = tokio::sync::oneshot::channel();
    let made = std::thread::scope(|scope| {
        let at_work = scope.spawn(|| {
            let mut progress = |step: Step| line.show(&step);
            let made = Setup { home, interpreter, found, progress: &mut progress, stop: &stop }.run();
            // The other side listens until this arrives.
            let _ = tell.send(());
            made
        });
        runtime.block_on(until_stopped(ended, &stop));
        at_work.join().unwrap_or(Err(SetupError::Stopped))
    });
    line.end();
    let (dir, new) = made?;
    let done = if new { "ready" } else { "already complete" };
    say(&format!("Python {}: {} is {done}", interpreter.release, dir.display()));
    Ok(())
}

/// Waits for the end of the work, and passes on what would end concmon.
async fn until_stopped(mut ended: tokio::sync::oneshot::Receiver<()>, stop: &Stop) {
    let signals = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()].map(signal);
    let [Ok(mut int), Ok(mut term), Ok(mut hup)] = signals else { return };
    loop {
        tokio::select! {
            _ = &mut ended => return,
            _ = int.recv() => stop.stop(),
            _ = term.recv() => stop.stop(),
            _ = hup.recv() => stop.stop(),
        }
    }
}

/// One line that is written over, on a terminal; elsewhere nothing until the end.
struct ProgressLine {
    python: String,
    terminal: bool,
    shown: bool,
}

impl ProgressLine {
    fn new(interpreter: &Interpreter) -> Self {
        Self { python: interpreter.release.clone(), terminal: std::io::stderr().is_terminal(), shown: false }
    }

    fn show(&mut self, step: &Step) {
        if !self.terminal {
            return;
        }
        let words = step.words();
        let _ = write!(std::io::stderr(), "\r\x1b[KPython {}: {}", self.python, sanitize_str(&words, Charset::Unicode));
        self.shown = true;
    }

    fn end(&self) {
        if self.shown {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}

/// To standard error: it is no result that a script would read.
fn say(text: &str) {
    to_stderr(&format!("{}\n", sanitize_str(text, Charset::Unicode)));
}
