//! The messages between the manager's owner task and its sessions.
//!
//! Both channels are bounded: a session has one message with the owner at a time, and the owner gives up a session
//! whose queue is full.

use std::net::SocketAddr;

use brigade_core::{
    id::PeerKey,
    manager::{LeaveReason, SessionId},
    wire::{
        Reason,
        greeting::Goodbye,
        manager::{FromManager, ToManager},
    },
};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::DropGuard;

/// An event that a session reports to the owner.
#[derive(Debug)]
pub(super) enum ToOwner {
    /// A connection was greeted.
    Connected { session: SessionId, key: PeerKey, remote: SocketAddr, local: SocketAddr, queue: SessionQueue },
    /// A message was received; the session reads the next one after [`ToSession::Next`].
    Message { session: SessionId, message: ToManager },
    /// A batch of updates was written.
    UpdatesSent { session: SessionId },
    /// The connection ended.
    Disconnected { session: SessionId, reason: LeaveReason },
    /// Answers, which shows that the owner runs.
    Ping { answer: oneshot::Sender<()> },
}

/// An instruction of the owner to a session.
#[derive(Debug)]
pub(super) enum ToSession {
    /// Write this message.
    Message(FromManager),
    /// The last message was handled: read the next one.
    Next,
    /// A batch of updates ends here: report when it was written.
    EndOfUpdates,
    /// Say goodbye and end; without a goodbye, only end.
    Close(Option<Goodbye>),
}

/// The owner's end of a session's queue. When it is dropped, the session ends soon.
#[derive(Debug)]
pub(super) struct SessionQueue {
    queue: mpsc::Sender<ToSession>,
    _dropped: DropGuard,
}

impl SessionQueue {
    /// Wraps `queue`; `dropped` cancels its token when this is dropped.
    pub(super) const fn new(queue: mpsc::Sender<ToSession>, dropped: DropGuard) -> Self {
        Self { queue, _dropped: dropped }
    }

    /// Queues `message` without waiting.
    ///
    /// # Errors
    /// If the queue is full, or the session has ended.
    pub(super) fn try_send(&self, message: ToSession) -> Result<(), mpsc::error::TrySendError<ToSession>> {
        self.queue.try_send(message)
    }
}

/// The goodbye of a manager that stops.
pub(super) fn stopping() -> Goodbye {
    Goodbye { reason: Reason::Stopping, text: "the manager is stopping".to_owned() }
}
