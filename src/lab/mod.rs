//! The lab: launches concurrent workloads for real and measures how they appear and what they cost.
//!
//! `catalog` says what can be run, `protocol` is what workers say while they run, `run` is one run as a value and `machine` moves it
//! along, `launcher` talks to the `helper` process that does the launching, `native` is what the run roots of this binary do.
//! `trace` is what a dense watch over a run's tasks has seen, `lanes` the picture made of it.
//! `batch` runs many of them interleaved, `measure` is what is read off them, `report` is what is shown of that,
//! `kept` reads again what was written of it.
//! Nothing in here knows of `ui`, `app` or `engine`.

pub mod batch;
pub mod catalog;
pub mod control;
pub mod entry;
mod guard;
mod helper;
pub mod kept;
pub mod lanes;
pub mod launcher;
mod machine;
pub mod measure;
mod native;
pub mod page;
pub mod protocol;
pub mod python;
pub mod report;
pub mod run;
pub mod talk;
mod tally;
pub mod trace;
pub mod waits;
