//! The display of a running manager: a table in a terminal ([`show_table`]), plain lines elsewhere ([`log_table`]).
//!
//! `table` lays the table out, `screen` keeps it on the screen.

mod ending;
mod lines;
mod screen;
mod table;

pub(crate) use self::{ending::Ending, lines::log_table, screen::show_table};
