//! `--host`: the hosts asked for, and their processes once for `ps`.

use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

use crate::cli::exit;
use crate::config::Config;
use crate::derive::{HostPart, LinkState, Model};
use crate::hosts::{Destination, Fleet, destinations};
use crate::text::{Charset, sanitize_str};

use super::Failure;
use super::output::to_stderr;

/// How long `ps` waits for hosts, beside the time between two samples: longer than a connection is waited for, so that its reason is known.
const PATIENCE: Duration = Duration::from_secs(35);

/// The hosts of `--host`; a wrong name is bad usage.
pub(super) fn asked_for(names: &[String]) -> Result<Vec<Destination>, Failure> {
    destinations(names).map_err(|why| Failure::Usage(anyhow::anyhow!("--host: {why}")))
}

/// All hosts in one model, once each has sent so many frames or has failed.
pub(super) fn model(config: &Config, samples: u32) -> Result<Model, Failure> {
    // Not more than the newest is kept; what is not taken in time is followed by another.
    let (sender, models) = sync_channel::<Arc<Model>>(1);
    let publish = move |model| match sender.try_send(model) {
        Ok(()) => true,
        Err(error) => matches!(error, std::sync::mpsc::TrySendError::Full(_)),
    };
    let fleet = Fleet::start(asked_for(&config.hosts)?, config.delay, 0, publish)?;
    let until = Instant::now() + PATIENCE + config.delay * samples;
    let mut newest = None;
    loop {
        match models.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok(model) => {
                let done = model.hosts.iter().all(|host| is_done(host, samples));
                newest = Some(model);
                if done {
                    break;
                }
            }
            Err(RecvTimeoutError::Timeout) => break,
            Err(RecvTimeoutError::Disconnected) => {
                return Err(Failure::Failed(anyhow::anyhow!("reading the hosts failed: run it again")));
            }
        }
    }
    drop(fleet);
    let newest = newest.ok_or_else(|| Failure::Failed(anyhow::anyhow!("no host has answered")))?;
    Ok(Arc::unwrap_or_clone(newest))
}

fn is_done(host: &HostPart, samples: u32) -> bool {
    match host.link.state {
        LinkState::Down { .. } => true,
        LinkState::Connecting => false,
        LinkState::Live | LinkState::Late => host.link.frames >= u64::from(samples),
    }
}

/// Says of every host that is not in the table why; that is a failure.
pub(super) fn complete(model: &Model) -> Result<(), Failure> {
    let mut failed = false;
    for host in model.hosts.iter().filter(|host| host.model.is_none()) {
        let why = host.link.why_down().unwrap_or("no frame has come in time");
        say(&host.name, why);
        failed = true;
    }
    if failed { Err(Failure::Reported(exit::FAILED)) } else { Ok(()) }
}

/// Says on standard error why there is nothing of a host.
pub(super) fn say(host: &str, why: &str) {
    to_stderr(&format!("concmon: {}: {}\n", host, sanitize_str(why, Charset::Unicode)));
}
