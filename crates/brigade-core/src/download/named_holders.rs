//! The holders that the manager names for each content, and those that are forgotten.
//!
//! A holder that the manager names no more is kept while its connection is of use. `holder_connections` dials holders.

use super::{
    DownloadId, Downloads, HolderId, holders::holder::ConnectionState,
    single_download::content_holder::SourceState, timers::Timer,
};
use crate::limits;

/// Holders of one content that are remembered, liars and those named no more included.
const SOURCES: usize = 4 * limits::HOLDERS_NAMED;

impl Downloads {
    /// The manager says who holds a content.
    pub(super) fn set_holders(&mut self, download: DownloadId, complete: &[HolderId], partial: &[HolderId]) {
        let Some(one) = self.downloads.get_mut(&download) else { return };
        one.holders_known = true;
        let mut removed = Vec::new();
        for source in one.sources_mut() {
            source.named = false;
            removed.push(source.holder);
        }
        // A part of a single piece is nothing.
        let partial = if one.is_whole() { &[] } else { partial };
        one.has_partial_holders |= !partial.is_empty();
        one.named = complete.len() + partial.len();
        let long = !one.is_whole();
        let named = complete.iter().take(limits::HOLDERS_NAMED);
        for holder in named.chain(partial.iter().take(limits::HOLDERS_NAMED)) {
            self.add_holder(*holder, download);
        }
        for holder in removed {
            self.drop_if_gone(holder, download);
        }
        self.dial_unused(download);
        if long && !self.timers.is_set(Timer::Neighbours(download)) {
            self.check_neighbours(download);
        }
        self.mark_changed(download);
    }

    fn add_holder(&mut self, holder: HolderId, download: DownloadId) {
        let Some(one) = self.downloads.get_mut(&download) else { return };
        if let Some(source) = one.source_mut(holder) {
            source.named = true;
            return;
        }
        if one.sources().len() >= SOURCES {
            return;
        }
        one.add_source(holder);
        let known = self.holders.get_or_new(holder);
        let is_new = known.uses.is_empty(); // else another content waits for the same attempt
        known.uses.insert(download);
        self.timers.clear(Timer::Idle(holder));
        match known.link {
            ConnectionState::Connected => self.open(holder, download),
            // The manager named a holder that was not named before: it need not wait out the failures of earlier
            // attempts.
            ConnectionState::Disconnected if is_new => self.timers.clear(Timer::Redial(holder)),
            ConnectionState::Disconnected | ConnectionState::Connecting { .. } => {}
        }
    }

    /// Forgets a holder of a content that the manager names no more, unless it is connected or lied.
    pub(super) fn drop_if_gone(&mut self, holder: HolderId, download: DownloadId) {
        let Some(source) = self.downloads.get(&download).and_then(|one| one.source(holder)) else { return };
        let up = self.holders.get(&holder).is_some_and(|holder| holder.link == ConnectionState::Connected);
        let removed = !source.named && source.in_flight_bytes == 0;
        if removed && (!up || source.state == SourceState::BackingOff) && source.state != SourceState::Banned
        {
            self.remove_source(holder, download);
        }
    }

    /// Takes a holder from a content. Nothing of it may be in flight, unless the content ends as well.
    pub(super) fn remove_source(&mut self, holder: HolderId, download: DownloadId) {
        if let Some(one) = self.downloads.get_mut(&download) {
            one.remove_source(holder);
        }
        self.drop_use(holder, download);
    }

    /// A holder is of no use for a content any more.
    pub(super) fn drop_use(&mut self, holder: HolderId, download: DownloadId) {
        self.timers.clear(Timer::Retry(holder, download));
        let Some(one) = self.downloads.get_mut(&download) else { return };
        if let Ok(at) = one.position(holder) {
            one.set_ready(at, false);
        }
        let Some(known) = self.holders.get_mut(&holder) else { return };
        known.uses.remove(&download);
        for list in [&mut known.ready, &mut known.ready_whole, &mut known.to_open] {
            list.remove(&(one.order, download));
        }
        self.holder_sets.update_sets(holder, known);
        if known.uses.is_empty()
            && known.link == ConnectionState::Connected
            && !self.timers.is_set(Timer::Idle(holder))
        {
            self.timers.set(Timer::Idle(holder), self.now.after(self.config.idle));
        }
        self.drop_holder_if_unused(holder);
    }

    /// Forgets a holder that nothing refers to.
    pub(super) fn drop_holder_if_unused(&mut self, holder: HolderId) {
        let unused = self.holders.get(&holder).is_some_and(|known| {
            known.uses.is_empty() && known.link == ConnectionState::Disconnected && known.queue().is_empty()
        });
        if unused {
            self.timers.clear(Timer::Redial(holder));
            self.timers.clear(Timer::Silence(holder));
            self.to_dial.remove(&holder);
            self.holders.remove(&holder);
            self.holder_sets.forget(holder);
        }
    }
}
