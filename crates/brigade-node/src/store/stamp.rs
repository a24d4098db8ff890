//! What the file system says about a file: enough to know that its bytes did not change since they were hashed.
//!
//! A stamp is compared in two ways: [`Stamp::same_bytes`] asks for the identity that serving relies on, `==` for
//! everything, so that a change of the inode alone (a hard link, a mode) is seen without taking the file away.

use std::{
    fs::{File, Metadata},
    io,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// What a file was when it was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// The file system it lies on; 0 where the system does not say.
    pub device: u64,
    /// Its number there; where the system gives none, the time of its creation.
    pub inode: u64,
    /// Its length in bytes.
    pub size: u64,
    /// When its bytes were last written, in nanoseconds since 1970.
    pub mtime_ns: i64,
    /// When anything about it last changed, in nanoseconds since 1970; where the system does not say, as `mtime_ns`.
    pub ctime_ns: i64,
    /// Whether its owner may run it.
    pub executable: bool,
}

impl Stamp {
    /// Whether the bytes are still those of `other`: the same file, of the same length, not written since.
    pub const fn same_bytes(&self, other: &Self) -> bool {
        self.device == other.device
            && self.inode == other.inode
            && self.size == other.size
            && self.mtime_ns == other.mtime_ns
    }

    /// When its bytes were last written, in whole seconds since 1970.
    pub const fn mtime_s(&self) -> i64 {
        self.mtime_ns.div_euclid(1_000_000_000)
    }

    /// How long nothing about it has changed; zero where the calendar stands before its last change.
    pub(super) fn quiet_for(&self, now: SystemTime) -> Duration {
        let last = u64::try_from(self.mtime_ns.max(self.ctime_ns)).unwrap_or(0);
        now.duration_since(UNIX_EPOCH).unwrap_or_default().saturating_sub(Duration::from_nanos(last))
    }
}

/// The stamp of an open file.
pub fn stamp_of(file: &File) -> io::Result<Stamp> {
    Ok(stamp(&file.metadata()?))
}

/// The stamp in what the standard library says of a file.
#[cfg(unix)]
pub(super) fn stamp(metadata: &Metadata) -> Stamp {
    use std::os::unix::fs::MetadataExt;

    Stamp {
        device: metadata.dev(),
        inode: metadata.ino(),
        size: metadata.size(),
        mtime_ns: nanoseconds(metadata.mtime(), metadata.mtime_nsec()),
        ctime_ns: nanoseconds(metadata.ctime(), metadata.ctime_nsec()),
        executable: metadata.mode() & 0o100 != 0,
    }
}

/// The stamp in what the standard library says of a file.
#[cfg(not(unix))]
pub(super) fn stamp(metadata: &Metadata) -> Stamp {
    let written = metadata.modified().map_or(0, since_1970_ns);
    Stamp {
        device: 0,
        inode: metadata.created().map_or(0, since_1970_ns).cast_unsigned(),
        size: metadata.len(),
        mtime_ns: written,
        ctime_ns: written,
        executable: false,
    }
}

#[cfg(not(unix))]
fn since_1970_ns(time: SystemTime) -> i64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
}

/// Seconds and nanoseconds as one number; times that it cannot hold (before 1678, after 2262) are its ends.
#[cfg(unix)]
pub(super) fn nanoseconds(seconds: impl TryInto<i64>, nanoseconds: impl TryInto<i64>) -> i64 {
    let seconds = seconds.try_into().unwrap_or(i64::MAX);
    seconds.saturating_mul(1_000_000_000).saturating_add(nanoseconds.try_into().unwrap_or(0))
}

/// `seconds` since 1970 as a time of this system; `None` where it has no such time.
pub(super) fn system_time(seconds: i64) -> Option<SystemTime> {
    let from_epoch = Duration::from_secs(seconds.unsigned_abs());
    if seconds < 0 { UNIX_EPOCH.checked_sub(from_epoch) } else { UNIX_EPOCH.checked_add(from_epoch) }
}
