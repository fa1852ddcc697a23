//! Looking back into the last minutes of a live session: what is now is set aside, goes on being sampled, and comes back with Esc.

use std::sync::Arc;

use super::App;
use super::msg::{Effect, Notice};
use super::now::Now;
use super::options::Screen;
use super::replay::ReplayKey;
use crate::derive::Model;

impl ReplayKey {
    /// True for keys that lead from the live view into the past.
    #[must_use]
    pub fn leads_back(self) -> bool {
        match self {
            Self::Step(by) => by < -1,
            Self::Seconds(by) => by < 0,
            Self::Play | Self::First | Self::Last => false,
        }
    }
}

impl App {
    /// True while a live session shows its past.
    #[must_use]
    pub fn looks_back(&self) -> bool {
        self.now.is_some()
    }

    /// Age of the shown sample in seconds; `None` while the present is shown.
    #[must_use]
    pub fn past_age_s(&self) -> Option<u64> {
        let (now, model) = (self.now.as_ref()?, self.model.as_ref()?);
        Some(now.now_ns.saturating_sub(model.now.taken_ns) / 1_000_000_000)
    }

    /// From now into the last minutes.
    pub(super) fn look_back(&mut self, key: ReplayKey) -> Vec<Effect> {
        if self.hosts.is_some() {
            self.tell(Notice::info("the last minutes of other hosts are not kept; on a host, --record keeps them"));
            return Vec::new();
        }
        if !key.leads_back() {
            self.tell(Notice::info("already live: { and ( go back into the last minutes"));
            return Vec::new();
        }
        vec![Effect::LookBack(key)]
    }

    /// Keeps the live state, because the first picture of the past has come.
    pub(super) fn set_now_aside(&mut self) {
        if !self.screen.is_of_samples() {
            self.screen = Screen::Processes;
        }
        self.now = Some(Box::new(Now {
            model: self.model.clone(),
            history: std::mem::take(&mut self.history),
            past: std::mem::take(&mut self.past),
            events: std::mem::take(&mut self.events),
            watch: std::mem::take(&mut self.watch),
            findings: std::mem::take(&mut self.findings),
            paused: std::mem::take(&mut self.paused),
            now_ns: self.now_ns,
        }));
        self.events.page = self.now.as_ref().map_or(0, |now| now.events.page);
    }

    /// Keeps a sample of now while the past is shown; returns it if now is shown.
    pub(super) fn keep_aside(&mut self, model: Arc<Model>) -> Option<Arc<Model>> {
        match &mut self.now {
            Some(now) => {
                now.sample(model);
                None
            }
            None => Some(model),
        }
    }

    /// Back to now, if the past is shown.
    pub(super) fn return_to_now(&mut self) -> Option<Vec<Effect>> {
        let Now { model, history, past, events, watch, findings, paused, now_ns } = *self.now.take()?;
        (self.history, self.past, self.events, self.watch) = (history, past, events, watch);
        (self.findings, self.paused, self.now_ns, self.replay) = (findings, paused, now_ns, None);
        self.model = model;
        self.panes().for_each(super::detail::DetailPane::begin_anew);
        self.rebuild();
        self.tell(Notice::info("live again"));
        Some(vec![Effect::Now, Effect::Resample])
    }
}
