//! The published list of all fetches: those that run, and the last ones that ended.
//!
//! Programs follow it. The handles in it have the progress of each fetch.

use std::sync::Arc;

use tokio::sync::watch;

use super::{FetchId, running_fetch::Fetch};
use crate::progress::Progress;

/// The fetches that have ended and stay in the list.
const KEPT_ENDED: usize = 100;

/// The list, the oldest fetch first.
#[derive(Debug, Default)]
pub(crate) struct FetchList {
    list: watch::Sender<Arc<Vec<Fetch>>>,
}

impl FetchList {
    /// Follows the list: it changes when a fetch begins, ends or is removed.
    pub(crate) fn follow(&self) -> watch::Receiver<Arc<Vec<Fetch>>> {
        self.list.subscribe()
    }

    /// A fetch has begun.
    pub(crate) fn begun(&self, fetch: Fetch) {
        self.change(|list| list.push(fetch));
    }

    /// A fetch has ended. Of those that have ended, only the latest stay.
    pub(crate) fn ended(&self) {
        self.change(|list| {
            let ended = list.iter().filter(|fetch| is_over(fetch)).count();
            let mut superfluous = ended.saturating_sub(KEPT_ENDED);
            list.retain(|fetch| {
                let is_removed = superfluous > 0 && is_over(fetch);
                superfluous -= usize::from(is_removed);
                !is_removed
            });
        });
    }

    /// Removes a fetch, if it has ended. Returns whether there was one.
    pub(crate) fn forget(&self, id: FetchId) -> bool {
        let mut is_removed = false;
        self.change(|list| {
            let before = list.len();
            list.retain(|fetch| fetch.id() != id || !is_over(fetch));
            is_removed = list.len() < before;
        });
        is_removed
    }

    fn change(&self, change: impl FnOnce(&mut Vec<Fetch>)) {
        self.list.send_modify(|list| change(Arc::make_mut(list)));
    }
}

fn is_over(fetch: &Fetch) -> bool {
    Progress::is_over(&fetch.progress().borrow())
}

#[cfg(test)]
mod tests {
    use brigade_core::time::UnixTime;

    use super::{FetchId, FetchList, KEPT_ENDED};
    use crate::{
        fetch_request::{FetchOptions, running_fetch::Fetch, wanted_files::Resolved},
        progress::FetchState,
    };

    #[test]
    fn running_fetches_and_the_latest_ended_ones_are_listed() {
        let list = FetchList::default();
        let followed = list.follow();
        let files = Resolved::for_tests("film", vec![]);
        let mut running = None;
        let last = KEPT_ENDED as u64 + 5;
        for id in 1..=last {
            let (fetch, progress) = Fetch::new(FetchId(id), &files, FetchOptions::default(), UnixTime(id));
            list.begun(fetch);
            if id == 3 {
                running = Some(progress); // it goes on
                continue;
            }
            progress.send_modify(|shown| shown.state = FetchState::Done);
            list.ended();
        }
        let listed: Vec<u64> = followed.borrow().iter().map(|fetch| fetch.id().0).collect();
        assert_eq!(listed.len(), KEPT_ENDED + 1);
        assert_eq!((listed[0], listed[1], listed[KEPT_ENDED]), (3, 6, last));
        assert!(!list.forget(FetchId(3)), "it runs");
        assert!(list.forget(FetchId(6)) && !list.forget(FetchId(6)));
        drop(running);
    }
}
