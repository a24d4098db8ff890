//! The inputs and outputs of [`Upload`](super::Upload): the numbers of downloaders and offers, what a downloader wants,
//! and what its caller is to do next.
//!
//! They are plain values: tests write them by hand. `Upload` itself is in [`super`].

use crate::{geometry::PieceIndex, id::Content};

/// The caller's number for a peer that is being served: one for each key, however many connections it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DownloaderId(pub u32);

/// An offer's number; it counts up, over all downloaders.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OfferId(pub u32);

/// What one downloader was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct UploadTotal {
    /// Bytes of piece data.
    pub bytes: u64,
    /// Pieces of which anything was sent.
    pub pieces: u64,
}

/// What a downloader wants: any piece of a content that it lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WantedContent {
    /// Of which content.
    pub content: Content,
    /// How many pieces it has, where every one of them is here; `None` where only a part is.
    pub complete: Option<u32>,
    /// Bytes a second that the downloader says it can pass on.
    pub uplink: Option<u64>,
}

/// What is to be done for a downloader.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Grant {
    /// One request is served now: the one that took up the offer, or else the oldest that took up none.
    Serve {
        /// Whose.
        downloader: DownloaderId,
        /// The offer that it took up.
        offer: Option<OfferId>,
    },
    /// It is told that it is its turn.
    Offer {
        /// Whose.
        downloader: DownloaderId,
        /// Which offer.
        offer: OfferId,
        /// Of which content.
        content: Content,
        /// What was sent least; none where only a part is here.
        pieces: Vec<PieceIndex>,
    },
}
