//! The tables of the share: its files by name, by content, by folded name and by inode.
//!
//! Each table but the first is a set of hashes with files, which needs less memory than a map. The parent module
//! holds the tables under its lock.

use std::{
    borrow::Borrow,
    cmp::Ordering,
    collections::{BTreeMap, BTreeSet},
    hash::{DefaultHasher, Hash, Hasher},
    ops::Bound,
    sync::Arc,
};

use brigade_core::{
    id::{Content, ContentId},
    name::FileName,
    piece_list::PieceList,
};

use super::unservable_files::UnservableFiles;
use crate::store::{file_stamp::Stamp, folder::Folder};

/// A file that is served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SharedFile {
    /// Its name.
    pub name: FileName,
    /// Its content.
    pub content: Content,
    /// Its piece list, if it has more than one piece.
    pub list: Option<Arc<PieceList>>,
    /// Its stamp when it was hashed.
    pub stamp: Stamp,
}

/// A damaged file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DamagedFile {
    /// Its name.
    pub name: FileName,
    /// The content that was announced.
    pub expected: Content,
    /// The id of the bytes that it has.
    pub found: ContentId,
    /// Its stamp. With another stamp it is another file.
    pub stamp: Stamp,
}

/// The damaged files by their names; at most as many as files are shared.
pub(super) type DamagedFiles = BTreeMap<FileName, Arc<DamagedFile>>;

/// The files by each of the values that are looked up.
#[derive(Debug, Default)]
pub(super) struct ShareTables {
    pub(super) by_name: BTreeMap<FileName, Arc<SharedFile>>,
    by_content: BTreeSet<IndexedFile>,
    by_folded_name: BTreeSet<IndexedFile>,
    by_inode: BTreeSet<IndexedFile>,
    pub(super) bytes: u64,
    /// The shares in place, by the first component of the names of their files.
    pub(super) shares_in_place: BTreeMap<FileName, ShareInPlace>,
    /// Files that are not served, since their bytes changed unnoticed.
    pub(super) damaged: DamagedFiles,
    /// Files that are served with other bytes than before, although their length and times did not change.
    pub(super) suspected: DamagedFiles,
}

/// A share in place.
#[derive(Debug)]
pub(super) struct ShareInPlace {
    pub(super) folder: Folder,
    pub(super) unservable: Arc<UnservableFiles>,
    /// Its shared files, and their bytes together.
    pub(super) files: usize,
    pub(super) bytes: u64,
}

impl ShareTables {
    /// The files with a content, in the order of their names.
    pub(super) fn with_content<'a>(
        &'a self,
        content: &'a Content,
    ) -> impl Iterator<Item = &'a Arc<SharedFile>> {
        self.by_content.entries_by_key(content_key(content)).filter(move |file| file.content == *content)
    }

    /// The files whose folded names have the same hash as that of `name`; a few of them may have other folded names.
    pub(super) fn with_folded_key(&self, name: &FileName) -> impl Iterator<Item = &Arc<SharedFile>> {
        self.by_folded_name.entries_by_key(fold_key(name))
    }

    /// The names of a file: several if it has hard links.
    pub(super) fn with_inode<'a>(&'a self, stamp: &'a Stamp) -> impl Iterator<Item = &'a Arc<SharedFile>> {
        let entries = self.by_inode.entries_by_key(inode_key(stamp));
        entries.filter(|file| (file.stamp.device, file.stamp.inode) == (stamp.device, stamp.inode))
    }

    /// The share in place to which `name` belongs; `None` for a name of the peer's own folder.
    pub(super) fn share_in_place(&self, name: &str) -> Option<&ShareInPlace> {
        if self.shares_in_place.is_empty() {
            return None;
        }
        self.shares_in_place.get(first_component(name))
    }

    /// Adds a file. Returns the file that had its name before.
    pub(super) fn insert(&mut self, file: Arc<SharedFile>) -> Option<Arc<SharedFile>> {
        let before = self.remove(&file.name);
        self.bytes += file.content.size;
        if let Some(share) = self.mutable_share_in_place(&file.name) {
            share.files += 1;
            share.bytes += file.content.size;
        }
        self.by_content.insert(IndexedFile { key: content_key(&file.content), file: file.clone() });
        self.by_folded_name.insert(IndexedFile { key: fold_key(&file.name), file: file.clone() });
        self.by_inode.insert(IndexedFile { key: inode_key(&file.stamp), file: file.clone() });
        self.by_name.insert(file.name.clone(), file);
        before
    }

    /// Removes a file.
    pub(super) fn remove(&mut self, name: &FileName) -> Option<Arc<SharedFile>> {
        let file = self.by_name.remove(name)?;
        self.bytes -= file.content.size;
        if let Some(share) = self.mutable_share_in_place(name) {
            if share.files == 0 || share.bytes < file.content.size {
                tracing::debug!(%name, "a file of a share in place was not counted when it was added");
            }
            share.files = share.files.saturating_sub(1);
            share.bytes = share.bytes.saturating_sub(file.content.size);
        }
        self.by_content.remove(&(content_key(&file.content), name.as_str()) as &dyn SortKey);
        self.by_folded_name.remove(&(fold_key(name), name.as_str()) as &dyn SortKey);
        self.by_inode.remove(&(inode_key(&file.stamp), name.as_str()) as &dyn SortKey);
        Some(file)
    }

    fn mutable_share_in_place(&mut self, name: &str) -> Option<&mut ShareInPlace> {
        if self.shares_in_place.is_empty() {
            return None;
        }
        self.shares_in_place.get_mut(first_component(name))
    }
}

fn first_component(name: &str) -> &str {
    name.split_once('/').map_or(name, |(first, _)| first)
}

/// Files in the order of a key, then of their names: 16 bytes for each; a map with the values as keys needs 60.
/// Different values may have the same key, so a lookup compares the values too.
#[derive(Debug)]
struct IndexedFile {
    key: u64,
    file: Arc<SharedFile>,
}

/// The order of an entry. It allows to search a set without making an entry.
trait SortKey {
    fn sort_key(&self) -> (u64, &str);
}

impl SortKey for IndexedFile {
    fn sort_key(&self) -> (u64, &str) {
        (self.key, self.file.name.as_str())
    }
}

impl SortKey for (u64, &str) {
    fn sort_key(&self) -> (u64, &str) {
        *self
    }
}

impl PartialEq for dyn SortKey + '_ {
    fn eq(&self, other: &Self) -> bool {
        self.sort_key() == other.sort_key()
    }
}

impl Eq for dyn SortKey + '_ {}

impl PartialOrd for dyn SortKey + '_ {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for dyn SortKey + '_ {
    fn cmp(&self, other: &Self) -> Ordering {
        self.sort_key().cmp(&other.sort_key())
    }
}

impl PartialEq for IndexedFile {
    fn eq(&self, other: &Self) -> bool {
        self.sort_key() == other.sort_key()
    }
}

impl Eq for IndexedFile {}

impl PartialOrd for IndexedFile {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for IndexedFile {
    fn cmp(&self, other: &Self) -> Ordering {
        self.sort_key().cmp(&other.sort_key())
    }
}

impl<'a> Borrow<dyn SortKey + 'a> for IndexedFile {
    fn borrow(&self) -> &(dyn SortKey + 'a) {
        self
    }
}

/// The entries with a given key.
trait EntriesByKey {
    fn entries_by_key(&self, key: u64) -> impl Iterator<Item = &Arc<SharedFile>>;
}

impl EntriesByKey for BTreeSet<IndexedFile> {
    fn entries_by_key(&self, key: u64) -> impl Iterator<Item = &Arc<SharedFile>> {
        // No name is empty, so this is before all entries of the key.
        let first = (key, "");
        let from = Bound::Included(&first as &dyn SortKey);
        self.range::<dyn SortKey, _>((from, Bound::Unbounded))
            .take_while(move |entry| entry.key == key)
            .map(|entry| &entry.file)
    }
}

/// The first bytes of a content id, which are evenly distributed.
fn content_key(content: &Content) -> u64 {
    let mut first = [0; 8];
    first.copy_from_slice(&content.id.0[..8]);
    u64::from_be_bytes(first)
}

const fn inode_key(stamp: &Stamp) -> u64 {
    stamp.inode ^ stamp.device.rotate_left(32)
}

fn fold_key(name: &FileName) -> u64 {
    let mut hasher = DefaultHasher::new();
    if name.is_ascii() {
        name.to_ascii_lowercase().hash(&mut hasher)
    } else {
        name.folded().hash(&mut hasher)
    }
    hasher.finish()
}
