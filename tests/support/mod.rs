//! Shared parts of the tests.
#![allow(dead_code, clippy::allow_attributes, reason = "each test program uses a part")]

#[macro_use]
pub mod loudly;
pub mod browser;
pub mod exclusive;
pub mod fake_proc;
pub mod generated;
pub mod gone;
pub mod hung_fs;
pub mod key_script;
pub mod lab;
pub mod literals;
pub mod made_up;
pub mod markdown;
pub mod marked;
pub mod namespaces;
pub mod programs;
pub mod pty;
pub mod python;
pub mod rust_source;
pub mod together;
