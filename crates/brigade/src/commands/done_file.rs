//! `--done-file`: a file that is created when everything is complete.
//!
//! An error that would prevent it is reported before anything is fetched, as far as it is known then.

use std::{fs, io, path::Path};

use crate::failure::{DISK, Failure};

/// Reports an error before anything is fetched. The folder `into` counts as existing: it is created before the file.
pub(super) fn check_done_file(path: Option<&Path>, into: &Path) -> Result<(), Failure> {
    let Some(path) = path else { return Ok(()) };
    creation_error(path, into).map_err(|reason| {
        let message = format!("--done-file {} cannot be created: {reason}", path.display());
        Failure::new(DISK, message).hint("nothing was fetched; name a file in a folder that is writable")
    })
}

/// Creates the file. It is empty, so that a program that waits for it never sees a part of it.
pub(super) fn make_done_file(path: &Path) -> Result<(), Failure> {
    let made = fs::OpenOptions::new().create(true).truncate(true).write(true).open(path);
    made.map(drop).map_err(|error| {
        let message =
            format!("everything was fetched, but --done-file {} cannot be created: {error}", path.display());
        Failure::new(DISK, message)
            .hint("create it yourself, or run the same command again with another file")
    })
}

/// The reason why the file cannot be created. The file itself is not created to find out, since other programs may wait
/// for it.
fn creation_error(path: &Path, into: &Path) -> Result<(), String> {
    match fs::metadata(path) {
        Ok(found) if found.is_dir() => return Err("it is a folder".to_owned()),
        Ok(found) if found.is_file() => {
            return fs::OpenOptions::new()
                .write(true)
                .open(path)
                .map(drop)
                .map_err(|error| error.to_string());
        }
        Ok(_) => return Ok(()), // a pipe or a device: opening it might wait
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.to_string()),
        Err(_) if fs::symlink_metadata(path).is_ok() => {
            return Err("it is a link to a path that does not exist".to_owned());
        }
        Err(_) => {}
    }
    if path.file_name().is_none() || path.as_os_str().as_encoded_bytes().ends_with(b"/") {
        return Err("it is not the name of a file".to_owned());
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    match fs::metadata(folder) {
        Ok(found) if found.is_dir() => check_writable(folder).map_err(|error| format!("its folder: {error}")),
        Ok(_) => Err("its parent is not a folder".to_owned()),
        Err(error) if error.kind() == io::ErrorKind::NotFound && into.starts_with(folder) => Ok(()), // it is created first
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err("its folder does not exist".to_owned()),
        Err(error) => Err(format!("its folder: {error}")),
    }
}

#[cfg(unix)]
fn check_writable(folder: &Path) -> io::Result<()> {
    use rustix::fs::{Access, AtFlags, CWD, accessat};
    Ok(accessat(CWD, folder, Access::WRITE_OK | Access::EXEC_OK, AtFlags::EACCESS)?)
}

#[cfg(not(unix))]
fn check_writable(_: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{DISK, check_done_file, make_done_file};

    #[test]
    fn a_done_file_that_cannot_be_created_is_reported_before_the_fetch() {
        let temp = tempfile::tempdir().unwrap();
        fs::create_dir(temp.path().join("folder")).unwrap();
        fs::write(temp.path().join("file"), "mine").unwrap();
        #[cfg(unix)]
        for (target, link) in [("nowhere", "dangling"), ("nowhere/file", "lost"), ("file", "link")] {
            std::os::unix::fs::symlink(temp.path().join(target), temp.path().join(link)).unwrap();
        }
        let check = |name: &str| check_done_file(Some(&temp.path().join(name)), &temp.path().join("into"));
        for (name, reason) in [
            ("folder", "it is a folder"),
            ("not/there", "its folder does not exist"),
            ("file/below", "cannot be created: "),
            ("folder/new/", "it is not the name of a file"),
            #[cfg(unix)] // on Windows the name is found to be too long when the file is created
            (&"x".repeat(300), "cannot be created: "),
            #[cfg(unix)]
            ("dangling", "it is a link to a path that does not exist"),
            #[cfg(unix)]
            ("lost", "it is a link to a path that does not exist"),
        ] {
            let failure = check(name).unwrap_err();
            assert!(failure.code == DISK && failure.text().contains(reason), "{name}: {}", failure.text());
        }
        for name in ["new", "file", "into/new"] {
            check(name).unwrap();
        }
        #[cfg(unix)]
        check("link").unwrap();
        assert_eq!(fs::read(temp.path().join("file")).unwrap(), b"mine");
        assert!(!temp.path().join("new").exists());
        check_done_file(None, temp.path()).unwrap();
        assert_eq!(make_done_file(&temp.path().join("folder")).unwrap_err().code, DISK);
    }
}
