//! The process table at the cursor's time, below the lanes.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::View;
use crate::columns::format;
use crate::lab::lanes::{self, Lane, ProcessAt};
use crate::ui::pen::Pen;

/// Cells of the numbers: process, parent, state, CPU, wait, memory, threads, units.
const WIDTHS: [u16; 8] = [8, 8, 3, 7, 7, 7, 5, 7];
const HEADS: [&str; 8] = ["PID", "PPID", "S", "CPU%", "WAIT%", "RES", "THR", "UNITS"];
/// On a narrow screen the parent is left out: the tree shows it too.
const PARENT: usize = 1;
/// A live family has no units of work.
const UNITS: usize = 7;

impl View<'_> {
    /// Draws it into `area`: a line of heads, then a process a line.
    pub(super) fn processes(&self, lanes: &[Lane<'_>], area: Rect, buffer: &mut Buffer) {
        if area.height < 2 {
            return;
        }
        let columns = (0..WIDTHS.len()).filter(|at| self.wide() || *at != PARENT);
        let columns: Vec<usize> = columns.filter(|at| self.app.timeline.family.is_none() || *at != UNITS).collect();
        let mut pen = Pen::new(buffer, area, 0);
        for at in &columns {
            pen.put_right(HEADS[*at], WIDTHS[*at], self.theme.dim);
        }
        pen.put(&format!("  PROCESS at {}", self.cursor_words()), self.theme.dim);
        let found = lanes::processes(lanes, self.cursor);
        let chosen = lanes.get(self.app.timeline.lane).and_then(|lane| lane.pid);
        let room = usize::from(area.height - 1);
        // The chosen lane's process is always among them.
        let at = found.iter().position(|p| Some(p.pid) == chosen).unwrap_or(0);
        let (first, shown) = if found.len() > room {
            let room = room.saturating_sub(1).max(1);
            (at.saturating_sub(room / 2).min(found.len() - room), room)
        } else {
            (0, found.len())
        };
        for (line, process) in (1..).zip(&found[first..first + shown]) {
            self.process(process, Some(process.pid) == chosen, &columns, Rect { y: area.y + line, height: 1, ..area }, buffer);
        }
        let line = u16::try_from(shown + 1).unwrap_or(u16::MAX);
        let note = match (self.run.trace.is_some(), found.len()) {
            (false, _) => "  the tasks of this run were not sampled".to_owned(),
            (true, 0) => "  none of its processes existed at this time".to_owned(),
            (true, count) if count > shown => format!("  {} more", count - shown),
            _ => return,
        };
        Pen::new(buffer, area, line).put(&note, self.theme.dim);
    }

    fn process(&self, process: &ProcessAt<'_>, chosen: bool, columns: &[usize], line: Rect, buffer: &mut Buffer) {
        let theme = self.theme;
        let unknown = || ("-".to_owned(), theme.dim);
        let share = |value: Option<f64>, style: Style| {
            value.map_or_else(unknown, |share| {
                let mut text = String::new();
                format::percent(&mut text, (share * 100.0) as f32);
                (text, if share > 0.0 { style } else { theme.dim })
            })
        };
        let mut pen = Pen::new(buffer, line, 0);
        for at in columns {
            let (text, style) = match at {
                0 => (process.pid.to_string(), if chosen { theme.accent } else { theme.text }),
                1 if process.ppid == 0 => unknown(),
                1 => (process.ppid.to_string(), theme.dim),
                2 => process.state.map_or_else(unknown, |state| (state.to_string(), theme.state(state))),
                3 => share(process.cpu, theme.good),
                4 => share(process.waited, theme.warn),
                5 => process.holding.map_or_else(unknown, |held| (format::in_bytes(held.rss_bytes), theme.text)),
                6 => process.holding.map_or_else(unknown, |held| (held.threads.to_string(), theme.text)),
                _ => (process.units.to_string(), if process.units > 0 { theme.cool } else { theme.dim }),
            };
            pen.put_right(&text, WIDTHS[*at], style);
        }
        let indent = "  ".repeat(process.depth.min(12));
        let branch = match (process.depth, self.unicode()) {
            (0, _) => "",
            (_, true) => "└ ",
            (_, false) => "` ",
        };
        let worker = self.run.workers.iter().find(|w| w.pid == Some(process.pid) && w.how.is_some_and(|how| how.is_process()));
        let role = match worker {
            Some(worker) => format!("worker {}", worker.index),
            None if self.run.root_pid == Some(process.pid) => "main process".to_owned(),
            None => String::new(),
        };
        let name = self.clean(process.comm);
        pen.put("  ", theme.text).put(&indent, theme.text).put(branch, theme.dim);
        if !role.is_empty() {
            pen.put(&role, if chosen { theme.accent } else { theme.text }).put("  ", theme.text);
        }
        pen.put(&name, if role.is_empty() && chosen { theme.accent } else { theme.dim });
    }
}
