//! Errors of a manager, its members, and copies of its state; each with its code and hint.
//!
//! `node_errors` has the errors of peers.

use brigade_node::manager::{
    BackupError, HandleError, ManagerError, MemberDatabaseError, RestoreError, StateCopyError,
};

use super::{DISK, FAILED, NOT_FOUND, Problem, REFUSED, UNREACHED, USAGE};
use crate::text::hints;

impl From<ManagerError> for Problem {
    fn from(error: ManagerError) -> Self {
        match error {
            ManagerError::Listen(error) => error.into(),
            ManagerError::Key(error) => Self::of_manager_key(&error),
            ManagerError::NotOpen { .. } => {
                Self::of(USAGE, &error).with_hint("with --host localhost, only this machine can reach it")
            }
            ManagerError::Host(_) => {
                Self::of(USAGE, &error).with_hint(hints::OWN_HOST)
            }
            ManagerError::State { .. } => Self::of(DISK, &error)
                .with_hint("name another folder for the manager's key and members with --state, or with BRIGADE_HOME"),
            ManagerError::Restored(_) => Self::of(DISK, &error).with_hint(
                "the folder has a state that was restored from a backup: solve this, and start the manager again",
            ),
            ManagerError::Members(MemberDatabaseError::InUse { .. }) => Self::of(DISK, &error).with_hint(
                "each manager needs its own folder: stop the other manager, or start this one with another --port and \
                 --state",
            ),
            ManagerError::Members(MemberDatabaseError::TooNew { .. }) => {
                Self::of(DISK, &error).with_hint("start that version, or name another folder with --state")
            }
            ManagerError::Members(ref members) => {
                let problem = Self::of(DISK, &error);
                match members.damaged() {
                    Some(path) => problem.with_hint(format!(
                        "put the file from a backup there. If there is no backup, move {path} away: then each username belongs \
                         to the peer that joins with it first"
                    )),
                    None if members.is_disk_full() => problem.with_hint(
                        "the disk is full: free some space there, or name a folder on another disk with --state",
                    ),
                    None => problem.with_hint(
                        "members.sqlite must be a file that this account can read and write, in a folder where it can create \
                         files: does it belong to another account, are no inodes left (`df -i`), or is a quota used up?",
                    ),
                }
            }
            _ => Self::of(FAILED, &error),
        }
    }
}

impl From<HandleError> for Problem {
    fn from(error: HandleError) -> Self {
        match error {
            HandleError::Stopped => Self::of(UNREACHED, &error),
            HandleError::Members(_) => {
                Self::of(DISK, &error).with_hint("the log of the manager has the cause")
            }
            HandleError::BadPattern { .. } => Self::of(NOT_FOUND, &error).with_hint(hints::PATTERNS),
            _ => Self::of(FAILED, &error),
        }
    }
}

impl From<BackupError> for Problem {
    fn from(error: BackupError) -> Self {
        match &error {
            BackupError::Exists { .. } => {
                Self::of(REFUSED, &error).with_hint("choose another name, or move the file away first")
            }
            BackupError::Stopped => Self::of(UNREACHED, &error),
            BackupError::Copy(_) if error.is_disk_full() => {
                Self::of(DISK, &error).with_hint("free some space there, or name a file on another disk")
            }
            BackupError::Copy(_) => Self::of(DISK, &error)
                .with_hint("name a file in a folder that exists and in which this account can write"),
            _ => Self::of(DISK, &error),
        }
    }
}

impl From<RestoreError> for Problem {
    fn from(error: RestoreError) -> Self {
        match &error {
            RestoreError::HasState { .. } => Self::of(DISK, &error)
                .with_hint("name an empty folder with --state, or move the files of the old state away"),
            RestoreError::InUse { .. } => {
                Self::of(DISK, &error).with_hint("stop that manager, or name another folder with --state")
            }
            RestoreError::Copy(StateCopyError::NotACopy { .. }) => {
                Self::of(DISK, &error).with_hint("name a file that `brigade backup` wrote")
            }
            RestoreError::Copy(StateCopyError::TooNew { .. }) => {
                Self::of(DISK, &error).with_hint("restore it with that version of brigade")
            }
            RestoreError::Copy(StateCopyError::Damaged { .. }) => {
                Self::of(DISK, &error).with_hint("nothing was restored; use another copy of the backup")
            }
            _ if error.is_disk_full() => Self::of(DISK, &error)
                .with_hint("free some space there, or name a folder on another disk with --state"),
            RestoreError::Finish(_) => Self::of(DISK, &error)
                .with_hint("make the folder writable for this account, and start the manager in it"),
            _ => Self::of(DISK, &error)
                .with_hint("the backup must be readable, and the folder writable, for this account"),
        }
    }
}
