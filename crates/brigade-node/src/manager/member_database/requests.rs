//! Requests to the thread of the members' database, and the rows that it reads.
//!
//! The owner of the manager sends the requests. All go through one queue, so that a page has what was stored before it
//! was asked for.

use brigade_core::{id::PeerKey, manager::Binding, name::Username, time::UnixTime};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::error::MemberDatabaseError;

/// A request to the thread of the database.
#[derive(Debug)]
pub(crate) enum DatabaseRequest {
    /// Store a binding, and report its [`BindingResult`].
    Bind(Binding),
    /// Store when these members were last seen. Nothing is reported: the loss of a time is no harm.
    Seen(Vec<(Username, UnixTime)>),
    /// Read a page of the members, by username.
    Page { after: Option<Username>, limit: usize, answer: MembersAnswer, permit: OwnedSemaphorePermit },
    /// Read all members, in the order in which they were bound.
    All { answer: MembersAnswer, permit: OwnedSemaphorePermit },
}

/// Takes the members that were read.
pub(crate) type MembersAnswer = oneshot::Sender<Result<Vec<StoredMember>, MemberDatabaseError>>;

/// A username, and whether its binding is durable.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct BindingResult {
    pub(crate) username: Username,
    pub(crate) durable: bool,
}

/// A member as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredMember {
    /// As text: an earlier version may have stored a name that is not valid any more.
    pub(crate) username: String,
    pub(crate) key: PeerKey,
    /// When it was bound.
    pub(crate) since_s: i64,
    /// When its last session ended; `None` if no session has ended since this is stored.
    pub(crate) last_seen_s: Option<i64>,
}
