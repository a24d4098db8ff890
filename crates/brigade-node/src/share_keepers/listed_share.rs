//! A share as the owner lists it for its handles and for the tasks of the other shares.
//!
//! Its task publishes the state.

use tokio::sync::watch;

use crate::{
    shares_in_place::{CheckedShare, ShareStatus},
    store::{
        keeper::{HashingProgress, KeeperHandle},
        share::SharedNames,
    },
};

/// The state of a share, as far as only its task knows it.
#[derive(Debug, Clone, Default)]
pub(super) struct ShareTaskState {
    /// Its keeper, while it has one.
    pub(super) keeper: Option<KeeperHandle>,
    /// Why it has none.
    pub(super) problem: Option<String>,
}

/// A share, for those who ask.
#[derive(Debug, Clone)]
pub(super) struct ListedShare {
    pub(super) checked: CheckedShare,
    /// Whether its files may have their names: it has no fault.
    pub(super) has_names: bool,
    pub(super) is_configured: bool,
    pub(super) state: watch::Receiver<ShareTaskState>,
}

impl ListedShare {
    /// Its status for people.
    pub(super) fn status(&self, share: &SharedNames, own_keeper: &KeeperHandle) -> ShareStatus {
        let ShareTaskState { keeper, problem } = self.state.borrow().clone();
        let CheckedShare { path, name } = self.checked.clone();
        let (files, bytes) = share.totals_in_place(&name);
        let backlog = keeper.map_or_else(HashingProgress::default, |keeper| keeper.backlog_of_folder());
        let problem = problem.or_else(|| own_keeper.group().problems.text_of(&name));
        ShareStatus { name, path, files, bytes, backlog, problem, is_configured: self.is_configured }
    }
}
