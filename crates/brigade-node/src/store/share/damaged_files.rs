//! Files whose bytes changed on the disk although nothing else shows a write: suspected ones, which are served until they
//! are verified, and damaged ones, which are not served.
//!
//! The keeper of a folder adds and removes them; a verification lists them, and a repair reads which content was lost.

use std::{ops::Bound, sync::Arc};

use brigade_core::name::FileName;

use super::{DamagedFile, Share, SharedNames};
use crate::store::name_ranges::at_or_below;

impl SharedNames {
    /// The damaged file with this name.
    pub(crate) fn damaged_file(&self, name: &FileName) -> Option<Arc<DamagedFile>> {
        let tables = self.read();
        if tables.damaged.is_empty() { None } else { tables.damaged.get(name).cloned() }
    }

    /// The damaged files at `path` and below it; all of them for "". At most `limit`, after `after`.
    pub(crate) fn damaged_files(
        &self,
        path: &str,
        after: Option<&FileName>,
        limit: usize,
    ) -> Vec<Arc<DamagedFile>> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let is_below = |name: &FileName| path.is_empty() || name.as_str() == path || name.is_below(path);
        let tables = self.read();
        let files = tables.damaged.range::<FileName, _>((from, Bound::Unbounded));
        files.filter(|(name, _)| is_below(name)).take(limit).map(|(_, file)| file.clone()).collect()
    }
}

impl Share {
    /// The files at `path` and below it that may be damaged: a verification decides. At most `limit`, after `after`.
    pub(crate) fn suspected_files(
        &self,
        path: &str,
        after: Option<&FileName>,
        limit: usize,
    ) -> Vec<Arc<DamagedFile>> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let is_below = |name: &FileName| path.is_empty() || name.as_str() == path || name.is_below(path);
        let tables = self.read();
        let files = tables.suspected.range::<FileName, _>((from, Bound::Unbounded));
        files.filter(|(name, _)| is_below(name)).take(limit).map(|(_, file)| file.clone()).collect()
    }

    /// The suspected file with this name.
    pub(in crate::store) fn suspected_file(&self, name: &FileName) -> Option<Arc<DamagedFile>> {
        let tables = self.read();
        if tables.suspected.is_empty() { None } else { tables.suspected.get(name).cloned() }
    }

    /// Adds a file that may be damaged.
    pub(in crate::store) fn suspect(&self, file: Arc<DamagedFile>) {
        self.write().suspected.insert(file.name.clone(), file);
    }

    /// A file is not suspected any more. Returns whether it was.
    pub(in crate::store) fn remove_suspicion(&self, name: &FileName) -> bool {
        !self.read().suspected.is_empty() && self.write().suspected.remove(name).is_some()
    }

    /// The damaged file with this name.
    pub(crate) fn damaged_file(&self, name: &FileName) -> Option<Arc<DamagedFile>> {
        let tables = self.read();
        if tables.damaged.is_empty() { None } else { tables.damaged.get(name).cloned() }
    }

    /// Whether the file with this name is one of the folder and is damaged.
    pub(in crate::store) fn has_damaged_in_folder(&self, name: &FileName) -> bool {
        self.damaged_file(name).is_some() && self.has_in_folder(name)
    }

    /// Adds a damaged file.
    pub(in crate::store) fn add_damaged(&self, file: Arc<DamagedFile>) {
        self.write().damaged.insert(file.name.clone(), file);
    }

    /// Removes the mark of damage. Returns whether there was one.
    pub(in crate::store) fn remove_damaged(&self, name: &FileName) -> bool {
        !self.read().damaged.is_empty() && self.write().damaged.remove(name).is_some()
    }

    /// The names of the damaged and suspected files at `path` and below it.
    pub(in crate::store) fn damaged_at_or_below(&self, path: &str) -> Vec<FileName> {
        let tables = self.read();
        let mut names = at_or_below(&tables.damaged, path);
        names.extend(at_or_below(&tables.suspected, path));
        names
    }
}
