//! The screen of a running manager: a table in a terminal ([`show_table`]), plain lines elsewhere ([`log_table`]).
//!
//! `table` does the layout of the table, `screen` draws it.

mod ending;
mod log_lines;
mod screen;
mod table;

pub(crate) use self::{ending::Ending, log_lines::log_table, screen::show_table};
