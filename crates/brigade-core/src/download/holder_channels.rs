//! Opening contents at holders, what the holders say they have, and the piece list.
//!
//! A piece list that does not fold to the content's id is a fault of the holder. A holder that claims pieces that the
//! content does not have is not asked for a while. Requests over a channel are in `fill`, their results in
//! `request_results`.

use std::sync::Arc;

use super::{
    Action, DownloadId, Downloads, HolderFault, HolderId,
    holders::holder::{ConnectionState, PendingAnswer},
    single_download::ListState,
    source::{Channel, SourceState},
};
use crate::{content::PieceList, geometry::PieceIndex, limits};

impl Downloads {
    /// A content may be asked of a connected holder from now on: at once, or when its channel is open.
    pub(super) fn open(&mut self, holder: HolderId, download: DownloadId) {
        let Some(one) = self.downloads.get_mut(&download) else { return };
        let (whole, order) = (one.is_whole(), one.order);
        one.needs_refresh = true;
        let Some(source) = one.source_mut(holder) else { return };
        if source.state != SourceState::Usable || !matches!(source.channel, Channel::Closed) {
            return;
        }
        self.changed.insert(download);
        if whole {
            one.add_all_pieces(holder);
        } else if let Some(known) = self.holders.get_mut(&holder) {
            known.to_open.insert((order, download));
            self.open_next(holder);
        }
    }

    /// Opens what waits for a channel, in the order that it was started.
    pub(super) fn open_next(&mut self, holder: HolderId) {
        let Some(known) = self.holders.get_mut(&holder) else { return };
        if known.link != ConnectionState::Connected {
            return;
        }
        while known.channels < self.config.channels
            && let Some((_, download)) = known.to_open.pop_first()
        {
            let Some(one) = self.downloads.get_mut(&download) else { continue };
            let content = one.content;
            if one.source(holder).is_none() {
                continue;
            }
            one.opening(holder);
            known.channels += 1;
            known.expect(self.now);
            known.pending_answers.insert((download, PendingAnswer::Open));
            self.actions.push_back(Action::Open { holder, download, content });
            self.changed.insert(download); // an opening is no work yet
        }
        self.watch(holder);
    }

    /// A channel is closed, by whomever.
    pub(super) fn closed(&mut self, holder: HolderId, download: DownloadId) {
        if let Some(known) = self.holders.get_mut(&holder) {
            known.channels = known.channels.saturating_sub(1);
            known.pending_answers.remove(&(download, PendingAnswer::Open));
            known.pending_answers.remove(&(download, PendingAnswer::List));
            known.wants.remove(&download);
        }
        self.open_next(holder);
    }

    pub(super) fn have_all(&mut self, holder: HolderId, download: DownloadId) {
        if self.is_open(holder, download)
            && let Some(one) = self.downloads.get_mut(&download)
        {
            one.add_all_pieces(holder);
            self.answer_received(holder, download, PendingAnswer::Open);
        }
    }

    pub(super) fn bits(&mut self, holder: HolderId, download: DownloadId, first: u32, bits: &[u8]) {
        if !self.is_open(holder, download) {
            return;
        }
        let Some(one) = self.downloads.get_mut(&download) else { return };
        if one.add_piece_page(holder, first, bits).is_err() {
            // A bitfield of another content: whatever it has, it cannot be relied on.
            return self.back_off(holder, download, true);
        }
        self.answer_received(holder, download, PendingAnswer::Open);
    }

    /// A holder has more pieces. False where nothing else follows from that.
    pub(super) fn have(&mut self, holder: HolderId, download: DownloadId, pieces: &[u32]) -> bool {
        let Some(one) = self.downloads.get_mut(&download) else { return false };
        let Ok(at) = one.position(holder) else { return false };
        // Pieces that it got since then mean something only after its bitfield has arrived.
        if one.sources()[at].has().is_none() {
            return false;
        }
        let new = one.add_pieces_at(at, pieces.iter().take(limits::HAVE_PIECES).copied().map(PieceIndex));
        let at_the_end =
            one.starved || one.picker.missing().is_empty() || !self.holder_sets.stalled.is_empty();
        let source = &one.sources()[at];
        let matters = at_the_end || (new && !(source.ready && source.wanted));
        if matters {
            self.mark_changed(download);
        }
        matters
    }

    /// Whether a content of several pieces is open at a holder, or being opened.
    fn is_open(&self, holder: HolderId, download: DownloadId) -> bool {
        let one = self.downloads.get(&download);
        one.filter(|one| !one.is_whole())
            .and_then(|one| one.source(holder))
            .is_some_and(|source| !matches!(source.channel, Channel::Closed))
    }

    /// An answer came that a holder owed.
    fn answer_received(&mut self, holder: HolderId, download: DownloadId, answer: PendingAnswer) {
        let paid = self
            .holders
            .get_mut(&holder)
            .is_some_and(|known| known.pending_answers.remove(&(download, answer)));
        if paid {
            self.heard_from_holder(holder);
        }
        self.mark_changed(download);
    }

    /// Asks one holder for the piece list where it is not known: the fastest one that the content is opened at. The
    /// question may overtake the answer to the opening, and saves a round trip thereby.
    pub(super) fn want_list(&mut self, download: DownloadId) {
        let Some(one) = self.downloads.get_mut(&download) else { return };
        match &one.list {
            ListState::NotNeeded | ListState::Known(_) => return,
            ListState::Requested { holder, .. }
                if self.holders.get(holder).is_some_and(|known| known.answers()) =>
            {
                return;
            }
            ListState::Requested { .. } | ListState::Wanted => {}
        }
        let candidates = one.sources().iter().filter(|source| {
            source.state == SourceState::Usable && !matches!(source.channel, Channel::Closed)
        });
        let known = candidates.filter_map(|source| Some((source.holder, self.holders.get(&source.holder)?)));
        let Some((holder, _)) =
            known.filter(|(_, known)| known.answers()).max_by_key(|(_, known)| known.rate())
        else {
            return;
        };
        one.list = ListState::Requested { holder, values: Vec::new() };
        self.ask_list(holder, download, 0);
    }

    fn ask_list(&mut self, holder: HolderId, download: DownloadId, first: u32) {
        if let Some(known) = self.holders.get_mut(&holder) {
            known.expect(self.now);
            known.pending_answers.insert((download, PendingAnswer::List));
        }
        self.actions.push_back(Action::AskList { holder, download, first });
        self.watch(holder);
    }

    pub(super) fn list_page(
        &mut self,
        holder: HolderId,
        download: DownloadId,
        first: u32,
        page: &[[u8; 32]],
    ) {
        let Some(one) = self.downloads.get_mut(&download) else { return };
        let count = one.picker.geometry().count() as usize;
        let content = one.content;
        let ListState::Requested { holder: asked, values } = &mut one.list else { return };
        if *asked != holder || first as usize != values.len() {
            return; // an answer to a question of before
        }
        if page.is_empty() || page.len() > (count - values.len()).min(limits::LIST_PAGE_VALUES as usize) {
            return self.ban(holder, download, HolderFault::WrongList);
        }
        values.extend_from_slice(page);
        if values.len() < count {
            let next = u32::try_from(values.len()).unwrap_or(u32::MAX);
            self.answer_received(holder, download, PendingAnswer::List);
            return self.ask_list(holder, download, next);
        }
        match PieceList::new(content, std::mem::take(values)) {
            Ok(list) => {
                let list = Arc::new(list);
                one.list = ListState::Known(Arc::clone(&list));
                self.actions.push_back(Action::ListKnown { download, list });
                self.answer_received(holder, download, PendingAnswer::List);
            }
            Err(_) => self.ban(holder, download, HolderFault::WrongList),
        }
    }
}
