//! The results of requests: pieces that arrive, are stored, are wrong or are refused.
//!
//! A stored piece counts, whichever holder sent it. A holder that sent wrong data for a content is not asked for it
//! again. `request_selection` makes the next requests.

use crate::{
    download::{
        Action, DownloadId, Downloads, HolderFault, HolderId,
        holders::holder::ConnectionState,
        single_download::{content_holder::SourceState, picker::PieceState},
        timers::Timer,
    },
    geometry::PieceIndex,
    wire::Reason,
};

impl Downloads {
    /// Bytes of a piece are here, or all of them.
    pub(crate) fn progress(
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

    pub(crate) fn stored(&mut self, holder: HolderId, download: DownloadId, piece: PieceIndex) {
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
            PieceState::InFlight(holders) => {
                for other in holders.iter().filter(|other| *other != holder) {
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

    pub(crate) fn wrong(&mut self, holder: HolderId, download: DownloadId, piece: PieceIndex) {
        self.release(holder, download, piece);
        let Some(one) = self.downloads.get_mut(&download) else { return };
        one.give_back(piece, holder);
        self.mark_changed(download); // also where another piece of it was wrong before
        self.ban(holder, download, HolderFault::WrongPiece(piece));
        self.drop_holder_if_unused(holder);
    }

    pub(crate) fn refused(
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
    pub(crate) fn ban(&mut self, holder: HolderId, download: DownloadId, fault: HolderFault) {
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

    /// A holder refuses a content: it is asked again after a while. With `notify`, a message tells it that the channel
    /// is closed.
    pub(crate) fn back_off(&mut self, holder: HolderId, download: DownloadId, notify: bool) {
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
    pub(crate) fn retry(&mut self, holder: HolderId, download: DownloadId) {
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
}
