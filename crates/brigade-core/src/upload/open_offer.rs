//! An offer that was made and whose piece was not sent yet.
//!
//! `offers` makes and ends it.

use super::inputs_and_outputs::DownloaderId;
use crate::{geometry::PieceIndex, id::Content, time::Timestamp};

/// An offer that was made.
#[derive(Debug)]
pub(super) struct OpenOffer {
    pub(super) downloader: DownloaderId,
    pub(super) content: Content,
    pub(super) at: Timestamp,
    pub(super) pieces: Vec<PieceIndex>,
    /// The piece that it was taken up for.
    pub(super) accepted: Option<PieceIndex>,
}
