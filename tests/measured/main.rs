//! Tests that measure time, memory or CPU shares, or use up a resource: each runs alone (support/exclusive.rs).

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot prepare its stage has failed")]

#[macro_use]
#[path = "../support/mod.rs"]
mod support;

mod crowd;
mod environment;
mod lab_soak;
mod memory;
mod native_orderings;
mod python_orderings;
mod rates;
mod sick_machine;
mod soak;
mod under_load;
