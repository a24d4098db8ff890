//! Changes that wait to be announced, in order and collected into batches.
//!
//! The order of two changes matters if they are about the same name, or if one of them is that the scan is
//! complete. So renames of thousands of files become batches too.
//!
//! The keeper never waits for space in a channel: the task that reads the changes may itself wait for the keeper to
//! share landed files. While this queue is full, the keeper takes no other work.

use std::{
    collections::{HashSet, VecDeque},
    sync::Arc,
};

use brigade_core::{limits, name::FileName};

use super::keeper_messages::Change;
use crate::store::share::SharedFile;

/// Changes that may wait before the keeper takes no more work.
const FULL: usize = 32;

#[derive(Debug, Default)]
pub(super) struct AnnouncementQueue {
    waiting: VecDeque<Change>,
    /// The next changes: first the removed names, then the shared files.
    removed: Vec<FileName>,
    shared: Vec<Arc<SharedFile>>,
    /// The names of the shared files.
    names: HashSet<FileName>,
}

impl AnnouncementQueue {
    pub(super) fn shared(&mut self, file: Arc<SharedFile>) {
        if self.shared.len() >= limits::ANNOUNCE_ENTRIES {
            self.close();
        }
        self.names.insert(file.name.clone());
        self.shared.push(file);
    }

    pub(super) fn removed(&mut self, name: FileName) {
        if self.removed.len() >= limits::ANNOUNCE_ENTRIES || self.names.contains(&name) {
            self.close();
        }
        self.removed.push(name);
    }

    pub(super) fn push(&mut self, change: Change) {
        self.close();
        self.waiting.push_back(change);
    }

    pub(super) fn pop(&mut self) -> Option<Change> {
        if self.waiting.is_empty() {
            self.close();
        }
        self.waiting.pop_front()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.removed.is_empty() && self.shared.is_empty()
    }

    pub(super) fn is_full(&self) -> bool {
        self.waiting.len() >= FULL
    }

    /// Moves the collected changes into the queue.
    fn close(&mut self) {
        if !self.removed.is_empty() {
            self.waiting.push_back(Change::Gone(std::mem::take(&mut self.removed)));
        }
        if !self.shared.is_empty() {
            self.waiting.push_back(Change::Shared(std::mem::take(&mut self.shared)));
            self.names.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use brigade_core::{
        id::{Content, ContentId},
        limits,
    };

    use super::{AnnouncementQueue, Change, SharedFile};
    use crate::store::file_stamp::Stamp;

    fn file(name: &str) -> Arc<SharedFile> {
        let stamp = Stamp { device: 1, inode: 1, size: 0, mtime_ns: 0, ctime_ns: 0, executable: false };
        let content = Content { id: ContentId::EMPTY, size: 0 };
        Arc::new(SharedFile { name: name.parse().unwrap(), content, list: None, stamp })
    }

    /// The changes in the queue: `+` and `-` with the names.
    fn popped(change_queue: &mut AnnouncementQueue) -> Vec<String> {
        let text = |change| match change {
            Change::Shared(files) => {
                files.iter().map(|file| format!("+{}", file.name)).collect::<Vec<_>>().join(" ")
            }
            Change::Gone(names) => names.iter().map(|name| format!("-{name}")).collect::<Vec<_>>().join(" "),
            _ => "other".to_owned(),
        };
        std::iter::from_fn(|| change_queue.pop()).map(text).collect()
    }

    #[test]
    fn renames_are_collected_and_changes_of_one_name_stay_in_order() {
        let mut change_queue = AnnouncementQueue::default();
        for (removed, shared) in [("a", "x"), ("b", "y"), ("y", "z"), ("c", "y")] {
            change_queue.removed(removed.parse().unwrap());
            change_queue.shared(file(shared));
        }
        change_queue.push(Change::Scanned);
        change_queue.shared(file("a"));
        assert_eq!(popped(&mut change_queue), ["-a -b", "+x +y", "-y -c", "+z +y", "other", "+a"]);
        assert!(change_queue.is_empty());
    }

    #[test]
    fn changes_added_while_emptying_are_not_lost() {
        let mut change_queue = AnnouncementQueue::default();
        change_queue.removed("a".parse().unwrap());
        change_queue.shared(file("b"));
        assert!(matches!(change_queue.pop(), Some(Change::Gone(_))));
        change_queue.removed("c".parse().unwrap());
        change_queue.removed("b".parse().unwrap());
        assert_eq!(popped(&mut change_queue), ["+b", "-c -b"]);
        for number in 0..=limits::ANNOUNCE_ENTRIES {
            change_queue.shared(file(&number.to_string()));
        }
        assert_eq!(popped(&mut change_queue).len(), 2);
    }
}
