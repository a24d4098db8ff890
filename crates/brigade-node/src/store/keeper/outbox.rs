//! Changes on their way to whoever announces them, in order and gathered into batches.
//!
//! The order of two changes matters where they are about one name, or where one says that the scan is over: files that
//! change their names by the thousand are gathered like others.
//!
//! The keeper never waits to say something: it would not hear meanwhile of files that landed, from the very task that
//! it waits for. While the outbox is full it takes up no other work instead.

use std::{
    collections::{HashSet, VecDeque},
    sync::Arc,
};

use brigade_core::{limits, name::FileName};

use super::Change;
use crate::store::share::Shared;

/// Changes that may wait before the keeper takes up no more work.
const FULL: usize = 32;

#[derive(Debug, Default)]
pub(super) struct Outbox {
    waiting: VecDeque<Change>,
    /// What comes after that: first these are gone, then these are shared.
    gone: Vec<FileName>,
    shared: Vec<Arc<Shared>>,
    /// The names of the latter.
    names: HashSet<FileName>,
}

impl Outbox {
    pub(super) fn shared(&mut self, file: Arc<Shared>) {
        if self.shared.len() >= limits::ANNOUNCE_ENTRIES {
            self.close();
        }
        self.names.insert(file.name.clone());
        self.shared.push(file);
    }

    pub(super) fn gone(&mut self, name: FileName) {
        if self.gone.len() >= limits::ANNOUNCE_ENTRIES || self.names.contains(&name) {
            self.close();
        }
        self.gone.push(name);
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
        self.waiting.is_empty() && self.gone.is_empty() && self.shared.is_empty()
    }

    pub(super) fn is_full(&self) -> bool {
        self.waiting.len() >= FULL
    }

    /// What is gathered waits like the rest.
    fn close(&mut self) {
        if !self.gone.is_empty() {
            self.waiting.push_back(Change::Gone(std::mem::take(&mut self.gone)));
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

    use super::{Change, Outbox, Shared};
    use crate::store::folder::Stamp;

    fn file(name: &str) -> Arc<Shared> {
        let stamp = Stamp { device: 1, inode: 1, size: 0, mtime_ns: 0, ctime_ns: 0, executable: false };
        let content = Content { id: ContentId::EMPTY, size: 0 };
        Arc::new(Shared { name: name.parse().unwrap(), content, list: None, stamp })
    }

    /// What comes out: `+` and `-` with the names.
    fn popped(outbox: &mut Outbox) -> Vec<String> {
        let text = |change| match change {
            Change::Shared(files) => {
                files.iter().map(|file| format!("+{}", file.name)).collect::<Vec<_>>().join(" ")
            }
            Change::Gone(names) => names.iter().map(|name| format!("-{name}")).collect::<Vec<_>>().join(" "),
            _ => "other".to_owned(),
        };
        std::iter::from_fn(|| outbox.pop()).map(text).collect()
    }

    #[test]
    fn renames_are_gathered_and_what_is_about_one_name_stays_in_order() {
        let mut outbox = Outbox::default();
        for (gone, shared) in [("a", "x"), ("b", "y"), ("y", "z"), ("c", "y")] {
            outbox.gone(gone.parse().unwrap());
            outbox.shared(file(shared));
        }
        outbox.push(Change::Scanned);
        outbox.shared(file("a"));
        assert_eq!(popped(&mut outbox), ["-a -b", "+x +y", "-y -c", "+z +y", "other", "+a"]);
        assert!(outbox.is_empty());
    }

    #[test]
    fn what_is_added_while_it_is_emptied_is_not_lost() {
        let mut outbox = Outbox::default();
        outbox.gone("a".parse().unwrap());
        outbox.shared(file("b"));
        assert!(matches!(outbox.pop(), Some(Change::Gone(_))));
        outbox.gone("c".parse().unwrap());
        outbox.gone("b".parse().unwrap());
        assert_eq!(popped(&mut outbox), ["+b", "-c -b"]);
        for number in 0..=limits::ANNOUNCE_ENTRIES {
            outbox.shared(file(&number.to_string()));
        }
        assert_eq!(popped(&mut outbox).len(), 2);
    }
}
