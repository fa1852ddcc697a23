//! Several hosts: their processes in one table, or one of them alone with its own header, tree, events and problems.

use std::sync::Arc;

use super::App;
use super::detail::DetailPane;
use super::events_log::EventsLog;
use super::history::History;
use super::host_view::HostsView;
use super::msg::{Effect, Notice};
use super::past::Past;
use crate::derive::{HostPart, Model, key_on_host};
use crate::diagnose::Finding;
use crate::snapshot::{host_of, pid_on_host};

impl App {
    /// The hosts, if several machines are looked at.
    #[must_use]
    pub fn host_parts(&self) -> Option<&[HostPart]> {
        self.hosts.as_ref().map(HostsView::parts)
    }

    /// The host that is shown alone.
    #[must_use]
    pub fn chosen_host(&self) -> Option<&HostPart> {
        let view = self.hosts.as_ref()?;
        view.parts().get(view.chosen?)
    }

    /// Whether the screens show this machine, now or in the last minutes.
    #[must_use]
    pub fn is_of_this_machine(&self) -> bool {
        self.replay.is_none() && self.hosts.is_none()
    }

    /// Findings of the shown hosts; `None` if this machine or a recording is shown.
    pub(super) fn found_on_hosts(&self) -> Option<Vec<Finding>> {
        self.hosts.as_ref().map(HostsView::findings)
    }

    /// Takes in a model of all hosts.
    pub(super) fn take_hosts(&mut self, all: Arc<Model>) {
        let Some(view) = &mut self.hosts else { return };
        self.now_ns = all.now.taken_ns;
        view.take(all);
        let shown = view.shown();
        match shown {
            // Of a host that sends nothing new nothing new is shown.
            Some(shown) if self.model.as_ref().is_some_and(|old| Arc::ptr_eq(old, &shown)) => {}
            Some(shown) => self.sample(shown),
            None => self.leave_host(),
        }
    }

    /// The chosen host has no stream: all are shown, which say why.
    fn leave_host(&mut self) {
        let why =
            self.chosen_host().map(|host| format!("{}: {}", host.name, host.link.why_down().unwrap_or("there is no stream")));
        self.choose_host(None);
        if let Some(why) = why {
            self.tell(Notice::bad(why));
        }
    }

    /// The host so many further on (all hosts come before the first); by 0 that of the selected row, with the cursor on its process.
    pub(super) fn go_to_host(&mut self, by: i32) -> Vec<Effect> {
        let Some(view) = &self.hosts else { return Vec::new() };
        if by == 0 {
            let Some(key) = self.selected().map(|row| row.key()).filter(|_| view.chosen.is_none()) else { return Vec::new() };
            self.choose_host(Some(host_of(key.pid)));
            self.select_pid(pid_on_host(key.pid));
            return Vec::new();
        }
        // Hosts without a stream have nothing to show.
        let places = view.parts().len() + 1;
        let step = if by > 0 { 1 } else { places - 1 };
        let mut at = view.chosen.map_or(0, |host| host + 1);
        for _ in 0..places {
            at = (at + step) % places;
            if at == 0 || view.parts()[at - 1].model.is_some() {
                break;
            }
        }
        self.choose_host(at.checked_sub(1));
        Vec::new()
    }

    /// Shows one host, or all. Everything that holds ids is cleared: the ids of the two views differ.
    pub(super) fn choose_host(&mut self, chosen: Option<usize>) {
        let Some(view) = &mut self.hosts else { return };
        view.chosen = chosen;
        let shown = view.shown();
        (self.history, self.past, self.events) = (History::default(), Past::default(), EventsLog::default());
        self.tagged.clear();
        self.options.only.clear();
        self.options.folded.clear();
        (self.split, self.anchor, self.follow) = (None, None, false);
        self.panes().for_each(DetailPane::begin_anew);
        let paused = std::mem::take(&mut self.paused);
        if let Some(shown) = shown {
            self.sample(shown);
        }
        self.paused = paused;
    }

    /// Returns from one host to all; false if all are shown already.
    pub(super) fn leave_chosen_host(&mut self) -> bool {
        let chosen = self.hosts.as_ref().and_then(|view| view.chosen);
        let Some(host) = chosen else { return false };
        let key = self.selected().map(|row| key_on_host(host, row.key()));
        self.choose_host(None);
        if let Some(key) = key {
            self.select_pid(key.pid);
        }
        true
    }
}
