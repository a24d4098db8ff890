//! Sets of holders by what an event needs: so that an event with one holder does not search all of them.
//!
//! Everything here follows from the holders; code that changes a holder updates its sets. `requests` and
//! `stalled_holders` decide what to do.

use std::collections::BTreeSet;

use super::holder::Holder;
use crate::download::events_and_actions::HolderId;

/// Holders by what they do.
#[derive(Debug, Default)]
pub(crate) struct HoldersByState {
    /// May be asked for something without an offer.
    pub(crate) can_request: BTreeSet<HolderId>,
    /// Owe bytes of pieces.
    pub(crate) owe_data: BTreeSet<HolderId>,
    /// Are taken for stalled.
    pub(crate) stalled: BTreeSet<HolderId>,
}

impl HoldersByState {
    pub(crate) const fn new() -> Self {
        Self { can_request: BTreeSet::new(), owe_data: BTreeSet::new(), stalled: BTreeSet::new() }
    }

    /// A holder may not be what it was.
    pub(crate) fn update_sets(&mut self, holder: HolderId, known: &Holder) {
        set(&mut self.can_request, holder, known.answers() && known.has_open_work());
        set(&mut self.owe_data, holder, known.awaited_bytes() > 0);
        set(&mut self.stalled, holder, known.stalled.is_some());
    }

    /// A holder is forgotten.
    pub(crate) fn forget(&mut self, holder: HolderId) {
        for marked in [&mut self.can_request, &mut self.owe_data, &mut self.stalled] {
            marked.remove(&holder);
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
