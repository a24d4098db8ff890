//! One holder, over all contents: its connection, its requests, its window and its rate.
//!
//! Bookkeeping only. Connections are made and ended in `holder_connections`; `requests` decides
//! what is requested from whom, and `stalled_holders` finds silent holders.

use std::{
    collections::{BTreeSet, VecDeque},
    time::Duration,
};

use super::rate_estimate::RateEstimate;
use crate::{
    backoff::Backoff,
    download::{config::Config, events_and_actions::DownloadId},
    geometry::PieceIndex,
    time::Timestamp,
};

/// The first and the longest pause before a holder is dialled again.
const FIRST_REDIAL: Duration = Duration::from_millis(250);
const LAST_REDIAL: Duration = Duration::from_secs(10);

/// The window of a holder that has not shown anything yet; it grows with every byte that arrives.
const FIRST_WINDOW_BYTES: u64 = 2 << 20;

/// A window holds at most the bytes that the holder sends in two round trips and in this time. So a window that is too
/// short grows, and a slow holder has few requests.
const WINDOW_SLACK: Duration = Duration::from_millis(150);

/// The round trip that is assumed before one was measured.
const ASSUMED_ROUND_TRIP: Duration = Duration::from_millis(500);

/// The connection to a holder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ConnectionState {
    /// None.
    Disconnected,
    /// It was dialled.
    Connecting {
        /// When.
        since: Timestamp,
    },
    /// There is one.
    Connected,
}

/// An answer that a holder owes, other than a piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum PendingAnswer {
    /// What it has.
    Open,
    /// A page of the piece list.
    List,
}

/// A piece that was asked for and is not stored.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PendingRequest {
    pub(crate) download: DownloadId,
    pub(crate) piece: PieceIndex,
    /// How long it is.
    pub(crate) bytes: u32,
    /// How much of it is here.
    pub(crate) received: u32,
    /// Whether all of it is, and hash and write follow.
    pub(crate) arrived: bool,
    /// Whether it is all of its content.
    pub(crate) whole: bool,
}

/// One holder.
#[derive(Debug)]
pub(crate) struct Holder {
    pub(crate) link: ConnectionState,
    /// The pauses before it is dialled again: one for each failed attempt and each connection that ended, since it last
    /// sent a piece.
    pub(crate) redial: Backoff,
    /// Whether the latest attempt to reach it failed.
    pub(crate) unreachable: bool,
    /// Whether it refused the latest connection after the greeting, and has sent nothing since. Then a new connection
    /// does not show that it works.
    pub(crate) refused: bool,
    /// The contents that may come from it.
    pub(crate) uses: BTreeSet<DownloadId>,
    /// The contents of several pieces of which it has a missing one, in the order that they were started.
    pub(crate) ready: BTreeSet<(u64, DownloadId)>,
    /// The same for contents of a single piece.
    pub(crate) ready_whole: BTreeSet<(u64, DownloadId)>,
    /// The contents that are to be opened when there is a channel for them.
    pub(crate) to_open: BTreeSet<(u64, DownloadId)>,
    /// Channels that are open, or asked for.
    pub(crate) channels: usize,
    /// Whether it sends pieces by turns.
    pub(crate) turns: bool,
    /// The contents of which it was told that any piece is wanted, when a turn comes.
    pub(crate) wants: BTreeSet<DownloadId>,
    /// Contents of which an offer was declined because it had too much to do.
    pub(crate) deferred: BTreeSet<DownloadId>,
    /// Answers that it owes.
    pub(crate) pending_answers: BTreeSet<(DownloadId, PendingAnswer)>,
    /// When something that was owed last came; or, if it is later, when it began to owe.
    pub(crate) last_answer: Timestamp,
    /// Whether a limit of our own keeps us from reading what it sends.
    pub(crate) throttled: bool,
    /// Since when it is taken for stalled.
    pub(crate) stalled: Option<Timestamp>,
    /// Bytes of contents of a single piece asked of it and not stored.
    pub(crate) whole_bytes: u64,
    queue: VecDeque<PendingRequest>,
    in_flight_bytes: u64,
    /// Pieces that have not arrived, and what of them is not here.
    awaited: usize,
    awaited_bytes: u64,
    grown_bytes: u64,
    /// How fast it sends; what came while we were throttled says nothing of that.
    send_rate: RateEstimate,
    /// How fast we take in what it sends, throttled or not.
    receive_rate: RateEstimate,
    /// The shortest time from a request to the first of its bytes, of late; other requests did not stand before it.
    round_trip: Option<Duration>,
    /// When a request was made that none stood before, and of which nothing has come.
    probe: Option<Timestamp>,
}

impl Holder {
    pub(crate) const fn new() -> Self {
        Self {
            link: ConnectionState::Disconnected,
            redial: Backoff::new(FIRST_REDIAL, LAST_REDIAL),
            unreachable: false,
            refused: false,
            uses: BTreeSet::new(),
            ready: BTreeSet::new(),
            ready_whole: BTreeSet::new(),
            to_open: BTreeSet::new(),
            channels: 0,
            turns: false,
            wants: BTreeSet::new(),
            deferred: BTreeSet::new(),
            pending_answers: BTreeSet::new(),
            last_answer: Timestamp::from_micros(0),
            throttled: false,
            stalled: None,
            whole_bytes: 0,
            queue: VecDeque::new(),
            in_flight_bytes: 0,
            awaited: 0,
            awaited_bytes: 0,
            grown_bytes: FIRST_WINDOW_BYTES,
            send_rate: RateEstimate::new(),
            receive_rate: RateEstimate::new(),
            round_trip: None,
            probe: None,
        }
    }

    /// Whether it may be asked for something now.
    pub(crate) fn answers(&self) -> bool {
        self.link == ConnectionState::Connected && self.stalled.is_none()
    }

    pub(crate) fn has_work(&self) -> bool {
        !self.ready.is_empty() || !self.ready_whole.is_empty()
    }

    /// Whether it may be asked for something without an offer.
    pub(crate) fn has_open_work(&self) -> bool {
        !self.ready_whole.is_empty() || (!self.turns && !self.ready.is_empty())
    }

    /// Whether an answer is expected from it, or a keepalive while a turn is awaited.
    pub(crate) fn is_expected_to_send(&self) -> bool {
        self.is_expected_to_send_now() || !self.wants.is_empty()
    }

    /// Whether an answer is expected from it now, without a reason to delay it.
    pub(crate) fn is_expected_to_send_now(&self) -> bool {
        self.awaited > 0 || !self.pending_answers.is_empty()
    }

    /// There is no connection to it any more. Returns how long to wait before it is dialled again.
    pub(crate) fn forget_link(&mut self) -> Duration {
        self.link = ConnectionState::Disconnected;
        self.stalled = None;
        self.throttled = false;
        self.channels = 0;
        self.turns = false;
        self.wants.clear();
        self.deferred.clear();
        self.pending_answers.clear();
        self.to_open.clear();
        self.redial.next_pause()
    }

    /// What was asked and is not stored, the earliest first.
    pub(crate) const fn queue(&self) -> &VecDeque<PendingRequest> {
        &self.queue
    }

    /// Bytes that were asked and are not stored.
    pub(crate) const fn in_flight_bytes(&self) -> u64 {
        self.in_flight_bytes
    }

    /// Bytes that were asked and are not here.
    pub(crate) const fn awaited_bytes(&self) -> u64 {
        self.awaited_bytes
    }

    /// Whether pieces of it are here and not stored: then it waits for us.
    pub(crate) fn waits_for_us(&self) -> bool {
        self.awaited < self.queue.len()
    }

    /// Bytes a second that it has shown.
    pub(crate) fn rate(&self) -> Option<u64> {
        self.send_rate.rate()
    }

    /// How many bytes may be asked of it, by the bandwidth and the delay that it has shown; of what we take in slowly
    /// ourselves, no more is asked for ahead.
    pub(crate) fn window_bytes(&self, config: &Config) -> u64 {
        let time = self.round_trip.unwrap_or(ASSUMED_ROUND_TRIP) * 2 + WINDOW_SLACK;
        let shown = self.receive_rate.rate().map_or(u64::MAX, |rate| bytes_in(time, rate));
        self.grown_bytes.min(shown).min(config.holder_window_bytes)
    }

    /// Begins again with a small window: it stalled, or the connection is another.
    pub(crate) const fn reset_window(&mut self) {
        self.grown_bytes = FIRST_WINDOW_BYTES;
    }

    /// From `now` on a limit of our own keeps us from reading what it sends, or does not any more.
    pub(crate) fn throttle(&mut self, now: Timestamp, throttled: bool) {
        self.throttled = throttled;
        self.probe = None;
        if throttled {
            self.send_rate.stop();
        } else if self.awaited > 0 {
            self.send_rate.start(now);
        }
    }

    /// From `now` on it owes something more.
    pub(crate) fn expect(&mut self, now: Timestamp) {
        if !self.is_expected_to_send_now() {
            self.last_answer = now;
        }
    }

    /// A piece is asked of it.
    pub(crate) fn ask(&mut self, now: Timestamp, asked: PendingRequest) {
        self.expect(now);
        if self.awaited == 0 && !self.throttled {
            self.probe = Some(now);
        }
        if !self.throttled {
            self.send_rate.start(now);
        }
        self.receive_rate.start(now);
        self.in_flight_bytes += u64::from(asked.bytes);
        self.awaited_bytes += u64::from(asked.bytes);
        self.awaited += 1;
        if asked.whole {
            self.whole_bytes += u64::from(asked.bytes);
        }
        self.queue.push_back(asked);
    }

    /// Up to `bytes` of a piece are here; all of it where it has arrived. False where that is no news.
    pub(crate) fn progress(&mut self, now: Timestamp, at: usize, bytes: u32, arrived: bool) -> bool {
        let Some(asked) = self.queue.get_mut(at).filter(|asked| !asked.arrived) else { return false };
        let bytes = if arrived { asked.bytes } else { bytes.min(asked.bytes) };
        let more = u64::from(bytes.saturating_sub(asked.received));
        if more == 0 && !arrived {
            return false;
        }
        if let Some(since) = self.probe.take() {
            // A whole piece at once says how long it took too.
            let sending =
                self.send_rate.rate().map_or(Duration::ZERO, |rate| RateEstimate::time_for(more, rate));
            let took = now.since(since).saturating_sub(sending);
            self.round_trip = Some(self.round_trip.map_or(took, |before| took.min(before * 5 / 4)));
        }
        asked.received = asked.received.max(bytes);
        asked.arrived = arrived;
        self.awaited_bytes -= more;
        self.awaited -= usize::from(arrived);
        self.grown_bytes = self.grown_bytes.saturating_add(more);
        if !self.throttled {
            self.send_rate.add(now, more);
        }
        self.receive_rate.add(now, more);
        self.stop_rates();
        true
    }

    /// Where in the queue a piece is. Pieces mostly come in the order that they were asked in: it is near the front.
    pub(crate) fn position(&self, download: DownloadId, piece: PieceIndex) -> Option<usize> {
        self.queue.iter().position(|asked| asked.download == download && asked.piece == piece)
    }

    /// Takes what stands at `at` out of the queue.
    pub(crate) fn remove(&mut self, at: usize) -> Option<PendingRequest> {
        let asked = self.queue.remove(at)?;
        self.in_flight_bytes -= u64::from(asked.bytes);
        self.awaited_bytes -= u64::from(asked.bytes - asked.received);
        if !asked.arrived {
            self.awaited -= 1;
        }
        if asked.whole {
            self.whole_bytes -= u64::from(asked.bytes);
        }
        self.stop_rates();
        Some(asked)
    }

    const fn stop_rates(&mut self) {
        if self.awaited == 0 {
            self.send_rate.stop();
            self.receive_rate.stop();
        }
    }
}

/// How much comes in `time` at a rate of `bytes_per_second`.
fn bytes_in(time: Duration, bytes_per_second: u64) -> u64 {
    let bytes = u128::from(bytes_per_second) * time.as_micros() / 1_000_000;
    u64::try_from(bytes).unwrap_or(u64::MAX)
}
