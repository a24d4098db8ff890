//! The share: every file of the folder whose hash is known, by name and by content.
//!
//! Only the keeper writes; connections read. There is one lock, held for the time of a lookup and never during I/O or
//! an `.await`. It replaces messages to an owner: each request of a downloader looks up a content, and a message to a
//! task and back would cost more than all lookups together.
//!
//! A file is served only while it is the one that was hashed: see [`Share::open`]. `tables` has the tables,
//! `files_of_a_folder` the functions for the keeper of one folder, and `unservable_files` what it has to check.

use std::{
    fs::File,
    ops::Bound,
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use brigade_core::{id::Content, name::FileName};

pub(crate) use self::tables::{DamagedFile, SharedFile};
use self::{
    tables::{ShareInPlace, ShareTables},
    unservable_files::UnservableFiles,
};
use super::{
    folder::{Folder, FolderError},
    name_ranges::bounds_below,
};

mod damaged_files;
mod files_of_a_folder;
mod tables;
mod unservable_files;

/// Names of one content that are tried when it is opened.
const NAMES_TRIED: usize = 8;

/// The error when a shared file was not opened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ShareError {
    /// The content is not shared.
    #[error("the content {} is not shared", .0.id.short())]
    Unknown(Content),
    /// The file has changed since it was hashed; the keeper will soon notice.
    #[error("{0} has changed since it was hashed")]
    Changed(FileName),
    /// The file could not be opened.
    #[error(transparent)]
    Folder(#[from] FolderError),
}

/// The table of the shared files; cheap to clone, all clones are one table. The keeper of a share in place has a clone
/// with that folder, and changes only the files of it.
#[derive(Debug, Clone)]
pub(crate) struct Share {
    folder: Folder,
    tables: Arc<RwLock<ShareTables>>,
    unservable: Arc<UnservableFiles>,
}

/// What is shared, without access to the files: it does not keep the folder locked.
#[derive(Debug, Clone)]
pub(crate) struct SharedNames(Arc<RwLock<ShareTables>>);

impl SharedNames {
    /// The number of shared files, and of their bytes.
    pub(crate) fn totals(&self) -> (usize, u64) {
        let tables = self.read();
        (tables.by_name.len(), tables.bytes)
    }

    /// The content that is shared under a name.
    pub(crate) fn content_of(&self, name: &FileName) -> Option<Content> {
        self.read().by_name.get(name).map(|file| file.content)
    }

    /// The first name of a shared content.
    pub(crate) fn name_of(&self, content: &Content) -> Option<FileName> {
        self.read().with_content(content).next().map(|file| file.name.clone())
    }

    /// The number of shared files in a share in place, and of their bytes.
    pub(crate) fn totals_in_place(&self, name: &FileName) -> (usize, u64) {
        self.read().shares_in_place.get(name).map_or((0, 0), |share| (share.files, share.bytes))
    }

    fn read(&self) -> RwLockReadGuard<'_, ShareTables> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Share {
    /// An empty table for `folder`.
    pub(crate) fn new(folder: Folder) -> Self {
        Self { folder, tables: Arc::default(), unservable: Arc::default() }
    }

    /// What is shared, for those that do not read the files.
    pub(crate) fn names(&self) -> SharedNames {
        SharedNames(self.tables.clone())
    }

    /// The same table with another folder, which is a share in place from now on.
    pub(crate) fn add_in_place(&self, folder: Folder) -> Self {
        let unservable = Arc::<UnservableFiles>::default();
        if let Some(name) = folder.share_in_place() {
            let (folder, unservable) = (folder.clone(), unservable.clone());
            let share = ShareInPlace { folder, unservable, files: 0, bytes: 0 };
            self.write().shares_in_place.insert(name.clone(), share);
        }
        Self { folder, tables: self.tables.clone(), unservable }
    }

    /// Forgets a share in place, and closes its folder. Its keeper has ended, and has removed its files.
    pub(crate) fn remove_in_place(&self, name: &FileName) {
        self.write().shares_in_place.remove(name);
    }

    /// The folder of the files; not those of shares in place.
    pub(crate) fn folder(&self) -> &Folder {
        &self.folder
    }

    /// A shared file with this content: the one whose name is first.
    pub(crate) fn find(&self, content: &Content) -> Option<Arc<SharedFile>> {
        self.read().with_content(content).next().map(Arc::clone)
    }

    /// Whether a file with this content is shared.
    pub(crate) fn has(&self, content: &Content) -> bool {
        self.read().with_content(content).next().is_some()
    }

    /// The shared file with this name.
    pub(crate) fn by_name(&self, name: &FileName) -> Option<Arc<SharedFile>> {
        self.read().by_name.get(name).map(Arc::clone)
    }

    /// Another shared name that a file system may not distinguish from this one: it differs only in case or
    /// normalisation.
    pub(crate) fn same_folded(&self, name: &FileName) -> Option<FileName> {
        let tables = self.read();
        let mut others = tables.with_folded_key(name); // mostly there is none
        let same = others.find(|file| file.name != *name && file.name.folded() == name.folded());
        same.map(|file| file.name.clone())
    }

    /// The number of shared files, and of their bytes.
    pub(crate) fn totals(&self) -> (usize, u64) {
        let tables = self.read();
        (tables.by_name.len(), tables.bytes)
    }

    /// The first `limit` files in the order of their names, or the first after `after`.
    pub(crate) fn page(&self, after: Option<&FileName>, limit: usize) -> Vec<Arc<SharedFile>> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let tables = self.read();
        tables
            .by_name
            .range::<FileName, _>((from, Bound::Unbounded))
            .take(limit)
            .map(|(_, file)| file.clone())
            .collect()
    }

    /// The first `limit` files below the folder `path` ("" for all files), or the first after `after`.
    pub(crate) fn page_below(
        &self,
        path: &str,
        after: Option<&FileName>,
        limit: usize,
    ) -> Vec<Arc<SharedFile>> {
        if path.is_empty() {
            return self.page(after, limit);
        }
        let (from, to) = bounds_below(path);
        let from = after.map_or(from.as_str(), FileName::as_str);
        let range = (Bound::Excluded(from), Bound::Excluded(to.as_str()));
        let tables = self.read();
        tables.by_name.range::<str, _>(range).take(limit).map(|(_, file)| file.clone()).collect()
    }

    /// Opens a file for serving, if it is still the one that was hashed.
    pub(crate) fn open(&self, shared: &SharedFile) -> Result<File, ShareError> {
        let in_place = self.read().share_in_place(&shared.name).map(|share| share.folder.clone());
        let (file, stamp) = in_place.as_ref().unwrap_or(&self.folder).open_stamped(&shared.name)?;
        if stamp.same_bytes(&shared.stamp) { Ok(file) } else { Err(ShareError::Changed(shared.name.clone())) }
    }

    /// Opens a file with this content, under the first of its names that still has it.
    pub(crate) fn open_content(&self, content: &Content) -> Result<(Arc<SharedFile>, File), ShareError> {
        let names: Vec<_> = self.read().with_content(content).take(NAMES_TRIED).map(Arc::clone).collect();
        let mut last_error = ShareError::Unknown(*content);
        for shared in names {
            match self.open(&shared) {
                Ok(file) => return Ok((shared, file)),
                Err(error) => last_error = error,
            }
        }
        Err(last_error)
    }

    /// Reports that a file is not the one that was hashed, or does not exist any more. The keeper then checks it: there
    /// may have been no event, for example if the file was written through a hard link outside the folder.
    pub(crate) fn report_unservable(&self, shared: &SharedFile) {
        if self.by_name(&shared.name).is_none_or(|now| now.stamp != shared.stamp) {
            return; // the keeper has noticed the change
        }
        let in_place = self.read().share_in_place(&shared.name).map(|share| share.unservable.clone());
        in_place.as_ref().unwrap_or(&self.unservable).add(&shared.name);
    }

    /// Adds a file, as the keeper does.
    #[cfg(test)]
    pub(crate) fn insert_for_test(
        &self,
        name: FileName,
        content: Content,
        list: Option<Arc<brigade_core::piece_list::PieceList>>,
        stamp: super::file_stamp::Stamp,
    ) {
        self.insert(Arc::new(SharedFile { name, content, list, stamp }));
    }

    /// Removes a file, as the keeper does.
    #[cfg(test)]
    pub(crate) fn remove_for_test(&self, name: &FileName) {
        self.remove(name);
    }

    // A thread that panicked with the lock did so between complete changes, so the table is still valid.
    fn read(&self) -> RwLockReadGuard<'_, ShareTables> {
        self.tables.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, ShareTables> {
        self.tables.write().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, sync::Arc};

    use brigade_core::{
        id::{Content, ContentId},
        name::FileName,
    };

    use super::{Folder, Share, ShareError, SharedFile};

    fn name(text: &str) -> FileName {
        text.parse().unwrap()
    }

    /// A folder with these files, all shared under the ids of their bytes.
    fn shared(files: &[(&str, &str)]) -> (tempfile::TempDir, Share) {
        let temp = tempfile::tempdir().unwrap();
        let folder = Folder::open(temp.path()).unwrap();
        let share = Share::new(folder.clone());
        for (file, bytes) in files {
            let path = temp.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
            let content = content(bytes);
            let stamp = folder.stamp(&name(file)).unwrap();
            share.insert(Arc::new(SharedFile { name: name(file), content, list: None, stamp }));
        }
        (temp, share)
    }

    fn content(bytes: &str) -> Content {
        Content { id: ContentId(*blake3::hash(bytes.as_bytes()).as_bytes()), size: bytes.len() as u64 }
    }

    #[test]
    fn files_are_found_by_name_and_by_content() {
        let (_temp, share) = shared(&[("a", "one"), ("b/c", "one"), ("d", "two")]);
        assert_eq!(share.totals(), (3, 9));
        assert_eq!(share.find(&content("one")).unwrap().name, name("a"));
        assert_eq!(share.by_name(&name("d")).unwrap().content, content("two"));
        share.remove(&name("a"));
        assert_eq!(share.find(&content("one")).unwrap().name, name("b/c"));
        share.remove(&name("b/c"));
        assert_eq!(share.find(&content("one")), None);
        assert_eq!(share.totals(), (1, 3));
        // The same id of another size is another content.
        assert_eq!(share.find(&Content { size: 4, ..content("two") }), None);
    }

    #[test]
    fn a_changed_file_is_not_served_and_another_name_is() {
        let (temp, share) = shared(&[("a", "one"), ("b", "one")]);
        let a = share.by_name(&name("a")).unwrap();
        assert!(share.open(&a).is_ok());
        fs::write(temp.path().join("a"), "longer").unwrap();
        assert!(matches!(share.open(&a), Err(ShareError::Changed(_))));
        assert_eq!(share.open_content(&content("one")).unwrap().0.name, name("b"));
        fs::remove_file(temp.path().join("b")).unwrap();
        assert!(share.open_content(&content("one")).is_err());
        assert!(matches!(share.open_content(&content("else")), Err(ShareError::Unknown(_))));
    }

    #[test]
    fn names_that_a_file_system_may_not_distinguish_are_found() {
        let (_temp, share) = shared(&[("Folder/É", "1"), ("other", "2")]);
        assert_eq!(share.same_folded(&name("folder/é")), Some(name("Folder/É")));
        assert_eq!(share.same_folded(&name("OTHER")), Some(name("other")));
        assert_eq!(share.same_folded(&name("other")), None);
    }

    #[test]
    fn a_file_that_had_its_name_before_a_share_in_place_is_not_subtracted_from_it() {
        let (temp, share) = shared(&[("photos/a", "one")]);
        let folder =
            Folder::open_in_place(&temp.path().join("photos").canonicalize().unwrap(), name("photos"));
        let in_place = share.add_in_place(folder.unwrap());
        in_place.remove(&name("photos/a")); // its first scan finds no such file
        assert_eq!(in_place.names().totals_in_place(&name("photos")), (0, 0));
        assert_eq!(share.totals(), (0, 0));
    }

    #[test]
    fn pages_and_ranges_follow_the_names() {
        let (_temp, share) = shared(&[("a", "1"), ("a.b", "2"), ("d/x", "3"), ("d/y", "4"), ("dz", "5")]);
        let names =
            |files: Vec<Arc<SharedFile>>| files.iter().map(|file| file.name.to_string()).collect::<Vec<_>>();
        assert_eq!(names(share.page(None, 2)), ["a", "a.b"]);
        assert_eq!(names(share.page(Some(&name("a.b")), 9)), ["d/x", "d/y", "dz"]);
        assert_eq!(share.names_at_or_below("d"), [name("d/x"), name("d/y")]);
        assert_eq!(share.names_at_or_below("a"), [name("a")]);
        assert_eq!(share.names_between("a", Some("d/y")), [name("a.b"), name("d/x")]);
        assert_eq!(share.names_between("dz", None), []);
        assert_eq!(share.names_between("a", Some("a")), []);
    }
}
