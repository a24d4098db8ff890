//! Parts of contents that are not being fetched: how much there is of them, and when they are removed.
//!
//! A part is removed when its name was fetched with another content, when its content arrived in another way, or when
//! it was not used for as long as the settings say. Whether a part is in use, the caller knows.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use brigade_core::{backoff::Backoff, id::Content, name::FileName, time::Timestamp};
use tokio::sync::watch;

use crate::{clock, peer_status::KeptTotals, store::stored_parts::KeptPart};

/// How often the parts are looked at. It is one listing of a small directory.
const LOOK_EVERY: Duration = Duration::from_secs(3600);

/// The pauses between two looks of a peer. The first ones are short: the shared files become known only while the
/// folder is walked.
const PAUSES_OF_PEER: Backoff = Backoff::new(Duration::from_secs(2), LOOK_EVERY);

/// The pauses between two looks if only fetches look at the parts: the folder is not walked.
const PAUSES_OF_FETCHES: Backoff = Backoff::new(LOOK_EVERY, LOOK_EVERY);

/// The known parts.
#[derive(Debug)]
pub(crate) struct UnusedParts {
    /// How long an unused part is kept; `None` for ever.
    keep: Option<Duration>,
    parts: BTreeMap<Content, KeptPart>,
    by_name: BTreeMap<FileName, BTreeSet<Content>>,
    /// Contents whose parts are being removed.
    removing: BTreeSet<Content>,
    /// Whether the disk is being asked at this moment.
    is_checking: bool,
    next_check: Timestamp,
    /// The pauses after the next checks.
    pauses: Backoff,
    totals: watch::Sender<KeptTotals>,
}

impl UnusedParts {
    /// Before the first look; the totals are sent on the channel. If only fetches look at the parts (`by_fetches`), the
    /// first one does: a part that it uses again is not unused any more, whatever its age.
    pub(crate) fn new(keep: Option<Duration>, by_fetches: bool) -> (Self, watch::Receiver<KeptTotals>) {
        let (totals, receiver) = watch::channel(KeptTotals::default());
        let (next_check, pauses) = if by_fetches {
            (clock::now().after(LOOK_EVERY), PAUSES_OF_FETCHES)
        } else {
            (Timestamp::default(), PAUSES_OF_PEER)
        };
        let (parts, by_name, removing) = (BTreeMap::new(), BTreeMap::new(), BTreeSet::new());
        let this = Self { keep, parts, by_name, removing, is_checking: false, next_check, pauses, totals };
        (this, receiver)
    }

    /// Contents whose parts are being removed.
    pub(crate) fn removing(&self) -> Vec<Content> {
        self.removing.iter().copied().collect()
    }

    /// Whether the parts are to be looked at now; then that is done.
    pub(crate) fn check(&mut self, now: Timestamp) -> bool {
        if self.is_checking || now < self.next_check {
            return false;
        }
        self.is_checking = true;
        self.next_check = now.after(self.pauses.next_pause());
        true
    }

    /// The look has ended; [`Self::found`] follows.
    pub(crate) fn checked(&mut self) {
        self.is_checking = false;
    }

    /// There may be more or fewer parts.
    pub(crate) fn check_soon(&mut self) {
        self.next_check = Timestamp::default();
    }

    /// These unused parts are there. Those of them that are to be removed: because they are old, or because their
    /// content is shared. If this machine's clock is wrong, no part counts as old: its age follows from the clock.
    pub(crate) fn found(
        &mut self,
        parts: Vec<KeptPart>,
        is_clock_wrong: bool,
        is_shared: impl Fn(&Content) -> bool,
    ) -> Vec<Content> {
        let keep = self.keep.filter(|_| !is_clock_wrong);
        let is_old = |part: &KeptPart| keep.is_some_and(|keep| part.idle >= keep);
        let obsolete = parts.iter().filter(|part| is_old(part) || is_shared(&part.content));
        let obsolete = obsolete.map(|part| part.content).collect();
        (self.parts, self.by_name) = (BTreeMap::new(), BTreeMap::new());
        for part in parts {
            if let Some(name) = &part.name {
                self.by_name.entry(name.clone()).or_default().insert(part.content);
            }
            self.parts.insert(part.content, part);
        }
        self.send_totals();
        obsolete
    }

    /// A content is being fetched from now on, or its part was removed.
    pub(crate) fn forget(&mut self, content: &Content) {
        let Some(part) = self.parts.remove(content) else { return };
        if let Some(name) = part.name
            && let Some(of_name) = self.by_name.get_mut(&name)
        {
            of_name.remove(content);
            if of_name.is_empty() {
                self.by_name.remove(&name);
            }
        }
        self.send_totals();
    }

    /// The part of a content is being removed.
    pub(crate) fn remove(&mut self, content: Content) {
        self.removing.insert(content);
        self.forget(&content);
    }

    /// The part of a content was removed, or could not be.
    pub(crate) fn removed(&mut self, content: &Content) {
        self.removing.remove(content);
    }

    /// The parts that are of no use once `content` is under `name`: those for that name, and that of this content.
    pub(crate) fn obsolete(&self, name: &FileName, content: &Content) -> Vec<Content> {
        if self.parts.is_empty() {
            return vec![];
        }
        let mut obsolete = self.by_name.get(name).cloned().unwrap_or_default();
        if self.parts.contains_key(content) {
            obsolete.insert(*content);
        }
        obsolete.into_iter().collect()
    }

    fn send_totals(&self) {
        let bytes = self.parts.values().map(KeptPart::all_bytes).sum();
        self.totals.send_replace(KeptTotals { parts: self.parts.len(), bytes });
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use brigade_core::id::{Content, ContentId};

    use super::{KeptPart, KeptTotals, LOOK_EVERY, UnusedParts};
    use crate::{clock, store::stored_parts::StoredFiles};

    fn part(byte: u8, name: Option<&str>) -> KeptPart {
        let content = Content { id: ContentId([byte; 32]), size: 10 };
        KeptPart {
            content,
            name: name.map(|name| name.parse().unwrap()),
            stored: vec![StoredFiles { file_system: Default::default(), bytes: 5, files: 4 }],
            idle: Duration::ZERO,
        }
    }

    /// The pauses before each of the first looks.
    fn pauses(by_fetches: bool) -> Vec<Duration> {
        let mut now = clock::now();
        let (mut kept, _totals) = UnusedParts::new(None, by_fetches);
        let pause = |_| {
            let pause = kept.next_check.since(now);
            now = now.after(pause);
            assert!(kept.check(now), "it is time to");
            assert!(!kept.check(now.after(2 * LOOK_EVERY)), "the disk is being asked");
            kept.checked();
            pause
        };
        (0..5).map(pause).collect()
    }

    #[test]
    fn the_first_looks_of_a_peer_are_soon_and_those_of_fetches_are_hourly() {
        assert_eq!(pauses(false), [0, 2, 4, 8, 16].map(Duration::from_secs));
        let of_fetches = pauses(true);
        assert!(of_fetches[0] > LOOK_EVERY - Duration::from_secs(60), "{of_fetches:?}");
        assert_eq!(of_fetches[1..], [LOOK_EVERY; 4]);
    }

    #[test]
    fn no_part_is_old_while_the_clock_is_wrong() {
        let (mut kept, _totals) = UnusedParts::new(Some(LOOK_EVERY), false);
        let idle = |byte, idle| KeptPart { idle, ..part(byte, None) };
        let parts = [idle(1, LOOK_EVERY), idle(2, Duration::ZERO), idle(3, 2 * LOOK_EVERY)];
        let contents = parts.each_ref().map(|part| part.content);
        let mut found = |is_clock_wrong, shared: Option<Content>| {
            kept.found(parts.to_vec(), is_clock_wrong, |content| Some(*content) == shared)
        };
        assert_eq!(found(true, None), []);
        assert_eq!(found(true, Some(contents[1])), [contents[1]]);
        assert_eq!(found(false, None), [contents[0], contents[2]]);
    }

    #[test]
    fn parts_are_of_no_use_once_their_name_or_their_content_is_there() {
        let (mut kept, totals) = UnusedParts::new(None, false);
        let parts = [part(1, Some("film")), part(2, Some("film")), part(3, Some("other")), part(4, None)];
        let contents = parts.each_ref().map(|part| part.content);
        let name = |name: &str| name.parse().unwrap();
        assert_eq!(kept.obsolete(&name("film"), &contents[0]), []);
        assert_eq!(kept.found(parts.to_vec(), false, |content| *content == contents[3]), [contents[3]]);
        assert_eq!(*totals.borrow(), KeptTotals { parts: 4, bytes: 20 });
        let another = Content { size: 11, ..contents[0] };
        assert_eq!(kept.obsolete(&name("film"), &another), contents[..2]);
        assert_eq!(kept.obsolete(&name("copy"), &contents[3]), contents[3..]);
        assert_eq!(kept.obsolete(&name("other"), &contents[0]), [contents[0], contents[2]]);
        assert_eq!(kept.obsolete(&name("Film"), &another), []);
        kept.forget(&contents[0]);
        kept.forget(&contents[1]);
        assert_eq!(kept.obsolete(&name("film"), &contents[0]), []);
        assert_eq!(*totals.borrow(), KeptTotals { parts: 2, bytes: 10 });
    }
}
