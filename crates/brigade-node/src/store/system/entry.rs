//! Entries of folders: their kind, and their stamp.
//!
//! A symbolic link is an entry of its own kind; nothing follows it.

use std::{ffi::OsString, fmt};

use crate::store::file_stamp::Stamp;

/// The kind of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FileKind {
    /// A regular file.
    File,
    /// A folder.
    Folder,
    /// A symbolic link, or its counterpart on Windows.
    Link,
    /// A named pipe.
    #[cfg(unix)]
    Pipe,
    /// A socket.
    #[cfg(unix)]
    Socket,
    /// A device, or a kind that only this system has.
    Device,
}

/// Linux has file types of its own: see `linux_directory`. There, only the tests of `portable` use this.
#[cfg(any(test, not(target_os = "linux")))]
impl From<std::fs::FileType> for FileKind {
    fn from(file_type: std::fs::FileType) -> Self {
        #[cfg(unix)]
        {
            use std::os::unix::fs::FileTypeExt;
            if file_type.is_fifo() {
                return Self::Pipe;
            }
            if file_type.is_socket() {
                return Self::Socket;
            }
        }
        if file_type.is_symlink() {
            Self::Link
        } else if file_type.is_dir() {
            Self::Folder
        } else if file_type.is_file() {
            Self::File
        } else {
            Self::Device
        }
    }
}

impl fmt::Display for FileKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::File => "a file",
            Self::Folder => "a folder",
            Self::Link => "a link",
            #[cfg(unix)]
            Self::Pipe => "a named pipe",
            #[cfg(unix)]
            Self::Socket => "a socket",
            Self::Device => "a device",
        })
    }
}

/// One entry of a folder.
pub(in crate::store) struct FolderEntry {
    pub(in crate::store) name: OsString,
    pub(in crate::store) kind: FileKind,
}

/// The kind of the entry with a given name, and its stamp.
pub(in crate::store) struct EntryStatus {
    pub(in crate::store) kind: FileKind,
    pub(in crate::store) stamp: Stamp,
    /// Whether the file has other names (hard links).
    pub(in crate::store) linked: bool,
}

impl EntryStatus {
    /// The stamp of a regular file that has other names.
    pub(in crate::store) fn linked_file(&self) -> Option<Stamp> {
        (self.linked && self.kind == FileKind::File).then_some(self.stamp)
    }
}
