//! Questions asked of rows: text search and the filter language, over the columns' registry. Pure.

mod filter;
mod text;

pub use filter::{Filter, FilterError, Lineage};
pub use text::TextMatch;
