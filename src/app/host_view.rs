//! The state of the screens for several hosts: their models and findings, and the host that is shown alone.

use std::sync::Arc;

use crate::derive::{HostPart, Model, key_on_host};
use crate::diagnose::{Finding, MACHINE, Watch};
use crate::snapshot::ProcKey;

/// Why no action changes or reads anything of other machines.
pub const READ_ONLY: &str =
    "is off with --host: other machines are only looked at, and nothing is sent to them but `concmon stream`";

/// The newest model of all hosts, the findings of each, and the host that is shown alone.
#[derive(Debug, Default)]
pub struct HostsView {
    /// All of them in one.
    all: Option<Arc<Model>>,
    /// The one that is shown alone.
    pub chosen: Option<usize>,
    watched: Vec<Watched>,
}

/// Findings of one host.
#[derive(Debug, Default)]
struct Watched {
    seen: Option<Arc<Model>>,
    watch: Watch,
    findings: Vec<Finding>,
}

impl HostsView {
    /// Takes a new model in, and looks for problems on the hosts whose own model is new.
    pub fn take(&mut self, all: Arc<Model>) {
        self.watched.resize_with(all.hosts.len(), Watched::default);
        for (watched, host) in self.watched.iter_mut().zip(all.hosts.iter()) {
            match (&host.model, &watched.seen) {
                (Some(new), Some(old)) if Arc::ptr_eq(new, old) => {}
                (Some(new), _) => {
                    watched.findings = watched.watch.step(new);
                    watched.seen = Some(Arc::clone(new));
                }
                // After a stream has begun again no problem is known to have lasted.
                (None, _) => *watched = Watched::default(),
            }
        }
        self.all = Some(all);
    }

    /// The hosts.
    #[must_use]
    pub fn parts(&self) -> &[HostPart] {
        self.all.as_deref().map_or(&[], |all| all.hosts.as_slice())
    }

    /// The model to show: of the chosen host, or of all.
    #[must_use]
    pub fn shown(&self) -> Option<Arc<Model>> {
        match self.chosen {
            Some(host) => self.parts().get(host)?.model.clone(),
            None => self.all.clone(),
        }
    }

    /// Findings of the chosen host, or of all with the hosts' names.
    #[must_use]
    pub fn findings(&self) -> Vec<Finding> {
        if let Some(watched) = self.chosen.and_then(|host| self.watched.get(host)) {
            return watched.findings.clone();
        }
        let mut all = Vec::new();
        for (number, (watched, host)) in self.watched.iter().zip(self.parts()).enumerate() {
            all.extend(watched.findings.iter().map(|finding| of_host(finding, number, &host.name)));
        }
        // Warnings first, as in each host's list.
        all.sort_by_key(|finding| std::cmp::Reverse(finding.diagnosis.level == crate::diagnose::Level::Warning));
        all
    }
}

fn of_host(finding: &Finding, host: usize, name: &str) -> Finding {
    let key = |key: ProcKey| if key == MACHINE { key } else { key_on_host(host, key) };
    Finding {
        about: key(finding.about),
        others: finding.others.iter().copied().map(key).collect(),
        evidence: format!("{name}: {}", finding.evidence),
        ..finding.clone()
    }
}
