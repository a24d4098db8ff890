//! The announcement of the share to the manager: which part of it was sent, and which part the manager confirmed.
//!
//! A connection begins with an announcement of everything, page by page directly from the share, so that nothing is
//! kept twice in memory; later changes are announced when they happen. Announcing a file twice does no harm.

use brigade_core::{
    limits,
    name::FileName,
    wire::manager::{Announce, FileEntry, Withdraw},
};

use crate::store::share::{Share, SharedFile};

/// Bytes of a page that stay free, because entries are added before their size is checked.
const SPARE_BYTES: usize = 2048;

/// The progress of the announcement over one connection.
#[derive(Debug)]
pub(crate) struct AnnounceState {
    /// The name after which the share has still to be announced; `None` once all of it was.
    cursor: Option<Cursor>,
    /// The number of the last announcement or withdrawal.
    announced: u64,
    /// The number that the manager confirmed last.
    confirmed: u64,
    /// Whether the folder was scanned completely.
    scanned: bool,
}

#[derive(Debug)]
enum Cursor {
    Start,
    After(FileName),
}

impl AnnounceState {
    /// Nothing is announced yet.
    pub(crate) fn new(scanned: bool) -> Self {
        Self { cursor: Some(Cursor::Start), announced: 0, confirmed: 0, scanned }
    }

    /// The next page of the share; `None` once all of it was announced.
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

    /// Announcements of files that were added to the share.
    pub(crate) fn announce_files<'a>(
        &mut self,
        files: impl IntoIterator<Item = &'a SharedFile>,
    ) -> Vec<Announce> {
        let (mut announcements, mut page, mut bytes) = (vec![], vec![], 0);
        for file in files {
            let entry = entry(file);
            bytes += entry_bytes(&entry);
            page.push(entry);
            if page.len() == limits::ANNOUNCE_ENTRIES || bytes > limits::PAGE_BYTES - SPARE_BYTES {
                announcements.push(self.announce(std::mem::take(&mut page)));
                bytes = 0;
            }
        }
        if !page.is_empty() {
            announcements.push(self.announce(page));
        }
        announcements
    }

    /// Withdrawals of files that were removed from the share.
    pub(crate) fn withdraw_files(&mut self, names: Vec<FileName>) -> Vec<Withdraw> {
        pages_of_names(names).into_iter().map(|page| self.withdraw(page)).collect()
    }

    /// The manager confirmed everything up to `number`.
    pub(crate) fn confirm(&mut self, number: u64) {
        self.confirmed = self.confirmed.max(number);
    }

    /// The folder was scanned completely.
    pub(crate) fn set_scanned(&mut self) {
        self.scanned = true;
    }

    /// Whether all files that were in the folder at the start are in the catalogue.
    pub(crate) fn is_done(&self) -> bool {
        self.scanned && self.cursor.is_none() && self.confirmed >= self.announced
    }

    fn announce(&mut self, entries: Vec<FileEntry>) -> Announce {
        self.announced += 1;
        Announce { number: self.announced, entries: entries.into_iter().map(Ok).collect() }
    }

    fn withdraw(&mut self, names: Vec<FileName>) -> Withdraw {
        self.announced += 1;
        Withdraw { number: self.announced, names: names.into_iter().map(Ok).collect() }
    }
}

/// The announced form of a shared file.
fn entry(file: &SharedFile) -> FileEntry {
    FileEntry {
        name: file.name.clone(),
        id: file.content.id,
        size: file.content.size,
        mtime_s: file.stamp.mtime_s(),
        executable: file.stamp.executable,
    }
}

/// The largest size of an entry in a message: its name, 34 bytes of the id, 30 of numbers and keys.
fn entry_bytes(entry: &FileEntry) -> usize {
    entry.name.len() + 70
}

/// Splits names into withdrawals that fit into a frame.
fn pages_of_names(names: Vec<FileName>) -> Vec<Vec<FileName>> {
    let mut pages: Vec<Vec<FileName>> = vec![];
    let mut bytes = limits::PAGE_BYTES;
    for name in names {
        bytes += name.len() + 4;
        match pages.last_mut() {
            Some(page) if bytes <= limits::PAGE_BYTES && page.len() < limits::ANNOUNCE_ENTRIES => {
                page.push(name)
            }
            _ => {
                bytes = name.len() + 4;
                pages.push(vec![name]);
            }
        }
    }
    pages
}
