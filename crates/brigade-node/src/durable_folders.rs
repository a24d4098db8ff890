//! Folders and names that survive a power failure: a file is durable only if the folder with its name is durable too.
//!
//! It also removes folders that a start made and does not need. It does not know what the folders are for. Not every
//! file system has each operation: `is_unsupported` finds the errors that mean this.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// Makes the names in the folder `path` durable.
pub(crate) fn sync_folder(path: &Path) -> io::Result<()> {
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    sync_names(path)
}

#[cfg(unix)]
fn sync_names(path: &Path) -> io::Result<()> {
    sync_opened(fs::File::open(path))
}

/// Syncs a folder, as far as that is possible.
#[cfg(unix)]
fn sync_opened(folder: io::Result<fs::File>) -> io::Result<()> {
    let folder = match folder {
        // A folder that is writable but not readable cannot be synced; its file system writes it without that.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Ok(()),
        folder => folder?,
    };
    match folder.sync_all() {
        // Some file systems cannot sync folders.
        Err(error) if error.kind() == io::ErrorKind::InvalidInput || is_unsupported(&error) => Ok(()),
        result => result,
    }
}

/// On other systems names are durable without this, and a folder cannot be opened as a file.
#[cfg(not(unix))]
fn sync_names(_: &Path) -> io::Result<()> {
    Ok(())
}

/// Whether an error means that the file system does not have the attempted operation.
pub(crate) fn is_unsupported(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::Unsupported
        || error.raw_os_error().is_some_and(|code| UNSUPPORTED.contains(&code))
}

/// Errors of the system for such an operation that have another kind in the standard library.
#[cfg(unix)]
const UNSUPPORTED: [i32; 1] = [rustix::io::Errno::NOTSUP.raw_os_error()];

/// `ERROR_INVALID_FUNCTION` and `ERROR_NOT_SUPPORTED` (`winerror.h`).
#[cfg(windows)]
const UNSUPPORTED: [i32; 2] = [1, 50];

/// Creates the folder at `path` and those above it, if they do not exist, durably; `private` ones for their owner
/// only. Returns the new folders, innermost first. If one cannot be created, none is left.
pub fn make_folders(path: &Path, private: bool) -> io::Result<Vec<PathBuf>> {
    let missing = path.ancestors().take_while(|folder| !folder.as_os_str().is_empty() && !folder.exists());
    let missing: Vec<PathBuf> = missing.map(Path::to_owned).collect();
    let made = builder(private)
        .create(path)
        .and_then(|()| missing.iter().filter_map(|folder| folder.parent()).try_for_each(sync_folder));
    match made {
        Ok(()) => Ok(missing),
        Err(error) => {
            remove_folders(&missing);
            Err(error)
        }
    }
}

/// Removes the given folders, innermost first; one that is not empty stays.
pub fn remove_folders(made: &[PathBuf]) {
    made.iter().for_each(|folder| drop(fs::remove_dir(folder)));
}

fn builder(private: bool) -> fs::DirBuilder {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    if private {
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    }
    #[cfg(not(unix))]
    let _ = private; // the user's profile protects it
    builder
}

#[cfg(test)]
mod tests {
    use std::fs;

    #[cfg(unix)]
    use super::{io, sync_opened};
    use super::{make_folders, remove_folders, sync_folder};

    #[test]
    fn folders_are_created_once_and_removed_if_they_are_empty() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("a/b/c");
        let made = make_folders(&path, true).unwrap();
        assert_eq!(made, [path.clone(), temp.path().join("a/b"), temp.path().join("a")]);
        #[cfg(unix)]
        assert_eq!(
            std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&path).unwrap().permissions()) & 0o77,
            0
        );
        assert!(make_folders(&path, true).unwrap().is_empty());
        fs::write(temp.path().join("a/file"), "of the user").unwrap();
        remove_folders(&made);
        assert!(!temp.path().join("a/b").exists() && temp.path().join("a/file").exists());
        sync_folder(temp.path()).unwrap();
        sync_folder("".as_ref()).unwrap();
        #[cfg(unix)]
        assert!(sync_folder(&path).is_err());
    }

    /// The error is not from a real folder: if the tests run as root, they can read one with the mode 0333.
    #[cfg(unix)]
    #[test]
    fn a_folder_that_may_not_be_read_cannot_be_synced_which_is_no_error() {
        sync_opened(Err(io::ErrorKind::PermissionDenied.into())).unwrap();
        assert!(sync_opened(Err(io::ErrorKind::NotFound.into())).is_err());
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("write-only");
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o333)).unwrap();
        make_folders(&path.join("below"), false).unwrap();
        sync_folder(&path).unwrap();
    }

    #[test]
    fn a_failed_creation_removes_all_new_folders() {
        let temp = tempfile::tempdir().unwrap();
        fs::write(temp.path().join("file"), "").unwrap();
        assert!(make_folders(&temp.path().join("file/below"), false).is_err());
        assert_eq!(fs::read_dir(temp.path()).unwrap().count(), 1);
    }
}
