//! The holders, by their number: a few dozen, of which one is looked up several times for every event.
//!
//! Two sorted lists with the same places: the numbers lie close together and are searched fast; who is added or
//! removed, which is seldom, moves the others.

use super::{HolderId, holder::Holder};

/// Holders by number.
#[derive(Debug)]
pub(super) struct Table {
    ids: Vec<HolderId>,
    holders: Vec<Holder>,
}

impl Table {
    pub(super) const fn new() -> Self {
        Self { ids: Vec::new(), holders: Vec::new() }
    }

    pub(super) fn get(&self, id: &HolderId) -> Option<&Holder> {
        self.place(*id).ok().map(|at| &self.holders[at])
    }

    pub(super) fn get_mut(&mut self, id: &HolderId) -> Option<&mut Holder> {
        self.place(*id).ok().map(|at| &mut self.holders[at])
    }

    /// The holder of that number; a new one where there was none.
    pub(super) fn get_or_new(&mut self, id: HolderId) -> &mut Holder {
        let at = self.place(id).unwrap_or_else(|at| {
            self.ids.insert(at, id);
            self.holders.insert(at, Holder::new());
            at
        });
        &mut self.holders[at]
    }

    pub(super) fn remove(&mut self, id: &HolderId) {
        if let Ok(at) = self.place(*id) {
            self.ids.remove(at);
            self.holders.remove(at);
        }
    }

    /// All of them, by number.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&HolderId, &Holder)> {
        self.ids.iter().zip(&self.holders)
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &Holder> {
        self.holders.iter()
    }

    fn place(&self, id: HolderId) -> Result<usize, usize> {
        self.ids.binary_search(&id)
    }
}

#[cfg(test)]
impl Table {
    pub(super) fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }
}

#[cfg(test)]
impl std::ops::Index<&HolderId> for Table {
    type Output = Holder;

    fn index(&self, id: &HolderId) -> &Holder {
        self.get(id).expect("no such holder")
    }
}
