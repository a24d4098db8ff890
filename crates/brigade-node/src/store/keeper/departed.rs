//! Files that lost their names: a rename gives such a file another name, under which it is announced without being
//! hashed again.
//!
//! A file that was written since it was hashed is not remembered, even if its stamp is as before: a program may have set
//! the old time again.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use brigade_core::time::Timestamp;

use crate::store::{share::SharedFile, stamp::Stamp};

/// The number of files that are remembered, and the time.
const DEPARTED: usize = 1 << 16;
const DEPARTED_FOR: Duration = Duration::from_secs(10);

/// A file, whatever its name: its device and its inode there.
type FileId = (u64, u64);

/// The files that lost their names a moment ago.
#[derive(Debug, Default)]
pub(super) struct DepartedFiles {
    files: HashMap<FileId, Arc<SharedFile>>,
    /// The time until which they are remembered.
    until: Timestamp,
    /// Shared files that were written since they were hashed, according to the events.
    written: HashSet<FileId>,
}

impl DepartedFiles {
    /// A shared file lost its name. It is remembered unless it was written since it was hashed.
    pub(super) fn add(&mut self, shared: Arc<SharedFile>, now: Timestamp) {
        let file = shared.stamp.file_id();
        if self.files.len() < DEPARTED && !self.written.contains(&file) {
            self.files.insert(file, shared);
        }
        self.until = now.after(DEPARTED_FOR);
    }

    /// The file with these bytes, if it is remembered.
    pub(super) fn find(&self, stamp: &Stamp) -> Option<&Arc<SharedFile>> {
        self.files.get(&stamp.file_id()).filter(|before| before.stamp.same_bytes(stamp))
    }

    /// A shared file was written: what is known of its bytes may be wrong until it is hashed again.
    pub(super) fn written(&mut self, stamp: &Stamp) {
        self.files.remove(&stamp.file_id());
        self.written.insert(stamp.file_id());
    }

    /// A file was hashed, or is not shared under any name.
    pub(super) fn forget_written(&mut self, stamp: &Stamp) {
        self.written.remove(&stamp.file_id());
    }

    /// Forgets all of them.
    pub(super) fn clear(&mut self) {
        self.files = HashMap::new();
        self.written = HashSet::new();
    }

    /// Forgets the files when their time is over.
    pub(super) fn expire(&mut self, now: Timestamp) {
        if !self.files.is_empty() && self.until <= now {
            self.files = HashMap::new();
        }
    }
}
