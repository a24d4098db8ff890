//! Files whose parts another program has changed: each is prepared again after a pause, which hashes its pieces. And
//! files whose parts alone were removed.
//!
//! The pauses of a file grow: a program that changes a part again and again (a backup that makes hard links, or one
//! that sets permissions) must not keep this one hashing all the time.

use std::{
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
    time::Duration,
};

use brigade_core::{backoff::Backoff, name::FileName, time::Timestamp};

use crate::fetch_request::{FetchId, wanted_files::WantedFile};

/// The pauses before the pieces of a file are hashed again.
const PAUSES: Backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(60));

/// The files of all fetches whose parts another program has changed.
#[derive(Debug, Default)]
pub(super) struct ChangedParts {
    files: BTreeMap<(FetchId, FileName), ChangedPart>,
    removed: BTreeSet<(FetchId, FileName)>,
}

#[derive(Debug)]
struct ChangedPart {
    pauses: Backoff,
    /// The file and the end of its pause; `None` once it is prepared again.
    paused: Option<(Timestamp, PausedFile)>,
}

/// A file that waits to be prepared again, and the bytes and pieces of it that counted as present.
type PausedFile = (WantedFile, (u64, u64));

impl ChangedParts {
    /// A file of a fetch waits from now on. Whether this is the first time.
    pub(super) fn pause(&mut self, id: FetchId, paused: PausedFile, now: Timestamp) -> bool {
        let entry = self.files.entry((id, paused.0.name.clone()));
        let is_first = matches!(entry, Entry::Vacant(_));
        let part = entry.or_insert(ChangedPart { pauses: PAUSES, paused: None });
        part.paused = Some((now.after(part.pauses.next_pause()), paused));
        is_first
    }

    /// The part of a file of a fetch was removed. Whether this is the first time.
    pub(super) fn note_removal(&mut self, id: FetchId, name: &FileName) -> bool {
        let is_first = self.removed.insert((id, name.clone()));
        if is_first {
            let name = name.as_str();
            tracing::warn!(name, "the part was removed by another program; the file is fetched again");
        }
        is_first
    }

    /// The files whose pauses are over, and those of fetches that do not go on; these fetches are forgotten.
    pub(super) fn take_due(
        &mut self,
        now: Timestamp,
        goes_on: impl Fn(FetchId) -> bool,
    ) -> Vec<(FetchId, PausedFile)> {
        let mut due = vec![];
        self.files.retain(|(id, _), part| {
            let goes_on = goes_on(*id);
            let is_over = |(until, _): &mut (Timestamp, PausedFile)| *until <= now || !goes_on;
            due.extend(part.paused.take_if(is_over).map(|(_, paused)| (*id, paused)));
            goes_on
        });
        self.removed.retain(|(id, _)| goes_on(*id));
        due
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use brigade_core::id::{Content, ContentId};

    use super::{ChangedParts, FetchId, PausedFile, Timestamp, WantedFile};

    fn paused(name: &str) -> PausedFile {
        let content = Content { id: ContentId([1; 32]), size: 600_000 };
        (WantedFile::new(name.parse().unwrap(), content), (600_000, 3))
    }

    #[test]
    fn the_pauses_of_a_file_grow_and_its_first_one_is_known() {
        let (mut changed, mut now) = (ChangedParts::default(), Timestamp::default());
        let mut pauses = vec![];
        for round in 0..8 {
            assert_eq!(changed.pause(FetchId(1), paused("film"), now), round == 0);
            let began = now;
            while changed.take_due(now, |_| true).is_empty() {
                now = now.after(Duration::from_secs(1));
            }
            assert_eq!(changed.take_due(now, |_| true), [], "it is taken once");
            pauses.push(now.since(began).as_secs());
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60]);
        assert!(changed.pause(FetchId(1), paused("other"), now), "another file");
        assert!(changed.pause(FetchId(2), paused("film"), now), "another fetch");
    }

    #[test]
    fn a_fetch_that_has_ended_is_forgotten() {
        let (mut changed, now) = (ChangedParts::default(), Timestamp::default());
        changed.pause(FetchId(1), paused("film"), now);
        changed.pause(FetchId(2), paused("film"), now);
        for id in [FetchId(1), FetchId(2)] {
            assert!(changed.note_removal(id, &paused("film").0.name));
            assert!(!changed.note_removal(id, &paused("film").0.name));
        }
        assert_eq!(changed.take_due(now, |id| id == FetchId(2)), [(FetchId(1), paused("film"))]);
        assert_eq!((changed.files.len(), changed.removed.len()), (1, 1));
    }
}
