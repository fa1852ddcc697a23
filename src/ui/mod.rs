//! Frames: [`view`] draws the application's state into a buffer. Drawing does not sort, filter, compute or read.

pub mod bar;
mod cards;
pub mod clipboard;
mod command;
pub mod compare;
mod demos;
mod detail;
mod events;
pub mod frame;
mod geometry;
mod header;
pub mod help;
mod hosts;
mod hue;
pub mod keymap;
mod lab;
pub mod layers;
pub mod layout;
mod ledger;
mod meter;
mod palette;
mod pen;
pub mod plot;
mod problems;
mod setup;
mod table;
pub mod terminal;
pub mod theme;
pub mod timeline;
mod typed;
mod user_name;
mod words;

use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::app::App;
use crate::app::layer::TextSize;
use crate::app::msg::{Fit, Msg};
use crate::app::options::Screen;

use layout::Layout;
use theme::Theme;

/// Draws everything into a frame.
pub fn view(app: &App, theme: &Theme, frame: &mut Frame<'_>) {
    let area = frame.area();
    draw(app, theme, area, frame.buffer_mut());
}

/// Draws everything into a buffer.
pub fn draw(app: &App, theme: &Theme, area: Rect, buffer: &mut Buffer) {
    let layout = Layout::new(app, area);
    header::draw(app, theme, layout.header, buffer);
    match app.screen {
        Screen::Processes => {
            cards::draw(app, theme, layout.cards, buffer);
            table::draw(app, theme, &layout, buffer);
            if let Some(pane) = app.split.as_deref().filter(|_| layout.split.height > 0) {
                detail::draw_split(app, pane, theme, layout.split, buffer);
            }
        }
        Screen::Lab => lab::draw(app, theme, &layout, buffer),
        Screen::Timeline => timeline::draw(app, theme, layout.body, buffer),
        Screen::Events => events::draw(app, theme, layout.body, buffer),
        Screen::Problems => problems::draw(app, theme, layout.body, buffer),
        Screen::Compare => compare::draw(app, theme, layout.body, buffer),
    }
    bar::draw(app, theme, layout.line, layout.bar, buffer);
    layers::draw(app, theme, area, buffer);
}

/// Measures what fits on the screen.
#[must_use]
pub fn measure(app: &App, area: Rect) -> Fit {
    let layout = Layout::new(app, area);
    let timeline = timeline::Place::of(app, layout.body);
    let of_problem = || (app.screen == Screen::Problems).then(|| problems::text_size(app, layout.body));
    let text = layers::text_size(app, area).or_else(of_problem);
    Fit {
        page: usize::from(layout.body.height),
        lane_cells: usize::from(timeline.axis.width),
        lanes: usize::from(timeline.room),
        compare_rows: compare::Place::of(app, layout.body).rows(),
        event_lines: events::room(app, layout.body),
        problem_lines: problems::room(app, layout.body),
        text: text.map(|(lines, page)| TextSize { lines, page }).unwrap_or_default(),
        columns: layout.slots.iter().map(|slot| slot.column).collect(),
    }
}

/// Gives the application what fits on the screen.
pub fn fit(app: &mut App, area: Rect) {
    let fit = measure(app, area);
    app.update(Msg::Fitted(fit));
}
