//! concmon: a terminal monitor for people who write concurrent code.
//!
//! # How data flows
//!
//! ```text
//!  /proc, BPF, proc connector          concmon lab run / L in the UI
//!            |                                    |
//!   kernel  (Source::sample)              lab::launcher -> __lab-helper -> run roots
//!            v                                    v
//!   snapshot (plain data)                 lab::run::Run (pure state machine fed by protocol lines)
//!            v                                    |
//!   derive  (two snapshots -> Model)              |
//!            v                                    |
//!   columns -> query, export, diagnose            |
//!            \________________   _________________/
//!                             v v
//!                             app  (state, messages, actions)
//!                              v
//!                             ui   (frames)
//!   engine joins the edges: sampler thread, input, effects.
//! ```
//!
//! Dependencies go one way; `tests/architecture.rs` reads every `use crate::` line against the allowed table.
//!
//! # Glossary
//!
//! * **task**: a kernel task (`task_struct`), what `gettid(2)` names. A process is a group of tasks that share a tgid.
//!   A unit of lab work is also called a task, only inside `lab` and only where the type says so.
//! * **leader**: the task whose tid equals the tgid.
//! * **run delay**: nanoseconds a task was runnable but waited for a CPU (`/proc/PID/task/TID/schedstat`, 2nd field).
//! * **rss / pss / uss**: resident pages; the same with each shared page divided by its sharers; pages nobody else maps.
//! * **run root**: the first process of a lab run; everything the run creates descends from it.
//! * **worker**: what a lab system creates to do work: a process, a thread, or a unit the kernel cannot see.

pub mod app;
pub mod cli;
pub mod clock;
pub mod columns;
pub mod command;
pub mod config;
pub mod derive;
pub mod diagnose;
pub mod engine;
pub mod export;
pub mod inspect;
pub mod kernel;
pub mod lab;
pub mod meters;
pub mod query;
pub mod record;
pub mod snapshot;
pub mod text;
pub mod ui;
