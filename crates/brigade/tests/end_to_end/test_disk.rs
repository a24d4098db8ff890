//! A test disk, which can be small, full, read-only or broken: a mounted file system, which needs root.
//!
//! If it cannot be mounted, the test is skipped; with `BRIGADE_REQUIRE_ALL=1` it fails.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{test_network::Network, test_skipping::skip};

/// A mounted disk; unmounted when it is dropped.
pub(crate) struct Disk {
    path: PathBuf,
    /// The control of a disk that can be made to fail.
    trigger: Option<PathBuf>,
    /// The loop device, which must be detached explicitly.
    device: Option<String>,
}

impl Disk {
    /// A disk in memory with this number of MiB, at the folder `name` of the network, which is created.
    pub(crate) fn in_memory(network: &Network, name: &str, mib: u32) -> Option<Self> {
        let options = format!("size={mib}m,mode=0755");
        Self::mount(&network.path(name), &["-t", "tmpfs", "-o", &options, "tmpfs"])
    }

    /// A disk in memory for this number of files and folders, and for many bytes.
    pub(crate) fn of_few_inodes(network: &Network, name: &str, inodes: u32) -> Option<Self> {
        let options = format!("size=64m,nr_inodes={inodes},mode=0755");
        Self::mount(&network.path(name), &["-t", "tmpfs", "-o", &options, "tmpfs"])
    }

    /// A disk with exFAT, as on memory cards: without permissions, hard links and exclusive rename; names are case
    /// insensitive.
    pub(crate) fn exfat(network: &Network, name: &str) -> Option<Self> {
        let image = Self::image(network, 64);
        if !works("mkfs.exfat", &[&image]) {
            skip("mkfs.exfat (exfatprogs)");
            return None;
        }
        let path = network.path(name);
        fs::create_dir(&path).unwrap();
        let shown = path.to_str().unwrap().to_owned();
        // The driver in the kernel, where there is one, differs in times and in names; the tests are for one driver.
        let device = Command::new("losetup").args(["--find", "--show", &image]).output().unwrap();
        let device = String::from_utf8(device.stdout).unwrap().trim().to_owned();
        if works("mount.exfat-fuse", &[&device, &shown]) {
            return Some(Self { path, trigger: None, device: Some(device) });
        }
        works("losetup", &["--detach", &device]);
        skip("root, and exFAT (exfat-fuse)");
        None
    }

    /// A disk with Btrfs, which has a subvolume `sub`.
    pub(crate) fn btrfs(network: &Network, name: &str) -> Option<Self> {
        let image = Self::image(network, 120);
        if !works("mkfs.btrfs", &["-q", &image]) {
            skip("mkfs.btrfs (btrfs-progs)");
            return None;
        }
        let disk = Self::mount(&network.path(name), &["-t", "btrfs", "-o", "loop", &image])?;
        assert!(works("btrfs", &["subvolume", "create", disk.path.join("sub").to_str().unwrap()]));
        Some(disk)
    }

    /// A disk with XFS.
    pub(crate) fn xfs(network: &Network, name: &str) -> Option<Self> {
        let image = Self::image(network, 320);
        if !works("mkfs.xfs", &["-q", &image]) {
            skip("mkfs.xfs (xfsprogs)");
            return None;
        }
        Self::mount(&network.path(name), &["-t", "xfs", "-o", "loop", &image])
    }

    /// An overlay of `lower` and `upper`, folders of `layers`, which is another disk: an overlay cannot have its layers
    /// on every file system.
    pub(crate) fn overlay(network: &Network, name: &str, layers: &Self) -> Option<Self> {
        let path = |layer: &str| {
            let path = layers.path.join(layer);
            fs::create_dir_all(&path).unwrap();
            path.display().to_string()
        };
        let options =
            format!("lowerdir={},upperdir={},workdir={}", path("lower"), path("upper"), path("work"));
        Self::mount(&network.path(name), &["-t", "overlay", "-o", &options, "overlay"])
    }

    /// A second path for a folder of the network.
    pub(crate) fn bound(network: &Network, from: &str, name: &str) -> Option<Self> {
        Self::mount(&network.path(name), &["--bind", network.path(from).to_str().unwrap()])
    }

    fn image(network: &Network, mib: u64) -> String {
        let image = network.path("image");
        fs::File::create(&image).unwrap().set_len(mib << 20).unwrap();
        image.to_str().unwrap().to_owned()
    }

    /// A disk that becomes read-only when it fails, like a real one.
    pub(crate) fn failing(network: &Network, name: &str) -> Option<Self> {
        let image = Self::image(network, 16);
        if !works("mkfs.ext4", &["-q", "-O", "^has_journal", &image]) {
            skip("mkfs.ext4");
            return None;
        }
        let mut disk = Self::mount(&network.path(name), &["-o", "loop,errors=remount-ro", &image])?;
        let found = Command::new("findmnt").args(["-no", "SOURCE"]).arg(&disk.path).output().unwrap();
        let device = String::from_utf8(found.stdout).unwrap();
        let device = device.trim().trim_start_matches("/dev/");
        disk.trigger = Some(format!("/sys/fs/ext4/{device}/trigger_fs_error").into());
        Some(disk)
    }

    fn unmake_device(&mut self) {
        if let Some(device) = self.device.take() {
            works("losetup", &["-d", &device]);
        }
    }

    fn mount(path: &Path, arguments: &[&str]) -> Option<Self> {
        fs::create_dir_all(path).unwrap();
        if works("mount", &[arguments, &[path.to_str().unwrap()]].concat()) {
            return Some(Self { path: path.to_owned(), trigger: None, device: None });
        }
        skip("root, to mount a disk");
        None
    }

    /// Mounts it again at the same path, read-only (`ro`) or writable (`rw`).
    pub(crate) fn mount_again(&self, option: &str) {
        assert!(works("mount", &["-o", &format!("remount,{option}"), self.path.to_str().unwrap()]));
    }

    /// Makes it fail.
    pub(crate) fn fail(&self) {
        fs::write(self.trigger.as_ref().unwrap(), "the test wants it").unwrap();
    }

    /// Fills it, except for the last few bytes, with a file of this name.
    pub(crate) fn fill(&self, name: &str) {
        let mut file = fs::File::create(self.path.join(name)).unwrap();
        let block = vec![1; 4096];
        while std::io::Write::write_all(&mut file, &block).is_ok() {}
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: a process that is just ending may still use it.
        works("umount", &["-l", self.path.to_str().unwrap()]);
        self.unmake_device();
    }
}

fn works(program: &str, arguments: &[&str]) -> bool {
    Command::new(program).args(arguments).output().is_ok_and(|output| output.status.success())
}
