//! The file that a client of a running manager writes with the bytes of a backup, wherever it wants to have it.
//!
//! Like a copy of the manager itself, it is written beside its place, only its owner can read it, and it gets its name
//! when it is complete and durable, without replacing anything. Nothing stays behind if it is dropped before.

use std::{
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
};

use super::{
    backup::{BackupError, check_absent, draft_of, give_name},
    file::StateCopyError,
};
use crate::identity::key::private_file;

/// A backup that is being written. It waits for the disk.
#[derive(Debug)]
pub struct BackupFile {
    path: PathBuf,
    draft: PathBuf,
    file: File,
}

impl BackupFile {
    /// Begins the new file `path`.
    ///
    /// # Errors
    /// If something has the name already, or no file can be made in its folder.
    pub fn create(path: &Path) -> Result<Self, BackupError> {
        check_absent(path)?;
        let draft = draft_of(path);
        let file = private_file(&draft).map_err(|error| StateCopyError::of_file(path, error))?;
        Ok(Self { path: path.to_owned(), draft, file })
    }

    /// Appends bytes.
    ///
    /// # Errors
    /// If they cannot be written, for example because the disk is full.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), BackupError> {
        let written = self.file.write_all(bytes);
        Ok(written.map_err(|error| StateCopyError::of_file(&self.path, error))?)
    }

    /// Gives the complete file its name, durably.
    ///
    /// # Errors
    /// If something has the name meanwhile, or the disk reports an error.
    pub fn finish(self) -> Result<(), BackupError> {
        self.file.sync_all().map_err(|error| StateCopyError::of_file(&self.path, error))?;
        give_name(&self.draft, &self.path)
    }
}

impl Drop for BackupFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.draft); // it does not exist any more if it was renamed
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{BackupError, BackupFile};

    #[test]
    fn a_backup_file_is_complete_or_absent_and_replaces_nothing() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("saved");
        let mut first = BackupFile::create(&path).unwrap();
        let mut second = BackupFile::create(&path).unwrap();
        first.write(b"first").unwrap();
        second.write(b"second").unwrap();
        drop(BackupFile::create(&path).unwrap());
        assert!(!path.exists());
        first.finish().unwrap();
        assert!(matches!(second.finish(), Err(BackupError::Exists { .. })));
        assert!(matches!(BackupFile::create(&path), Err(BackupError::Exists { .. })));
        assert_eq!(fs::read(&path).unwrap(), b"first");
        assert_eq!(fs::read_dir(temp.path()).unwrap().count(), 1);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
    }
}
