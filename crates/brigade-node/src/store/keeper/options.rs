//! How a keeper works: which files it shares, and how it finds changes.
//!
//! The defaults are those of a peer that shares all of its folder.

use std::{num::NonZero, sync::Arc, thread};

use super::keeper_group::{FirstScan, IndexLocation};

/// How the keeper works.
#[derive(Debug, Clone)]
pub(crate) struct KeeperOptions {
    /// Whether hidden files (a component of the name begins with a dot) are shared too.
    pub hidden: bool,
    /// The number of threads that hash.
    pub threads: usize,
    /// Whether the file system reports changes; if not, the folder is scanned every second or two.
    pub watch: bool,
    /// Whether only files that landed here are shared, as long as they do not change: for a folder whose other files
    /// are private.
    pub only_landed: bool,
    /// Where the hashes are stored.
    pub index: IndexLocation,
    /// The first scan of the folder, for the announcement that all of them are complete.
    pub first_scan: Arc<FirstScan>,
}

impl Default for KeeperOptions {
    fn default() -> Self {
        Self {
            hidden: false,
            threads: thread::available_parallelism().map_or(1, NonZero::get),
            watch: true,
            only_landed: false,
            index: IndexLocation::Private,
            first_scan: FirstScan::of_folders(1).next().unwrap_or_else(FirstScan::uncounted),
        }
    }
}
