//! Messages between a peer and the manager.
//!
//! A session begins with the greeting. One that joins gets a membership and a lease, announces what it shares and
//! is in the table; one that does not join may only ask. Answers carry the number of the question; news about
//! watched contents carries none. The manager never sees a byte of a file.

use minicbor::{Decode, Encode};

use super::{Reason, hello::Goodbye, messages};
use crate::{
    id::{Content, ContentId, PeerKey},
    name::{FileName, Username},
};

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
        0x23 Found,
        /// A page of the catalogue.
        0x24 Listing,
        /// Who holds watched contents, whenever that changes.
        0x25 Holders,
        /// A page of the table of peers.
        0x26 PeerList,
        /// The lease was kept.
        0x27 Renewed,
    }
}

/// Asks to be a peer of the network under a username.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Join {
    /// The name that is to be bound to this connection's key.
    #[n(0)]
    pub username: Username,
    /// The TCP port where the peer listens, not 0. Its address is the one that the session comes from.
    #[n(1)]
    pub port: u16,
}

/// A file that a peer shares.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Entry {
    /// Its name.
    #[n(0)]
    pub name: FileName,
    /// Its content's id.
    #[n(1)]
    pub id: ContentId,
    /// Its size in bytes.
    #[n(2)]
    pub size: u64,
    /// When it was last written, in seconds since 1970.
    #[n(3)]
    pub mtime_s: i64,
    /// Whether it is executable.
    #[n(4)]
    pub executable: bool,
}

/// Adds to what the peer shares; a name announced before gets the new content.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Announce {
    /// Counts the announcements and withdrawals of this session, from 1: the answer to it.
    #[n(0)]
    pub number: u64,
    /// At most [`crate::limits::ANNOUNCE_ENTRIES`] files.
    #[n(1)]
    pub entries: Vec<Entry>,
}

/// Takes names out of what the peer shares.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Withdraw {
    /// As in [`Announce`].
    #[n(0)]
    pub number: u64,
    /// At most [`crate::limits::ANNOUNCE_ENTRIES`] names; one that was not announced is ignored.
    #[n(1)]
    pub names: Vec<FileName>,
}

/// A content on the wire: id and size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct WireContent {
    /// The BLAKE3 of its bytes.
    #[n(0)]
    pub id: ContentId,
    /// Its size in bytes.
    #[n(1)]
    pub size: u64,
}

/// Says of which contents the peer has a verified part, and serves it.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Hold {
    /// At most [`crate::limits::WATCH_CONTENTS`] contents.
    #[n(0)]
    pub contents: Vec<WireContent>,
}

/// Says of which contents the peer has a part no more (a whole one is announced under its name).
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Unhold {
    /// At most [`crate::limits::WATCH_CONTENTS`] contents.
    #[n(0)]
    pub contents: Vec<WireContent>,
}

/// Asks what a name means. Answered by [`Found`].
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Lookup {
    /// Stands in the answer.
    #[n(0)]
    pub question: u32,
    /// What a person typed, at most [`crate::limits::NAME_BYTES`] bytes: a name, or nearly one.
    #[n(1)]
    pub name: String,
}

/// One content under a name.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Version {
    /// Its content's id.
    #[n(0)]
    pub id: ContentId,
    /// Its size in bytes.
    #[n(1)]
    pub size: u64,
    /// The latest time at which a holder's file was written, in seconds since 1970.
    #[n(2)]
    pub mtime_s: i64,
    /// Whether a holder's file is executable.
    #[n(3)]
    pub executable: bool,
    /// Who shares it under this name, at most [`crate::limits::HOLDERS_NAMED`], fewer where they would not fit.
    #[n(4)]
    pub holders: Vec<Username>,
}

/// What a name means.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Found {
    /// The question's.
    #[n(0)]
    pub question: u32,
    /// The contents under exactly this name, the one with most holders first; at most [`crate::limits::VERSIONS_LISTED`].
    #[n(1)]
    pub versions: Vec<Version>,
    /// How many names lie below it, as in a folder; counted up to [`crate::limits::COUNTED_BELOW`].
    #[n(2)]
    pub below: u64,
    /// Where there is nothing: the nearest names, at most [`crate::limits::CLOSEST_NAMES`].
    #[n(3)]
    pub closest: Vec<FileName>,
}

/// Asks for a page of the catalogue. Answered by [`Listing`].
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Browse {
    /// Stands in the answer.
    #[n(0)]
    pub question: u32,
    /// Only names that begin so; at most [`crate::limits::NAME_BYTES`] bytes.
    #[n(1)]
    pub prefix: String,
    /// Only what stands after this name.
    #[n(2)]
    pub after: Option<FileName>,
    /// Only what this peer shares; refused as [`Reason::NotFound`] where no such peer is there.
    #[n(3)]
    pub holder: Option<Username>,
}

/// One name and content in the catalogue.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Listed {
    /// The name.
    #[n(0)]
    pub name: FileName,
    /// The content's id.
    #[n(1)]
    pub id: ContentId,
    /// The content's size in bytes.
    #[n(2)]
    pub size: u64,
    /// As in [`Version`].
    #[n(3)]
    pub mtime_s: i64,
    /// As in [`Version`].
    #[n(4)]
    pub executable: bool,
    /// How many share this content under this name.
    #[n(5)]
    pub holders: u32,
}

/// A page of the catalogue, by name; all versions of a name stand on one page (the first
/// [`crate::limits::VERSIONS_LISTED`] of them, fewer where the name is so long that they would not fit).
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Listing {
    /// The question's.
    #[n(0)]
    pub question: u32,
    /// As many as fit into a page.
    #[n(1)]
    pub entries: Vec<Listed>,
    /// Whether there is more after the last one.
    #[n(2)]
    pub more: bool,
}

/// Asks for the holders of contents: now, and whenever they change. Answered by [`Holders`].
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Watch {
    /// At most [`crate::limits::WATCH_CONTENTS`] contents.
    #[n(0)]
    pub contents: Vec<WireContent>,
}

/// Wants to hear of contents no more.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Unwatch {
    /// At most [`crate::limits::WATCH_CONTENTS`] contents.
    #[n(0)]
    pub contents: Vec<WireContent>,
}

/// Where a peer is found.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Whereabouts {
    /// Its name.
    #[n(0)]
    pub username: Username,
    /// The key that its connection must show.
    #[n(1)]
    pub key: PeerKey,
    /// `IP:PORT` or `[IP]:PORT`.
    #[n(2)]
    pub address: String,
}

/// The holders of one content.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct HoldersOf {
    /// The content's id.
    #[n(0)]
    pub id: ContentId,
    /// The content's size in bytes.
    #[n(1)]
    pub size: u64,
    /// Those that have all of it: positions in [`Holders::peers`].
    #[n(2)]
    pub complete: Vec<u32>,
    /// Those that have a part of it: positions in [`Holders::peers`].
    #[n(3)]
    pub partial: Vec<u32>,
}

/// Who holds watched contents now; it replaces what was said of these contents before.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Holders {
    /// Every peer that is named below, once. The asker itself is never among them.
    #[n(0)]
    pub peers: Vec<Whereabouts>,
    /// The contents that this is about.
    #[n(1)]
    pub contents: Vec<HoldersOf>,
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

/// All announcements and withdrawals up to this number are dealt with: they are in the catalogue, but for those
/// that a [`Refused`] before this was about.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Noted {
    /// The announcement's.
    #[n(0)]
    pub number: u64,
}

/// The lease was kept.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Renewed {
    /// A new membership, where one was asked for by a peer that has joined.
    #[n(0)]
    pub membership: Option<String>,
}

impl From<Content> for WireContent {
    fn from(content: Content) -> Self {
        Self { id: content.id, size: content.size }
    }
}

impl From<WireContent> for Content {
    fn from(content: WireContent) -> Self {
        Self { id: content.id, size: content.size }
    }
}
