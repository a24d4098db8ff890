//! What the keeper does with its index: opens it, writes to it in batches, and tries again where that failed.
//!
//! An index that cannot be opened now, as on a full disk, is opened later; what it has to learn is kept until then, up to
//! a bound. What it never learns is hashed again at the next start: no more is lost. The file itself is in `store::index`.

use std::{collections::HashMap, sync::Arc, time::Duration};

use brigade_core::name::FileName;

use super::{owner::Owner, problems::Trouble};
use crate::{
    clock::now,
    store::{
        index::{Index, IndexError, Write},
        share::Shared,
    },
};

/// Writes to the index that are gathered, and for how long.
const INDEX_WRITES: usize = 2048;
const INDEX_DELAY: Duration = Duration::from_millis(500);

/// When it is tried again to open or write an index, and how many writes are kept until then.
const INDEX_RETRY: Duration = Duration::from_secs(2);
const INDEX_KEPT: usize = 1 << 16;

impl Owner {
    /// Opens the index at the start; what it knows.
    pub(super) fn open_index(&mut self) -> HashMap<FileName, Arc<Shared>> {
        match self.opened() {
            Ok((index, known)) => {
                self.index = Some(index);
                known
            }
            Err(why) => {
                self.index_not_written(why);
                HashMap::new()
            }
        }
    }

    fn opened(&self) -> Result<(Index, HashMap<FileName, Arc<Shared>>), String> {
        let private = self.folder.private().map_err(|error| error.to_string())?;
        Index::open(&private.join("index.db")).map_err(|error| error.to_string())
    }

    pub(super) fn index_write(&mut self, write: Write) {
        self.index_writes.push(write);
        self.index_due.get_or_insert_with(|| now().after(INDEX_DELAY));
        if self.index_writes.len() >= INDEX_WRITES && !self.index_failed {
            self.write_index();
        }
    }

    /// Nothing is written to the index that was not yet.
    pub(super) fn forget_index_writes(&mut self) {
        self.index_writes.clear();
        self.index_due = None;
    }

    /// Writes what is gathered, after another attempt to open the index where it is not open.
    pub(super) fn write_index(&mut self) {
        self.index_due = None;
        if self.index.is_none() {
            match self.opened() {
                // What it knows was true at the end of an earlier session; what is true now is written over it.
                Ok((index, _)) => self.index = Some(index),
                Err(why) => return self.index_not_written(why),
            }
        }
        let Some(index) = self.index.as_mut() else { return };
        let written = if self.index_writes.is_empty() { Ok(()) } else { index.write(&self.index_writes) };
        match written.map_err(|error: IndexError| error.to_string()) {
            Ok(()) => {
                self.index_failed = false;
                self.index_writes.clear();
                self.problems.mended(&Trouble::Unindexed(String::new()));
            }
            Err(why) => self.index_not_written(why),
        }
    }

    fn index_not_written(&mut self, why: String) {
        self.index_failed = true;
        self.index_due = Some(now().after(INDEX_RETRY));
        let excess = self.index_writes.len().saturating_sub(INDEX_KEPT);
        self.index_writes.drain(..excess);
        self.problems.trouble(Trouble::Unindexed(why));
    }
}
