//! Beside the list of events: what they add up to.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::app::App;
use crate::app::event_sums::{Share, Sums};
use crate::text::{Charset, sanitize_str, truncate};
use crate::ui::pen::{Pen, faint, height};
use crate::ui::theme::Theme;

/// Cells of the names where there is little room and where there is enough, and of a count.
const NAME: [u16; 2] = [19, 26];
/// From this width on there is enough.
const WIDE: u16 = 60;
const COUNT: u16 = 7;
/// Lines of the list of ends at most.
const ENDS: usize = 8;

/// Draws as many parts as there is room for, the most wanted first.
pub fn draw(app: &App, sums: &Sums, theme: &Theme, area: Rect, buffer: &mut Buffer) {
    let mut page = Page { app, theme, area, used: 0 };
    page.lately(sums, buffer);
    let lived = u16::try_from(sums.lived.len() + 2).unwrap_or(u16::MAX);
    let ends = sums.ends.len().min(ENDS);
    let below = lived + u16::try_from(ends + 2).unwrap_or(u16::MAX);
    let room = page.left().saturating_sub(below + 2);
    page.list("Created by", &sums.creators, usize::from(room).max(3), buffer);
    page.list("How processes ended", &sums.ends, ends, buffer);
    let known: usize = sums.lived.iter().map(|share| share.count).sum();
    if known > 0 {
        page.list("How long they lived", &sums.lived, sums.lived.len(), buffer);
    }
}

struct Page<'a> {
    app: &'a App,
    theme: &'a Theme,
    area: Rect,
    used: u16,
}

impl Page<'_> {
    fn name(&self) -> u16 {
        NAME[usize::from(self.area.width >= WIDE)]
    }

    fn left(&self) -> u16 {
        self.area.height.saturating_sub(self.used)
    }

    fn pen<'b>(&mut self, buffer: &'b mut Buffer) -> Pen<'b> {
        self.used += 1;
        Pen::new(buffer, self.area, self.used - 1)
    }

    /// How many events of each kind, and how many in each of the last seconds.
    fn lately(&mut self, sums: &Sums, buffer: &mut Buffer) {
        let (theme, unicode) = (self.theme, self.app.options.unicode);
        let cells = self.area.width.saturating_sub(self.name() + COUNT + 2);
        let seconds = sums.kinds[0].per_second.len().min(usize::from(cells));
        let name = self.area.x + self.name();
        let words = [format!("last {seconds} s, newest at the right"), format!("last {seconds} s")];
        let words = words.iter().find(|words| words.len() <= usize::from(cells)).map_or("", String::as_str);
        self.pen(buffer).put("Kept", theme.accent).to(name + COUNT + 1).put(words, theme.dim);
        let most = sums.kinds.iter().flat_map(|kind| &kind.per_second[..seconds]).copied().max().unwrap_or(0).max(1);
        for kind in &sums.kinds {
            let mut pen = self.pen(buffer);
            let style = if kind.count == 0 { theme.dim } else { theme.text };
            pen.put(kind.name, style).to(name).put_right(&kind.count.to_string(), COUNT, style).skip(1);
            for count in kind.per_second[..seconds].iter().rev() {
                match count {
                    0 => pen.put(faint(unicode), theme.dim),
                    count => pen.put(height(*count as f32 / most as f32, unicode), theme.good),
                };
            }
        }
    }

    /// The most frequent of a list, with bars that end at the most frequent one's.
    fn list(&mut self, title: &str, shares: &[Share], most: usize, buffer: &mut Buffer) {
        if shares.is_empty() || self.left() < 3 {
            return;
        }
        let (theme, charset) = (self.theme, Charset::from_unicode(self.app.options.unicode));
        self.used += 1;
        self.pen(buffer).put(title, theme.accent);
        let full = shares.iter().map(|share| share.count).max().unwrap_or(0).max(1);
        let cells = self.area.width.saturating_sub(self.name() + COUNT + 2);
        for share in &shares[..shares.len().min(most)] {
            let style = match share {
                Share { count: 0, .. } => theme.dim,
                Share { bad: true, .. } => theme.bad,
                _ => theme.text,
            };
            let name = sanitize_str(&share.name, charset).into_owned();
            let end = self.area.x + self.name();
            let cut = usize::from(self.name() - 1);
            let mut pen = self.pen(buffer);
            pen.put(&truncate(&name, cut, charset), style).to(end);
            pen.put_right(&share.count.to_string(), COUNT, style).skip(1);
            let part = share.count as f32 / full as f32;
            pen.bar(cells, &[(part, if share.bad { theme.bad } else { theme.cool })], self.app.options.unicode, theme.text);
        }
        if shares.len() > most {
            self.pen(buffer).put(&format!("{} more", shares.len() - most), theme.dim);
        }
    }
}
