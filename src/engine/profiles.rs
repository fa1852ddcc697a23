//! Profiles a family of processes on a thread of its own, only while its page is open: since it was opened, at most one twenty-fifth of a
//! CPU.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::mpsc::UnboundedSender;

use crate::app::profile_page::ProfilePage;
use crate::kernel::{DetailReader, reason};
use crate::profile::sampler::{Options, Sampler, descendants};
use crate::profile::{Mode, text};
use crate::text::{Charset, sanitize_str};

/// Looks per second, and how often the page changes.
const RATE_HZ: f64 = 20.0;
const SHOWN: Duration = Duration::from_millis(500);
/// The part of a CPU that it may take: one in so many.
const SHARE: u32 = 25;
/// A page that stays open for so long has seen enough.
const LONGEST: Duration = Duration::from_secs(3600);

/// The page that is open.
#[derive(Debug)]
pub(super) struct Profiles {
    wanted: Option<(ProfilePage, Arc<AtomicBool>)>,
    tell: UnboundedSender<(String, Vec<String>)>,
}

impl Drop for Profiles {
    fn drop(&mut self) {
        self.want(None);
    }
}

impl Profiles {
    /// `tell` gets a title and the lines below it.
    pub(super) fn new(tell: UnboundedSender<(String, Vec<String>)>) -> Self {
        Self { wanted: None, tell }
    }

    /// This page is open from now on, or none.
    pub(super) fn want(&mut self, page: Option<ProfilePage>) {
        if self.wanted.as_ref().map(|(open, _)| open) == page.as_ref() {
            return;
        }
        if let Some((_, stop)) = self.wanted.take() {
            stop.store(true, Ordering::Relaxed);
        }
        let Some(page) = page else { return };
        let stop = Arc::new(AtomicBool::new(false));
        let (theirs, tell, of) = (Arc::clone(&stop), self.tell.clone(), page.clone());
        // One that a read holds up is left behind: it ends once the read returns.
        let thread = std::thread::Builder::new().name("family-profile".into()).spawn(move || sample(&of, &theirs, &tell));
        match thread {
            Ok(_) => self.wanted = Some((page, stop)),
            Err(error) => drop(self.tell.send((page.title, vec![error.to_string()]))),
        }
    }
}

fn sample(page: &ProfilePage, stop: &AtomicBool, tell: &UnboundedSender<(String, Vec<String>)>) {
    let reader = match DetailReader::open("/proc") {
        Ok(reader) => reader,
        Err(error) => return drop(tell.send((page.title.clone(), vec![reason(&error)]))),
    };
    let (key, charset) = (page.key, Charset::from_unicode(page.unicode));
    let family =
        move |reader: &DetailReader| if reader.identify(key).is_ok() { descendants(reader, key.pid) } else { Vec::new() };
    let options = Options { mode: Mode::Wall, duration: LONGEST, rate_hz: RATE_HZ, threads: false };
    let (began, mut shown_at) = (Instant::now(), None::<Instant>);
    let profile = Sampler::new(reader, options, family).run_while(|profile| {
        if shown_at.is_none_or(|at| at.elapsed() >= SHOWN) {
            shown_at = Some(Instant::now());
            let lines = text::lines(profile).iter().map(|line| sanitize_str(line, charset).into_owned()).collect();
            if tell.send((page.title.clone(), lines)).is_err() {
                return false;
            }
        }
        // What this leaves out is counted as missed looks.
        let used = Duration::from_nanos(profile.account.cost_ns);
        std::thread::sleep((used * SHARE).saturating_sub(began.elapsed()).min(SHOWN));
        !stop.load(Ordering::Relaxed)
    });
    if stop.load(Ordering::Relaxed) {
        return;
    }
    let mut lines: Vec<String> = text::lines(&profile).iter().map(|line| sanitize_str(line, charset).into_owned()).collect();
    lines.insert(0, "All its processes have ended, or may not be read.".to_owned());
    // Nobody listens once concmon ends.
    let _ = tell.send((page.title.clone(), lines));
}
