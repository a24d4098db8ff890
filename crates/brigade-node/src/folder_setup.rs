//! The folder of a peer: opened or made, locked, with the peer's key in it. While the peer runs, each new name of the
//! peer is written into the lock.
//!
//! All that a start creates is durable before the manager is asked to let the peer join, because the manager binds a
//! username to the key for good. If the start fails, exactly the files and folders that it created are removed, never a
//! file of the user. [`crate::peer`] decides when.

use std::{
    fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use brigade_core::{name::Username, time::UnixTime};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::{
    clock,
    durable_folders::{remove_folders, sync_folder},
    identity::key::{KeyError, SecretKey},
    store::{
        folder::{Folder, FolderError, FolderLock, LockHolder, ProtectedFiles},
        stored_parts::remove_leftovers,
    },
};

/// A locked folder, and the files that this start created in it.
pub(crate) struct StartedFolder {
    /// It is dropped before the lock: other sessions stay out while files are removed.
    created: CreatedFiles,
    folder: Folder,
    lock: FolderLock,
    /// It is dropped after the lock.
    remaining: RemainingFolders,
}

/// The files and folders that a start created. They are removed when this is dropped, unless they are kept.
#[derive(Debug, Default)]
pub(crate) struct CreatedFiles {
    files: Vec<PathBuf>,
    /// The lock's file. It is removed last: a start that finds no lock finds no other file of this one.
    lock: Option<PathBuf>,
    /// Innermost first.
    folders: Vec<PathBuf>,
    kept: bool,
}

/// The same folders, which are removed again after the lock is closed: a file system in user space (FUSE) keeps a
/// removed file that is open under another name, and removes it a moment after it was closed.
#[derive(Default)]
struct RemainingFolders {
    folders: Vec<PathBuf>,
}

/// The file of the key, in the private folder.
const KEY: &str = "key";

/// The most files that replaced the key and are kept.
const REPLACED: usize = 100;

/// How often this is tried, and the pause between two attempts.
const CHECKS: usize = 10;
const PAUSE: Duration = Duration::from_millis(5);

impl StartedFolder {
    /// The folder at `path`, if a peer has used it before.
    pub(crate) fn open_existing(path: &Path) -> Result<Option<Self>, FolderError> {
        if !Folder::is_brigades(path) {
            return Ok(None);
        }
        Self::lock(Folder::open(path)?, CreatedFiles::default()).map(Some)
    }

    /// The folder at `path`, with the private folder of a peer; they are created if they do not exist.
    pub(crate) fn make(path: &Path) -> Result<Self, FolderError> {
        let folder = Folder::create(path)?;
        let mut created = CreatedFiles::default();
        if folder.is_new() {
            created.folders.push(folder.path().to_owned());
        }
        Self::lock(folder, created)
    }

    fn lock(folder: Folder, mut created: CreatedFiles) -> Result<Self, FolderError> {
        let private = folder.private_dir();
        let (parts, lock) = (private.join("parts"), private.join("lock"));
        if is_missing(&private) {
            created.folders.insert(0, private);
        }
        folder.private()?;
        let are_missing = (is_missing(&parts), is_missing(&lock));
        let locked = folder.lock()?;
        remove_leftovers(&folder)?;
        // Only now it is certain that no other session created them.
        created.folders.splice(0..0, are_missing.0.then_some(parts));
        created.lock = are_missing.1.then_some(lock);
        let remaining = RemainingFolders { folders: created.folders.clone() };
        Ok(Self { created, folder, lock: locked, remaining })
    }

    /// The key in the folder, if there is one.
    pub(crate) fn key(&self) -> Result<Option<SecretKey>, KeyError> {
        SecretKey::load(&self.key_path())
    }

    /// Stores `key` durably, and makes the folders that lead to it durable too.
    pub(crate) fn save(&mut self, key: &SecretKey) -> Result<(), KeyError> {
        let path = self.key_path();
        let failed = |source| KeyError::File { path: path.clone(), source };
        if !key.save(&path)? {
            // There was no key when the folder was locked, and no other session has the lock: another file has the
            // name.
            SecretKey::load(&path)?;
            return Err(failed(io::ErrorKind::AlreadyExists.into()));
        }
        self.created.files.push(path.clone());
        let above = self.folder.path().parent().filter(|_| self.folder.is_new());
        let folders = [Some(self.folder.path()), above];
        folders.into_iter().flatten().try_for_each(sync_folder).map_err(failed)
    }

    /// From now on, `key` is restored if it is removed or replaced while the peer runs.
    pub(crate) fn protect(&self, key: &SecretKey) {
        self.folder.protect(Box::new(OwnKey { key: key.clone(), known: Mutex::default() }));
    }

    /// Writes a note about this session into the lock, for sessions that find the folder locked.
    pub(crate) fn note(&mut self, username: Option<&Username>, address: Option<SocketAddr>) {
        note(&mut self.lock, username, address, clock::unix_now());
    }

    /// Sets whether the created files stay when this is dropped.
    pub(crate) fn keep(&mut self, keep: bool) {
        self.created.kept = keep;
        self.remaining.folders = if keep { vec![] } else { self.created.folders.clone() };
    }

    /// The folder and its lock, for a running peer, and the files that this start created.
    pub(crate) fn into_parts(mut self) -> (Folder, FolderLock, CreatedFiles) {
        self.keep(true);
        (self.folder, self.lock, self.created)
    }

    fn key_path(&self) -> PathBuf {
        self.folder.private_dir().join(KEY)
    }
}

/// The key of a running peer.
#[derive(Debug)]
struct OwnKey {
    key: SecretKey,
    /// The attributes of its file when it was last read: the length, the time of the last write, and on Unix its number
    /// and the time of the last change. While they stay the same, the file is not read again.
    known: Mutex<Option<KeyFileStamp>>,
}

type KeyFileStamp = (u64, Option<SystemTime>, Option<(u64, i64, i64)>);

impl ProtectedFiles for OwnKey {
    fn exist(&self, private: &Path) -> bool {
        self.is_in(&private.join(KEY))
    }

    fn are_foreign(&self, private: &Path) -> bool {
        matches!(SecretKey::load(&private.join(KEY)), Ok(Some(key)) if key.public() != self.key.public())
    }

    fn restore(&self, private: &Path, may_replace: bool) -> Result<(), FolderError> {
        let path = private.join(KEY);
        let failed = |error: KeyError| {
            let source = io::Error::other(error.to_string());
            FolderError::Io { action: "write the key again into", path: private.to_owned(), source }
        };
        if may_replace && !is_missing(&path) && !self.is_in(&path) {
            set_aside(&path).map_err(|source| failed(KeyError::File { path: path.clone(), source }))?;
        }
        // The secret is written only if there is no key.
        if is_missing(&path) && self.key.save(&path).map_err(failed)? {
            return Ok(());
        }
        match SecretKey::load(&path).map_err(failed)? {
            Some(key) if key.public() == self.key.public() => Ok(()),
            _ => Err(FolderError::Taken { path: private.to_owned() }),
        }
    }
}

impl OwnKey {
    /// Whether the file at `path` has this key; true if that cannot be found out.
    fn is_in(&self, path: &Path) -> bool {
        let stamp = match fs::metadata(path) {
            Ok(found) => key_file_stamp(&found),
            Err(error) => return error.kind() != io::ErrorKind::NotFound,
        };
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if *known == Some(stamp) {
            return true;
        }
        let Ok(is_own) = self.key.is_in(path) else { return true };
        if is_own {
            *known = Some(stamp);
        }
        is_own
    }
}

fn key_file_stamp(found: &fs::Metadata) -> KeyFileStamp {
    #[cfg(unix)]
    let change = {
        use std::os::unix::fs::MetadataExt;
        Some((found.ino(), found.ctime(), found.ctime_nsec()))
    };
    #[cfg(not(unix))]
    let change = None;
    (found.len(), found.modified().ok(), change)
}

/// Renames the file that has replaced a key, which may be wanted: to `key.replaced-1`, or the next free number.
fn set_aside(path: &Path) -> io::Result<()> {
    let names = (1..=REPLACED).map(|number| path.with_file_name(format!("{KEY}.replaced-{number}")));
    let free = names.into_iter().find(|name| is_missing(name));
    fs::rename(path, free.ok_or(io::ErrorKind::AlreadyExists)?)
}

/// Writes every new name of a peer into the lock of its folder, until `stop`: an unbound name may change when the
/// manager comes back.
pub(crate) async fn write_names(
    mut lock: FolderLock,
    mut username: watch::Receiver<Username>,
    address: SocketAddr,
    stop: CancellationToken,
) {
    let since = clock::unix_now();
    let mut written = username.borrow_and_update().clone();
    while let Some(Ok(())) = stop.run_until_cancelled(username.changed()).await {
        let name = username.borrow_and_update().clone();
        if name != written {
            note(&mut lock, Some(&name), Some(address), since);
            written = name;
        }
    }
}

fn note(lock: &mut FolderLock, username: Option<&Username>, address: Option<SocketAddr>, since: UnixTime) {
    let process = Some(std::process::id());
    let holder = LockHolder { process, username: username.cloned(), address, since: Some(since) };
    if let Err(error) = lock.note(&holder) {
        // Other sessions stay out all the same.
        tracing::debug!(%error, "the folder's lock does not say who has it");
    }
}

impl CreatedFiles {
    /// Removes the files that the start created, and the index that the session added, unless there are parts of files.
    /// The folder must still be locked, and no thread may write to it.
    pub(crate) fn take_back(mut self) {
        let is_empty = |folder: &Path| fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_none());
        let Some(private) = self.files.first().and_then(|key| key.parent()).map(Path::to_owned) else {
            return;
        };
        if !is_empty(&private.join("parts")) {
            return;
        }
        if self.folders.contains(&private) {
            let own = ["index.db", "index.db-wal", "index.db-shm", "places"];
            let fetches = ["fetches.db", "fetches.db-wal", "fetches.db-shm"];
            self.files.extend(own.iter().chain(&fetches).map(|name| private.join(name)));
        }
        self.kept = false;
    }
}

impl Drop for CreatedFiles {
    fn drop(&mut self) {
        if self.kept {
            return;
        }
        self.files.iter().for_each(|path| drop(fs::remove_file(path)));
        remove_folders(&self.folders); // those with anything else in them stay, as does that of the lock
        if let Some(lock) = &self.lock {
            drop(fs::remove_file(lock));
            remove_folders(&self.folders);
        }
    }
}

impl Drop for RemainingFolders {
    /// Waits at most 50 ms for the file system. Only a start that fails has folders here, so that is not moved to a
    /// thread that may wait.
    fn drop(&mut self) {
        for _ in 0..CHECKS {
            if self.folders.iter().all(|folder| is_missing(folder)) {
                return;
            }
            remove_folders(&self.folders);
            std::thread::sleep(PAUSE);
        }
    }
}

fn is_missing(path: &Path) -> bool {
    fs::symlink_metadata(path).is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
}

#[cfg(test)]
mod tests {
    use std::{fs, time::Duration};

    use super::{CancellationToken, StartedFolder, watch, write_names};

    /// A start that finds no lock would load the key that is removed a moment later.
    #[cfg(target_os = "linux")]
    #[test]
    fn the_lock_is_the_last_that_a_start_takes_back() {
        use std::mem::MaybeUninit;

        use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};

        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("folder");
        let mut started = StartedFolder::make(&path).unwrap();
        started.save(&super::SecretKey::generate()).unwrap();
        let events = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC).unwrap();
        inotify::add_watch(&events, path.join(".brigade"), WatchFlags::DELETE).unwrap();
        drop(started);
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut reader = Reader::new(&events, &mut buffer);
        let mut removed = vec![];
        while let Ok(event) = reader.next() {
            if event.events().contains(ReadFlags::DELETE) {
                removed.extend(event.file_name().map(|name| name.to_str().unwrap().to_owned()));
            }
        }
        assert_eq!(removed, ["key", "parts", "lock"]);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn the_lock_names_the_peer_as_it_is_called_now() {
        let temp = tempfile::tempdir().unwrap();
        let mut started = StartedFolder::make(temp.path()).unwrap();
        started.note(Some(&"air_user".parse().unwrap()), None);
        let (_folder, lock, _) = started.into_parts();
        let (name, names) = watch::channel("air_user".parse().unwrap());
        let stop = CancellationToken::new();
        let noting = write_names(lock, names, ([127, 0, 0, 1], 7001).into(), stop.clone());
        let noting = tokio::spawn(noting);
        tokio::task::yield_now().await;
        name.send_replace("air_user2".parse().unwrap());
        let written = async {
            let path = temp.path().join(".brigade/lock");
            while !fs::read_to_string(&path).unwrap().contains("username air_user2\naddress 127.0.0.1:7001\n")
            {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), written).await.unwrap();
        stop.cancel();
        noting.await.unwrap();
    }
}
