//! Errors of the system: a few that the store distinguishes, and texts with advice for people.
//!
//! Only errors with an unhelpful text of their own get another one: the limits on open files and on the size of a
//! file, which the account, the machine or the file system sets.

use std::{fmt, io};

use crate::{durable_folders::is_unsupported, user_account::too_many_open_files::OpenFilesLimit};

/// Whether an error means that the file system does not store an attribute of a file: modes on FAT, or times of a file
/// of another user. The bytes are complete all the same.
pub(in crate::store) fn is_not_kept(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::InvalidInput)
        || is_unsupported(error)
}

/// A path has a symbolic link in it, or leaves the folder.
#[derive(Debug, thiserror::Error)]
#[error("there is a link in the path")]
struct SymlinkInPath;

/// The error for a path with a symbolic link in it.
pub(super) fn symlink_in_path() -> io::Error {
    io::Error::other(SymlinkInPath)
}

/// Whether a file was not opened because its path has a symbolic link in it.
pub(in crate::store) fn is_link(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<SymlinkInPath>())
}

/// Shows an error of the system in words for people.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ErrorText<'a>(pub &'a io::Error);

impl fmt::Display for ErrorText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(error) = self;
        match OpenFilesLimit::of_error(error) {
            Some(limit @ OpenFilesLimit::Process) => write!(f, "too many open files: {}", limit.advice()),
            Some(limit @ OpenFilesLimit::Machine) => {
                write!(f, "too many open files on this machine: {}", limit.advice())
            }
            None if error.kind() == io::ErrorKind::FileTooLarge => f.write_str(match size_is_limited() {
                true => "the file is larger than this account may write (`ulimit -f`)",
                false => "the file is larger than its file system can hold",
            }),
            None => error.fmt(f),
        }
    }
}

/// Whether the size of the files that this process writes is limited.
fn size_is_limited() -> bool {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, getrlimit};
        getrlimit(Resource::Fsize).current.is_some()
    }
    #[cfg(not(unix))]
    false
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use std::io;

    use rustix::io::Errno;

    use super::ErrorText;

    #[test]
    fn limits_are_shown_with_advice() {
        let shown = |error: Errno| ErrorText(&io::Error::from(error)).to_string();
        assert!(
            shown(Errno::MFILE).contains("too many open files") && shown(Errno::MFILE).contains("ulimit -n")
        );
        assert!(shown(Errno::NFILE).contains("fs.file-max"));
        assert!(shown(Errno::FBIG).starts_with("the file is larger than "));
        assert!(shown(Errno::ACCESS).starts_with("Permission denied"));
    }
}
