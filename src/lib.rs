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
//!   columns -> query, meters, diagnose, export    |
//!            \________________   _________________/
//!                             v v
//!                             app  (state, messages, actions)
//!                              v
//!                             ui   (frames)
//!   engine joins the edges: sampler thread, input, effects.
//! ```
//!
//! # Modules
//!
//! * [`snapshot`]: one sample as plain data; [`kernel`]: where samples come from; [`record`]: samples in a file, and a source that replays them.
//! * [`hosts`]: other machines, whose samples come through OpenSSH.
//! * [`derive`](mod@derive): rates, births and exits from two snapshots.
//! * [`columns`], [`meters`]: registries of what a row and the header can show; [`query`]: filters and order; [`diagnose`]: problems;
//!   [`export`]: tables, JSON, CSV, OpenMetrics.
//! * [`causes`]: wait-for chains, deadlocks, and waits that no task can end; [`why`] puts the chain of one process in words.
//! * [`inspect`]: threads, functions and the GIL of a running CPython, read from its memory.
//! * [`profile`]: where the time of processes goes, by repeated readings from outside.
//! * [`lanes`]: the timeline of any family of processes.
//! * [`lab`]: concurrent workloads, started in a helper process and measured.
//! * [`cli`]: the command line; [`config`]: the config file, merged with the command line; [`command`]: one module per subcommand.
//! * [`app`]: state and actions; [`ui`]: frames; [`engine`]: the event loop that joins them with the terminal and the machine.
//! * [`clock`], [`text`]: time, and bytes of other processes made safe to display.
//!
//! ARCHITECTURE.md follows a sample, a key and a run through these modules. `tests/pure/architecture.rs` checks every `crate::` path against the
//! table of allowed dependencies.
//!
//! # Glossary
//!
//! * **task**: a kernel task (`task_struct`), identified by `gettid(2)`. A process is a group of tasks that share a tgid.
//!   In `lab`, a unit of work is also called a task where the type says so.
//! * **leader**: the task whose tid equals the tgid.
//! * **run delay**: nanoseconds a task was runnable but waited for a CPU (`/proc/PID/task/TID/schedstat`, 2nd field).
//! * **rss / pss / uss**: resident pages; resident pages with each shared page divided by its sharers; pages that no other process maps.
//! * **run root**: the first process of a lab run; everything the run creates descends from it.
//! * **worker**: a process, thread, async task or sub-interpreter that a lab system creates to do work.

pub mod app;
pub mod causes;
pub mod cli;
pub mod clock;
pub mod columns;
pub mod command;
pub mod config;
mod csv;
pub mod derive;
pub mod diagnose;
pub mod engine;
pub mod export;
pub mod hosts;
pub mod inspect;
pub mod kernel;
pub mod lab;
pub mod lanes;
pub mod meters;
pub mod profile;
pub mod query;
pub mod record;
pub mod snapshot;
pub mod text;
pub mod ui;
pub mod units;
pub mod why;
