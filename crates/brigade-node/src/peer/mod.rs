//! A peer: it shares a folder, and fetches what others share.
//!
//! [`Peer::join`] starts it (`start`): the key, the manager, the folder, then the tasks, each of which owns one thing:
//! `session` the connection to the manager, `upload` the connections to downloaders, `fetch` all fetches, and the
//! store's keeper the shared files. [`Peer`] and [`Fetch`] only send messages to the tasks, and read what those
//! publish. The values that they take and return stand in modules of the crate's root.

mod bandwidth;
mod fetch;
mod session;
mod start;
mod swarm;
mod upload;

use std::{
    net::SocketAddr,
    path::Path,
    sync::Arc,
    time::{Duration, SystemTime},
};

use brigade_core::{
    id::PeerKey,
    limit_plan::{Direction, Limits},
    name::{FileName, Username},
    rate::Cap,
    wire::manager::{Listing, PeerList},
};
use tokio::{
    sync::{oneshot, watch},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use self::{
    fetch::resolve_request,
    start::{StartedPeer, start},
};
pub use crate::{
    fetch_error::{CannotLand, FetchError, MissingSpace, NotEnoughSpace, RefusedFiles},
    fetch_request::FetchRequest,
    fetch_request::resolve_error::{AmbiguousName, ResolveError},
    fetch_request::wanted_files::{Resolved, WantedFile},
    file_listing::{FileListing, has_wildcard},
    identity::clock_check::ClockDifference,
    listen_addresses::{ManagerContact, ReachabilityWatch, TakenPort, UnreachableFrom},
    manager_questions::Observer,
    peer_config::{ManagerAddress, PeerConfig, ShareMode},
    peer_error::{AskError, JoinError, NotJoined, PeerError, ReachError},
    peer_status::{KeptTotals, ManagerState, PeerStatus},
    progress::{FetchState, MemberTraffic, Progress, UnreachableHolder},
    store::keeper::{HashingProgress, KeeperProblem, ProblemList, WatchError},
    transport::dial::resolve as resolve_host,
};
use crate::{
    fetch_request::new_fetch::{NewFetch, NewFetches},
    store::{folder::Folder, ignore_patterns::manager_state, share::Share, stored_parts::kept_parts},
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

/// A peer that is in the network, until it is stopped or dropped.
#[derive(Debug)]
pub struct Peer(StartedPeer);

/// A running fetch. It goes on when this is dropped: only [`give_up`](Self::give_up) and the end of the peer stop it.
#[derive(Debug, Clone)]
pub struct Fetch {
    progress: watch::Receiver<Progress>,
    given_up: CancellationToken,
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
        start(config, port).await.map(Self)
    }

    /// Its name now: one that is not bound may have another number after the manager was away.
    pub fn username(&self) -> Username {
        self.0.username.borrow().clone()
    }

    /// Its own address: the address of this machine that leads to the manager, or the one that was configured, with the
    /// port on which it listens.
    pub fn address(&self) -> SocketAddr {
        self.0.listening.address()
    }

    /// The peers that cannot reach it on its listen address, if there are any.
    pub fn unreached(&self) -> Option<UnreachableFrom> {
        self.0.listening.unreached()
    }

    /// Follows which peers cannot reach it.
    pub fn reach(&self) -> ReachabilityWatch {
        ReachabilityWatch(self.0.listening.clone())
    }

    /// The manager's key.
    pub fn network(&self) -> PeerKey {
        self.0.network
    }

    /// The state of its session with the manager, now and when it changes.
    pub fn state(&self) -> watch::Receiver<ManagerState> {
        self.0.state.clone()
    }

    /// Follows the difference between this machine's clock and the manager's, if it is too large.
    pub fn clock(&self) -> watch::Receiver<Option<ClockDifference>> {
        self.0.clock.clone()
    }

    /// The files of the folder that are not shared, and the errors of the keeper, which watches the folder; now and
    /// when that changes.
    pub fn problems(&self) -> watch::Receiver<Arc<ProblemList>> {
        self.0.keeper.problems()
    }

    /// Waits until all files of the folder are in the catalogue. The result is false if the manager refuses this peer
    /// for good.
    pub async fn announced(&self) -> bool {
        let mut state = self.0.state.clone();
        let settled = |state: &ManagerState| {
            matches!(state, ManagerState::Here { announced: true } | ManagerState::Refused { .. })
        };
        let state = state.wait_for(settled).await;
        state.is_ok_and(|state| matches!(*state, ManagerState::Here { .. }))
    }

    /// Finds the files of a request. A manager that was started again a moment ago does not know all files yet: then it
    /// is asked again for some seconds, and before each pause `waits` is called with the longest time that is left.
    ///
    /// # Errors
    /// If the request names no file, or several contents have one name, or the manager does not answer.
    pub async fn resolve(
        &self,
        request: &FetchRequest,
        waits: &mut (dyn FnMut(Duration) + Send),
    ) -> Result<Resolved, ResolveError> {
        resolve_request(&self.0.client, &|| self.username(), request, waits).await
    }

    /// Begins to fetch files if they fit on the disk.
    ///
    /// # Errors
    /// If they do not fit or cannot get their names, or if the peer is stopping.
    pub async fn fetch(&self, files: Resolved) -> Result<Fetch, FetchError> {
        self.fetch_all(vec![files]).await?.pop().ok_or(FetchError::Stopping)
    }

    /// Begins a fetch for each element of `wanted`, if all of them fit on the disk together.
    ///
    /// # Errors
    /// As in [`Self::fetch`]; then none of them begins.
    pub async fn fetch_all(&self, wanted: Vec<Resolved>) -> Result<Vec<Fetch>, FetchError> {
        let (mut ordered, mut fetches) = (vec![], vec![]);
        for files in wanted {
            let (sender, progress) = watch::channel(Progress::new(files.name.clone()));
            let given_up = CancellationToken::new();
            fetches.push(Fetch { progress, given_up: given_up.clone() });
            ordered.push(NewFetch { files, progress: sender, given_up });
        }
        let (begun, begins) = oneshot::channel();
        let order = NewFetches { fetches: ordered, begun };
        self.0.orders.send(order).await.map_err(|_| FetchError::Stopping)?;
        begins.await.map_err(|_| FetchError::Stopping)??;
        Ok(fetches)
    }

    /// A page of the catalogue: the names that begin with `prefix` and follow `after`.
    pub async fn files(&self, prefix: &str, after: Option<FileName>) -> Result<Listing, AskError> {
        self.0.client.browse(prefix, after, None).await
    }

    /// A page of the table of peers: the usernames that follow `after`.
    pub async fn peers(&self, after: Option<Username>) -> Result<PeerList, AskError> {
        self.0.client.peers(after).await
    }

    /// The limits that are in effect now; `None` if the peer is stopping.
    pub async fn limits(&self) -> Option<Limits> {
        self.0.limits.limits().await
    }

    /// Sets the limit of a direction from now on, also for running transfers; `None` brings back the configured limit.
    /// Returns the limits that are in effect then.
    pub async fn set_limit(&self, direction: Direction, cap: Option<Cap>) -> Option<Limits> {
        self.0.limits.set(direction, cap).await
    }

    /// Its status at this moment.
    pub fn status(&self) -> PeerStatus {
        let (files, bytes) = self.0.share.totals();
        let (sending, receiving) = self.0.traffic.rates();
        PeerStatus {
            username: self.username(),
            key: self.0.key,
            address: self.address(),
            unreached: self.unreached(),
            manager: self.0.state.borrow().clone(),
            clock: *self.0.clock.borrow(),
            files,
            bytes,
            sending,
            receiving,
            sent: self.0.traffic.sent_to_each(),
            backlog: self.0.keeper.backlog(),
            kept: *self.0.kept.borrow(),
            problems: self.0.keeper.problems().borrow().clone(),
        }
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
        let StartedPeer { stop, mut tasks, lock, share, created, .. } = self.0;
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

impl Fetch {
    /// The progress, now and whenever it changes.
    pub fn progress(&self) -> watch::Receiver<Progress> {
        self.progress.clone()
    }

    /// Waits until the fetch has ended.
    pub async fn finished(&mut self) -> Progress {
        if let Ok(progress) = self.progress.wait_for(Progress::is_over).await {
            return progress.clone();
        }
        // The owner has ended: the peer stops.
        self.progress.borrow().clone().or_stopped()
    }

    /// Gives it up. The verified pieces are kept for the next fetch of the same content.
    pub fn give_up(&self) {
        self.given_up.cancel();
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
