//! The files of services that this command writes: they have a mark, and other files are left alone.
//!
//! `installation` knows where they are, `systemd_unit` and `launchd_file` what is in them.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use crate::{
    failure::{DISK, FAILED, Failure},
    text::escape::escape,
};

/// The first line of each file that this command writes.
pub(super) const MARK: &str = "Written by `brigade service install`; `brigade service remove` removes it.";

/// The text of a file that this command wrote; `None` if there is none.
///
/// # Errors
/// If it cannot be read, or is another program's.
pub(super) fn read_own(file: &Path) -> Result<Option<String>, Failure> {
    match fs::read_to_string(file) {
        Ok(text) if text.lines().take(3).any(|line| line.contains(MARK)) => Ok(Some(text)),
        Ok(_) => {
            let failure = Failure::new(FAILED, format!("{} was not written by this command", file.display()));
            Err(failure.hint("move it away, or choose another --name"))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(disk("read", file, &error)),
    }
}

/// Writes the file under a temporary name and renames it, so that the service manager never reads half of it.
pub(super) fn write(file: &Path, text: &str) -> Result<(), Failure> {
    let folder = file.parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(folder).map_err(|error| disk("make", folder, &error))?;
    let temporary: PathBuf = file.with_extension("brigade-new");
    fs::write(&temporary, text).map_err(|error| disk("write", &temporary, &error))?;
    fs::rename(&temporary, file).map_err(|error| disk("write", file, &error))
}

pub(super) fn disk(action: &str, path: &Path, error: &io::Error) -> Failure {
    let failure = Failure::new(DISK, format!("could not {action} {}: {error}", path.display()));
    match error.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            failure.hint("a service of the machine needs root (`sudo`); --user installs one for this user")
        }
        _ => failure,
    }
}

pub(super) fn shown(path: &Path) -> String {
    escape(&path.display().to_string()).into_owned()
}
