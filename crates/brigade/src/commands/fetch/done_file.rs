//! `--done-file`: a file that is created when everything is complete.
//!
//! An error that would prevent it is reported before anything is fetched, as far as it is known then. No existing file is
//! changed: only an empty one, which an earlier fetch has left, is removed before the next fetch begins.

use std::{
    fs, io,
    path::{Path, absolute},
};

use brigade_core::name::FileName;

use crate::failure::{DISK, Failure};

/// Reports an error before anything is fetched. The folder `into` counts as existing: it is created before the file.
pub(super) fn check_done_file(path: Option<&Path>, into: &Path) -> Result<(), Failure> {
    let Some(path) = path else { return Ok(()) };
    creation_error(path, into).map_err(|reason| failure(path, &reason))
}

/// Removes the empty file of an earlier fetch, so that no program takes it for the one of this fetch.
pub(super) fn remove_old_done_file(path: Option<&Path>) -> Result<(), Failure> {
    let Some(path) = path else { return Ok(()) };
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(failure(path, &format!("an old one cannot be removed: {error}")))
        }
        _ => Ok(()),
    }
}

/// Reports a path that is the place of a fetched file in the folder `into`, or of a folder for one.
pub(super) fn check_fetched_names<'a>(
    path: Option<&Path>,
    into: &Path,
    mut names: impl Iterator<Item = &'a FileName>,
) -> Result<(), Failure> {
    let Some(path) = path else { return Ok(()) };
    let (Ok(done), Ok(into)) = (absolute(path), absolute(into)) else { return Ok(()) };
    let Ok(below) = done.strip_prefix(&into) else { return Ok(()) };
    match names.find(|name| Path::new(name.as_str()).starts_with(below)) {
        Some(name) if Path::new(name.as_str()) == below => {
            Err(failure(path, "a file that is to be fetched gets this name"))
        }
        Some(_) => Err(failure(path, "a folder for files that are to be fetched gets this name")),
        None => Ok(()),
    }
}

/// Whether `path` is the folder `into` or a folder above it.
fn contains(path: &Path, into: &Path) -> bool {
    absolute(into).is_ok_and(|into| absolute(path).is_ok_and(|path| into.starts_with(path)))
}

/// Creates the file. It is empty, so that a program that waits for it never sees a part of it.
pub(super) fn make_done_file(path: &Path) -> Result<(), Failure> {
    let made = fs::OpenOptions::new().create_new(true).write(true).open(path);
    made.map(drop).map_err(|error| {
        let message =
            format!("everything was fetched, but --done-file {} cannot be created: {error}", path.display());
        Failure::new(DISK, message)
            .hint("create it yourself, or run the same command again with another file")
    })
}

fn failure(path: &Path, reason: &str) -> Failure {
    let message = format!("--done-file {} cannot be created: {reason}", path.display());
    Failure::new(DISK, message).hint("nothing was fetched; name a new file in a folder that is writable")
}

/// The reason why the file cannot be created. The file itself is not created to find out, since other programs may wait
/// for it.
fn creation_error(path: &Path, into: &Path) -> Result<(), String> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => return Err("it is a folder".to_owned()),
        Ok(found) if found.is_symlink() => return Err("it is a link".to_owned()),
        Ok(found) if !found.is_file() => return Err("it exists, and is not a regular file".to_owned()),
        Ok(found) if found.len() > 0 => return Err("it exists, and is not empty".to_owned()),
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.to_string()),
        Ok(_) | Err(_) => {}
    }
    if path.file_name().is_none() || path.as_os_str().as_encoded_bytes().ends_with(b"/") {
        return Err("it is not the name of a file".to_owned());
    }
    if contains(path, into) || contains(path, &into.join(".brigade")) {
        return Err("the folder for the fetched files, or a folder above it, gets this name".to_owned());
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

    use super::{DISK, check_done_file, check_fetched_names, make_done_file, remove_old_done_file};

    #[test]
    fn a_done_file_that_cannot_be_created_is_reported_before_the_fetch() {
        let temp = tempfile::tempdir().unwrap();
        fs::create_dir(temp.path().join("folder")).unwrap();
        fs::write(temp.path().join("file"), "mine").unwrap();
        fs::write(temp.path().join("empty"), "").unwrap();
        #[cfg(unix)]
        for (target, link) in [("nowhere", "dangling"), ("nowhere/file", "lost"), ("empty", "link")] {
            std::os::unix::fs::symlink(temp.path().join(target), temp.path().join(link)).unwrap();
        }
        #[cfg(unix)]
        let _socket = std::os::unix::net::UnixListener::bind(temp.path().join("socket")).unwrap();
        let check = |name: &str| check_done_file(Some(&temp.path().join(name)), &temp.path().join("into"));
        for (name, reason) in [
            ("folder", "it is a folder"),
            ("file", "it exists, and is not empty"),
            ("not/there", "its folder does not exist"),
            ("file/below", "cannot be created: "),
            ("folder/new/", "it is not the name of a file"),
            ("into", "the folder for the fetched files, or a folder above it, gets this name"),
            #[cfg(unix)] // on Windows the name is found to be too long when the file is created
            (&"x".repeat(300), "cannot be created: "),
            #[cfg(unix)]
            ("dangling", "it is a link"),
            #[cfg(unix)]
            ("lost", "it is a link"),
            #[cfg(unix)]
            ("link", "it is a link"),
            #[cfg(unix)]
            ("socket", "it exists, and is not a regular file"),
        ] {
            let failure = check(name).unwrap_err();
            assert!(failure.code == DISK && failure.text().contains(reason), "{name}: {}", failure.text());
        }
        for name in ["new", "empty", "into/new", "int", "into2"] {
            check(name).unwrap();
        }
        for above in ["new", "empty", "new/sub"] {
            let into = temp.path().join(above).join("into");
            let checked = check_done_file(Some(&temp.path().join("new")), &into);
            assert_eq!(checked.is_err(), above != "empty", "{above}/into");
        }
        assert_eq!(fs::read(temp.path().join("file")).unwrap(), b"mine");
        assert!(!temp.path().join("new").exists());
        check_done_file(None, temp.path()).unwrap();
        assert_eq!(make_done_file(&temp.path().join("folder")).unwrap_err().code, DISK);
    }

    #[test]
    fn an_existing_file_is_never_changed_and_one_of_an_earlier_fetch_is_removed() {
        let temp = tempfile::tempdir().unwrap();
        let (into, done) = (temp.path().join("into"), temp.path().join("done"));
        let name = "sub/film.bin".parse().unwrap();
        make_done_file(&done).unwrap();
        assert_eq!(make_done_file(&done).unwrap_err().code, DISK, "a file with this name has appeared");
        check_done_file(Some(&done), &into).unwrap();
        remove_old_done_file(Some(&done)).unwrap();
        remove_old_done_file(Some(&done)).unwrap();
        assert!(!done.exists());
        check_fetched_names(Some(&done), &into, [&name].into_iter()).unwrap();
        let fetched = into.join("sub/film.bin");
        let failure = check_fetched_names(Some(&fetched), &into, [&name].into_iter()).unwrap_err();
        assert!(failure.text().contains("a file that is to be fetched gets this name"));
        let failure = check_fetched_names(Some(&into.join("sub")), &into, [&name].into_iter()).unwrap_err();
        assert!(failure.text().contains("a folder for files that are to be fetched gets this name"));
        for other in ["sub/film", "su", "sub/film.bin.done"] {
            check_fetched_names(Some(&into.join(other)), &into, [&name].into_iter()).unwrap();
        }
        fs::create_dir_all(fetched.parent().unwrap()).unwrap();
        fs::write(&fetched, "film").unwrap();
        assert_eq!(check_done_file(Some(&fetched), &into).unwrap_err().code, DISK);
        assert_eq!(make_done_file(&fetched).unwrap_err().code, DISK);
        assert_eq!(fs::read(&fetched).unwrap(), b"film");
    }
}
