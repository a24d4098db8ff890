//! What is served: every file of the folder whose hash is known, by name and by content.
//!
//! The keeper alone writes; connections read. One lock, held for the length of a look-up and never across I/O or an
//! `.await`, is accepted here instead of a message to an owner: every request of a newcomer looks up a content, and a
//! round trip to a task for each of them would cost more than all look-ups together.
//!
//! A file is served only while it is the one that was hashed: see [`Share::open`].

use std::{
    borrow::Borrow,
    cmp::Ordering,
    collections::{BTreeMap, BTreeSet},
    fs::File,
    hash::{DefaultHasher, Hash, Hasher},
    ops::Bound,
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use brigade_core::{content::PieceList, id::Content, name::FileName};

use super::folder::{Folder, FolderError, Stamp};

/// Names under one content that are tried when it is opened.
const NAMES_TRIED: usize = 8;

/// A file that is served.
#[derive(Debug, PartialEq, Eq)]
pub struct Shared {
    /// Its name.
    pub name: FileName,
    /// Its bytes.
    pub content: Content,
    /// Its pieces, where there is more than one.
    pub list: Option<Arc<PieceList>>,
    /// What the file was when it was hashed.
    pub stamp: Stamp,
}

/// Why a shared file was not opened.
#[derive(Debug, thiserror::Error)]
pub enum ShareError {
    /// The content is not shared, or not any more.
    #[error("the content {} is not shared", .0.id.short())]
    Unknown(Content),
    /// The file is not the one that was hashed; the keeper is about to notice.
    #[error("{0} has changed since it was hashed")]
    Changed(FileName),
    /// The folder did not give it.
    #[error(transparent)]
    Folder(#[from] FolderError),
}

/// The table of shared files; cheap to clone, all clones are one table.
#[derive(Debug, Clone)]
pub struct Share {
    folder: Folder,
    tables: Arc<RwLock<Tables>>,
}

#[derive(Debug, Default)]
struct Tables {
    by_name: BTreeMap<FileName, Arc<Shared>>,
    by_content: BTreeSet<Keyed>,
    by_folded_name: BTreeSet<Keyed>,
    by_inode: BTreeSet<Keyed>,
    bytes: u64,
}

impl Share {
    /// An empty table over `folder`.
    pub fn new(folder: Folder) -> Self {
        Self { folder, tables: Arc::default() }
    }

    /// The folder that it is of.
    pub fn folder(&self) -> &Folder {
        &self.folder
    }

    /// A file with this content, if one is shared: the one whose name comes first.
    pub fn find(&self, content: &Content) -> Option<Arc<Shared>> {
        self.read().with_content(content).next().map(Arc::clone)
    }

    /// Whether a file with this content is shared.
    pub fn has(&self, content: &Content) -> bool {
        self.read().with_content(content).next().is_some()
    }

    /// The file under this name, if it is shared.
    pub fn by_name(&self, name: &FileName) -> Option<Arc<Shared>> {
        self.read().by_name.get(name).map(Arc::clone)
    }

    /// Another shared name that a file system may take for this one: it differs in case or normalisation only.
    pub fn same_folded(&self, name: &FileName) -> Option<FileName> {
        let folded = name.folded();
        let tables = self.read();
        let mut alike = tables.by_folded_name.alike(fold_key(name));
        alike.find(|file| file.name != *name && file.name.folded() == folded).map(|file| file.name.clone())
    }

    /// How many files are shared, and their bytes together.
    pub fn totals(&self) -> (usize, u64) {
        let tables = self.read();
        (tables.by_name.len(), tables.bytes)
    }

    /// The first `limit` files in order of their names, or the first after `after`.
    pub fn page(&self, after: Option<&FileName>, limit: usize) -> Vec<Arc<Shared>> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let tables = self.read();
        tables
            .by_name
            .range::<FileName, _>((from, Bound::Unbounded))
            .take(limit)
            .map(|(_, file)| file.clone())
            .collect()
    }

    /// Opens a file for serving, once it is seen to be the one that was hashed.
    pub fn open(&self, shared: &Shared) -> Result<File, ShareError> {
        let (file, stamp) = self.folder.open_stamped(&shared.name)?;
        if stamp.same_bytes(&shared.stamp) { Ok(file) } else { Err(ShareError::Changed(shared.name.clone())) }
    }

    /// Opens a file with this content, under whichever of its names still leads to it.
    pub fn open_content(&self, content: &Content) -> Result<(Arc<Shared>, File), ShareError> {
        let names: Vec<_> = self.read().with_content(content).take(NAMES_TRIED).map(Arc::clone).collect();
        let mut why = ShareError::Unknown(*content);
        for shared in names {
            match self.open(&shared) {
                Ok(file) => return Ok((shared, file)),
                Err(error) => why = error,
            }
        }
        Err(why)
    }

    /// Puts a file in, in place of the one that had its name; that one.
    pub(super) fn insert(&self, file: Arc<Shared>) -> Option<Arc<Shared>> {
        self.write().insert(file)
    }

    /// Puts a file in, as the keeper does.
    #[cfg(test)]
    pub(crate) fn insert_for_test(
        &self,
        name: FileName,
        content: Content,
        list: Option<Arc<PieceList>>,
        stamp: Stamp,
    ) {
        self.insert(Arc::new(Shared { name, content, list, stamp }));
    }

    /// Takes a file out, as the keeper does.
    #[cfg(test)]
    pub(crate) fn remove_for_test(&self, name: &FileName) {
        self.remove(name);
    }

    /// Takes a file out.
    pub(super) fn remove(&self, name: &FileName) -> Option<Arc<Shared>> {
        self.write().remove(name)
    }

    /// The names between `after` and `before`, neither of which need be a name; all of them for "" and `None`.
    pub(super) fn names_between(&self, after: &str, before: Option<&str>) -> Vec<FileName> {
        if before.is_some_and(|before| after >= before) {
            return Vec::new();
        }
        let range = (Bound::Excluded(after), before.map_or(Bound::Unbounded, Bound::Excluded));
        self.read().by_name.range::<str, _>(range).map(|(name, _)| name.clone()).collect()
    }

    /// The names between `after` and `name`, and what is shared under `name`: one step of a merge.
    pub(super) fn up_to(&self, after: &str, name: &FileName) -> (Vec<FileName>, Option<Arc<Shared>>) {
        let tables = self.read();
        let range = (Bound::Excluded(after), Bound::Included(name.as_str()));
        if after >= name.as_str() {
            return (Vec::new(), tables.by_name.get(name).cloned());
        }
        let (mut between, mut itself) = (Vec::new(), None);
        for (at, shared) in tables.by_name.range::<str, _>(range) {
            if at == name {
                itself = Some(shared.clone());
            } else {
                between.push(at.clone());
            }
        }
        (between, itself)
    }

    /// The names under which a file of the folder is shared: more than one where there are hard links.
    pub(super) fn names_of(&self, file: &Stamp) -> Vec<FileName> {
        let tables = self.read();
        let alike = tables.by_inode.alike(inode_key(file));
        let same = alike.filter(|other| (other.stamp.device, other.stamp.inode) == (file.device, file.inode));
        same.map(|other| other.name.clone()).collect()
    }

    /// The names of everything below `path`, and `path` itself where that is a file.
    pub(super) fn names_at_or_below(&self, path: &str) -> Vec<FileName> {
        at_or_below(&self.read().by_name, path)
    }

    // A thread that panicked while it held the lock did so between whole changes at worst: the table goes on.
    fn read(&self) -> RwLockReadGuard<'_, Tables> {
        self.tables.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Tables> {
        self.tables.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The keys of a map of names that are `path` or lie below it.
pub(super) fn at_or_below<K: Borrow<str> + Ord + Clone, V>(map: &BTreeMap<K, V>, path: &str) -> Vec<K> {
    let itself = map.get_key_value(path).map(|(key, _)| key.clone());
    let (from, to) = bounds_below(path);
    let below = map.range::<str, _>((Bound::Excluded(from.as_str()), Bound::Excluded(to.as_str())));
    itself.into_iter().chain(below.map(|(key, _)| key.clone())).collect()
}

/// Between what all names below the folder `path` stand: `0` is what follows `/`.
pub(super) fn bounds_below(path: &str) -> (String, String) {
    (format!("{path}/"), format!("{path}0"))
}

impl Tables {
    fn with_content<'a>(&'a self, content: &'a Content) -> impl Iterator<Item = &'a Arc<Shared>> {
        self.by_content.alike(content_key(content)).filter(move |file| file.content == *content)
    }

    fn insert(&mut self, file: Arc<Shared>) -> Option<Arc<Shared>> {
        let before = self.remove(&file.name);
        self.bytes += file.content.size;
        self.by_content.insert(Keyed { key: content_key(&file.content), file: file.clone() });
        self.by_folded_name.insert(Keyed { key: fold_key(&file.name), file: file.clone() });
        self.by_inode.insert(Keyed { key: inode_key(&file.stamp), file: file.clone() });
        self.by_name.insert(file.name.clone(), file);
        before
    }

    fn remove(&mut self, name: &FileName) -> Option<Arc<Shared>> {
        let file = self.by_name.remove(name)?;
        self.bytes -= file.content.size;
        self.by_content.remove(&(content_key(&file.content), name.as_str()) as &dyn Position);
        self.by_folded_name.remove(&(fold_key(name), name.as_str()) as &dyn Position);
        self.by_inode.remove(&(inode_key(&file.stamp), name.as_str()) as &dyn Position);
        Some(file)
    }
}

/// Files in order of a key, then of their names: 16 bytes an entry, where a map from the key itself takes 60.
/// Different things may have one key; whoever looks up compares the things themselves.
#[derive(Debug)]
struct Keyed {
    key: u64,
    file: Arc<Shared>,
}

/// Where an entry stands, so that a set can be asked for a position without making an entry.
trait Position {
    fn position(&self) -> (u64, &str);
}

impl Position for Keyed {
    fn position(&self) -> (u64, &str) {
        (self.key, self.file.name.as_str())
    }
}

impl Position for (u64, &str) {
    fn position(&self) -> (u64, &str) {
        *self
    }
}

impl PartialEq for dyn Position + '_ {
    fn eq(&self, other: &Self) -> bool {
        self.position() == other.position()
    }
}

impl Eq for dyn Position + '_ {}

impl PartialOrd for dyn Position + '_ {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for dyn Position + '_ {
    fn cmp(&self, other: &Self) -> Ordering {
        self.position().cmp(&other.position())
    }
}

impl PartialEq for Keyed {
    fn eq(&self, other: &Self) -> bool {
        self.position() == other.position()
    }
}

impl Eq for Keyed {}

impl PartialOrd for Keyed {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Keyed {
    fn cmp(&self, other: &Self) -> Ordering {
        self.position().cmp(&other.position())
    }
}

impl<'a> Borrow<dyn Position + 'a> for Keyed {
    fn borrow(&self) -> &(dyn Position + 'a) {
        self
    }
}

/// The entries of one key.
trait Alike {
    fn alike(&self, key: u64) -> impl Iterator<Item = &Arc<Shared>>;
}

impl Alike for BTreeSet<Keyed> {
    fn alike(&self, key: u64) -> impl Iterator<Item = &Arc<Shared>> {
        // No name is empty, so this stands before all entries of the key.
        let first = (key, "");
        let from = Bound::Included(&first as &dyn Position);
        self.range::<dyn Position, _>((from, Bound::Unbounded))
            .take_while(move |entry| entry.key == key)
            .map(|entry| &entry.file)
    }
}

/// The first bytes of a content id: evenly spread already.
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

#[cfg(test)]
mod tests {
    use std::{fs, sync::Arc};

    use brigade_core::{
        id::{Content, ContentId},
        name::FileName,
    };

    use super::{Folder, Share, ShareError, Shared};

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
            share.insert(Arc::new(Shared { name: name(file), content, list: None, stamp }));
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
    fn names_that_a_file_system_takes_for_one_are_found() {
        let (_temp, share) = shared(&[("Folder/É", "1"), ("other", "2")]);
        assert_eq!(share.same_folded(&name("folder/é")), Some(name("Folder/É")));
        assert_eq!(share.same_folded(&name("OTHER")), Some(name("other")));
        assert_eq!(share.same_folded(&name("other")), None);
    }

    #[test]
    fn pages_and_ranges_follow_the_names() {
        let (_temp, share) = shared(&[("a", "1"), ("a.b", "2"), ("d/x", "3"), ("d/y", "4"), ("dz", "5")]);
        let names =
            |files: Vec<Arc<Shared>>| files.iter().map(|file| file.name.to_string()).collect::<Vec<_>>();
        assert_eq!(names(share.page(None, 2)), ["a", "a.b"]);
        assert_eq!(names(share.page(Some(&name("a.b")), 9)), ["d/x", "d/y", "dz"]);
        assert_eq!(share.names_at_or_below("d"), [name("d/x"), name("d/y")]);
        assert_eq!(share.names_at_or_below("a"), [name("a")]);
        assert_eq!(share.names_between("a", Some("d/y")), [name("a.b"), name("d/x")]);
        assert_eq!(share.names_between("dz", None), []);
        assert_eq!(share.names_between("a", Some("a")), []);
    }
}
