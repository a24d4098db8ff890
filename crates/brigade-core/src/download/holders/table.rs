//! The holders, by their number: a few dozen, of which one is looked up several times for every event.
//!
//! Two sorted lists with the same places: the numbers lie close together and are searched fast; who is added or
//! removed, which is seldom, moves the others.

use super::holder::Holder;
use crate::download::events_and_actions::HolderId;

/// Holders by number.
#[derive(Debug)]
pub(crate) struct HolderTable {
    ids: Vec<HolderId>,
    holders: Vec<Holder>,
}

impl HolderTable {
    pub(crate) const fn new() -> Self {
        Self { ids: Vec::new(), holders: Vec::new() }
    }

    pub(crate) fn get(&self, id: &HolderId) -> Option<&Holder> {
        self.position(*id).ok().map(|at| &self.holders[at])
    }

    pub(crate) fn get_mut(&mut self, id: &HolderId) -> Option<&mut Holder> {
        self.position(*id).ok().map(|at| &mut self.holders[at])
    }

    /// The holder of that number; a new one where there was none.
    pub(crate) fn get_or_new(&mut self, id: HolderId) -> &mut Holder {
        let at = self.position(id).unwrap_or_else(|at| {
            self.ids.insert(at, id);
            self.holders.insert(at, Holder::new());
            at
        });
        &mut self.holders[at]
    }

    pub(crate) fn remove(&mut self, id: &HolderId) {
        if let Ok(at) = self.position(*id) {
            self.ids.remove(at);
            self.holders.remove(at);
        }
    }

    /// All of them, by number.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&HolderId, &Holder)> {
        self.ids.iter().zip(&self.holders)
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = &Holder> {
        self.holders.iter()
    }

    fn position(&self, id: HolderId) -> Result<usize, usize> {
        self.ids.binary_search(&id)
    }
}

#[cfg(test)]
impl HolderTable {
    pub(crate) fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }
}

#[cfg(test)]
impl std::ops::Index<&HolderId> for HolderTable {
    type Output = Holder;

    fn index(&self, id: &HolderId) -> &Holder {
        self.get(id).expect("no such holder")
    }
}
