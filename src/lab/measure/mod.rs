//! From points to figures: what a run and a batch of runs are measured by, the order statistics of that, and how far to trust them.
//!
//! A [`Batch`] is the raw material: the plan, and one [`Point`] per run with everything that was read off it. Everything else (medians,
//! speed-ups, marks, sentences) is derived from it by `lab::report`, so that a batch that was kept can be looked at anew.
//! To add a measure: one entry in [`MEASURES`].

mod advice;
mod batch;
mod point;
mod registry;
mod stats;

pub use advice::{Advice, advise, counted};
pub use batch::{Batch, Cell, Host, Length, MOST_CELLS, MOST_ROUNDS, MOST_RUNS, Plan, SCHEMA, baseline_of};
pub use point::{Load, Point};
pub use registry::{Better, MEASURES, Measure, Sample, Unit, measure};
pub use stats::{Spread, advice, creation, creations, summary};
