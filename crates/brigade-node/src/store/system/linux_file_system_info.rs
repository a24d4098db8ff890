//! The file system of a directory on Linux: its identity, its free space, and the permissions.
//!
//! All functions only read. `portable` has those of other systems.

use std::io;

use rustix::{
    fs::{AtFlags, StatVfsMountFlags, StatxFlags, fstatvfs, statat, statx},
    io::Errno,
    process::geteuid,
};

use super::{
    file_system_info::{FileSystemId, FreeSpace, free_of},
    linux_directory::Dir,
};

/// The mode bit of a directory that allows only the owners, of the directory and of a file, to rename or remove the
/// file.
const STICKY: u32 = 0o1000;

/// The capability to act as the owner of each file (`linux/capability.h`).
const CAP_FOWNER: u64 = 1 << 3;

impl Dir {
    /// The identity for renames: the device (a Btrfs subvolume has its own) and the mount, since a rename cannot
    /// cross two mounts of one device.
    pub(in crate::store) fn file_system(&self) -> io::Result<FileSystemId> {
        match statx(&self.0, "", AtFlags::EMPTY_PATH, StatxFlags::MNT_ID) {
            Ok(found) => {
                let device = (u64::from(found.stx_dev_major) << 32) | u64::from(found.stx_dev_minor);
                // The mount is 0 before Linux 5.8: then the rename itself finds out.
                Ok(FileSystemId { device, mount: found.stx_mnt_id })
            }
            Err(Errno::NOSYS | Errno::PERM) => {
                Ok(FileSystemId { device: rustix::fs::fstat(&self.0)?.st_dev, mount: 0 })
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Whether its file system is known to be read-only.
    pub(in crate::store) fn is_read_only(&self) -> io::Result<bool> {
        Ok(fstatvfs(&self.0)?.f_flag.contains(StatVfsMountFlags::RDONLY))
    }

    /// The space that an ordinary user may still use.
    pub(in crate::store) fn free(&self) -> io::Result<FreeSpace> {
        Ok(free_of(&fstatvfs(&self.0)?))
    }

    /// The maximum length of a name in bytes; `None` if the file system does not report it.
    pub(in crate::store) fn longest_name(&self) -> Option<u64> {
        fstatvfs(&self.0).ok().map(|found| found.f_namemax).filter(|most| *most > 0)
    }

    /// Whether this process may rename or remove `name` in this directory, as far as that depends on the owners.
    pub(in crate::store) fn may_move(&self, name: &str) -> io::Result<bool> {
        let (this, file) = (rustix::fs::fstat(&self.0)?, statat(&self.0, name, AtFlags::SYMLINK_NOFOLLOW)?);
        let owners = [this.st_uid, file.st_uid];
        Ok(this.st_mode & STICKY == 0 || owners.contains(&geteuid().as_raw()) || acts_as_owner())
    }

    /// Whether both are the same directory. If that cannot be found out, the answer is yes.
    pub(in crate::store) fn is_same(&self, other: &Self) -> bool {
        match (rustix::fs::fstat(&self.0), rustix::fs::fstat(&other.0)) {
            (Ok(this), Ok(other)) => (this.st_dev, this.st_ino) == (other.st_dev, other.st_ino),
            _ => true,
        }
    }
}

/// Whether this thread has the rights of each file's owner (`CAP_FOWNER`); root in a container may not have them.
fn acts_as_owner() -> bool {
    match std::fs::read_to_string("/proc/thread-self/status") {
        Ok(status) => has_owner_rights(&status),
        Err(_) => geteuid().is_root(),
    }
}

fn has_owner_rights(status: &str) -> bool {
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let effective = effective.and_then(|set| u64::from_str_radix(set.trim(), 16).ok());
    effective.is_some_and(|set| set & CAP_FOWNER != 0)
}

#[cfg(test)]
mod tests {
    use super::{Dir, has_owner_rights};

    #[test]
    fn rights_of_an_owner_are_a_capability_and_no_matter_of_the_user() {
        assert!(has_owner_rights("Uid:\t7\nCapPrm:\t0\nCapEff:\t0000000000000008\n"));
        assert!(!has_owner_rights("Uid:\t0\nCapPrm:\t8\nCapEff:\t00000000a80425f7\n"));
        assert!(!has_owner_rights(""));
    }

    #[test]
    fn a_folder_and_one_below_it_are_on_one_file_system_and_proc_is_another() {
        let temp = tempfile::tempdir().unwrap();
        std::fs::create_dir(temp.path().join("d")).unwrap();
        let dir = Dir::open_root(temp.path()).unwrap();
        let own = dir.file_system().unwrap();
        assert_eq!(dir.open_path_only("d").unwrap().file_system().unwrap(), own);
        let other = Dir::open_root(std::path::Path::new("/proc")).unwrap();
        assert_ne!(other.file_system().unwrap(), own);
        assert!(dir.free().unwrap().bytes > 0 && dir.longest_name() >= Some(100));
    }
}
