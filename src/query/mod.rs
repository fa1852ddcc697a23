//! Questions asked of rows: text search and the filter language, over the columns' registry. Pure.

mod filter;
mod text;

pub use filter::{Completion, Filter, FilterError, Lineage, SavedFilters, complete, syntax};
pub use text::TextMatch;
