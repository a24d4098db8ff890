//! How the keeper uses its index: it opens it, writes to it in batches, and tries again after a failure.
//!
//! An index that cannot be opened now (the disk is full) is opened later. Until then a limited number of writes is
//! kept. A file whose write was dropped is hashed again at the next start; nothing else is lost. The file itself is
//! in `store::index`. The index of a share in place has the paths below it as names, so that another name of the share
//! changes nothing.

use std::{collections::HashMap, sync::Arc, time::Duration};

use brigade_core::{name::FileName, time::Timestamp};

use super::{
    keeper_group::IndexLocation,
    sharing_problems::{KeeperProblem, Problems},
};
use crate::{
    clock::now,
    durable_folders::make_folders,
    store::{
        folder::{Folder, INDEX_FILE, NetworkNames},
        index::{Index, IndexError, IndexWrite},
        share::{DamagedFile, SharedFile},
    },
};

/// Writes that are collected before they are written, and the time for which they are collected.
const INDEX_WRITES: usize = 2048;
const INDEX_DELAY: Duration = Duration::from_millis(500);

/// The pause before the next attempt to open or write the index, and the number of writes that are kept until then.
const INDEX_RETRY: Duration = Duration::from_secs(2);
const INDEX_KEPT: usize = 1 << 16;

/// The index, and the writes that wait for it.
#[derive(Debug)]
pub(super) struct IndexWriter {
    /// Declared before the folder, so that it is closed before the lock ends with the folder's last handle.
    index: Option<Index>,
    folder: Folder,
    location: IndexLocation,
    waiting: Vec<IndexWrite>,
    due: Option<Timestamp>,
    has_failed: bool,
}

impl IndexWriter {
    /// An index of `folder` that is not open yet.
    pub(super) fn new(folder: Folder, location: IndexLocation) -> Self {
        Self { index: None, folder, location, waiting: Vec::new(), due: None, has_failed: false }
    }

    /// Opens the index at the start. Returns its files.
    pub(super) fn open(&mut self, problems: &mut Problems) -> HashMap<FileName, Arc<SharedFile>> {
        match self.open_and_load() {
            Ok((index, known)) => {
                self.index = Some(index);
                known
            }
            Err(reason) => {
                self.failed(reason, problems);
                HashMap::new()
            }
        }
    }

    /// The damaged files in the index.
    pub(super) fn damaged(&self) -> Vec<Arc<DamagedFile>> {
        let files = self.index.as_ref().map(Index::damaged).unwrap_or_default();
        let named = |file: Arc<DamagedFile>| {
            let name = self.network_name(&file.name)?;
            Some(Arc::new(DamagedFile { name, ..DamagedFile::clone(&file) }))
        };
        files.into_iter().filter_map(named).collect()
    }

    /// Closes the index and drops all waiting writes.
    pub(super) fn close(&mut self) {
        self.index = None;
        self.forget_waiting();
    }

    /// Drops all waiting writes.
    pub(super) fn forget_waiting(&mut self) {
        self.waiting.clear();
        self.due = None;
    }

    /// The time of the next write.
    pub(super) const fn due(&self) -> Option<Timestamp> {
        self.due
    }

    /// Adds a write. Many waiting writes are written at once.
    pub(super) fn add(&mut self, write: IndexWrite, problems: &mut Problems) {
        if matches!(self.location, IndexLocation::Nowhere(_)) {
            return;
        }
        self.waiting.push(self.with_local_name(write));
        self.due.get_or_insert_with(|| now().after(INDEX_DELAY));
        if self.waiting.len() >= INDEX_WRITES && !self.has_failed {
            self.write(problems);
        }
    }

    /// Writes the waiting writes. Opens the index first if it is not open.
    pub(super) fn write(&mut self, problems: &mut Problems) {
        self.due = None;
        if matches!(self.location, IndexLocation::Nowhere(_)) {
            return;
        }
        if self.index.is_none() {
            match self.open_and_load() {
                // Its rows were true at the end of an earlier session; the writes replace them.
                Ok((index, _)) => self.index = Some(index),
                Err(problem) => return self.failed(problem, problems),
            }
        }
        let Some(index) = self.index.as_mut() else { return };
        let written = if self.waiting.is_empty() { Ok(()) } else { index.write(&self.waiting) };
        match written.map_err(|error| unindexed(&error)) {
            Ok(()) => {
                self.has_failed = false;
                self.waiting.clear();
                problems.clear_keeper_problem(&other_cause(String::new()));
                problems.clear_keeper_problem(&KeeperProblem::SharesUnindexed { reason: String::new() });
            }
            Err(problem) => self.failed(problem, problems),
        }
    }

    fn open_and_load(&self) -> Result<(Index, HashMap<FileName, Arc<SharedFile>>), KeeperProblem> {
        match &self.location {
            IndexLocation::Private => self.open_private(),
            IndexLocation::Folder(path) => {
                make_folders(path, true).map_err(|error| KeeperProblem::SharesUnindexed {
                    reason: format!("the folder {} cannot be made: {error}", path.display()),
                })?;
                let (index, known) =
                    Index::open(&path.join(INDEX_FILE)).map_err(|error| unindexed(&error))?;
                let named = |file: Arc<SharedFile>| {
                    let name = self.network_name(&file.name)?;
                    Some((name.clone(), Arc::new(SharedFile { name, ..SharedFile::clone(&file) })))
                };
                Ok((index, known.into_values().filter_map(named).collect()))
            }
            IndexLocation::Nowhere(reason) => Err(KeeperProblem::SharesUnindexed { reason: reason.clone() }),
        }
    }

    /// The name in the network of a name in the index; `None` if it is not shared from this folder.
    fn network_name(&self, name: &FileName) -> Option<FileName> {
        match self.folder.names() {
            NetworkNames::Single { name: single, .. } => (name == single).then(|| name.clone()),
            names => names.network(name)?.ok(),
        }
    }

    /// The write with the name that the file has in the index. The name of a single file is that of its share.
    fn with_local_name(&self, write: IndexWrite) -> IndexWrite {
        let names = self.folder.names();
        if !matches!(names, NetworkNames::Below(_)) {
            return write;
        }
        let local = |name: &FileName| {
            names.local(name).and_then(|local| local.parse().ok()).unwrap_or_else(|| name.clone())
        };
        match write {
            IndexWrite::Put(file) => {
                IndexWrite::Put(Arc::new(SharedFile { name: local(&file.name), ..SharedFile::clone(&file) }))
            }
            IndexWrite::Delete(name) => IndexWrite::Delete(local(&name)),
            IndexWrite::Damaged(file) => {
                let name = local(&file.name);
                IndexWrite::Damaged(Arc::new(DamagedFile { name, ..DamagedFile::clone(&file) }))
            }
            IndexWrite::Undamaged(name) => IndexWrite::Undamaged(local(&name)),
        }
    }

    fn open_private(&self) -> Result<(Index, HashMap<FileName, Arc<SharedFile>>), KeeperProblem> {
        let private = self.folder.private().map_err(|error| other_cause(error.to_string()))?;
        let opened = Index::open(&private.join(INDEX_FILE)).map_err(|error| unindexed(&error))?;
        match self.folder.remember_index() {
            // It was removed at this moment.
            Err(error) if error.is_missing() => Err(other_cause(error.to_string())),
            Err(error) => {
                tracing::debug!(%error, "it will not be noticed if the index is removed");
                Ok(opened)
            }
            Ok(()) => Ok(opened),
        }
    }

    fn failed(&mut self, problem: KeeperProblem, problems: &mut Problems) {
        self.has_failed = true;
        if matches!(self.location, IndexLocation::Nowhere(_)) {
            return problems.report_keeper_problem(problem);
        }
        self.due = Some(now().after(INDEX_RETRY));
        let excess = self.waiting.len().saturating_sub(INDEX_KEPT);
        self.waiting.drain(..excess);
        problems.report_keeper_problem(problem);
    }
}

/// The problem that `error` is.
fn unindexed(error: &IndexError) -> KeeperProblem {
    KeeperProblem::Unindexed { reason: error.to_string(), has_advice: error.has_advice() }
}

/// The problem that the index cannot be used, for a `reason` that says nothing about what to do.
const fn other_cause(reason: String) -> KeeperProblem {
    KeeperProblem::Unindexed { reason, has_advice: false }
}
