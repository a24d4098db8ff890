//! Which holders have anything to do with an event: so that one of many is handled without a look at all of them.
//!
//! Everything here follows from the holders; whoever changes one of them marks it again. What follows from it is decided
//! in `fill` and `late`.

use std::collections::BTreeSet;

use super::{Downloads, HolderId, holder::Holder};

/// Holders by what they do.
#[derive(Debug, Default)]
pub(super) struct Marks {
    /// May be asked for something without an offer.
    pub(super) hungry: BTreeSet<HolderId>,
    /// Owe bytes of pieces.
    pub(super) owing: BTreeSet<HolderId>,
    /// Are taken for stalled.
    pub(super) stalled: BTreeSet<HolderId>,
}

impl Marks {
    pub(super) const fn new() -> Self {
        Self { hungry: BTreeSet::new(), owing: BTreeSet::new(), stalled: BTreeSet::new() }
    }

    /// A holder may not be what it was.
    pub(super) fn mark(&mut self, holder: HolderId, known: &Holder) {
        set(&mut self.hungry, holder, known.answers() && known.has_open_work());
        set(&mut self.owing, holder, known.awaited_bytes() > 0);
        set(&mut self.stalled, holder, known.stalled.is_some());
    }

    /// A holder is forgotten.
    pub(super) fn forget(&mut self, holder: HolderId) {
        for marked in [&mut self.hungry, &mut self.owing, &mut self.stalled] {
            marked.remove(&holder);
        }
    }
}

impl Downloads {
    /// A holder may not be what it was.
    pub(super) fn mark(&mut self, holder: HolderId) {
        if let Some(known) = self.holders.get(&holder) {
            self.marks.mark(holder, known);
        }
    }
}

fn set(marked: &mut BTreeSet<HolderId>, holder: HolderId, is: bool) {
    if is {
        marked.insert(holder);
    } else if !marked.is_empty() {
        marked.remove(&holder);
    }
}
