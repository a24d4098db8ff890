//! The pieces that holders announce: all, a bitfield, or those that they got since.
//!
//! A holder that claims pieces that the content does not have is not asked for a while.

use super::{DownloadId, Downloads, HolderId, holders::holder::PendingAnswer};
use crate::{geometry::PieceIndex, limits};

impl Downloads {
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
}
