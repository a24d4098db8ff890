//! Shared files that could not be served, for the keeper of their folder.
//!
//! Connections that read files add them, and do not wait for the keeper.

use std::{
    collections::BTreeSet,
    sync::{Mutex, PoisonError},
};

use brigade_core::name::FileName;
use tokio::sync::Notify;

/// The most files that wait for the keeper because they could not be served. The next scan finds the others.
const UNSERVABLE_FILES: usize = 1024;

/// Names of shared files that could not be served. The lock is held to add a name, or to take them all.
#[derive(Debug, Default)]
pub(super) struct UnservableFiles {
    names: Mutex<BTreeSet<FileName>>,
    added: Notify,
}

impl UnservableFiles {
    /// Adds a file, unless too many wait already.
    pub(super) fn add(&self, name: &FileName) {
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        if names.len() < UNSERVABLE_FILES {
            names.insert(name.clone());
            self.added.notify_one();
        }
    }

    /// Waits until files were added, and takes them. It may be dropped at any time.
    pub(super) async fn next(&self) -> BTreeSet<FileName> {
        self.added.notified().await;
        std::mem::take(&mut *self.names.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
