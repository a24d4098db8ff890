//! All downloads: which pieces to request from which holder, and when to ask another one.
//!
//! [`Downloads`] only decides: it handles every [`Event`] and returns [`Action`]s. It has no clock: every call passes
//! `now`, which never goes back.
//!
//! This file keeps the state, and sends each event to a sibling. After every event, `requests` makes as many requests
//! as the windows allow, and `starvation` finds contents that no holder could send. One content is
//! `single_download::Download` with its `picker`; one holder is `holders::holder::Holder`.

mod config;
mod events_and_actions;
mod holder_bitfields;
mod holder_channels;
mod holder_connections;
mod holders;
mod named_holders;
mod neighbour_selection;
mod piece_list_requests;
mod requests;
mod single_download;
mod stalled_holders;
mod starvation;
#[cfg(test)]
mod tests;
mod timers;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

pub use config::Config;
pub use events_and_actions::{
    Action, DownloadError, DownloadId, DownloadStatus, Event, HolderFault, HolderId, Priority,
};

use self::{
    holders::holder::ConnectionState,
    holders::holders_by_state::HoldersByState,
    holders::table::HolderTable,
    single_download::{Download, content_holder::SourceState},
    timers::{Timer, Timers},
};
use crate::{
    bitfield::Bitfield,
    geometry::{Geometry, PieceIndex},
    id::{Content, ContentId},
    piece_list::{Expected, PieceList},
    random::Random,
    time::Timestamp,
};

/// All contents being fetched, and the holders that they may come from.
///
/// The contract:
///
/// ```text
/// downloads.handle(now, event);            // or handle_timeout(now), at the deadline
/// while let Some(action) = downloads.next_action() { carry_out(action) }   // always until None
/// wait for the next event, or until downloads.deadline()
/// ```
///
/// Every event from a holder may be passed in, in any order; events that make no sense are ignored. After `Cancel`,
/// `Close` or `Disconnect`, and after [`Event::Lost`], events for earlier requests may still come; `Stored` counts even
/// then.
#[derive(Debug)]
pub struct Downloads {
    config: Config,
    now: Timestamp,
    random: Random,
    /// Ranks holders, otherwise than elsewhere.
    salt: u64,
    downloads: BTreeMap<DownloadId, Download>,
    holders: HolderTable,
    holder_sets: HoldersByState,
    /// Holders that are to be dialled when there is room for their connection.
    to_dial: BTreeSet<HolderId>,
    timers: Timers,
    actions: VecDeque<Action>,
    /// Downloads to look at before the event is done with.
    changed: BTreeSet<DownloadId>,
    next_order: u64,
    in_flight_bytes: u64,
    /// Of what, and of whom, an offer was declined because too much was in flight.
    deferred: BTreeSet<(DownloadId, HolderId)>,
    /// Bytes of contents of a single piece that are not stored.
    whole_left_bytes: u64,
    fetched_twice_bytes: u64,
}

impl Downloads {
    /// Nothing to fetch yet. The same seed and events give the same actions.
    pub const fn new(config: Config, seed: u64) -> Self {
        Self {
            config,
            now: Timestamp::from_micros(0),
            random: Random::new(seed),
            salt: Random::new(!seed).next(),
            downloads: BTreeMap::new(),
            holders: HolderTable::new(),
            holder_sets: HoldersByState::new(),
            to_dial: BTreeSet::new(),
            timers: Timers::new(),
            actions: VecDeque::new(),
            changed: BTreeSet::new(),
            next_order: 0,
            in_flight_bytes: 0,
            deferred: BTreeSet::new(),
            whole_left_bytes: 0,
            fetched_twice_bytes: 0,
        }
    }

    /// Tells what happened. Events about holders and contents that are not known are ignored.
    pub fn handle(&mut self, now: Timestamp, event: Event) {
        self.now = self.now.max(now);
        match event {
            Event::Start { download, content, list, have, priority } => {
                self.start((download, content), list, &have, priority);
            }
            Event::Holders { download, complete, partial } => self.set_holders(download, &complete, &partial),
            Event::Connected { holder } => self.connected(holder),
            Event::Unreachable { holder } => self.unreachable(holder),
            Event::Lost { holder } => self.lost(holder),
            Event::HaveAll { holder, download } => self.have_all(holder, download),
            Event::Bits { holder, download, first, bits } => self.bits(holder, download, first, &bits),
            Event::Have { holder, download, pieces } => {
                if !self.have(holder, download, &pieces) {
                    return; // in a crowd most of it is of pieces that are here already
                }
            }
            Event::Turns { holder, limited } => self.turns(holder, limited),
            Event::Offered { holder, download, offer, pieces } => {
                self.offered(holder, download, offer, &pieces);
            }
            Event::ListPage { holder, download, first, values } => {
                self.list_page(holder, download, first, &values);
            }
            Event::Progress { holder, download, piece, bytes } => {
                self.progress(holder, download, piece, bytes, false);
            }
            Event::Throttled { holder, throttled } => self.throttled(holder, throttled),
            Event::Arrived { holder, download, piece } => self.progress(holder, download, piece, 0, true),
            Event::Stored { holder, download, piece } => self.stored(holder, download, piece),
            Event::Wrong { holder, download, piece } => self.wrong(holder, download, piece),
            Event::Refused { holder, download, piece, reason } => {
                self.refused(holder, download, piece, reason);
            }
            Event::Forget { download } => self.end(download),
        }
        self.finish_event();
    }

    /// All holders whose numbers are in use here; the caller may forget all others.
    pub fn referred_to(&self) -> BTreeSet<HolderId> {
        let of_contents = self.downloads.values().flat_map(|one| {
            one.sources().iter().map(|source| source.holder).chain(one.useless.iter().copied())
        });
        self.holders.iter().map(|(holder, _)| *holder).chain(of_contents).collect()
    }

    /// What is to be done next; to be called until there is nothing more.
    pub fn next_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// When [`Self::handle_timeout`] is to be called if nothing else happens before.
    pub fn deadline(&self) -> Option<Timestamp> {
        self.timers.next()
    }

    /// Does what is due at `now`.
    pub fn handle_timeout(&mut self, now: Timestamp) {
        self.now = self.now.max(now);
        // Every timer is set again in the future or not at all, so this ends.
        while let Some(timer) = self.timers.due(self.now) {
            match timer {
                Timer::Redial(holder) => self.redial(holder),
                Timer::Idle(holder) => self.idle(holder),
                Timer::Silence(holder) => self.silent(holder),
                Timer::Retry(holder, download) => self.retry(holder, download),
                Timer::Neighbours(download) => self.check_neighbours(download),
            }
        }
        self.finish_event();
    }

    /// What a piece must hash to; `None` while that is not known, and where there is no such piece.
    pub fn expected(&self, download: DownloadId, piece: PieceIndex) -> Option<Expected> {
        self.downloads.get(&download)?.expected(piece)
    }

    /// The number of stored pieces of a download, as in its [`status`](Self::status).
    pub fn stored_pieces(&self, download: DownloadId) -> Option<u32> {
        self.downloads.get(&download).map(|one| one.picker.stored())
    }

    /// How far a download is; `None` once it is finished or forgotten.
    pub fn status(&self, download: DownloadId) -> Option<DownloadStatus> {
        let one = self.downloads.get(&download)?;
        let bytes = one.content.size;
        let up = |holder: &HolderId| {
            self.holders.get(holder).is_some_and(|holder| holder.link == ConnectionState::Connected)
        };
        Some(DownloadStatus {
            pieces: one.picker.geometry().count(),
            stored: one.picker.stored(),
            bytes,
            bytes_stored: bytes - one.picker.left_bytes(),
            in_flight_bytes: one.sources().iter().map(|source| source.in_flight_bytes).sum(),
            holders: one.sources().iter().filter(|s| s.state == SourceState::Usable && up(&s.holder)).count(),
            starved: one.starved,
        })
    }

    /// Bytes that crossed the network a second time, over all downloads so far: whole pieces that were stored twice,
    /// and what had come of those that were taken back.
    pub const fn fetched_twice_bytes(&self) -> u64 {
        self.fetched_twice_bytes
    }

    fn start(
        &mut self,
        (download, content): (DownloadId, Content),
        list: Option<Arc<PieceList>>,
        have: &Bitfield,
        priority: Priority,
    ) {
        if self.downloads.contains_key(&download) {
            debug_assert!(false, "{download:?} was started twice");
            return;
        }
        let geometry = match Geometry::new(content.size) {
            Ok(geometry) if content.size > 0 || content.id == ContentId::EMPTY => geometry,
            Ok(_) => {
                let error = DownloadError::NotEmpty(content.id);
                return self.actions.push_back(Action::Failed { download, error });
            }
            Err(_) => {
                let error = DownloadError::TooLarge(content.size);
                return self.actions.push_back(Action::Failed { download, error });
            }
        };
        let one = Download::new(content, geometry, list, have, priority.order(self.next_order));
        self.next_order += 1;
        if one.is_finished() {
            return self.actions.push_back(Action::Finished { download });
        }
        if one.is_whole() {
            self.whole_left_bytes += content.size;
        }
        self.downloads.insert(download, one);
    }

    /// Takes a download out, finished or not.
    fn end(&mut self, download: DownloadId) {
        let Some(one) = self.downloads.get(&download) else { return };
        if one.is_whole() && !one.is_finished() {
            self.whole_left_bytes -= one.content.size;
        }
        let holders: Vec<HolderId> = one.sources().iter().map(|source| source.holder).collect();
        for holder in holders {
            self.withdraw(holder, download, true);
            self.drop_arrived(holder, download);
            self.remove_source(holder, download);
        }
        self.timers.clear(Timer::Neighbours(download));
        self.downloads.remove(&download);
        self.changed.remove(&download);
    }

    /// A download is to be looked at before the event is done with: others may be ready to be asked for it.
    fn mark_changed(&mut self, download: DownloadId) {
        self.changed.insert(download);
        if let Some(one) = self.downloads.get_mut(&download) {
            one.needs_refresh = true;
        }
    }

    /// What follows from every event: lists are asked for, windows filled, and who is late is passed over.
    fn finish_event(&mut self) {
        let changed = std::mem::take(&mut self.changed);
        for download in &changed {
            self.want_list(*download);
            self.refresh(*download);
            self.want_turns(*download);
        }
        self.dial_waiting();
        self.fill();
        self.ask_elsewhere();
        for download in changed {
            self.update_starved(download);
        }
    }

    /// A holder changed: updates the sets that it belongs to.
    pub(super) fn update_sets(&mut self, holder: HolderId) {
        if let Some(known) = self.holders.get(&holder) {
            self.holder_sets.update_sets(holder, known);
        }
    }
}
