//! Checks of everything that a peer needs: the manager, its clock, the way back to this peer, the folder and its disk,
//! and the limits of the account. Each check is a function with a typed result; nothing here has texts for people.
//!
//! The checks work beside a running peer, because none needs the lock of its folder, and without one. They leave nothing
//! behind. `manager_checks` asks the manager, `folder_checks` tries the disk, `machine_limits` reads limits. The program
//! says for each [`Finding`] what to do.

mod folder_checks;
mod machine_limits;
mod manager_checks;
mod severity;

use std::path::Path;

use self::manager_checks::{ManagerAnswers, own_agent, question_manager};
pub use self::{
    folder_checks::{FolderFault, FolderTrial, FreeDiskSpace, disk_space, try_folder},
    machine_limits::{OpenFiles, WatchFault, WatchedFolders, open_files, watched_folders},
    manager_checks::{ClockComparison, ManagerReport, PROTOCOL, PortReach, ask_manager, reach_back},
    severity::Severity,
};
use crate::{
    peer_config::ManagerAddress,
    peer_error::{AskError, ReachError},
};

/// The result of one check.
#[derive(Debug)]
#[non_exhaustive]
pub enum Finding {
    /// Whether the manager answers, with its key.
    Manager(Result<ManagerReport, ReachError>),
    /// The versions of the program and the protocol; only if the manager answers.
    Versions {
        /// The manager's program and version, as it names itself.
        agent: String,
        /// The highest version of the protocol that the manager speaks.
        protocol: u32,
    },
    /// The difference between the clocks; only if the manager answers.
    Clock(Result<ClockComparison, AskError>),
    /// Whether the manager's machine can connect to this peer; only if the manager answers.
    Reachability(PortReach),
    /// The free space of the folder's disk.
    Space(Result<FreeDiskSpace, FolderFault>),
    /// The free inodes of the folder's disk.
    Inodes(Result<FreeDiskSpace, FolderFault>),
    /// Whether the system can watch the folder.
    Watches(WatchedFolders),
    /// Whether files can be made, linked, renamed and removed in the folder.
    Folder(FolderTrial),
    /// The limit on open files.
    Descriptors(OpenFiles),
}

impl Finding {
    /// The name of the check, for programs; it stays the same in later versions.
    pub const fn check(&self) -> &'static str {
        match self {
            Self::Manager(_) => "manager",
            Self::Versions { .. } => "versions",
            Self::Clock(_) => "clock",
            Self::Reachability(_) => "reachability",
            Self::Space(_) => "space",
            Self::Inodes(_) => "inodes",
            Self::Watches(_) => "watches",
            Self::Folder(_) => "folder",
            Self::Descriptors(_) => "descriptors",
        }
    }

    /// How good the result is.
    pub fn severity(&self) -> Severity {
        match self {
            Self::Manager(reached) => {
                if reached.is_ok() {
                    Severity::Ok
                } else {
                    Severity::Fault
                }
            }
            Self::Versions { agent, .. } => {
                if *agent == own_agent() {
                    Severity::Ok
                } else {
                    Severity::Warning
                }
            }
            Self::Clock(compared) => compared.as_ref().map_or(Severity::Warning, |found| found.severity()),
            Self::Reachability(reach) => reach.severity(),
            Self::Space(space) => space.as_ref().map_or(Severity::Fault, FreeDiskSpace::bytes_severity),
            Self::Inodes(space) => space.as_ref().map_or(Severity::Fault, FreeDiskSpace::inodes_severity),
            Self::Watches(watches) => watches.severity(),
            Self::Folder(trial) => trial.severity(),
            Self::Descriptors(files) => files.severity(),
        }
    }
}

/// Runs all checks, in the order of [`Finding`]. `port` is the one on which the peer listens or will listen, 0 for a free
/// one; a peer that runs in `folder` is found, and its port takes precedence. It blocks for some seconds at most, and
/// walks over all folders below `folder`.
pub async fn run(manager: &ManagerAddress, folder: &Path, port: u16, max_connections: usize) -> Vec<Finding> {
    let mut findings = match question_manager(manager, folder, port).await {
        Err(error) => vec![Finding::Manager(Err(error))],
        Ok(ManagerAnswers { report, clock, reach }) => {
            let (agent, protocol) = (report.agent.clone(), report.protocol);
            vec![
                Finding::Manager(Ok(report)),
                Finding::Versions { agent, protocol },
                Finding::Clock(clock),
                Finding::Reachability(reach),
            ]
        }
    };
    let path = folder.to_owned();
    let of_disk = tokio::task::spawn_blocking(move || {
        vec![
            Finding::Space(disk_space(&path)),
            Finding::Inodes(disk_space(&path)),
            Finding::Watches(watched_folders(&path)),
            Finding::Folder(try_folder(&path)),
            Finding::Descriptors(open_files(max_connections)),
        ]
    });
    findings.extend(of_disk.await.unwrap_or_default());
    findings
}
