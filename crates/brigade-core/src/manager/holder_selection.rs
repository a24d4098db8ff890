//! Which holders of a content are named to which session.
//!
//! At most [`limits::HOLDERS_NAMED`] for one content, complete and partial holders alike: if many fetch from one
//! holder, it is named to a few of them, who pass the content on. If there are more holders than that, each session
//! gets its own selection, by a score of session and holder. So one holder that comes or goes changes few selections,
//! and a session meets the same holders for all contents; when it asks again, it gets others. `holder_pages` puts
//! the answers into messages.

use super::{catalogue, session::SessionId};
use crate::{id::Content, limits};

/// The holders of one content that one asker is told.
#[derive(Debug)]
pub(super) struct HolderSelection {
    pub(super) content: Content,
    pub(super) complete: Vec<SessionId>,
    pub(super) partial: Vec<SessionId>,
}

impl HolderSelection {
    /// Those that `asker` is told of `holders`, in an order of its own; never the asker itself.
    pub(super) fn new(
        seed: u64,
        again: u32,
        asker: SessionId,
        content: Content,
        holders: Option<&catalogue::HolderSet>,
    ) -> Self {
        let Some(holders) = holders else { return Self { content, complete: vec![], partial: vec![] } };
        let seed = seed.wrapping_add(mix(u64::from(again)));
        let all = holders.complete().map(|holder| (holder, true));
        let all = all.chain(holders.partial().map(|holder| (holder, false)));
        let named = best(seed, asker, all, limits::HOLDERS_NAMED);
        let of =
            |whole| named.iter().filter(move |(_, all)| *all == whole).map(|(holder, _)| *holder).collect();
        Self { content, complete: of(true), partial: of(false) }
    }

    /// A number that is the same for the same selection (and, by a chance of 2⁻⁶⁴, for another).
    pub(super) fn fingerprint(&self) -> u64 {
        let start = mix(self.complete.len() as u64); // where the one list ends and the other begins
        let all = self.complete.iter().chain(&self.partial);
        all.fold(start, |hash, holder| mix(hash.rotate_left(23).wrapping_add(holder.0)))
    }
}

fn best(
    seed: u64,
    asker: SessionId,
    holders: impl Iterator<Item = (SessionId, bool)>,
    most: usize,
) -> Vec<(SessionId, bool)> {
    let asker_seed = mix(seed ^ asker.0);
    let mut scored: Vec<(u64, (SessionId, bool))> = holders
        .filter(|(holder, _)| *holder != asker)
        .map(|(holder, all)| (mix(asker_seed ^ mix(holder.0)), (holder, all)))
        .collect();
    if scored.len() > most && most > 0 {
        scored.select_nth_unstable(most - 1);
    }
    scored.truncate(most);
    scored.sort_unstable();
    scored.into_iter().map(|(_, holder)| holder).collect()
}

/// The finaliser of SplitMix64 (Steele, Lea, Flood 2014).
const fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{Content, HolderSelection, SessionId, best};
    use crate::id::ContentId;

    #[test]
    fn a_holder_that_leaves_changes_one_place_of_a_choice() {
        let all: Vec<_> = (1..1000).map(|number| (SessionId(number), number == 1)).collect();
        let asker = SessionId(0);
        let before = best(7, asker, all.iter().copied(), 64);
        assert_eq!(before.len(), 64);
        let removed = before[10];
        let after = best(7, asker, all.iter().copied().filter(|holder| *holder != removed), 64);
        let before: BTreeSet<_> = before.into_iter().collect();
        assert_eq!(after.iter().filter(|holder| before.contains(holder)).count(), 63);
        assert_ne!(best(8, asker, all.iter().copied(), 64), best(7, asker, all.iter().copied(), 64));
        assert_eq!(best(7, SessionId(5), [(SessionId(5), true)].into_iter(), 64), []);
        assert_eq!(best(7, SessionId(5), [(SessionId(6), true)].into_iter(), 0), []);
    }

    #[test]
    fn choices_that_differ_have_different_fingerprints() {
        let content = Content { id: ContentId([1; 32]), size: 1 };
        let some = |numbers: &[u64]| numbers.iter().copied().map(SessionId).collect();
        let lists: [&[u64]; 5] = [&[], &[0], &[1], &[0, 1], &[1, 0]];
        let pairs = lists.iter().flat_map(|complete| lists.iter().map(move |partial| (complete, partial)));
        let fingerprints: BTreeSet<_> = pairs
            .map(|(complete, partial)| {
                HolderSelection { content, complete: some(complete), partial: some(partial) }.fingerprint()
            })
            .collect();
        assert_eq!(fingerprints.len(), lists.len() * lists.len());
    }
}
