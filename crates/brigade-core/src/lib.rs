//! What Brigade decides: which piece is fetched from whom, who is served next, and what the manager answers.
//!
//! No I/O, no clock, no threads, no randomness of its own: `now` and seeds come in as arguments. File bytes
//! never enter this crate; it sees piece numbers, sizes and chaining values. Input from the network cannot make
//! it panic: an assertion here means that *we* are wrong.
//!
//! Start at [`download::Downloads`], [`upload::Upload`] and [`manager::Manager`]; the shell around them is the
//! crate `brigade-node`.

#![forbid(unsafe_code)]

pub mod bitfield;
pub mod content;
pub mod download;
pub mod geometry;
pub mod id;
pub mod limits;
pub mod manager;
pub mod name;
pub mod plural;
pub mod random;
pub mod rate;
pub mod schedule;
pub mod time;
pub mod upload;
pub mod wire;
