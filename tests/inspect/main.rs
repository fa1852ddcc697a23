//! Tests that look inside running Python interpreters.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot prepare its stage has failed")]

#[macro_use]
#[path = "../support/mod.rs"]
mod support;

mod python;
mod versions;
