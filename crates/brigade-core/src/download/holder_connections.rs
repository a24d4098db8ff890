//! Dialling holders, and what follows when a connection opens, fails or ends.
//!
//! There are no more connections at once than a peer may have. `holder_channels` opens contents over a connection.

use std::time::Duration;

use super::{
    Action, DownloadId, Downloads, HolderId,
    holders::holder::{ConnectionState, Holder},
    single_download::ListState,
    timers::Timer,
};
use crate::backoff::jittered;

impl Downloads {
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
}
