//! Holders that send by turns, because their sending is limited: they learn that pieces are wanted, and a piece is
//! requested only after an offer.
//!
//! The piece is chosen when the offer comes, so no request waits in the queue of a busy holder. A holder sends a
//! keepalive every second while a turn is awaited. [`upload`](crate::upload) decides whose turn it is; requests without
//! an offer are in `request_selection`.

use crate::{
    download::{
        Action, DownloadId, Downloads, HolderId, holders::holder::Holder, single_download::ListState,
        single_download::content_holder::SourceState, timers::Timer,
    },
    geometry::PieceIndex,
    limits,
};

/// Why an offer is declined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum DeclineReason {
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
    pub(crate) fn turns(&mut self, holder: HolderId, limited: bool) {
        let Some(known) = self.holders.get_mut(&holder) else { return };
        if known.turns != limited {
            known.turns = limited;
            known.wants.clear();
            for download in &known.uses {
                if let Some(source) = self.downloads.get_mut(download).and_then(|one| one.source_mut(holder))
                {
                    (source.wanted, source.is_declined) = (false, false);
                }
                self.changed.insert(*download);
            }
            self.holder_sets.update_sets(holder, known);
        }
        // Of one that owes a piece, this is not what is awaited.
        if !known.is_expected_to_send_now() {
            self.heard_from_holder(holder);
        }
    }

    /// A holder offers a piece: the one that it is best asked for, or none.
    pub(crate) fn offered(&mut self, holder: HolderId, download: DownloadId, offer: u32, pieces: &[u32]) {
        let Some(known) = self.holders.get(&holder) else { return };
        if !known.is_expected_to_send_now() {
            self.heard_from_holder(holder);
        }
        let pieces: Vec<PieceIndex> =
            pieces.iter().take(limits::OFFERED_PIECES).copied().map(PieceIndex).collect();
        let found = self.piece_for_offer(holder, download, &pieces);
        if found.is_ok_and(|piece| self.ask(holder, download, piece, Some(offer))) {
            return;
        }
        if let Some(known) = self.holders.get_mut(&holder) {
            known.wants.remove(&download);
            if found == Err(DeclineReason::Full) {
                known.deferred.insert(download);
            }
        }
        if matches!(found, Err(DeclineReason::FullHere | DeclineReason::TooSlow)) {
            self.deferred.insert((download, holder));
        }
        if let Some(source) = self.downloads.get_mut(&download).and_then(|one| one.source_mut(holder)) {
            source.is_declined = true;
            source.wanted = false;
        }
        self.changed.insert(download);
        self.actions.push_back(Action::Decline { holder, download, offer });
    }

    fn piece_for_offer(
        &mut self,
        holder: HolderId,
        download: DownloadId,
        offered: &[PieceIndex],
    ) -> Result<PieceIndex, DeclineReason> {
        let one = self.downloads.get(&download).ok_or(DeclineReason::Nothing)?;
        let known = self.holders.get(&holder).ok_or(DeclineReason::Nothing)?;
        let source = one.source(holder).ok_or(DeclineReason::Nothing)?;
        if source.state != SourceState::Usable
            || !matches!(one.list, ListState::NotNeeded | ListState::Known(_))
        {
            return Err(DeclineReason::Nothing);
        }
        let picked = source.has().and_then(|has| one.picker.pick_offered(has, offered, &mut self.random));
        if let Some(piece) = picked {
            if self.fits_windows_without_waiting(known, one, piece) {
                return Ok(piece);
            }
            let round = self.round();
            let bytes = u64::from(one.picker.geometry().length(piece));
            if !self.fits_windows(known, bytes, &round) {
                let is_own_window = self.in_flight_bytes + bytes > self.config.in_flight_bytes;
                return Err(if is_own_window { DeclineReason::FullHere } else { DeclineReason::Full });
            }
            // What is offered is sent at once: nobody takes more of it than its share.
            let good = self.is_soon_enough(holder, one, piece, &round);
            return if good { Ok(piece) } else { Err(DeclineReason::TooSlow) };
        }
        let late = if self.has_no_candidates() { vec![] } else { self.late_holders() };
        if late.is_empty() {
            return Err(DeclineReason::Nothing);
        }
        let late = self.late_piece_for(holder, &late, &self.round(), Some(download));
        late.map(|(_, piece)| piece).ok_or(DeclineReason::Nothing)
    }

    /// A piece is in flight no more at a holder: what was declined for want of room or time is wanted again.
    pub(crate) fn retry_declined(&mut self, holder: HolderId) {
        let Some(known) = self.holders.get_mut(&holder) else { return };
        while let Some(download) = known.deferred.pop_first() {
            self.deferred.insert((download, holder));
        }
        while let Some((download, holder)) = self.deferred.pop_first() {
            if let Some(source) = self.downloads.get_mut(&download).and_then(|one| one.source_mut(holder)) {
                source.is_declined = false;
                self.changed.insert(download);
            }
        }
    }

    /// Says to holders that send by turns that something of a content is wanted, where that is so and not said.
    pub(crate) fn want_turns(&mut self, download: DownloadId) {
        let Some(one) = self.downloads.get_mut(&download) else { return };
        if one.is_whole() {
            return;
        }
        let changed_since_decline = std::mem::take(&mut one.changed_since_decline);
        for source in one.in_use_mut() {
            source.is_declined &= !changed_since_decline;
            if !source.ready || source.is_declined || source.wanted {
                continue;
            }
            let Some(known) = self.holders.get_mut(&source.holder) else { continue };
            if known.turns && known.answers() {
                let holder = source.holder;
                source.wanted = true;
                push_want(known, holder, download, self.now, &mut self.actions);
                if !self.timers.is_set(Timer::Silence(holder)) {
                    self.timers.set(Timer::Silence(holder), self.now.after(self.config.stall));
                }
            }
        }
    }

    /// Wants a turn of a holder for what others are late with.
    pub(crate) fn request_late_turn(&mut self, holder: HolderId, download: DownloadId) {
        let Some(known) = self.holders.get_mut(&holder) else { return };
        let Some(source) = self.downloads.get_mut(&download).and_then(|one| one.source_mut(holder)) else {
            return;
        };
        source.wanted = true;
        push_want(known, holder, download, self.now, &mut self.actions);
        self.watch(holder);
    }
}

fn push_want(
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
