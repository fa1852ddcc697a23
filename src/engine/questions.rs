//! Questions that are answered once, each on a thread of its own: why a task waits, and the stacks of the processes of a problem.

use std::time::Duration;

use tokio::sync::mpsc::UnboundedSender;

use crate::app::msg::Msg;
use crate::clock::{Clock as _, SystemClock};
use crate::diagnose::FindingName;
use crate::inspect;
use crate::kernel::DetailReader;
use crate::kernel::readers::within;
use crate::snapshot::{DetailContent, ProcKey};
use crate::why;

/// How long a process may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);

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
        let mut runtimes = Vec::new();
        for key in keys {
            let read = within(key, PATIENCE, move || inspect::read(&DetailReader::open("/proc")?, key));
            let content = read.ok().and_then(Result::ok).and_then(|detail| detail.content.ok());
            if let Some(DetailContent::Runtime(runtime)) = content {
                runtimes.push((key.pid, *runtime));
            }
        }
        let lines = inspect::family::lines(&runtimes);
        let _ = tell.send(Msg::Stacks { problem, taken_ns, lines });
    };
    // Without a thread the problem stays without stacks.
    let _ = std::thread::Builder::new().name("stacks".into()).spawn(read);
}
