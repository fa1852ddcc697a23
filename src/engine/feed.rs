//! The source of the samples: this machine (recorded or not), a recording, or other machines.

use std::time::Duration;

use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::watch;

use super::player::Player;
use super::sampler::{Sampled, Sampler, Wants};
use crate::app::App;
use crate::app::host_view::HostsView;
use crate::app::replay::{Playback, Shown};
use crate::config::Config;
use crate::hosts::{Destination, Fleet};
use crate::inspect::watch::WithPythons;
use crate::kernel::AutoSource;
use crate::record::{Flight, FlightRecorder, Recorder, Replay, Writer};

/// Where the samples come from.
#[derive(Debug)]
pub enum Feed {
    /// This machine; every sample is written down too if there is a writer.
    Machine(Option<Writer>),
    /// A recording.
    Recording(Box<Replay>),
    /// Other machines.
    Hosts(Vec<Destination>),
}

impl Feed {
    /// Sets in the application what it is about to show.
    pub(super) fn prepare(&self, app: &mut App) {
        match self {
            Self::Machine(writer) => app.recording = writer.is_some(),
            Self::Recording(replay) => {
                let stream = replay.is_growing().then_some(true);
                app.replay = Some(Playback { frames: replay.frames(), frame: 0, playing: false, stream });
            }
            Self::Hosts(_) => app.hosts = Some(HostsView::default()),
        }
    }
}

/// The thread that samples come from.
pub(super) enum Samples {
    /// With the last minutes.
    Machine(Sampler, Flight),
    Recording(Player),
    Hosts {
        /// Dropped with this: then its thread ends.
        _fleet: Fleet,
        models: watch::Receiver<Option<Sampled>>,
    },
}

impl Samples {
    /// Starts it; `stopped` gets in one sentence why nothing is recorded any more.
    pub(super) fn start(config: &Config, feed: Feed, wants: Wants, stopped: UnboundedSender<String>) -> std::io::Result<Self> {
        let ghost_ns = u64::try_from(config.ghost.as_nanos()).unwrap_or(u64::MAX);
        match feed {
            Feed::Recording(replay) => Ok(Self::Recording(Player::start(*replay, config.delay, ghost_ns)?)),
            Feed::Hosts(destinations) => {
                let (sender, models) = watch::channel(None);
                let publish = move |model| sender.send(Some(Ok(model))).is_ok();
                let _fleet = Fleet::start(destinations, config.delay, ghost_ns, publish)?;
                Ok(Self::Hosts { _fleet, models })
            }
            Feed::Machine(writer) => {
                let choice = config.source;
                let tell = move |why| {
                    // The receiver is gone if the program is ending.
                    let _ = stopped.send(why);
                };
                let flight = Flight::new(config.last_minutes);
                let kept = flight.clone();
                let source = move || {
                    let source = AutoSource::new("/proc", choice).map_err(|e| format!("cannot read the process table: {e}"))?;
                    Ok(Recorder::new(FlightRecorder::new(WithPythons::new(source), kept), writer, tell))
                };
                Ok(Self::Machine(Sampler::start(source, config.delay, ghost_ns, wants)?, flight))
            }
        }
    }

    pub(super) fn set_interval(&self, interval: Duration) {
        match self {
            Self::Machine(sampler, _) => sampler.set_interval(interval),
            Self::Recording(player) => player.set_interval(interval),
            // Hosts were asked for their frames when they were connected.
            Self::Hosts { .. } => {}
        }
    }

    /// A recording and other hosts are not asked: they give what they have.
    pub(super) fn want(&self, wants: Wants, now: bool) {
        if let Self::Machine(sampler, _) = self {
            sampler.want(wants, now);
        }
    }

    /// Models of this machine, or of all hosts; a recording gives none here.
    pub(super) fn models(&self) -> watch::Receiver<Option<Sampled>> {
        match self {
            Self::Machine(sampler, _) => sampler.models(),
            Self::Hosts { models, .. } => models.clone(),
            Self::Recording(_) => watch::channel(None).1,
        }
    }

    /// The last minutes of this machine.
    pub(super) fn flight(&self) -> Option<&Flight> {
        match self {
            Self::Machine(_, flight) => Some(flight),
            Self::Recording(_) | Self::Hosts { .. } => None,
        }
    }

    pub(super) fn player(&mut self) -> Option<&mut Player> {
        match self {
            Self::Machine(..) | Self::Hosts { .. } => None,
            Self::Recording(player) => Some(player),
        }
    }

    /// What is next to be shown of a recording.
    pub(super) async fn shown(&mut self) -> Option<Shown> {
        match self.player() {
            Some(player) => player.shown.recv().await,
            None => std::future::pending().await,
        }
    }
}
