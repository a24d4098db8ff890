//! Connections: whom the manager names, who is dialled, and what follows when a connection comes or goes.
//!
//! No more are made at once than a peer may have. What is opened over one is in `channels`.

use std::time::Duration;

use super::{
    Action, DownloadId, Downloads, HolderId,
    holder::{Holder, Link},
    one::List,
    source::{Channel, Standing},
    timers::Alarm,
};
use crate::limits;

/// The wait before the first try to reach a holder again; it doubles with each failure.
const FIRST_REDIAL: Duration = Duration::from_millis(250);

/// The longest wait before a holder is tried again.
const LAST_REDIAL: Duration = Duration::from_secs(10);

/// Holders of one content that are remembered, liars and those named no more included.
const SOURCES: usize = 4 * limits::HOLDERS_NAMED;

impl Downloads {
    /// The manager says who holds a content.
    pub(super) fn name(&mut self, download: DownloadId, complete: &[HolderId], partial: &[HolderId]) {
        let Some(one) = self.downloads.get_mut(&download) else { return };
        one.holders_known = true;
        let mut gone = Vec::new();
        for source in one.sources_mut() {
            source.named = false;
            gone.push(source.holder);
        }
        // A part of a single piece is nothing.
        let partial = if one.is_whole() { &[] } else { partial };
        one.crowded |= !partial.is_empty();
        one.named = complete.len() + partial.len();
        let long = !one.is_whole();
        let named = complete.iter().take(limits::HOLDERS_NAMED);
        for holder in named.chain(partial.iter().take(limits::HOLDERS_NAMED)) {
            self.name_one(*holder, download);
        }
        for holder in gone {
            self.drop_if_gone(holder, download);
        }
        self.dial_spares(download);
        if long && !self.timers.is_set(Alarm::Neighbours(download)) {
            self.look_at_neighbours(download);
        }
        self.touch(download);
    }

    fn name_one(&mut self, holder: HolderId, download: DownloadId) {
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
        self.timers.clear(Alarm::Idle(holder));
        match known.link {
            Link::Up => self.open(holder, download),
            // Somebody new says that it is there: it need not wait out what others' attempts taught.
            Link::Down if is_new => self.timers.clear(Alarm::Redial(holder)),
            Link::Down | Link::Connecting { .. } => {}
        }
    }

    /// Forgets a holder of a content that the manager names no more, unless it is connected or lied.
    pub(super) fn drop_if_gone(&mut self, holder: HolderId, download: DownloadId) {
        let Some(source) = self.downloads.get(&download).and_then(|one| one.source(holder)) else { return };
        let up = self.holders.get(&holder).is_some_and(|holder| holder.link == Link::Up);
        let gone = !source.named && source.in_flight_bytes == 0;
        if gone && (!up || source.standing == Standing::Resting) && source.standing != Standing::Shunned {
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
        self.timers.clear(Alarm::Retry(holder, download));
        let Some(one) = self.downloads.get_mut(&download) else { return };
        if let Ok(at) = one.place(holder) {
            one.set_ready(at, false);
        }
        let Some(known) = self.holders.get_mut(&holder) else { return };
        known.uses.remove(&download);
        for list in [&mut known.ready, &mut known.ready_whole, &mut known.to_open] {
            list.remove(&(one.order, download));
        }
        self.marks.mark(holder, known);
        if known.uses.is_empty() && known.link == Link::Up && !self.timers.is_set(Alarm::Idle(holder)) {
            self.timers.set(Alarm::Idle(holder), self.now.after(self.config.idle));
        }
        self.drop_holder_if_unused(holder);
    }

    /// Forgets a holder that nothing refers to.
    pub(super) fn drop_holder_if_unused(&mut self, holder: HolderId) {
        let unused = self.holders.get(&holder).is_some_and(|known| {
            known.uses.is_empty() && known.link == Link::Down && known.queue().is_empty()
        });
        if unused {
            self.timers.clear(Alarm::Redial(holder));
            self.timers.clear(Alarm::Silence(holder));
            self.to_dial.remove(&holder);
            self.holders.remove(&holder);
            self.marks.forget(holder);
        }
    }

    /// Dials a holder that is not connected, now or when there is room.
    pub(super) fn dial(&mut self, holder: HolderId) {
        let Some(known) = self.holders.get(&holder) else { return };
        if known.link == Link::Down && !known.uses.is_empty() {
            self.timers.clear(Alarm::Redial(holder));
            self.to_dial.insert(holder);
        }
    }

    /// Dials those who wait, as far as there is room; connections that nothing needs make room.
    pub(super) fn dial_waiting(&mut self) {
        while let Some(holder) = self.to_dial.first().copied() {
            let links = self.holders.values().filter(|holder| holder.link != Link::Down).count();
            if links >= self.config.connections {
                let idle =
                    |(_, known): &(&HolderId, &Holder)| known.link == Link::Up && known.uses.is_empty();
                let Some((idle, _)) = self.holders.iter().find(idle) else { return };
                self.idle(*idle);
                continue;
            }
            self.to_dial.remove(&holder);
            if let Some(known) = self.holders.get_mut(&holder) {
                known.link = Link::Connecting { since: self.now };
                self.actions.push_back(Action::Connect { holder });
            }
        }
    }

    pub(super) fn connected(&mut self, holder: HolderId) {
        let Some(known) = self.holders.get_mut(&holder) else { return };
        if known.link == Link::Up {
            return;
        }
        known.link = Link::Up;
        known.unreachable = false;
        known.reset_window();
        self.marks.mark(holder, known);
        self.to_dial.remove(&holder);
        self.timers.clear(Alarm::Redial(holder));
        if known.uses.is_empty() {
            self.timers.set(Alarm::Idle(holder), self.now.after(self.config.idle));
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
            Link::Down => return,
            Link::Connecting { .. } => {}
            Link::Up => known.refused = true,
        }
        known.unreachable = true;
        self.down(holder);
    }

    pub(super) fn lost(&mut self, holder: HolderId) {
        if self.holders.get(&holder).is_some_and(|known| known.link == Link::Up) {
            self.down(holder);
        }
    }

    /// Ends the connection to a holder that nothing needs.
    pub(super) fn idle(&mut self, holder: HolderId) {
        if self.holders.get(&holder).is_some_and(|known| known.link == Link::Up && known.uses.is_empty()) {
            self.actions.push_back(Action::Disconnect { holder });
            self.down(holder);
        }
    }

    /// There is no connection to a holder now: what was asked of it is missing again, and it is dialled again if it
    /// is still named.
    pub(super) fn down(&mut self, holder: HolderId) {
        let Some(known) = self.holders.get_mut(&holder) else { return };
        known.forget_link();
        self.marks.mark(holder, known);
        let failures = known.failures;
        let uses: Vec<DownloadId> = known.uses.iter().copied().collect();
        self.timers.clear(Alarm::Idle(holder));
        self.timers.clear(Alarm::Silence(holder));
        while let Some(at) = self.awaited(holder, None) {
            self.take_back(holder, at);
        }
        for download in uses.iter().copied() {
            let Some(one) = self.downloads.get_mut(&download) else { continue };
            one.unlearn(holder);
            one.stirred = true;
            if matches!(&one.list, List::Asked { holder: asked, .. } if *asked == holder) {
                one.list = List::Wanted;
            }
            self.touch(download);
            self.drop_if_gone(holder, download);
        }
        self.set_redial(holder, failures);
        for download in uses {
            self.dial_spares(download); // somebody else, where there is nobody to wait for
        }
        self.drop_holder_if_unused(holder);
    }

    fn set_redial(&mut self, holder: HolderId, failures: u32) {
        if self.holders.get(&holder).is_some_and(|known| !known.uses.is_empty()) {
            let wait = FIRST_REDIAL.saturating_mul(1 << (failures - 1).min(10)).min(LAST_REDIAL);
            let half = usize::try_from(wait.as_micros() / 2).unwrap_or(usize::MAX);
            let jitter = u64::try_from(self.random.below(half)).unwrap_or(0);
            self.timers.set(Alarm::Redial(holder), self.now.after(wait / 2 + Duration::from_micros(jitter)));
        }
    }

    /// Whether a holder might still send something of a content: it does, or could be asked soon.
    fn provides(&self, holder: HolderId, download: DownloadId) -> bool {
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
        source.standing == Standing::Good
            && match known.link {
                Link::Down | Link::Connecting { .. } => source.named && !known.unreachable,
                // One that is silent may only be slow, until it is given up.
                Link::Up => match source.channel {
                    Channel::Closed | Channel::Opening => !known.refused,
                    Channel::Open(_) => {
                        let list_known = matches!(one.list, List::NotNeeded | List::Known(_));
                        !list_known || source.in_flight_bytes > 0 || one.has_work_for(source)
                    }
                },
            }
    }

    /// Says so when nobody could send what is missing, and when somebody could again.
    pub(super) fn judge_starved(&mut self, download: DownloadId) {
        let Some(one) = self.downloads.get(&download) else { return };
        let starved =
            one.holders_known && !one.sources().iter().any(|source| self.provides(source.holder, download));
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
