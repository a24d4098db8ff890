//! The output of a running manager: a table in a terminal ([`show_table`]), plain lines elsewhere ([`log_table`]).
//!
//! `screen` draws the table and what is around it as `screen_layout` says. Both outputs have the sentences of
//! `event_text`.

mod display_end;
mod event_text;
mod plain_log;
mod screen;
mod screen_layout;

pub(crate) use self::{display_end::DisplayEnd, plain_log::log_table, screen::show_table};
