//! Checks of a folder and its disk: free bytes and inodes, and a trial of everything that a fetch does there.
//!
//! The trial runs in `.brigade` if the folder has one, and removes all that it made. It never touches another file. It
//! blocks.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use super::severity::Severity;
use crate::store::folder::{Folder, FolderError};

/// With fewer free bytes, a fetch of more than a few files fails: a fault.
const FAULT_BYTES: u64 = 16 << 20;

/// With fewer free bytes, the disk is full soon: a warning.
const WARNING_BYTES: u64 = 1 << 30;

/// With fewer free inodes, a peer cannot keep its own files: a fault.
const FAULT_INODES: u64 = 16;

/// With fewer free inodes, a folder of small files does not fit: a warning.
const WARNING_INODES: u64 = 10_000;

/// Bytes that the trial writes: more than a file system keeps in an inode.
const TRIAL_BYTES: usize = 64 << 10;

/// The free space of a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct FreeDiskSpace {
    /// Free bytes; `None` if the system does not report them.
    pub bytes: Option<u64>,
    /// Free inodes, that is, files and folders that can still be made; `None` if there is no limit.
    pub inodes: Option<u64>,
}

/// Why the folder could not be checked, or what could not be done in it.
#[derive(Debug)]
#[non_exhaustive]
pub struct FolderFault {
    /// The attempted action, for example `make a file in`.
    pub action: &'static str,
    /// The path.
    pub path: PathBuf,
    /// The error of the system.
    pub source: io::Error,
}

/// The results of a trial in a folder.
#[derive(Debug)]
#[non_exhaustive]
pub struct FolderTrial {
    /// The action that failed, if one did: making a folder or a file, writing, renaming or removing it.
    pub fault: Option<FolderFault>,
    /// Why there are no hard links, if there are none. Brigade works without them.
    pub no_hard_links: Option<io::Error>,
}

impl FreeDiskSpace {
    pub(super) fn bytes_severity(&self) -> Severity {
        severity(self.bytes, FAULT_BYTES, WARNING_BYTES)
    }

    pub(super) fn inodes_severity(&self) -> Severity {
        severity(self.inodes, FAULT_INODES, WARNING_INODES)
    }
}

impl FolderTrial {
    pub(super) const fn severity(&self) -> Severity {
        match (&self.fault, &self.no_hard_links) {
            (Some(_), _) => Severity::Fault,
            (None, Some(_)) => Severity::Warning,
            (None, None) => Severity::Ok,
        }
    }
}

fn severity(free: Option<u64>, fault: u64, warning: u64) -> Severity {
    match free {
        Some(free) if free < fault => Severity::Fault,
        Some(free) if free < warning => Severity::Warning,
        _ => Severity::Ok,
    }
}

/// The free space of the disk of `folder`, or of the nearest existing folder above it.
///
/// # Errors
/// If the folder cannot be opened.
pub fn disk_space(folder: &Path) -> Result<FreeDiskSpace, FolderFault> {
    let folder = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
    let existing = folder.ancestors().find(|path| path.is_dir()).unwrap_or(&folder);
    let opened = Folder::open(existing).and_then(|opened| opened.free(""));
    let free = opened.map_err(|error| FolderFault {
        action: "find the free space of",
        path: existing.to_owned(),
        source: source_of(error),
    })?;
    let known = |number: u64| (number != u64::MAX).then_some(number);
    Ok(FreeDiskSpace { bytes: known(free.bytes), inodes: known(free.files) })
}

fn source_of(error: FolderError) -> io::Error {
    match error {
        FolderError::Io { source, .. } => source,
        other => io::Error::other(other.to_string()),
    }
}

/// Makes, writes, links, renames and removes a file in `folder`, in `.brigade` if it is there.
pub fn try_folder(folder: &Path) -> FolderTrial {
    let private = folder.join(".brigade");
    let is_private = fs::symlink_metadata(&private).is_ok_and(|found| found.is_dir());
    let name = format!("doctor-{}", std::process::id());
    let trial = if is_private { private.join(name) } else { folder.join(format!(".brigade-{name}")) };
    let mut result = FolderTrial { fault: None, no_hard_links: None };
    if let Err(source) = fs::create_dir(&trial) {
        result.fault = Some(FolderFault { action: "make a folder in", path: above(&trial), source });
        return result;
    }
    let tried = try_files(&trial, &mut result.no_hard_links);
    let removed = fs::remove_dir_all(&trial);
    result.fault = tried.err().map(|(action, path, source)| FolderFault { action, path, source });
    if let (None, Err(source)) = (&result.fault, removed) {
        result.fault = Some(FolderFault { action: "remove", path: trial, source });
    }
    result
}

type StepError = (&'static str, PathBuf, io::Error);

fn try_files(trial: &Path, no_hard_links: &mut Option<io::Error>) -> Result<(), StepError> {
    let [written, linked, renamed] = ["written", "linked", "renamed"].map(|name| trial.join(name));
    let mut file = File::create_new(&written).map_err(|error| ("make a file in", above(trial), error))?;
    let filled = file.write_all(&vec![7; TRIAL_BYTES]).and_then(|()| file.sync_all());
    filled.map_err(|error| ("write a file in", above(trial), error))?;
    drop(file);
    *no_hard_links = fs::hard_link(&written, &linked).err();
    fs::rename(&written, &renamed).map_err(|error| ("rename a file in", above(trial), error))?;
    fs::remove_file(&renamed).map_err(|error| ("remove a file in", above(trial), error))
}

fn above(path: &Path) -> PathBuf {
    path.parent().unwrap_or(path).to_owned()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{Severity, disk_space, severity, try_folder};

    #[test]
    fn a_trial_leaves_nothing_behind() {
        let temp = tempfile::tempdir().unwrap();
        for private in [false, true] {
            if private {
                fs::create_dir(temp.path().join(".brigade")).unwrap();
            }
            let trial = try_folder(temp.path());
            assert_eq!(trial.severity(), Severity::Ok, "{trial:?}");
            let left = fs::read_dir(temp.path()).unwrap().count() - usize::from(private);
            assert_eq!(left, 0);
        }
        assert!(fs::read_dir(temp.path().join(".brigade")).unwrap().next().is_none());
        let missing = try_folder(&temp.path().join("none"));
        assert_eq!(
            (missing.severity(), missing.fault.unwrap().action),
            (Severity::Fault, "make a folder in")
        );
    }

    #[test]
    fn little_space_is_a_warning_and_almost_none_a_fault() {
        for (free, expected) in [
            (None, Severity::Ok),
            (Some(100), Severity::Ok),
            (Some(99), Severity::Warning),
            (Some(9), Severity::Fault),
        ] {
            assert_eq!(severity(free, 10, 100), expected, "{free:?}");
        }
        let temp = tempfile::tempdir().unwrap();
        assert!(disk_space(&temp.path().join("not/yet")).is_ok());
    }
}
