//! CPU use of each process and task over the last samples: what a row's small graph draws.

use std::ops::Range;
use std::sync::Arc;

use crate::snapshot::Snapshot;

use super::Rates;
use super::rates::{OfAll, same_processes, same_tasks};

/// How many samples are kept.
pub const RECENT: usize = 8;

/// CPU use over the last [`RECENT`] samples. Shares are of one CPU, in 1/255, at most 255; a sample whose rate is unknown leaves no entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Recent {
    ran: [u8; RECENT],
    waited: [u8; RECENT],
    known: u8,
}

/// One sample's part of a [`Recent`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spell {
    /// Share of the time on a CPU, 0 to 1.
    pub ran: f32,
    /// Share of the time runnable without a CPU, 0 to 1.
    pub waited: f32,
}

fn byte(percent: Option<f32>) -> u8 {
    // `round` is a call on older processors; a cast keeps to 0 to 255 by itself.
    (percent.unwrap_or(0.0) * 2.55 + 0.5) as u8
}

impl Recent {
    fn then(mut self, rates: &Rates) -> Self {
        if rates.cpu_percent.is_none() && rates.wait_percent.is_none() {
            return self;
        }
        self.ran.rotate_left(1);
        self.waited.rotate_left(1);
        self.ran[RECENT - 1] = byte(rates.cpu_percent);
        self.waited[RECENT - 1] = byte(rates.wait_percent);
        self.known = (self.known + 1).min(RECENT as u8);
        self
    }

    /// As text for exports: `12+30 100+0`, percent of one CPU on it and waiting for it, oldest first.
    #[must_use]
    pub fn text(&self) -> String {
        let parts: Vec<String> = self.spells().map(|s| format!("{:.0}+{:.0}", s.ran * 100.0, s.waited * 100.0)).collect();
        parts.join(" ")
    }

    /// The known samples, oldest first.
    pub fn spells(&self) -> impl ExactSizeIterator<Item = Spell> + '_ {
        let share = |byte: u8| f32::from(byte) / 255.0;
        (RECENT - usize::from(self.known)..RECENT)
            .map(move |at| Spell { ran: share(self.ran[at]), waited: share(self.waited[at]) })
    }
}

/// The graphs of one snapshot: parallel to its processes and to its tasks.
#[derive(Debug, Clone, Default)]
pub(super) struct Graphs {
    pub(super) processes: Arc<Vec<Recent>>,
    pub(super) tasks: Arc<Vec<Recent>>,
}

impl Graphs {
    /// The graphs of `now`, from those of `before`. With `rates` the new sample is added; without, the graphs are only carried over.
    pub(super) fn next(&self, before: Option<&Snapshot>, now: &Snapshot, rates: Option<OfAll<'_>>) -> Self {
        let mut of_processes = vec![Recent::default(); now.processes.len()];
        let mut of_tasks = vec![Recent::default(); now.tasks.len()];
        if let Some(before) = before {
            for (was, at) in same_processes(before, now) {
                of_processes[at] = self.processes.get(was).copied().unwrap_or_default();
                let (old, new) = (range(&before.processes[was].tasks), range(&now.processes[at].tasks));
                let (olds, news) = (before.tasks.get(old.clone()), now.tasks.get(new.clone()));
                let (Some(olds), Some(news)) = (olds, news) else { continue };
                for (was, at) in same_tasks(olds, news) {
                    of_tasks[new.start + at] = self.tasks.get(old.start + was).copied().unwrap_or_default();
                }
            }
        }
        if let Some((processes, tasks)) = rates {
            of_processes.iter_mut().zip(processes).for_each(|(graph, rates)| *graph = graph.then(rates));
            of_tasks.iter_mut().zip(tasks).for_each(|(graph, rates)| *graph = graph.then(rates));
        }
        Self { processes: Arc::new(of_processes), tasks: Arc::new(of_tasks) }
    }
}

fn range(tasks: &Range<u32>) -> Range<usize> {
    tasks.start as usize..tasks.end as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rates(cpu: f32) -> Rates {
        Rates { cpu_percent: Some(cpu), wait_percent: Some(10.0), known_before: true, ..Rates::default() }
    }

    #[test]
    fn the_newest_is_last_and_the_oldest_goes() {
        let mut recent = Recent::default();
        assert_eq!(recent.spells().len(), 0);
        for step in 0..RECENT + 3 {
            recent = recent.then(&rates(step as f32 * 10.0));
        }
        let ran: Vec<f32> = recent.spells().map(|s| (s.ran * 10.0).round()).collect();
        assert_eq!(ran, [3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0]);
        assert_eq!(recent.then(&Rates::default()), recent, "an unknown rate leaves no entry");
        assert_eq!(recent.then(&rates(900.0)).spells().last().map(|s| s.ran), Some(1.0), "at most one CPU");
    }
}
