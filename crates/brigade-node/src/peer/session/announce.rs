//! What the manager was told of the share, and how far it has noted it.
//!
//! A session begins by saying everything, page by page straight from the share, so that nothing is kept twice in
//! memory; what changes meanwhile is said as it comes. Saying a thing twice does no harm.

use brigade_core::{
    limits,
    name::FileName,
    wire::manager::{Announce, Entry, Withdraw},
};

use crate::store::share::{Share, Shared};

/// What was said, and noted.
#[derive(Debug)]
pub(crate) struct Announcing {
    /// The name after which the share has still to be said; `None` once all of it was.
    cursor: Option<Cursor>,
    said: u64,
    noted: u64,
    /// Whether the folder was looked through, and the announcement that has to be noted for `ready`.
    scanned: bool,
}

#[derive(Debug)]
enum Cursor {
    Start,
    After(FileName),
}

impl Announcing {
    /// Nothing was said yet.
    pub(crate) fn new() -> Self {
        Self { cursor: Some(Cursor::Start), said: 0, noted: 0, scanned: false }
    }

    /// The next page of the share that has to be said; `None` when all was.
    pub(crate) fn next_page(&mut self, share: &Share) -> Option<Announce> {
        let after = match self.cursor.as_ref()? {
            Cursor::Start => None,
            Cursor::After(name) => Some(name),
        };
        let mut bytes = 0;
        let mut entries = vec![];
        for file in share.page(after, limits::ANNOUNCE_ENTRIES) {
            let entry = entry(&file);
            bytes += entry_bytes(&entry);
            if bytes > limits::PAGE_BYTES {
                break;
            }
            entries.push(entry);
        }
        self.cursor = entries.last().map(|last| Cursor::After(last.name.clone()));
        if entries.is_empty() { None } else { Some(self.announce(entries)) }
    }

    /// An announcement of `entries`.
    pub(crate) fn announce(&mut self, entries: Vec<Entry>) -> Announce {
        self.said += 1;
        Announce { number: self.said, entries: entries.into_iter().map(Ok).collect() }
    }

    /// A withdrawal of `names`.
    pub(crate) fn withdraw(&mut self, names: Vec<FileName>) -> Withdraw {
        self.said += 1;
        Withdraw { number: self.said, names: names.into_iter().map(Ok).collect() }
    }

    /// The manager has noted everything up to `number`.
    pub(crate) fn noted(&mut self, number: u64) {
        self.noted = self.noted.max(number);
    }

    /// Whether the folder was looked through.
    pub(crate) fn scanned(&mut self, scanned: bool) {
        self.scanned = scanned;
    }

    /// Whether everything there was at the start is in the catalogue.
    pub(crate) fn is_done(&self) -> bool {
        self.scanned && self.cursor.is_none() && self.noted >= self.said
    }
}

/// How a shared file is announced.
pub(crate) fn entry(file: &Shared) -> Entry {
    Entry {
        name: file.name.clone(),
        id: file.content.id,
        size: file.content.size,
        mtime_s: file.stamp.mtime_s(),
        executable: file.stamp.executable,
    }
}

/// How many bytes an entry takes in a message at most: its name, 34 of the id, 30 of numbers and keys.
pub(crate) fn entry_bytes(entry: &Entry) -> usize {
    entry.name.len() + 70
}
