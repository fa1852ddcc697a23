//! Tests of the lab: real runs, their reports and their ends.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot prepare its stage has failed")]

#[macro_use]
#[path = "../support/mod.rs"]
mod support;

mod cluster;
mod compare;
mod containment;
mod costs;
mod helper;
mod images;
mod lanes;
mod own;
mod pools;
mod progress;
mod protocol;
mod python;
mod repeat;
mod report;
mod schemas;
mod servers;
mod shape;
mod sockets;
mod sweep;
mod talk;
mod twins;
