//! The problems of all folders of a peer in one list, for people.
//!
//! Each keeper publishes its own list. A problem of the keeper of a share in place gets the name of the share.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use brigade_core::name::FileName;
use tokio::sync::watch;

use super::problem_list::{LISTED, ProblemList};

/// The lists of all folders; cheap to clone. The lock is held to replace a list and to join them all, which happens when
/// a problem appears or is solved.
#[derive(Debug, Clone)]
pub(crate) struct ProblemBoard(Arc<BoardState>);

#[derive(Debug)]
struct BoardState {
    /// By the name of the share in place; `None` for the peer's own folder.
    lists: Mutex<BTreeMap<Option<FileName>, ProblemList>>,
    sender: watch::Sender<Arc<ProblemList>>,
}

impl ProblemBoard {
    /// No problems yet.
    pub(crate) fn new() -> Self {
        Self(Arc::new(BoardState { lists: Mutex::default(), sender: watch::channel(Arc::default()).0 }))
    }

    /// Follows the list of all problems.
    pub(crate) fn subscribe(&self) -> watch::Receiver<Arc<ProblemList>> {
        self.0.sender.subscribe()
    }

    /// Replaces the list of a folder: of a share in place, or for `None` of the peer's own.
    pub(crate) fn publish(&self, share: Option<&FileName>, list: ProblemList) {
        let mut lists = self.0.lists.lock().unwrap_or_else(PoisonError::into_inner);
        lists.insert(share.cloned(), list);
        self.0.sender.send_replace(Arc::new(joined(&lists)));
    }

    /// Removes the list of a share in place.
    pub(crate) fn remove(&self, share: &FileName) {
        let mut lists = self.0.lists.lock().unwrap_or_else(PoisonError::into_inner);
        if lists.remove(&Some(share.clone())).is_some() {
            self.0.sender.send_replace(Arc::new(joined(&lists)));
        }
    }

    /// The problems of the keeper of a share in place, as one text; `None` if there are none.
    pub(crate) fn text_of(&self, share: &FileName) -> Option<String> {
        let lists = self.0.lists.lock().unwrap_or_else(PoisonError::into_inner);
        let problems = &lists.get(&Some(share.clone()))?.keeper_problems;
        let texts: Vec<String> = problems.iter().map(ToString::to_string).collect();
        (!texts.is_empty()).then(|| texts.join("; "))
    }
}

fn joined(lists: &BTreeMap<Option<FileName>, ProblemList>) -> ProblemList {
    let mut all = ProblemList::default();
    for (share, list) in lists {
        all.rest += list.rest;
        all.ignored.files += list.ignored.files;
        all.ignored.patterns += list.ignored.patterns;
        all.ignored.entries += list.ignored.entries;
        for problem in &list.keeper_problems {
            let problem = problem.clone().of_share(share.as_ref());
            if !all.keeper_problems.contains(&problem) {
                all.keeper_problems.push(problem);
            }
        }
        all.listed.extend(list.listed.iter().cloned());
    }
    if lists.len() > 1 {
        all.listed.sort_unstable();
        all.rest += all.listed.len().saturating_sub(LISTED);
        all.listed.truncate(LISTED);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::{FileName, ProblemBoard, ProblemList};
    use crate::store::keeper::{KeeperProblem, WatchError};

    #[test]
    fn the_problems_of_shares_have_their_names() {
        let board = ProblemBoard::new();
        let list = |keeper_problems: Vec<KeeperProblem>, listed: &str| ProblemList {
            keeper_problems,
            listed: vec![(listed.to_owned(), "a link".to_owned())],
            ..ProblemList::default()
        };
        let (photos, films): (FileName, FileName) = ("photos".parse().unwrap(), "films".parse().unwrap());
        let unwatched = KeeperProblem::Unwatched(WatchError::Folders);
        let unindexed = KeeperProblem::SharesUnindexed { reason: "no home".to_owned() };
        board.publish(None, list(vec![unwatched.clone()], "m"));
        board.publish(Some(&photos), list(vec![unwatched.clone(), unindexed.clone()], "photos/a"));
        board.publish(Some(&films), list(vec![unindexed.clone()], "films/b"));
        let all = board.subscribe().borrow().clone();
        assert_eq!(all.keeper_problems.len(), 3, "{:?}", all.keeper_problems);
        assert!(all.keeper_problems[2].to_string().starts_with("the share photos: the system allows"));
        let paths: Vec<&str> = all.listed.iter().map(|(path, _)| path.as_str()).collect();
        assert_eq!(paths, ["films/b", "m", "photos/a"]);
        assert!(board.text_of(&films).unwrap().contains("no home"));
        board.remove(&photos);
        assert_eq!(board.subscribe().borrow().keeper_problems, [unwatched, unindexed]);
    }
}
