//! Turns points into figures: measures of runs and batches, their order statistics, and warnings.
//!
//! A [`Batch`] is the raw data: the plan, and one [`Point`] per run. `lab::report` derives medians, speed-ups, marks and sentences from it, so
//! a saved batch can be reported again. To add a measure: one entry in [`MEASURES`].

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
