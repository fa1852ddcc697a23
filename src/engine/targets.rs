//! Frozen signal targets and the effects on other processes: the only place where the user's will reaches them.

use crate::app::msg::Notice;
use crate::app::target::FrozenTarget;
use crate::kernel::control::{ControlError, Signal, Target, freeze};
use crate::snapshot::ProcKey;
use crate::text::{Charset, sanitize};

/// The set that the open dialog is about.
#[derive(Debug, Default)]
pub struct Targets {
    token: u64,
    held: Vec<Target>,
    refused: usize,
}

impl Targets {
    /// Opens a pidfd for each and checks that it is still the same process. An earlier set is let go. `known` gives
    /// the name and command line that the table has for a process.
    pub fn freeze(&mut self, token: u64, keys: &[ProcKey], known: impl Fn(ProcKey) -> (String, String)) -> Vec<FrozenTarget> {
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
                        FrozenTarget { key: *key, name, command, problem: None }
                    }
                    Err(error) => {
                        self.refused += 1;
                        FrozenTarget { key: *key, name, command, problem: Some(error.to_string()) }
                    }
                }
            })
            .collect()
    }

    /// Lets the set go.
    pub fn thaw(&mut self, token: u64) {
        if self.token == token {
            self.held.clear();
        }
    }

    /// Signals every target of the set and lets it go; what came of it, in one sentence.
    pub fn signal(&mut self, token: u64, number: i32, name: &str) -> Notice {
        if self.token != token {
            return Notice::bad("the targets are no longer held; open the dialog again");
        }
        let Some(signal) = Signal::from_number(number) else {
            return Notice::bad(format!("{name} cannot be sent on this machine"));
        };
        let held = std::mem::take(&mut self.held);
        let mut failures: Vec<ControlError> = Vec::new();
        let mut sent = Vec::new();
        for target in &held {
            match target.signal(signal) {
                Ok(()) => sent.push(target.key.pid.to_string()),
                Err(error) => failures.push(error),
            }
        }
        let refused = if self.refused > 0 { format!("; {} left alone as the dialog said", self.refused) } else { String::new() };
        match (sent.len(), failures.first()) {
            (0, None) => Notice::bad(format!("{name} went to nobody{refused}")),
            (0, Some(why)) => Notice::bad(format!("{name} was not sent: {why}{refused}")),
            (1, None) => Notice::good(format!("{name} sent to PID {}{refused}", sent[0])),
            (n, None) => Notice::good(format!("{name} sent to {n} processes: {}{refused}", listed(&sent))),
            (n, Some(why)) => Notice::bad(format!("{name} sent to {n}, not to {}: {why}{refused}", failures.len())),
        }
    }
}

fn listed(pids: &[String]) -> String {
    if pids.len() <= 8 { pids.join(", ") } else { format!("{}, ...", pids[..8].join(", ")) }
}

/// Changes nice values by `delta`; what came of it, in one sentence.
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
