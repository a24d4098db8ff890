//! The piece list of a content, requested page by page from one holder.
//!
//! A piece list that does not fold to the content's id is a fault of the holder.

use std::sync::Arc;

use super::{
    Action, DownloadId, Downloads, HolderFault, HolderId,
    holders::holder::PendingAnswer,
    single_download::{
        ListState,
        content_holder::{Channel, SourceState},
    },
};
use crate::{limits, piece_list::PieceList};

impl Downloads {
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
