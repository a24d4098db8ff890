//! Questions about the active downloads and their holders, which change nothing.
//!
//! The owner of the fetches asks them, to show the progress of fetches and to decide about their files.

use super::{
    Bitfield, Content, ContentHolderNames, HolderId, HolderTraffic, PartFile, Swarm, UnusableHolders,
    Username,
};

impl Swarm {
    pub(crate) fn is_active(&self, content: &Content) -> bool {
        self.active.number(content).is_some()
    }

    pub(crate) fn len(&self) -> usize {
        self.active.len()
    }

    /// The number of active contents of several pieces.
    pub(crate) fn large(&self) -> usize {
        self.active.large()
    }

    /// The active contents of several pieces that are not getting their names.
    pub(crate) fn unfinished_large(&self) -> Vec<Content> {
        self.active.unfinished_large()
    }

    /// The part files of all active contents of several pieces.
    pub(crate) fn part_files(&self) -> Vec<PartFile> {
        self.active.part_files()
    }

    /// Bytes that were received twice, over all downloads.
    pub(crate) fn bytes_twice(&self) -> u64 {
        self.downloads.fetched_twice_bytes()
    }

    /// The number of connected holders that the manager names of these contents.
    pub(crate) fn connected(&self, contents: &[Content]) -> usize {
        self.named.count_named(contents, self.pool.connected().collect())
    }

    pub(super) fn name_of(&self, holder: HolderId) -> Option<Username> {
        self.pool.name_of(holder)
    }

    /// A holder, with its address, and whether it is connected.
    pub(crate) fn sender(&self, holder: HolderId) -> Option<HolderTraffic> {
        self.pool.sender(holder)
    }

    /// The members that hold an active content, as the manager named them last; `None` if it has not.
    pub(crate) fn holder_names(&self, content: &Content) -> Option<ContentHolderNames> {
        let (complete, partial) = self.named.now(content)?;
        let names = |holders: Vec<HolderId>| holders.iter().filter_map(|one| self.name_of(*one)).collect();
        Some(ContentHolderNames { complete: names(complete), partial: names(partial) })
    }

    /// Whether a content is active and paused.
    pub(crate) fn is_paused(&self, content: &Content) -> bool {
        self.active.is_paused(content)
    }

    /// The number of paused contents.
    pub(crate) fn paused(&self) -> usize {
        self.active.paused()
    }

    /// The stored pieces of an active content of several pieces whose piece list is known.
    pub(crate) fn have(&self, content: &Content) -> Option<Bitfield> {
        self.active.have(content)
    }

    /// The holders of active contents that cannot be used; some of the contents are starved.
    pub(crate) fn unusable(&self, contents: &[Content], starved: &[Content]) -> UnusableHolders {
        self.pool.unusable(&self.named, [contents, starved])
    }

    /// Whether the manager says that no holder has all of a content now.
    pub(crate) fn has_lost_holders(&self, content: &Content) -> bool {
        self.active.is_unfinished(content) && self.named.lost(content).is_some()
    }

    /// The names of the holders that had all of a content, if the manager says that there is none now.
    pub(crate) fn lost_holders(&self, content: &Content) -> Option<Vec<Username>> {
        let lost = self.named.lost(content).filter(|_| self.active.is_unfinished(content))?;
        Some(lost.iter().filter_map(|holder| self.pool.name_of(*holder)).collect())
    }
}
