//! The files that a fresh look at a folder finds.
//!
//! A life looks after everything that it does, so a file is read again only if it may have changed. A file that was
//! changed just before it was read may have been changed again within the same tick of the file system's clock.

use std::{
    cell::RefCell,
    collections::{BTreeMap, HashMap},
    fs::{self, Metadata},
    os::unix::fs::MetadataExt,
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use crate::network::hash;

/// How long before it is read a file must have been changed last for its stamp to tell the next change: a hundred times
/// the resolution of a file system's clock.
const TOLD_APART_AFTER_MS: u64 = 400;

/// What is known of a file, as the catalogue has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) id: String,
    pub(super) size: u64,
    pub(super) mtime_s: i64,
    pub(super) executable: bool,
}

/// The contents of files that were read, by inode and stamp.
#[derive(Default)]
pub(super) struct Truth(RefCell<HashMap<u64, (Stamp, String)>>);

/// Size, permissions, and the last change of the file or of anything about it.
type Stamp = (u64, u32, i64, i64);

impl Truth {
    /// The regular files that can be read, and whose names can be shared.
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

    /// The id of what is in a file; `None` where it cannot be read.
    fn content(&self, path: &Path, metadata: &Metadata) -> Option<String> {
        let stamp = (metadata.len(), metadata.mode(), metadata.ctime(), metadata.ctime_nsec());
        let mut read = self.0.borrow_mut();
        if let Some((_, id)) = read.get(&metadata.ino()).filter(|(known, _)| *known == stamp) {
            return Some(id.clone());
        }
        let changed = Duration::new(u64::try_from(stamp.2).unwrap(), u32::try_from(stamp.3).unwrap());
        let settled = changed + Duration::from_millis(TOLD_APART_AFTER_MS)
            < SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let id = hash(&fs::read(path).ok()?);
        if settled {
            read.insert(metadata.ino(), (stamp, id.clone()));
        }
        Some(id)
    }
}
