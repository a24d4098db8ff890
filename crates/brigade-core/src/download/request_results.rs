//! Pieces that arrive, are stored, are wrong or are refused; and requests that are cancelled.
//!
//! A stored piece counts, whichever holder sent it. A holder that sent wrong data for a content is not asked for it
//! again. `fill` decides what to request next.

use super::{
    Action, DownloadId, Downloads, HolderFault, HolderId,
    holders::holder::ConnectionState,
    single_download::ListState,
    single_download::picker::PieceState,
    single_download::source::{Channel, SourceState},
    timers::Timer,
};
use crate::{geometry::PieceIndex, wire::Reason};

impl Downloads {
    /// Bytes of a piece are here, or all of them.
    pub(super) fn progress(
        &mut self,
        holder: HolderId,
        download: DownloadId,
        piece: PieceIndex,
        bytes: u32,
        arrived: bool,
    ) {
        let Some(known) = self.holders.get_mut(&holder) else { return };
        let Some(at) = known.position(download, piece) else { return };
        if known.progress(self.now, at, bytes, arrived) {
            known.redial.reset();
            self.holder_sets.update_sets(holder, known);
            self.heard_from_holder(holder);
        }
    }

    pub(super) fn stored(&mut self, holder: HolderId, download: DownloadId, piece: PieceIndex) {
        self.release(holder, download, piece);
        let Some(one) = self.downloads.get_mut(&download) else { return };
        let bytes = u64::from(one.picker.geometry().length(piece));
        let Some(before) = one.store(piece) else { return };
        if let Some(source) = one.source_mut(holder) {
            source.retry.reset();
        }
        let (finished, whole) = (one.is_finished(), one.is_whole());
        self.changed.insert(download);
        match before {
            PieceState::Stored => self.fetched_twice_bytes += bytes,
            PieceState::Missing => {}
            PieceState::InFlight(askers) => {
                for other in askers.iter().filter(|asker| *asker != holder) {
                    self.cancel(other, download, piece);
                }
            }
        }
        if whole && before != PieceState::Stored {
            self.whole_left_bytes -= bytes;
        }
        if finished {
            self.end(download);
            self.actions.push_back(Action::Finished { download });
        }
        self.drop_if_gone(holder, download);
        self.drop_holder_if_unused(holder);
    }

    pub(super) fn wrong(&mut self, holder: HolderId, download: DownloadId, piece: PieceIndex) {
        self.release(holder, download, piece);
        let Some(one) = self.downloads.get_mut(&download) else { return };
        one.give_back(piece, holder);
        self.mark_changed(download); // also where another piece of it was wrong before
        self.ban(holder, download, HolderFault::WrongPiece(piece));
        self.drop_holder_if_unused(holder);
    }

    pub(super) fn refused(
        &mut self,
        holder: HolderId,
        download: DownloadId,
        piece: Option<PieceIndex>,
        reason: Reason,
    ) {
        let Some(one) = self.downloads.get_mut(&download) else { return };
        if one.source(holder).is_none_or(|source| source.state != SourceState::Usable) {
            return;
        }
        let whole = one.is_whole();
        match piece {
            Some(piece) => {
                self.release(holder, download, piece);
                let Some(one) = self.downloads.get_mut(&download) else { return };
                one.give_back(piece, holder);
                if reason == Reason::NoPiece && !whole {
                    one.clear_piece(holder, piece);
                    self.mark_changed(download);
                    self.heard_from_holder(holder);
                } else {
                    self.back_off(holder, download, true);
                }
            }
            None => self.back_off(holder, download, false),
        }
    }

    /// A holder sent wrong data for a content: it is banned for that content.
    pub(super) fn ban(&mut self, holder: HolderId, download: DownloadId, fault: HolderFault) {
        let Some(source) = self.downloads.get_mut(&download).and_then(|one| one.source_mut(holder)) else {
            return;
        };
        if std::mem::replace(&mut source.state, SourceState::Banned) == SourceState::Banned {
            return;
        }
        self.withdraw(holder, download, true);
        self.drop_use(holder, download);
        self.actions.push_back(Action::Banned { holder, download, fault });
    }

    /// A holder refuses a content: it is asked again after a while. With `tell` it is told that the channel is closed.
    pub(super) fn back_off(&mut self, holder: HolderId, download: DownloadId, notify: bool) {
        let Some(source) = self.downloads.get_mut(&download).and_then(|one| one.source_mut(holder)) else {
            return;
        };
        if source.state != SourceState::Usable {
            return;
        }
        source.state = SourceState::BackingOff;
        let pause = source.retry.next_pause();
        self.timers.set(Timer::Retry(holder, download), self.now.after(pause));
        self.withdraw(holder, download, notify);
    }

    /// A holder that refused is asked again, if the manager still names it.
    pub(super) fn retry(&mut self, holder: HolderId, download: DownloadId) {
        let Some(source) = self.downloads.get_mut(&download).and_then(|one| one.source_mut(holder)) else {
            return;
        };
        if !source.named && source.in_flight_bytes == 0 {
            return self.remove_source(holder, download);
        }
        source.state = SourceState::Usable;
        self.mark_changed(download);
        if self.holders.get(&holder).is_some_and(|known| known.link == ConnectionState::Connected) {
            self.open(holder, download);
        }
    }

    /// Cancels everything that was requested from a holder for a content and has not arrived, and closes the channel.
    pub(super) fn withdraw(&mut self, holder: HolderId, download: DownloadId, notify: bool) {
        let Some(one) = self.downloads.get_mut(&download) else { return };
        let (whole, order) = (one.is_whole(), one.order);
        let Some(source) = one.source(holder) else { return };
        let up = self.holders.get(&holder).is_some_and(|known| known.link == ConnectionState::Connected);
        let was_open = up && !whole && !matches!(source.channel, Channel::Closed);
        let asked = source.in_flight_bytes > 0;
        one.clear_pieces(holder);
        if matches!(&one.list, ListState::Requested { holder: asked, .. } if *asked == holder) {
            one.list = ListState::Wanted;
        }
        self.mark_changed(download);
        if let Some(known) = self.holders.get_mut(&holder) {
            known.to_open.remove(&(order, download));
        }
        while asked && let Some(at) = self.awaited(holder, Some(download)) {
            if let Some(piece) = self.cancel_at(holder, at)
                && whole
                && notify
            {
                self.actions.push_back(Action::Cancel { holder, download, piece });
            }
        }
        if was_open {
            if notify {
                self.actions.push_back(Action::Close { holder, download });
            }
            self.closed(holder, download);
        }
    }

    /// A second holder was faster: the bytes that the first one has sent are lost, unless it has sent all of them.
    fn cancel(&mut self, holder: HolderId, download: DownloadId, piece: PieceIndex) {
        let Some(known) = self.holders.get(&holder) else { return };
        let Some(at) = known.position(download, piece) else { return };
        if known.queue().get(at).is_some_and(|asked| !asked.arrived) {
            self.cancel_at(holder, at);
            self.actions.push_back(Action::Cancel { holder, download, piece });
        }
    }

    /// Where in a holder's queue the first piece is that has not arrived, of one content or of any.
    pub(super) fn awaited(&self, holder: HolderId, download: Option<DownloadId>) -> Option<usize> {
        let fits = |asked: DownloadId| download.is_none_or(|download| download == asked);
        self.holders.get(&holder)?.queue().iter().position(|asked| !asked.arrived && fits(asked.download))
    }

    /// Takes back what stands at `at` of a holder's queue; the piece is missing again, unless another is asked too.
    pub(super) fn cancel_at(&mut self, holder: HolderId, at: usize) -> Option<PieceIndex> {
        let asked = *self.holders.get(&holder)?.queue().get(at)?;
        self.release_at(holder, at);
        self.fetched_twice_bytes += u64::from(asked.received);
        if let Some(one) = self.downloads.get_mut(&asked.download) {
            one.give_back(asked.piece, holder);
            self.mark_changed(asked.download);
        }
        Some(asked.piece)
    }

    /// A download ends: what of it has arrived from a holder counts no more.
    pub(super) fn drop_arrived(&mut self, holder: HolderId, download: DownloadId) {
        while let Some(at) = self
            .holders
            .get(&holder)
            .and_then(|known| known.queue().iter().position(|asked| asked.download == download))
        {
            self.release_at(holder, at);
        }
    }

    /// A piece is not in flight at a holder any more.
    fn release(&mut self, holder: HolderId, download: DownloadId, piece: PieceIndex) {
        if let Some(at) = self.holders.get(&holder).and_then(|known| known.position(download, piece)) {
            self.release_at(holder, at);
        }
    }

    fn release_at(&mut self, holder: HolderId, at: usize) {
        let Some(asked) = self.holders.get_mut(&holder).and_then(|known| known.remove(at)) else { return };
        self.update_sets(holder);
        self.retry_declined(holder);
        self.in_flight_bytes -= u64::from(asked.bytes);
        let source = self.downloads.get_mut(&asked.download).and_then(|one| one.source_mut(holder));
        if let Some(source) = source {
            source.in_flight_bytes -= u64::from(asked.bytes);
        }
    }

    /// A holder changed: updates the sets that it belongs to.
    pub(super) fn update_sets(&mut self, holder: HolderId) {
        if let Some(known) = self.holders.get(&holder) {
            self.holder_sets.update_sets(holder, known);
        }
    }
}
