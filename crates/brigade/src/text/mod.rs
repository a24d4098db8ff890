//! Text for people: what the API and the program share (numbers and times, escaped text of other machines, hints,
//! suggestions), and texts that are shortened to the width of a terminal.
//!
//! Nothing here prints; `terminal::standard_output` does.

pub(crate) mod shortening;
pub(crate) mod table;

pub(crate) use brigade_api::text::{escape, format, hints, value_suggestions};
