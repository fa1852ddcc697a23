//! One command on each host, and the document that it prints: a JSON object, up to [`MOST_BYTES`].

use std::process::ExitStatus;
use std::time::{Duration, Instant};

use super::destination::Destination;
use super::ssh::{self, Expected, Ssh};

/// The most bytes of an answer. Of 10,000 tasks that are stuck it takes less.
const MOST_BYTES: usize = 4 << 20;
/// Bytes read of a host at once.
const READ_BYTES: usize = 64 << 10;
/// How long a round waits at most, so that ends and time limits are seen.
const ROUND: Duration = Duration::from_millis(100);
/// Connections begun in a round: each is a process.
const BEGUN: usize = 8;
/// An OpenSSH that has closed its output is waited for this long.
const CLOSING: Duration = Duration::from_secs(2);
/// The system of a host is waited for this long.
const SYSTEM_LIMIT: Duration = Duration::from_secs(15);

/// Runs `ssh HOST COMMAND` for each host, all at the same time. What each printed, in the order of the hosts, or in a sentence why there is
/// nothing to use; both may hold any characters. Each may take `limit`.
#[must_use]
pub fn ask(hosts: &[Destination], command: &str, limit: Duration) -> Vec<Result<Vec<u8>, String>> {
    let mut all: Vec<Asked<'_>> = hosts.iter().map(|to| Asked { to: &to.ssh, state: State::New }).collect();
    let mut buffer = vec![0; READ_BYTES];
    while all.iter().any(|one| !matches!(one.state, State::Done(_))) {
        let new = all.iter_mut().filter(|one| matches!(one.state, State::New)).take(BEGUN);
        new.for_each(|one| one.begin(command, limit, None));
        let running = all.iter().filter_map(|one| if let State::Running(run) = &one.state { Some(&run.ssh) } else { None });
        ssh::wait(running, ROUND);
        all.iter_mut().for_each(|one| one.take(Instant::now(), &mut buffer));
    }
    let answer = |one: Asked<'_>| if let State::Done(answer) = one.state { answer } else { Err(String::new()) };
    all.into_iter().map(answer).collect()
}

/// A word that no shell changes: `it's` becomes `'it'\''s'`.
#[must_use]
pub fn shell_word(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// One host.
struct Asked<'a> {
    to: &'a str,
    state: State,
}

enum State {
    New,
    Running(Box<Running>),
    Done(Result<Vec<u8>, String>),
}

struct Running {
    ssh: Ssh,
    until: Instant,
    /// When its output was closed.
    closed: Option<Instant>,
    bytes: Vec<u8>,
    /// How the command ended, while the host is asked for its system.
    not_found: Option<(ExitStatus, String)>,
}

impl Asked<'_> {
    fn begin(&mut self, command: &str, limit: Duration, not_found: Option<(ExitStatus, String)>) {
        self.state = match Ssh::start(self.to, command, false) {
            Ok(ssh) => {
                let until = Instant::now() + limit;
                State::Running(Box::new(Running { ssh, until, closed: None, bytes: Vec::new(), not_found }))
            }
            Err(why) => State::Done(Err(why)),
        };
    }

    fn take(&mut self, now: Instant, buffer: &mut [u8]) {
        let State::Running(run) = &mut self.state else { return };
        match run.take(now, buffer) {
            Step::Wait => {}
            Step::Done(answer) => self.state = State::Done(answer),
            Step::AskSystem(status, last) => self.begin(ssh::SYSTEM, SYSTEM_LIMIT, Some((status, last))),
        }
    }
}

enum Step {
    Wait,
    Done(Result<Vec<u8>, String>),
    AskSystem(ExitStatus, String),
}

impl Running {
    fn take(&mut self, now: Instant, buffer: &mut [u8]) -> Step {
        // Asked first: what it wrote before its end can be read now. Another process may hold the output open longer, as the master of a
        // shared connection does.
        let status = self.ssh.ended();
        self.ssh.read_errors(buffer);
        match self.ssh.read(buffer) {
            Some(0) => self.closed = self.closed.or(Some(now)),
            Some(read) => {
                if let Err(why) = self.add(&buffer[..read]) {
                    return Step::Done(Err(why));
                }
                if now < self.until {
                    return Step::Wait;
                }
            }
            None => {}
        }
        let closing = self.closed.is_some_and(|since| now.duration_since(since) > CLOSING);
        if status.is_none() && now < self.until && !closing {
            return Step::Wait;
        }
        self.ended(status)
    }

    /// Keeps bytes of the answer, if they can be one.
    fn add(&mut self, bytes: &[u8]) -> Result<(), String> {
        if self.bytes.len() + bytes.len() > MOST_BYTES {
            return Err(format!("its answer is larger than {} MiB", MOST_BYTES >> 20));
        }
        self.bytes.extend_from_slice(bytes);
        let is_object = self.bytes.first() == Some(&b'{');
        // A line is waited for, so that the sentence can show it.
        if is_object || self.not_found.is_some() || !self.bytes.contains(&b'\n') {
            return Ok(());
        }
        Err(ssh::text_instead("answer", &self.bytes))
    }

    /// OpenSSH has ended, or is given up (`None`).
    fn ended(&mut self, status: Option<ExitStatus>) -> Step {
        if let Some((status, last)) = self.not_found.take() {
            let system = self.ssh.first_line();
            return Step::Done(Err(ssh::reason(Expected::Answer, Some(status), &last, 0, Some(&system))));
        }
        let (last, received) = (self.ssh.last_line(), self.bytes.len() as u64);
        match status {
            Some(status) if ssh::is_not_found(status) && received == 0 => Step::AskSystem(status, last),
            // 1: something was found.
            Some(status) if matches!(status.code(), Some(0 | 1)) && received > 0 => Step::Done(match self.bytes.first() {
                Some(b'{') => Ok(std::mem::take(&mut self.bytes)),
                _ => Err(ssh::text_instead("answer", &self.bytes)),
            }),
            status => Step::Done(Err(ssh::reason(Expected::Answer, status, &last, received, None))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_reaches_the_command_as_it_is() {
        for word in ["name~'a b'", "$(touch /tmp/x) `id` ; & | < > * ? \\ \" ! #", "", "it's"] {
            let output = std::process::Command::new("sh").args(["-c", &format!("printf %s {}", shell_word(word))]).output();
            assert_eq!(String::from_utf8(output.unwrap().stdout).unwrap(), word);
        }
    }
}
