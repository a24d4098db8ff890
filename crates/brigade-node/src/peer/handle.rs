//! The handle of a peer: everything that a program does with a running peer, except ending it.
//!
//! A handle does not keep the peer alive, nor its folder locked. Its methods send messages to the tasks of the peer, and
//! read what those publish; after the peer has ended they return errors, or the last values.

use std::{net::SocketAddr, path::Path, sync::Arc, time::Duration};

use brigade_core::{
    id::{Content, PeerKey},
    limit_plan::{Direction, LimitPlan, Limits},
    name::{FileName, Username},
    rate::Cap,
    time::UnixTime,
    wire::manager::{Listing, LookupResult, PeerList},
};
use tokio::{
    sync::{oneshot, watch},
    time::timeout,
};

use super::{fetch::resolve_request, start::PeerParts};
use crate::{
    clock,
    fetch_error::FetchError,
    fetch_request::{
        FetchId, FetchOptions, FetchRequest,
        new_fetch::{FetchOrder, NewFetches, OrderedFetch},
        resolve_error::ResolveError,
        running_fetch::{ContentHolderNames, Fetch, PieceMap},
        wanted_files::Resolved,
    },
    identity::clock_check::ClockDifference,
    listen_addresses::{ReachabilityWatch, UnreachableFrom},
    peer_error::{ANSWER_TIMEOUT, AskError},
    peer_status::{LocalContent, ManagerState, PeerStatus},
    progress::Upload,
    store::keeper::ProblemList,
};

/// A handle of a peer. Clones are handles of the same peer.
#[derive(Debug, Clone)]
pub struct PeerHandle(pub(super) Arc<PeerParts>);

impl PeerHandle {
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

    /// Its folder.
    pub fn folder(&self) -> &Path {
        &self.0.folder
    }

    /// When it started.
    pub fn since(&self) -> UnixTime {
        self.0.since
    }

    /// Asks the program to stop the peer: see [`Peer::stop_requested`](super::Peer::stop_requested).
    pub fn request_stop(&self) {
        self.0.stop_requested.cancel();
    }

    /// Waits until the peer stops.
    pub async fn stopping(&self) {
        self.0.stopping.cancelled().await;
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
        self.fetch_with(wanted, FetchOptions::default()).await
    }

    /// Like [`Self::fetch_all`], with these options for each of the fetches.
    ///
    /// # Errors
    /// As in [`Self::fetch`]; then none of them begins.
    pub async fn fetch_with(
        &self,
        wanted: Vec<Resolved>,
        options: FetchOptions,
    ) -> Result<Vec<Fetch>, FetchError> {
        let at = clock::unix_now();
        let ordered = |files| OrderedFetch { id: None, files, options, at };
        let fetches = wanted.into_iter().map(ordered).collect();
        let (begun, begins) = oneshot::channel();
        let order = FetchOrder::Begin(NewFetches { fetches, begun: Some(begun) });
        self.0.fetches.orders.send(order).await.map_err(|_| FetchError::Stopping)?;
        begins.await.map_err(|_| FetchError::Stopping)?
    }

    /// All fetches that run and the last hundred that have ended, the oldest first; now, and whenever one begins, ends
    /// or is removed.
    pub fn fetches(&self) -> watch::Receiver<Arc<Vec<Fetch>>> {
        self.0.fetches.list.clone()
    }

    /// Waits until the fetches of an earlier run have begun again: they are in the list of [`Self::fetches`] then. Returns
    /// their number; 0 if the peer ends before.
    pub async fn resumed(&self) -> usize {
        let mut resumed = self.0.fetches.resumed.clone();
        resumed.wait_for(Option::is_some).await.ok().and_then(|number| *number).unwrap_or(0)
    }

    /// The fetch with this number, if it runs or is one of the last that ended.
    pub fn fetch_of(&self, id: FetchId) -> Option<Fetch> {
        self.0.fetches.list.borrow().iter().find(|fetch| fetch.id() == id).cloned()
    }

    /// Removes a fetch that has ended from the list. Returns whether there was one.
    pub async fn forget_fetch(&self, id: FetchId) -> bool {
        self.ask_owner(|reply| FetchOrder::Forget(id, reply)).await.unwrap_or(false)
    }

    /// The pieces of the content of several pieces that is being fetched for a fetch. `None` if there is none, or more
    /// than one, or if nothing is known of it yet.
    pub async fn piece_map(&self, id: FetchId) -> Option<PieceMap> {
        self.ask_owner(|reply| FetchOrder::Pieces(id, reply)).await.flatten()
    }

    /// The other members that hold a content, as the manager knows them; at most as many as it names at one time.
    ///
    /// # Errors
    /// [`AskError::Silent`], if the manager does not answer in time.
    pub async fn holders(&self, content: Content) -> Result<ContentHolderNames, AskError> {
        let asked = self.ask_owner(|reply| FetchOrder::Holders(content, reply));
        timeout(ANSWER_TIMEOUT, asked).await.ok().flatten().ok_or(AskError::Silent)
    }

    /// Sends an order to the owner of the fetches; its answer, unless the peer stops.
    async fn ask_owner<T>(&self, order: impl FnOnce(oneshot::Sender<T>) -> FetchOrder) -> Option<T> {
        let (reply, answer) = oneshot::channel();
        self.0.fetches.orders.send(order(reply)).await.ok()?;
        answer.await.ok()
    }

    /// The downloaders to which piece data is sent now, or was sent in the last seconds; the fastest first.
    pub fn uploads(&self) -> Vec<Upload> {
        let name = |upload: Upload| {
            let name = upload.content.and_then(|content| self.0.share.name_of(&content));
            Upload { name, ..upload }
        };
        self.0.traffic.uploads().into_iter().map(name).collect()
    }

    /// The content that this peer shares under a name, if it does.
    pub fn shared_content(&self, name: &FileName) -> Option<Content> {
        self.0.share.content_of(name)
    }

    /// How much of a content is in the folder of this peer.
    pub fn local_content(&self, content: &Content) -> LocalContent {
        let is_shared = self.0.share.name_of(content).is_some();
        match () {
            () if is_shared => LocalContent::Whole,
            () if self.0.partial.find(content).is_some() => LocalContent::Partly,
            () => LocalContent::Missing,
        }
    }

    /// The contents of a name, or the most similar names, as the manager knows them.
    ///
    /// # Errors
    /// If the manager does not answer.
    pub async fn lookup(&self, name: &str) -> Result<LookupResult, AskError> {
        self.0.client.lookup(name).await
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

    /// Replaces the configured limits from now on, also for running transfers; limits that [`Self::set_limit`] set stay.
    /// Returns the limits that are in effect then; `None` if the peer is stopping.
    pub async fn replace_limit_plan(&self, plan: LimitPlan) -> Option<Limits> {
        self.0.limits.replace(plan).await
    }

    /// Whether the tasks answer that own the limits and the fetches. It waits for the answers; while the peer stops, the
    /// result is false.
    pub async fn responds(&self) -> bool {
        let no_fetch = FetchId(0);
        let of_fetches = self.ask_owner(|reply| FetchOrder::Pieces(no_fetch, reply)).await;
        of_fetches.is_some() && self.limits().await.is_some()
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
            kept: *self.0.fetches.kept.borrow(),
            problems: self.0.keeper.problems().borrow().clone(),
        }
    }
}
