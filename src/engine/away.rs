//! Ctrl-Z: gives the terminal back, stops, and takes it again once it belongs to this job.

use anyhow::Context as _;

use super::Engine;
use crate::kernel::stop_job;
use crate::ui::terminal::{can_be_drawn, is_in_foreground};

impl Engine {
    pub(super) fn suspend(&mut self) -> anyhow::Result<()> {
        self.guard.leave();
        self.away = true;
        stop_job().context("cannot stop as Ctrl-Z asks")?;
        self.come_back()
    }

    /// Takes the terminal again, unless it belongs to another job now: `bg`, or a signal that is to end this one, has continued it.
    pub(super) fn come_back(&mut self) -> anyhow::Result<()> {
        self.away = !is_in_foreground();
        if self.away {
            return Ok(());
        }
        self.guard.reenter().context("cannot set up the terminal again")?;
        self.forget_screen()
    }

    /// Has the next frame painted whole. Not `Terminal::clear`, which asks the terminal where its cursor is: the input stream would
    /// take the answer.
    pub(super) fn forget_screen(&mut self) -> anyhow::Result<()> {
        can_be_drawn()?;
        let area = self.area();
        self.terminal.resize(area).context("cannot draw on the terminal")
    }
}
