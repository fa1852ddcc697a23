//! Frames: [`view`] draws the application's state into a buffer. Drawing does not sort, filter, compute or read.

mod bar;
mod cards;
pub mod clipboard;
mod command;
pub mod compare;
mod demos;
mod detail;
mod events;
pub mod frame;
mod header;
pub mod help;
pub mod keymap;
mod lab;
pub mod layers;
pub mod layout;
mod ledger;
mod meter;
mod palette;
mod pen;
pub mod plot;
mod setup;
mod table;
pub mod terminal;
pub mod theme;
pub mod timeline;
mod typed;
mod user_name;

use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::app::App;
use crate::app::layer::TextSize;
use crate::app::msg::Msg;
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
        Screen::Compare => compare::draw(app, theme, layout.body, buffer),
    }
    bar::draw(app, theme, layout.line, layout.bar, buffer);
    layers::draw(app, theme, area, buffer);
}

/// Tells the application what fits on the screen: where a page ends, and which columns are seen.
pub fn fit(app: &mut App, area: Rect) {
    let layout = Layout::new(app, area);
    app.page = usize::from(layout.body.height);
    let place = timeline::Place::of(app, layout.body);
    (app.timeline.cells, app.timeline.page) = (usize::from(place.axis.width), usize::from(place.room));
    let rows = compare::Place::of(app, layout.body).rows();
    app.compare.fit(rows);
    app.events.page = events::room(app, layout.body);
    app.text = layers::text_size(app, area).map(|(lines, page)| TextSize { lines, page }).unwrap_or_default();
    app.visible_columns = layout.slots.iter().map(|s| s.column).collect();
    app.update(Msg::Resized { width: area.width, height: area.height });
}
