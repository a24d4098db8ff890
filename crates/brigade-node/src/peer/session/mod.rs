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
    questions::{Answer, ManagerClient, Question, SessionCommand, Subscriptions},
    task::Session,
};
