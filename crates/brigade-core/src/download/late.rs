//! Who is late: holders that stall, and the end, when idle holders take over what the slow ones still owe.
//!
//! A holder that sends nothing for longer than its own rate promised is taken for stalled: what others could send
//! is taken back from it, but for one piece, by which it can show that it lives. Nothing here waits for it. At the
//! end a piece may be asked of two; whoever is second is cancelled. What is asked twice stands at the back of the
//! slow holder's queue, so it has seldom begun to send it. A holder that is not read from because of our own limit is
//! neither silent nor late.

use std::time::Duration;

use super::{
    Action, DownloadId, Downloads, HolderId,
    fill::Round,
    holder::{Asked, Holder, Link},
    one::List,
    pace::Pace,
    picker::PieceState,
    timers::Alarm,
};
use crate::{geometry::PieceIndex, time::Timestamp};

/// How much later than from an idle holder a piece must be expected to be asked of that one too.
const LATE: Duration = Duration::from_millis(250);

/// The rate that a holder that has shown none is expected to reach, in bytes a second. Being wrong costs one
/// holder the pieces that it has not begun.
const LEAST_RATE: u64 = 256 << 10;

/// The same for one that sends by turns: it has a limit, and others before us.
const LEAST_TURN_RATE: u64 = 32 << 10;

/// How long one that makes wait for a turn may give no sign of life: it gives one every second.
const TURN_SIGNS: Duration = Duration::from_secs(4);

/// So many downloads are looked through before the holders are.
const LOOKED_THROUGH: usize = 4;

/// How often the time doubles for which a stalled holder stays connected.
const LONGER: u32 = 3;

impl Downloads {
    /// Something that was owed has come from a holder.
    pub(super) fn news(&mut self, holder: HolderId) {
        let Some(known) = self.holders.get_mut(&holder) else { return };
        known.last_news = self.now;
        if std::mem::take(&mut known.refused) {
            self.touched.extend(known.uses.iter().copied());
        }
        if known.stalled.take().is_some() {
            known.reset_window();
            self.touched.extend(known.uses.iter().copied());
            self.marks.mark(holder, known);
        }
    }

    /// A limit of our own keeps us from reading what a holder sends, or does so no more. Either way it counts as heard of
    /// now: before, something of it was there; from now on, its silence begins anew.
    pub(super) fn throttled(&mut self, holder: HolderId, throttled: bool) {
        let Some(known) = self.holders.get_mut(&holder) else { return };
        if known.link == Link::Up && known.throttled != throttled {
            known.throttle(self.now, throttled);
            self.news(holder);
        }
    }

    /// It is time to look whether a holder is silent.
    pub(super) fn silent(&mut self, holder: HolderId) {
        let Some(known) = self.holders.get(&holder).filter(|known| known.owes()) else { return };
        let alarm = Alarm::Silence(holder);
        // While pieces wait to be stored, it may be we who read nothing; under a limit of ours, it is.
        if known.waits_for_us() || known.throttled {
            return self.timers.set(alarm, self.now.after(self.config.stall));
        }
        if let Some(since) = known.stalled {
            // It may be our own line that is slow: whoever came back and was silent again gets longer.
            let end = since.after(self.config.silence * (1 << known.failures.min(LONGER)));
            if self.now < end {
                return self.timers.set(alarm, end);
            }
            return self.give_up(holder);
        }
        let due = self.due(known);
        if self.now < due {
            return self.timers.set(alarm, due);
        }
        self.timers.set(alarm, self.now.after(self.config.silence));
        self.stall(holder);
    }

    /// When a holder that sends nothing more is taken for stalled.
    fn due(&self, known: &Holder) -> Timestamp {
        let least = if known.turns { LEAST_TURN_RATE } else { LEAST_RATE };
        let rate = known.rate().unwrap_or(least);
        if !known.owes_now() {
            return known.last_news.after(TURN_SIGNS); // it only makes wait
        }
        let front = known.queue().iter().find(|asked| !asked.arrived);
        let promised = front.map_or(0, |front| u64::from(front.bytes - front.here));
        known.last_news.after(Pace::time_for(promised, rate)).after(self.config.stall)
    }

    /// A holder stalls: others are asked for what they have.
    fn stall(&mut self, holder: HolderId) {
        let Some(known) = self.holders.get_mut(&holder) else { return };
        known.stalled = Some(self.now);
        self.marks.mark(holder, known);
        self.stir(holder);
        let Some(known) = self.holders.get(&holder) else { return };
        self.touched.extend(known.debts.iter().map(|(download, _)| *download));
        let owed: Vec<_> = known.queue().iter().filter(|asked| !asked.arrived).skip(1).copied().collect();
        for asked in owed {
            if self.is_elsewhere(holder, asked.download, asked.piece)
                && let Some(at) =
                    self.holders.get(&holder).and_then(|known| known.place(asked.download, asked.piece))
            {
                self.take_back(holder, at);
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

    /// Asks idle holders for what slow ones would bring much later.
    pub(super) fn ask_elsewhere(&mut self) {
        if self.nobody_takes_over() {
            return;
        }
        let mut late: Vec<HolderId> =
            self.marks.owing.iter().copied().filter(|holder| self.may_be_taken_over(*holder)).collect();
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
                Some((download, _)) if self.holders.get(holder).is_some_and(|known| known.turns) => {
                    self.want_late(*holder, download);
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
        self.marks.owing.iter().copied().filter(|holder| self.is_late(*holder)).collect()
    }

    fn is_late(&self, holder: HolderId) -> bool {
        self.holders.get(&holder).is_some_and(|known| {
            let is_slow = known.stalled.is_some() || owed_for(known.awaited_bytes(), known) > LATE;
            is_slow && !known.throttled
        })
    }

    /// Whether it is plain without a look at the holders that nothing is asked of a second one.
    pub(super) fn nobody_takes_over(&self) -> bool {
        self.marks.stalled.is_empty()
            && self.downloads.len() <= LOOKED_THROUGH
            && self.downloads.values().all(|one| !one.picker.missing().is_empty())
    }

    /// Whether anything that a holder owes could be asked of another too, as far as the contents go.
    fn may_be_taken_over(&self, holder: HolderId) -> bool {
        let Some(known) = self.holders.get(&holder) else { return false };
        let at_the_end = |asked: &Asked| {
            self.downloads.get(&asked.download).is_some_and(|one| one.picker.missing().is_empty())
        };
        known.stalled.is_some() || known.queue().iter().any(at_the_end)
    }

    /// A piece that a late holder owes, of one content or of any, and that `idle` would bring sooner: the one that stands
    /// last in a queue.
    pub(super) fn late_piece_for(
        &self,
        idle: HolderId,
        late: &[HolderId],
        round: &Round,
        of: Option<DownloadId>,
    ) -> Option<(DownloadId, PieceIndex)> {
        let taker = self.holders.get(&idle)?;
        let rate = round.rate(taker);
        for slow in late.iter().filter(|slow| **slow != idle).filter_map(|slow| self.holders.get(slow)) {
            let mut before = slow.awaited_bytes();
            for asked in slow.queue().iter().rev().filter(|asked| !asked.arrived) {
                let soonest = Pace::time_for(taker.in_flight_bytes() + u64::from(asked.bytes), rate);
                if slow.stalled.is_none() && owed_for(before, slow) <= soonest + LATE {
                    break; // those further to the front come sooner still
                }
                before -= u64::from(asked.bytes - asked.here);
                if of.is_none_or(|of| of == asked.download)
                    && self.may_be_asked_twice(idle, slow, asked.download, asked.piece)
                    && self.has_room(taker, u64::from(asked.bytes), round)
                    && !self.is_left_to_the_fast(idle, soonest, asked)
                {
                    return Some((asked.download, asked.piece));
                }
            }
        }
        None
    }

    /// Whether somebody who answers and is known to be faster has a late piece too: two slow ones make no fast one, and
    /// no third is asked.
    fn is_left_to_the_fast(&self, idle: HolderId, soonest: Duration, asked: &Asked) -> bool {
        let Some(one) = self.downloads.get(&asked.download) else { return false };
        let others =
            one.sources().iter().filter(|source| source.holder != idle && source.offers(asked.piece));
        let known = others.filter_map(|source| self.holders.get(&source.holder));
        let fast = known.filter(|known| known.answers() && known.queue().is_empty()).filter_map(Holder::rate);
        fast.max().is_some_and(|rate| soonest > Pace::time_for(u64::from(asked.bytes), rate) + LATE)
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
        let known = matches!(one.list, List::NotNeeded | List::Known(_));
        alone && at_the_end && known && one.source(by).is_some_and(|source| source.offers(piece))
    }
}

/// How long a holder needs for `bytes` at the rate that it has shown; no time where it has shown none, because then
/// its silence will tell.
fn owed_for(bytes: u64, known: &Holder) -> Duration {
    known.rate().map_or(Duration::ZERO, |rate| Pace::time_for(bytes, rate))
}
