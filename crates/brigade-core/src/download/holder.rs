//! One holder, over all contents: its link, what was asked of it, its window and its pace.
//!
//! Bookkeeping only. Links are made and ended in [`links`](super::links); who is asked for what is decided in
//! [`fill`](super::fill), and who is late in [`late`](super::late).

use std::{
    collections::{BTreeSet, VecDeque},
    time::Duration,
};

use super::{Config, DownloadId, pace::Pace};
use crate::{geometry::PieceIndex, time::Timestamp};

/// The window of a holder that has not shown anything yet; it grows with every byte that arrives.
const FIRST_WINDOW_BYTES: u64 = 2 << 20;

/// A window is never longer than what the holder sends in two round trips (so that one that is too short grows) and this
/// time more, for what is read, hashed and written meanwhile: a slow one keeps little.
const WINDOW_SLACK: Duration = Duration::from_millis(150);

/// The round trip that is assumed before one was measured.
const ASSUMED_ROUND_TRIP: Duration = Duration::from_millis(500);

/// The connection to a holder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Link {
    /// None.
    Down,
    /// It was dialled.
    Connecting {
        /// When.
        since: Timestamp,
    },
    /// There is one.
    Up,
}

/// An answer that a holder owes, other than a piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Debt {
    /// What it has.
    Open,
    /// A page of the piece list.
    List,
}

/// A piece that was asked for and is not stored.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked {
    pub(super) download: DownloadId,
    pub(super) piece: PieceIndex,
    /// How long it is.
    pub(super) bytes: u32,
    /// How much of it is here.
    pub(super) here: u32,
    /// Whether all of it is, and hash and write follow.
    pub(super) arrived: bool,
    /// Whether it is all of its content.
    pub(super) whole: bool,
}

/// One holder.
#[derive(Debug)]
pub(super) struct Holder {
    pub(super) link: Link,
    /// How often dialling failed or a connection ended since it last sent a piece.
    pub(super) failures: u32,
    /// Whether the latest attempt to reach it failed.
    pub(super) unreachable: bool,
    /// Whether it refused the latest connection after the greeting, and has sent nothing since: that it is connected
    /// again says nothing.
    pub(super) refused: bool,
    /// The contents that may come from it.
    pub(super) uses: BTreeSet<DownloadId>,
    /// The contents of several pieces of which it has a missing one, in the order that they were started.
    pub(super) ready: BTreeSet<(u64, DownloadId)>,
    /// The same for contents of a single piece.
    pub(super) ready_whole: BTreeSet<(u64, DownloadId)>,
    /// The contents that are to be opened when there is a channel for them.
    pub(super) to_open: BTreeSet<(u64, DownloadId)>,
    /// Channels that are open, or asked for.
    pub(super) channels: usize,
    /// Whether it sends pieces by turns.
    pub(super) turns: bool,
    /// The contents of which it was told that any piece is wanted, when a turn comes.
    pub(super) wants: BTreeSet<DownloadId>,
    /// Contents of which an offer was declined because it had too much to do.
    pub(super) put_off: BTreeSet<DownloadId>,
    /// Answers that it owes.
    pub(super) debts: BTreeSet<(DownloadId, Debt)>,
    /// When something that was owed last came; or, if it is later, when it began to owe.
    pub(super) last_news: Timestamp,
    /// Whether a limit of our own keeps us from reading what it sends.
    pub(super) throttled: bool,
    /// Since when it is taken for stalled.
    pub(super) stalled: Option<Timestamp>,
    /// Bytes of contents of a single piece asked of it and not stored.
    pub(super) whole_bytes: u64,
    queue: VecDeque<Asked>,
    in_flight_bytes: u64,
    /// Pieces that have not arrived, and what of them is not here.
    awaited: usize,
    awaited_bytes: u64,
    grown_bytes: u64,
    /// How fast it sends; what came while we were throttled says nothing of that.
    pace: Pace,
    /// How fast we take in what it sends, throttled or not.
    intake: Pace,
    /// The shortest time from a request to the first of its bytes, of late; other requests did not stand before it.
    round_trip: Option<Duration>,
    /// When a request was made that none stood before, and of which nothing has come.
    probe: Option<Timestamp>,
}

impl Holder {
    pub(super) const fn new() -> Self {
        Self {
            link: Link::Down,
            failures: 0,
            unreachable: false,
            refused: false,
            uses: BTreeSet::new(),
            ready: BTreeSet::new(),
            ready_whole: BTreeSet::new(),
            to_open: BTreeSet::new(),
            channels: 0,
            turns: false,
            wants: BTreeSet::new(),
            put_off: BTreeSet::new(),
            debts: BTreeSet::new(),
            last_news: Timestamp::from_micros(0),
            throttled: false,
            stalled: None,
            whole_bytes: 0,
            queue: VecDeque::new(),
            in_flight_bytes: 0,
            awaited: 0,
            awaited_bytes: 0,
            grown_bytes: FIRST_WINDOW_BYTES,
            pace: Pace::new(),
            intake: Pace::new(),
            round_trip: None,
            probe: None,
        }
    }

    /// Whether it may be asked for something now.
    pub(super) fn answers(&self) -> bool {
        self.link == Link::Up && self.stalled.is_none()
    }

    pub(super) fn has_work(&self) -> bool {
        !self.ready.is_empty() || !self.ready_whole.is_empty()
    }

    /// Whether it may be asked for something without an offer.
    pub(super) fn has_open_work(&self) -> bool {
        !self.ready_whole.is_empty() || (!self.turns && !self.ready.is_empty())
    }

    /// Whether something is awaited from it, be it a sign of life while a turn is waited for.
    pub(super) fn owes(&self) -> bool {
        self.owes_now() || !self.wants.is_empty()
    }

    /// Whether something is awaited from it that it has no reason to put off.
    pub(super) fn owes_now(&self) -> bool {
        self.awaited > 0 || !self.debts.is_empty()
    }

    /// There is no connection to it any more.
    pub(super) fn forget_link(&mut self) {
        self.link = Link::Down;
        self.stalled = None;
        self.throttled = false;
        self.failures = self.failures.saturating_add(1);
        self.channels = 0;
        self.turns = false;
        self.wants.clear();
        self.put_off.clear();
        self.debts.clear();
        self.to_open.clear();
    }

    /// What was asked and is not stored, the earliest first.
    pub(super) const fn queue(&self) -> &VecDeque<Asked> {
        &self.queue
    }

    /// Bytes that were asked and are not stored.
    pub(super) const fn in_flight_bytes(&self) -> u64 {
        self.in_flight_bytes
    }

    /// Bytes that were asked and are not here.
    pub(super) const fn awaited_bytes(&self) -> u64 {
        self.awaited_bytes
    }

    /// Whether pieces of it are here and not stored: then it waits for us.
    pub(super) fn waits_for_us(&self) -> bool {
        self.awaited < self.queue.len()
    }

    /// Bytes a second that it has shown.
    pub(super) fn rate(&self) -> Option<u64> {
        self.pace.rate()
    }

    /// How many bytes may be asked of it, by the bandwidth and the delay that it has shown; of what we take in slowly
    /// ourselves, no more is asked for ahead.
    pub(super) fn window_bytes(&self, config: &Config) -> u64 {
        let time = self.round_trip.unwrap_or(ASSUMED_ROUND_TRIP) * 2 + WINDOW_SLACK;
        let shown = self.intake.rate().map_or(u64::MAX, |rate| bytes_in(time, rate));
        self.grown_bytes.min(shown).min(config.holder_window_bytes)
    }

    /// Begins again with a small window: it stalled, or the connection is another.
    pub(super) const fn reset_window(&mut self) {
        self.grown_bytes = FIRST_WINDOW_BYTES;
    }

    /// From `now` on a limit of our own keeps us from reading what it sends, or does not any more.
    pub(super) fn throttle(&mut self, now: Timestamp, throttled: bool) {
        self.throttled = throttled;
        self.probe = None;
        if throttled {
            self.pace.stop();
        } else if self.awaited > 0 {
            self.pace.start(now);
        }
    }

    /// From `now` on it owes something more.
    pub(super) fn expect(&mut self, now: Timestamp) {
        if !self.owes_now() {
            self.last_news = now;
        }
    }

    /// A piece is asked of it.
    pub(super) fn ask(&mut self, now: Timestamp, asked: Asked) {
        self.expect(now);
        if self.awaited == 0 && !self.throttled {
            self.probe = Some(now);
        }
        if !self.throttled {
            self.pace.start(now);
        }
        self.intake.start(now);
        self.in_flight_bytes += u64::from(asked.bytes);
        self.awaited_bytes += u64::from(asked.bytes);
        self.awaited += 1;
        if asked.whole {
            self.whole_bytes += u64::from(asked.bytes);
        }
        self.queue.push_back(asked);
    }

    /// Up to `bytes` of a piece are here; all of it where it has arrived. False where that is no news.
    pub(super) fn here(&mut self, now: Timestamp, at: usize, bytes: u32, arrived: bool) -> bool {
        let Some(asked) = self.queue.get_mut(at).filter(|asked| !asked.arrived) else { return false };
        let bytes = if arrived { asked.bytes } else { bytes.min(asked.bytes) };
        let more = u64::from(bytes.saturating_sub(asked.here));
        if more == 0 && !arrived {
            return false;
        }
        if let Some(since) = self.probe.take() {
            // A whole piece at once says how long it took too.
            let sending = self.pace.rate().map_or(Duration::ZERO, |rate| Pace::time_for(more, rate));
            let took = now.since(since).saturating_sub(sending);
            self.round_trip = Some(self.round_trip.map_or(took, |before| took.min(before * 5 / 4)));
        }
        asked.here = asked.here.max(bytes);
        asked.arrived = arrived;
        self.awaited_bytes -= more;
        self.awaited -= usize::from(arrived);
        self.grown_bytes = self.grown_bytes.saturating_add(more);
        if !self.throttled {
            self.pace.add(now, more);
        }
        self.intake.add(now, more);
        self.rest_pace();
        true
    }

    /// Where in the queue a piece is. Pieces mostly come in the order that they were asked in: it is near the front.
    pub(super) fn place(&self, download: DownloadId, piece: PieceIndex) -> Option<usize> {
        self.queue.iter().position(|asked| asked.download == download && asked.piece == piece)
    }

    /// Takes what stands at `at` out of the queue.
    pub(super) fn remove(&mut self, at: usize) -> Option<Asked> {
        let asked = self.queue.remove(at)?;
        self.in_flight_bytes -= u64::from(asked.bytes);
        self.awaited_bytes -= u64::from(asked.bytes - asked.here);
        if !asked.arrived {
            self.awaited -= 1;
        }
        if asked.whole {
            self.whole_bytes -= u64::from(asked.bytes);
        }
        self.rest_pace();
        Some(asked)
    }

    const fn rest_pace(&mut self) {
        if self.awaited == 0 {
            self.pace.stop();
            self.intake.stop();
        }
    }
}

/// How much comes in `time` at a rate of `bytes_per_second`.
fn bytes_in(time: Duration, bytes_per_second: u64) -> u64 {
    let bytes = u128::from(bytes_per_second) * time.as_micros() / 1_000_000;
    u64::try_from(bytes).unwrap_or(u64::MAX)
}
