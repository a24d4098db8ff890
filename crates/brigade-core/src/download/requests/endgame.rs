//! The endgame: idle holders take over requests of slow or stalled ones.
//!
//! A piece may then be requested from two holders; the second answer is cancelled. The second request takes the last
//! piece in the slow holder's queue, which the holder has seldom begun to send. `stalled_holders` finds stalled holders.

use std::time::Duration;

use super::request_selection::FillRound;
use crate::{
    download::{
        DownloadId, Downloads, HolderId,
        holders::{
            holder::{Holder, PendingRequest},
            rate_estimate::RateEstimate,
        },
        single_download::{ListState, picker::PieceState},
    },
    geometry::PieceIndex,
};

/// How much sooner an idle holder must be expected to deliver a piece before it is requested there too.
const MIN_GAIN: Duration = Duration::from_millis(250);

/// So many downloads are looked through before the holders are.
const MAX_DOWNLOADS_CHECKED: usize = 4;

impl Downloads {
    /// Whether a holder sends pieces of a content after an offer only. It sends contents of one piece at once.
    fn needs_turn(&self, holder: HolderId, download: DownloadId) -> bool {
        self.holders.get(&holder).is_some_and(|known| known.turns)
            && self.downloads.get(&download).is_some_and(|one| !one.is_whole())
    }

    /// Asks idle holders for what slow ones would bring much later.
    pub(crate) fn ask_elsewhere(&mut self) {
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
    pub(crate) fn late_holders(&self) -> Vec<HolderId> {
        self.holder_sets.owe_data.iter().copied().filter(|holder| self.is_late(*holder)).collect()
    }

    fn is_late(&self, holder: HolderId) -> bool {
        self.holders.get(&holder).is_some_and(|known| {
            let is_slow = known.stalled.is_some() || expected_time(known.awaited_bytes(), known) > MIN_GAIN;
            is_slow && !known.throttled
        })
    }

    /// Whether it is plain without a look at the holders that nothing is asked of a second one.
    pub(crate) fn has_no_candidates(&self) -> bool {
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
    pub(crate) fn late_piece_for(
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
        let alone =
            matches!(one.picker.state(piece), Some(PieceState::InFlight(holders)) if holders.is_one());
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
