//! When a file is no longer being written and may be hashed: decided from its events and the time that is passed in.
//!
//! A file whose writer has closed it is due after a short time without events, any other file after a longer time.
//! Before a due file is hashed, the keeper checks whether a program has it open for writing, if the system can report
//! it, and then calls [`FilesBeingWritten::busy`].

use std::{
    collections::{BTreeMap, BTreeSet},
    mem,
    time::Duration,
};

use brigade_core::{name::FileName, time::Timestamp};

use crate::store::{file_stamp::Stamp, name_ranges::at_or_below};

/// The times without events after which a file is due.
#[derive(Debug, Clone, Copy)]
pub(super) struct QuietTimes {
    /// After its writer closed it, or after a rename to its name.
    pub(super) closed: Duration,
    /// After any other event.
    pub(super) open: Duration,
    /// The pause before the next check of a file that is open for writing.
    pub(super) busy: Duration,
}

/// The kind of a change of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ChangeKind {
    /// The file was written, or the kind is not known.
    Written,
    /// The name was created or removed.
    Created,
    /// Its writer closed the file.
    Closed,
    /// A rename gave the file this name, or another one. Its bytes did not change.
    Renamed,
    /// An attribute of the file changed, but not its bytes.
    Touched,
}

impl ChangeKind {
    /// Whether the bytes of the file may have changed.
    pub(super) const fn is_write(self) -> bool {
        matches!(self, Self::Written | Self::Closed)
    }
}

/// The files that are not due yet.
#[derive(Debug)]
pub(super) struct FilesBeingWritten {
    quiet_times: QuietTimes,
    files: BTreeMap<FileName, PendingFile>,
    by_due: BTreeSet<(Timestamp, FileName)>,
    /// How many of them only wait for another attempt to read them.
    again: usize,
}

#[derive(Debug, Clone, Copy)]
struct PendingFile {
    stamp: Stamp,
    due: Timestamp,
    /// Whether it could not be read and only waits for another attempt.
    again: bool,
}

impl FilesBeingWritten {
    pub(super) fn new(quiet_times: QuietTimes) -> Self {
        Self { quiet_times, files: BTreeMap::new(), by_due: BTreeSet::new(), again: 0 }
    }

    /// Takes an event, with the file's stamp after it.
    pub(super) fn changed(&mut self, name: &FileName, stamp: Stamp, kind: ChangeKind, now: Timestamp) {
        let due = match kind {
            ChangeKind::Written | ChangeKind::Created => now.after(self.quiet_times.open),
            ChangeKind::Closed | ChangeKind::Renamed => now.after(self.quiet_times.closed),
            ChangeKind::Touched => {
                let due_before = self.files.get(name).map_or(now, |pending| pending.due);
                due_before.max(now.after(self.quiet_times.closed))
            }
        };
        self.wait(name, stamp, due);
    }

    /// Takes a file that a scan found, unchanged for `quiet_for`. A file that waits with the same stamp keeps its
    /// time.
    pub(super) fn found(&mut self, name: &FileName, stamp: Stamp, quiet_for: Duration, now: Timestamp) {
        if self.files.get(name).is_none_or(|pending| pending.stamp != stamp) {
            self.wait(name, stamp, now.after(self.quiet_times.open.saturating_sub(quiet_for)));
        }
    }

    /// A program has the file open for writing.
    pub(super) fn busy(&mut self, name: &FileName, stamp: Stamp, now: Timestamp) {
        self.wait(name, stamp, now.after(self.quiet_times.busy));
    }

    /// The file could not be read; the next attempt is at `due`.
    pub(super) fn again(&mut self, name: &FileName, stamp: Stamp, due: Timestamp) {
        self.wait(name, stamp, due);
        self.again += self
            .files
            .get_mut(name)
            .map_or(0, |pending| usize::from(!mem::replace(&mut pending.again, true)));
    }

    /// Forgets the file. Returns its last stamp if it waited.
    pub(super) fn forget(&mut self, name: &FileName) -> Option<Stamp> {
        let pending = self.files.remove(name)?;
        self.again -= usize::from(pending.again);
        self.by_due.remove(&(pending.due, name.clone()));
        Some(pending.stamp)
    }

    /// Forgets the files at this path and below it. Returns their last stamps.
    pub(super) fn forget_at_or_below(&mut self, path: &str) -> Vec<Stamp> {
        let mut stamps = Vec::new();
        for name in at_or_below(&self.files, path) {
            stamps.extend(self.forget(&name));
        }
        stamps
    }

    /// The files that wait, at this path and below it.
    pub(super) fn at_or_below(&self, path: &str) -> Vec<FileName> {
        at_or_below(&self.files, path)
    }

    /// All files that wait.
    pub(super) fn names(&self) -> impl Iterator<Item = &FileName> {
        self.files.keys()
    }

    /// Takes the files that are due, with their last stamps.
    pub(super) fn take_due(&mut self, now: Timestamp) -> Vec<(FileName, Stamp)> {
        let mut due = Vec::new();
        while let Some((at, name)) = self.by_due.pop_first() {
            if at > now {
                self.by_due.insert((at, name));
                break;
            }
            if let Some(pending) = self.files.remove(&name) {
                self.again -= usize::from(pending.again);
                due.push((name, pending.stamp));
            }
        }
        due
    }

    /// The time when the next file is due.
    pub(super) fn next(&self) -> Option<Timestamp> {
        self.by_due.first().map(|(due, _)| *due)
    }

    pub(super) fn len(&self) -> usize {
        self.files.len()
    }

    /// The number of files that are being written: those that wait, except for those that only wait for another
    /// attempt.
    pub(super) fn unsettled(&self) -> usize {
        self.files.len() - self.again
    }

    /// The file is due at this time.
    pub(super) fn wait(&mut self, name: &FileName, stamp: Stamp, due: Timestamp) {
        self.forget(name);
        self.files.insert(name.clone(), PendingFile { stamp, due, again: false });
        self.by_due.insert((due, name.clone()));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use brigade_core::{name::FileName, time::Timestamp};

    use super::{ChangeKind, FilesBeingWritten, QuietTimes};
    use crate::store::file_stamp::Stamp;

    const QUIET: QuietTimes = QuietTimes {
        closed: Duration::from_millis(200),
        open: Duration::from_secs(1),
        busy: Duration::from_secs(1),
    };

    fn at(ms: u64) -> Timestamp {
        Timestamp::from_micros(ms * 1000)
    }

    fn stamp(size: u64) -> Stamp {
        Stamp { device: 1, inode: 1, size, mtime_ns: 0, ctime_ns: 0, executable: false }
    }

    fn name() -> FileName {
        "f".parse().unwrap()
    }

    /// Checks the size of the file that is due at each time, in milliseconds.
    #[track_caller]
    fn check(settle: &mut FilesBeingWritten, expected: &[(u64, Option<u64>)]) {
        for (ms, size) in expected {
            let due = settle.take_due(at(*ms));
            assert_eq!(
                due,
                size.map(|size| (name(), stamp(size))).into_iter().collect::<Vec<_>>(),
                "at {ms} ms"
            );
        }
    }

    #[test]
    fn a_closed_file_is_due_sooner_than_an_open_one() {
        let mut settle = FilesBeingWritten::new(QUIET);
        settle.changed(&name(), stamp(1), ChangeKind::Written, at(0));
        assert_eq!(settle.next(), Some(at(1000)));
        settle.changed(&name(), stamp(2), ChangeKind::Closed, at(100));
        check(&mut settle, &[(299, None), (300, Some(2)), (301, None)]);
        settle.changed(&name(), stamp(1), ChangeKind::Written, at(1000));
        check(&mut settle, &[(1999, None), (2000, Some(1))]);
        assert_eq!(settle.next(), None);
    }

    #[test]
    fn writing_after_a_close_begins_anew() {
        let mut settle = FilesBeingWritten::new(QUIET);
        settle.changed(&name(), stamp(1), ChangeKind::Closed, at(0));
        settle.changed(&name(), stamp(2), ChangeKind::Written, at(100));
        check(&mut settle, &[(300, None), (1099, None), (1100, Some(2))]);
    }

    #[test]
    fn a_file_is_not_due_while_it_is_written_slowly() {
        let mut settle = FilesBeingWritten::new(QUIET);
        for step in 0..20 {
            settle.changed(&name(), stamp(step), ChangeKind::Written, at(step * 900));
            check(&mut settle, &[(step * 900 + 899, None)]);
        }
        check(&mut settle, &[(19 * 900 + 1000, Some(19))]);
        for second in 19..25 {
            settle.busy(&name(), stamp(19), at(second * 1000));
            check(&mut settle, &[(second * 1000 + 999, None)]);
        }
        check(&mut settle, &[(25_000, Some(19))]);
    }

    #[test]
    fn a_change_of_attributes_keeps_the_due_time() {
        let mut settle = FilesBeingWritten::new(QUIET);
        settle.changed(&name(), stamp(1), ChangeKind::Written, at(0));
        settle.changed(&name(), stamp(1), ChangeKind::Touched, at(100));
        check(&mut settle, &[(999, None), (1000, Some(1))]);
        settle.changed(&name(), stamp(1), ChangeKind::Closed, at(2000));
        settle.changed(&name(), stamp(1), ChangeKind::Touched, at(2150));
        check(&mut settle, &[(2349, None), (2350, Some(1))]);
    }

    #[test]
    fn a_second_scan_does_not_delay_a_file() {
        let mut settle = FilesBeingWritten::new(QUIET);
        settle.found(&name(), stamp(1), Duration::from_millis(300), at(0));
        settle.found(&name(), stamp(1), Duration::from_millis(800), at(500));
        check(&mut settle, &[(699, None), (700, Some(1))]);
        settle.found(&name(), stamp(1), Duration::from_secs(3600), at(1000));
        check(&mut settle, &[(1000, Some(1))]);
        settle.found(&name(), stamp(1), Duration::ZERO, at(2000));
        settle.found(&name(), stamp(2), Duration::ZERO, at(2500));
        check(&mut settle, &[(3499, None), (3500, Some(2))]);
    }

    #[test]
    fn files_that_wait_for_another_attempt_do_not_count_as_being_written() {
        let mut settle = FilesBeingWritten::new(QUIET);
        settle.again(&name(), stamp(1), at(1000));
        settle.again(&name(), stamp(1), at(2000));
        settle.changed(&"g".parse().unwrap(), stamp(1), ChangeKind::Written, at(0));
        assert_eq!((settle.len(), settle.unsettled()), (2, 1));
        settle.changed(&name(), stamp(2), ChangeKind::Written, at(100));
        assert_eq!(settle.unsettled(), 2, "it is written to");
        settle.again(&name(), stamp(2), at(3000));
        settle.take_due(at(10_000));
        assert_eq!((settle.len(), settle.unsettled()), (0, 0));
    }

    #[test]
    fn a_removed_file_is_never_due() {
        let mut settle = FilesBeingWritten::new(QUIET);
        for text in ["d/a", "d/b/c", "d", "da"] {
            settle.changed(&text.parse().unwrap(), stamp(1), ChangeKind::Closed, at(0));
        }
        assert_eq!(settle.forget_at_or_below("d").len(), 3);
        let due = settle.take_due(at(10_000));
        assert_eq!(due, [("da".parse().unwrap(), stamp(1))]);
        assert_eq!(settle.len(), 0);
    }
}
