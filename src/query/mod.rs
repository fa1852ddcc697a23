//! Text search and the filter language over the registry of columns. Pure.

mod filter;
mod text;

pub use filter::{Completion, Filter, FilterError, Lineage, SavedFilters, complete, syntax};
pub use text::TextMatch;
