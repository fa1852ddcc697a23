//! The lab: launches concurrent workloads for real and measures how they appear and what they cost.
//!
//! `catalog` says what can be run, `protocol` is what workers say while they run, `run` turns what they said into one run's state,
//! `launcher` talks to the helper process that does the launching. Nothing in here knows of `ui`, `app` or `engine`.

pub mod catalog;
pub mod protocol;
pub mod run;
