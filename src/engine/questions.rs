//! Questions that are answered once, each on a thread of its own: why a task waits, and the stacks of the processes of a problem.

use tokio::sync::mpsc::UnboundedSender;

use crate::app::msg::Msg;
use crate::clock::{Clock as _, SystemClock};
use crate::diagnose::FindingName;
use crate::inspect;
use crate::snapshot::ProcKey;
use crate::why;

/// Follows the waits of a process or thread.
pub(super) fn why(answers: &UnboundedSender<Msg>, number: i32, title: String) {
    let (tell, asked) = (answers.clone(), title.clone());
    let read = move || {
        let lines = match why::scene() {
            Ok(scene) => why::explain(&scene, number).map_or_else(|e| vec![e.to_string()], |found| found.lines(&scene)),
            Err(error) => vec![format!("the processes cannot be examined: {error}")],
        };
        // The receiver is gone once concmon ends.
        let _ = tell.send(Msg::Explained { title, lines });
    };
    if let Err(error) = std::thread::Builder::new().name("why".into()).spawn(read) {
        let _ = answers.send(Msg::Explained { title: asked, lines: vec![error.to_string()] });
    }
}

/// Reads the stacks of the Pythons among these processes. Others have none, and a process that does not answer is left out.
pub(super) fn stacks(answers: &UnboundedSender<Msg>, problem: FindingName, keys: Vec<ProcKey>) {
    let tell = answers.clone();
    let read = move || {
        let taken_ns = SystemClock.boot_ns();
        let runtimes: Vec<_> = keys.into_iter().filter_map(|key| Some((key.pid, *why::runtime(key)?))).collect();
        let lines = inspect::family::lines(&runtimes);
        let _ = tell.send(Msg::Stacks { problem, taken_ns, lines });
    };
    // Without a thread the problem stays without stacks.
    let _ = std::thread::Builder::new().name("stacks".into()).spawn(read);
}
