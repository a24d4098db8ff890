//! Folders and names that survive a power cut: a file is durable only when the folder that names it is, too.
//!
//! What a start made and does not need is unmade here as well. It knows nothing of what the folders are for.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// Makes the names in the folder `path` durable.
pub fn sync_folder(path: &Path) -> io::Result<()> {
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    sync_names(path)
}

#[cfg(unix)]
fn sync_names(path: &Path) -> io::Result<()> {
    sync_opened(fs::File::open(path))
}

/// A folder that could be opened is synced, as far as that can be done.
#[cfg(unix)]
fn sync_opened(folder: io::Result<fs::File>) -> io::Result<()> {
    let folder = match folder {
        // A folder may be written to and not be read: it cannot be synced, and its file system writes by itself.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Ok(()),
        folder => folder?,
    };
    match folder.sync_all() {
        // Some file systems have no such thing for folders.
        Err(error) if matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported) => {
            Ok(())
        }
        result => result,
    }
}

/// Elsewhere the system keeps names by itself, and a folder cannot be opened as a file.
#[cfg(not(unix))]
fn sync_names(_: &Path) -> io::Result<()> {
    Ok(())
}

/// Makes the folder at `path` and those that lead to it, where they are not there, durably; `private` ones for their
/// owner alone. Those that were made, innermost first. Where one cannot be made, none is left.
pub fn make_folders(path: &Path, private: bool) -> io::Result<Vec<PathBuf>> {
    let missing = path.ancestors().take_while(|folder| !folder.as_os_str().is_empty() && !folder.exists());
    let missing: Vec<PathBuf> = missing.map(Path::to_owned).collect();
    let made = builder(private)
        .create(path)
        .and_then(|()| missing.iter().filter_map(|folder| folder.parent()).try_for_each(sync_folder));
    match made {
        Ok(()) => Ok(missing),
        Err(error) => {
            unmake_folders(&missing);
            Err(error)
        }
    }
}

/// Removes folders that were made, innermost first; one that has something in it stays.
pub fn unmake_folders(made: &[PathBuf]) {
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
    use super::{make_folders, sync_folder, unmake_folders};

    #[test]
    fn folders_are_made_once_and_unmade_where_they_are_empty() {
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
        unmake_folders(&made);
        assert!(!temp.path().join("a/b").exists() && temp.path().join("a/file").exists());
        sync_folder(temp.path()).unwrap();
        sync_folder("".as_ref()).unwrap();
        assert!(sync_folder(&path).is_err());
    }

    /// A real one with the mode 0333 would be read all the same where the tests run as root.
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
    fn where_one_cannot_be_made_none_is_left() {
        let temp = tempfile::tempdir().unwrap();
        fs::write(temp.path().join("file"), "").unwrap();
        assert!(make_folders(&temp.path().join("file/below"), false).is_err());
        assert_eq!(fs::read_dir(temp.path()).unwrap().count(), 1);
    }
}
