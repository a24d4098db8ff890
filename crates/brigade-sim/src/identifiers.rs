//! The numbers of peers, contents and connections: positions in the lists of a simulation.
//!
//! A content has the same number in every core of its simulation.

use brigade_core::download::DownloadId;

/// A peer's number in its simulation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PeerNumber(pub u32);

/// A content's number in its simulation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ContentNumber(pub u32);

impl PeerNumber {
    pub(crate) const fn at(self) -> usize {
        self.0 as usize
    }
}

impl ContentNumber {
    pub(crate) const fn at(self) -> usize {
        self.0 as usize
    }
}

/// A connection's number; a new one each time that it is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ConnectionNumber(pub(crate) u32);

impl ConnectionNumber {
    pub(crate) const fn at(self) -> usize {
        self.0 as usize
    }
}

/// The number of a content in the cores.
pub(crate) const fn download(content: ContentNumber) -> DownloadId {
    DownloadId(content.0)
}

/// The content of a core's number.
pub(crate) const fn content(download: DownloadId) -> ContentNumber {
    ContentNumber(download.0)
}
