//! From points to figures: order statistics of creation latencies, and advice on how far to trust them.

mod stats;

pub use stats::{advice, creation, summary};
