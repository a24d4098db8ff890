//! Which of the named holders to connect to for a content: all of them if they are few and complete; if others fetch it
//! too, a random set of limited size, in which useless holders are replaced.
//!
//! A random graph in which every peer has more than ln N neighbours is connected (Erdős, Rényi 1960), and rarest first
//! keeps neighbours useful to each other. So no peer needs to know all others. `holder_connections` opens and closes
//! connections.

use std::time::Duration;

use super::{
    Action, DownloadId, Downloads, HolderId,
    holders::holder::ConnectionState,
    single_download::Download,
    single_download::content_holder::{Channel, Source, SourceState},
    timers::Timer,
};
use crate::{limits, random::Random};

/// How often the connected holders are checked for whether they are of use.
const CHECK_INTERVAL: Duration = Duration::from_secs(5);

/// How long one that has nothing new stays, where another could take its place.
const USELESS_TIMEOUT: Duration = Duration::from_secs(10);

/// With fewer holders of use than these, others are asked for.
const MIN_USEFUL_HOLDERS: usize = 4;

/// How many that were of no use lately are remembered.
const REMEMBERED_USELESS: usize = 16;

/// One in so many may be connected beyond the limit while one takes another's place.
const EXTRA_SHARE: usize = 4;

impl Downloads {
    /// Dials named holders that are not connected: all of them; or, if others fetch the content too, the best by a
    /// random rank of this peer, up to the limit. A holder with a better rank replaces a connected one: so peers that
    /// come later get as many connections as peers that came first, and the graph is random in any order of arrival.
    pub(super) fn dial_unused(&mut self, download: DownloadId) {
        let Some(one) = self.downloads.get(&download) else { return };
        let spares = one.sources().iter().filter(|source| self.is_unused(source)).map(|source| source.holder);
        let mut spares: Vec<(u64, HolderId)> =
            spares.map(|holder| (self.rank(one, holder), holder)).collect();
        if spares.is_empty() {
            return;
        }
        spares.sort_unstable();
        let active = one.sources().iter().filter(|source| self.is_active(source));
        let mut active: Vec<u64> = active.map(|source| self.rank(one, source.holder)).collect();
        active.sort_unstable();
        let limit = if one.has_partial_holders { self.config.neighbours } else { usize::MAX };
        let mut free = limit.saturating_sub(active.len());
        let swaps = (limit / EXTRA_SHARE).saturating_sub(active.len().saturating_sub(limit));
        let mut worse = active.iter().rev().take(swaps);
        for (rank, holder) in spares {
            if free > 0 {
                free -= 1;
            } else if worse.next().is_none_or(|worst| *worst < rank) {
                return;
            }
            self.dial(holder);
        }
    }

    /// A holder is connected: one that ranks last makes room for it, where there are too many.
    pub(super) fn trim(&mut self, download: DownloadId) {
        let Some(one) = self.downloads.get(&download).filter(|one| one.has_partial_holders) else { return };
        let up = |source: &&Source| {
            self.holders.get(&source.holder).is_some_and(|known| known.link == ConnectionState::Connected)
        };
        let good = one.sources().iter().filter(|source| source.state == SourceState::Usable).filter(up);
        let ranked = good.map(|source| (self.rank(one, source.holder), source.holder));
        let ranked: Vec<(u64, HolderId)> = ranked.collect();
        if ranked.len() > self.config.neighbours
            && let Some((_, holder)) = ranked.into_iter().max()
        {
            self.disconnect_source(holder, download);
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
            one.is_some_and(|one| !one.has_partial_holders || self.active(one) < self.config.neighbours)
        };
        if known.uses.iter().any(has_room) {
            self.dial(holder);
        }
    }

    /// Lets one go that is of no use, and looks for others where too few are.
    pub(super) fn check_neighbours(&mut self, download: DownloadId) {
        let now = self.now;
        let Some(one) = self.downloads.get_mut(&download) else { return };
        self.timers.set(Timer::Neighbours(download), now.after(CHECK_INTERVAL));
        let mut useful = 0;
        for source in one.sources_mut() {
            let idle =
                matches!(source.channel, Channel::Open(_)) && !source.ready && source.in_flight_bytes == 0;
            source.useless_since = if idle { Some(source.useless_since.unwrap_or(now)) } else { None };
            useful += usize::from(source.ready || source.in_flight_bytes > 0);
        }
        let Some(one) = self.downloads.get(&download) else { return };
        let named = one.named;
        let has_spare = one.sources().iter().any(|source| self.is_unused(source));
        // Unreachable holders are no reason not to ask the manager for others.
        let reachable = |source: &&Source| self.holders.get(&source.holder).is_some_and(|it| !it.unreachable);
        let can_be_served = one.sources().iter().filter(reachable).any(|source| self.is_unused(source));
        let longest =
            one.sources().iter().filter_map(|source| Some((source.useless_since?, source.holder))).min();
        if let Some((_, holder)) = longest.filter(|(since, _)| now.since(*since) >= USELESS_TIMEOUT)
            && (has_spare || !self.to_dial.is_empty())
            && one.has_partial_holders
        {
            self.disconnect_source(holder, download);
            if let Some(one) = self.downloads.get_mut(&download) {
                one.useless.truncate(REMEMBERED_USELESS - 1);
                one.useless.push_front(holder);
            }
        }
        self.dial_unused(download);
        // Where fewer are named than may be, there are no others.
        let may_be_more = named >= limits::HOLDERS_NAMED && !can_be_served;
        let Some(one) = self.downloads.get_mut(&download) else { return };
        if useful >= MIN_USEFUL_HOLDERS || !may_be_more {
            one.more_holders.reset();
            return;
        }
        self.actions.push_back(Action::MoreHolders { download });
        let pause = one.more_holders.next_pause();
        self.timers.set(Timer::Neighbours(download), now.after(pause));
    }

    pub(super) fn disconnect_source(&mut self, holder: HolderId, download: DownloadId) {
        self.withdraw(holder, download, true);
        self.holder_changed(holder);
        let source = self.downloads.get_mut(&download).and_then(|one| one.source_mut(holder));
        if let Some(source) = source.filter(|source| source.in_flight_bytes > 0) {
            // What has arrived is still to be stored, and is this holder's until then.
            (source.named, source.state) = (false, SourceState::BackingOff);
            return self.timers.set(Timer::Retry(holder, download), self.now.after(CHECK_INTERVAL));
        }
        self.remove_source(holder, download);
        self.idle(holder);
    }

    /// A holder is not what it was: what was left to it is looked at again, for each content that may come from it.
    pub(super) fn holder_changed(&mut self, holder: HolderId) {
        let Some(known) = self.holders.get(&holder) else { return };
        for download in known.uses.iter().copied() {
            if let Some(one) = self.downloads.get_mut(&download) {
                one.changed_since_decline = true;
                self.changed.insert(download);
            }
        }
    }

    /// Whether a source is a holder that nobody has dialled, or is about to.
    fn is_unused(&self, source: &Source) -> bool {
        source.named
            && source.state == SourceState::Usable
            && self
                .holders
                .get(&source.holder)
                .is_some_and(|known| known.link == ConnectionState::Disconnected)
            && !self.to_dial.contains(&source.holder)
            && !self.timers.is_set(Timer::Redial(source.holder))
    }

    /// How many sources are connected or will be soon, as far as one can tell.
    fn active(&self, one: &Download) -> usize {
        one.sources().iter().filter(|source| self.is_active(source)).count()
    }

    fn is_active(&self, source: &Source) -> bool {
        let holder = source.holder;
        self.holders.get(&holder).is_some_and(|known| {
            known.link != ConnectionState::Disconnected
                || self.to_dial.contains(&holder)
                || (self.timers.is_set(Timer::Redial(holder)) && !known.unreachable)
        })
    }
}
