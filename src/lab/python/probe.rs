//! Queries the version and features of one interpreter: one short script, in isolated mode, with a time limit.

use std::collections::BTreeMap;
use std::io::Read;
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use serde::{Deserialize, Serialize};

use super::PACKAGES;
use crate::lab::catalog::StartMethod;

/// Longest an interpreter may take to say what it is: a cold one on a slow disk takes seconds.
const PATIENCE: Duration = Duration::from_secs(10);
/// Longest answer that is read.
const ANSWER_MOST: u64 = 256 * 1024;

/// Where an interpreter was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// Named by the user.
    Named,
    /// Key `python` of the config file's `[lab]`.
    Config,
    /// The lab's own environment.
    Managed,
    /// A directory of PATH.
    Path,
    /// pyenv's versions.
    Pyenv,
    /// uv's interpreters.
    Uv,
    /// A conda installation or environment.
    Conda,
}

impl Origin {
    /// As shown.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Named => "named",
            Self::Config => "config",
            Self::Managed => "lab setup",
            Self::Path => "PATH",
            Self::Pyenv => "pyenv",
            Self::Uv => "uv",
            Self::Conda => "conda",
        }
    }
}

/// One interpreter that the lab can use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Interpreter {
    /// Absolute path of the executable as it was found.
    pub path: PathBuf,
    /// Where.
    pub origin: Origin,
    /// Major, minor, micro.
    pub version: (u8, u8, u8),
    /// In words, with pre-release marks: `3.15.0a1`.
    pub release: String,
    /// Whether the build has no GIL (PEP 703).
    pub free_threaded: bool,
    /// Whether the GIL is on when it starts.
    pub gil: bool,
    /// Start methods of multiprocessing.
    pub start_methods: Vec<StartMethod>,
    /// Its default one.
    pub start_method: StartMethod,
    /// Module with which sub-interpreters are made; `None`: it has none.
    pub interpreters: Option<String>,
    /// Versions of those of [`PACKAGES`] that are installed.
    pub packages: BTreeMap<String, String>,
    /// `sys.prefix`: the environment it is.
    pub prefix: PathBuf,
    /// Whether that is a virtual environment.
    pub virtual_environment: bool,
}

impl Interpreter {
    /// `3.14`, `3.13t`.
    #[must_use]
    pub fn short(&self) -> String {
        format!("{}.{}{}", self.version.0, self.version.1, if self.free_threaded { "t" } else { "" })
    }

    /// The GIL in words: what the build can and what it does when it starts.
    #[must_use]
    pub fn gil_words(&self) -> &'static str {
        match (self.free_threaded, self.gil) {
            (false, _) => "on",
            (true, false) => "free-threaded",
            (true, true) => "free-threaded, GIL enabled",
        }
    }
}

/// An interpreter that the lab cannot use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Rejected {
    /// Its path.
    pub path: PathBuf,
    /// One sentence.
    pub why: String,
}

#[derive(Deserialize)]
struct Answer {
    version: (u8, u8, u8),
    release: String,
    implementation: String,
    prefix: PathBuf,
    base_prefix: PathBuf,
    #[serde(default)]
    free_threaded: bool,
    #[serde(default)]
    gil: bool,
    #[serde(default)]
    start_methods: Vec<String>,
    #[serde(default)]
    start_method: String,
    #[serde(default)]
    interpreters: Option<String>,
    #[serde(default)]
    packages: BTreeMap<String, String>,
}

fn script() -> String {
    let names: Vec<String> = PACKAGES.iter().map(|p| format!("{p:?}")).collect();
    include_str!("../../../assets/python/probe.py").replace("@PACKAGES@", &format!("[{}]", names.join(", ")))
}

/// Asks the interpreter at `path`.
///
/// # Errors
/// Why the lab cannot use it, in one sentence.
pub fn probe(path: &Path, origin: Origin) -> Result<Interpreter, Rejected> {
    let reject = |why: String| Rejected { path: path.to_owned(), why };
    let text = ask(path).map_err(reject)?;
    read_answer(path, origin, &text).map_err(reject)
}

fn ask(path: &Path) -> Result<String, String> {
    let births = crate::kernel::births();
    let child = Command::new(path)
        .args(["-I", "-c", &script()])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        // A script that stands for an interpreter starts others: they end with it.
        .process_group(0)
        .spawn();
    drop(births);
    let mut child = child.map_err(|e| format!("it cannot be executed: {e}"))?;
    let answer = read_until(&mut child, Instant::now() + PATIENCE);
    if answer.is_err() {
        // It has not answered: it may be in any state, and there is nothing of it to keep.
        let _ = rustix::process::kill_process_group(rustix::process::Pid::from_child(&child), rustix::process::Signal::KILL);
    }
    let status = child.wait().map_err(|e| format!("it cannot be waited for: {e}"))?;
    let text = answer?;
    if status.success() { Ok(text) } else { Err(format!("the version query ended with {status}")) }
}

/// What it prints, to the end.
fn read_until(child: &mut Child, until: Instant) -> Result<String, String> {
    let Some(mut out) = child.stdout.take() else { return Err("its output cannot be read".into()) };
    let mut bytes = Vec::new();
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let wait = PollTimeout::try_from(left.as_millis()).unwrap_or(PollTimeout::ZERO);
        match poll(&mut [PollFd::new(out.as_fd(), PollFlags::POLLIN)], wait) {
            Ok(0) => return Err(format!("no response to the version query within {} s", PATIENCE.as_secs())),
            Ok(_) => {}
            Err(nix::errno::Errno::EINTR) => continue,
            Err(e) => return Err(format!("its output cannot be read: {e}")),
        }
        let mut chunk = [0; 8192];
        match out.read(&mut chunk) {
            Ok(0) => break,
            Ok(n) => bytes.extend_from_slice(&chunk[..n]),
            Err(e) => return Err(format!("its output cannot be read: {e}")),
        }
        if bytes.len() as u64 > ANSWER_MOST {
            return Err("its response to the version query is too long".into());
        }
    }
    String::from_utf8(bytes).map_err(|_| "its response to the version query is not UTF-8".into())
}

fn read_answer(path: &Path, origin: Origin, text: &str) -> Result<Interpreter, String> {
    // The last line: a site customisation may print before.
    let line = text.lines().next_back().unwrap_or_default();
    let answer: Answer = serde_json::from_str(line).map_err(|e| format!("its response to the version query is invalid: {e}"))?;
    let (major, minor, _) = answer.version;
    if answer.implementation != "cpython" {
        return Err(format!("it is {} {}; the lab needs CPython", answer.implementation, answer.release));
    }
    let (oldest_major, oldest_minor) = crate::lab::catalog::OLDEST_PYTHON;
    if (major, minor) < (oldest_major, oldest_minor) {
        return Err(format!("Python {} is too old: the lab needs {oldest_major}.{oldest_minor} or later", answer.release));
    }
    let start_methods: Vec<StartMethod> = answer.start_methods.iter().filter_map(|m| StartMethod::from_name(m)).collect();
    let start_method = StartMethod::from_name(&answer.start_method)
        .ok_or_else(|| format!("its default start method {:?} is unknown to the lab", answer.start_method))?;
    Ok(Interpreter {
        path: path.to_owned(),
        origin,
        version: answer.version,
        release: answer.release,
        free_threaded: answer.free_threaded,
        gil: answer.gil,
        start_methods,
        start_method,
        interpreters: answer.interpreters,
        packages: answer.packages,
        virtual_environment: answer.prefix != answer.base_prefix,
        prefix: answer.prefix,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    const GOOD: &str = r#"{"version":[3,14,1],"release":"3.14.1","implementation":"cpython","executable":"/x","prefix":"/v","base_prefix":"/b",
"free_threaded":false,"gil":true,"start_methods":["forkserver","fork","spawn"],"start_method":"forkserver","interpreters":"concurrent.interpreters","packages":{"numpy":"2.1"}}"#;

    fn read(text: &str) -> Result<Interpreter, String> {
        read_answer(Path::new("/x"), Origin::Path, text)
    }

    #[test]
    fn an_answer_is_read() {
        let found = read(&format!("hello from sitecustomize\n{}\n", GOOD.replace('\n', ""))).unwrap();
        assert_eq!((found.short().as_str(), found.gil_words(), found.start_method), ("3.14", "on", StartMethod::Forkserver));
        assert!(found.virtual_environment && found.packages["numpy"] == "2.1");
    }

    #[test]
    fn what_the_lab_cannot_use_is_refused_with_the_reason() {
        let good = GOOD.replace('\n', "");
        assert!(read(&good.replace("[3,14,1]", "[3,8,2]").replace("3.14.1", "3.8.2")).unwrap_err().contains("3.8.2 is too old"));
        assert!(read(&good.replace("cpython", "pypy")).unwrap_err().contains("pypy"));
        assert!(read("").unwrap_err().contains("is invalid"));
        assert!(read(r#"{"version":[3,700,0]}"#).is_err());
    }

    #[test]
    fn what_a_script_started_ends_with_it() {
        let dir = tempfile::tempdir().unwrap();
        let (script, child) = (dir.path().join("python"), dir.path().join("child"));
        // It gives more than is read of an answer, so that nothing has to be waited for.
        let text = format!("#!/bin/sh\nsleep 600 &\necho $! > {}\nexec head -c 9999999 /dev/zero\n", child.display());
        std::fs::write(&script, text).unwrap();
        std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
        assert!(probe(&script, Origin::Path).is_err());
        let pid: i32 = std::fs::read_to_string(&child).unwrap().trim().parse().unwrap();
        let begun = Instant::now();
        let lives = || std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "));
        while lives() {
            assert!(begun.elapsed() < Duration::from_secs(10), "process {pid} lives");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    #[test]
    fn a_program_that_is_no_python_is_refused_with_the_reason() {
        let dir = tempfile::tempdir().unwrap();
        let fake = dir.path().join("python3");
        let write = |text: &str| {
            std::fs::write(&fake, text).unwrap();
            std::fs::set_permissions(&fake, std::fs::Permissions::from_mode(0o755)).unwrap();
        };
        write("#!/bin/sh\nexit 127\n");
        assert!(probe(&fake, Origin::Path).unwrap_err().why.contains("exit status: 127"));
        write("#!/bin/sh\necho no json\n");
        assert!(probe(&fake, Origin::Path).unwrap_err().why.contains("is invalid"));
        write("#!/bin/sh\nyes\n");
        assert!(probe(&fake, Origin::Path).unwrap_err().why.contains("too long"));
        assert!(probe(&dir.path().join("none"), Origin::Path).unwrap_err().why.contains("cannot be executed"));
    }
}
