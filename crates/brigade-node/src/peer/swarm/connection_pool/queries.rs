//! Questions about the holders, which change nothing.
//!
//! `swarm/queries` passes the answers on.

use super::{
    ConnectionPool, Content, Holder, HolderId, HolderTraffic, NamedHolders, UnusableHolders, Username,
};

impl ConnectionPool {
    pub(crate) fn name_of(&self, holder: HolderId) -> Option<Username> {
        self.known.get(holder).map(|holder| holder.username.clone())
    }

    /// A holder, with its address, and whether it is connected.
    pub(crate) fn sender(&self, holder: HolderId) -> Option<HolderTraffic> {
        let Holder { username, address, .. } = self.known.get(holder)?;
        let connected = self.connected.get(&holder).is_some_and(|one| one.is_established);
        Some(HolderTraffic { connected, ..HolderTraffic::new(username.clone(), *address) })
    }

    /// The holders that cannot be used, of all active contents of a fetch and of the starved ones.
    pub(crate) fn unusable(&self, named: &NamedHolders, of: [&[Content]; 2]) -> UnusableHolders {
        let is_connected =
            |holder: &HolderId| self.connected.get(holder).is_some_and(|one| one.is_established);
        named.unusable(of, &self.known, is_connected)
    }

    /// The connected holders.
    pub(crate) fn connected(&self) -> impl Iterator<Item = HolderId> {
        self.connected.iter().filter(|(_, holder)| holder.is_established).map(|(id, _)| *id)
    }
}
