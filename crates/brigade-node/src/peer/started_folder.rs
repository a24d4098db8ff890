//! The folder of a peer while it starts: found or made, locked, with the peer's key in it.
//!
//! What a start makes is durable before the manager is asked for anything, since the manager binds a username to the
//! key for good. Where nothing came of the start it is taken back: exactly what this start made, and never a file of
//! the user. Nothing is decided here about when that is; `joining` does.

use std::{
    fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use brigade_core::name::Username;

use crate::{
    clock,
    durable::{sync_folder, unmake_folders},
    identity::key::{KeyError, SecretKey},
    store::folder::{Folder, FolderError, FolderLock, LockHolder},
};

/// A locked folder, and what this start has made of it.
pub(super) struct StartedFolder {
    /// Comes before the lock: while something is taken back, others are still kept out.
    made: Made,
    folder: Folder,
    lock: FolderLock,
    /// Comes after it.
    left: Left,
}

/// What a start has made; it is removed when this is dropped, unless it is to be kept.
#[derive(Default)]
struct Made {
    files: Vec<PathBuf>,
    /// Innermost first.
    folders: Vec<PathBuf>,
    kept: bool,
}

/// The same folders once more, when the lock is closed: a file system in user space (FUSE) keeps a removed file that is
/// open, under another name, and lets go of it a moment after it was closed.
#[derive(Default)]
struct Left {
    folders: Vec<PathBuf>,
}

/// How often it is looked whether that moment has come, and the pause between.
const LOOKS: usize = 10;
const PAUSE: Duration = Duration::from_millis(5);

impl StartedFolder {
    /// The folder at `path`, if it was Brigade's before.
    pub(super) fn of_before(path: &Path) -> Result<Option<Self>, FolderError> {
        if !Folder::is_brigades(path) {
            return Ok(None);
        }
        Self::lock(Folder::open(path)?, Made::default()).map(Some)
    }

    /// The folder at `path`, made where it is not there, and what a peer keeps in it.
    pub(super) fn make(path: &Path) -> Result<Self, FolderError> {
        let folder = Folder::create(path)?;
        let mut made = Made::default();
        if folder.is_new() {
            made.folders.push(folder.path().to_owned());
        }
        Self::lock(folder, made)
    }

    fn lock(folder: Folder, mut made: Made) -> Result<Self, FolderError> {
        let private = folder.private_dir();
        let (parts, lock) = (private.join("parts"), private.join("lock"));
        if is_missing(&private) {
            made.folders.insert(0, private);
        }
        folder.private()?;
        let news = (is_missing(&parts), is_missing(&lock));
        let locked = folder.lock()?;
        // Only now it is certain that nobody else made them.
        made.folders.splice(0..0, news.0.then_some(parts));
        made.files.extend(news.1.then_some(lock));
        let left = Left { folders: made.folders.clone() };
        Ok(Self { made, folder, lock: locked, left })
    }

    /// The key that is kept there, if there is one.
    pub(super) fn key(&self) -> Result<Option<SecretKey>, KeyError> {
        SecretKey::load(&self.key_path())
    }

    /// Keeps `key` there, durably, and so the folders that lead to it.
    pub(super) fn save(&mut self, key: &SecretKey) -> Result<(), KeyError> {
        let path = self.key_path();
        let failed = |source| KeyError::File { path: path.clone(), source };
        if !key.save(&path)? {
            // It was not there when the folder was locked, and nobody else has the lock.
            return Err(failed(io::ErrorKind::AlreadyExists.into()));
        }
        self.made.files.push(path.clone());
        let above = self.folder.path().parent().filter(|_| self.folder.is_new());
        let folders = [Some(self.folder.path()), above];
        folders.into_iter().flatten().try_for_each(sync_folder).map_err(failed)
    }

    /// Writes into the lock who has it, for those whom it keeps out.
    pub(super) fn note(&mut self, username: Option<&Username>, address: Option<SocketAddr>) {
        let holder = LockHolder {
            process: Some(std::process::id()),
            username: username.cloned(),
            address,
            since: Some(clock::unix_now()),
        };
        if let Err(error) = self.lock.note(&holder) {
            // It keeps others out all the same.
            tracing::debug!(%error, "the folder's lock does not say who has it");
        }
    }

    /// Whether what was made stays when this is dropped.
    pub(super) fn keep(&mut self, keep: bool) {
        self.made.kept = keep;
        self.left.folders = if keep { vec![] } else { self.made.folders.clone() };
    }

    /// The folder and its lock, for a peer that runs.
    pub(super) fn into_parts(mut self) -> (Folder, FolderLock) {
        self.keep(true);
        (self.folder, self.lock)
    }

    fn key_path(&self) -> PathBuf {
        self.folder.private_dir().join("key")
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        if self.kept {
            return;
        }
        self.files.iter().for_each(|path| drop(fs::remove_file(path)));
        unmake_folders(&self.folders); // those with anything else in them stay
    }
}

impl Drop for Left {
    fn drop(&mut self) {
        for _ in 0..LOOKS {
            if self.folders.iter().all(|folder| is_missing(folder)) {
                return;
            }
            unmake_folders(&self.folders);
            std::thread::sleep(PAUSE);
        }
    }
}

fn is_missing(path: &Path) -> bool {
    fs::symlink_metadata(path).is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
}
