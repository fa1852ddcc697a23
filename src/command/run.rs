//! `concmon run -- CMD`: runs a user's program as a run of the lab. Streams and exit status are passed through, and the costs of the program
//! and its descendants are printed at the end. A Python program may `import concmon_lab` to report what its workers do.

use std::ffi::OsStr;
use std::io::{self, IsTerminal as _, Write as _};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal};

use super::{Failure, lab, output};
use crate::cli::RunArgs;
use crate::lab::launcher::{Launcher, Limits};
use crate::lab::run::{Run, RunId};
use crate::snapshot::ExitStatus;

/// What shells say of a program that is not there, and of one that cannot be executed.
const NOT_FOUND: u8 = 127;
const NOT_EXECUTABLE: u8 = 126;

/// Runs the program, and ends as it did.
pub fn run(args: &RunArgs) -> Result<(), Failure> {
    let [name, ..] = args.command.as_slice() else { return Ok(()) };
    let path = match find(name) {
        Ok(path) => path,
        Err((why, code)) => {
            say(&format!("concmon: {why}\n"));
            return Err(Failure::Reported(code));
        }
    };
    let words: Option<Vec<String>> = args.command.iter().map(|a| a.to_str().map(str::to_owned)).collect();
    let words = words.context("an argument of the command is not UTF-8").map_err(Failure::Usage)?;
    let dir = std::env::current_dir().context("cannot read the working directory")?;
    let launcher = Launcher::start(Limits::default()).map_err(|e| Failure::Unavailable(e.into()))?.with_traces();
    let (stdin, stdout, stderr) = (io::stdin(), io::stdout(), io::stderr());
    let out: BorrowedFd<'_> = if args.json { stderr.as_fd() } else { stdout.as_fd() };
    let id = launcher
        .launch_own(&path, words, &dir, [stdin.as_fd(), out, stderr.as_fd()])
        .map_err(|e| Failure::Unavailable(e.into()))?;
    let run = await_end(&launcher, id)?.context("the helper ended without reporting the result of the program")?;
    if args.json {
        output::with_stdout(|out| {
            serde_json::to_writer_pretty(&mut *out, &lab::run_document(&[Arc::clone(&run)]))?;
            writeln!(out)
        })?;
    } else {
        let mut text = Vec::new();
        lab::own_program(&run, &mut text)?;
        say(&String::from_utf8_lossy(&text));
    }
    match run.root_status() {
        Some(ExitStatus::Code(0)) => Ok(()),
        Some(ExitStatus::Code(code)) => Err(Failure::Reported(code)),
        Some(ExitStatus::Signal { signal, .. }) => Err(Failure::Reported(128_u8.saturating_add(signal))),
        Some(ExitStatus::Unknown) | None => Err(Failure::Failed(anyhow::anyhow!("the exit status of the program is unknown"))),
    }
}

/// Waits for the end of the run. What would end concmon is passed on to the program the first time, and kills the run the second.
fn await_end(launcher: &Launcher, id: RunId) -> Result<Option<Arc<Run>>, Failure> {
    let mut watch = launcher.watch();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start the event loop")?;
    runtime.block_on(async {
        let mut signals = Vec::new();
        for kind in [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup(), SignalKind::quit()] {
            signals.push((kind, signal(kind).context("cannot install signal handlers")?, 0_u32));
        }
        let [(_, int, ints), (_, term, terms), (_, hup, hups), (_, quit, quits)] = signals.as_mut_slice() else {
            return Ok(None);
        };
        loop {
            let (kind, times) = tokio::select! {
                ended = watch.wait_for(|state| state.run(id).is_none_or(|run| run.ended())) => {
                    return Ok(ended.ok().and_then(|state| state.run(id).cloned()));
                }
                _ = int.recv() => (SignalKind::interrupt(), &mut *ints),
                _ = term.recv() => (SignalKind::terminate(), &mut *terms),
                _ = hup.recv() => (SignalKind::hangup(), &mut *hups),
                _ = quit.recv() => (SignalKind::quit(), &mut *quits),
            };
            *times += 1;
            if *times > 1 {
                launcher.stop(id);
            } else {
                launcher.signal(id, kind.as_raw_value());
                if io::stderr().is_terminal() {
                    say("\nconcmon: forwarded to the program; press again to kill it and all its processes\n");
                }
            }
        }
    })
}

/// The file that a shell would execute for this name; otherwise why not, and the exit code that says so.
fn find(name: &OsStr) -> Result<PathBuf, (String, u8)> {
    let shown = crate::text::sanitize_str(&name.to_string_lossy(), crate::text::Charset::Unicode).into_owned();
    let executable = |p: &Path| p.metadata().is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0);
    if Path::new(name).components().count() > 1 || name.as_encoded_bytes().contains(&b'/') {
        let path = std::path::absolute(name).unwrap_or_else(|_| name.into());
        return match path.exists() {
            true if executable(&path) => Ok(path),
            true => Err((format!("{shown} is not an executable program"), NOT_EXECUTABLE)),
            false => Err((format!("there is no {shown}"), NOT_FOUND)),
        };
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut found = std::env::split_paths(&path).map(|dir| dir.join(name)).filter(|p| executable(p));
    found
        .next()
        .and_then(|p| std::path::absolute(p).ok())
        .ok_or_else(|| (format!("there is no program {shown} on PATH; use its path"), NOT_FOUND))
}

/// To standard error: standard output is the program's.
fn say(text: &str) {
    // Without a standard error nobody can be told.
    let _ = io::stderr().write_all(text.as_bytes());
}
