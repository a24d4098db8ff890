//! The limits of the account: watched folders, and open files.
//!
//! They are only read, and one folder is watched for a moment. It blocks, since it walks over the folder.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::severity::Severity;

/// Folders that are counted; with more, the number is a lower bound.
const COUNTED_FOLDERS: u64 = 2_000_000;

/// Open files of a peer beside its connections: the program's own, the folder, the index, and the files that a fetch of
/// many large files has open at one time.
const OPEN_FILES_BESIDE: u64 = 256;

/// Descriptors of one connection: its socket, and a file that is read for it.
const OPEN_FILES_OF_CONNECTION: u64 = 2;

/// Whether the system can watch a folder.
#[derive(Debug)]
#[non_exhaustive]
pub struct WatchedFolders {
    /// Folders to watch: the folder and those below it, without hidden ones.
    pub folders: u64,
    /// The limit on watched folders of this account, for all its programs together; `None` if there is none, or if it is
    /// not known.
    pub limit: Option<u64>,
    /// Why a folder cannot be watched, if that was tried and failed.
    pub fault: Option<WatchFault>,
}

/// Why a folder cannot be watched.
#[derive(Debug)]
#[non_exhaustive]
pub enum WatchFault {
    /// All watches of the account are used.
    NoWatches,
    /// Too many programs of the account watch folders.
    NoInstances,
    /// Another error of the system.
    Other(io::Error),
}

/// The limit on open files, and the need.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct OpenFiles {
    /// The largest number of open files that this account may raise its limit to; `None` if there is no limit.
    pub limit: Option<u64>,
    /// The number that a peer with so many connections may need.
    pub needed: u64,
}

impl WatchedFolders {
    pub(super) fn severity(&self) -> Severity {
        match (&self.fault, self.limit) {
            (Some(_), _) => Severity::Fault,
            (None, Some(limit)) if limit < self.folders => Severity::Fault,
            // Other programs use watches too.
            (None, Some(limit)) if limit < self.folders.saturating_mul(2) => Severity::Warning,
            _ => Severity::Ok,
        }
    }
}

impl OpenFiles {
    pub(super) fn severity(self) -> Severity {
        match self.limit {
            Some(limit) if limit < self.needed => Severity::Fault,
            _ => Severity::Ok,
        }
    }
}

/// Compares the limit on open files with the need of a peer with so many connections. The peer raises its own limit to
/// the maximum of the account when it starts.
pub fn open_files(max_connections: usize) -> OpenFiles {
    let connections = u64::try_from(max_connections).unwrap_or(u64::MAX);
    let needed = connections.saturating_mul(OPEN_FILES_OF_CONNECTION).saturating_add(OPEN_FILES_BESIDE);
    #[cfg(unix)]
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).maximum;
    #[cfg(not(unix))]
    let limit = None;
    OpenFiles { limit, needed }
}

/// Counts the folders to watch, reads the limit, and tries to watch `folder`.
pub fn watched_folders(folder: &Path) -> WatchedFolders {
    WatchedFolders { folders: count_folders(folder), limit: watch_limit(), fault: watch_fault(folder) }
}

/// The folder and those below it that are not hidden. Links are not followed.
fn count_folders(folder: &Path) -> u64 {
    let (mut count, mut waiting) = (0, vec![folder.to_owned()]);
    while let Some(folder) = waiting.pop() {
        count += 1;
        if count >= COUNTED_FOLDERS {
            break;
        }
        let entries = fs::read_dir(&folder).into_iter().flatten().flatten();
        let is_counted = |entry: &fs::DirEntry| {
            entry.file_type().is_ok_and(|kind| kind.is_dir())
                && !entry.file_name().as_encoded_bytes().starts_with(b".")
        };
        waiting.extend(entries.filter(is_counted).map(|entry| entry.path()));
    }
    count
}

/// The lower one of the limits of the machine and of this user namespace.
fn watch_limit() -> Option<u64> {
    if !cfg!(target_os = "linux") {
        return None;
    }
    let of_file = |path: &str| fs::read_to_string(PathBuf::from(path)).ok()?.trim().parse().ok();
    let files = ["/proc/sys/fs/inotify/max_user_watches", "/proc/sys/user/max_inotify_watches"];
    files.into_iter().filter_map(of_file).min()
}

#[cfg(target_os = "linux")]
fn watch_fault(folder: &Path) -> Option<WatchFault> {
    use rustix::{
        fs::inotify::{self, CreateFlags, WatchFlags},
        io::Errno,
    };
    let watched = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC);
    let added = watched.and_then(|watched| inotify::add_watch(&watched, folder, WatchFlags::CREATE));
    match added.err()? {
        Errno::NOSPC => Some(WatchFault::NoWatches),
        Errno::MFILE => Some(WatchFault::NoInstances),
        Errno::NOENT => None, // the folder is made when the peer starts
        other => Some(WatchFault::Other(other.into())),
    }
}

#[cfg(not(target_os = "linux"))]
fn watch_fault(_: &Path) -> Option<WatchFault> {
    None
}

#[cfg(test)]
mod tests {
    use super::{OpenFiles, Severity, WatchFault, WatchedFolders, count_folders, open_files};

    #[test]
    fn folders_are_counted_as_they_are_watched() {
        let temp = tempfile::tempdir().unwrap();
        for below in ["a/b", "c", ".brigade/parts"] {
            std::fs::create_dir_all(temp.path().join(below)).unwrap();
        }
        assert_eq!(count_folders(temp.path()), 4);
    }

    #[test]
    fn a_limit_below_the_need_is_a_fault() {
        let watches = |limit, fault| WatchedFolders { folders: 100, limit, fault }.severity();
        assert_eq!(watches(None, None), Severity::Ok);
        assert_eq!(watches(Some(200), None), Severity::Ok);
        assert_eq!(watches(Some(199), None), Severity::Warning);
        assert_eq!(watches(Some(99), None), Severity::Fault);
        assert_eq!(watches(Some(200), Some(WatchFault::NoWatches)), Severity::Fault);
        let needed = open_files(20).needed;
        assert_eq!(OpenFiles { limit: Some(needed), needed }.severity(), Severity::Ok);
        assert_eq!(OpenFiles { limit: Some(needed - 1), needed }.severity(), Severity::Fault);
        assert!(open_files(1000).needed > needed);
    }
}
