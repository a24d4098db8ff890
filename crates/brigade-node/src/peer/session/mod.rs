//! The session with the manager: dialling it, joining, announcing shared files, and questions.
//!
//! Start at `task`, which keeps one session going over the life of a peer. Nothing here knows a piece.

pub(crate) mod announce;
pub(crate) mod client;
pub(crate) mod clock_check;
pub(crate) mod connection;
pub(crate) mod dial;
pub(crate) mod questions;
pub(crate) mod task;
