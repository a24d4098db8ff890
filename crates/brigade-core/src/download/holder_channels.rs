//! Channels: a content is opened at a holder, and closed.
//!
//! Requests over a channel, and their results, are in `requests`.

use super::{
    Action, DownloadId, Downloads, HolderId,
    holders::holder::{ConnectionState, PendingAnswer},
    single_download::content_holder::{Channel, SourceState},
};

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

    /// Whether a content of several pieces is open at a holder, or being opened.
    pub(super) fn is_open(&self, holder: HolderId, download: DownloadId) -> bool {
        let one = self.downloads.get(&download);
        one.filter(|one| !one.is_whole())
            .and_then(|one| one.source(holder))
            .is_some_and(|source| !matches!(source.channel, Channel::Closed))
    }

    /// An answer came that a holder owed.
    pub(super) fn answer_received(&mut self, holder: HolderId, download: DownloadId, answer: PendingAnswer) {
        let paid = self
            .holders
            .get_mut(&holder)
            .is_some_and(|known| known.pending_answers.remove(&(download, answer)));
        if paid {
            self.heard_from_holder(holder);
        }
        self.mark_changed(download);
    }
}
