//! The problems of keepers, and the list of files that are not shared, as people see them.
//!
//! These are values only; the parent module keeps the list of one keeper, `problem_board` joins the lists of all.

use std::path::PathBuf;

use brigade_core::name::FileName;

use crate::store::{ignore_patterns::IgnoredCounts, keeper::watch::WatchError};

/// Problems that are listed; the others are only counted.
pub(super) const LISTED: usize = 1000;

/// A problem that keeps the keeper from its work.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
#[non_exhaustive]
pub enum KeeperProblem {
    /// The shared folder was removed, moved away or unmounted, or another one is at its path.
    #[error("the folder {} is not there any more: nothing of it is shared", .0.display())]
    Gone(PathBuf),
    /// `.brigade/` was removed while the peer runs and could not be created again, or another session has it now.
    #[error("{0}")]
    PrivateLost(String),
    /// `.brigade/` was removed while the peer runs and was created again, this many times.
    #[error(
        "`.brigade` was removed while this peer runs{}: its lock and its key were written again, and its index is \
         created again; files that were being received are lost", times(*.0)
    )]
    PrivateRemoved(u32),
    /// The lock in `.brigade/` alone was removed while the peer runs and was written again, this many times.
    #[error("`.brigade/lock` was removed while this peer runs{}: it was written again", times(*.0))]
    LockRemoved(u32),
    /// The key in `.brigade/` alone was removed, overwritten or replaced while the peer runs and was written again, this
    /// many times.
    #[error(
        "`.brigade/key` was removed or replaced while this peer runs{}: it was written again, and a file that replaced \
         it is kept beside it, as `key.replaced-` and a number", times(*.0)
    )]
    KeyRemoved(u32),
    /// The index in `.brigade/` was removed, or replaced by another file, while the peer runs, this many times; it is
    /// created again.
    #[error("`.brigade/index.db` was removed while this peer runs{}: it is created again", times(*.0))]
    IndexRemoved(u32),
    /// The directory for received files alone was removed while the peer runs, this many times.
    #[error(
        "`.brigade/parts` was removed while this peer runs{}: the files of several pieces that were being received \
         there are fetched from the beginning; fetch again the files of one piece that failed", times(*.0)
    )]
    PartsRemoved(u32),
    /// Files cannot be written into the shared folder.
    #[error("{0}: fetches into it fail, serving goes on")]
    ReadOnly(String),
    /// Some folders cannot be watched.
    #[error("{0}: changes are found by scanning the folder every few seconds")]
    Unwatched(WatchError),
    /// The index cannot be opened or written.
    #[error("hashes are not stored for the next start: {reason}")]
    Unindexed {
        /// The cause.
        reason: String,
        /// Whether the cause says what to do.
        has_advice: bool,
    },
    /// There is no place for the indexes of shares in place.
    #[error("the hashes of shares in place are not stored, and are calculated again at each start: {reason}")]
    SharesUnindexed {
        /// The cause.
        reason: String,
    },
    /// A share in place is not at its path now, or cannot be opened.
    #[error("nothing of the share {name} is shared now: {reason}")]
    ShareAway {
        /// Its name.
        name: FileName,
        /// The cause.
        reason: String,
    },
    /// A problem of the keeper of a share in place.
    #[error("the share {name}: {problem}")]
    OfShare {
        /// Its name.
        name: FileName,
        /// The problem.
        problem: Box<Self>,
    },
}

impl KeeperProblem {
    /// The same problem, with the name of the share in place if it does not have it and depends on it.
    pub(super) fn of_share(self, share: Option<&FileName>) -> Self {
        match (share, self) {
            (_, problem @ (Self::SharesUnindexed { .. } | Self::ShareAway { .. } | Self::OfShare { .. }))
            | (None, problem) => problem,
            (Some(name), problem) => Self::OfShare { name: name.clone(), problem: Box::new(problem) },
        }
    }

    /// Whether both are the same kind of problem, of the same folder.
    pub fn is_same_kind(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::ShareAway { name, .. }, Self::ShareAway { name: other, .. }) => name == other,
            (Self::OfShare { name, problem }, Self::OfShare { name: other, problem: others }) => {
                name == other && problem.is_same_kind(others)
            }
            _ => std::mem::discriminant(self) == std::mem::discriminant(other),
        }
    }
}

fn times(times: u32) -> String {
    if times > 1 { format!(" ({times} times)") } else { String::new() }
}

/// The current problems.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProblemList {
    /// Problems of the keeper; at most one of each kind.
    pub keeper_problems: Vec<KeeperProblem>,
    /// The numbers of ignored files.
    pub ignored: IgnoredCounts,
    /// Paths below the folder that are not shared, with the reasons; in the order of the paths.
    pub listed: Vec<(String, String)>,
    /// The number of problems that are not listed.
    pub rest: usize,
}
