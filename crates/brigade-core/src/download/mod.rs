//! All contents being fetched: what is asked of whom, and when somebody else is asked.
//!
//! [`Downloads`] decides and does nothing: it is told of every [`Event`], and says what is to be done as
//! [`Action`]s. It has no clock: every call brings `now`, which never goes back.
//!
//! This file keeps the state, and sends each event to a sibling: `links` and `neighbours` (connections, and
//! whom the manager names), `channels` (opening, bitfields, piece lists),
//! `turns` (holders that send by turns), `arrivals` (pieces, and refusals). After every event
//! `fill` asks for as much as the windows allow, and `late` deals with who is slow. One content is
//! `one::Download` with its `picker`; one holder is `holder::Holder`, in a `table::Table`.

mod arrivals;
mod channels;
mod event;
mod fill;
mod holder;
mod late;
mod links;
mod marks;
mod neighbours;
mod one;
mod pace;
mod picker;
mod source;
mod table;
#[cfg(test)]
mod tests;
mod timers;
mod turns;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
    time::Duration,
};

pub use event::{Action, DownloadId, Event, HolderId, Impossible, Lie, Status};

use self::{
    holder::Link,
    marks::Marks,
    one::Download,
    table::Table,
    timers::{Alarm, Timers},
};
use crate::{
    bitfield::Bitfield,
    content::{Expected, PieceList},
    geometry::{Geometry, PieceIndex},
    id::{Content, ContentId},
    limits,
    random::Random,
    time::Timestamp,
};

/// The bounds that [`Downloads`] keeps.
#[derive(Debug, Clone)]
pub struct Config {
    /// Bytes asked of one holder and not stored. Two requests are always allowed, so that a long piece does not
    /// leave the line idle while it is hashed.
    pub holder_window_bytes: u64,
    /// Bytes asked and not stored, over all holders. Four requests are always allowed.
    pub in_flight_bytes: u64,
    /// Requests asked of one holder and not stored.
    pub requests_in_flight: usize,
    /// Contents open at one holder at once.
    pub channels: usize,
    /// Holders connected, or being dialled, at once.
    pub connections: usize,
    /// Of these, for one content of which others have a part: the rest of a peer's connections is for them.
    pub neighbours: usize,
    /// How long a connection that nothing needs is kept.
    pub idle: Duration,
    /// How long a holder may be silent beyond what its rate promised before others are asked.
    pub stall: Duration,
    /// How long a stalled holder stays connected.
    pub silence: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            holder_window_bytes: limits::HOLDER_WINDOW_BYTES,
            in_flight_bytes: limits::IN_FLIGHT_BYTES,
            requests_in_flight: limits::REQUESTS_IN_FLIGHT,
            channels: limits::OPEN_CHANNELS,
            connections: limits::HOLDERS_NAMED,
            neighbours: limits::NEIGHBOURS,
            idle: Duration::from_secs(30),
            stall: Duration::from_secs(1),
            silence: Duration::from_secs(10),
        }
    }
}

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
/// Whatever a holder sends, in whatever order, is an event that may be handed in: what makes no sense is ignored.
/// After `Cancel`, `Close` or `Disconnect`, and after [`Event::Lost`], events of what was asked may still come;
/// `Stored` counts even then.
#[derive(Debug)]
pub struct Downloads {
    config: Config,
    now: Timestamp,
    random: Random,
    /// Ranks holders, otherwise than elsewhere.
    salt: u64,
    downloads: BTreeMap<DownloadId, Download>,
    holders: Table,
    marks: Marks,
    /// Holders that are to be dialled when there is room for their connection.
    to_dial: BTreeSet<HolderId>,
    timers: Timers,
    actions: VecDeque<Action>,
    /// Downloads to look at before the event is done with.
    touched: BTreeSet<DownloadId>,
    next_order: u64,
    in_flight_bytes: u64,
    /// Of what, and of whom, an offer was declined because too much was in flight.
    put_off: BTreeSet<(DownloadId, HolderId)>,
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
            holders: Table::new(),
            marks: Marks::new(),
            to_dial: BTreeSet::new(),
            timers: Timers::new(),
            actions: VecDeque::new(),
            touched: BTreeSet::new(),
            next_order: 0,
            in_flight_bytes: 0,
            put_off: BTreeSet::new(),
            whole_left_bytes: 0,
            fetched_twice_bytes: 0,
        }
    }

    /// Tells what happened. Events about holders and contents that are not known are ignored.
    pub fn handle(&mut self, now: Timestamp, event: Event) {
        self.now = self.now.max(now);
        match event {
            Event::Start { download, content, list, have } => self.start(download, content, list, &have),
            Event::Holders { download, complete, partial } => self.name(download, &complete, &partial),
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
                self.here(holder, download, piece, bytes, false);
            }
            Event::Throttled { holder, throttled } => self.throttled(holder, throttled),
            Event::Arrived { holder, download, piece } => self.here(holder, download, piece, 0, true),
            Event::Stored { holder, download, piece } => self.stored(holder, download, piece),
            Event::Wrong { holder, download, piece } => self.wrong(holder, download, piece),
            Event::Refused { holder, download, piece, reason } => {
                self.refused(holder, download, piece, reason);
            }
            Event::Forget { download } => self.end(download),
        }
        self.settle();
    }

    /// Every holder whose number still means something here; who numbers them may forget all others.
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
        // Every alarm is set again in the future or not at all, so this ends.
        while let Some(alarm) = self.timers.due(self.now) {
            match alarm {
                Alarm::Redial(holder) => self.redial(holder),
                Alarm::Idle(holder) => self.idle(holder),
                Alarm::Silence(holder) => self.silent(holder),
                Alarm::Retry(holder, download) => self.retry(holder, download),
                Alarm::Neighbours(download) => self.look_at_neighbours(download),
            }
        }
        self.settle();
    }

    /// What a piece must hash to; `None` while that is not known, and where there is no such piece.
    pub fn expected(&self, download: DownloadId, piece: PieceIndex) -> Option<Expected> {
        self.downloads.get(&download)?.expected(piece)
    }

    /// How far a download is; `None` once it is finished or forgotten.
    pub fn status(&self, download: DownloadId) -> Option<Status> {
        let one = self.downloads.get(&download)?;
        let bytes = one.content.size;
        let up = |holder: &HolderId| self.holders.get(holder).is_some_and(|holder| holder.link == Link::Up);
        Some(Status {
            pieces: one.picker.geometry().count(),
            stored: one.picker.stored(),
            bytes,
            bytes_stored: bytes - one.picker.left_bytes(),
            in_flight_bytes: one.sources().iter().map(|source| source.in_flight_bytes).sum(),
            holders: one
                .sources()
                .iter()
                .filter(|s| s.standing == source::Standing::Good && up(&s.holder))
                .count(),
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
        download: DownloadId,
        content: Content,
        list: Option<Arc<PieceList>>,
        have: &Bitfield,
    ) {
        if self.downloads.contains_key(&download) {
            debug_assert!(false, "{download:?} was started twice");
            return;
        }
        let geometry = match Geometry::new(content.size) {
            Ok(geometry) if content.size > 0 || content.id == ContentId::EMPTY => geometry,
            Ok(_) => {
                let why = Impossible::NotEmpty(content.id);
                return self.actions.push_back(Action::Impossible { download, why });
            }
            Err(_) => {
                let why = Impossible::TooLarge(content.size);
                return self.actions.push_back(Action::Impossible { download, why });
            }
        };
        let one = Download::new(content, geometry, list, have, self.next_order);
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
        self.timers.clear(Alarm::Neighbours(download));
        self.downloads.remove(&download);
        self.touched.remove(&download);
    }

    /// A download is to be looked at before the event is done with: others may be ready to be asked for it.
    fn touch(&mut self, download: DownloadId) {
        self.touched.insert(download);
        if let Some(one) = self.downloads.get_mut(&download) {
            one.stale = true;
        }
    }

    /// What follows from every event: lists are asked for, windows filled, and who is late is passed over.
    fn settle(&mut self) {
        let touched = std::mem::take(&mut self.touched);
        for download in &touched {
            self.want_list(*download);
            self.refresh(*download);
            self.want_turns(*download);
        }
        self.dial_waiting();
        self.fill();
        self.ask_elsewhere();
        for download in touched {
            self.judge_starved(download);
        }
    }
}
