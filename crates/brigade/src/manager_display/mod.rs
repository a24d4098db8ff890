//! The output of a running manager: a table in a terminal ([`show_table`]), plain lines elsewhere ([`log_table`]).
//!
//! `table` does the layout of the table, `screen` draws it.

mod end_reason;
mod plain_log;
mod screen;
mod table;

pub(crate) use self::{end_reason::EndReason, plain_log::log_table, screen::show_table};
