//! The managed environment: a virtual environment per Python version in the user's data directory, made from a lock in this binary. It is
//! built in a temporary directory and moved into place when it is complete.

use std::fs::{self, File, TryLockError};
use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use super::discover::Discovery;
use super::probe::{Interpreter, Origin, probe};
use crate::lab::catalog::{System, python_program};
use crate::lab::guard;

/// What an environment was made from is kept in it under this name.
const STAMP: &str = "concmon-lock.txt";
/// Where environments are built: hidden, so that none looks finished before it is.
const WORKSHOP: &str = ".building";
/// Temporary files of the programs that build, in the workshop: a pip that is killed leaves its own behind.
const SCRATCH: &str = "tmp";
/// What is kept of the words of a pip that failed, bytes.
const WORDS_MOST: usize = 64 * 1024;

/// Packages with the hashes of their wheels, for one version of Python.
#[derive(Debug, Clone, Copy)]
pub struct Lock {
    /// `3.13`, `3.14t`.
    pub version: &'static str,
    /// In the format of pip's requirements files.
    pub text: &'static str,
}

/// Every lock; made by `assets/python/locks/update`.
pub const LOCKS: &[Lock] = &[
    Lock { version: "3.11", text: include_str!("../../../assets/python/locks/3.11.txt") },
    Lock { version: "3.12", text: include_str!("../../../assets/python/locks/3.12.txt") },
    Lock { version: "3.13", text: include_str!("../../../assets/python/locks/3.13.txt") },
    Lock { version: "3.13t", text: include_str!("../../../assets/python/locks/3.13t.txt") },
    Lock { version: "3.14", text: include_str!("../../../assets/python/locks/3.14.txt") },
    Lock { version: "3.14t", text: include_str!("../../../assets/python/locks/3.14t.txt") },
];

impl Lock {
    /// The lock for an interpreter.
    #[must_use]
    pub fn of(interpreter: &Interpreter) -> Option<&'static Self> {
        LOCKS.iter().find(|l| l.version == interpreter.short())
    }

    /// Name and version of each package.
    pub fn packages(&self) -> impl Iterator<Item = (&'static str, &'static str)> + use<> {
        self.text.lines().filter(|l| !l.starts_with(['#', ' '])).filter_map(|l| l.trim_end_matches(['\\', ' ']).split_once("=="))
    }
}

/// How an environment is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// There is none.
    Missing,
    /// It was made from another lock than this binary's, or its interpreter has gone.
    Outdated,
    /// It is as the lock says.
    Ready,
}

/// Where the environment for a lock is, and how it is.
#[must_use]
pub fn state(home: &Path, lock: &Lock) -> (PathBuf, State) {
    let dir = home.join(lock.version);
    let state = match fs::read_to_string(dir.join(STAMP)) {
        Ok(stamp) if stamp == lock.text && dir.join("bin/python3").exists() => State::Ready,
        Ok(_) => State::Outdated,
        Err(_) if dir.exists() => State::Outdated,
        Err(_) => State::Missing,
    };
    (dir, state)
}

/// Why there is no environment; nothing is left behind.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// Neither a home nor a data directory.
    #[error("no directory for the environment: HOME and XDG_DATA_HOME are not set")]
    NoHome,
    /// No lock for this version.
    #[error("there is no lock for Python {0}; there are locks for {all}", all = LOCKS.iter().map(|l| l.version).collect::<Vec<_>>().join(", "))]
    NoLock(String),
    /// Another set-up is at work.
    #[error("another `concmon lab setup` is running in {0}; wait for it to end")]
    Busy(PathBuf),
    /// Nothing that installs packages.
    #[error(
        "pip was not found: install it for {0} (e.g. `{0} -m ensurepip --user`, or your distribution's python3-pip), or install uv"
    )]
    NoInstaller(PathBuf),
    /// The installer did not get what it should.
    #[error(
        "{what}: {why}; set-up needs the package index, or another source in PIP_INDEX_URL or PIP_FIND_LINKS; partial files were removed"
    )]
    NotFetched {
        /// What was being done.
        what: String,
        /// The installer's own words.
        why: String,
    },
    /// The installer, or Python's venv, failed otherwise.
    #[error("{what}: {why}; partial files were removed")]
    Failed {
        /// What was being done.
        what: String,
        /// The program's own words.
        why: String,
    },
    /// What was installed does not work.
    #[error("the new environment does not work: {0}; partial files were removed")]
    Broken(String),
    /// Files or processes.
    #[error("{what}: {source}; partial files were removed")]
    Io {
        /// What was tried.
        what: String,
        /// Why it failed.
        source: std::io::Error,
    },
    /// The user has stopped it.
    #[error("stopped; partial files were removed")]
    Stopped,
}

impl SetupError {
    /// Whether this machine, as it is, cannot have the environment; otherwise something failed on the way.
    #[must_use]
    pub fn is_unavailable(&self) -> bool {
        matches!(self, Self::NoHome | Self::NoLock(_) | Self::NoInstaller(_) | Self::NotFetched { .. })
    }
}

fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> SetupError {
    let what = what.into();
    move |source| SetupError::Io { what, source }
}

/// How far a set-up is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// The bare environment is being made.
    Creating,
    /// Package number `done + 1` of `all` is being fetched.
    Fetching {
        /// Its name.
        package: String,
        /// Packages fetched.
        done: usize,
        /// Packages in all.
        all: usize,
    },
    /// Everything is there and is being put in place.
    Installing,
    /// What was installed is being tried.
    Checking,
}

impl Step {
    /// In words, for a line that is written over.
    #[must_use]
    pub fn words(&self) -> String {
        match self {
            Self::Creating => "making the environment".to_owned(),
            Self::Fetching { package, done, all } => format!("[{:>2}/{all}] {package}", done + 1),
            Self::Installing => "installing".to_owned(),
            Self::Checking => "checking that everything can be imported".to_owned(),
        }
    }
}

/// The interpreter that an environment is made for if the user names none: the first that there is a lock for. An environment is made
/// from an interpreter, not from another environment.
#[must_use]
pub fn default_interpreter(found: &Discovery) -> Option<&Interpreter> {
    found.interpreters.iter().find(|i| i.origin != Origin::Managed && Lock::of(i).is_some())
}

/// The interpreter whose environment would make a system available that is not; `None` if no environment would.
#[must_use]
pub fn remedy<'a>(system: &System, found: &'a Discovery) -> Option<&'a Interpreter> {
    let program = python_program(system.id).filter(|p| !p.packages.is_empty())?;
    super::availability(system, found)?;
    let interpreter = default_interpreter(found)?;
    let lock = Lock::of(interpreter)?;
    program.packages.iter().all(|wanted| lock.packages().any(|(name, _)| name == *wanted)).then_some(interpreter)
}

/// Stops a set-up from another thread: kills the program it waits for.
#[derive(Debug, Default)]
pub struct Stop {
    asked: AtomicBool,
    running: Mutex<Option<nix::unistd::Pid>>,
}

impl Stop {
    /// Ends the set-up.
    pub fn stop(&self) {
        self.asked.store(true, Ordering::Release);
        if let Some(group) = *self.running.lock().unwrap_or_else(PoisonError::into_inner) {
            // The leader is our own child and not yet waited for, so the number is still its.
            let _ = nix::sys::signal::killpg(group, nix::sys::signal::Signal::SIGKILL);
        }
    }

    fn asked(&self) -> bool {
        self.asked.load(Ordering::Acquire)
    }

    fn set(&self, group: Option<nix::unistd::Pid>) {
        *self.running.lock().unwrap_or_else(PoisonError::into_inner) = group;
    }
}

/// One set-up at work.
pub struct Setup<'a> {
    /// Where environments live.
    pub home: &'a Path,
    /// The interpreter it is for.
    pub interpreter: &'a Interpreter,
    /// Others whose pip may be used.
    pub found: &'a Discovery,
    /// Called with each step.
    pub progress: &'a mut dyn FnMut(Step),
    /// How to stop it.
    pub stop: &'a Stop,
}

impl Setup<'_> {
    /// Makes the environment, unless it is as it should be already; its directory, and whether anything was done.
    ///
    /// # Errors
    /// Why not. The place is as it was before.
    pub fn run(mut self) -> Result<(PathBuf, bool), SetupError> {
        let lock = Lock::of(self.interpreter).ok_or_else(|| SetupError::NoLock(self.interpreter.short()))?;
        let workshop = self.home.join(WORKSHOP);
        fs::create_dir_all(&workshop).map_err(io(format!("cannot create {}", workshop.display())))?;
        let guard = File::create(workshop.join("lock")).map_err(io(format!("cannot write to {}", workshop.display())))?;
        match guard.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(SetupError::Busy(self.home.to_owned())),
            Err(TryLockError::Error(e)) => return Err(io(format!("cannot lock {}", workshop.display()))(e)),
        }
        let (target, before) = state(self.home, lock);
        if before == State::Ready {
            return Ok((target, false));
        }
        // An earlier set-up here has ended: the lock is ours.
        clear(&workshop);
        let scratch = workshop.join(SCRATCH);
        fs::create_dir(&scratch).map_err(io(format!("cannot create {}", scratch.display())))?;
        let build = workshop.join(lock.version);
        let made = self.build(lock, &build).and_then(|()| put_in_place(&build, &target));
        clear(&workshop);
        made.map(|()| (target, true))
    }

    fn build(&mut self, lock: &Lock, build: &Path) -> Result<(), SetupError> {
        (self.progress)(Step::Creating);
        let mut venv = self.program(&self.interpreter.path);
        venv.args(["-I", "-m", "venv", "--without-pip"]).arg(build);
        self.call(&venv, "cannot create the virtual environment", &mut |_| {})?;
        let file = build.join(STAMP);
        fs::write(&file, lock.text).map_err(io(format!("cannot write {}", file.display())))?;
        let all = lock.packages().count();
        let mut done = 0;
        let installer = self.installer(build)?;
        let tell = &mut *self.progress;
        let mut heard = |line: &str| {
            if let Some(rest) = line.strip_prefix("Collecting ") {
                let package = rest.split([' ', '=']).next().unwrap_or(rest).to_owned();
                tell(Step::Fetching { package, done, all });
                done += 1;
            } else if line.starts_with("Installing collected") {
                tell(Step::Installing);
            }
        };
        call(&installer, "cannot install the packages", &mut heard, self.stop)?;
        (self.progress)(Step::Checking);
        self.check(lock, build)
    }

    /// A program that is not led astray by the user's settings for other Pythons, and keeps its temporary files in the workshop.
    fn program(&self, path: &Path) -> Command {
        let mut command = Command::new(path);
        for (name, _) in std::env::vars_os() {
            if name.as_encoded_bytes().starts_with(b"PYTHON") {
                command.env_remove(name);
            }
        }
        command.env("PYTHONUNBUFFERED", "1").env("TMPDIR", self.home.join(WORKSHOP).join(SCRATCH));
        command
    }

    fn call(&self, command: &Command, what: &str, heard: &mut dyn FnMut(&str)) -> Result<(), SetupError> {
        call(command, what, heard, self.stop)
    }

    /// The command that installs what the stamp file lists into the environment: a pip of this interpreter, of another one, or uv.
    fn installer(&self, build: &Path) -> Result<Command, SetupError> {
        let (target, stamp) = (build.join("bin/python3"), build.join(STAMP));
        let others = self.found.interpreters.iter().filter(|i| i.path != self.interpreter.path);
        for interpreter in [self.interpreter].into_iter().chain(others) {
            // Asked within the new environment, as it will work: an old pip does not run on a newer Python.
            let mut asked = self.program(&interpreter.path);
            asked.args(["-I", "-m", "pip", "--python"]).arg(&target).args(["list", "--format", "freeze"]);
            if call(&asked, "", &mut |_| {}, self.stop).is_ok() {
                let mut pip = self.program(&interpreter.path);
                pip.args(["-I", "-m", "pip", "--python"]).arg(&target);
                pip.args(["install", "--require-hashes", "--only-binary", ":all:", "--no-deps", "--no-input"]);
                pip.args(["--progress-bar", "off", "--disable-pip-version-check", "--retries", "1", "-r"]).arg(stamp);
                return Ok(pip);
            }
            if self.stop.asked() {
                return Err(SetupError::Stopped);
            }
        }
        let mut asked = Command::new("uv");
        asked.arg("--version");
        if call(&asked, "", &mut |_| {}, self.stop).is_err() {
            return Err(SetupError::NoInstaller(self.interpreter.path.clone()));
        }
        let mut uv = self.program(Path::new("uv"));
        uv.args(["pip", "install", "--python"]).arg(target).args([
            "--require-hashes",
            "--only-binary",
            ":all:",
            "--no-deps",
            "-r",
        ]);
        uv.arg(stamp);
        Ok(uv)
    }

    /// Whether the interpreter of the environment finds its packages, and can import them.
    fn check(&self, lock: &Lock, build: &Path) -> Result<(), SetupError> {
        let path = build.join("bin/python3");
        let about = probe(&path, Origin::Managed).map_err(|r| SetupError::Broken(r.why))?;
        let wanted: Vec<&str> = super::PACKAGES.iter().copied().filter(|p| lock.packages().any(|(name, _)| name == *p)).collect();
        if let Some(missing) = wanted.iter().find(|p| !about.packages.contains_key(**p)) {
            return Err(SetupError::Broken(format!("{missing} is missing")));
        }
        let mut import = self.program(&path);
        // A module cannot have the dash that the name of its package has.
        import.args(["-I", "-c", &format!("import {}", wanted.join(", ").replace('-', "_"))]);
        self.call(&import, "", &mut |_| {}).map_err(|e| match e {
            SetupError::NotFetched { why, .. } | SetupError::Failed { why, .. } => SetupError::Broken(why),
            other => other,
        })
    }
}

/// Runs a program behind a guard, in a process group of its own, so that all of it can be stopped and ends with concmon, and listens to
/// what it says.
fn call(command: &Command, what: &str, heard: &mut dyn FnMut(&str), stop: &Stop) -> Result<(), SetupError> {
    let name = command.get_program().to_string_lossy().into_owned();
    let (mut guard, alive) = guard::guarded(command).map_err(io(format!("cannot guard {name}")))?;
    guard.stdout(Stdio::piped()).stderr(Stdio::piped());
    let births = crate::kernel::births();
    let child = guard.spawn();
    drop(births);
    // The guard's reading end is the only one from here on.
    drop(guard);
    let mut child = child.map_err(io(format!("cannot execute {name}")))?;
    stop.set(i32::try_from(child.id()).ok().map(nix::unistd::Pid::from_raw));
    if stop.asked() {
        // Asked between the start and the line above.
        stop.stop();
    }
    let words = listen(&mut child, heard);
    // From here on the number may be another process's: no signal may be sent to it.
    stop.set(None);
    let status = child.wait().map_err(io(format!("cannot wait for {name}")))?;
    drop(alive);
    if stop.asked() {
        return Err(SetupError::Stopped);
    }
    if status.success() {
        return Ok(());
    }
    let ended = match (status.code(), status.signal()) {
        (Some(code), _) => format!("it ended with exit code {code}"),
        (None, Some(signal)) => format!("it was killed by signal {signal}"),
        (None, None) => "its exit status is unknown".to_owned(),
    };
    let (what, why) = (what.to_owned(), complaint(&words).unwrap_or(ended));
    let fetching = ["requirement", "matching distribution", "connection", "HTTP", "resolve", "fetch", "hash"];
    if fetching.iter().any(|word| why.contains(word)) {
        Err(SetupError::NotFetched { what, why })
    } else {
        Err(SetupError::Failed { what, why })
    }
}

/// Hears out a program: each line of its standard output, and all that it says on standard error, cut.
fn listen(child: &mut Child, heard: &mut dyn FnMut(&str)) -> String {
    let errors = child.stderr.take();
    std::thread::scope(|scope| {
        let errors = scope.spawn(move || {
            let mut words = Vec::new();
            if let Some(mut errors) = errors {
                let mut chunk = [0; 8192];
                while let Ok(n @ 1..) = errors.read(&mut chunk) {
                    words.extend_from_slice(&chunk[..n]);
                    let extra = words.len().saturating_sub(WORDS_MOST);
                    words.drain(..extra);
                }
            }
            String::from_utf8_lossy(&words).into_owned()
        });
        if let Some(out) = child.stdout.take() {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                heard(line.trim_start());
            }
        }
        errors.join().unwrap_or_default()
    })
}

/// What went wrong, in the program's own words: pip's first error, or the last line of a traceback.
fn complaint(words: &str) -> Option<String> {
    let errors = words.lines().filter_map(|l| l.trim().strip_prefix("ERROR:").or_else(|| l.trim().strip_prefix("error:")));
    // Before a traceback pip says "ERROR: Exception:".
    let first = errors.map(str::trim).find(|l| !l.is_empty() && !l.ends_with(':'));
    let last = || words.lines().rev().map(str::trim).find(|l| !l.is_empty());
    first.or_else(last).map(|l| l.chars().take(300).collect())
}

/// Removes all that is in the workshop but the lock.
fn clear(workshop: &Path) {
    for entry in fs::read_dir(workshop).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            // What cannot be removed now is tried again by the next set-up.
            let _ = fs::remove_dir_all(path);
        }
    }
}

/// Moves what was built to its place, in one step even if there is an older one, which is then where the new one was.
fn put_in_place(build: &Path, target: &Path) -> Result<(), SetupError> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    let failed = |e: rustix::io::Errno| io(format!("cannot move {} into place", target.display()))(e.into());
    if target.exists() {
        renameat_with(CWD, build, CWD, target, RenameFlags::EXCHANGE).map_err(failed)
    } else {
        renameat_with(CWD, build, CWD, target, RenameFlags::NOREPLACE).map_err(failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Packages that a lock leaves out: one that switches the GIL on, and those without wheels.
    fn left_out(version: &str) -> &'static [&'static str] {
        match version {
            "3.13t" => &["aiohttp", "distributed", "gevent", "mpire", "uvloop"],
            "3.14t" => &["distributed", "gevent"],
            _ => &[],
        }
    }

    #[test]
    fn every_lock_pins_every_package_with_hashes() {
        for lock in LOCKS {
            let names: Vec<&str> = lock.packages().map(|(name, _)| name).collect();
            for package in super::super::PACKAGES {
                let left_out = left_out(lock.version).contains(package);
                assert_eq!(names.contains(package), !left_out, "{package} in the lock for {}", lock.version);
            }
            let pins = lock.text.lines().filter(|l| l.contains("==")).count();
            assert_eq!(pins, names.len());
            assert!(lock.text.matches("--hash=sha256:").count() >= pins, "{}: each has a hash", lock.version);
        }
    }

    #[test]
    fn the_complaint_is_what_a_person_would_quote() {
        let pip = "WARNING: retrying\nERROR: Could not find a version that satisfies the requirement x==1\nERROR: No matching distribution\n";
        assert_eq!(complaint(pip).unwrap(), "Could not find a version that satisfies the requirement x==1");
        assert_eq!(complaint("Traceback:\n  File\nOSError: disk full\n\n").unwrap(), "OSError: disk full");
        let crash = "ERROR: Exception:\nTraceback:\n  File\nAttributeError: no ImpImporter\n";
        assert_eq!(complaint(crash).unwrap(), "AttributeError: no ImpImporter");
        assert_eq!(complaint("\n"), None);
    }

    #[test]
    fn an_environment_is_what_its_stamp_says() {
        let home = tempfile::tempdir().unwrap();
        let lock = &LOCKS[0];
        assert_eq!(state(home.path(), lock).1, State::Missing);
        let dir = home.path().join(lock.version);
        fs::create_dir_all(dir.join("bin")).unwrap();
        assert_eq!(state(home.path(), lock).1, State::Outdated, "somebody else's directory, or half of one");
        fs::write(dir.join("bin/python3"), "").unwrap();
        fs::write(dir.join(STAMP), lock.text).unwrap();
        assert_eq!(state(home.path(), lock).1, State::Ready);
        fs::write(dir.join(STAMP), "another").unwrap();
        assert_eq!(state(home.path(), lock).1, State::Outdated);
    }
}
