//! Shared parts of the tests; each uses some of them.
#![allow(
    dead_code,
    clippy::expect_used,
    clippy::allow_attributes,
    reason = "every test file compiles its own copy and uses a part"
)]

pub mod fake_proc;
