//! What a peer sends to downloaders now.
//!
//! The totals since the start are in the status.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The piece data that is sent to a downloader now, or was in the last seconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Upload {
    /// The downloader.
    pub username: String,
    /// The id of the content that it requested last, 64 hexadecimal digits.
    pub id: Option<String>,
    /// The size of this content in bytes.
    pub size: Option<u64>,
    /// A name of this content here; null if it has none yet.
    pub name: Option<String>,
    /// Bytes of piece data that were sent to it, of all contents.
    pub bytes: u64,
    /// Whole pieces that were sent.
    pub pieces: u64,
    /// Bytes a second now.
    pub rate: u64,
}

/// What a peer sends now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UploadList {
    /// The uploads, the fastest first.
    pub uploads: Vec<Upload>,
}
