//! The expected content of a folder, read from the disk.
//!
//! A run reads the folder after each change, so a file is read again only if it may have changed. A file that was
//! changed just before it was read may be changed again within the same tick of the clock of the file system.

use std::{
    cell::RefCell,
    collections::{BTreeMap, HashMap},
    fs::{self, Metadata},
    os::unix::fs::MetadataExt,
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use crate::test_network::hash;

/// The least age of the last change of a file for its stamp to show the next change: a hundred times the resolution of
/// the clock of a file system.
const DISTINGUISHED_AFTER_MS: u64 = 400;

/// A file, as the catalogue has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) id: String,
    pub(super) size: u64,
    pub(super) mtime_s: i64,
    pub(super) executable: bool,
}

/// The contents of files that were read, by inode and stamp.
pub(super) struct FolderContent {
    read: RefCell<HashMap<u64, (Stamp, String)>>,
    /// Whether each write changes the stamp. Otherwise each write is reported to [`Self::written`].
    has_fine_times: bool,
}

/// Size, permissions, and the last change of the file or its metadata.
type Stamp = (u64, u32, i64, i64);

impl FolderContent {
    pub(super) fn new(has_fine_times: bool) -> Self {
        Self { read: RefCell::default(), has_fine_times }
    }

    /// The test has written to this file.
    pub(super) fn written(&self, file: &Metadata) {
        self.read.borrow_mut().remove(&file.ino());
    }

    /// The readable regular files whose names can be shared.
    pub(super) fn of(&self, root: &Path) -> BTreeMap<String, Known> {
        let mut files = BTreeMap::new();
        let mut folders = vec![(root.to_owned(), String::new())];
        while let Some((folder, prefix)) = folders.pop() {
            let Ok(entries) = fs::read_dir(&folder) else { continue };
            for entry in entries.map(Result::unwrap) {
                let last = entry.file_name().into_string().unwrap();
                let Ok(metadata) = fs::symlink_metadata(entry.path()) else { continue };
                if last.starts_with('.')
                    || last.contains(':')
                    || (last.ends_with(".~2~") && metadata.is_file())
                {
                    continue;
                }
                let name = format!("{prefix}{last}");
                if metadata.is_dir() {
                    folders.push((entry.path(), format!("{name}/")));
                } else if metadata.is_file()
                    && let Some(id) = self.content(&entry.path(), &metadata)
                {
                    let (size, mtime_s) = (metadata.len(), metadata.mtime());
                    files.insert(name, Known { id, size, mtime_s, executable: metadata.mode() & 0o100 != 0 });
                }
            }
        }
        files
    }

    /// The id of the content of a file; `None` if it cannot be read.
    fn content(&self, path: &Path, metadata: &Metadata) -> Option<String> {
        let stamp = (metadata.len(), metadata.mode(), metadata.ctime(), metadata.ctime_nsec());
        let mut read = self.read.borrow_mut();
        if let Some((_, id)) = read.get(&metadata.ino()).filter(|(known, _)| *known == stamp) {
            return Some(id.clone());
        }
        let changed = Duration::new(u64::try_from(stamp.2).unwrap(), u32::try_from(stamp.3).unwrap());
        let settled = changed + Duration::from_millis(DISTINGUISHED_AFTER_MS)
            < SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let id = hash(&fs::read(path).ok()?);
        if settled || !self.has_fine_times {
            read.insert(metadata.ino(), (stamp, id.clone()));
        }
        Some(id)
    }
}
