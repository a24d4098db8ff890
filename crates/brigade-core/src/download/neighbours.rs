//! Whom of the named holders a content is fetched from: all of them where they are few and complete; where others fetch
//! it too, a bounded random set, in which who is of no use makes room for another.
//!
//! A random graph in which everybody has more than ln N links holds together (Erdős, Rényi 1960), and rarest first keeps
//! what each of them has useful to the next. So nobody needs to know everyone. Connections are made and ended in
//! `links`.

use std::time::Duration;

use super::{
    Action, DownloadId, Downloads, HolderId,
    holder::Link,
    one::Download,
    source::{Channel, Source, Standing},
    timers::Alarm,
};
use crate::{limits, random::Random};

/// How often it is looked whether those who are connected are of use.
const LOOKED_AT_EVERY: Duration = Duration::from_secs(5);

/// How long one that has nothing new stays, where another could take its place.
const USELESS: Duration = Duration::from_secs(10);

/// With fewer holders of use than these, others are asked for.
const FEW: usize = 4;

/// How many that were of no use lately are remembered.
const USELESS_KEPT: usize = 16;

/// One in so many may be connected beyond the limit while one takes another's place.
const MORE: usize = 4;

/// How often the time doubles after which others are asked for again.
const LONGER: u32 = 4;

impl Downloads {
    /// Dials holders that nobody dialled yet: all of them; or, in a crowd, the best by a rank that is chance and this
    /// peer's own, up to as many as a content may have. One that ranks better than one that is there takes its place:
    /// so whoever comes later is asked by as many as who came first, and the graph is random whatever the order.
    pub(super) fn dial_spares(&mut self, download: DownloadId) {
        let Some(one) = self.downloads.get(&download) else { return };
        let spares = one.sources().iter().filter(|source| self.is_spare(source)).map(|source| source.holder);
        let mut spares: Vec<(u64, HolderId)> =
            spares.map(|holder| (self.rank(one, holder), holder)).collect();
        if spares.is_empty() {
            return;
        }
        spares.sort_unstable();
        let active = one.sources().iter().filter(|source| self.is_active(source));
        let mut active: Vec<u64> = active.map(|source| self.rank(one, source.holder)).collect();
        active.sort_unstable();
        let limit = if one.crowded { self.config.neighbours } else { usize::MAX };
        let mut places = limit.saturating_sub(active.len());
        let swaps = (limit / MORE).saturating_sub(active.len().saturating_sub(limit));
        let mut worse = active.iter().rev().take(swaps);
        for (rank, holder) in spares {
            if places > 0 {
                places -= 1;
            } else if worse.next().is_none_or(|worst| *worst < rank) {
                return;
            }
            self.dial(holder);
        }
    }

    /// A holder is connected: one that ranks last makes room for it, where there are too many.
    pub(super) fn trim(&mut self, download: DownloadId) {
        let Some(one) = self.downloads.get(&download).filter(|one| one.crowded) else { return };
        let up =
            |source: &&Source| self.holders.get(&source.holder).is_some_and(|known| known.link == Link::Up);
        let good = one.sources().iter().filter(|source| source.standing == Standing::Good).filter(up);
        let ranked = good.map(|source| (self.rank(one, source.holder), source.holder));
        let ranked: Vec<(u64, HolderId)> = ranked.collect();
        if ranked.len() > self.config.neighbours
            && let Some((_, holder)) = ranked.into_iter().max()
        {
            self.let_go(holder, download);
        }
    }

    /// Lower for those who are dialled first; last come those who were of no use lately.
    fn rank(&self, one: &Download, holder: HolderId) -> u64 {
        let chance = Random::new(self.salt ^ u64::from(holder.0)).next() >> 1;
        if one.useless.contains(&holder) { chance | 1 << 63 } else { chance }
    }

    /// It is time to dial a holder again that could not be reached, or was lost: if there is no other in its place.
    pub(super) fn redial(&mut self, holder: HolderId) {
        let Some(known) = self.holders.get(&holder) else { return };
        let has_room = |download: &DownloadId| {
            let one = self.downloads.get(download);
            one.is_some_and(|one| !one.crowded || self.active(one) < self.config.neighbours)
        };
        if known.uses.iter().any(has_room) {
            self.dial(holder);
        }
    }

    /// Lets one go that is of no use, and looks for others where too few are.
    pub(super) fn look_at_neighbours(&mut self, download: DownloadId) {
        let now = self.now;
        let Some(one) = self.downloads.get_mut(&download) else { return };
        self.timers.set(Alarm::Neighbours(download), now.after(LOOKED_AT_EVERY));
        let mut useful = 0;
        for source in one.sources_mut() {
            let idle =
                matches!(source.channel, Channel::Open(_)) && !source.ready && source.in_flight_bytes == 0;
            source.useless_since = if idle { Some(source.useless_since.unwrap_or(now)) } else { None };
            useful += usize::from(source.ready || source.in_flight_bytes > 0);
        }
        let Some(one) = self.downloads.get(&download) else { return };
        let named = one.named;
        let has_spare = one.sources().iter().any(|source| self.is_spare(source));
        // Whom nobody could reach is no reason not to ask for others.
        let reachable = |source: &&Source| self.holders.get(&source.holder).is_some_and(|it| !it.unreachable);
        let has_hope = one.sources().iter().filter(reachable).any(|source| self.is_spare(source));
        let longest =
            one.sources().iter().filter_map(|source| Some((source.useless_since?, source.holder))).min();
        if let Some((_, holder)) = longest.filter(|(since, _)| now.since(*since) >= USELESS)
            && (has_spare || !self.to_dial.is_empty())
            && one.crowded
        {
            self.let_go(holder, download);
            if let Some(one) = self.downloads.get_mut(&download) {
                one.useless.truncate(USELESS_KEPT - 1);
                one.useless.push_front(holder);
            }
        }
        self.dial_spares(download);
        // Where fewer are named than may be, there are no others.
        let may_be_more = named >= limits::HOLDERS_NAMED && !has_hope;
        let Some(one) = self.downloads.get_mut(&download) else { return };
        if useful >= FEW || !may_be_more {
            one.refreshes = 0;
            return;
        }
        self.actions.push_back(Action::MoreHolders { download });
        let wait = LOOKED_AT_EVERY * (1 << one.refreshes.min(LONGER));
        one.refreshes += 1;
        self.timers.set(Alarm::Neighbours(download), now.after(wait));
    }

    pub(super) fn let_go(&mut self, holder: HolderId, download: DownloadId) {
        self.withdraw(holder, download, true);
        self.stir(holder);
        let source = self.downloads.get_mut(&download).and_then(|one| one.source_mut(holder));
        if let Some(source) = source.filter(|source| source.in_flight_bytes > 0) {
            // What has arrived is still to be stored, and is this holder's until then.
            (source.named, source.standing) = (false, Standing::Resting);
            return self.timers.set(Alarm::Retry(holder, download), self.now.after(LOOKED_AT_EVERY));
        }
        self.remove_source(holder, download);
        self.idle(holder);
    }

    /// A holder is not what it was: what was left to it is looked at again, for each content that may come from it.
    pub(super) fn stir(&mut self, holder: HolderId) {
        let Some(known) = self.holders.get(&holder) else { return };
        for download in known.uses.iter().copied() {
            if let Some(one) = self.downloads.get_mut(&download) {
                one.stirred = true;
                self.touched.insert(download);
            }
        }
    }

    /// Whether a source is a holder that nobody has dialled, or is about to.
    fn is_spare(&self, source: &Source) -> bool {
        source.named
            && source.standing == Standing::Good
            && self.holders.get(&source.holder).is_some_and(|known| known.link == Link::Down)
            && !self.to_dial.contains(&source.holder)
            && !self.timers.is_set(Alarm::Redial(source.holder))
    }

    /// How many sources are connected or will be soon, as far as one can tell.
    fn active(&self, one: &Download) -> usize {
        one.sources().iter().filter(|source| self.is_active(source)).count()
    }

    fn is_active(&self, source: &Source) -> bool {
        let holder = source.holder;
        self.holders.get(&holder).is_some_and(|known| {
            known.link != Link::Down
                || self.to_dial.contains(&holder)
                || (self.timers.is_set(Alarm::Redial(holder)) && !known.unreachable)
        })
    }
}
