//! Entries and file systems on Windows, by their paths.
//!
//! An entry is opened only in order to ask for its attributes, with no right to its data: so a file that another
//! program has locked has a status too. `unix` has the same functions.

use std::{fs::OpenOptions, io, os::windows::fs::OpenOptionsExt, path::Path};

use crate::store::{
    file_stamp::stamp,
    system::{entry::EntryStatus, file_system_info::FreeSpace},
};

/// The flag to open a folder (`FILE_FLAG_BACKUP_SEMANTICS` in `winbase.h`).
const OPEN_FOLDER: u32 = 0x0200_0000;

/// The flag to open a link itself (`FILE_FLAG_OPEN_REPARSE_POINT` in `winbase.h`).
const OPEN_LINK: u32 = 0x0020_0000;

/// The status of the entry at `path`; a link is not followed.
pub(super) fn status(path: &Path) -> io::Result<EntryStatus> {
    let entry = OpenOptions::new().access_mode(0).custom_flags(OPEN_FOLDER | OPEN_LINK).open(path)?;
    let found = winapi_util::file::information(&entry)?;
    Ok(EntryStatus {
        kind: entry.metadata()?.file_type().into(),
        stamp: stamp(&found),
        linked: found.number_of_links() > 1,
    })
}

/// A private folder has the permissions of the folder in which it is.
#[allow(clippy::unnecessary_wraps, reason = "the other version can fail")]
pub(super) fn make_private(_: &Path) -> io::Result<()> {
    Ok(())
}

/// An attempt to write finds out: the read-only attribute of a folder does not protect its entries.
#[allow(clippy::unnecessary_wraps, reason = "the other version can fail")]
pub(super) fn is_read_only(_: &Path) -> io::Result<bool> {
    Ok(false)
}

/// The space in the volume of `path` that this user may still use. The number of files has no limit.
///
/// The system finds no volume for a path of more than 260 characters: then a folder above it is asked.
pub(super) fn free(path: &Path) -> io::Result<FreeSpace> {
    let mut found = fs4::available_space(path);
    for folder in path.ancestors().skip(1) {
        if found.is_ok() {
            break;
        }
        found = fs4::available_space(folder);
    }
    Ok(FreeSpace { bytes: found?, files: u64::MAX })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{free, is_read_only, status};

    #[test]
    fn a_hard_link_has_the_identity_of_its_file() {
        let temp = tempfile::tempdir().unwrap();
        let [file, link, other] = ["file", "link", "other"].map(|name| temp.path().join(name));
        fs::write(&file, "1").unwrap();
        fs::write(&other, "1").unwrap();
        assert!(!status(&file).unwrap().linked);
        fs::hard_link(&file, &link).unwrap();
        let [file, link, other] = [file, link, other].map(|path| status(&path).unwrap());
        assert!(file.linked && link.linked && !other.linked);
        assert_eq!(file.stamp, link.stamp);
        assert_ne!(file.stamp.file_id(), other.stamp.file_id());
    }

    #[test]
    fn the_free_space_is_known_in_a_deep_folder_too() {
        let temp = tempfile::tempdir().unwrap();
        let deep = temp.path().canonicalize().unwrap().join([&*"x".repeat(100); 3].join("/"));
        let deep: std::path::PathBuf = deep.components().collect();
        fs::create_dir_all(&deep).unwrap();
        for path in [temp.path(), &deep] {
            let free = free(path).unwrap();
            assert!(free.bytes > 0 && free.bytes < u64::MAX && !free.lacks_inodes(), "{free:?}");
        }
    }

    #[test]
    fn the_read_only_attribute_of_a_folder_does_not_protect_its_entries() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("folder");
        fs::create_dir(&path).unwrap();
        let mut permissions = fs::metadata(&path).unwrap().permissions();
        permissions.set_readonly(true);
        fs::set_permissions(&path, permissions).unwrap();
        assert!(!is_read_only(&path).unwrap());
        fs::write(path.join("file"), "").unwrap();
    }
}
