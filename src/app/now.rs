//! The live state of a session, kept while its screens show the past.

use std::sync::Arc;

use super::events_log::EventsLog;
use super::history::History;
use super::past::Past;
use crate::derive::Model;
use crate::diagnose::{Finding, Watch};

/// The live state of the session, kept while the screens show the past.
#[derive(Debug)]
pub(super) struct Now {
    pub model: Option<Arc<Model>>,
    pub history: History,
    pub past: Past,
    pub events: EventsLog,
    pub watch: Watch,
    pub findings: Vec<Finding>,
    pub paused: bool,
    pub now_ns: u64,
}

impl Now {
    /// Takes a sample in that is not shown.
    pub(super) fn sample(&mut self, model: Arc<Model>) {
        self.now_ns = model.now.taken_ns;
        self.history.add(&model);
        self.past.add(&model);
        self.events.add(&model);
        self.findings = self.watch.step_with(&model, None);
        self.model = Some(model);
    }
}
