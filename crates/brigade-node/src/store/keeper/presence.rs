//! Whether the shared folder is in its place and can be written to, and what is done when it is not.
//!
//! A handle stays what it is when its folder is moved away, removed or unmounted, and what is in it could be served on:
//! but its owner took it away. Then nothing is shared, hashed or received, until that same folder is back. Another one
//! in its place is not taken for it: it has another key, and may hold what nobody wants to share.

use std::{collections::HashMap, time::Duration};

use brigade_core::time::Timestamp;

use super::{owner::Owner, problems::Trouble};
use crate::store::{folder::FolderError, ignore::Ignoring, index::Write};

/// How often that is looked at: moving a folder that this one lies in makes no news.
const EVERY: Duration = Duration::from_secs(1);

/// How often something is written, to see that it can be: a disk should not be kept awake by it.
const TRY_EVERY: Duration = Duration::from_secs(20);

/// Shared files that are taken from the table at once.
const PAGE: usize = 1024;

impl Owner {
    /// Looks whether the folder is in its place.
    pub(super) fn look_for_folder(&mut self, now: Timestamp) {
        self.next_presence = now.after(EVERY);
        let gone = match self.folder.is_in_place() {
            true => self.look_at_private(),
            false => Some(Trouble::Gone(self.folder.path().to_owned())),
        };
        match (gone, self.away.is_some()) {
            (Some(trouble), false) => self.folder_left(trouble),
            (None, true) => self.folder_returned(),
            (None, false) => self.look_whether_writable(now),
            (Some(_), true) => {}
        }
    }

    /// Sees that our own folder is there, and what to say where it is another session's.
    fn look_at_private(&mut self) -> Option<Trouble> {
        match self.folder.keep_private() {
            Ok(state) => {
                self.problems.mended(&Trouble::PrivateLost(String::new()));
                if state != self.private {
                    self.private = state;
                    self.private_made_anew(state.made_anew);
                }
                None
            }
            Err(FolderError::Gone { path }) => Some(Trouble::Gone(path)),
            Err(taken @ FolderError::Taken { .. }) => Some(Trouble::PrivateLost(taken.to_string())),
            Err(error) => {
                let why =
                    format!("`.brigade` was removed while this peer runs, and cannot be made again: {error}");
                self.problems.trouble(Trouble::PrivateLost(why));
                None
            }
        }
    }

    /// The index went with it. What is known is written into another one.
    fn private_made_anew(&mut self, times: u32) {
        self.problems.trouble(Trouble::PrivateRemoved(times));
        self.forget_index_writes();
        self.index = None; // closed before another is opened: it would remove the other's files
        let mut last = None;
        loop {
            let page = self.share.page(last.as_ref(), PAGE);
            let Some(end) = page.last() else { break };
            last = Some(end.name.clone());
            page.into_iter().for_each(|shared| self.index_write(Write::Put(shared)));
        }
        self.write_index(); // it is made also where there is nothing to write
    }

    fn look_whether_writable(&mut self, now: Timestamp) {
        let trying = now >= self.next_try;
        if trying {
            self.next_try = now.after(TRY_EVERY);
        }
        match self.folder.check_writable(trying) {
            Ok(()) if trying => self.problems.mended(&Trouble::ReadOnly(String::new())),
            Ok(()) => {}
            Err(error) => self.problems.trouble(Trouble::ReadOnly(error.to_string())),
        }
    }

    fn folder_left(&mut self, trouble: Trouble) {
        if matches!(trouble, Trouble::PrivateLost(_)) {
            self.index = None; // what is at its path is another session's
        }
        self.problems.trouble(trouble);
        // Not said to the index, which left with the folder: what it has is true of it.
        let mut away = HashMap::new();
        for name in self.share.names_between("", None) {
            if let Some(shared) = self.share.remove(&name) {
                self.outbox.gone(name.clone());
                away.insert(name, shared);
            }
        }
        self.away = Some(away);
        self.forget_index_writes();
        let waiting: Vec<_> =
            self.settle.names().chain(self.work.keys()).chain(self.refused.keys()).cloned().collect();
        for name in waiting {
            self.gone(&name);
        }
        self.problems.walked("", &std::collections::BTreeMap::new());
        for name in self.problems.of_files("") {
            self.problems.solved(&name);
        }
        self.departed.clear();
        self.problems.ignoring(Ignoring::default());
        if let Some(initial) = &mut self.initial {
            initial.clear();
        }
    }

    fn folder_returned(&mut self) {
        self.problems.mended(&Trouble::Gone(self.folder.path().to_owned()));
        let known = self.away.take().unwrap_or_default();
        self.first_scan(known);
    }
}
