//! Frames and the terminal they go to.

pub mod terminal;
