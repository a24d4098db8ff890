//! The list of the directories for received files on other file systems: `.brigade/places` in the shared folder.
//!
//! Each line has the name of a directory and the folder that it is in. The list is read once; it is short.
//! `staging_directories` decides which directories there are.

use std::{
    io::{self, Read, Write},
    sync::{Mutex, MutexGuard, PoisonError},
};

use brigade_core::name::FileName;

use crate::store::system::Dir;

/// The file with the list, in the private folder.
pub(in crate::store) const STAGING_LIST: &str = "places";

/// The next list, until it is complete.
const NEW_STAGING_LIST: &str = "places.new";

/// The beginning of the name of each directory; a random number follows.
pub(in crate::store) const STAGING_PREFIX: &str = "parts-";

/// Other file systems below a folder that are listed: far more than users mount, and the list stays short.
pub(in crate::store) const MAX_STAGING_DIRS: usize = 256;

/// Bytes of the list that are read: enough for as many entries with the longest names.
const LIST_BYTES: u64 = 512 << 10;

/// The entries of the list, once they are read.
#[derive(Debug, Default)]
pub(in crate::store) struct StagingList(Mutex<Option<Vec<StagingEntry>>>);

/// A directory for received files on another file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::store) struct StagingEntry {
    /// The folder, below the shared one, whose private folder has the directory.
    pub(in crate::store) below: FileName,
    /// The name of the directory.
    pub(in crate::store) name: String,
}

impl StagingList {
    /// The entries, or `None` if they were not read yet. The lock is held also while the list is read and written,
    /// which happens once for each file system.
    pub(in crate::store) fn lock(&self) -> MutexGuard<'_, Option<Vec<StagingEntry>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes the known entries again, after the file was removed.
    pub(super) fn restore(&self, private: &Dir) -> io::Result<()> {
        match self.lock().as_ref().filter(|entries| !entries.is_empty()) {
            Some(entries) => write_staging_list(private, entries),
            None => Ok(()),
        }
    }
}

/// Reads the list; no entries if there is no file.
pub(in crate::store) fn read_staging_list(private: &Dir) -> io::Result<Vec<StagingEntry>> {
    let file = match private.open_file(STAGING_LIST) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(vec![]),
        Err(error) => return Err(error),
    };
    let mut bytes = vec![];
    file.take(LIST_BYTES).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    Ok(text.lines().filter_map(StagingEntry::parse).take(MAX_STAGING_DIRS).collect())
}

/// Replaces the list: after a crash there is the old one or the new one.
pub(in crate::store) fn write_staging_list(private: &Dir, entries: &[StagingEntry]) -> io::Result<()> {
    let mut file = private.open_or_create(NEW_STAGING_LIST)?;
    let text: String = entries.iter().map(|entry| format!("{} {}\n", entry.name, entry.below)).collect();
    file.set_len(0)?;
    file.write_all(text.as_bytes())?;
    file.sync_data()?;
    drop(file);
    private.rename_over(NEW_STAGING_LIST, STAGING_LIST)?;
    private.sync()
}

impl StagingEntry {
    fn parse(line: &str) -> Option<Self> {
        let (name, below) = line.split_once(' ')?;
        let number = name.strip_prefix(STAGING_PREFIX)?;
        let is_valid = number.len() == 16 && number.bytes().all(|digit| digit.is_ascii_hexdigit());
        let below = below.parse().ok()?;
        is_valid.then(|| Self { below, name: name.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::StagingEntry;

    #[test]
    fn only_valid_lines_become_entries() {
        assert!(StagingEntry::parse("parts-0123456789abcdef d/e").is_some());
        for line in ["", "parts-0123456789abcdef", "parts-0123456789abcdef ../x", "parts-0123 d", "key d"] {
            assert_eq!(StagingEntry::parse(line), None, "{line:?}");
        }
    }
}
