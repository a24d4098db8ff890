//! The functions for the keeper of one folder: it sees and changes only the files of that folder.
//!
//! The name of a file tells its folder: the first component of it is the name of a share in place, or is not.

use std::{collections::BTreeSet, ops::Bound, sync::Arc};

use brigade_core::name::FileName;

use super::{Share, SharedFile, tables::ShareTables};
use crate::store::{
    file_stamp::Stamp,
    folder::{Folder, NetworkNames},
    name_ranges::bounds_below,
};

impl Share {
    /// Waits until files of the folder were reported that could not be served. It may be dropped at any time.
    pub(in crate::store) async fn next_unservable(&self) -> BTreeSet<FileName> {
        self.unservable.next().await
    }

    /// Adds a file. Returns the file that had its name before.
    pub(in crate::store) fn insert(&self, file: Arc<SharedFile>) -> Option<Arc<SharedFile>> {
        self.write().insert(file)
    }

    /// Removes a file.
    pub(in crate::store) fn remove(&self, name: &FileName) -> Option<Arc<SharedFile>> {
        let mut tables = self.write();
        if has(&self.folder, &tables, name) { tables.remove(name) } else { None }
    }

    /// The names of the folder between `after` and `before`, which need not be names; all of them for "" and `None`.
    pub(in crate::store) fn names_between(&self, after: &str, before: Option<&str>) -> Vec<FileName> {
        if before.is_some_and(|before| after >= before) {
            return Vec::new();
        }
        let range = (Bound::Excluded(after), before.map_or(Bound::Unbounded, Bound::Excluded));
        let tables = self.read();
        let names = tables.by_name.range::<str, _>(range).map(|(name, _)| name);
        names.filter(|name| has(&self.folder, &tables, name)).cloned().collect()
    }

    /// The names between `after` and `name`, and the file that is shared as `name`: one step of a merge.
    pub(in crate::store) fn up_to(
        &self,
        after: &str,
        name: &FileName,
    ) -> (Vec<FileName>, Option<Arc<SharedFile>>) {
        let tables = self.read();
        let range = (Bound::Excluded(after), Bound::Included(name.as_str()));
        if after >= name.as_str() {
            return (Vec::new(), tables.by_name.get(name).cloned());
        }
        let (mut between, mut itself) = (Vec::new(), None);
        for (at, shared) in tables.by_name.range::<str, _>(range) {
            if at == name {
                itself = Some(shared.clone());
            } else if has(&self.folder, &tables, at) {
                between.push(at.clone());
            }
        }
        (between, itself)
    }

    /// The shared names of a file in the folder: several if it has hard links.
    pub(in crate::store) fn names_of(&self, file: &Stamp) -> Vec<FileName> {
        let tables = self.read();
        let names = tables.with_inode(file).map(|other| &other.name);
        names.filter(|name| has(&self.folder, &tables, name)).cloned().collect()
    }

    /// The names below `path`, and `path` itself if it is a file.
    pub(in crate::store) fn names_at_or_below(&self, path: &str) -> Vec<FileName> {
        let tables = self.read();
        let itself = tables.by_name.get_key_value(path).map(|(name, _)| name);
        let (from, to) = bounds_below(path);
        let range = (Bound::Excluded(from.as_str()), Bound::Excluded(to.as_str()));
        let below = tables.by_name.range::<str, _>(range).map(|(name, _)| name);
        itself.into_iter().chain(below).filter(|name| has(&self.folder, &tables, name)).cloned().collect()
    }

    /// Whether a file of the table is one of the folder.
    pub(in crate::store) fn has_in_folder(&self, name: &FileName) -> bool {
        has(&self.folder, &self.read(), name)
    }
}

/// Whether `name` is one of `folder`.
fn has(folder: &Folder, tables: &ShareTables, name: &str) -> bool {
    match folder.names() {
        NetworkNames::Own => tables.share_in_place(name).is_none(),
        names => names.local(name).is_some(),
    }
}
