//! The table of peers, as a peer gets it from the manager.
//!
//! `manager` has the table of the manager itself.

use brigade_core::wire::manager as wire;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A peer of the network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PeerRow {
    /// Its username.
    pub username: String,
    /// Its address, as this peer reaches it.
    pub address: String,
    /// Files that it shares.
    pub files: u64,
    /// Bytes of these files.
    pub bytes: u64,
    /// Bytes of piece data that it sends a second.
    pub sending: u64,
    /// Bytes of piece data that it receives a second.
    pub receiving: u64,
    /// When it joined, in seconds since 1970.
    pub since_s: u64,
}

/// A page of the table of peers, by username.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PeerPage {
    /// The peers.
    pub peers: Vec<PeerRow>,
    /// The value of `after` for the next page; null after the last one.
    pub next: Option<String>,
    /// The time until the table is complete, in milliseconds, if it is not: the manager was started a moment ago.
    pub incomplete_ms: Option<u64>,
}

impl From<&wire::PeerRow> for PeerRow {
    fn from(row: &wire::PeerRow) -> Self {
        Self {
            username: row.username.to_string(),
            address: row.address.clone(),
            files: row.files,
            bytes: row.bytes,
            sending: row.sending,
            receiving: row.receiving,
            since_s: row.since_s,
        }
    }
}

impl PeerRow {
    /// The row as the core has it; `None` if the username is not valid.
    pub fn to_core(&self) -> Option<wire::PeerRow> {
        Some(wire::PeerRow {
            username: self.username.parse().ok()?,
            address: self.address.clone(),
            files: self.files,
            bytes: self.bytes,
            sending: self.sending,
            receiving: self.receiving,
            since_s: self.since_s,
        })
    }
}
