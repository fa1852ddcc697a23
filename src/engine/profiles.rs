//! Profiles a family of processes on a thread of its own, only while its page is open: since it was opened, at most one twenty-fifth of a
//! CPU.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::mpsc::UnboundedSender;

use super::for_open::ForOpen;
use crate::app::msg::Msg;
use crate::app::profile_page::ProfilePage;
use crate::kernel::{DetailReader, reason};
use crate::lanes::SHARE;
use crate::profile::sampler::{Options, Sampler, family};
use crate::profile::{Mode, Profile, text};
use crate::text::{Charset, sanitize_str};

/// Looks per second, and how often the page changes.
const RATE_HZ: f64 = 20.0;
const SHOWN: Duration = Duration::from_millis(500);
/// A page that stays open for so long has seen enough.
const LONGEST: Duration = Duration::from_secs(3600);

/// The thread of the page that is open.
#[derive(Debug)]
pub(super) struct Profiles {
    thread: ForOpen<ProfilePage>,
    answers: UnboundedSender<Msg>,
}

impl Profiles {
    /// `answers` gets what the page shows.
    pub(super) fn new(answers: UnboundedSender<Msg>) -> Self {
        Self { thread: ForOpen::new("family-profile"), answers }
    }

    /// This page is open from now on, or none.
    pub(super) fn want(&mut self, page: Option<ProfilePage>) {
        let (answers, title) = (self.answers.clone(), page.as_ref().map(|page| page.title.clone()));
        if let Err(error) = self.thread.want(page, move |page, stop| sample(page, stop, &answers)) {
            drop(self.answers.send(Msg::Explained { title: title.unwrap_or_default(), lines: vec![error.to_string()] }));
        }
    }
}

fn sample(page: &ProfilePage, stop: &AtomicBool, answers: &UnboundedSender<Msg>) {
    // False once concmon ends.
    let show = |lines| answers.send(Msg::Explained { title: page.title.clone(), lines }).is_ok();
    let reader = match DetailReader::open("/proc") {
        Ok(reader) => reader,
        Err(error) => {
            show(vec![reason(&error)]);
            return;
        }
    };
    let (key, charset) = (page.key, Charset::from_unicode(page.unicode));
    let lines_of =
        |profile: &Profile| text::lines(profile).iter().map(|line| sanitize_str(line, charset).into_owned()).collect::<Vec<_>>();
    let options = Options { mode: Mode::Wall, duration: LONGEST, rate_hz: RATE_HZ, threads: false };
    let (began, mut shown_at) = (Instant::now(), None::<Instant>);
    let profile = Sampler::new(reader, options, move |reader| family(reader, key)).run_while(|profile| {
        if shown_at.is_none_or(|at| at.elapsed() >= SHOWN) {
            shown_at = Some(Instant::now());
            if !show(lines_of(profile)) {
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
    let mut lines = lines_of(&profile);
    lines.insert(0, "All its processes have ended, or may not be read.".to_owned());
    show(lines);
}
