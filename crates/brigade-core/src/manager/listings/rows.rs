//! The rows of the manager's tables, and the totals.
//!
//! They are plain values. `peers.rs` and `contents.rs` make them.

use std::net::SocketAddr;

use crate::{
    id::{Content, PeerKey},
    name::{FileName, Username},
    time::UnixTime,
};

/// One row of the table of peers, for the manager's own screen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The peer's username.
    pub username: Username,
    /// Its key.
    pub key: PeerKey,
    /// Whether the username is bound to the key: a fetch into a new folder has a name only while it is there.
    pub is_bound: bool,
    /// Where its session comes from, with the port where it listens.
    pub address: SocketAddr,
    /// How many files it shares.
    pub files: u64,
    /// Their sizes together, in bytes.
    pub bytes: u64,
    /// Bytes of piece data it sends a second, as it last reported.
    pub sending: u64,
    /// Bytes of piece data it receives a second, as it last reported.
    pub receiving: u64,
    /// When it joined.
    pub since: UnixTime,
    /// When its last message was received: a peer renews its lease every few seconds.
    pub last_message: UnixTime,
}

/// The numbers of everything together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    /// Peers in the table.
    pub peers: usize,
    /// Usernames that are bound to keys, whether their peers are there or not.
    pub members: usize,
    /// Bytes of piece data that all peers send in a second, as they last reported.
    pub sending: u64,
    /// Bytes of piece data that all peers receive in a second, as they last reported.
    pub receiving: u64,
    /// Names in the catalogue; a name that several peers share counts once.
    pub names: usize,
    /// Contents of which a peer that is present has all or a part.
    pub contents: usize,
    /// The sizes of these contents together, in bytes.
    pub bytes: u64,
    /// How often the shared files of a peer have changed. While it is the same, no row has other files or bytes.
    pub share_changes: u64,
}

/// One content under one name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContentRow {
    /// The name.
    pub name: FileName,
    /// The content's id and size.
    pub content: Content,
    /// The latest time at which one of those that share it under this name changed it, in seconds since 1970.
    pub mtime_s: i64,
    /// Whether one of those that share it under this name has it as a program.
    pub executable: bool,
    /// When a peer that is present first announced it under this name.
    pub first: UnixTime,
    /// Peers that have all of it, under any name.
    pub complete: usize,
    /// Peers that have a part of it.
    pub partial: usize,
}

/// A part of the catalogue, in the order of the names.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ContentRows {
    /// The rows. All of one name are in one part.
    pub rows: Vec<ContentRow>,
    /// The name after which the next part begins; `None` if there is no other.
    pub next: Option<FileName>,
}

/// One holder of a content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HolderRow {
    /// Its username.
    pub username: Username,
    /// Whether it has all of the content.
    pub is_complete: bool,
    /// When it joined.
    pub since: UnixTime,
}

/// Some of the holders of a content: those that have all of it first, then by when their sessions began.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HolderRows {
    /// The rows.
    pub rows: Vec<HolderRow>,
    /// Peers that have all of it.
    pub complete: usize,
    /// Peers that have a part of it.
    pub partial: usize,
}

/// The rates of all peers together. They are wider than a peer's, so that no report can make them overflow.
#[derive(Debug, Default)]
pub(crate) struct RateTotals {
    pub(super) sending: u128,
    pub(super) receiving: u128,
}

impl RateTotals {
    /// A peer's rates (sending, receiving) were `old` and are `new`.
    pub(crate) fn change(&mut self, old: (u64, u64), new: (u64, u64)) {
        self.sending = self.sending - u128::from(old.0) + u128::from(new.0);
        self.receiving = self.receiving - u128::from(old.1) + u128::from(new.1);
    }
}
