//! The values of a manager: its status, its peers, its members, and the catalogue.
//!
//! Pages are in the order of the names; `next` is the value of `after` for the next page.

use brigade_core::manager::{ContentRow, HolderRow, Row};
use brigade_node::manager::MemberRow;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The status of a manager.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ManagerStatus {
    /// The address on which it listens.
    pub address: String,
    /// Its key, which is the network's, 64 hexadecimal digits.
    pub key: String,
    /// The folder of its state.
    pub folder: String,
    /// The limit on peers that are connected at one time.
    pub max_peers: u64,
    /// Whether other machines may reach it.
    pub open: bool,
    /// The number of connected peers.
    pub peers: u64,
    /// The number of members: usernames that are bound to keys.
    pub members: u64,
    /// Bytes of piece data that all peers send a second, as they last reported.
    pub sending: u64,
    /// Bytes of piece data that all peers receive a second, as they last reported.
    pub receiving: u64,
    /// Names in the catalogue.
    pub names: u64,
    /// Contents in the catalogue.
    pub contents: u64,
    /// Bytes of these contents.
    pub bytes: u64,
    /// The version of the program.
    pub version: String,
    /// The number of its process.
    pub pid: u32,
    /// When it was started, in seconds since 1970.
    pub since_s: u64,
}

/// A connected peer, as its manager sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ManagerPeer {
    /// Its username.
    pub username: String,
    /// The address of its session, with the port on which it listens.
    pub address: String,
    /// Files that it shares.
    pub files: u64,
    /// Bytes of these files.
    pub bytes: u64,
    /// Bytes of piece data that it sends a second, as it last reported.
    pub sending: u64,
    /// Bytes of piece data that it receives a second, as it last reported.
    pub receiving: u64,
    /// When it joined, in seconds since 1970.
    pub since_s: u64,
    /// Its key, 64 hexadecimal digits.
    pub key: String,
    /// Whether the username is bound to the key.
    pub bound: bool,
    /// When its last message was received, in seconds since 1970.
    pub last_message_s: u64,
}

/// A page of the connected peers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ManagerPeerPage {
    /// The peers.
    pub peers: Vec<ManagerPeer>,
    /// The number of the first row in the whole table, from 0 on, if the page was asked for by it.
    pub first: Option<u64>,
    /// The number of all connected peers.
    pub total: u64,
    /// The value of `after` for the next page; null after the last one, and in every order but that of the usernames.
    pub next: Option<String>,
}

/// A member: a username, and the key that it is bound to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Member {
    /// The username.
    pub username: String,
    /// The key of the peer, 64 hexadecimal digits.
    pub key: String,
    /// When the username was bound, in seconds since 1970; null if it is not known.
    pub since_s: Option<u64>,
    /// Whether the peer is connected now.
    pub connected: bool,
    /// When it was last connected, in seconds since 1970; null if it is not known.
    pub last_seen_s: Option<u64>,
}

/// A page of the members.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MemberPage {
    /// The members.
    pub members: Vec<Member>,
    /// The value of `after` for the next page; null after the last one.
    pub next: Option<String>,
}

/// A content under a name, as the manager has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ManagerContent {
    /// The name.
    pub name: String,
    /// The id of the content, 64 hexadecimal digits.
    pub id: String,
    /// Its size in bytes.
    pub size: u64,
    /// When it was last written, in seconds since 1970.
    pub mtime_s: i64,
    /// Whether it is executable.
    pub executable: bool,
    /// When a peer that is connected first announced it under this name, in seconds since 1970.
    pub first_s: u64,
    /// The number of its holders: those that have all of it, and those that have a part.
    pub holders: u64,
    /// The number of holders that have all of it.
    pub complete: u64,
    /// The number of holders that have a part of it.
    pub partial: u64,
}

/// A page of the catalogue of a manager.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ContentPage {
    /// The contents, by name.
    pub contents: Vec<ManagerContent>,
    /// The value of `after` for the next page; null after the last one.
    pub next: Option<String>,
}

/// The holders of a content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ContentHolders {
    /// The id of the content, 64 hexadecimal digits.
    pub id: String,
    /// Its size in bytes.
    pub size: u64,
    /// Its holders.
    pub holders: Vec<ContentHolder>,
    /// The number of holders that are not listed.
    pub rest: u64,
}

/// A holder of a content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ContentHolder {
    /// Its username.
    pub username: String,
    /// Whether it has all of the content.
    pub complete: bool,
    /// Since when it holds it, in seconds since 1970; null if it is not known.
    pub since_s: Option<u64>,
}

impl From<&Row> for ManagerPeer {
    fn from(row: &Row) -> Self {
        Self {
            username: row.username.to_string(),
            address: row.address.to_string(),
            files: row.files,
            bytes: row.bytes,
            sending: row.sending,
            receiving: row.receiving,
            since_s: row.since.0,
            key: row.key.to_string(),
            bound: row.is_bound,
            last_message_s: row.last_message.0,
        }
    }
}

impl From<&MemberRow> for Member {
    fn from(row: &MemberRow) -> Self {
        Self {
            username: row.username.to_string(),
            key: row.key.to_string(),
            since_s: Some(row.since.0),
            connected: row.connected.is_some(),
            last_seen_s: row.last_seen.map(|time| time.0),
        }
    }
}

impl From<&ContentRow> for ManagerContent {
    fn from(row: &ContentRow) -> Self {
        Self {
            name: row.name.to_string(),
            id: row.content.id.to_string(),
            size: row.content.size,
            mtime_s: row.mtime_s,
            executable: row.executable,
            first_s: row.first.0,
            holders: (row.complete + row.partial) as u64,
            complete: row.complete as u64,
            partial: row.partial as u64,
        }
    }
}

impl From<&HolderRow> for ContentHolder {
    fn from(row: &HolderRow) -> Self {
        Self { username: row.username.to_string(), complete: row.is_complete, since_s: Some(row.since.0) }
    }
}
