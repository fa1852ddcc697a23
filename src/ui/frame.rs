//! Collects a frame and sends it to the terminal in one write.
//!
//! The buffer of standard output holds one kilobyte and a frame about ten. On a busy machine each write wakes the terminal, which then
//! takes the CPU, so a frame in ten writes would wait ten times in the run queue.

use std::cell::RefCell;
use std::io::{self, Write};
use std::os::fd::AsFd as _;
use std::rc::Rc;

/// What has been drawn and not been sent yet. Copies are of the same frame: one for the drawing library, one for the sender.
#[derive(Debug, Clone, Default)]
pub struct Frame(Rc<RefCell<Vec<u8>>>);

impl Frame {
    /// Sends what there is to standard output and is empty then, sent or not.
    ///
    /// # Errors
    /// If the terminal does not take it, `EIO` when it is gone.
    pub fn send(&self) -> io::Result<()> {
        let mut bytes = self.0.borrow_mut();
        let sent = super::terminal::write_all(io::stdout().as_fd(), &bytes);
        bytes.clear();
        sent
    }
}

impl Write for Frame {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    /// Nothing yet: the drawing library flushes several times in a frame.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
