//! The screen of a manager: the table of its peers, the contents with their holders, the events, and its whole key.
//!
//! `model` is what is shown, `peer_table`, `content_table` and `view` draw it, `input` translates keys, `data` asks the
//! manager by the API, and `manager_loop` runs on the terminal. Only the visible rows are asked for and drawn.

mod content_table;
mod data;
mod input;
mod manager_loop;
mod model;
mod peer_table;
mod view;

pub(crate) use self::manager_loop::{ScreenEnd, show_manager};

#[cfg(test)]
mod tests;
