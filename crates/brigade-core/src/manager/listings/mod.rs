//! What the manager shows to the people that run it: the table of peers, the catalogue, the holders of a content.
//!
//! Nothing here is sent to peers; `answers.rs` answers them. `rows.rs` has the rows and the totals, `peers.rs` reads
//! the table of peers, `contents.rs` the catalogue. Each call returns a bounded part, so that the caller can let
//! sessions have their turn between two parts.

mod contents;
mod peers;
mod rows;

pub(super) use self::rows::RateTotals;
pub use self::rows::{ContentRow, ContentRows, HolderRow, HolderRows, Row, Totals};
