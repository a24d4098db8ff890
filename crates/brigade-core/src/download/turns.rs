//! Holders that send by turns, because what they send has a limit: they are told that something is wanted, and asked
//! for a piece only when they offer one.
//!
//! What is asked for then is chosen by what is known at that moment; nothing waits in a queue of somebody busy. A
//! holder that makes wait shows by a sign every second that it lives. Which turn is whose is decided in
//! [`upload`](crate::upload); everything that is asked without an offer, in `fill`.

use super::{
    Action, DownloadId, Downloads, HolderId, holder::Holder, one::List, source::Standing, timers::Alarm,
};
use crate::{geometry::PieceIndex, limits};

/// Why an offer is declined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pass {
    /// Nothing is needed of it, as far as one can tell now.
    Nothing,
    /// The holder has as much to do as it may.
    Full,
    /// All holders together have.
    FullHere,
    /// Others would be faster.
    TooSlow,
}

impl Downloads {
    /// A holder sends by turns from now on, or does so no more; or it says again that it lives.
    pub(super) fn turns(&mut self, holder: HolderId, limited: bool) {
        let Some(known) = self.holders.get_mut(&holder) else { return };
        if known.turns != limited {
            known.turns = limited;
            known.wants.clear();
            for download in &known.uses {
                if let Some(source) = self.downloads.get_mut(download).and_then(|one| one.source_mut(holder))
                {
                    (source.wanted, source.passed) = (false, false);
                }
                self.touched.insert(*download);
            }
            self.marks.mark(holder, known);
        }
        // Of one that owes a piece, this is not what is awaited.
        if !known.owes_now() {
            self.news(holder);
        }
    }

    /// A holder offers a piece: the one that it is best asked for, or none.
    pub(super) fn offered(&mut self, holder: HolderId, download: DownloadId, offer: u32, pieces: &[u32]) {
        let Some(known) = self.holders.get(&holder) else { return };
        if !known.owes_now() {
            self.news(holder);
        }
        let pieces: Vec<PieceIndex> =
            pieces.iter().take(limits::OFFERED_PIECES).copied().map(PieceIndex).collect();
        let found = self.piece_for_offer(holder, download, &pieces);
        if found.is_ok_and(|piece| self.ask(holder, download, piece, Some(offer))) {
            return;
        }
        if let Some(known) = self.holders.get_mut(&holder) {
            known.wants.remove(&download);
            if found == Err(Pass::Full) {
                known.put_off.insert(download);
            }
        }
        if matches!(found, Err(Pass::FullHere | Pass::TooSlow)) {
            self.put_off.insert((download, holder));
        }
        if let Some(source) = self.downloads.get_mut(&download).and_then(|one| one.source_mut(holder)) {
            source.passed = true;
            source.wanted = false;
        }
        self.touched.insert(download);
        self.actions.push_back(Action::Decline { holder, download, offer });
    }

    fn piece_for_offer(
        &mut self,
        holder: HolderId,
        download: DownloadId,
        offered: &[PieceIndex],
    ) -> Result<PieceIndex, Pass> {
        let one = self.downloads.get(&download).ok_or(Pass::Nothing)?;
        let known = self.holders.get(&holder).ok_or(Pass::Nothing)?;
        let source = one.source(holder).ok_or(Pass::Nothing)?;
        if source.standing != Standing::Good || !matches!(one.list, List::NotNeeded | List::Known(_)) {
            return Err(Pass::Nothing);
        }
        let picked = source.has().and_then(|has| one.picker.pick_offered(has, offered, &mut self.random));
        if let Some(piece) = picked {
            if self.has_room_and_time(known, one, piece) {
                return Ok(piece);
            }
            let round = self.round();
            let bytes = u64::from(one.picker.geometry().length(piece));
            if !self.has_room(known, bytes, &round) {
                let here = self.in_flight_bytes + bytes > self.config.in_flight_bytes;
                return Err(if here { Pass::FullHere } else { Pass::Full });
            }
            // What is offered is sent at once: nobody takes more of it than its share.
            let good = self.is_soon_enough(holder, one, piece, &round);
            return if good { Ok(piece) } else { Err(Pass::TooSlow) };
        }
        let late = if self.nobody_takes_over() { vec![] } else { self.late_holders() };
        if late.is_empty() {
            return Err(Pass::Nothing);
        }
        let late = self.late_piece_for(holder, &late, &self.round(), Some(download));
        late.map(|(_, piece)| piece).ok_or(Pass::Nothing)
    }

    /// A piece is in flight no more at a holder: what was declined for want of room or time is wanted again.
    pub(super) fn room_again(&mut self, holder: HolderId) {
        let Some(known) = self.holders.get_mut(&holder) else { return };
        while let Some(download) = known.put_off.pop_first() {
            self.put_off.insert((download, holder));
        }
        while let Some((download, holder)) = self.put_off.pop_first() {
            if let Some(source) = self.downloads.get_mut(&download).and_then(|one| one.source_mut(holder)) {
                source.passed = false;
                self.touched.insert(download);
            }
        }
    }

    /// Says to holders that send by turns that something of a content is wanted, where that is so and not said.
    pub(super) fn want_turns(&mut self, download: DownloadId) {
        let Some(one) = self.downloads.get_mut(&download) else { return };
        if one.is_whole() {
            return;
        }
        let stirred = std::mem::take(&mut one.stirred);
        for source in one.in_use_mut() {
            source.passed &= !stirred;
            if !source.ready || source.passed || source.wanted {
                continue;
            }
            let Some(known) = self.holders.get_mut(&source.holder) else { continue };
            if known.turns && known.answers() {
                let holder = source.holder;
                source.wanted = true;
                say_wanted(known, holder, download, self.now, &mut self.actions);
                if !self.timers.is_set(Alarm::Silence(holder)) {
                    self.timers.set(Alarm::Silence(holder), self.now.after(self.config.stall));
                }
            }
        }
    }

    /// Wants a turn of a holder for what others are late with.
    pub(super) fn want_late(&mut self, holder: HolderId, download: DownloadId) {
        let Some(known) = self.holders.get_mut(&holder) else { return };
        let Some(source) = self.downloads.get_mut(&download).and_then(|one| one.source_mut(holder)) else {
            return;
        };
        source.wanted = true;
        say_wanted(known, holder, download, self.now, &mut self.actions);
        self.watch(holder);
    }
}

fn say_wanted(
    known: &mut Holder,
    holder: HolderId,
    download: DownloadId,
    now: crate::time::Timestamp,
    actions: &mut std::collections::VecDeque<Action>,
) {
    known.expect(now);
    if known.wants.insert(download) {
        actions.push_back(Action::Want { holder, download });
    }
}
