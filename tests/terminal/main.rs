//! Tests of the monitor in a real terminal.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot prepare its stage has failed")]

#[macro_use]
#[path = "../support/mod.rs"]
mod support;

mod cards;
mod demos;
mod faults;
mod hostile;
mod hosts;
mod looking;
mod recording;
mod roles;
mod session;
mod stalled;
mod stream;
