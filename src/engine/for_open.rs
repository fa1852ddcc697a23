//! A thread that reads for what is open on screen, and ends once something else is, or nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// At most one such thread, and what it reads for.
#[derive(Debug)]
pub(super) struct ForOpen<K> {
    name: &'static str,
    on: Option<(K, Arc<AtomicBool>)>,
}

impl<K: Clone + PartialEq + Send + 'static> ForOpen<K> {
    /// `name` is that of the thread.
    pub(super) fn new(name: &'static str) -> Self {
        Self { name, on: None }
    }

    /// Sets what is open from now on; `work` begins if it was not open before, and ends once the flag is set.
    ///
    /// # Errors
    /// If the thread cannot be started; the next call tries again.
    pub(super) fn want(&mut self, open: Option<K>, work: impl FnOnce(&K, &AtomicBool) + Send + 'static) -> std::io::Result<()> {
        if self.on.as_ref().map(|(before, _)| before) == open.as_ref() {
            return Ok(());
        }
        self.stop();
        let Some(open) = open else { return Ok(()) };
        let (theirs, stop) = (open.clone(), Arc::new(AtomicBool::new(false)));
        let told = Arc::clone(&stop);
        // One that a read holds up is left behind: it ends once the read returns.
        std::thread::Builder::new().name(self.name.into()).spawn(move || work(&theirs, &told))?;
        self.on = Some((open, stop));
        Ok(())
    }
}

impl<K> ForOpen<K> {
    fn stop(&mut self) {
        if let Some((_, stop)) = self.on.take() {
            stop.store(true, Ordering::Relaxed);
        }
    }
}

impl<K> Drop for ForOpen<K> {
    fn drop(&mut self) {
        self.stop();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_is_open_has_one_thread_which_ends_when_it_is_not_open_any_more() {
        let (tell, heard) = mpsc::channel();
        let mut threads = ForOpen::new("test");
        let mut want = |open: Option<u8>| {
            let tell = tell.clone();
            let work = move |open: &u8, stop: &AtomicBool| {
                tell.send((*open, "begins")).unwrap();
                while !stop.load(Ordering::Relaxed) {
                    std::thread::yield_now();
                }
                tell.send((*open, "ends")).unwrap();
            };
            threads.want(open, work).unwrap();
        };
        let next = || heard.recv_timeout(Duration::from_secs(60)).unwrap();
        want(Some(1));
        assert_eq!(next(), (1, "begins"));
        want(Some(1));
        want(None);
        assert_eq!(next(), (1, "ends"), "it was not started twice");
        want(Some(2));
        assert_eq!(next(), (2, "begins"));
        drop(threads);
        assert_eq!(next(), (2, "ends"));
    }
}
