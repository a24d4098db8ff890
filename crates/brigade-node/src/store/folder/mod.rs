//! The shared folder as a handle: no name leads out of it, and no symbolic link is followed.
//!
//! Names are [`FileName`]s, which were checked before. A peer keeps its own files in `.brigade/` (mode 0700): its key,
//! the index, part files. The lock in it excludes a second session for as long as this session has a handle. `root` is
//! the open directory, `private_dir` creates and opens `.brigade/`, `private_dir_restoration` keeps it complete, and
//! `private_dir_removal_detection` notices what was removed; the calls to the kernel are in `system`.

mod error;
mod lock;
mod lock_holder;
mod network_names;
mod private_dir;
mod private_dir_removal_detection;
mod private_dir_restoration;
mod root;
mod staging_list;

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use brigade_core::name::FileName;

pub use self::error::FolderError;
pub(super) use self::{
    error::{foreign_owner, lacking},
    private_dir::{INDEX_FILE, PARTS, create_private_dir},
    staging_list::{
        MAX_STAGING_DIRS, STAGING_LIST, STAGING_PREFIX, StagingEntry, StagingList, read_staging_list,
        write_staging_list,
    },
};
pub(crate) use self::{
    lock::FolderLock,
    lock_holder::LockHolder,
    network_names::NetworkNames,
    private_dir::PRIVATE,
    private_dir_restoration::{PrivateState, ProtectedFiles},
    root::canonical_path,
};
use self::{
    network_names::WithheldNames,
    private_dir::{open_private, private_path},
    private_dir_restoration::PrivateDir,
    root::Root,
};
pub(crate) use super::system::{FileSystemId, FreeSpace};
use super::{
    file_stamp::{Stamp, stamp_of_regular},
    system::{Dir, EntryStatus, FileKind},
};

/// An open folder; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Folder(Arc<OpenFolder>);

#[derive(Debug)]
struct OpenFolder {
    root: Root,
    names: NetworkNames,
    /// Names at its top that belong to shares in place.
    withheld: WithheldNames,
    is_new: bool,
    /// It has the lock, which lasts as long as any handle: a session with a handle may write.
    private: PrivateDir,
}

impl Folder {
    /// Opens the folder at `path`, which must exist. A link at `path` itself is followed: the user named it.
    pub(crate) fn open(path: &Path) -> Result<Self, FolderError> {
        Self::open_as(path, false)
    }

    /// Opens the folder at `path`, and creates it if it does not exist. Its parent folder must exist.
    pub(crate) fn create(path: &Path) -> Result<Self, FolderError> {
        match fs::create_dir(path) {
            Ok(()) => Self::open_as(path, true),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Self::open_as(path, false),
            // Only the last folder of a path is created, so that a mistyped path creates nothing.
            Err(source) if source.kind() == io::ErrorKind::NotFound => {
                let is_missing = |parent: &&Path| !parent.as_os_str().is_empty() && !parent.exists();
                Err(match path.parent().filter(is_missing) {
                    Some(parent) => FolderError::Missing { path: parent.to_owned() },
                    // No folder can be made in some others, such as /proc.
                    None => FolderError::Io { action: "make the folder", path: path.to_owned(), source },
                })
            }
            Err(error) => Err(FolderError::new("make the folder", path.to_owned(), error)),
        }
    }

    /// Opens a share in place: the folder or the regular file at `path`, which must be absolute and without links. Its
    /// files have names below `name`; a single file has that name. Nothing is written there.
    pub(crate) fn open_in_place(path: &Path, name: FileName) -> Result<Self, FolderError> {
        let failed = |error| FolderError::new("open", path.to_owned(), error);
        let found = fs::symlink_metadata(path).map_err(failed)?;
        let (dir, names) = match (path.parent(), path.file_name()) {
            _ if found.is_dir() => (path, NetworkNames::Below(name)),
            (Some(parent), Some(entry)) if found.is_file() => {
                let entry = entry.to_str().ok_or_else(|| failed(io::ErrorKind::InvalidFilename.into()))?;
                (parent, NetworkNames::Single { name, entry: entry.to_owned() })
            }
            _ if found.is_symlink() => return Err(FolderError::Link { path: path.to_owned() }),
            _ => return Err(FolderError::NotAFile { path: path.to_owned() }),
        };
        let folder = Self::with_names(dir, names, false)?;
        // A link may have been put into the path since it was resolved: it would lead elsewhere.
        if folder.path() == dir { Ok(folder) } else { Err(FolderError::Link { path: path.to_owned() }) }
    }

    fn open_as(path: &Path, is_new: bool) -> Result<Self, FolderError> {
        Self::with_names(path, NetworkNames::Own, is_new)
    }

    fn with_names(path: &Path, names: NetworkNames, is_new: bool) -> Result<Self, FolderError> {
        let (root, withheld, private) = (Root::open(path)?, WithheldNames::default(), PrivateDir::default());
        Ok(Self(Arc::new(OpenFolder { root, names, withheld, is_new, private })))
    }

    /// Whether a peer has used the folder at `path` before: it has a `.brigade/` with a file of Brigade in it.
    pub(crate) fn is_brigades(path: &Path) -> bool {
        let private = path.join(PRIVATE);
        let has_file = |name| fs::symlink_metadata(private.join(name)).is_ok_and(|found| found.is_file());
        fs::symlink_metadata(&private).is_ok_and(|found| found.is_dir())
            && ["key", "lock", "index.db"].iter().any(has_file)
    }

    /// The names in the network of the files in it.
    pub(crate) fn names(&self) -> &NetworkNames {
        &self.0.names
    }

    /// The name of the share in place that it is; `None` for the peer's own folder.
    pub(crate) fn share_in_place(&self) -> Option<&FileName> {
        self.0.names.share()
    }

    /// Sets the names at its top that belong to shares in place: its own files with these names are not shared.
    pub(crate) fn set_withheld(&self, names: Vec<FileName>) {
        self.0.withheld.set(names);
    }

    /// The share in place to which `name` belongs, so that it cannot be the name of a file in this folder.
    pub(crate) fn withheld_by(&self, name: &str) -> Option<FileName> {
        self.0.withheld.find(name)
    }

    /// The path of `name` below the folder; "" for the folder itself.
    fn local<'a>(&'a self, name: &'a str) -> io::Result<&'a str> {
        self.0.names.local(name).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// Whether [`Folder::create`] created it.
    pub(crate) fn is_new(&self) -> bool {
        self.0.is_new
    }

    /// The path of the folder: absolute, without links.
    pub(crate) fn path(&self) -> &Path {
        self.0.root.path()
    }

    /// The path of a folder below this one, or of this one for ""; for messages.
    pub(crate) fn path_below(&self, below: &str) -> PathBuf {
        let local = self.0.names.local(below).unwrap_or(below);
        if local.is_empty() { self.path().to_owned() } else { self.path().join(local) }
    }

    /// The path of a shared file, for messages.
    pub(super) fn path_of(&self, name: &FileName) -> PathBuf {
        self.path_below(name)
    }

    /// The file system of the folder itself.
    pub(crate) fn file_system(&self) -> FileSystemId {
        self.0.root.file_system()
    }

    /// Checks whether this folder is still the one at its path. While it is not, no files are received into it.
    pub(crate) fn is_at_path(&self) -> bool {
        self.0.root.is_at_path()
    }

    /// Whether the folder was not at its path when that was last checked.
    pub(crate) fn is_gone(&self) -> bool {
        self.0.root.is_gone()
    }

    /// Fails if the last check found that the folder is not at its path, or that another session has it.
    pub(crate) fn check_at_path(&self) -> Result<(), FolderError> {
        match self.is_gone() {
            true => Err(FolderError::Gone { path: self.path().to_owned() }),
            false => self.0.private.check(&self.0.root),
        }
    }

    /// Checks whether files can be written into the folder. Without `by_writing` only the system is asked, which may
    /// not know yet that a disk has failed.
    pub(crate) fn check_writable(&self, by_writing: bool) -> Result<(), FolderError> {
        let failed = |error| FolderError::new("write into", self.path().to_owned(), error);
        let dir = self.0.root.dir();
        if dir.is_read_only().map_err(failed)? {
            return Err(failed(io::ErrorKind::ReadOnlyFilesystem.into()));
        }
        dir.may_be_written().map_err(failed)?;
        if by_writing { self.private_handle()?.touch().map_err(failed) } else { Ok(()) }
    }

    /// Locks the folder against other sessions. The lock lasts until the last handle is dropped: this one, its
    /// clones, and all files that write to the folder.
    pub(crate) fn lock(&self) -> Result<FolderLock, FolderError> {
        self.0.private.lock(&self.0.root)
    }

    /// Sets the files that are restored in `.brigade/`, beside the lock, if they are removed.
    pub(crate) fn protect(&self, files: Box<dyn ProtectedFiles>) {
        self.0.private.protect(files);
    }

    /// Remembers the file of the index in `.brigade/`, which its owner has opened: if it is removed or replaced from
    /// now on, [`keep_private`](Self::keep_private) counts it.
    pub(super) fn remember_index(&self) -> Result<(), FolderError> {
        self.0.private.remember_index(&self.0.root)
    }

    /// Checks that `.brigade/` exists with its lock, its protected files, its directory for received files and its
    /// index, once it is locked; restores what was removed, and counts it. The owner of the index creates a new one.
    ///
    /// # Errors
    /// [`FolderError::Taken`] if another session has the folder now; another error if the files could not be restored.
    pub(crate) fn keep_private(&self) -> Result<PrivateState, FolderError> {
        self.0.private.ensure(&self.0.root)
    }

    /// Whether this session, which has locked the folder, still has it under its path.
    pub(crate) fn is_own(&self) -> bool {
        self.0.private.is_own(&self.0.root)
    }

    /// The state of `.brigade/` when it was last checked.
    pub(crate) fn private_state(&self) -> PrivateState {
        self.0.private.state()
    }

    /// The path of `.brigade/`, which may not exist yet.
    pub(crate) fn private_dir(&self) -> PathBuf {
        private_path(&self.0.root)
    }

    /// Creates `.brigade/` if it does not exist, for its owner only. Returns its path. A link at its path is an
    /// error.
    pub(crate) fn private(&self) -> Result<PathBuf, FolderError> {
        self.private_handle()?;
        Ok(self.private_dir())
    }

    /// The handle of `.brigade/`, which is created if it does not exist.
    pub(super) fn private_handle(&self) -> Result<Dir, FolderError> {
        open_private(&self.0.root)
    }

    /// The handle of `.brigade/parts/`, which is created if it does not exist.
    pub(super) fn parts_handle(&self) -> Result<Dir, FolderError> {
        self.0.private.open_parts(&self.0.root)
    }

    /// The list of the directories for received files on other file systems.
    pub(super) fn staging_list(&self) -> &StagingList {
        self.0.private.staging_list()
    }

    /// Opens a shared file for reading. Only a regular file is opened, and only if its path has no link in it.
    #[cfg(test)]
    pub(crate) fn open_file(&self, name: &FileName) -> Result<File, FolderError> {
        self.open_stamped(name).map(|(file, _)| file)
    }

    /// Opens a shared file, and returns its stamp at that moment.
    pub(crate) fn open_stamped(&self, name: &FileName) -> Result<(File, Stamp), FolderError> {
        let failed = |error| FolderError::new("open", self.path_of(name), error);
        let (local, dir) = (self.local(name).map_err(failed)?, self.0.root.dir());
        let file = match self.0.names {
            NetworkNames::Own => dir.open_file(local),
            _ => dir.open_without_access_time(local),
        };
        let file = file.map_err(failed)?;
        match stamp_of_regular(&file).map_err(failed)? {
            Some(stamp) => Ok((file, stamp)),
            None => Err(FolderError::NotAFile { path: self.path_of(name) }),
        }
    }

    /// The stamp of the regular file `name`, without opening it.
    pub(crate) fn stamp(&self, name: &FileName) -> Result<Stamp, FolderError> {
        self.regular(name, self.status(name)?)
    }

    /// The stamp in `found`, the status of `name`, if that is a regular file.
    pub(super) fn regular(&self, name: &FileName, found: EntryStatus) -> Result<Stamp, FolderError> {
        match found.kind {
            FileKind::File => Ok(found.stamp),
            FileKind::Link => Err(FolderError::Link { path: self.path_of(name) }),
            _ => Err(FolderError::NotAFile { path: self.path_of(name) }),
        }
    }

    /// The status of the entry `name`, of any kind.
    pub(super) fn status(&self, name: &FileName) -> Result<EntryStatus, FolderError> {
        let failed = |error| FolderError::new("look at", self.path_of(name), error);
        self.local(name).and_then(|local| self.0.root.dir().status(local.as_ref())).map_err(failed)
    }

    /// The time when the file `name` was created, in nanoseconds since 1970, by the clock of the file system; `None`
    /// if the file system does not store it.
    pub(super) fn created_ns(&self, name: &FileName) -> Result<Option<i64>, FolderError> {
        let failed = |error| FolderError::new("look at", self.path_of(name), error);
        self.local(name).and_then(|local| self.0.root.dir().created_ns(local.as_ref())).map_err(failed)
    }

    /// The free space of the file system of the folder `below`; of this folder's own for "".
    pub(crate) fn free(&self, below: &str) -> Result<FreeSpace, FolderError> {
        let failed = |error| FolderError::new("measure", self.path().join(below), error);
        let root = self.0.root.dir();
        if below.is_empty() { root.free() } else { root.open_path_only(below).and_then(|dir| dir.free()) }
            .map_err(failed)
    }

    /// The folder `below`, opened without the right to read it (`O_PATH`): enough for looking at its entries.
    pub(super) fn open_path_only(&self, below: &str) -> Result<Dir, FolderError> {
        let root = self.0.root.dir();
        let opened = self.local(below).and_then(|local| match local {
            "" => root.try_clone(),
            local => root.open_path_only(local),
        });
        opened.map_err(|error| FolderError::new("look into", self.path_below(below), error))
    }

    /// The handle of the folder `below`; of this folder for "".
    pub(super) fn sub(&self, below: &str) -> Result<Dir, FolderError> {
        let root = self.0.root.dir();
        let dir = match below {
            "" => root.try_clone(), // also the folder with a single file that is shared
            below => self.local(below).and_then(|local| match local {
                "" => root.try_clone(),
                local => root.sub(local),
            }),
        };
        dir.map_err(|error| FolderError::new("open the folder", self.path_below(below), error))
    }

    /// The parent folder of `name`, which is created if it does not exist (and made durable then, if `durable`).
    pub(super) fn make_parent(&self, name: &FileName, durable: bool) -> Result<Dir, FolderError> {
        self.check_at_path()?;
        let Some(parent) = split(name).0 else { return self.sub("") };
        match self.0.root.dir().sub(parent) {
            Ok(dir) => Ok(dir),
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.make_dirs(parent, durable),
            Err(error) => Err(FolderError::new("open the folder", self.path().join(parent), error)),
        }
    }

    fn make_dirs(&self, path: &str, durable: bool) -> Result<Dir, FolderError> {
        let mut at = self.sub("")?;
        for part in path.split('/') {
            let failed = |error| FolderError::new("make the folder", self.path().join(path), error);
            match at.make_dir(part, false) {
                Ok(()) if durable => at.sync().map_err(failed)?,
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(failed(error)),
            }
            at = at.sub(part).map_err(failed)?;
        }
        Ok(at)
    }
}

/// The parent folder of a name, or `None` if that is the shared folder itself, and the last component of the name.
pub(super) fn split(name: &FileName) -> (Option<&str>, &str) {
    match name.as_str().rsplit_once('/') {
        Some((parent, last)) => (Some(parent), last),
        None => (None, name.as_str()),
    }
}

#[cfg(test)]
mod tests;
