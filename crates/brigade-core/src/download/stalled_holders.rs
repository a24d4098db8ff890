//! Holders that are silent: they are taken for stalled, and given up later.
//!
//! A holder that sends nothing for longer than its own rate predicts is stalled. Requests that other holders can answer
//! are cancelled, except one, with which it can show that it works again. No other holder waits for it: see
//! `requests::endgame`. A holder that we do not read from because of our own limit is neither silent nor late.

use super::{
    Action, DownloadId, Downloads, HolderId,
    holders::{
        holder::{ConnectionState, Holder},
        rate_estimate::RateEstimate,
    },
    timers::Timer,
};
use crate::{backoff::Backoff, geometry::PieceIndex, time::Timestamp};

use std::time::Duration;

/// The rate that a holder that has shown none is expected to reach, in bytes a second. Being wrong costs one
/// holder the pieces that it has not begun.
const LEAST_RATE: u64 = 256 << 10;

/// The same for one that sends by turns: it has a limit, and others before us.
const LEAST_TURN_RATE: u64 = 32 << 10;

/// How long one that makes wait for a turn may give no sign of life: it gives one every second.
const TURN_KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(4);

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
}
