//! Hints about the problems of a shared folder, which the peer itself mends or tries again.
//!
//! They are no errors of a command: `status` and the messages of a peer show them with their hints.

use brigade_node::peer::{KeeperProblem, WatchError};

/// What the user can do about a problem of the shared folder.
pub fn folder_hint(problem: &KeeperProblem) -> &'static str {
    match problem {
        KeeperProblem::OfShare { problem, .. } => folder_hint(problem),
        KeeperProblem::ShareAway { .. } => "mount it, or move it back, and it is shared; or remove the share",
        KeeperProblem::SharesUnindexed { .. } => {
            "set BRIGADE_HOME to a folder that can be written to; serving continues"
        }
        KeeperProblem::Gone(_) => {
            "move it back, and sharing continues; to share a new folder at this path, start again"
        }
        KeeperProblem::PrivateLost(_) => {
            "stop the other session, or move what is in the way; Brigade tries again all the time. Do not stop this peer \
             before that: no other copy of its key exists"
        }
        KeeperProblem::PrivateRemoved(_) | KeeperProblem::KeyRemoved(_) => {
            "do not change `.brigade` while the peer runs; if the key in it is lost, the username that is bound to it is lost, \
             too"
        }
        KeeperProblem::LockRemoved(_) | KeeperProblem::IndexRemoved(_) | KeeperProblem::PartsRemoved(_) => {
            "do not change `.brigade` while the peer runs"
        }
        KeeperProblem::ReadOnly(_) => {
            "was its disk mounted again, or does it fail? Brigade tries again all the time"
        }
        KeeperProblem::Unwatched(WatchError::Folders) => {
            "`sysctl fs.inotify.max_user_watches=1048576` allows more on Linux; Brigade tries again all the time"
        }
        KeeperProblem::Unwatched(WatchError::Watches) => {
            "`sysctl fs.inotify.max_user_instances=1024` allows more on Linux; Brigade tries again all the time"
        }
        KeeperProblem::Unindexed { has_advice: true, .. } => "serving continues, and Brigade tries again",
        KeeperProblem::Unindexed { .. } => {
            "is there free space, and is it writable? Serving continues, and Brigade tries again"
        }
        _ => "Brigade tries again all the time",
    }
}
