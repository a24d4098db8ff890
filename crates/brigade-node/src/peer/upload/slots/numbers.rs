//! The core's numbers for the keys of those who are served.
//!
//! A number lasts as long as its newcomer is here or is remembered by the core, which says when it is not.

use std::collections::BTreeMap;

use brigade_core::{id::PeerKey, upload::NewcomerId};

/// Numbers by key, and keys by number.
#[derive(Debug, Default)]
pub(crate) struct Numbers {
    by_key: BTreeMap<PeerKey, NewcomerId>,
    keys: BTreeMap<NewcomerId, PeerKey>,
    last: u32,
}

impl Numbers {
    /// The number of a key that has one.
    pub(crate) fn known(&self, key: PeerKey) -> Option<NewcomerId> {
        self.by_key.get(&key).copied()
    }

    /// The number of a key; a new one where it has none.
    pub(crate) fn number(&mut self, key: PeerKey) -> NewcomerId {
        if let Some(number) = self.known(key) {
            return number;
        }
        // After four thousand million of them the numbers begin anew: those that are in use are passed over.
        let next = loop {
            self.last = self.last.wrapping_add(1);
            if !self.keys.contains_key(&NewcomerId(self.last)) {
                break NewcomerId(self.last);
            }
        };
        self.by_key.insert(key, next);
        self.keys.insert(next, key);
        next
    }

    /// A number means nothing any more.
    pub(crate) fn forget(&mut self, number: NewcomerId) {
        if let Some(key) = self.keys.remove(&number) {
            self.by_key.remove(&key);
        }
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        assert_eq!(self.by_key.len(), self.keys.len());
        self.keys.len()
    }
}
