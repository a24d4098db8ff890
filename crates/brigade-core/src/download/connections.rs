//! Connections: the named holders, dialling, and the effects of connections that open or end.
//!
//! No more are made at once than a peer may have. What is opened over one is in `holder_channels`.

use std::time::Duration;

use super::{
    Action, DownloadId, Downloads, HolderId,
    holders::holder::{ConnectionState, Holder},
    single_download::ListState,
    source::{Channel, SourceState},
    timers::Timer,
};
use crate::{backoff::jittered, limits};

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

    /// Dials a holder that is not connected, now or when there is room.
    pub(super) fn dial(&mut self, holder: HolderId) {
        let Some(known) = self.holders.get(&holder) else { return };
        if known.link == ConnectionState::Disconnected && !known.uses.is_empty() {
            self.timers.clear(Timer::Redial(holder));
            self.to_dial.insert(holder);
        }
    }

    /// Dials those who wait, as far as there is room; connections that nothing needs make room.
    pub(super) fn dial_waiting(&mut self) {
        while let Some(holder) = self.to_dial.first().copied() {
            let links =
                self.holders.values().filter(|holder| holder.link != ConnectionState::Disconnected).count();
            if links >= self.config.connections {
                let idle = |(_, known): &(&HolderId, &Holder)| {
                    known.link == ConnectionState::Connected && known.uses.is_empty()
                };
                let Some((idle, _)) = self.holders.iter().find(idle) else { return };
                self.idle(*idle);
                continue;
            }
            self.to_dial.remove(&holder);
            if let Some(known) = self.holders.get_mut(&holder) {
                known.link = ConnectionState::Connecting { since: self.now };
                self.actions.push_back(Action::Connect { holder });
            }
        }
    }

    pub(super) fn connected(&mut self, holder: HolderId) {
        let Some(known) = self.holders.get_mut(&holder) else { return };
        if known.link == ConnectionState::Connected {
            return;
        }
        known.link = ConnectionState::Connected;
        known.unreachable = false;
        known.reset_window();
        self.holder_sets.update_sets(holder, known);
        self.to_dial.remove(&holder);
        self.timers.clear(Timer::Redial(holder));
        if known.uses.is_empty() {
            self.timers.set(Timer::Idle(holder), self.now.after(self.config.idle));
        }
        let uses: Vec<DownloadId> = known.uses.iter().copied().collect();
        for download in uses {
            self.open(holder, download);
            self.trim(download);
        }
    }

    pub(super) fn unreachable(&mut self, holder: HolderId) {
        let Some(known) = self.holders.get_mut(&holder) else { return };
        match known.link {
            ConnectionState::Disconnected => return,
            ConnectionState::Connecting { .. } => {}
            ConnectionState::Connected => known.refused = true,
        }
        known.unreachable = true;
        self.down(holder);
    }

    pub(super) fn lost(&mut self, holder: HolderId) {
        if self.holders.get(&holder).is_some_and(|known| known.link == ConnectionState::Connected) {
            self.down(holder);
        }
    }

    /// Ends the connection to a holder that nothing needs.
    pub(super) fn idle(&mut self, holder: HolderId) {
        if self
            .holders
            .get(&holder)
            .is_some_and(|known| known.link == ConnectionState::Connected && known.uses.is_empty())
        {
            self.actions.push_back(Action::Disconnect { holder });
            self.down(holder);
        }
    }

    /// There is no connection to a holder now: what was asked of it is missing again, and it is dialled again if it
    /// is still named.
    pub(super) fn down(&mut self, holder: HolderId) {
        let Some(known) = self.holders.get_mut(&holder) else { return };
        let pause = known.forget_link();
        self.holder_sets.update_sets(holder, known);
        let uses: Vec<DownloadId> = known.uses.iter().copied().collect();
        self.timers.clear(Timer::Idle(holder));
        self.timers.clear(Timer::Silence(holder));
        while let Some(at) = self.awaited(holder, None) {
            self.cancel_at(holder, at);
        }
        for download in uses.iter().copied() {
            let Some(one) = self.downloads.get_mut(&download) else { continue };
            one.clear_pieces(holder);
            one.changed_since_decline = true;
            if matches!(&one.list, ListState::Requested { holder: asked, .. } if *asked == holder) {
                one.list = ListState::Wanted;
            }
            self.mark_changed(download);
            self.drop_if_gone(holder, download);
        }
        self.set_redial(holder, pause);
        for download in uses {
            self.dial_unused(download); // somebody else, where there is nobody to wait for
        }
        self.drop_holder_if_unused(holder);
    }

    fn set_redial(&mut self, holder: HolderId, pause: Duration) {
        if self.holders.get(&holder).is_some_and(|known| !known.uses.is_empty()) {
            let pause = jittered(pause, &mut self.random);
            self.timers.set(Timer::Redial(holder), self.now.after(pause));
        }
    }

    /// Whether a holder might still send something of a content: it does, or could be asked soon.
    fn may_still_send(&self, holder: HolderId, download: DownloadId) -> bool {
        let Some(one) = self.downloads.get(&download) else { return false };
        let (Some(source), Some(known)) = (one.source(holder), self.holders.get(&holder)) else {
            return false;
        };
        // What has arrived will be stored, whatever became of the connection.
        if source.in_flight_bytes > 0
            && known.queue().iter().any(|asked| asked.arrived && asked.download == download)
        {
            return true;
        }
        source.state == SourceState::Usable
            && match known.link {
                ConnectionState::Disconnected | ConnectionState::Connecting { .. } => {
                    source.named && !known.unreachable
                }
                // One that is silent may only be slow, until it is given up.
                ConnectionState::Connected => match source.channel {
                    Channel::Closed | Channel::Opening => !known.refused,
                    Channel::Open(_) => {
                        let list_known = matches!(one.list, ListState::NotNeeded | ListState::Known(_));
                        !list_known || source.in_flight_bytes > 0 || one.has_work_for(source)
                    }
                },
            }
    }

    /// Says so when nobody could send what is missing, and when somebody could again.
    pub(super) fn update_starved(&mut self, download: DownloadId) {
        let Some(one) = self.downloads.get(&download) else { return };
        let starved = one.holders_known
            && !one.sources().iter().any(|source| self.may_still_send(source.holder, download));
        let Some(one) = self.downloads.get_mut(&download) else { return };
        if starved != one.starved {
            one.starved = starved;
            self.actions.push_back(if starved {
                Action::Starved { download }
            } else {
                Action::Fed { download }
            });
        }
    }
}
