//! A disk of a test's own, that can be small, full or read-only: a file system in memory, which root alone may mount.
//!
//! Where the test does not run as root it says that it was skipped; with `BRIGADE_REQUIRE_ALL=1` that is a failure.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// A mounted disk, until it is dropped.
pub(crate) struct Disk {
    path: PathBuf,
}

impl Disk {
    /// Mounts a disk of so many MiB at `path`, which is made; `None` where that is not allowed.
    #[track_caller]
    pub(crate) fn mount(path: PathBuf, mib: u32) -> Option<Self> {
        if !rustix::process::geteuid().is_root() || !cfg!(target_os = "linux") {
            skip("root on Linux, to mount a small disk");
            return None;
        }
        fs::create_dir_all(&path).unwrap();
        run("mount", &["-t", "tmpfs", "-o", &format!("size={mib}m,mode=0755"), "tmpfs"], &path);
        Some(Self { path })
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
        // Lazily: a process that is just ending may still use it.
        let _ = Command::new("umount").arg("-l").arg(&self.path).status();
    }
}

/// Says that a test was skipped, and what it needs.
#[track_caller]
#[allow(clippy::print_stderr)] // where whoever runs the tests looks
pub(crate) fn skip(needs: &str) {
    assert!(std::env::var_os("BRIGADE_REQUIRE_ALL").is_none_or(|all| all != "1"), "this test needs {needs}");
    eprintln!("skipped: needs {needs}");
}

#[track_caller]
fn run(program: &str, arguments: &[&str], path: &Path) {
    let status = Command::new(program).args(arguments).arg(path).status();
    assert!(status.as_ref().is_ok_and(|status| status.success()), "{program} {arguments:?}: {status:?}");
}
