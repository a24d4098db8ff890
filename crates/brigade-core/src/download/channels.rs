//! Opening contents at holders, what the holders say they have, and the piece list.
//!
//! A list that does not fold to the content's id is a lie; who says that it has pieces which the content has not is
//! left alone for a while. What is asked over a channel is in `fill`, what comes of it in `arrivals`.

use std::sync::Arc;

use super::{
    Action, DownloadId, Downloads, HolderId, Lie,
    holder::{Debt, Link},
    one::List,
    source::{Channel, Standing},
};
use crate::{content::PieceList, geometry::PieceIndex, limits};

impl Downloads {
    /// A content may be asked of a connected holder from now on: at once, or when its channel is open.
    pub(super) fn open(&mut self, holder: HolderId, download: DownloadId) {
        let Some(one) = self.downloads.get_mut(&download) else { return };
        let (whole, order) = (one.is_whole(), one.order);
        one.stale = true;
        let Some(source) = one.source_mut(holder) else { return };
        if source.standing != Standing::Good || !matches!(source.channel, Channel::Closed) {
            return;
        }
        self.touched.insert(download);
        if whole {
            one.learn_all(holder);
        } else if let Some(known) = self.holders.get_mut(&holder) {
            known.to_open.insert((order, download));
            self.open_next(holder);
        }
    }

    /// Opens what waits for a channel, in the order that it was started.
    pub(super) fn open_next(&mut self, holder: HolderId) {
        let Some(known) = self.holders.get_mut(&holder) else { return };
        if known.link != Link::Up {
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
            known.debts.insert((download, Debt::Open));
            self.actions.push_back(Action::Open { holder, download, content });
            self.touched.insert(download); // an opening is no work yet
        }
        self.watch(holder);
    }

    /// A channel is closed, by whomever.
    pub(super) fn closed(&mut self, holder: HolderId, download: DownloadId) {
        if let Some(known) = self.holders.get_mut(&holder) {
            known.channels = known.channels.saturating_sub(1);
            known.debts.remove(&(download, Debt::Open));
            known.debts.remove(&(download, Debt::List));
            known.wants.remove(&download);
        }
        self.open_next(holder);
    }

    pub(super) fn have_all(&mut self, holder: HolderId, download: DownloadId) {
        if self.hears(holder, download)
            && let Some(one) = self.downloads.get_mut(&download)
        {
            one.learn_all(holder);
            self.pay(holder, download, Debt::Open);
        }
    }

    pub(super) fn bits(&mut self, holder: HolderId, download: DownloadId, first: u32, bits: &[u8]) {
        if !self.hears(holder, download) {
            return;
        }
        let Some(one) = self.downloads.get_mut(&download) else { return };
        if one.learn_page(holder, first, bits).is_err() {
            // A bitfield of another content: whatever it has, it cannot be relied on.
            return self.rest(holder, download, true);
        }
        self.pay(holder, download, Debt::Open);
    }

    /// A holder has more pieces. False where nothing else follows from that.
    pub(super) fn have(&mut self, holder: HolderId, download: DownloadId, pieces: &[u32]) -> bool {
        let Some(one) = self.downloads.get_mut(&download) else { return false };
        let Ok(at) = one.place(holder) else { return false };
        // News of what it has since means something only after it said what it has.
        if one.sources()[at].has().is_none() {
            return false;
        }
        let new = one.learn_at(at, pieces.iter().take(limits::HAVE_PIECES).copied().map(PieceIndex));
        let at_the_end = one.starved || one.picker.missing().is_empty() || !self.marks.stalled.is_empty();
        let source = &one.sources()[at];
        let matters = at_the_end || (new && !(source.ready && source.wanted));
        if matters {
            self.touch(download);
        }
        matters
    }

    /// Whether a content of several pieces is open at a holder, or being opened.
    fn hears(&self, holder: HolderId, download: DownloadId) -> bool {
        let one = self.downloads.get(&download);
        one.filter(|one| !one.is_whole())
            .and_then(|one| one.source(holder))
            .is_some_and(|source| !matches!(source.channel, Channel::Closed))
    }

    /// An answer came that a holder owed.
    fn pay(&mut self, holder: HolderId, download: DownloadId, debt: Debt) {
        let paid = self.holders.get_mut(&holder).is_some_and(|known| known.debts.remove(&(download, debt)));
        if paid {
            self.news(holder);
        }
        self.touch(download);
    }

    /// Asks one holder for the piece list where it is not known: the fastest one that the content is opened at. The
    /// question may overtake the answer to the opening, and saves a round trip thereby.
    pub(super) fn want_list(&mut self, download: DownloadId) {
        let Some(one) = self.downloads.get_mut(&download) else { return };
        match &one.list {
            List::NotNeeded | List::Known(_) => return,
            List::Asked { holder, .. } if self.holders.get(holder).is_some_and(|known| known.answers()) => {
                return;
            }
            List::Asked { .. } | List::Wanted => {}
        }
        let candidates = one
            .sources()
            .iter()
            .filter(|source| source.standing == Standing::Good && !matches!(source.channel, Channel::Closed));
        let known = candidates.filter_map(|source| Some((source.holder, self.holders.get(&source.holder)?)));
        let Some((holder, _)) =
            known.filter(|(_, known)| known.answers()).max_by_key(|(_, known)| known.rate())
        else {
            return;
        };
        one.list = List::Asked { holder, values: Vec::new() };
        self.ask_list(holder, download, 0);
    }

    fn ask_list(&mut self, holder: HolderId, download: DownloadId, first: u32) {
        if let Some(known) = self.holders.get_mut(&holder) {
            known.expect(self.now);
            known.debts.insert((download, Debt::List));
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
        let List::Asked { holder: asked, values } = &mut one.list else { return };
        if *asked != holder || first as usize != values.len() {
            return; // an answer to a question of before
        }
        if page.is_empty() || page.len() > (count - values.len()).min(limits::LIST_PAGE_VALUES as usize) {
            return self.shun(holder, download, Lie::BadList);
        }
        values.extend_from_slice(page);
        if values.len() < count {
            let next = u32::try_from(values.len()).unwrap_or(u32::MAX);
            self.pay(holder, download, Debt::List);
            return self.ask_list(holder, download, next);
        }
        match PieceList::new(content, std::mem::take(values)) {
            Ok(list) => {
                let list = Arc::new(list);
                one.list = List::Known(Arc::clone(&list));
                self.actions.push_back(Action::ListKnown { download, list });
                self.pay(holder, download, Debt::List);
            }
            Err(_) => self.shun(holder, download, Lie::BadList),
        }
    }
}
