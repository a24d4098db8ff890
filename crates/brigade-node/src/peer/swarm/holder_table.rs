//! The holders that the manager named: a number for each key, and where it was last.
//!
//! The number is what the downloads know of a holder. One that nothing refers to any more is forgotten once there are
//! many; if it is named again, it gets another number.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
};

use brigade_core::{download::HolderId, id::PeerKey, limits, wire::manager::Whereabouts};

use super::connection::Holder;

/// Holders by key and by number.
#[derive(Debug)]
pub(crate) struct HolderTable {
    ids: BTreeMap<PeerKey, HolderId>,
    holders: BTreeMap<HolderId, Holder>,
    last: u32,
    /// How many there may be before it is looked which of them are needed.
    most: usize,
}

impl Default for HolderTable {
    fn default() -> Self {
        Self { ids: BTreeMap::new(), holders: BTreeMap::new(), last: 0, most: limits::HOLDERS_REMEMBERED }
    }
}

impl HolderTable {
    /// The number of a peer that the manager named, and where it is now; `None` for an address that is none.
    pub(crate) fn know(&mut self, peer: &Whereabouts) -> Option<HolderId> {
        let address: SocketAddr = peer.address.parse().ok()?;
        let last = &mut self.last;
        let id = *self.ids.entry(peer.key).or_insert_with(|| {
            *last += 1;
            HolderId(*last)
        });
        let holder = Holder { id, username: peer.username.clone(), key: peer.key, address };
        self.holders.insert(id, holder);
        Some(id)
    }

    pub(crate) fn get(&self, holder: HolderId) -> Option<&Holder> {
        self.holders.get(&holder)
    }

    /// Whether those that nothing refers to are to be forgotten.
    pub(crate) fn are_many(&self) -> bool {
        self.ids.len() >= self.most
    }

    /// Forgets all but these. Where many stay, it is a while until the next time.
    pub(crate) fn forget_all_but(&mut self, referred_to: &BTreeSet<HolderId>) {
        self.ids.retain(|_, id| referred_to.contains(id));
        self.holders.retain(|id, _| referred_to.contains(id));
        self.most = limits::HOLDERS_REMEMBERED.max(2 * self.ids.len());
    }
}

#[cfg(test)]
mod tests {
    use super::{BTreeSet, HolderTable, PeerKey, Whereabouts, limits};

    fn peer(number: u32) -> Whereabouts {
        let mut key = PeerKey([0; 32]);
        key.0[..4].copy_from_slice(&number.to_be_bytes());
        Whereabouts {
            key,
            username: format!("user{number}").parse().unwrap(),
            address: "127.0.0.1:7000".to_owned(),
        }
    }

    #[test]
    fn a_hundred_thousand_holders_leave_a_table_of_bounded_size() {
        let mut known = HolderTable::default();
        let first = known.know(&peer(0)).unwrap();
        let stays = BTreeSet::from([first]);
        let mut most = 0;
        for number in 1..100_000 {
            if known.are_many() {
                known.forget_all_but(&stays);
            }
            known.know(&peer(number)).unwrap();
            most = most.max(known.ids.len());
        }
        assert_eq!(most, limits::HOLDERS_REMEMBERED);
        assert_eq!(known.know(&peer(0)), Some(first), "what is referred to keeps its number");
        assert_ne!(known.know(&peer(1)), None);
        known.forget_all_but(&BTreeSet::new());
        assert_eq!((known.ids.len(), known.holders.len()), (0, 0));
    }
}
