//! Slow and stalled holders, and the endgame, when idle holders take over requests of slow ones.
//!
//! A holder that sends nothing for longer than its own rate predicts is stalled. Requests that other holders can answer
//! are cancelled, except one, with which it can show that it works again. No other holder waits for it. In the endgame
//! a piece may be requested from two holders; the second answer is cancelled. The second request takes the last piece
//! in the slow holder's queue, which the holder has seldom begun to send. A holder that we do not read from because of
//! our own limit is neither silent nor late.

use std::time::Duration;

use super::{
    Action, DownloadId, Downloads, HolderId,
    fill::FillRound,
    holders::holder::{ConnectionState, Holder, PendingRequest},
    holders::rate_estimate::RateEstimate,
    single_download::ListState,
    single_download::picker::PieceState,
    timers::Timer,
};
use crate::{backoff::Backoff, geometry::PieceIndex, time::Timestamp};

/// How much sooner an idle holder must be expected to deliver a piece before it is requested there too.
const MIN_GAIN: Duration = Duration::from_millis(250);

/// The rate that a holder that has shown none is expected to reach, in bytes a second. Being wrong costs one
/// holder the pieces that it has not begun.
const LEAST_RATE: u64 = 256 << 10;

/// The same for one that sends by turns: it has a limit, and others before us.
const LEAST_TURN_RATE: u64 = 32 << 10;

/// How long one that makes wait for a turn may give no sign of life: it gives one every second.
const TURN_KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(4);

/// So many downloads are looked through before the holders are.
const MAX_DOWNLOADS_CHECKED: usize = 4;

/// A stalled holder that failed before stays connected longer, at most so many times as long.
const LONGER: u32 = 8;

impl Downloads {
    /// Something that was owed has come from a holder.
    pub(super) fn heard_from_holder(&mut self, holder: HolderId) {
        let Some(known) = self.holders.get_mut(&holder) else { return };
        known.last_answer = self.now;
        if std::mem::take(&mut known.refused) {
            self.changed.extend(known.uses.iter().copied());
        }
        if known.stalled.take().is_some() {
            known.reset_window();
            self.changed.extend(known.uses.iter().copied());
            self.holder_sets.update_sets(holder, known);
        }
    }

    /// Our own limit stops or resumes reading from a holder. In both cases its silence is measured from now on: until
    /// now, data from it was waiting.
    pub(super) fn throttled(&mut self, holder: HolderId, throttled: bool) {
        let Some(known) = self.holders.get_mut(&holder) else { return };
        if known.link == ConnectionState::Connected && known.throttled != throttled {
            known.throttle(self.now, throttled);
            self.heard_from_holder(holder);
        }
    }

    /// It is time to look whether a holder is silent.
    pub(super) fn silent(&mut self, holder: HolderId) {
        let Some(known) = self.holders.get(&holder).filter(|known| known.is_expected_to_send()) else {
            return;
        };
        let timer = Timer::Silence(holder);
        // While pieces wait to be stored, it may be we who read nothing; under a limit of ours, it is.
        if known.waits_for_us() || known.throttled {
            return self.timers.set(timer, self.now.after(self.config.stall));
        }
        if let Some(since) = known.stalled {
            // Our own network may be slow: a holder that came back and was silent again gets more time.
            let patience = Backoff::new(self.config.silence, self.config.silence * LONGER);
            let end = since.after(patience.nth_pause(known.redial.taken()));
            if self.now < end {
                return self.timers.set(timer, end);
            }
            return self.give_up(holder);
        }
        let due = self.due(known);
        if self.now < due {
            return self.timers.set(timer, due);
        }
        self.timers.set(timer, self.now.after(self.config.silence));
        self.stall(holder);
    }

    /// When a holder that sends nothing more is taken for stalled.
    fn due(&self, known: &Holder) -> Timestamp {
        let least = if known.turns { LEAST_TURN_RATE } else { LEAST_RATE };
        let rate = known.rate().unwrap_or(least);
        if !known.is_expected_to_send_now() {
            return known.last_answer.after(TURN_KEEPALIVE_TIMEOUT); // it only makes wait
        }
        let front = known.queue().iter().find(|asked| !asked.arrived);
        let promised = front.map_or(0, |front| u64::from(front.bytes - front.received));
        known.last_answer.after(RateEstimate::time_for(promised, rate)).after(self.config.stall)
    }

    /// A holder stalls: others are asked for what they have.
    fn stall(&mut self, holder: HolderId) {
        let Some(known) = self.holders.get_mut(&holder) else { return };
        known.stalled = Some(self.now);
        self.holder_sets.update_sets(holder, known);
        self.holder_changed(holder);
        let Some(known) = self.holders.get(&holder) else { return };
        self.changed.extend(known.pending_answers.iter().map(|(download, _)| *download));
        let pending: Vec<_> = known.queue().iter().filter(|asked| !asked.arrived).skip(1).copied().collect();
        for asked in pending {
            if self.is_elsewhere(holder, asked.download, asked.piece)
                && let Some(at) =
                    self.holders.get(&holder).and_then(|known| known.position(asked.download, asked.piece))
            {
                self.cancel_at(holder, at);
                let (download, piece) = (asked.download, asked.piece);
                self.actions.push_back(Action::Cancel { holder, download, piece });
            }
        }
    }

    /// A stalled holder stayed silent: its connection is no good.
    fn give_up(&mut self, holder: HolderId) {
        if let Some(known) = self.holders.get_mut(&holder) {
            known.unreachable = true;
            self.actions.push_back(Action::Disconnect { holder });
            self.down(holder);
        }
    }

    /// Whether a holder that answers, other than `but`, has a piece.
    fn is_elsewhere(&self, but: HolderId, download: DownloadId, piece: PieceIndex) -> bool {
        let Some(one) = self.downloads.get(&download) else { return false };
        one.sources().iter().any(|source| {
            source.holder != but
                && source.offers(piece)
                && self.holders.get(&source.holder).is_some_and(Holder::answers)
        })
    }

    /// Whether a holder sends pieces of a content after an offer only. It sends contents of one piece at once.
    fn needs_turn(&self, holder: HolderId, download: DownloadId) -> bool {
        self.holders.get(&holder).is_some_and(|known| known.turns)
            && self.downloads.get(&download).is_some_and(|one| !one.is_whole())
    }

    /// Asks idle holders for what slow ones would bring much later.
    pub(super) fn ask_elsewhere(&mut self) {
        if self.has_no_candidates() {
            return;
        }
        let mut late: Vec<HolderId> = self
            .holder_sets
            .owe_data
            .iter()
            .copied()
            .filter(|holder| self.can_be_asked_elsewhere(*holder))
            .collect();
        if late.is_empty() {
            return;
        }
        late.retain(|holder| self.is_late(*holder));
        if late.is_empty() {
            return;
        }
        let mut round = self.round();
        let is_idle =
            |(id, known): (&HolderId, &Holder)| (known.answers() && !known.has_work()).then_some(*id);
        let mut idle: Vec<HolderId> = self.holders.iter().filter_map(is_idle).collect();
        // Each turn asks for a piece or takes a holder out, so this ends.
        while !idle.is_empty() {
            idle.retain(|holder| match self.late_piece_for(*holder, &late, &round, None) {
                Some((download, _)) if self.needs_turn(*holder, download) => {
                    self.request_late_turn(*holder, download);
                    false
                }
                Some((download, piece)) => {
                    round.count_request();
                    self.ask(*holder, download, piece, None)
                }
                None => false,
            });
        }
    }

    /// Those who owe what will come late.
    pub(super) fn late_holders(&self) -> Vec<HolderId> {
        self.holder_sets.owe_data.iter().copied().filter(|holder| self.is_late(*holder)).collect()
    }

    fn is_late(&self, holder: HolderId) -> bool {
        self.holders.get(&holder).is_some_and(|known| {
            let is_slow = known.stalled.is_some() || expected_time(known.awaited_bytes(), known) > MIN_GAIN;
            is_slow && !known.throttled
        })
    }

    /// Whether it is plain without a look at the holders that nothing is asked of a second one.
    pub(super) fn has_no_candidates(&self) -> bool {
        self.holder_sets.stalled.is_empty()
            && self.downloads.len() <= MAX_DOWNLOADS_CHECKED
            && self.downloads.values().all(|one| !one.picker.missing().is_empty())
    }

    /// Whether anything that a holder owes could be asked of another too, as far as the contents go.
    fn can_be_asked_elsewhere(&self, holder: HolderId) -> bool {
        let Some(known) = self.holders.get(&holder) else { return false };
        let at_the_end = |asked: &PendingRequest| {
            self.downloads.get(&asked.download).is_some_and(|one| one.picker.missing().is_empty())
        };
        known.stalled.is_some() || known.queue().iter().any(at_the_end)
    }

    /// A piece that a late holder owes, of one content or of any, and that `idle` would bring sooner: the one that
    /// stands last in a queue.
    pub(super) fn late_piece_for(
        &self,
        idle: HolderId,
        late: &[HolderId],
        round: &FillRound,
        of: Option<DownloadId>,
    ) -> Option<(DownloadId, PieceIndex)> {
        let taker = self.holders.get(&idle)?;
        let rate = round.rate(taker);
        for slow in late.iter().filter(|slow| **slow != idle).filter_map(|slow| self.holders.get(slow)) {
            let mut before = slow.awaited_bytes();
            for asked in slow.queue().iter().rev().filter(|asked| !asked.arrived) {
                let soonest = RateEstimate::time_for(taker.in_flight_bytes() + u64::from(asked.bytes), rate);
                if slow.stalled.is_none() && expected_time(before, slow) <= soonest + MIN_GAIN {
                    break; // those further to the front come sooner still
                }
                before -= u64::from(asked.bytes - asked.received);
                if of.is_none_or(|of| of == asked.download)
                    && self.may_be_asked_twice(idle, slow, asked.download, asked.piece)
                    && self.fits_windows(taker, u64::from(asked.bytes), round)
                    && !self.has_faster_holder(idle, soonest, asked)
                {
                    return Some((asked.download, asked.piece));
                }
            }
        }
        None
    }

    /// Whether a holder that answers and is known to be faster has a late piece too. Two slow holders do not make a
    /// fast one, and a third is not asked.
    fn has_faster_holder(&self, idle: HolderId, soonest: Duration, asked: &PendingRequest) -> bool {
        let Some(one) = self.downloads.get(&asked.download) else { return false };
        let others =
            one.sources().iter().filter(|source| source.holder != idle && source.offers(asked.piece));
        let known = others.filter_map(|source| self.holders.get(&source.holder));
        let fast = known.filter(|known| known.answers() && known.queue().is_empty()).filter_map(Holder::rate);
        fast.max()
            .is_some_and(|rate| soonest > RateEstimate::time_for(u64::from(asked.bytes), rate) + MIN_GAIN)
    }

    fn may_be_asked_twice(
        &self,
        by: HolderId,
        slow: &Holder,
        download: DownloadId,
        piece: PieceIndex,
    ) -> bool {
        let Some(one) = self.downloads.get(&download) else { return false };
        let alone = matches!(one.picker.state(piece), Some(PieceState::InFlight(askers)) if askers.is_one());
        let at_the_end = one.picker.missing().is_empty() || slow.stalled.is_some();
        let known = matches!(one.list, ListState::NotNeeded | ListState::Known(_));
        alone && at_the_end && known && one.source(by).is_some_and(|source| source.offers(piece))
    }
}

/// How long a holder needs for `bytes` at the rate that it has shown; no time where it has shown none, because then
/// its silence will tell.
fn expected_time(bytes: u64, known: &Holder) -> Duration {
    known.rate().map_or(Duration::ZERO, |rate| RateEstimate::time_for(bytes, rate))
}
