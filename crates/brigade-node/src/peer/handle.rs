//! The handle of a running peer, and of a fetch that it runs.
//!
//! Both only send messages to the tasks and read what those publish.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use brigade_core::{
    id::PeerKey,
    name::{FileName, Username},
    rate::Cap,
    schedule::{Direction, Limits},
    wire::manager::{Listing, PeerList},
};
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::JoinSet,
};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{
    bandwidth::{LimitsHandle, MemberTraffic, Traffic},
    fetch::{
        CannotLand, FetchOrder, FetchRefusal, KeptTotals, NoRoom, OrderedFetch, Progress, ResolveError,
        Resolved, State, Wish, resolve,
    },
    listening::{ListenWatch, ReachabilityWatch, UnreachableFrom},
    session::{AskError, ManagerClient, ManagerState},
    start::folder::Made,
};
use crate::{
    identity::clock_check::ClockDifference,
    store::{
        folder::FolderLock,
        keeper::{Backlog, KeeperHandle, ProblemList},
        share::Share,
    },
};

/// A peer that is in the network, until it is stopped or dropped.
#[derive(Debug)]
pub struct Peer {
    pub(super) username: watch::Receiver<Username>,
    pub(super) key: PeerKey,
    pub(super) network: PeerKey,
    pub(super) listening: ListenWatch,
    pub(super) share: Share,
    pub(super) traffic: Arc<Traffic>,
    pub(super) limits: LimitsHandle,
    pub(super) keeper: KeeperHandle,
    pub(super) client: ManagerClient,
    pub(super) orders: mpsc::Sender<FetchOrder>,
    pub(super) state: watch::Receiver<ManagerState>,
    pub(super) clock: watch::Receiver<Option<ClockDifference>>,
    pub(super) kept: watch::Receiver<KeptTotals>,
    /// Cancels the token by which all tasks and threads end.
    pub(super) stop: DropGuard,
    pub(super) tasks: JoinSet<()>,
    pub(super) lock: FolderLock,
    /// What its start has made, where no name is bound to its key.
    pub(super) made: Made,
}

/// A fetch that is going on.
#[derive(Debug, Clone)]
pub struct Fetch {
    progress: watch::Receiver<Progress>,
    given_up: CancellationToken,
}

/// Why a fetch did not begin.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// It does not fit on the disk.
    #[error(transparent)]
    NoRoom(#[from] NoRoom),
    /// Some of it can never get its name.
    #[error(transparent)]
    CannotLand(#[from] CannotLand),
    /// The peer is stopping.
    #[error("the peer is stopping")]
    Stopping,
}

impl From<FetchRefusal> for FetchError {
    fn from(refused: FetchRefusal) -> Self {
        match refused {
            FetchRefusal::NoRoom(no_room) => no_room.into(),
            FetchRefusal::CannotLand(cannot_land) => cannot_land.into(),
        }
    }
}

/// How a peer stands.
#[derive(Debug, Clone)]
pub struct PeerStatus {
    /// Its name.
    pub username: Username,
    /// Its key.
    pub key: PeerKey,
    /// Where it listens.
    pub address: SocketAddr,
    /// The peers that cannot reach it there, if there are any.
    pub unreached: Option<UnreachableFrom>,
    /// Whether the manager is there.
    pub manager: ManagerState,
    /// The difference between its clock and the manager's, if it is too large.
    pub clock: Option<ClockDifference>,
    /// Files shared, and their bytes together.
    pub files: usize,
    /// Bytes shared.
    pub bytes: u64,
    /// Bytes of piece data sent a second, now.
    pub sending: u64,
    /// Bytes of piece data received a second, now.
    pub receiving: u64,
    /// The piece data sent to each downloader, the largest first.
    pub sent: Vec<MemberTraffic>,
    /// What is not hashed yet, and so not shared.
    pub backlog: Backlog,
    /// Parts of files that nobody is fetching.
    pub kept: KeptTotals,
    /// What is not shared, and why.
    pub problems: Arc<ProblemList>,
}

impl Peer {
    /// Its name now: one that is not bound may have another number after the manager was away.
    pub fn username(&self) -> Username {
        self.username.borrow().clone()
    }

    /// Its own address: the one that leads to the manager, or that was named, with the port where it listens.
    pub fn address(&self) -> SocketAddr {
        self.listening.address()
    }

    /// The peers that cannot reach it on its listen address, if there are any.
    pub fn unreached(&self) -> Option<UnreachableFrom> {
        self.listening.unreached()
    }

    /// Follows which peers cannot reach it.
    pub fn reach(&self) -> ReachabilityWatch {
        ReachabilityWatch(self.listening.clone())
    }

    /// The manager's key.
    pub fn network(&self) -> PeerKey {
        self.network
    }

    /// How it stands with the manager, now and when that changes.
    pub fn state(&self) -> watch::Receiver<ManagerState> {
        self.state.clone()
    }

    /// Follows the difference between this machine's clock and the manager's, if it is too large.
    pub fn clock(&self) -> watch::Receiver<Option<ClockDifference>> {
        self.clock.clone()
    }

    /// What of the folder is not shared and why, and what keeps it from being watched over; now and when that changes.
    pub fn problems(&self) -> watch::Receiver<Arc<ProblemList>> {
        self.keeper.problems()
    }

    /// Waits until everything that is in the folder is in the catalogue; false where the manager refuses for good.
    pub async fn announced(&self) -> bool {
        let mut state = self.state.clone();
        let settled = |state: &ManagerState| {
            matches!(state, ManagerState::Here { announced: true } | ManagerState::Refused { .. })
        };
        let state = state.wait_for(settled).await;
        state.is_ok_and(|state| matches!(*state, ManagerState::Here { .. }))
    }

    /// The files that `wish` means. A manager that has just been started again does not know all of them yet: then it is
    /// asked again for some seconds, and `waits` is told how long at most, before each pause.
    pub async fn resolve(
        &self,
        wish: &Wish,
        waits: &mut (dyn FnMut(Duration) + Send),
    ) -> Result<Resolved, ResolveError> {
        resolve(&self.client, &|| self.username(), wish, waits).await
    }

    /// Begins to fetch files, if they fit on the disk.
    ///
    /// # Errors
    /// Where they do not fit, or the peer is stopping.
    pub async fn fetch(&self, files: Resolved) -> Result<Fetch, FetchError> {
        self.fetch_all(vec![files]).await?.pop().ok_or(FetchError::Stopping)
    }

    /// Begins to fetch all of `wanted`, a fetch for each, if they fit on the disk together.
    ///
    /// # Errors
    /// As in [`Self::fetch`]; then none of them begins.
    pub async fn fetch_all(&self, wanted: Vec<Resolved>) -> Result<Vec<Fetch>, FetchError> {
        let (mut ordered, mut fetches) = (vec![], vec![]);
        for files in wanted {
            let (sender, progress) = watch::channel(Progress::new(files.name.clone()));
            let given_up = CancellationToken::new();
            fetches.push(Fetch { progress, given_up: given_up.clone() });
            ordered.push(OrderedFetch { files, progress: sender, given_up });
        }
        let (begun, begins) = oneshot::channel();
        let order = FetchOrder { fetches: ordered, begun };
        self.orders.send(order).await.map_err(|_| FetchError::Stopping)?;
        begins.await.map_err(|_| FetchError::Stopping)??;
        Ok(fetches)
    }

    /// A page of what there is in the network.
    pub async fn files(&self, prefix: &str, after: Option<FileName>) -> Result<Listing, AskError> {
        self.client.browse(prefix, after, None).await
    }

    /// A page of who is in the network.
    pub async fn peers(&self, after: Option<Username>) -> Result<PeerList, AskError> {
        self.client.peers(after).await
    }

    /// The limits that hold now; `None` where it stops.
    pub async fn limits(&self) -> Option<Limits> {
        self.limits.limits().await
    }

    /// Limits a direction from now on, for what is going on too; without a `cap`, as was said before this was ever
    /// called. The limits that hold then.
    pub async fn set_limit(&self, direction: Direction, cap: Option<Cap>) -> Option<Limits> {
        self.limits.set(direction, cap).await
    }

    /// How it stands.
    pub fn status(&self) -> PeerStatus {
        let (files, bytes) = self.share.totals();
        let (sending, receiving) = self.traffic.rates();
        PeerStatus {
            username: self.username(),
            key: self.key,
            address: self.address(),
            unreached: self.unreached(),
            manager: self.state.borrow().clone(),
            clock: *self.clock.borrow(),
            files,
            bytes,
            sending,
            receiving,
            sent: self.traffic.sent_to_each(),
            backlog: self.keeper.backlog(),
            kept: *self.kept.borrow(),
            problems: self.keeper.problems().borrow().clone(),
        }
    }
}

impl Fetch {
    /// How far it is, now and whenever that changes.
    pub fn progress(&self) -> watch::Receiver<Progress> {
        self.progress.clone()
    }

    /// Waits until it is over.
    pub async fn finished(&mut self) -> Progress {
        if let Ok(progress) = self.progress.wait_for(Progress::is_over).await {
            return progress.clone();
        }
        // The owner is gone: the peer stops.
        Progress { state: State::Stopped, ..self.progress.borrow().clone() }
    }

    /// Gives it up. What was verified is kept for the next time.
    pub fn give_up(&self) {
        self.given_up.cancel();
    }
}
