//! What the header's small graphs show: the last samples of the machine's load.

use std::collections::VecDeque;

use crate::derive::Model;

/// The most points kept; wider screens show no more.
const KEPT: usize = 240;

/// Recent shares, oldest first.
#[derive(Debug, Default)]
pub struct History {
    /// Percent busy of all CPUs together.
    pub cpu: VecDeque<f32>,
    /// Percent of memory in use.
    pub memory: VecDeque<f32>,
}

impl History {
    /// Adds a sample's values; what is unknown leaves no point.
    pub fn add(&mut self, model: &Model) {
        push(&mut self.cpu, model.host.total.map(|t| t.busy()));
        let used = model.now.host.memory.and_then(|m| {
            let available = m.available_bytes?;
            (m.total_bytes > 0).then(|| (m.total_bytes.saturating_sub(available)) as f32 * 100.0 / m.total_bytes as f32)
        });
        push(&mut self.memory, used);
    }
}

fn push(points: &mut VecDeque<f32>, value: Option<f32>) {
    if let Some(value) = value {
        if points.len() == KEPT {
            points.pop_front();
        }
        points.push_back(value);
    }
}
