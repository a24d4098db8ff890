//! The disk of a run, and the only place that knows what exFAT cannot do.
//!
//! On exFAT there are no links and no permissions: these changes are left out. A name with a colon cannot be created,
//! and such changes fail as others do. Times are whole seconds, so they do not show each write: the expected content
//! is read again after each write of the test, and a write keeps the old time only while the peer can see its event.
//! All names of the test differ in more than capital letters.

use std::fs;

use crate::{test_disk::Disk, test_network::Network};

/// The disk with the shared folder and the folder outside.
pub(super) struct DiskUnderTest {
    /// Unmounted when it is dropped.
    exfat: Option<Disk>,
}

/// The kinds of changes that not every file system can make.
#[derive(Clone, Copy)]
pub(super) enum RareChange {
    Link,
    Symlink,
    Mode,
}

impl DiskUnderTest {
    /// The file system of the temporary folders.
    pub(super) fn of_the_system() -> Self {
        Self { exfat: None }
    }

    /// A new disk with exFAT; `None` if it cannot be mounted.
    pub(super) fn exfat(network: &Network) -> Option<Self> {
        let disk = Disk::exfat(network, "disk")?;
        fs::create_dir(network.path("disk/fire_user")).unwrap();
        Some(Self { exfat: Some(disk) })
    }

    /// Whether each write, and each change of an attribute, changes a time of the file.
    pub(super) fn has_fine_times(&self) -> bool {
        self.exfat.is_none()
    }

    /// Whether it can make such a change.
    pub(super) fn can(&self, change: RareChange) -> bool {
        match change {
            RareChange::Link | RareChange::Symlink | RareChange::Mode => self.exfat.is_none(),
        }
    }
}
