//! Output of the manager: messages to send, bindings to store, memberships to sign, sessions to close, events to
//! report.
//!
//! Each says which call answers it, where one does. The caller carries them out in their order, without waiting.

use std::net::SocketAddr;

use super::{session::SessionId, username_bindings::Binding};
use crate::{
    name::Username,
    wire::{
        Reason,
        greeting::Goodbye,
        manager::{FromManager, Holders},
    },
};

/// What the caller is to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Output {
    /// Send a reply.
    Send {
        /// To whom.
        session: SessionId,
        /// What.
        message: FromManager,
    },
    /// Send news of watched contents, and call [`Manager::updates_sent`](super::Manager::updates_sent) when the last of
    /// it has left.
    HolderUpdates {
        /// To whom.
        session: SessionId,
        /// What, in this order.
        messages: Vec<Holders>,
    },
    /// Make a binding durable, and call [`Manager::binding_stored`](super::Manager::binding_stored).
    StoreBinding {
        /// The binding.
        binding: Binding,
    },
    /// Sign a membership, and call [`Manager::membership_signed`](super::Manager::membership_signed).
    SignMembership {
        /// For whom.
        session: SessionId,
        /// What the membership says.
        binding: Binding,
    },
    /// End the session: what was sent before leaves first, then the goodbye, where there is one.
    Close {
        /// Whose.
        session: SessionId,
        /// What is said in farewell; nothing to one that said goodbye itself.
        goodbye: Option<Goodbye>,
    },
    /// Tell people.
    Event(Event),
    /// The table is not what it was.
    TableChanged,
}

/// Something that people may want to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A peer is in the table.
    Joined {
        /// Its username.
        username: Username,
        /// Where its session comes from, with the port where it listens.
        address: SocketAddr,
    },
    /// A peer is out of the table.
    Left {
        /// Its username.
        username: Username,
        /// Why.
        reason: LeaveReason,
    },
    /// Somebody was not let in.
    Refused {
        /// The username that was asked for, where it came to that.
        username: Option<Username>,
        /// Why, for programs.
        reason: Reason,
        /// Why, for people.
        text: String,
    },
}

/// Why a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeaveReason {
    /// It said goodbye.
    Quit,
    /// Its connection broke.
    Lost,
    /// Nothing was heard of it for a lease.
    Silent,
    /// It did not read what it was sent.
    Slow,
    /// It sent what the protocol does not have.
    ProtocolError,
    /// The network was full, and it gave way to a member: its own username was bound to no key.
    Replaced,
}
