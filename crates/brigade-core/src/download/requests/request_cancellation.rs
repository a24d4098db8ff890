//! Requests that are cancelled, or are over in another way.
//!
//! A cancelled piece is missing again, unless it is requested from another holder too.

use crate::{
    download::{
        Action, DownloadId, Downloads, HolderId,
        holders::holder::ConnectionState,
        single_download::{ListState, content_holder::Channel},
    },
    geometry::PieceIndex,
};

impl Downloads {
    /// Cancels everything that was requested from a holder for a content and has not arrived, and closes the channel.
    pub(crate) fn withdraw(&mut self, holder: HolderId, download: DownloadId, notify: bool) {
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
    pub(crate) fn cancel(&mut self, holder: HolderId, download: DownloadId, piece: PieceIndex) {
        let Some(known) = self.holders.get(&holder) else { return };
        let Some(at) = known.position(download, piece) else { return };
        if known.queue().get(at).is_some_and(|asked| !asked.arrived) {
            self.cancel_at(holder, at);
            self.actions.push_back(Action::Cancel { holder, download, piece });
        }
    }

    /// Where in a holder's queue the first piece is that has not arrived, of one content or of any.
    pub(crate) fn awaited(&self, holder: HolderId, download: Option<DownloadId>) -> Option<usize> {
        let fits = |asked: DownloadId| download.is_none_or(|download| download == asked);
        self.holders.get(&holder)?.queue().iter().position(|asked| !asked.arrived && fits(asked.download))
    }

    /// Takes back what stands at `at` of a holder's queue; the piece is missing again, unless another is asked too.
    pub(crate) fn cancel_at(&mut self, holder: HolderId, at: usize) -> Option<PieceIndex> {
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
    pub(crate) fn drop_arrived(&mut self, holder: HolderId, download: DownloadId) {
        while let Some(at) = self
            .holders
            .get(&holder)
            .and_then(|known| known.queue().iter().position(|asked| asked.download == download))
        {
            self.release_at(holder, at);
        }
    }

    /// A piece is not in flight at a holder any more.
    pub(crate) fn release(&mut self, holder: HolderId, download: DownloadId, piece: PieceIndex) {
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
}
