//! The session with the manager: dialling it, joining, announcing shared files, and questions.
//!
//! Start at `task`, which keeps one session going over the life of a peer. Nothing here knows a piece.

mod announce;
mod connection;
mod dial;
mod questions;
mod task;

pub use self::{
    connection::ManagerState,
    dial::{JoinError, ManagerAddress, ManagerContact, ReachError},
    questions::{AskError, Observer},
};
pub(crate) use self::{
    connection::SessionState,
    dial::{RequestedName, join},
    questions::{ManagerClient, SessionCommand, Subscriptions},
    task::Session,
};

#[cfg(test)]
pub(crate) use self::questions::{Answer, Question};
