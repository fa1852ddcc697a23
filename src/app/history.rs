//! The last values of each meter, for the graphs of the header.

use std::collections::VecDeque;

use crate::derive::Model;
use crate::meters::{METERS, Meter, Reading};

/// The most points kept of each; wider screens show no more (two points share a cell).
const KEPT: usize = 512;

/// Recent levels of every meter, oldest first.
#[derive(Debug, Default)]
pub struct History {
    levels: Vec<VecDeque<f32>>,
}

impl History {
    /// Adds a sample's values; an unknown value adds no point.
    pub fn add(&mut self, model: &Model) {
        self.levels.resize_with(METERS.len(), VecDeque::new);
        for (meter, points) in METERS.iter().zip(&mut self.levels) {
            if let Reading::Known { level: Some(level), .. } = (meter.read)(model) {
                if points.len() == KEPT {
                    points.pop_front();
                }
                points.push_back(level);
            }
        }
    }

    /// A meter's levels, newest first.
    pub fn newest_first(&self, meter: &Meter) -> impl Iterator<Item = f32> + '_ {
        let at = METERS.iter().position(|m| m.id == meter.id);
        at.and_then(|at| self.levels.get(at)).into_iter().flat_map(|points| points.iter().rev().copied())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::derive::Deriver;
    use crate::derive::tests::snapshot;
    use crate::snapshot::{HostSample, Snapshot};

    #[test]
    fn points_are_bounded_and_what_is_unknown_leaves_none() {
        let mut history = History::default();
        let mut deriver = Deriver::new(0);
        for step in 0..KEPT as u64 * 2 {
            let load = (step % 2 == 0).then_some([step as f32, 0.0, 0.0]);
            let host = HostSample { load, ..HostSample::default() };
            history.add(&deriver.step(Snapshot { host, ..snapshot(step, Vec::new()) }));
        }
        let load = crate::meters::find("load").unwrap();
        assert_eq!(history.newest_first(load).count(), KEPT);
        assert_eq!(history.newest_first(load).next(), Some((KEPT * 2 - 2) as f32));
        assert_eq!(history.newest_first(crate::meters::find("cpu").unwrap()).count(), 0);
    }
}
