//! User names by user id. The name service (nsswitch.conf(5)) may be a server that is slow or down, so a thread of its own asks it; until
//! it answers, the number is shown instead of the name.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use nix::unistd::{Uid, User};

use super::privilege::let_go_of_loading;

/// The name service is asked again for a name that it did not give after this time, then after twice as long, and so on.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest of these pauses.
const MOST_PAUSE: Duration = Duration::from_secs(300);
/// Where local users are (passwd(5)): read before any server is asked.
const PASSWD: &str = "/etc/passwd";

/// Looks a name up in the name service; `Ok(None)`: it knows none.
type Lookup = fn(u32) -> Result<Option<String>, nix::errno::Errno>;

/// Names of user ids. A name that changes while concmon runs is not noticed.
#[derive(Debug)]
pub struct UserNames {
    known: HashMap<u32, Name>,
    lookup: Lookup,
    service: Option<Service>,
    /// How many first answers are to come.
    awaited: usize,
    /// The service was slower than the patience of [`UserNames::collect`]: it is not waited for any more.
    slow: bool,
}

#[derive(Debug)]
struct Name {
    text: Arc<str>,
    found: bool,
    answered: bool,
}

#[derive(Debug)]
struct Service {
    ask: Sender<u32>,
    answers: Receiver<(u32, Option<Arc<str>>)>,
}

impl Default for UserNames {
    fn default() -> Self {
        Self::with(|uid| User::from_uid(Uid::from_raw(uid)).map(|user| user.map(|user| user.name)))
    }
}

impl UserNames {
    fn with(lookup: Lookup) -> Self {
        Self { known: HashMap::new(), lookup, service: None, awaited: 0, slow: false }
    }

    /// The name of `uid`, or its number in digits until a name is known, and whether it is a name. A new number is asked for.
    pub fn name(&mut self, uid: u32) -> (Arc<str>, bool) {
        let (lookup, service, awaited) = (self.lookup, &mut self.service, &mut self.awaited);
        let name = self.known.entry(uid).or_insert_with(|| {
            let asked = service.get_or_insert_with(|| Service::start(lookup)).ask.send(uid).is_ok();
            *awaited += usize::from(asked);
            Name { text: uid.to_string().into(), found: false, answered: !asked }
        });
        (Arc::clone(&name.text), name.found)
    }

    /// Takes in what the service has answered and waits for the first answers to new numbers, so long at most. Whether a name came.
    pub fn collect(&mut self, patience: Duration) -> bool {
        let Some(service) = &self.service else { return false };
        let until = Instant::now() + if self.slow { Duration::ZERO } else { patience };
        let mut came = false;
        loop {
            let answer = match service.answers.try_recv() {
                Ok(answer) => answer,
                Err(_) if self.awaited == 0 => break,
                Err(_) => match service.answers.recv_timeout(until.saturating_duration_since(Instant::now())) {
                    Ok(answer) => answer,
                    Err(_) => {
                        self.slow = true;
                        break;
                    }
                },
            };
            let (uid, text) = answer;
            let Some(name) = self.known.get_mut(&uid) else { continue };
            self.awaited -= usize::from(!std::mem::replace(&mut name.answered, true));
            if let Some(text) = text {
                came = true;
                (name.text, name.found) = (text, true);
            }
        }
        self.slow &= self.awaited > 0;
        came
    }
}

impl Service {
    /// Without a thread nothing is ever answered, and numbers stay numbers.
    fn start(lookup: Lookup) -> Self {
        let ((ask, asked), (tell, answers)) = (channel(), channel());
        // The join handle is dropped: a lookup that hangs must not stall the caller.
        let _ = std::thread::Builder::new().name("user-names".into()).spawn(move || serve(&asked, &tell, lookup));
        Self { ask, answers }
    }
}

/// A number without a name, and when it is asked for again.
struct Open {
    uid: u32,
    due: Instant,
    pause: Duration,
}

fn serve(asked: &Receiver<u32>, tell: &Sender<(u32, Option<Arc<str>>)>, lookup: Lookup) {
    let_go_of_loading(|| true);
    let local = local_names(&std::fs::read(PASSWD).unwrap_or_default());
    let mut open: Vec<Open> = Vec::new();
    let ask = |uid: u32, first: bool, pause: Duration| {
        let name = match local.get(&uid) {
            Some(name) => Some(Arc::clone(name)),
            None => lookup(uid).ok().flatten().map(Arc::from),
        };
        let again = name.is_none().then(|| Open { uid, due: Instant::now() + pause, pause: (2 * pause).min(MOST_PAUSE) });
        let heard = if first || name.is_some() { tell.send((uid, name)).is_ok() } else { true };
        (again, heard)
    };
    loop {
        let next = open.iter().map(|one| one.due).min();
        let order = match next {
            None => asked.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some(due) => asked.recv_timeout(due.saturating_duration_since(Instant::now())),
        };
        let (again, heard) = match order {
            Ok(uid) => ask(uid, true, FIRST_PAUSE),
            Err(RecvTimeoutError::Disconnected) => return,
            Err(RecvTimeoutError::Timeout) => {
                let Some(at) = open.iter().position(|one| Some(one.due) == next) else { continue };
                let one = open.swap_remove(at);
                ask(one.uid, false, one.pause)
            }
        };
        if !heard {
            return;
        }
        open.extend(again);
    }
}

/// The names in a passwd(5) file: the first of each number, as the name service has it.
fn local_names(passwd: &[u8]) -> HashMap<u32, Arc<str>> {
    let mut names = HashMap::new();
    for line in passwd.split(|byte| *byte == b'\n') {
        let mut fields = line.split(|byte| *byte == b':');
        let (Some(name), Some(uid)) = (fields.next(), fields.nth(1)) else { continue };
        let uid = super::parse::unsigned(uid).and_then(|uid| u32::try_from(uid).ok());
        // Lines that begin so are for the compatibility mode of nsswitch.conf(5).
        if let (Ok(name @ [first, ..]), Some(uid)) = (std::str::from_utf8(name).map(str::as_bytes), uid)
            && ![b'+', b'-', b'#'].contains(first)
        {
            names.entry(uid).or_insert_with(|| String::from_utf8_lossy(name).into());
        }
    }
    names
}

/// The user id of a local user's name: one that is no local user's takes the name service, for which is waited so long at most.
///
/// # Errors
/// `Err` if the service has not answered; `Ok(None)` if there is no such user.
pub fn user_id(name: &str, patience: Duration) -> Result<Option<u32>, RecvTimeoutError> {
    let passwd = std::fs::read(PASSWD).unwrap_or_default();
    if let Some((uid, _)) = local_names(&passwd).into_iter().find(|(_, local)| **local == *name) {
        return Ok(Some(uid));
    }
    let (tell, answer) = channel();
    let name = name.to_owned();
    let _ = std::thread::Builder::new().name("user-names".into()).spawn(move || {
        // The receiver is gone if the answer is late.
        let _ = tell.send(User::from_name(&name).ok().flatten().map(|user| user.uid.as_raw()));
    });
    answer.recv_timeout(patience)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
    use std::sync::{Condvar, Mutex};

    use super::*;

    const PATIENT: Duration = Duration::from_secs(20);

    #[test]
    fn local_users_have_their_names() {
        let names =
            local_names(b"root:x:0:0:root:/root:/bin/sh\ntoor:x:0:0::/:/bin/sh\n+::7:::\n#a:x:8:8\nbad\n\xff:x:9:9\nb:x:x:9\n");
        assert_eq!(names.iter().map(|(uid, name)| (*uid, &**name)).collect::<Vec<_>>(), [(0, "root")]);
        let mut users = UserNames::with(|_| panic!("a local user is looked up in the file"));
        assert_eq!((&*users.name(0).0, users.name(0).1), ("0", false));
        assert!(users.collect(PATIENT));
        assert_eq!(users.name(0), ("root".into(), true));
        assert_eq!(user_id("root", Duration::ZERO), Ok(Some(0)));
    }

    #[test]
    fn a_directory_server_that_fails_at_first_is_asked_again() {
        static UP: AtomicBool = AtomicBool::new(false);
        let mut users = UserNames::with(|uid| match UP.load(Ordering::SeqCst) {
            true => Ok(Some(format!("user{uid}"))),
            false => Err(nix::errno::Errno::EAGAIN),
        });
        assert_eq!(&*users.name(4_000_000).0, "4000000");
        assert!(!users.collect(PATIENT), "the first answer is none, and is not waited for in vain");
        assert_eq!(users.name(4_000_000), ("4000000".into(), false));
        UP.store(true, Ordering::SeqCst);
        let until = Instant::now() + PATIENT;
        while !users.collect(Duration::ZERO) && Instant::now() < until {
            std::thread::yield_now();
        }
        assert_eq!(users.name(4_000_000), ("user4000000".into(), true));
    }

    #[test]
    fn a_directory_server_that_hangs_holds_up_nobody_for_long() {
        static GATE: (Mutex<bool>, Condvar) = (Mutex::new(false), Condvar::new());
        static ASKED: AtomicU32 = AtomicU32::new(0);
        let mut users = UserNames::with(|uid| {
            ASKED.fetch_add(1, Ordering::SeqCst);
            let mut open = GATE.0.lock().unwrap();
            while !*open {
                open = GATE.1.wait(open).unwrap();
            }
            Ok(Some(format!("user{uid}")))
        });
        users.name(4_000_001);
        assert!(!users.collect(Duration::from_millis(20)));
        let begun = Instant::now();
        users.name(4_000_002);
        assert!(!users.collect(PATIENT), "one that was slow is not waited for");
        assert!(begun.elapsed() < PATIENT / 2);
        *GATE.0.lock().unwrap() = true;
        GATE.1.notify_all();
        let until = Instant::now() + PATIENT;
        while !users.name(4_000_002).1 && Instant::now() < until {
            users.collect(Duration::from_millis(1));
        }
        assert_eq!(users.name(4_000_001), ("user4000001".into(), true));
        assert_eq!(users.name(4_000_002), ("user4000002".into(), true));
    }
}
