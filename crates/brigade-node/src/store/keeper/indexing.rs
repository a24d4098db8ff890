//! How the keeper uses its index: it opens it, writes to it in batches, and tries again after a failure.
//!
//! An index that cannot be opened now (the disk is full) is opened later. Until then a limited number of writes is
//! kept. A file whose write was dropped is hashed again at the next start; nothing else is lost. The file itself is
//! in `store::index`.

use std::{collections::HashMap, sync::Arc, time::Duration};

use brigade_core::name::FileName;

use super::{owner::KeeperOwner, problems::KeeperProblem};
use crate::{
    clock::now,
    store::{
        index::{INDEX_FILE, Index, IndexError, IndexWrite},
        share::SharedFile,
    },
};

/// Writes that are collected before they are written, and the time for which they are collected.
const INDEX_WRITES: usize = 2048;
const INDEX_DELAY: Duration = Duration::from_millis(500);

/// The pause before the next attempt to open or write the index, and the number of writes that are kept until then.
const INDEX_RETRY: Duration = Duration::from_secs(2);
const INDEX_KEPT: usize = 1 << 16;

impl KeeperOwner {
    /// Opens the index at the start. Returns its files.
    pub(super) fn open_index(&mut self) -> HashMap<FileName, Arc<SharedFile>> {
        match self.open_and_load() {
            Ok((index, known)) => {
                self.index = Some(index);
                known
            }
            Err(reason) => {
                self.index_failed_with(reason);
                HashMap::new()
            }
        }
    }

    fn open_and_load(&self) -> Result<(Index, HashMap<FileName, Arc<SharedFile>>), String> {
        let private = self.folder.private().map_err(|error| error.to_string())?;
        Index::open(&private.join(INDEX_FILE)).map_err(|error| error.to_string())
    }

    pub(super) fn index_write(&mut self, write: IndexWrite) {
        self.index_writes.push(write);
        self.index_due.get_or_insert_with(|| now().after(INDEX_DELAY));
        if self.index_writes.len() >= INDEX_WRITES && !self.index_failed {
            self.write_index();
        }
    }

    /// Drops all collected writes.
    pub(super) fn forget_index_writes(&mut self) {
        self.index_writes.clear();
        self.index_due = None;
    }

    /// Writes the collected writes. Opens the index first if it is not open.
    pub(super) fn write_index(&mut self) {
        self.index_due = None;
        if self.index.is_none() {
            match self.open_and_load() {
                // Its rows were true at the end of an earlier session; the writes replace them.
                Ok((index, _)) => self.index = Some(index),
                Err(reason) => return self.index_failed_with(reason),
            }
        }
        let Some(index) = self.index.as_mut() else { return };
        let written = if self.index_writes.is_empty() { Ok(()) } else { index.write(&self.index_writes) };
        match written.map_err(|error: IndexError| error.to_string()) {
            Ok(()) => {
                self.index_failed = false;
                self.index_writes.clear();
                self.problems.clear_keeper_problem(&KeeperProblem::Unindexed(String::new()));
            }
            Err(reason) => self.index_failed_with(reason),
        }
    }

    fn index_failed_with(&mut self, reason: String) {
        self.index_failed = true;
        self.index_due = Some(now().after(INDEX_RETRY));
        let excess = self.index_writes.len().saturating_sub(INDEX_KEPT);
        self.index_writes.drain(..excess);
        self.problems.report_keeper_problem(KeeperProblem::Unindexed(reason));
    }
}
