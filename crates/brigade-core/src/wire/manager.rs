//! Messages between a peer and the manager.
//!
//! A session begins with the greeting. One that joins gets a membership and a lease, announces what it shares and
//! is in the table; one that does not join may only ask. Answers carry the number of the question; news about
//! watched contents carries none. The manager never sees a byte of a file. The bodies of what is about files stand in
//! `catalogue.rs`.

use minicbor::{Decode, Encode};

pub use super::catalogue::{
    Announce, Browse, CatalogueEntry, ContentHolders, FileEntry, Hold, Holders, Listing, Lookup,
    LookupResult, Noted, PeerAddress, Unhold, Unwatch, Version, Watch, WireContent, Withdraw,
};
use super::{
    greeting::Goodbye,
    item_validation::{self, Checked},
    message_set::messages,
    reason::Reason,
};
use crate::name::Username;

messages! {
    /// From a peer to the manager.
    ToManager {
        /// The session ends.
        0x02 Goodbye,
        /// Asks to be a peer of the network.
        0x10 Join,
        /// Adds to what the peer shares.
        0x11 Announce,
        /// Takes names out of what the peer shares.
        0x12 Withdraw,
        /// Says of which contents the peer has a part.
        0x13 Hold,
        /// Says of which contents it has a part no more.
        0x14 Unhold,
        /// Asks what a name means.
        0x15 Lookup,
        /// Asks for a page of the catalogue.
        0x16 Browse,
        /// Asks for the holders of contents, now and when they change.
        0x17 Watch,
        /// Wants to hear of contents no more.
        0x18 Unwatch,
        /// Asks for a page of the table of peers.
        0x19 ListPeers,
        /// Says how fast the peer sends and receives.
        0x1a Report,
        /// Keeps the lease, or asks for a new membership.
        0x1b Renew,
        /// Asks whether the manager can connect to a port of the asker.
        0x80 Probe,
    }
}

messages! {
    /// From the manager to a peer.
    FromManager {
        /// The session ends.
        0x02 Goodbye,
        /// The peer belongs, and until when.
        0x20 Joined,
        /// The request was refused; the session goes on.
        0x21 Refused,
        /// All announcements up to this one are dealt with.
        0x22 Noted,
        /// What a name means.
        0x23 LookupResult,
        /// A page of the catalogue.
        0x24 Listing,
        /// Who holds watched contents, whenever that changes.
        0x25 Holders,
        /// A page of the table of peers.
        0x26 PeerList,
        /// The lease was kept.
        0x27 Renewed,
        /// Whether the manager could connect.
        0x81 Probed,
    }
}

/// Asks to be a peer of the network under a username.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Join {
    /// The name that is to be bound to this connection's key.
    #[cbor(n(0), with = "item_validation::one")]
    pub username: Checked<Username>,
    /// The TCP port where the peer listens, not 0. Its address is the one that the session comes from.
    #[n(1)]
    pub port: u16,
    /// Whether the name is not to be bound, but the session's alone; it has an `@` then.
    #[n(2)]
    pub unbound: Option<bool>,
}

/// Asks for a page of the table of peers. Answered by [`PeerList`].
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct ListPeers {
    /// Stands in the answer.
    #[n(0)]
    pub question: u32,
    /// Only those that stand after this one.
    #[n(1)]
    pub after: Option<Username>,
}

/// One row of the table of peers.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct PeerRow {
    /// Its name.
    #[n(0)]
    pub username: Username,
    /// Where it listens, as the asker reaches it.
    #[n(1)]
    pub address: String,
    /// How many files it shares.
    #[n(2)]
    pub files: u64,
    /// Their sizes together, in bytes.
    #[n(3)]
    pub bytes: u64,
    /// Bytes of piece data it sends a second.
    #[n(4)]
    pub sending: u64,
    /// Bytes of piece data it receives a second.
    #[n(5)]
    pub receiving: u64,
    /// When it joined, in seconds since 1970.
    #[n(6)]
    pub since_s: u64,
}

/// A page of the table of peers, by username.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct PeerList {
    /// The question's.
    #[n(0)]
    pub question: u32,
    /// As many as fit into a page.
    #[n(1)]
    pub rows: Vec<PeerRow>,
    /// Whether there is more after the last one.
    #[n(2)]
    pub more: bool,
    /// As in [`LookupResult`]: peers that were here before the manager was started again may not be back yet.
    #[n(3)]
    pub incomplete_ms: Option<u64>,
}

/// Says how fast the peer sends and receives, in bytes of piece data a second; about once a second while it does.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Report {
    /// Sent to other peers.
    #[n(0)]
    pub sending: u64,
    /// Received from other peers.
    #[n(1)]
    pub receiving: u64,
}

/// Keeps the lease, as every other message does too. Answered by [`Renewed`].
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Renew {
    /// Whether a new membership is wanted too.
    #[n(0)]
    pub membership: bool,
}

/// The peer belongs.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Joined {
    /// What it shows to other peers: a PASETO v4.public token.
    #[n(0)]
    pub membership: String,
    /// How long it stays in the table without a sign of life, in milliseconds.
    #[n(1)]
    pub lease_ms: u64,
    /// The name that it has, where it is not bound: the one that was asked for, or that with a number behind it.
    #[n(2)]
    pub username: Option<Username>,
    /// What the manager's calendar says, in seconds since 1970.
    #[n(3)]
    pub now_s: Option<u64>,
    /// As in [`Hello`](super::greeting::Hello): whether other machines reach the manager.
    #[n(4)]
    pub reached_from_elsewhere: Option<bool>,
}

/// A request was refused; the session goes on.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Refused {
    /// The kind of the message that was refused.
    #[n(0)]
    pub kind: u8,
    /// The question that it asked, where it had one.
    #[n(1)]
    pub question: Option<u32>,
    /// The cause, for programs.
    #[n(2)]
    pub reason: Reason,
    /// The cause, for people.
    #[n(3)]
    pub text: String,
}

/// The lease was kept.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Renewed {
    /// A new membership, where one was asked for by a peer that has joined.
    #[n(0)]
    pub membership: Option<String>,
    /// What the manager's calendar says, in seconds since 1970.
    #[n(1)]
    pub now_s: Option<u64>,
}

/// Asks the manager to connect to a port of the asker. Answered by [`Probed`], before the next message is read. A manager
/// that does not know the kind skips it.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Probe {
    /// Stands in the answer.
    #[n(0)]
    pub question: u32,
    /// The TCP port, not 0. The address is the one that the session comes from.
    #[n(1)]
    pub port: u16,
}

/// Answers a [`Probe`].
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Probed {
    /// The question's.
    #[n(0)]
    pub question: u32,
    /// The address and port to which the manager connected, or tried to.
    #[n(1)]
    pub address: String,
    /// Why it could not connect; `None` where it could.
    #[n(2)]
    pub failure: Option<String>,
}
