//! The known holders: a number for each key, the last address, and the last error.
//!
//! The core knows a holder by its number. Once there are many, holders without a reference are forgotten; one that is
//! named again gets another number. An error is kept until a piece of the holder is stored; it decides nothing, but a
//! fetch that waits shows it.

use std::{
    collections::{BTreeMap, BTreeSet},
    error::Error,
    net::SocketAddr,
};

use brigade_core::{download::HolderId, id::PeerKey, limits, wire::manager::PeerAddress};

use super::message::Holder;
use crate::progress::UnreachableHolder;

/// Holders by key and by number.
#[derive(Debug)]
pub(crate) struct HolderTable {
    ids: BTreeMap<PeerKey, HolderId>,
    holders: BTreeMap<HolderId, Holder>,
    /// The last error of each holder that could not be used.
    errors: BTreeMap<HolderId, UnreachableHolder>,
    last: u32,
    /// The number of holders from which on those without a reference are forgotten.
    most: usize,
}

impl Default for HolderTable {
    fn default() -> Self {
        let (ids, holders, errors) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Self { ids, holders, errors, last: 0, most: limits::REMEMBERED_HOLDERS }
    }
}

impl HolderTable {
    /// The number of a peer that the manager named, and its address now; `None` for an address that is not valid.
    pub(crate) fn add(&mut self, peer: &PeerAddress) -> Option<HolderId> {
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

    /// Whether holders without a reference are to be forgotten.
    pub(crate) fn is_large(&self) -> bool {
        self.ids.len() >= self.most
    }

    /// Forgets all but these. Where many stay, it is a while until the next time.
    pub(crate) fn forget_all_but(&mut self, referred_to: &BTreeSet<HolderId>) {
        self.ids.retain(|_, id| referred_to.contains(id));
        self.holders.retain(|id, _| referred_to.contains(id));
        self.most = limits::REMEMBERED_HOLDERS.max(2 * self.ids.len());
    }

    /// Notes why a connection to a holder ended, or was not established.
    pub(crate) fn set_error(&mut self, id: HolderId, error: &dyn Error) {
        let Some(Holder { username, address, .. }) = self.holders.get(&id) else { return };
        let unreached =
            UnreachableHolder { username: username.clone(), address: *address, cause: chain(error) };
        if self.errors.len() >= limits::UNREACHED_KEPT && !self.errors.contains_key(&id) {
            self.errors.pop_first(); // the holder that has been known for longest
        }
        self.errors.insert(id, unreached);
    }

    /// A piece of the holder is stored: its last error does not matter any more.
    pub(crate) fn clear_error(&mut self, holder: HolderId) {
        if !self.errors.is_empty() {
            self.errors.remove(&holder);
        }
    }

    /// Those of `holders` that could not be used; the first few.
    pub(crate) fn unreached(&self, holders: impl Iterator<Item = HolderId>) -> Vec<UnreachableHolder> {
        let mut found = BTreeMap::new();
        for holder in holders.take_while(|_| !self.errors.is_empty()) {
            if found.len() == limits::UNREACHED_SHOWN {
                break;
            }
            if let Some(unreached) = self.errors.get(&holder) {
                found.entry(holder).or_insert_with(|| unreached.clone());
            }
        }
        found.into_values().collect()
    }
}

/// An error and its causes, within the bound of a text for people.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text += &format!(": {cause_text}");
        }
        next = cause.source();
    }
    text.truncate(text.floor_char_boundary(limits::TEXT_BYTES));
    text
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::{BTreeSet, HolderId, HolderTable, PeerAddress, PeerKey, chain, limits};
    use crate::transport::dial::DialError;

    fn peer(number: u32) -> PeerAddress {
        let mut key = PeerKey([0; 32]);
        key.0[..4].copy_from_slice(&number.to_be_bytes());
        PeerAddress {
            key,
            username: format!("user{number}").parse().unwrap(),
            address: "127.0.0.1:7000".to_owned(),
        }
    }

    #[test]
    fn a_hundred_thousand_holders_leave_a_table_of_bounded_size() {
        let mut known = HolderTable::default();
        let first = known.add(&peer(0)).unwrap();
        let stays = BTreeSet::from([first]);
        let mut most = 0;
        for number in 1..100_000 {
            if known.is_large() {
                known.forget_all_but(&stays);
            }
            known.add(&peer(number)).unwrap();
            most = most.max(known.ids.len());
        }
        assert_eq!(most, limits::REMEMBERED_HOLDERS);
        assert_eq!(known.add(&peer(0)), Some(first), "what is referred to keeps its number");
        assert_ne!(known.add(&peer(1)), None);
        known.forget_all_but(&BTreeSet::new());
        assert_eq!((known.ids.len(), known.holders.len()), (0, 0));
    }

    #[test]
    fn errors_are_bounded_and_forgotten() {
        let mut known = HolderTable::default();
        for number in 0..1000 {
            let holder = known.add(&peer(number)).unwrap();
            known.set_error(holder, &io::Error::other("no"));
        }
        assert_eq!(known.errors.len(), limits::UNREACHED_KEPT);
        known.set_error(HolderId(1000), &io::Error::other("another"));
        assert_eq!(known.errors[&HolderId(1000)].cause, "another");
        known.clear_error(HolderId(1000));
        assert!(!known.errors.contains_key(&HolderId(1000)));
        known.set_error(HolderId(1001), &io::Error::other("nobody"));
        assert!(!known.errors.contains_key(&HolderId(1001)), "it is not known");
    }

    #[test]
    fn an_error_is_shown_with_its_causes() {
        let source = io::Error::other("refused by the firewall");
        let error = DialError::Connect { address: "10.0.0.1:7001".into(), source };
        assert_eq!(chain(&error), "connecting to 10.0.0.1:7001: refused by the firewall");
        assert_eq!(chain(&io::Error::other("é".repeat(1000))).len(), limits::TEXT_BYTES);
    }
}
