//! Below the lanes, where there is room: where the time of each lane went, over its whole life.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::View;
use crate::app::family_time::FamilyTime;
use crate::lab::lanes::{self, Lane, Role, Spent};
use crate::text::{Charset, truncate};
use crate::ui::pen::{Pen, zero};

/// Cells of the figures: on a CPU, waiting for one, asleep, then units of work and one of them, or of a family the wait for the GIL and the
/// function.
const WIDTHS: [u16; 3] = [11, 11, 11];
const UNITS: [u16; 2] = [7, 11];
const GIL: u16 = 13;
const FUNCTION: u16 = 28;

impl View<'_> {
    /// Draws it into `area`: a line of heads, then a lane a line, from the first that is shown above.
    pub(super) fn spent(&self, lanes: &[Lane<'_>], first: usize, area: Rect, buffer: &mut Buffer) {
        if area.height < 2 {
            return;
        }
        let theme = self.theme;
        let family = self.app.timeline.family.as_ref();
        let mut pen = Pen::new(buffer, area, 0);
        pen.put("  WHERE THE TIME WENT", theme.dim).to(self.place.labels.right());
        for (head, cells) in ["ON A CPU", "WAITED", "ASLEEP"].into_iter().zip(WIDTHS) {
            pen.put_right(head, cells, theme.dim);
        }
        match family {
            Some(family) if family.lanes.has_functions() => {
                let end = pen.put_right("FOR THE GIL", GIL, theme.dim).x() + FUNCTION;
                pen.put("  MOSTLY IN", theme.dim).to(end);
            }
            Some(_) => {}
            None => {
                pen.put_right("TASKS", UNITS[0], theme.dim).put_right("MEDIAN", UNITS[1], theme.dim);
            }
        }
        // Half a word would say nothing.
        let words = ["   share of the lane's time", "   share"];
        if let Some(words) = words.into_iter().find(|words| usize::from(pen.left()) > words.len()) {
            pen.put(words, theme.dim);
        }
        let shown = lanes.iter().enumerate().skip(first).filter(|(_, lane)| lane.role != Role::Gil);
        for (line, (at, lane)) in (1..area.height).zip(shown) {
            let style = match lane.role {
                _ if at == self.app.timeline.lane => theme.accent,
                Role::Worker(_) | Role::Inner(_) => theme.strong,
                Role::Root | Role::Other | Role::Gil => theme.dim,
            };
            let mut pen = Pen::new(buffer, area, line);
            pen.put("  ", theme.text).put(&self.name(lane), style).to(self.place.labels.right());
            let spent = lanes::spent(lane);
            self.times(&spent, &mut pen);
            let mut gil_ns = 0;
            match family {
                Some(family) if family.lanes.has_functions() => gil_ns = self.of_python(family, lane, &mut pen),
                Some(_) => {}
                None => self.units(&spent, &mut pen),
            }
            self.shares(&spent, gil_ns, pen);
        }
    }

    fn times(&self, spent: &Spent, pen: &mut Pen<'_>) {
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
    }

    /// How long a thread of Python waited for the GIL, which is returned, and the function that it was seen in for the longest.
    fn of_python(&self, family: &FamilyTime, lane: &Lane<'_>, pen: &mut Pen<'_>) -> u64 {
        let theme = self.theme;
        let python = lane.tid.and_then(|tid| family.of_python(tid));
        let (gil_ns, function) = python.map_or((0, None), |(gil_ns, function)| (gil_ns, Some(function)));
        let gil = if gil_ns > 0 { lanes::duration(gil_ns) } else { zero(self.unicode()).to_owned() };
        let end = pen.put_right(&gil, GIL, if gil_ns > 0 { theme.accent } else { theme.dim }).x() + FUNCTION;
        let function = function.map_or_else(|| "-".to_owned(), |function| self.clean(&function));
        let room = usize::from(FUNCTION - 2);
        pen.put("  ", theme.text).put(&truncate(&function, room, Charset::from_unicode(self.unicode())), theme.cool).to(end);
        gil_ns
    }

    fn units(&self, spent: &Spent, pen: &mut Pen<'_>) {
        let units = if spent.units > 0 { spent.units.to_string() } else { String::new() };
        pen.put_right(&units, UNITS[0], self.theme.cool);
        pen.put_right(&spent.unit_ns.map(lanes::duration).unwrap_or_default(), UNITS[1], self.theme.text);
    }

    fn shares(&self, spent: &Spent, gil_ns: u64, mut pen: Pen<'_>) {
        pen.skip(3);
        if spent.seen_ns > 0 {
            let share = |ns: u64| ns as f32 / spent.seen_ns as f32;
            let cells = pen.left().saturating_sub(1);
            let theme = self.theme;
            let parts = [(spent.ran_ns, theme.good), (spent.waited_ns, theme.warn), (gil_ns, theme.accent)];
            let parts = parts.map(|(ns, style)| (share(ns), style));
            let count = if gil_ns > 0 { 3 } else { 2 };
            pen.bar(cells, &parts[..count], self.unicode(), theme.dim);
        }
    }
}
