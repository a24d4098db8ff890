//! A peer: it shares a folder, and fetches what others share.
//!
//! [`Peer::join`] starts it (`start`): the key, the manager, the folder, then the tasks, each of which owns one thing:
//! `session` the connection to the manager, `upload` the connections to downloaders, `fetch` all fetches, and the
//! store's keeper the shared files. [`Peer`] stops them; a [`PeerHandle`] and a [`Fetch`] only send messages to the
//! tasks, and read what those publish. The values that they take and return stand in modules of the crate's root.

mod bandwidth;
mod disk_commands;
mod fetch;
mod handle;
mod session;
mod start;
mod swarm;
mod upload;

use std::{
    ops::Deref,
    path::Path,
    sync::Arc,
    time::{Duration, SystemTime},
};

pub use brigade_core::download::Priority;
use tokio::{task::JoinSet, time::timeout};
use tokio_util::sync::DropGuard;

pub use self::handle::PeerHandle;
use self::start::{StartedPeer, start};
pub use crate::{
    fetch_error::{CannotLand, FetchError, MissingSpace, NotEnoughSpace, RefusedFiles},
    fetch_request::resolve_error::{AmbiguousName, ResolveError},
    fetch_request::running_fetch::{ContentHolderNames, Fetch, PieceMap},
    fetch_request::wanted_files::{Resolved, WantedFile},
    fetch_request::{FetchId, FetchOptions, FetchRequest},
    file_listing::{FileListing, has_wildcard},
    identity::clock_check::ClockDifference,
    listen_addresses::{ManagerContact, ReachabilityWatch, TakenPort, UnreachableFrom},
    manager_questions::Observer,
    peer_config::{ManagerAddress, PeerConfig, ShareMode},
    peer_error::{AskError, JoinError, NotJoined, PeerError, ReachError},
    peer_status::{KeptTotals, LocalContent, ManagerState, PeerStatus},
    progress::{FetchState, HolderTraffic, MemberTraffic, Progress, UnreachableHolder, Upload},
    shares_in_place::{CannotShare, Overlap, SHARES, ShareStatus, SharedPath, path_checks::check_shares},
    store::keeper::{HashingProgress, KeeperProblem, ProblemList, WatchError},
    transport::dial::resolve as resolve_host,
    verification::{
        CannotRepair, CannotVerify, Damage, DamagedPart, Verification, VerifyProgress, VerifyState,
    },
};
use crate::{
    folder_setup::CreatedFiles,
    store::{
        folder::{Folder, FolderLock},
        ignore_patterns::manager_state,
        share::Share,
        stored_parts::kept_parts,
    },
};

/// How long stopping may take before the remaining tasks are aborted.
const STOP_TIMEOUT: Duration = Duration::from_millis(1500);

/// How long stopping then waits for threads that still write to the folder: a thread that waits for a disk cannot be
/// aborted.
const FINAL_WRITE_TIMEOUT: Duration = Duration::from_millis(400);

const _: () = assert!(
    STOP_TIMEOUT.as_millis() + FINAL_WRITE_TIMEOUT.as_millis() < 2_000,
    "a peer ends within two seconds"
);

/// A peer that is in the network, until it is stopped or dropped. It derefs to its [`PeerHandle`].
#[derive(Debug)]
pub struct Peer {
    handle: PeerHandle,
    running: RunningPeer,
}

/// What only the owner of a peer has: its tasks and its folder.
#[derive(Debug)]
struct RunningPeer {
    share: Share,
    /// Cancels the token by which all tasks and threads end.
    stop: DropGuard,
    tasks: JoinSet<()>,
    lock: FolderLock,
    /// The files that its start created, if no name is bound to its key.
    created: CreatedFiles,
}

impl Peer {
    /// Starts a peer that listens on a free port.
    ///
    /// # Errors
    /// As in [`Self::join`].
    pub async fn start(config: PeerConfig) -> Result<Self, PeerError> {
        let contact = ManagerContact::with(&config.manager).await.map_err(JoinError::from)?;
        let port = contact.take_port(None, 0)?;
        Self::join(config, port).await.map_err(|failed| failed.error)
    }

    /// Starts a peer that listens on `port`.
    ///
    /// # Errors
    /// If the manager is not there or refuses, or the folder cannot be used; nothing is left behind then. The port
    /// comes back for another attempt.
    pub async fn join(config: PeerConfig, port: TakenPort) -> Result<Self, Box<NotJoined>> {
        let StartedPeer { parts, share, stop, tasks, lock, created } = start(config, port).await?;
        let running = RunningPeer { share, stop, tasks, lock, created };
        Ok(Self { handle: PeerHandle(Arc::new(parts)), running })
    }

    /// Its handle, which other tasks may have too.
    pub fn handle(&self) -> PeerHandle {
        self.handle.clone()
    }

    /// Waits until [`PeerHandle::request_stop`] is called.
    pub async fn stop_requested(&self) {
        self.handle.0.stop_requested.cancelled().await;
    }

    /// Leaves the network: sends a goodbye, makes part files durable, and ends every task within two seconds. After
    /// that the folder's lock is free, unless a thread waits longer for the disk: then the lock is free when that
    /// thread ends.
    ///
    /// A peer that is dropped ends at once, without a goodbye; its port and its lock are free a little later.
    pub async fn stop(self) {
        self.end(false).await;
    }

    /// Like [`stop`](Self::stop), for a session without a result: it removes all that its start created in the folder,
    /// and the folder itself if the start created it. Nothing is removed if a username may be bound to its key, if
    /// files are shared, or if there are parts of files. Files that were there before stay.
    pub async fn take_back(self) {
        self.end(true).await;
    }

    async fn end(self, take_back: bool) {
        let RunningPeer { stop, mut tasks, lock, share, created } = self.running;
        drop(stop); // cancels
        let all = async { while tasks.join_next().await.is_some() {} };
        if timeout(STOP_TIMEOUT, all).await.is_err() {
            tracing::debug!("tasks were cut off at the end of the grace period");
            tasks.shutdown().await;
        }
        let take_back = take_back && is_unused(&share);
        drop(share); // it has a handle of the folder
        if timeout(FINAL_WRITE_TIMEOUT, lock.alone()).await.is_err() {
            tracing::warn!("the folder stays locked until the last thread that writes to it has ended");
        } else if take_back {
            created.take_back();
        }
    }
}

impl Deref for Peer {
    type Target = PeerHandle;

    fn deref(&self) -> &PeerHandle {
        &self.handle
    }
}

/// Whether a folder was a peer's before: such a folder has a private folder with the peer's key.
pub fn is_peer_folder(path: &Path) -> bool {
    Folder::is_brigades(path)
}

/// Whether a folder has the state of a manager, with its secret key.
pub fn is_manager_folder(path: &Path) -> bool {
    manager_state::is_manager_folder(path)
}

/// Whether nothing is shared or kept in the folder, on any file system, and the folder still belongs to this session:
/// another session may have it now, or another folder may have its path.
fn is_unused(share: &Share) -> bool {
    let folder = share.folder();
    let has_no_parts = || kept_parts(folder, SystemTime::now()).is_ok_and(|parts| parts.is_empty());
    share.totals().0 == 0 && folder.is_own() && has_no_parts()
}

#[cfg(test)]
mod tests;
