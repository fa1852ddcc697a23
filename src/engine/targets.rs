//! Signal targets held by pidfd, and the effects on other processes: the only place that acts on them.

use std::path::Path;
use std::time::Duration;

use crate::app::msg::Notice;
use crate::app::target::FrozenTarget;
use crate::kernel::allot::Allotment;
use crate::kernel::control::{ControlError, Signal, Target, freeze};
use crate::kernel::kin::{Kin, Known};
use crate::kernel::proc_fs::ProcFs;
use crate::kernel::readers::within;
use crate::kernel::treatment::treatment;
use crate::snapshot::{ProcKey, SigTerm};
use crate::text::{Charset, sanitize};

/// The set that the open dialog is about.
#[derive(Debug, Default)]
pub struct Targets {
    token: u64,
    held: Vec<Target>,
    refused: usize,
    kin: Kin,
}

/// Signals after which the user expects the chosen processes to be gone or stopped.
const ENDING: [i32; 6] =
    [nix::libc::SIGINT, nix::libc::SIGQUIT, nix::libc::SIGABRT, nix::libc::SIGKILL, nix::libc::SIGTERM, nix::libc::SIGSTOP];

/// How long the dialog waits to learn how a target treats SIGTERM.
const PATIENCE: Duration = Duration::from_millis(100);

/// How the process treats SIGTERM, if neither by default nor by a handler; `None` also if it does not answer.
fn sigterm(key: ProcKey) -> Option<SigTerm> {
    within(key, PATIENCE, move || ProcFs::open("/proc").ok().and_then(|fs| treatment(&fs, key.pid).sigterm)).ok()?
}

impl Targets {
    /// Opens a pidfd for each and checks that it is still the same process. An earlier set is dropped. `known` gives the name and command
    /// line that the table has for a process, the last argument all processes of the table: those that the targets create from now on are
    /// reported with the signal.
    pub fn freeze(
        &mut self,
        token: u64,
        keys: &[ProcKey],
        known: impl Fn(ProcKey) -> (String, String),
        everybody: impl Iterator<Item = Known>,
    ) -> Vec<FrozenTarget> {
        self.kin = Kin::watch(keys, everybody);
        self.token = token;
        self.held.clear();
        self.refused = 0;
        keys.iter()
            .map(|key| {
                let (name, command) = known(*key);
                match freeze(*key) {
                    Ok(target) => {
                        let name = sanitize(target.comm.as_bytes(), Charset::Unicode).into_owned();
                        self.held.push(target);
                        FrozenTarget { key: *key, name, command, problem: None, sigterm: sigterm(*key) }
                    }
                    Err(error) => {
                        self.refused += 1;
                        FrozenTarget { key: *key, name, command, problem: Some(error.to_string()), sigterm: None }
                    }
                }
            })
            .collect()
    }

    /// Drops the set.
    pub fn thaw(&mut self, token: u64) {
        if self.token == token {
            self.held.clear();
        }
    }

    /// Signals every target of the set and drops it; the result in one sentence.
    pub fn signal(&mut self, token: u64, number: i32, name: &str) -> Notice {
        if self.token != token {
            return Notice::bad("the targets have been released; open the dialog again");
        }
        let Some(signal) = Signal::from_number(number) else {
            return Notice::bad(format!("{name} cannot be sent on this machine"));
        };
        let held = std::mem::take(&mut self.held);
        let mut kin = std::mem::take(&mut self.kin);
        let ending = ENDING.contains(&signal.number());
        if ending {
            // While their parents live: a child whose parent is gone no longer shows which process created it.
            let _ = kin.look(Path::new(PROC));
        }
        let mut failures: Vec<ControlError> = Vec::new();
        let mut sent = Vec::new();
        for target in &held {
            match target.signal(signal) {
                Ok(()) => sent.push(target.key.pid.to_string()),
                Err(error) => failures.push(error),
            }
        }
        let left = if ending { left_behind(&mut kin) } else { String::new() };
        let refused = if self.refused > 0 {
            format!("; {} left out: ended already, or not to be signalled", self.refused)
        } else {
            String::new()
        };
        let refused = refused + &left;
        match (sent.len(), failures.first()) {
            (0, None) => Notice::bad(format!("{name}: no process was signalled{refused}")),
            (0, Some(why)) => Notice::bad(format!("{name} was not sent: {why}{refused}")),
            (1, None) if left.is_empty() => Notice::good(format!("{name} sent to PID {}{refused}", sent[0])),
            (n, None) if left.is_empty() => Notice::good(format!("{name} sent to {n} processes: {}{refused}", listed(&sent))),
            // Not all is as it should be.
            (n, None) => Notice::bad(format!("{name} sent to {n}{refused}")),
            (n, Some(why)) => Notice::bad(format!("{name} sent to {n}, not to {}: {why}{refused}", failures.len())),
        }
    }
}

/// Where processes are looked for.
const PROC: &str = "/proc";

/// The processes that the targets have created since they were chosen, and which therefore got no signal; empty if there are none.
fn left_behind(kin: &mut Kin) -> String {
    if let Err(error) = kin.look(Path::new(PROC)) {
        return format!("; whether they created processes in between is unknown: {error}");
    }
    let left: Vec<String> =
        kin.left().map(|(key, comm)| format!("{} ({})", key.pid, sanitize(comm.as_bytes(), Charset::Unicode))).collect();
    match left.len() {
        0 => String::new(),
        n => format!("; {n} created in between were not signalled: {}", listed(&left)),
    }
}

fn listed(pids: &[String]) -> String {
    if pids.len() <= 8 { pids.join(", ") } else { format!("{}, ...", pids[..8].join(", ")) }
}

/// Changes nice values by `delta`; the result in one sentence.
#[must_use]
pub fn renice(keys: &[(ProcKey, i32)], delta: i32) -> Notice {
    let mut done = Vec::new();
    let mut failure = None;
    for (key, nice) in keys {
        let wanted = (nice + delta).clamp(-20, 19);
        match freeze(*key).and_then(|target| target.set_nice(None, wanted)) {
            Ok(()) => done.push((key.pid, wanted)),
            Err(error) => failure = Some(error),
        }
    }
    match (done.as_slice(), failure) {
        (_, Some(error)) => Notice::bad(error.to_string()),
        ([(pid, nice)], None) => Notice::good(format!("nice of PID {pid} is now {nice}")),
        ([], None) => Notice::info("no process is selected"),
        (many, None) => Notice::good(format!("nice of {} processes changed by {delta:+}", many.len())),
    }
}

/// Gives processes what they are allotted; the result in one sentence.
#[must_use]
pub fn allot(keys: &[ProcKey], what: &Allotment) -> Notice {
    let results: Vec<Result<i32, ControlError>> =
        keys.iter().map(|key| freeze(*key).and_then(|target| target.allot(what)).map(|()| key.pid)).collect();
    let done: Vec<String> = results.iter().flatten().map(i32::to_string).collect();
    let said = match what {
        Allotment::Cpus(cpus) => format!("CPU {cpus} only"),
        Allotment::Io(priority) => format!("I/O priority {priority}"),
    };
    let whom = format!("PID {}", listed(&done));
    match (results.iter().find_map(|result| result.as_ref().err()), done.is_empty()) {
        (Some(error), true) => Notice::bad(error.to_string()),
        (Some(error), false) => Notice::bad(format!("{said} for {whom}; but {error}")),
        (None, _) => Notice::good(format!("{said} for {whom}")),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader, Write as _};
    use std::os::fd::AsFd as _;
    use std::os::unix::process::CommandExt as _;
    use std::process::{Child, Command, Stdio};

    use super::*;
    use crate::kernel::ProcSource;
    use crate::kernel::source::{Needs, Request, Source as _};

    /// A shell that forks when it reads a line, and prints the child's PID.
    struct Parent(Child);

    impl Parent {
        /// `child` is a command that runs until it is killed.
        fn start(child: &str) -> Self {
            let script = format!("read go; {child} >/dev/null & echo $!; read end");
            let mut command = Command::new("sh");
            command.args(["-c", &script]).stdin(Stdio::piped()).stdout(Stdio::piped());
            // A group of its own, as a shell gives each of its jobs.
            Self(command.process_group(0).spawn().unwrap())
        }

        fn fork(&mut self) -> i32 {
            self.0.stdin.as_mut().unwrap().write_all(b"go\n").unwrap();
            let mut line = String::new();
            BufReader::new(self.0.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
            line.trim().parse().unwrap()
        }
    }

    impl Drop for Parent {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    /// All processes, and the key of the one with this pid.
    fn sample(pid: u32) -> (Vec<Known>, ProcKey) {
        let snapshot = ProcSource::new("/proc").unwrap().sample(&Request::basic(Needs::empty())).unwrap();
        let everybody: Vec<Known> = snapshot.processes.iter().map(|p| Known { key: p.key, ppid: p.ppid, pgrp: p.pgrp }).collect();
        let chosen = everybody.iter().find(|known| u32::try_from(known.key.pid) == Ok(pid)).unwrap().key;
        (everybody, chosen)
    }

    fn kill(pid: i32) {
        let (_, key) = sample(u32::try_from(pid).unwrap());
        freeze(key).unwrap().signal(Signal::from_number(nix::libc::SIGKILL).unwrap()).unwrap();
    }

    #[test]
    fn a_child_forked_after_the_choice_is_told() {
        let mut parent = Parent::start("sleep 60");
        let (everybody, chosen) = sample(parent.0.id());
        let mut targets = Targets::default();
        targets.freeze(1, &[chosen], |_| Default::default(), everybody.into_iter());
        let child = parent.fork();
        let said = targets.signal(1, nix::libc::SIGKILL, "SIGKILL");
        kill(child);
        assert!(said.text.contains(&format!("1 created in between were not signalled: {child} (")), "{}", said.text);
    }

    #[test]
    fn one_that_made_itself_a_session_of_its_own_is_told_too() {
        let mut parent = Parent::start("setsid sleep 60");
        let (everybody, chosen) = sample(parent.0.id());
        let mut targets = Targets::default();
        targets.freeze(1, &[chosen], |_| Default::default(), everybody.into_iter());
        let child = parent.fork();
        let said = targets.signal(1, nix::libc::SIGTERM, "SIGTERM");
        kill(child);
        assert!(said.text.contains(&child.to_string()), "{}", said.text);
    }

    #[test]
    fn children_that_were_seen_and_not_chosen_are_nobodys_surprise() {
        let mut parent = Parent::start("sleep 60");
        let child = parent.fork();
        let (everybody, chosen) = sample(parent.0.id());
        let mut targets = Targets::default();
        targets.freeze(1, &[chosen], |_| Default::default(), everybody.into_iter());
        let said = targets.signal(1, nix::libc::SIGTERM, "SIGTERM");
        kill(child);
        assert_eq!(said.text, format!("SIGTERM sent to PID {}", chosen.pid));
    }

    #[test]
    fn a_zombie_is_refused_with_the_name_of_the_one_that_must_reap_it() {
        let mut child = Command::new("true").stdin(Stdio::null()).spawn().unwrap();
        let pidfd = rustix::process::pidfd_open(
            rustix::process::Pid::from_raw(child.id().cast_signed()).unwrap(),
            rustix::process::PidfdFlags::empty(),
        );
        let mut fds = [rustix::event::PollFd::from_borrowed_fd(pidfd.as_ref().unwrap().as_fd(), rustix::event::PollFlags::IN)];
        rustix::event::poll(&mut fds, None).unwrap();
        let (everybody, chosen) = sample(child.id());
        let mut targets = Targets::default();
        let frozen = targets.freeze(1, &[chosen], |_| Default::default(), everybody.into_iter());
        let why = frozen[0].problem.clone().unwrap_or_default();
        let parent = format!("only its parent {} (", std::process::id());
        assert!(why.contains("is a zombie") && why.contains(&parent), "{why}");
        let said = renice(&[(chosen, 0)], 1).text;
        assert!(said.contains("is a zombie"), "{said}");
        child.wait().unwrap();
        let frozen = targets.freeze(2, &[chosen], |_| Default::default(), std::iter::empty());
        assert_eq!(frozen[0].problem.as_deref(), Some(&*format!("process {} has ended", chosen.pid)));
    }
}
