//! Messages about shared files, between peers and the manager.
//!
//! The kinds are listed in [`manager`](super::manager), where these are found too. Contents are told apart by id and
//! size; lists are bounded by what [`limits`](crate::limits) says of each.

use minicbor::{Decode, Encode};

use super::item_validation::{self, Checked};
use crate::{
    id::{Content, ContentId, PeerKey},
    name::{FileName, Username},
};

/// A file that a peer shares.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct FileEntry {
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
    #[cbor(n(1), with = "item_validation::many")]
    pub entries: Vec<Checked<FileEntry>>,
}

/// Takes names out of what the peer shares.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Withdraw {
    /// As in [`Announce`].
    #[n(0)]
    pub number: u64,
    /// At most [`crate::limits::ANNOUNCE_ENTRIES`] names; one that was not announced is ignored.
    #[cbor(n(1), with = "item_validation::many")]
    pub names: Vec<Checked<FileName>>,
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

/// Asks what a name means. Answered by [`LookupResult`].
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
    /// When this content was first announced under this name by somebody who is here, or was here until others
    /// were, in seconds since 1970, by the manager's calendar.
    #[n(5)]
    pub first_s: u64,
}

/// What a name means.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct LookupResult {
    /// The question's.
    #[n(0)]
    pub question: u32,
    /// The contents under exactly this name, the one with most holders first; at most
    /// [`crate::limits::VERSIONS_LISTED`].
    #[n(1)]
    pub versions: Vec<Version>,
    /// How many names lie below it, as in a folder; counted up to [`crate::limits::COUNTED_NAMES`].
    #[n(2)]
    pub below: u64,
    /// Where there is nothing: the nearest names, at most [`crate::limits::CLOSEST_NAMES`].
    #[n(3)]
    pub closest: Vec<FileName>,
    /// How long until the catalogue is taken to be complete, in milliseconds; none where it is. Until then a manager
    /// that was started again waits for its peers to come back, and what is missing here may yet come.
    #[n(4)]
    pub incomplete_ms: Option<u64>,
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
    /// Only what this peer shares; refused as [`Reason::NotFound`](super::reason::Reason::NotFound) where no such peer
    /// is there.
    #[n(3)]
    pub holder: Option<Username>,
}

/// One name and content in the catalogue.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct CatalogueEntry {
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
    pub entries: Vec<CatalogueEntry>,
    /// Whether there is more after the last one.
    #[n(2)]
    pub more: bool,
    /// As in [`LookupResult`].
    #[n(3)]
    pub incomplete_ms: Option<u64>,
}

/// Asks for the holders of contents: now, and whenever they change. Answered by [`Holders`].
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Watch {
    /// At most [`crate::limits::WATCH_CONTENTS`] contents.
    #[n(0)]
    pub contents: Vec<WireContent>,
    /// How often other holders than those named so far were asked for: where there are more than are named, each number
    /// gets another choice of them. None is 0.
    #[n(1)]
    pub again: Option<u32>,
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
pub struct PeerAddress {
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
pub struct ContentHolders {
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
    pub peers: Vec<PeerAddress>,
    /// The contents that this is about.
    #[n(1)]
    pub contents: Vec<ContentHolders>,
}

/// All announcements and withdrawals up to this number are dealt with: they are in the catalogue, but for those
/// that a [`Refused`](super::manager::Refused) before this was about.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Noted {
    /// The announcement's.
    #[n(0)]
    pub number: u64,
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
