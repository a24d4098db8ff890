//! The attributes of a file that show that its bytes did not change since they were hashed.
//!
//! There are two comparisons. [`Stamp::same_bytes`] is the one for serving. `==` compares all attributes, so that a
//! change of the inode alone (a hard link, a mode) is seen without withdrawing the file.
//!
//! Some file systems store coarse times ([`Stamp::has_coarse_times`]), where a second write may not change the stamp.

#[cfg(unix)]
use std::fs::Metadata;
use std::{
    fs::{File, FileTimes},
    io,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// Coarse times are multiples of this number of nanoseconds.
const COARSE_NS: i64 = 10_000_000;

/// The longest time in which all writes may get the same coarse time (on FAT).
const COARSEST: Duration = Duration::from_secs(2);

/// The attributes of a file at one time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// Its file system.
    pub device: u64,
    /// Its number there (inode, or file index on Windows).
    pub inode: u64,
    /// Its length in bytes.
    pub size: u64,
    /// The time of the last change of its bytes, in nanoseconds since 1970.
    pub mtime_ns: i64,
    /// The time of the last change of any attribute, in nanoseconds since 1970; equal to `mtime_ns` if the system
    /// does not report it.
    pub ctime_ns: i64,
    /// Whether its owner may execute it.
    pub executable: bool,
}

impl Stamp {
    /// Whether the bytes are still those of `other`: the same file with the same length, not written since. A file
    /// system with coarse times stores no numbers of files, and its driver may number them anew at any time.
    pub(crate) const fn same_bytes(&self, other: &Self) -> bool {
        self.device == other.device
            && (self.inode == other.inode || self.has_coarse_times())
            && self.size == other.size
            && self.mtime_ns == other.mtime_ns
    }

    /// Whether all attributes are those of `other`, except for a number that means nothing with coarse times.
    pub(super) fn is_unchanged_since(&self, other: &Self) -> bool {
        self == other || self.has_coarse_times() && self.same_bytes(other)
    }

    /// Whether its file system has coarse times: exFAT, FAT and some older ones. They have no time for a change of an
    /// attribute alone, either. On other file systems this is true only by chance, and costs one more hash there.
    pub(crate) const fn has_coarse_times(&self) -> bool {
        self.mtime_ns % COARSE_NS == 0 && self.ctime_ns % COARSE_NS == 0
    }

    /// The time from `now` after which a write certainly changes the stamp; zero unless it has coarse times.
    pub(crate) fn distinct_after(&self, now: SystemTime) -> Duration {
        let last = Duration::from_nanos(u64::try_from(self.mtime_ns.max(self.ctime_ns)).unwrap_or(0));
        let now = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        match now.checked_sub(last) {
            Some(quiet_for) if self.has_coarse_times() => COARSEST.saturating_sub(quiet_for),
            _ => Duration::ZERO, // a time in the future was set explicitly
        }
    }

    /// The file itself, whatever its name: its file system and its number there.
    pub(crate) const fn file_id(&self) -> (u64, u64) {
        (self.device, self.inode)
    }

    /// The time of the last change of its bytes, in whole seconds since 1970.
    pub(crate) const fn mtime_s(&self) -> i64 {
        self.mtime_ns.div_euclid(1_000_000_000)
    }

    /// The time since the last change of any attribute; zero if the clock is before that.
    pub(super) fn quiet_for(&self, now: SystemTime) -> Duration {
        let last = u64::try_from(self.mtime_ns.max(self.ctime_ns)).unwrap_or(0);
        now.duration_since(UNIX_EPOCH).unwrap_or_default().saturating_sub(Duration::from_nanos(last))
    }
}

/// The stamp of an open file.
#[cfg(unix)]
pub(crate) fn stamp_of(file: &File) -> io::Result<Stamp> {
    Ok(stamp(&file.metadata()?))
}

/// The stamp of an open file.
#[cfg(windows)]
pub(crate) fn stamp_of(file: &File) -> io::Result<Stamp> {
    Ok(stamp(&winapi_util::file::information(file)?))
}

/// The stamp of an open file; `None` if it is not a regular file.
#[cfg(unix)]
pub(super) fn stamp_of_regular(file: &File) -> io::Result<Option<Stamp>> {
    let metadata = file.metadata()?;
    Ok(metadata.is_file().then(|| stamp(&metadata)))
}

/// The stamp of an open file; `None` if it is not a regular file.
#[cfg(windows)]
pub(super) fn stamp_of_regular(file: &File) -> io::Result<Option<Stamp>> {
    if file.metadata()?.is_file() { stamp_of(file).map(Some) } else { Ok(None) }
}

/// The stamp in the metadata of the standard library.
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

/// The stamp in the system's answer. It has no time for a change of an attribute alone; the time of the creation is
/// there to show that the file system has fine times although the time of the last write was set to a whole second.
#[cfg(windows)]
pub(super) fn stamp(found: &winapi_util::file::Information) -> Stamp {
    let written = found.last_write_time().map_or(0, since_1970_ns);
    Stamp {
        device: found.volume_serial_number(),
        inode: found.file_index(),
        size: found.file_size(),
        mtime_ns: written,
        ctime_ns: found.creation_time().map_or(written, |created| since_1970_ns(created).max(written)),
        executable: false,
    }
}

/// The nanoseconds since 1970 of a time of Windows: units of 100 ns since 1601. Saturating.
#[cfg(windows)]
fn since_1970_ns(time: u64) -> i64 {
    /// The time 1970-01-01 in these units.
    const UNIX_EPOCH: i64 = 116_444_736_000_000_000;
    let time = i64::try_from(time).unwrap_or(i64::MAX);
    time.saturating_sub(UNIX_EPOCH).saturating_mul(100)
}

/// Seconds and nanoseconds as one number, saturating: its limits are the years 1678 and 2262.
#[cfg(unix)]
pub(super) fn nanoseconds(seconds: impl TryInto<i64>, nanoseconds: impl TryInto<i64>) -> i64 {
    let seconds = seconds.try_into().unwrap_or(i64::MAX);
    seconds.saturating_mul(1_000_000_000).saturating_add(nanoseconds.try_into().unwrap_or(0))
}

/// `seconds` since 1970 as a time of this system; `None` if it cannot represent that time.
pub(super) fn system_time(seconds: i64) -> Option<SystemTime> {
    let from_epoch = Duration::from_secs(seconds.unsigned_abs());
    if seconds < 0 { UNIX_EPOCH.checked_sub(from_epoch) } else { UNIX_EPOCH.checked_add(from_epoch) }
}

/// Sets the time of the last change of the bytes of a file.
///
/// The time of the last access is set too, to the value that it has: the library of many file systems in user space
/// (FUSE 2, which exfat-fuse uses) ignores a call for only one of the two times, and reports no error.
pub(super) fn set_modified(file: &File, time: SystemTime) -> io::Result<()> {
    let mut times = FileTimes::new().set_modified(time);
    if let Ok(accessed) = file.metadata().and_then(|found| found.accessed()) {
        times = times.set_accessed(accessed);
    }
    file.set_times(times)
}

#[cfg(test)]
mod tests {
    use super::{Duration, FileTimes, Stamp, UNIX_EPOCH, set_modified};

    const SECOND: i64 = 1_000_000_000;

    fn stamp(mtime_ns: i64) -> Stamp {
        Stamp { device: 1, inode: 2, size: 3, mtime_ns, ctime_ns: mtime_ns, executable: false }
    }

    #[test]
    fn a_coarse_time_is_distinct_two_seconds_later() {
        let now = UNIX_EPOCH + Duration::from_millis(10_500);
        let left = |mtime_ns| stamp(mtime_ns).distinct_after(now).as_millis();
        assert_eq!(left(10 * SECOND), 1500);
        assert_eq!(left(9 * SECOND), 500);
        assert_eq!(left(8 * SECOND), 0);
        assert_eq!(left(-SECOND), 0);
        assert_eq!(left(10 * SECOND + 1), 0, "it is not coarse");
        assert_eq!(left(11 * SECOND), 0, "it is in the future");
    }

    #[test]
    fn only_the_time_of_the_last_change_is_set() {
        let file = tempfile::tempfile().unwrap();
        let (accessed, modified) =
            (UNIX_EPOCH + Duration::from_secs(100), UNIX_EPOCH + Duration::from_secs(200));
        file.set_times(FileTimes::new().set_accessed(accessed)).unwrap();
        set_modified(&file, modified).unwrap();
        let found = file.metadata().unwrap();
        assert_eq!((found.accessed().unwrap(), found.modified().unwrap()), (accessed, modified));
    }

    #[test]
    fn the_number_of_a_file_counts_unless_times_are_coarse() {
        for (mtime_ns, same) in [(SECOND, true), (SECOND + 1, false)] {
            let other = Stamp { inode: 5, ..stamp(mtime_ns) };
            assert_eq!(stamp(mtime_ns).same_bytes(&other), same);
            assert_eq!(stamp(mtime_ns).is_unchanged_since(&other), same);
            assert!(!stamp(mtime_ns).same_bytes(&Stamp { size: 4, ..other }));
            assert!(!stamp(mtime_ns).same_bytes(&Stamp { mtime_ns: 2 * SECOND, ..other }));
        }
    }
}
