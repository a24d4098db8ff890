//! Files that lost their names a moment ago: they may appear under other names, and need not be hashed then.
//!
//! A limited number of them is remembered for a short time. A file that was written since it was hashed is not
//! remembered, even if its stamp is as before: a program may have set the old time again.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use brigade_core::time::Timestamp;

use crate::store::{file_stamp::Stamp, share::SharedFile};

/// The number of files that are remembered, and the time.
const DEPARTED: usize = 1 << 16;
const DEPARTED_FOR: Duration = Duration::from_secs(10);

/// A file, whatever its name: its device and its inode there.
type FileId = (u64, u64);

/// The files that lost their names a moment ago.
#[derive(Debug)]
pub(super) struct RenameCandidates {
    files: HashMap<FileId, Arc<SharedFile>>,
    /// The time until which they are remembered.
    until: Timestamp,
    /// Shared files that were written since they were hashed, according to the events.
    written: HashSet<FileId>,
}

impl RenameCandidates {
    pub(super) fn new(now: Timestamp) -> Self {
        Self { files: HashMap::new(), until: now, written: HashSet::new() }
    }

    /// Remembers a file, unless it was written since it was hashed. All files are remembered as long as the last one.
    pub(super) fn remember(&mut self, shared: Arc<SharedFile>, now: Timestamp) {
        let file = shared.stamp.file_id();
        if self.files.len() < DEPARTED && !self.written.contains(&file) {
            self.files.insert(file, shared);
        }
        self.until = now.after(DEPARTED_FOR);
    }

    /// The file that had this device, inode, size and time of the last change.
    pub(super) fn find(&self, stamp: &Stamp) -> Option<&Arc<SharedFile>> {
        let found = self.files.get(&stamp.file_id())?;
        found.stamp.same_bytes(stamp).then_some(found)
    }

    /// A shared file was written: its content is not certain until it is hashed again.
    pub(super) fn written(&mut self, stamp: &Stamp) {
        self.files.remove(&stamp.file_id());
        self.written.insert(stamp.file_id());
    }

    /// A file was hashed, or is not shared under any name.
    pub(super) fn forget_written(&mut self, stamp: &Stamp) {
        self.written.remove(&stamp.file_id());
    }

    /// Forgets the files when their time has passed.
    pub(super) fn expire(&mut self, now: Timestamp) {
        if !self.files.is_empty() && self.until <= now {
            self.files = HashMap::new();
        }
    }

    /// Forgets all files.
    pub(super) fn clear(&mut self) {
        self.files.clear();
        self.written.clear();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use brigade_core::id::{Content, ContentId};

    use super::{DEPARTED_FOR, RenameCandidates, SharedFile, Stamp, Timestamp};

    #[test]
    fn a_file_is_found_by_its_stamp_for_a_while() {
        let stamp = Stamp { device: 1, inode: 2, size: 3, mtime_ns: 4, ctime_ns: 5, executable: false };
        let content = Content { id: ContentId::EMPTY, size: 3 };
        let file = Arc::new(SharedFile { name: "a".parse().unwrap(), content, list: None, stamp });
        let now = Timestamp::from_micros(1);
        let mut departed = RenameCandidates::new(now);
        departed.remember(file.clone(), now);
        assert!(departed.find(&Stamp { ctime_ns: 6, ..stamp }).is_some(), "a rename changes the ctime");
        assert!(departed.find(&Stamp { size: 4, ..stamp }).is_none());
        assert!(departed.find(&Stamp { inode: 3, ..stamp }).is_none());
        departed.expire(now);
        assert!(departed.find(&stamp).is_some());
        departed.written(&stamp);
        assert!(departed.find(&stamp).is_none(), "it was written, and its time set again");
        departed.remember(file.clone(), now);
        assert!(departed.find(&stamp).is_none());
        departed.forget_written(&stamp);
        departed.remember(file, now);
        assert!(departed.find(&stamp).is_some());
        departed.expire(now.after(DEPARTED_FOR));
        assert!(departed.find(&stamp).is_none());
    }
}
