//! Replay of a recording: position, keys, and which functions are off.

use std::borrow::Cow;
use std::sync::Arc;

use super::App;
use super::actions::{Action, Context};
use super::detail::DetailPane;
use super::history::History;
use super::host_view::READ_ONLY;
use super::key::Key;
use super::layer::Layer;
use super::msg::{Command, Effect, Notice};
use super::options::Screen;
use super::past::Past;
use crate::derive::Model;
use crate::diagnose::Watch;

/// Where in a recording the screens are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Playback {
    /// How many frames it has.
    pub frames: usize,
    /// The one that is shown, from 0.
    pub frame: usize,
    /// Whether the next one comes by itself.
    pub playing: bool,
    /// Of a stream, whether it goes on; `None` for a file.
    pub stream: Option<bool>,
}

/// What is to be shown of a recording.
#[derive(Debug, Clone)]
pub struct Shown {
    /// Where it is now.
    pub at: Playback,
    /// Whether what the screens remember (graphs, events, findings) is of another time, and starts again with these models.
    pub anew: bool,
    /// The frame that is shown at the end, before it those that lead there; none if only `at` has changed.
    pub models: Vec<Arc<Model>>,
    /// A sentence for the user.
    pub told: Option<String>,
}

/// A key that moves in a recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplayKey {
    /// Let it run, or stop it.
    Play,
    /// So many frames on (negative: back). By one stops it.
    Step(i32),
    /// So many seconds of the recorded time on (negative: back).
    Seconds(i32),
    /// To the first frame.
    First,
    /// To the last frame.
    Last,
}

impl Command {
    /// Whether it is about the machine itself, and not about samples of it.
    fn is_live(self) -> bool {
        match self {
            Self::Go(screen) => !screen.is_of_samples(),
            Self::StopRuns
            | Self::QuickLaunch
            | Self::Timeline
            | Self::Profile
            | Self::Why
            | Self::Ledger
            | Self::Enter
            | Self::Lesson(_)
            | Self::Compare(_)
            | Self::Output => true,
            _ => false,
        }
    }
}

impl App {
    /// Why an action is off: words that go on after its name (`is off: ...`), or a sentence of their own (`off: ...`).
    pub(super) fn off(&self, action: &Action) -> Option<Cow<'static, str>> {
        if self.replay.is_some() && (action.changes || action.command.is_live()) {
            let while_back = "is off while the past is shown; Esc returns to now";
            return Some(if self.looks_back() { while_back.into() } else { "is off during a replay".into() });
        }
        if self.hosts.is_some() && (action.changes || action.command.is_live()) {
            return Some(READ_ONLY.into());
        }
        if action.changes && self.options.readonly {
            return Some("is off with --readonly".into());
        }
        // Signals are sent through descriptors; for each process that has none the failure is reported.
        let by_number = action.changes && action.command != Command::SignalMenu;
        self.options.pid_space.refusal().filter(|_| by_number).map(|why| format!("off: {why}").into())
    }

    /// Whether an action's label is drawn as off.
    #[must_use]
    pub fn is_off(&self, action: &Action) -> bool {
        self.off(action).is_some()
    }

    /// Why an effect is refused, in a sentence: a second check, after that of the actions.
    #[must_use]
    pub fn refusal(&self, effect: &Effect) -> Option<&'static str> {
        if self.replay.is_some() && effect.is_live() {
            Some(match self.looks_back() {
                true => "off while the past is shown: nothing of this machine is read, changed or started; Esc returns to now",
                false => "off during a replay: nothing of this machine is read, changed or started",
            })
        } else if self.hosts.is_some() && effect.is_live() {
            Some("off with --host: other machines are only looked at, and this one is not shown")
        } else if self.options.readonly && effect.changes() {
            Some("off with --readonly: nothing is changed or started")
        } else {
            let by_number = effect.changes() && !matches!(effect, Effect::Signal { .. });
            self.options.pid_space.refusal().filter(|_| by_number)
        }
    }

    /// The action that a key means here. What moves in a recording goes before the screen's own, for it is why one is shown.
    pub(super) fn action(&self, key: Key) -> Option<&'static Action> {
        let moves = self.options.keys.find(key, Context::Recording).filter(|a| a.context == Context::Recording);
        let is_replay = self.replay.is_some();
        let of_hosts = self.options.keys.find(key, Context::Hosts).filter(|a| a.context == Context::Hosts);
        let all_hosts = self.hosts.is_some() && self.chosen_host().is_none() && self.screen == Screen::Processes;
        // Enter shows details once one host is shown.
        let of_hosts = of_hosts.filter(|a| self.hosts.is_some() && (a.command != Command::Host(0) || all_hosts));
        let moves = moves.filter(|a| is_replay || a.leads_back());
        of_hosts.or(moves).or_else(|| self.options.keys.find(key, self.context()))
    }

    /// The effect of a key that moves in the recording also while something lies over the screen that no text is typed into.
    pub(super) fn moves_in_recording(&mut self, key: Key) -> Option<Vec<Effect>> {
        self.replay.as_ref()?;
        if !matches!(self.layer, Some(Layer::Detail(_))) {
            return None;
        }
        let action = self.action(key).filter(|a| a.context == Context::Recording || a.command == Command::Pause)?;
        Some(self.run(action.command))
    }

    /// Moves in the recording.
    pub(super) fn replay_key(&mut self, key: ReplayKey) -> Vec<Effect> {
        if self.replay.is_none() { self.look_back(key) } else { vec![Effect::Replay(key)] }
    }

    /// The screens that there are.
    #[must_use]
    pub fn screens(&self) -> &'static [Screen] {
        if self.is_of_this_machine() { &Screen::ALL } else { &Screen::OF_SAMPLES }
    }

    /// Takes in what is to be shown of the recording.
    pub(super) fn replayed(&mut self, shown: Shown) {
        // Only a live session has none before its past is shown.
        if self.replay.is_none() {
            self.set_now_aside();
        }
        self.replay = Some(shown.at);
        if let Some(told) = shown.told {
            self.tell(Notice { lasting: true, ..Notice::bad(told) });
        }
        if shown.anew {
            self.begin_anew();
        }
        let mut models = shown.models;
        let Some(last) = models.pop() else { return };
        for model in models {
            self.history.add(&model);
            self.past.add(&model);
            self.events.add(&model);
            self.watch.step(&model);
            self.sample_panes(&model);
        }
        self.sample(last);
    }

    /// Forgets what is of another time of the recording.
    fn begin_anew(&mut self) {
        self.history = History::default();
        self.past = Past::default();
        self.events.begin_anew();
        self.watch = Watch::default();
        self.panes().for_each(DetailPane::begin_anew);
    }
}
