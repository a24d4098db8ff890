//! The space that a fetch needs on the disk, and the state of a full disk.
//!
//! These are values only. [`super::disk_space`] measures the needs before a fetch begins, and [`super::job`] counts
//! them down. [`OPEN_PARTS`] limits how many contents have part files at a time.

use std::collections::BTreeMap;

use brigade_core::{limits, name::FileName};

use crate::{fetch_request::wanted_files::WantedFile, store::folder::FileSystemId};

/// Contents of several pieces that are fetched at the same time: each has three open files.
pub(crate) const OPEN_PARTS: usize = 64;

/// The space that a fetch needs on the disk: measured before it begins, and counted down since.
#[derive(Debug, Clone, Default)]
pub(crate) struct SpaceNeeds {
    /// The file system of the folder itself.
    own: FileSystemId,
    /// Bytes that are still to be written.
    bytes: BTreeMap<FileSystemId, u64>,
    /// Files that are to be made.
    files: BTreeMap<FileSystemId, u64>,
    /// Names that are not on the file system of the folder itself.
    elsewhere: BTreeMap<FileName, FileSystemId>,
    /// A folder on each file system.
    folders: BTreeMap<FileSystemId, String>,
}

impl SpaceNeeds {
    /// A fetch that takes nothing yet, into a folder on this file system.
    pub(crate) fn new(own: FileSystemId) -> Self {
        Self { own, ..Self::default() }
    }

    /// The file system that a name is on.
    pub(crate) fn file_system_of(&self, name: &FileName) -> FileSystemId {
        self.elsewhere.get(name).copied().unwrap_or(self.own)
    }

    /// A folder on a file system, below the shared one.
    pub(crate) fn folder_on(&self, file_system: FileSystemId) -> String {
        self.folders.get(&file_system).cloned().unwrap_or_default()
    }

    /// Bytes that are still to be written to a file system.
    pub(crate) fn bytes_on(&self, file_system: FileSystemId) -> u64 {
        self.bytes.get(&file_system).copied().unwrap_or(0)
    }

    /// So many bytes are written, or are not needed.
    pub(crate) fn less(&mut self, name: &FileName, bytes: u64) {
        let left = self.bytes.entry(self.file_system_of(name)).or_default();
        *left = left.saturating_sub(bytes);
    }

    /// So many bytes are not written after all.
    pub(crate) fn more(&mut self, name: &FileName, bytes: u64) {
        let left = self.bytes.entry(self.file_system_of(name)).or_default();
        *left = left.saturating_add(bytes);
    }

    /// The bytes that all fetches with these needs have still to write, by file system.
    pub(crate) fn promised<'a>(all: impl Iterator<Item = &'a Self>) -> BTreeMap<FileSystemId, u64> {
        let mut promised = BTreeMap::new();
        for (file_system, bytes) in all.flat_map(|needs| &needs.bytes) {
            let sum: &mut u64 = promised.entry(*file_system).or_default();
            *sum = sum.saturating_add(*bytes);
        }
        // Bytes that are being written at this moment are not free any more, and do not count as written yet.
        promised.values_mut().for_each(|sum| *sum = sum.saturating_sub(limits::IN_FLIGHT_BYTES));
        promised
    }

    /// Files that are to be made on a file system.
    pub(crate) fn files_on(&self, file_system: FileSystemId) -> u64 {
        self.files.get(&file_system).copied().unwrap_or(0)
    }

    /// So many more files and folders are to be made on a file system.
    pub(crate) fn add_files(&mut self, file_system: FileSystemId, files: u64) {
        *self.files.entry(file_system).or_default() += files;
    }

    /// This is a folder on the file system, below the shared one.
    pub(crate) fn set_folder(&mut self, file_system: FileSystemId, folder: &str) {
        self.folders.insert(file_system, folder.to_owned());
    }

    /// A file takes so many bytes on a file system.
    pub(crate) fn add(&mut self, file: &WantedFile, file_system: FileSystemId, bytes: u64) {
        if file_system != self.own {
            self.elsewhere.insert(file.name.clone(), file_system);
        }
        let sum = self.bytes.entry(file_system).or_default();
        *sum = sum.saturating_add(bytes);
    }
}

/// The known state of a full file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FullDisk {
    pub(crate) on: FileSystemId,
    pub(crate) free_bytes: u64,
    /// Whether there are bytes but no inodes.
    pub(crate) inodes: bool,
}
