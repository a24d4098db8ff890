//! The holders of all downloads: one holder with its window and its rate, the table of them, and sets for quick search.
//!
//! Bookkeeping only; the siblings of this folder decide.

pub(crate) mod holder;
pub(crate) mod holders_by_state;
pub(crate) mod rate_estimate;
pub(crate) mod table;
