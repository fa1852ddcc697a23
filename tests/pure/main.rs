//! Tests of pure code and of the repository itself: made input, no other process.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot prepare its stage has failed")]

#[macro_use]
#[path = "../support/mod.rs"]
mod support;

mod architecture;
mod config;
mod fuzz_seeds;
mod golden;
mod machine_devices;
mod machine_files;
mod parsers;
mod prose;
mod registries;
