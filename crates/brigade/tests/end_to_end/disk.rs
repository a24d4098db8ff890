//! A disk of a test's own, that can be small, full, read-only or broken: a file system that root alone may mount.
//!
//! Where it cannot be mounted the test says that it was skipped; with `BRIGADE_REQUIRE_ALL=1` that is a failure.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::network::Network;

/// A mounted disk; unmounted when it is dropped.
pub(crate) struct Disk {
    path: PathBuf,
    /// Where its kind of disk can be made to fail.
    trigger: Option<PathBuf>,
    /// The device that was made for it, to be unmade.
    device: Option<String>,
}

impl Disk {
    /// A disk in memory that has so many MiB, at the folder `name` of the network, which it makes.
    pub(crate) fn in_memory(network: &Network, name: &str, mib: u32) -> Option<Self> {
        let options = format!("size={mib}m,mode=0755");
        Self::mount(&network.path(name), &["-t", "tmpfs", "-o", &options, "tmpfs"])
    }

    /// A disk that becomes read-only when it fails, as a real one does.
    pub(crate) fn that_can_fail(network: &Network, name: &str) -> Option<Self> {
        let image = network.path("image");
        fs::File::create(&image).unwrap().set_len(16 << 20).unwrap();
        let image = image.to_str().unwrap();
        if !works("mkfs.ext4", &["-q", "-O", "^has_journal", image]) {
            skip("mkfs.ext4");
            return None;
        }
        let mut disk = Self::mount(&network.path(name), &["-o", "loop,errors=remount-ro", image])?;
        let found = Command::new("findmnt").args(["-no", "SOURCE"]).arg(&disk.path).output().unwrap();
        let device = String::from_utf8(found.stdout).unwrap();
        let device = device.trim().trim_start_matches("/dev/");
        disk.trigger = Some(format!("/sys/fs/ext4/{device}/trigger_fs_error").into());
        Some(disk)
    }

    /// A disk with exFAT, as on memory cards: it keeps no permissions and has no links.
    pub(crate) fn exfat(network: &Network, name: &str) -> Option<Self> {
        let image = network.path("image");
        fs::File::create(&image).unwrap().set_len(64 << 20).unwrap();
        let image = image.to_str().unwrap();
        if !works("mkfs.exfat", &[image]) {
            skip("mkfs.exfat");
            return None;
        }
        let path = network.path(name);
        fs::create_dir(&path).unwrap();
        let made = Command::new("losetup").args(["-f", "--show", image]).output();
        let device = made.ok().filter(|made| made.status.success());
        let device = device.map(|made| String::from_utf8(made.stdout).unwrap().trim().to_owned());
        let mut disk = Self { path, trigger: None, device };
        let mounted = disk.device.as_deref().is_some_and(|device| {
            let at = disk.path.to_str().unwrap();
            works("mount", &["-t", "exfat", device, at]) || works("mount.exfat-fuse", &[device, at])
        });
        if !mounted {
            disk.unmake_device();
            skip("root and exFAT (in the kernel, or exfat-fuse), to mount a disk");
            return None;
        }
        Some(disk)
    }

    fn unmake_device(&mut self) {
        if let Some(device) = self.device.take() {
            works("losetup", &["-d", &device]);
        }
    }

    fn mount(path: &Path, arguments: &[&str]) -> Option<Self> {
        fs::create_dir(path).unwrap();
        if works("mount", &[arguments, &[path.to_str().unwrap()]].concat()) {
            return Some(Self { path: path.to_owned(), trigger: None, device: None });
        }
        skip("root, to mount a disk");
        None
    }

    /// Mounts it again where it is, read-only (`ro`) or writable (`rw`).
    pub(crate) fn mount_again(&self, how: &str) {
        assert!(works("mount", &["-o", &format!("remount,{how}"), self.path.to_str().unwrap()]));
    }

    /// Has it fail.
    pub(crate) fn fail(&self) {
        fs::write(self.trigger.as_ref().unwrap(), "the test wants it").unwrap();
    }

    /// Leaves no room on it, but for the last few bytes, by a file of that name.
    pub(crate) fn fill(&self, name: &str) {
        let mut file = fs::File::create(self.path.join(name)).unwrap();
        let block = vec![1; 4096];
        while std::io::Write::write_all(&mut file, &block).is_ok() {}
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: a process that is just ending may hold it for an instant.
        works("umount", &["-l", self.path.to_str().unwrap()]);
        self.unmake_device();
    }
}

/// Says that a test cannot be run here, and what it needs; where everything is required, that is a failure.
#[track_caller]
#[allow(clippy::print_stderr)] // where whoever runs the tests looks
pub(crate) fn skip(needs: &str) {
    assert!(std::env::var_os("BRIGADE_REQUIRE_ALL").is_none_or(|all| all != "1"), "this test needs {needs}");
    eprintln!("skipped: needs {needs}");
}

fn works(program: &str, arguments: &[&str]) -> bool {
    Command::new(program).args(arguments).output().is_ok_and(|output| output.status.success())
}
