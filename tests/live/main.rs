//! Tests that read or act on real processes, without a terminal.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot prepare its stage has failed")]

#[macro_use]
#[path = "../support/mod.rs"]
mod support;

mod cli;
mod detail;
mod diagnoses;
mod events;
mod identity;
mod ledger;
mod metrics;
mod namespaces;
mod no_proc;
mod own_program;
mod privilege;
mod problems;
mod real_changes;
mod run_bare;
mod sources;
mod surroundings;
mod waits;
