//! Frames: [`view`] draws the application's state into a buffer; nothing here sorts, filters, computes or reads.

mod bar;
pub mod clipboard;
pub mod compare;
mod detail;
mod events;
pub mod frame;
mod header;
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

use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::app::App;
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
        Screen::Processes => table::draw(app, theme, &layout, buffer),
        Screen::Lab => lab::draw(app, theme, &layout, buffer),
        Screen::Timeline => timeline::draw(app, theme, layout.body, buffer),
        Screen::Events => events::draw(app, theme, layout.body, buffer),
        Screen::Compare => compare::draw(app, theme, layout.body, buffer),
    }
    bar::draw(app, theme, layout.line, layout.bar, buffer);
    layers::draw(app, theme, area, buffer);
}
