//! Pieces that come, are stored, are wrong or are refused; and how requests are taken back.
//!
//! A piece counts once it is stored, whoever sent it. Who lied about a content is never asked for it again. What is
//! asked next is decided in `fill`.

use std::time::Duration;

use super::{
    Action, DownloadId, Downloads, HolderId, Lie,
    holder::Link,
    one::List,
    picker::PieceState,
    source::{Channel, Standing},
    timers::Alarm,
};
use crate::{geometry::PieceIndex, wire::Reason};

/// How long a holder that refused a content is left alone; it doubles with each refusal.
const FIRST_REST: Duration = Duration::from_secs(1);

/// The longest time that a holder is left alone.
const LAST_REST: Duration = Duration::from_secs(60);

impl Downloads {
    /// Bytes of a piece are here, or all of them.
    pub(super) fn here(
        &mut self,
        holder: HolderId,
        download: DownloadId,
        piece: PieceIndex,
        bytes: u32,
        arrived: bool,
    ) {
        let Some(known) = self.holders.get_mut(&holder) else { return };
        let Some(at) = known.place(download, piece) else { return };
        if known.here(self.now, at, bytes, arrived) {
            known.failures = 0;
            self.marks.mark(holder, known);
            self.news(holder);
        }
    }

    pub(super) fn stored(&mut self, holder: HolderId, download: DownloadId, piece: PieceIndex) {
        self.release(holder, download, piece);
        let Some(one) = self.downloads.get_mut(&download) else { return };
        let bytes = u64::from(one.picker.geometry().length(piece));
        let Some(before) = one.store(piece) else { return };
        if let Some(source) = one.source_mut(holder) {
            source.refusals = 0;
        }
        let (finished, whole) = (one.is_finished(), one.is_whole());
        self.touched.insert(download);
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
        self.touch(download); // also where another piece of it was wrong before
        self.shun(holder, download, Lie::WrongPiece(piece));
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
        if one.source(holder).is_none_or(|source| source.standing != Standing::Good) {
            return;
        }
        let whole = one.is_whole();
        match piece {
            Some(piece) => {
                self.release(holder, download, piece);
                let Some(one) = self.downloads.get_mut(&download) else { return };
                one.give_back(piece, holder);
                if reason == Reason::NoPiece && !whole {
                    one.unlearn_piece(holder, piece);
                    self.touch(download);
                    self.news(holder);
                } else {
                    self.rest(holder, download, true);
                }
            }
            None => self.rest(holder, download, false),
        }
    }

    /// A holder lied about a content: it is not asked for it again.
    pub(super) fn shun(&mut self, holder: HolderId, download: DownloadId, why: Lie) {
        let Some(source) = self.downloads.get_mut(&download).and_then(|one| one.source_mut(holder)) else {
            return;
        };
        if std::mem::replace(&mut source.standing, Standing::Shunned) == Standing::Shunned {
            return;
        }
        self.withdraw(holder, download, true);
        self.drop_use(holder, download);
        self.actions.push_back(Action::Shunned { holder, download, why });
    }

    /// A holder refuses a content: it is asked again after a while. With `tell` it is told that the channel is closed.
    pub(super) fn rest(&mut self, holder: HolderId, download: DownloadId, tell: bool) {
        let Some(source) = self.downloads.get_mut(&download).and_then(|one| one.source_mut(holder)) else {
            return;
        };
        if source.standing != Standing::Good {
            return;
        }
        source.standing = Standing::Resting;
        source.refusals = source.refusals.saturating_add(1);
        let wait = FIRST_REST.saturating_mul(1 << (source.refusals - 1).min(10)).min(LAST_REST);
        self.timers.set(Alarm::Retry(holder, download), self.now.after(wait));
        self.withdraw(holder, download, tell);
    }

    /// A holder that refused is asked again, if the manager still names it.
    pub(super) fn retry(&mut self, holder: HolderId, download: DownloadId) {
        let Some(source) = self.downloads.get_mut(&download).and_then(|one| one.source_mut(holder)) else {
            return;
        };
        if !source.named && source.in_flight_bytes == 0 {
            return self.remove_source(holder, download);
        }
        source.standing = Standing::Good;
        self.touch(download);
        if self.holders.get(&holder).is_some_and(|known| known.link == Link::Up) {
            self.open(holder, download);
        }
    }

    /// Takes back all that was asked of a holder for a content, but what has arrived, and closes the channel.
    pub(super) fn withdraw(&mut self, holder: HolderId, download: DownloadId, tell: bool) {
        let Some(one) = self.downloads.get_mut(&download) else { return };
        let (whole, order) = (one.is_whole(), one.order);
        let Some(source) = one.source(holder) else { return };
        let up = self.holders.get(&holder).is_some_and(|known| known.link == Link::Up);
        let was_open = up && !whole && !matches!(source.channel, Channel::Closed);
        let asked = source.in_flight_bytes > 0;
        one.unlearn(holder);
        if matches!(&one.list, List::Asked { holder: asked, .. } if *asked == holder) {
            one.list = List::Wanted;
        }
        self.touch(download);
        if let Some(known) = self.holders.get_mut(&holder) {
            known.to_open.remove(&(order, download));
        }
        while asked && let Some(at) = self.awaited(holder, Some(download)) {
            if let Some(piece) = self.take_back(holder, at)
                && whole
                && tell
            {
                self.actions.push_back(Action::Cancel { holder, download, piece });
            }
        }
        if was_open {
            if tell {
                self.actions.push_back(Action::Close { holder, download });
            }
            self.closed(holder, download);
        }
    }

    /// A second holder was faster: what the other one has begun is lost, unless it is all there.
    fn cancel(&mut self, holder: HolderId, download: DownloadId, piece: PieceIndex) {
        let Some(known) = self.holders.get(&holder) else { return };
        let Some(at) = known.place(download, piece) else { return };
        if known.queue().get(at).is_some_and(|asked| !asked.arrived) {
            self.take_back(holder, at);
            self.actions.push_back(Action::Cancel { holder, download, piece });
        }
    }

    /// Where in a holder's queue the first piece is that has not arrived, of one content or of any.
    pub(super) fn awaited(&self, holder: HolderId, download: Option<DownloadId>) -> Option<usize> {
        let fits = |asked: DownloadId| download.is_none_or(|download| download == asked);
        self.holders.get(&holder)?.queue().iter().position(|asked| !asked.arrived && fits(asked.download))
    }

    /// Takes back what stands at `at` of a holder's queue; the piece is missing again, unless another is asked too.
    pub(super) fn take_back(&mut self, holder: HolderId, at: usize) -> Option<PieceIndex> {
        let asked = *self.holders.get(&holder)?.queue().get(at)?;
        self.release_at(holder, at);
        self.fetched_twice_bytes += u64::from(asked.here);
        if let Some(one) = self.downloads.get_mut(&asked.download) {
            one.give_back(asked.piece, holder);
            self.touch(asked.download);
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
        if let Some(at) = self.holders.get(&holder).and_then(|known| known.place(download, piece)) {
            self.release_at(holder, at);
        }
    }

    fn release_at(&mut self, holder: HolderId, at: usize) {
        let Some(asked) = self.holders.get_mut(&holder).and_then(|known| known.remove(at)) else { return };
        self.mark(holder);
        self.room_again(holder);
        self.in_flight_bytes -= u64::from(asked.bytes);
        let source = self.downloads.get_mut(&asked.download).and_then(|one| one.source_mut(holder));
        if let Some(source) = source {
            source.in_flight_bytes -= u64::from(asked.bytes);
        }
    }
}
