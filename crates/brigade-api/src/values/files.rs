//! The files of the network: a page of the catalogue, and the contents and holders of a name.
//!
//! The manager has the catalogue; the peer adds which contents are here.

use brigade_core::wire::manager::{CatalogueEntry, LookupResult, Version};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A content under a name in the catalogue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FileEntry {
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
    /// The number of its holders.
    pub holders: u32,
    /// Whether this peer has the content.
    #[serde(rename = "here")]
    pub local_copy: LocalCopy,
}

/// Whether a peer has a content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum LocalCopy {
    /// It shares all of it.
    Whole,
    /// It is fetching it, and has some pieces.
    Partly,
    /// It does not have it.
    No,
    /// A state of a later version.
    #[serde(other)]
    Unknown,
}

/// A page of the catalogue, in the order of the names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FilePage {
    /// The files. A page may be empty and not the last: `next` decides.
    pub files: Vec<FileEntry>,
    /// The value of `after` for the next page; null after the last one.
    pub next: Option<String>,
    /// The time until the catalogue is complete, in milliseconds, if it is not: the manager was started a moment ago.
    pub incomplete_ms: Option<u64>,
}

/// A content of a name, with its holders.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FileVersion {
    /// The id of the content, 64 hexadecimal digits.
    pub id: String,
    /// Its size in bytes.
    pub size: u64,
    /// When it was last written, in seconds since 1970.
    pub mtime_s: i64,
    /// Whether it is executable.
    pub executable: bool,
    /// The members that share it under this name; some of them if there are many.
    pub holders: Vec<String>,
    /// When it was first announced under this name, in seconds since 1970.
    pub first_s: u64,
}

/// The contents of a name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NameHolders {
    /// The name.
    pub name: String,
    /// Its contents, the one with most holders first; empty if there are none.
    pub versions: Vec<FileVersion>,
    /// The number of names below it, if it is a folder; counted up to a limit.
    pub below: u64,
    /// The most similar names, if it has no contents.
    pub closest: Vec<String>,
    /// As in [`FilePage`].
    pub incomplete_ms: Option<u64>,
}

impl FileEntry {
    /// A row of the catalogue.
    pub fn new(entry: &CatalogueEntry, local_copy: LocalCopy) -> Self {
        Self {
            name: entry.name.to_string(),
            id: entry.id.to_string(),
            size: entry.size,
            mtime_s: entry.mtime_s,
            executable: entry.executable,
            holders: entry.holders,
            local_copy,
        }
    }

    /// The row as the core has it; `None` if the name or the id is not valid.
    pub fn to_core(&self) -> Option<CatalogueEntry> {
        Some(CatalogueEntry {
            name: self.name.parse().ok()?,
            id: self.id.parse().ok()?,
            size: self.size,
            mtime_s: self.mtime_s,
            executable: self.executable,
            holders: self.holders,
        })
    }
}

impl From<&Version> for FileVersion {
    fn from(version: &Version) -> Self {
        Self {
            id: version.id.to_string(),
            size: version.size,
            mtime_s: version.mtime_s,
            executable: version.executable,
            holders: version.holders.iter().map(ToString::to_string).collect(),
            first_s: version.first_s,
        }
    }
}

impl FileVersion {
    /// The content as the core has it; `None` if the id is not valid. Holders with names that are not valid are left
    /// out.
    pub fn to_core(&self) -> Option<Version> {
        Some(Version {
            id: self.id.parse().ok()?,
            size: self.size,
            mtime_s: self.mtime_s,
            executable: self.executable,
            holders: self.holders.iter().filter_map(|holder| holder.parse().ok()).collect(),
            first_s: self.first_s,
        })
    }
}

impl NameHolders {
    /// The answer of the manager about a name.
    pub fn new(name: String, result: &LookupResult) -> Self {
        Self {
            name,
            versions: result.versions.iter().map(FileVersion::from).collect(),
            below: result.below,
            closest: result.closest.iter().map(ToString::to_string).collect(),
            incomplete_ms: result.incomplete_ms,
        }
    }
}
