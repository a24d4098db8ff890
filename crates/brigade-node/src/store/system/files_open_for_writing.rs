//! Files that other processes have open for writing, as far as this user may see, from `/proc` (proc(5): `fd`,
//! `fdinfo`).
//!
//! The files of other users' processes are not visible and count as closed; the watcher sees their close. A memory
//! map whose descriptor is closed is not visible either. This process is left out: it never writes to a shared file,
//! but may have a received one open.

use std::{collections::BTreeSet, fs, os::unix::fs::MetadataExt, path::Path};

/// The files, by (device, inode), that a process has open for writing.
///
/// It is one pass over all processes: its cost depends on their number, hardly on that of the files.
pub(in crate::store) fn open_for_writing(files: &BTreeSet<(u64, u64)>) -> BTreeSet<(u64, u64)> {
    let mut written = BTreeSet::new();
    let Ok(processes) = fs::read_dir("/proc") else { return written };
    let ourselves = std::process::id();
    for process in processes.flatten() {
        let number = process.file_name().to_str().and_then(|name| name.parse::<u32>().ok());
        if number.is_some_and(|number| number != ourselves) {
            look_at_process(&process.path(), files, &mut written);
        }
    }
    written
}

fn look_at_process(process: &Path, files: &BTreeSet<(u64, u64)>, written: &mut BTreeSet<(u64, u64)>) {
    let Ok(descriptors) = fs::read_dir(process.join("fd")) else { return };
    for descriptor in descriptors.flatten() {
        // This follows the descriptor to the open file.
        let Ok(open) = fs::metadata(descriptor.path()) else { continue };
        let file = (open.dev(), open.ino());
        if open.is_file() && files.contains(&file) && !written.contains(&file) {
            let info = fs::read_to_string(process.join("fdinfo").join(descriptor.file_name()));
            if info.is_ok_and(|info| may_write(&info)) {
                written.insert(file);
            }
        }
    }
}

/// Whether the octal `flags:` of a descriptor's information have `O_WRONLY` (1) or `O_RDWR` (2).
fn may_write(info: &str) -> bool {
    let flags = info.lines().find_map(|line| line.strip_prefix("flags:"));
    flags.and_then(|octal| u64::from_str_radix(octal.trim(), 8).ok()).is_some_and(|flags| flags & 3 != 0)
}

#[cfg(test)]
mod tests {
    use std::{
        collections::BTreeSet,
        fs,
        io::Read,
        os::unix::fs::MetadataExt,
        process::{Command, Stdio},
    };

    use super::open_for_writing;

    #[test]
    fn a_writer_is_seen_and_a_reader_is_not() {
        let temp = tempfile::tempdir().unwrap();
        // The shell also creates the file that it reads: processes of other tests may have this process's open files
        // for a moment.
        let mut other = Command::new("sh")
            .args(["-c", "echo r >read; exec 3>written 4<>both 5<read; echo; read line"])
            .current_dir(temp.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        other.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
        let key = |name: &str| {
            let metadata = fs::metadata(temp.path().join(name)).unwrap();
            (metadata.dev(), metadata.ino())
        };
        let wanted = BTreeSet::from([key("written"), key("both"), key("read")]);
        assert_eq!(open_for_writing(&wanted), BTreeSet::from([key("written"), key("both")]));
        drop(other.stdin.take());
        other.wait().unwrap();
        assert_eq!(open_for_writing(&wanted), BTreeSet::new());
    }
}
