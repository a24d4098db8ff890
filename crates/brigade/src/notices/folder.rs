//! What people are told of the shared folder while something goes on: that it is gone, that it cannot be watched or its
//! index not be written, and that this is over. Each is said once.
//!
//! Single files that are not shared are no news: `status` lists them. Where it is said is the caller's business.

use std::{mem::discriminant, sync::Arc};

use brigade_node::peer::{KeeperProblem, Peer, ProblemList, WatchError};
use tokio::sync::watch;

use super::{clock::ClockNews, manager::ManagerNews, reachability::ReachNews};
use crate::terminal::escape::escape;

/// Hears how the folder stands.
pub(crate) struct FolderNews {
    problems: watch::Receiver<Arc<ProblemList>>,
    said: Vec<KeeperProblem>,
}

/// Hears how the folder, the manager and the clock stand.
pub(crate) struct News {
    folder: FolderNews,
    manager: ManagerNews,
    clock: ClockNews,
    reach: ReachNews,
}

impl News {
    /// Of `peer`, which has just joined.
    pub(crate) fn of(peer: &Peer) -> Self {
        Self {
            folder: FolderNews::of(peer),
            manager: ManagerNews::of(peer),
            clock: ClockNews::of(peer),
            reach: ReachNews::of(peer),
        }
    }

    /// Waits until there is something to say. Nothing is missed where this is dropped and called again.
    pub(crate) async fn next(&mut self) -> String {
        tokio::select! {
            news = self.folder.next() => news,
            news = self.manager.next() => news,
            news = self.clock.next() => news,
            news = self.reach.next() => news,
        }
    }
}

impl FolderNews {
    /// Of the folder of `peer`.
    pub(crate) fn of(peer: &Peer) -> Self {
        Self { problems: peer.problems(), said: vec![] }
    }

    /// Waits until there is something to say. Nothing is missed where this is dropped and called again.
    pub(crate) async fn next(&mut self) -> String {
        loop {
            let now = self.problems.borrow_and_update().clone();
            if let Some(news) = unsaid(&mut self.said, &now.keeper_problems) {
                return news;
            }
            if self.problems.changed().await.is_err() {
                std::future::pending::<()>().await; // the peer stops: nothing more will come
            }
        }
    }
}

/// The next thing to say where these are the troubles `now`; it counts as said.
fn unsaid(said: &mut Vec<KeeperProblem>, now: &[KeeperProblem]) -> Option<String> {
    let among = |kind: &KeeperProblem, list: &[KeeperProblem]| {
        list.iter().any(|one| discriminant(one) == discriminant(kind))
    };
    if let Some(new) = now.iter().find(|trouble| !among(trouble, said)) {
        said.push(new.clone());
        return Some(text(new));
    }
    let over = said.iter().position(|trouble| !among(trouble, now))?;
    Some(match said.remove(over) {
        KeeperProblem::Gone(path) => {
            format!("the folder {} is back, and shared again", escape(&path.to_string_lossy()))
        }
        KeeperProblem::PrivateLost(_) => "`.brigade` is this peer's again".to_owned(),
        KeeperProblem::PrivateRemoved(_) => "`.brigade` is there".to_owned(), // which is never over
        KeeperProblem::ReadOnly(_) => "the folder can be written to again".to_owned(),
        KeeperProblem::Unwatched(_) => "all folders are watched again".to_owned(),
        KeeperProblem::Unindexed(_) => "hashes are stored again".to_owned(),
    })
}

/// What is the matter, and what can be done.
pub(crate) fn text(trouble: &KeeperProblem) -> String {
    let hint = match trouble {
        KeeperProblem::Gone(_) => {
            "bring it back, and it goes on; one that was made anew in its place is another: to share that, start again"
        }
        KeeperProblem::PrivateLost(_) => {
            "end the other session, or move what is in the way; it is tried again all the while. Do not end this peer before \
             that: its key is nowhere else"
        }
        KeeperProblem::PrivateRemoved(_) => {
            "leave `.brigade` alone while the peer runs; without its key, its username would be lost"
        }
        KeeperProblem::ReadOnly(_) => {
            "was its disk mounted anew, or does it fail? It is tried again all the while"
        }
        KeeperProblem::Unwatched(WatchError::Folders) => {
            "`sysctl fs.inotify.max_user_watches=1048576` allows more on Linux; it is tried again all the while"
        }
        KeeperProblem::Unwatched(WatchError::Watches) => {
            "`sysctl fs.inotify.max_user_instances=1024` allows more on Linux; it is tried again all the while"
        }
        KeeperProblem::Unwatched(WatchError::Other(_)) => "it is tried again all the while",
        KeeperProblem::Unindexed(_) => {
            "is there room, and may it be written to? Serving goes on, and it is tried again"
        }
    };
    format!("{}\nhint: {hint}", escape(&trouble.to_string()))
}

#[cfg(test)]
mod tests {
    use brigade_node::peer::{KeeperProblem, WatchError};

    use super::unsaid;

    #[test]
    fn each_trouble_is_said_once_and_its_end_too() {
        let mut said = vec![];
        let index = |why: &str| KeeperProblem::Unindexed(why.to_owned());
        let watch = KeeperProblem::Unwatched(WatchError::Folders);
        let mut say = |now: &[KeeperProblem]| unsaid(&mut said, now);
        assert_eq!(say(&[]), None);
        let both = [watch.clone(), index("full")];
        assert!(say(&both).unwrap().contains("max_user_watches"));
        assert!(say(&both).unwrap().contains("hashes are not stored for the next start: full"));
        assert_eq!(say(&both), None);
        assert_eq!(say(&[watch.clone(), index("read-only")]), None, "the same for another reason");
        assert_eq!(say(&[index("full")]).unwrap(), "all folders are watched again");
        assert_eq!(say(&[index("full")]), None);
        assert!(say(&[]).unwrap().contains("stored again"));
        assert!(say(&[watch]).is_some(), "it came again");
    }
}
