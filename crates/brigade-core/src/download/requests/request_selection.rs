//! Which pieces to request from which holder, within the windows.
//!
//! Holders with free space in their window get one request each in turn, the least busy first, so that all are busy
//! from the start. When less is left of a content than the windows can hold, each holder gets a share in proportion to
//! its rate: no holder takes everything, and no holder gets a piece that others would bring sooner.

use std::time::Duration;

use crate::{
    download::{
        Action, DownloadId, Downloads, HolderId,
        holders::holder::{ConnectionState, Holder, PendingRequest},
        holders::rate_estimate::RateEstimate,
        single_download::Download,
        single_download::content_holder::{Channel, Source, SourceState},
        timers::Timer,
    },
    geometry::PieceIndex,
    time::Timestamp,
};

/// Requests that one holder may always have, however long the pieces are.
pub(crate) const HOLDER_REQUESTS: usize = 2;

/// Requests that all holders together may always have. Those asked of stalled holders do not count.
pub(crate) const REQUESTS: usize = 4;

/// How many contents are skipped in search of another one, when the holder already has its share of them. The holder
/// has a request for each of them, so it is not idle.
const MAX_SKIPPED: usize = 32;

/// How long a holder that is being dialled counts as one that will take its share.
const CONNECT_GRACE: Duration = Duration::from_millis(250);

/// How much longer a piece may take from one holder than from all others together, near the end.
const MAX_EXTRA_TIME: Duration = Duration::from_millis(250);

/// The rate that is assumed where no holder has shown any, in bytes a second.
const ASSUMED_RATE: u64 = 1 << 20;

/// What is the same for all holders while windows are filled.
pub(crate) struct FillRound {
    /// The windows of all holders at work, in bytes.
    windows_bytes: u64,
    /// The rate of a holder that has shown none: the mean of those that have.
    typical_rate: u64,
    /// Requests that holders have that are not stalled.
    requests: usize,
    /// The rates of the holders that are at work on contents of a single piece, or will be soon.
    whole_rates: u64,
}

impl Downloads {
    /// Makes a content's place in the holders' lists of what to ask for true.
    pub(crate) fn refresh(&mut self, download: DownloadId) {
        let Some(one) = self.downloads.get_mut(&download) else { return };
        if !std::mem::take(&mut one.needs_refresh) {
            return;
        }
        for at in 0..one.sources().len() {
            if !one.is_in_use(at) {
                continue;
            }
            let source = &one.sources()[at];
            let ready = one.has_work_for(source);
            if ready == source.ready {
                continue;
            }
            let Some(known) = self.holders.get_mut(&source.holder) else { continue };
            let list = if one.is_whole() { &mut known.ready_whole } else { &mut known.ready };
            if ready {
                list.insert((one.order, download));
            } else {
                list.remove(&(one.order, download));
            }
            self.holder_sets.update_sets(source.holder, known);
            one.set_ready(at, ready);
        }
    }

    /// Asks for as much as the windows allow.
    pub(crate) fn fill(&mut self) {
        if self.holder_sets.can_request.is_empty() {
            return;
        }
        let busy = |id: &HolderId| Some((self.holders.get(id)?.in_flight_bytes(), *id));
        let mut turns: Vec<(u64, HolderId)> = self.holder_sets.can_request.iter().filter_map(busy).collect();
        turns.sort_unstable();
        let mut round = self.round();
        // Each turn asks for a piece or takes a holder out, so this ends.
        while !turns.is_empty() {
            turns.retain(|(_, holder)| match self.next_for(*holder, &round) {
                Some((download, piece)) => {
                    round.count_request();
                    self.ask(*holder, download, piece, None)
                }
                None => false,
            });
        }
    }

    pub(crate) fn round(&self) -> FillRound {
        let mut round =
            FillRound { windows_bytes: 0, typical_rate: ASSUMED_RATE, requests: 0, whole_rates: 0 };
        let (mut rates, mut shown) = (0u64, 0u64);
        for known in self.holders.values().filter(|known| known.stalled.is_none()) {
            round.requests += known.queue().len();
            if known.has_work() || !known.queue().is_empty() {
                round.windows_bytes += known.window_bytes(&self.config);
            }
            if let Some(rate) = known.rate() {
                (rates, shown) = (rates.saturating_add(rate), shown + 1);
            }
        }
        if let Some(mean) = rates.checked_div(shown) {
            round.typical_rate = mean.max(1);
        }
        let at_work = |known: &&Holder| match known.link {
            ConnectionState::Connected => {
                known.stalled.is_none() && (known.whole_bytes > 0 || !known.ready_whole.is_empty())
            }
            ConnectionState::Connecting { since } => self.connects_soon(known, since),
            ConnectionState::Disconnected => false,
        };
        round.whole_rates =
            self.holders.values().filter(at_work).map(|known| round.rate(known)).fold(0, u64::saturating_add);
        round
    }

    /// Whether a holder that was dialled at `since` is worth waiting for.
    fn connects_soon(&self, known: &Holder, since: Timestamp) -> bool {
        !known.unreachable && !known.uses.is_empty() && self.now.since(since) < CONNECT_GRACE
    }

    /// What a holder is to be asked for next, if it has room: of the content that was started first.
    fn next_for(&mut self, holder: HolderId, round: &FillRound) -> Option<(DownloadId, PieceIndex)> {
        let known = self.holders.get(&holder)?;
        let whole = known.ready_whole.first().copied().filter(|_| self.is_fair_whole(known, round));
        let by_turns = known.turns;
        for (order, download) in known.ready.iter().filter(|_| !by_turns).take(MAX_SKIPPED).copied() {
            if whole.is_some_and(|(whole, _)| whole < order) {
                break;
            }
            let one = self.downloads.get(&download)?;
            let has = one.source(holder).and_then(Source::has);
            let Some(piece) = has.and_then(|has| one.picker.pick(has, &mut self.random)) else { continue };
            let bytes = u64::from(one.picker.geometry().length(piece));
            if !self.fits_windows(known, bytes, round) {
                return None;
            }
            if self.is_for(holder, one, piece, round) {
                return Some((download, piece));
            }
        }
        let (_, download) = whole?;
        let bytes = self.downloads.get(&download)?.content.size;
        self.fits_windows(known, bytes, round).then_some((download, PieceIndex(0)))
    }

    /// Whether a holder has less than its share of the remaining contents of one piece.
    fn is_fair_whole(&self, known: &Holder, round: &FillRound) -> bool {
        known.whole_bytes == 0
            || self.whole_left_bytes >= self.config.in_flight_bytes
            || known.whole_bytes < share_of(self.whole_left_bytes, round.rate(known), round.whole_rates)
    }

    /// Whether `bytes` more fit into a holder's window, and into that of all of them.
    pub(crate) fn fits_windows(&self, known: &Holder, bytes: u64, round: &FillRound) -> bool {
        let (mine, limit) = (known.window_bytes(&self.config), self.config.in_flight_bytes);
        let window =
            if round.windows_bytes > limit { share_of(limit, mine, round.windows_bytes) } else { mine };
        let requests = known.queue().len();
        let fits = known.in_flight_bytes() + bytes <= window || requests < HOLDER_REQUESTS;
        let fits_all = self.in_flight_bytes + bytes <= limit || round.requests < REQUESTS;
        requests < self.config.requests_in_flight && fits && fits_all
    }

    /// Whether `piece` fits into the windows, and enough is left that no holder needs to wait for another.
    pub(crate) fn fits_windows_without_waiting(
        &self,
        known: &Holder,
        one: &Download,
        piece: PieceIndex,
    ) -> bool {
        let bytes = u64::from(one.picker.geometry().length(piece));
        known.queue().len() < HOLDER_REQUESTS.min(self.config.requests_in_flight)
            && self.in_flight_bytes + bytes <= self.config.in_flight_bytes
            && one.picker.left_bytes() >= self.config.in_flight_bytes
    }

    /// Whether `piece` is rightly asked of `holder`, and not left to the others, when little is left.
    fn is_for(&self, holder: HolderId, one: &Download, piece: PieceIndex, round: &FillRound) -> bool {
        let left = one.picker.left_bytes();
        if left >= self.config.in_flight_bytes {
            return true;
        }
        if !self.is_soon_enough(holder, one, piece, round) {
            return false;
        }
        let bytes = u64::from(one.picker.geometry().length(piece));
        let (mut mine, mut asked_here, mut rates) = (0, 0, 0u64);
        for source in one.sources() {
            let Some(known) = self.holders.get(&source.holder) else { continue };
            if source.holder == holder {
                (mine, asked_here) = (round.rate(known), source.in_flight_bytes);
            } else if !self.shares(source, known) {
                continue;
            }
            rates = rates.saturating_add(round.rate(known));
        }
        asked_here == 0 || asked_here + bytes <= share_of(left, mine, rates)
    }

    /// Whether `holder` would send `piece` before all the others together have sent everything, or not much later.
    pub(crate) fn is_soon_enough(
        &self,
        holder: HolderId,
        one: &Download,
        piece: PieceIndex,
        round: &FillRound,
    ) -> bool {
        let left = one.picker.left_bytes();
        let Some(known) = self.holders.get(&holder).filter(|_| left < self.config.in_flight_bytes) else {
            return true;
        };
        let bytes = u64::from(one.picker.geometry().length(piece));
        let soon = RateEstimate::time_for(known.in_flight_bytes() + bytes, round.rate(known));
        if soon <= MAX_EXTRA_TIME {
            return true;
        }
        let (mut others, mut fastest) = (0u64, 0u64);
        for source in one.sources().iter().filter(|source| source.ready && source.holder != holder) {
            let Some(known) = self.holders.get(&source.holder) else { continue };
            if let Some(rate) = known.rate().filter(|_| self.shares(source, known)) {
                others = others.saturating_add(rate);
                if source.offers(piece) {
                    fastest = fastest.max(rate);
                }
            }
        }
        // The fastest of those who have the piece never leaves it to the others, so somebody takes it.
        fastest == 0
            || soon
                <= RateEstimate::time_for(left, others).max(RateEstimate::time_for(bytes, fastest))
                    + MAX_EXTRA_TIME
    }

    /// Whether a holder takes part in what is left of a content, now or soon.
    fn shares(&self, source: &Source, known: &Holder) -> bool {
        source.state == SourceState::Usable
            && match known.link {
                ConnectionState::Connected if known.stalled.is_some() => false,
                ConnectionState::Connected => {
                    source.ready || source.in_flight_bytes > 0 || matches!(source.channel, Channel::Opening)
                }
                ConnectionState::Connecting { since } => self.connects_soon(known, since),
                ConnectionState::Disconnected => false,
            }
    }

    /// Asks `holder` for `piece`, to take an offer up or because nothing forbids it; false where that cannot be, which
    /// is a mistake of ours.
    pub(crate) fn ask(
        &mut self,
        holder: HolderId,
        download: DownloadId,
        piece: PieceIndex,
        offer: Option<u32>,
    ) -> bool {
        let (Some(one), Some(known)) = (self.downloads.get_mut(&download), self.holders.get_mut(&holder))
        else {
            return false;
        };
        if !one.ask(piece, holder) {
            debug_assert!(false, "{piece:?} was picked though it cannot be asked for");
            return false;
        }
        let bytes = one.picker.geometry().length(piece);
        let whole = one.is_whole();
        if let Some(source) = one.source_mut(holder) {
            source.in_flight_bytes += u64::from(bytes);
        }
        known.ask(self.now, PendingRequest { download, piece, bytes, received: 0, arrived: false, whole });
        self.holder_sets.update_sets(holder, known);
        self.in_flight_bytes += u64::from(bytes);
        self.actions.push_back(Action::Request { holder, download, piece, offer });
        self.watch(holder);
        self.refresh(download);
        true
    }

    /// Sets the timer for a holder that owes an answer.
    pub(crate) fn watch(&mut self, holder: HolderId) {
        let Some(known) = self.holders.get(&holder) else { return };
        if known.is_expected_to_send_now() {
            // It may be set to a later time, for one that only makes wait.
            self.timers.set_by(Timer::Silence(holder), self.now.after(self.config.stall));
        } else if known.is_expected_to_send() && !self.timers.is_set(Timer::Silence(holder)) {
            self.timers.set(Timer::Silence(holder), self.now.after(self.config.stall));
        }
    }
}

impl FillRound {
    /// One request more is in flight.
    pub(crate) const fn count_request(&mut self) {
        self.requests += 1;
    }

    /// The rate that a holder has shown, or else the usual one.
    pub(crate) fn rate(&self, known: &Holder) -> u64 {
        known.rate().unwrap_or(self.typical_rate)
    }
}

/// `whole` × `part` ÷ `all`.
fn share_of(whole: u64, part: u64, all: u64) -> u64 {
    u64::try_from(u128::from(whole) * u128::from(part) / u128::from(all.max(1))).unwrap_or(u64::MAX)
}
