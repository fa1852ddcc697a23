//! Below the lanes, where there is room: where the time of each lane went, over its whole life.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::View;
use crate::lab::lanes::{self, Lane, Role, Spent};
use crate::ui::pen::{Pen, zero};

/// Cells of the figures: on a CPU, waiting for one, asleep, units of work, one of them.
const WIDTHS: [u16; 5] = [11, 11, 11, 7, 11];
const HEADS: [&str; 5] = ["ON A CPU", "WAITED", "ASLEEP", "TASKS", "MEDIAN"];

impl View<'_> {
    /// Draws it into `area`: a line of heads, then a lane a line, from the first that is shown above.
    pub(super) fn spent(&self, lanes: &[Lane<'_>], first: usize, area: Rect, buffer: &mut Buffer) {
        if area.height < 2 {
            return;
        }
        let theme = self.theme;
        let mut pen = Pen::new(buffer, area, 0);
        pen.put("  WHERE THE TIME WENT", theme.dim).to(self.place.labels.right());
        for (head, cells) in HEADS.iter().zip(WIDTHS) {
            pen.put_right(head, cells, theme.dim);
        }
        pen.put("   share of the lane's time", theme.dim);
        for (line, (at, lane)) in (1..area.height).zip(lanes.iter().enumerate().skip(first)) {
            let style = match lane.role {
                _ if at == self.app.timeline.lane => theme.accent,
                Role::Worker(_) | Role::Inner(_) => theme.strong,
                Role::Root | Role::Other => theme.dim,
            };
            let mut pen = Pen::new(buffer, area, line);
            pen.put("  ", theme.text).put(&self.name(lane), style).to(self.place.labels.right());
            self.figures(&lanes::spent(lane), pen);
        }
    }

    /// The figures of one lane, and their shares as a bar.
    fn figures(&self, spent: &Spent, mut pen: Pen<'_>) {
        let theme = self.theme;
        let known = spent.seen_ns > 0;
        let times = [(spent.ran_ns, theme.good), (spent.waited_ns, theme.warn), (spent.asleep_ns(), theme.text)];
        for ((ns, style), cells) in times.into_iter().zip(WIDTHS) {
            let words = match (known, ns) {
                (false, _) => "-".to_owned(),
                (_, 0) => zero(self.unicode()).to_owned(),
                (_, ns) => lanes::duration(ns),
            };
            pen.put_right(&words, cells, if known && ns > 0 { style } else { theme.dim });
        }
        let units = if spent.units > 0 { spent.units.to_string() } else { String::new() };
        pen.put_right(&units, WIDTHS[3], theme.cool);
        pen.put_right(&spent.unit_ns.map(lanes::duration).unwrap_or_default(), WIDTHS[4], theme.text).skip(3);
        if known {
            let share = |ns: u64| ns as f32 / spent.seen_ns as f32;
            let cells = pen.left().saturating_sub(1);
            pen.bar(cells, &[(share(spent.ran_ns), theme.good), (share(spent.waited_ns), theme.warn)], self.unicode(), theme.dim);
        }
    }
}
