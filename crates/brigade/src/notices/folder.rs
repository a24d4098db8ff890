//! Messages about the shared folder: it is gone, it cannot be watched, its index cannot be written, and the end of each
//! problem. Each is printed once. What happens again and again, such as the removal of a file, is printed again when it
//! has happened twice as often.
//!
//! Single files that are not shared have no message: at a prompt `status` lists them, and without one `unshared_files`
//! logs them. The caller prints the messages.

use std::sync::Arc;

use brigade_api::problem::folder_hint;
use brigade_node::peer::{KeeperProblem, Peer, ProblemList};
use tokio::sync::watch;

use crate::text::escape::escape;

/// Follows the problems of the folder.
pub(crate) struct FolderNotices {
    problems: watch::Receiver<Arc<ProblemList>>,
    reported: Vec<KeeperProblem>,
}

impl FolderNotices {
    /// The notices for the folder of `peer`.
    pub(crate) fn of(peer: &Peer) -> Self {
        Self { problems: peer.problems(), reported: vec![] }
    }

    /// Waits for the next message. Cancel safe: no message is lost if the future is dropped.
    pub(crate) async fn next(&mut self) -> String {
        loop {
            let now = self.problems.borrow_and_update().clone();
            if let Some(notices) = next_notice(&mut self.reported, &now.keeper_problems) {
                return notices;
            }
            if self.problems.changed().await.is_err() {
                std::future::pending::<()>().await; // the peer stops: there are no more messages
            }
        }
    }
}

/// The next message if the current problems are `now`; it is added to `reported`.
fn next_notice(reported: &mut Vec<KeeperProblem>, now: &[KeeperProblem]) -> Option<String> {
    let among = |kind: &KeeperProblem, list: &[KeeperProblem]| list.iter().any(|one| one.is_same_kind(kind));
    let is_new = |problem: &&KeeperProblem| {
        let last = reported.iter().find(|one| one.is_same_kind(problem));
        last.is_none_or(|last| times(problem) > 0 && times(problem) >= 2 * times(last))
    };
    if let Some(new) = now.iter().find(is_new) {
        reported.retain(|one| !one.is_same_kind(new));
        reported.push(new.clone());
        return Some(message(new));
    }
    let over = reported.iter().position(|problem| !among(problem, now))?;
    Some(match reported.remove(over) {
        KeeperProblem::Gone(path) => {
            let is_taken = among(&KeeperProblem::PrivateLost(String::new()), now);
            let shared = if is_taken { "" } else { " and shared again" };
            format!("the folder {} is back{shared}", escape(&path.to_string_lossy()))
        }
        KeeperProblem::PrivateLost(_) => "`.brigade` belongs to this peer again".to_owned(),
        // These are never cleared.
        KeeperProblem::PrivateRemoved(_)
        | KeeperProblem::LockRemoved(_)
        | KeeperProblem::KeyRemoved(_)
        | KeeperProblem::IndexRemoved(_)
        | KeeperProblem::PartsRemoved(_) => "`.brigade` is there".to_owned(),
        KeeperProblem::ReadOnly(_) => "the folder can be written to again".to_owned(),
        KeeperProblem::Unwatched(_) => "all folders are watched again".to_owned(),
        KeeperProblem::Unindexed { .. } => "hashes are stored again".to_owned(),
        KeeperProblem::ShareAway { name, .. } => format!("the share {} is there and shared", escape(&name)),
        KeeperProblem::OfShare { name, problem } => {
            format!("the share {}: this is over: {}", escape(&name), escape(&problem.to_string()))
        }
        other => format!("this is over: {}", escape(&other.to_string())),
    })
}

/// How often it has happened, for problems that are counted; 0 for others.
fn times(problem: &KeeperProblem) -> u32 {
    match problem {
        KeeperProblem::PrivateRemoved(times)
        | KeeperProblem::LockRemoved(times)
        | KeeperProblem::KeyRemoved(times)
        | KeeperProblem::IndexRemoved(times)
        | KeeperProblem::PartsRemoved(times) => *times,
        _ => 0,
    }
}

/// The problem, and what the user can do.
pub(crate) fn message(problem: &KeeperProblem) -> String {
    format!("{}\nhint: {}", escape(&problem.to_string()), folder_hint(problem))
}

#[cfg(test)]
mod tests {
    use brigade_node::peer::{KeeperProblem, WatchError};

    use super::{message, next_notice};

    #[test]
    fn each_problem_and_its_end_are_reported_once() {
        let mut reported = vec![];
        let index = |reason: &str| KeeperProblem::Unindexed { reason: reason.to_owned(), has_advice: false };
        let watch = KeeperProblem::Unwatched(WatchError::Folders);
        let mut next = |now: &[KeeperProblem]| next_notice(&mut reported, now);
        assert_eq!(next(&[]), None);
        let both = [watch.clone(), index("full")];
        assert!(next(&both).unwrap().contains("max_user_watches"));
        assert!(next(&both).unwrap().contains("hashes are not stored for the next start: full"));
        assert_eq!(next(&both), None);
        assert_eq!(next(&[watch.clone(), index("read-only")]), None, "the same for another reason");
        assert_eq!(next(&[index("full")]).unwrap(), "all folders are watched again");
        assert_eq!(next(&[index("full")]), None);
        assert!(next(&[]).unwrap().contains("stored again"));
        assert!(next(&[watch]).is_some(), "it happened again");
    }

    #[test]
    fn each_share_has_its_own_notices() {
        let away = |name: &str| {
            let reason = "/mnt is not there".to_owned();
            KeeperProblem::ShareAway { name: name.parse().unwrap(), reason }
        };
        let mut reported = vec![];
        let both = [away("films"), away("photos")];
        let mut next = |now: &[KeeperProblem]| next_notice(&mut reported, now);
        assert!(next(&both).unwrap().contains("the share films"));
        assert!(next(&both).unwrap().contains("the share photos"));
        assert_eq!(next(&both), None);
        assert_eq!(next(&both[1..]).unwrap(), "the share films is there and shared");
    }

    #[test]
    fn a_removal_is_reported_again_when_it_happened_twice_as_often() {
        let mut reported = vec![];
        let mut next = |times| next_notice(&mut reported, &[KeeperProblem::KeyRemoved(times)]);
        let printed: Vec<u32> = (1..=9).filter(|times| next(*times).is_some()).collect();
        assert_eq!(printed, [1, 2, 4, 8]);
        assert_eq!(next(9), None);
    }

    #[test]
    fn a_folder_that_is_back_with_another_session_is_not_reported_as_shared() {
        let moved = KeeperProblem::Gone("films".into());
        let taken = KeeperProblem::PrivateLost("another session took the folder".to_owned());
        let mut reported = vec![];
        let mut next = |now: &[KeeperProblem]| next_notice(&mut reported, now);
        assert!(next(std::slice::from_ref(&moved)).unwrap().contains("is not there any more"));
        assert!(next(std::slice::from_ref(&taken)).unwrap().contains("another session took the folder"));
        assert_eq!(next(std::slice::from_ref(&taken)).unwrap(), "the folder films is back");
        assert!(next(&[]).unwrap().contains("belongs to this peer again"));
        assert_eq!(next(&[moved]).map(|_| ()), Some(()));
        assert_eq!(next(&[]).unwrap(), "the folder films is back and shared again");
    }

    #[test]
    fn a_cause_that_says_what_to_do_has_no_question_about_the_disk() {
        let notice = |has_advice| message(&KeeperProblem::Unindexed { reason: String::new(), has_advice });
        assert!(notice(false).contains("is there free space"));
        assert!(!notice(true).contains("is there free space"), "{}", notice(true));
    }
}
