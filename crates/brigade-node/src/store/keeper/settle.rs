//! When a file is at rest and may be hashed: decided here, from what was seen of it and the time that is passed in.
//!
//! A file whose writer closed it rests after a short quiet; one that nobody was seen to close, after a longer one.
//! Before either is hashed the keeper asks whether somebody still has it open for writing, where the system tells, and
//! says [`Settle::busy`] if so.

use std::{
    collections::{BTreeMap, BTreeSet},
    mem,
    time::Duration,
};

use brigade_core::{name::FileName, time::Timestamp};

use crate::store::{folder::Stamp, share::at_or_below};

/// How long nothing must happen to a file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Quiet {
    /// After it was closed by who wrote it, or moved here.
    pub(super) closed: Duration,
    /// After anything else.
    pub(super) open: Duration,
    /// Until a file that is open for writing is looked at again.
    pub(super) busy: Duration,
}

/// What was seen of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sign {
    /// It was written to, or made, or nothing more is known.
    Written,
    /// Who wrote it closed it, or it came here under another name.
    Closed,
    /// Something about it changed, but no byte of it.
    Touched,
}

/// The files that are not at rest.
#[derive(Debug)]
pub(super) struct Settle {
    quiet: Quiet,
    files: BTreeMap<FileName, Waiting>,
    by_due: BTreeSet<(Timestamp, FileName)>,
    /// How many of them are only to be tried again.
    again: usize,
}

#[derive(Debug, Clone, Copy)]
struct Waiting {
    stamp: Stamp,
    due: Timestamp,
    /// Whether it could not be read and is only to be tried again.
    again: bool,
}

impl Settle {
    pub(super) fn new(quiet: Quiet) -> Self {
        Self { quiet, files: BTreeMap::new(), by_due: BTreeSet::new(), again: 0 }
    }

    /// Something happened to a file, and this is how it was found thereafter.
    pub(super) fn changed(&mut self, name: &FileName, stamp: Stamp, sign: Sign, now: Timestamp) {
        let due = match sign {
            Sign::Written => now.after(self.quiet.open),
            Sign::Closed => now.after(self.quiet.closed),
            Sign::Touched => {
                let waits = self.files.get(name).map_or(now, |waiting| waiting.due);
                waits.max(now.after(self.quiet.closed))
            }
        };
        self.wait(name, stamp, due);
    }

    /// A look at everything found the file so, and unchanged for `quiet_for`. One that is known to be so already goes
    /// on waiting as before.
    pub(super) fn found(&mut self, name: &FileName, stamp: Stamp, quiet_for: Duration, now: Timestamp) {
        if self.files.get(name).is_none_or(|waiting| waiting.stamp != stamp) {
            self.wait(name, stamp, now.after(self.quiet.open.saturating_sub(quiet_for)));
        }
    }

    /// Somebody has the file open for writing.
    pub(super) fn busy(&mut self, name: &FileName, stamp: Stamp, now: Timestamp) {
        self.wait(name, stamp, now.after(self.quiet.busy));
    }

    /// The file could not be read, and is to be tried again.
    pub(super) fn again(&mut self, name: &FileName, stamp: Stamp, due: Timestamp) {
        self.wait(name, stamp, due);
        self.again += self
            .files
            .get_mut(name)
            .map_or(0, |waiting| usize::from(!mem::replace(&mut waiting.again, true)));
    }

    /// The file is of no more interest; how it was last seen, if it waited.
    pub(super) fn forget(&mut self, name: &FileName) -> Option<Stamp> {
        let waiting = self.files.remove(name)?;
        self.again -= usize::from(waiting.again);
        self.by_due.remove(&(waiting.due, name.clone()));
        Some(waiting.stamp)
    }

    /// Nothing is there any more, at this path or below it; how those that waited were last seen.
    pub(super) fn forget_at_or_below(&mut self, path: &str) -> Vec<Stamp> {
        let mut left = Vec::new();
        for name in at_or_below(&self.files, path) {
            left.extend(self.forget(&name));
        }
        left
    }

    /// Those that wait, at this path or below it.
    pub(super) fn at_or_below(&self, path: &str) -> Vec<FileName> {
        at_or_below(&self.files, path)
    }

    /// All that wait.
    pub(super) fn names(&self) -> impl Iterator<Item = &FileName> {
        self.files.keys()
    }

    /// Those that have rested long enough, as they were when they were last seen; they wait no more.
    pub(super) fn take_due(&mut self, now: Timestamp) -> Vec<(FileName, Stamp)> {
        let mut due = Vec::new();
        while let Some((at, name)) = self.by_due.pop_first() {
            if at > now {
                self.by_due.insert((at, name));
                break;
            }
            if let Some(waiting) = self.files.remove(&name) {
                self.again -= usize::from(waiting.again);
                due.push((name, waiting.stamp));
            }
        }
        due
    }

    /// When the next one has rested long enough.
    pub(super) fn next(&self) -> Option<Timestamp> {
        self.by_due.first().map(|(due, _)| *due)
    }

    pub(super) fn len(&self) -> usize {
        self.files.len()
    }

    /// How many are not at rest: those that wait but are not only to be tried again.
    pub(super) fn restless(&self) -> usize {
        self.files.len() - self.again
    }

    fn wait(&mut self, name: &FileName, stamp: Stamp, due: Timestamp) {
        self.forget(name);
        self.files.insert(name.clone(), Waiting { stamp, due, again: false });
        self.by_due.insert((due, name.clone()));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use brigade_core::{name::FileName, time::Timestamp};

    use super::{Quiet, Settle, Sign};
    use crate::store::folder::Stamp;

    const QUIET: Quiet = Quiet {
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

    /// Which size was at rest at each of these times, in milliseconds.
    #[track_caller]
    fn check(settle: &mut Settle, expected: &[(u64, Option<u64>)]) {
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
    fn a_closed_file_rests_soon_and_an_open_one_late() {
        let mut settle = Settle::new(QUIET);
        settle.changed(&name(), stamp(1), Sign::Written, at(0));
        assert_eq!(settle.next(), Some(at(1000)));
        settle.changed(&name(), stamp(2), Sign::Closed, at(100));
        check(&mut settle, &[(299, None), (300, Some(2)), (301, None)]);
        settle.changed(&name(), stamp(1), Sign::Written, at(1000));
        check(&mut settle, &[(1999, None), (2000, Some(1))]);
        assert_eq!(settle.next(), None);
    }

    #[test]
    fn writing_after_a_close_begins_anew() {
        let mut settle = Settle::new(QUIET);
        settle.changed(&name(), stamp(1), Sign::Closed, at(0));
        settle.changed(&name(), stamp(2), Sign::Written, at(100));
        check(&mut settle, &[(300, None), (1099, None), (1100, Some(2))]);
    }

    #[test]
    fn a_slow_writer_is_waited_for_as_long_as_it_takes() {
        let mut settle = Settle::new(QUIET);
        for step in 0..20 {
            settle.changed(&name(), stamp(step), Sign::Written, at(step * 900));
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
    fn a_touch_neither_hurries_nor_holds_up() {
        let mut settle = Settle::new(QUIET);
        settle.changed(&name(), stamp(1), Sign::Written, at(0));
        settle.changed(&name(), stamp(1), Sign::Touched, at(100));
        check(&mut settle, &[(999, None), (1000, Some(1))]);
        settle.changed(&name(), stamp(1), Sign::Closed, at(2000));
        settle.changed(&name(), stamp(1), Sign::Touched, at(2150));
        check(&mut settle, &[(2349, None), (2350, Some(1))]);
    }

    #[test]
    fn looking_again_does_not_begin_anew() {
        let mut settle = Settle::new(QUIET);
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
    fn files_that_are_only_to_be_tried_again_do_not_count_as_being_written() {
        let mut settle = Settle::new(QUIET);
        settle.again(&name(), stamp(1), at(1000));
        settle.again(&name(), stamp(1), at(2000));
        settle.changed(&"g".parse().unwrap(), stamp(1), Sign::Written, at(0));
        assert_eq!((settle.len(), settle.restless()), (2, 1));
        settle.changed(&name(), stamp(2), Sign::Written, at(100));
        assert_eq!(settle.restless(), 2, "it is written to");
        settle.again(&name(), stamp(2), at(3000));
        settle.take_due(at(10_000));
        assert_eq!((settle.len(), settle.restless()), (0, 0));
    }

    #[test]
    fn what_is_gone_never_comes_due() {
        let mut settle = Settle::new(QUIET);
        for text in ["d/a", "d/b/c", "d", "da"] {
            settle.changed(&text.parse().unwrap(), stamp(1), Sign::Closed, at(0));
        }
        assert_eq!(settle.forget_at_or_below("d").len(), 3);
        let due = settle.take_due(at(10_000));
        assert_eq!(due, [("da".parse().unwrap(), stamp(1))]);
        assert_eq!(settle.len(), 0);
    }
}
