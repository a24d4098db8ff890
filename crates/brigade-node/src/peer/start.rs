//! Starting a peer: manager, folder and key, membership, tasks, in this order. If the manager does not answer or
//! refuses the name, nothing stays on the disk, except the key of a name that may be bound.

use std::{net::SocketAddr, path::PathBuf, sync::Arc};

use brigade_core::{
    id::PeerKey,
    name::{NameError, Username},
    time::UnixTime,
    wire::manager::{Holders, Joined},
};
use tokio::{
    sync::{Semaphore, mpsc, watch},
    task::JoinSet,
};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{
    bandwidth::{LimitsHandle, Traffic},
    fetch::{FetchChannels, FetchConfig, FetchOwner},
    session::{ManagerClient, RequestedName, Session, SessionCommand, SessionState, Subscriptions, join},
    swarm::{ConnectionConfig, PartTable, Swarm, SwarmConfig},
    upload::{ConnectionCounts, ListenContext, ServeContext, listen},
};
use crate::{
    clock,
    folder_setup::{CreatedFiles, StartedFolder, write_names},
    identity::{clock_check::ClockDifference, key::SecretKey},
    listen_addresses::{ListenWatch, Listener, ManagerContact, TakenPort},
    peer_config::{PeerConfig, ShareMode},
    peer_error::{JoinError, NotJoined, PeerError},
    peer_status::ManagerState,
    share_keepers::{InitialShares, ShareContext, ShareHandle, ShareOwner},
    shares_in_place::{CheckedShare, path_checks::check_all},
    store::{
        folder::{Folder, FolderLock},
        keeper::{Change, FirstScan, Keeper, KeeperHandle, KeeperOptions},
        share::{Share, SharedNames},
    },
    transport::greeting::GreetedConnection,
    user_account::user_at_host,
    verifier::{VerifierHandle, VerifierOwner},
};

/// Commands and orders that may wait in a channel.
const QUEUE: usize = 256;

/// What a peer has after the manager has accepted it.
struct JoinedPeer {
    folder: Folder,
    lock: FolderLock,
    created: CreatedFiles,
    key: SecretKey,
    requested: RequestedName,
    username: Username,
    session: GreetedConnection,
    joined: Joined,
    contact: ManagerContact,
    /// The shares in place of the configuration.
    shares: Vec<CheckedShare>,
}

/// The values and channels of a running peer.
#[derive(Debug)]
pub(crate) struct PeerParts {
    pub(crate) folder: PathBuf,
    pub(crate) since: UnixTime,
    pub(crate) username: watch::Receiver<Username>,
    pub(crate) key: PeerKey,
    pub(crate) network: PeerKey,
    pub(crate) listening: ListenWatch,
    pub(crate) share: SharedNames,
    pub(crate) partial: PartTable,
    pub(crate) traffic: Arc<Traffic>,
    pub(crate) limits: LimitsHandle,
    pub(crate) keeper: KeeperHandle,
    pub(crate) shares_in_place: ShareHandle,
    pub(crate) verifier: VerifierHandle,
    pub(crate) client: ManagerClient,
    pub(crate) fetches: FetchChannels,
    pub(crate) state: watch::Receiver<ManagerState>,
    pub(crate) clock: watch::Receiver<Option<ClockDifference>>,
    /// Cancelled when a program asks for the end of the peer.
    pub(crate) stop_requested: CancellationToken,
    /// Cancelled when the peer stops.
    pub(crate) stopping: CancellationToken,
}

/// A peer that runs: its tasks, and the channels that lead to them.
#[derive(Debug)]
pub(crate) struct StartedPeer {
    pub(crate) parts: PeerParts,
    pub(crate) share: Share,
    /// Cancels the token by which all tasks and threads end.
    pub(crate) stop: DropGuard,
    pub(crate) tasks: JoinSet<()>,
    pub(crate) lock: FolderLock,
    /// The files that its start created, if no name is bound to its key.
    pub(crate) created: CreatedFiles,
}

/// Starts a peer that listens on `port`. If it fails before the port answers, the port is returned.
pub(crate) async fn start(config: PeerConfig, port: TakenPort) -> Result<StartedPeer, Box<NotJoined>> {
    let joined_peer = match join_network(&config, port.address()).await {
        Ok(joined_peer) => joined_peer,
        Err(error) => return Err(Box::new(NotJoined { error, port: Some(port) })),
    };
    start_tasks(config, joined_peer, port).await.map_err(|error| Box::new(NotJoined { error, port: None }))
}

/// Reaches the manager, stores the key, and asks to join, in this order. The manager binds the username to the key for
/// good, so the key is durable before that, and an error of the disk is found before that.
async fn join_network(config: &PeerConfig, address: SocketAddr) -> Result<JoinedPeer, PeerError> {
    // A folder that a peer has used before has a key, and another session may run in it: this is checked first.
    let mut before = StartedFolder::open_existing(&config.folder)?;
    let kept = match &mut before {
        Some(folder) => {
            folder.note(None, None);
            folder.key()?
        }
        None => None,
    };
    let (key, is_new) = kept.map_or_else(|| (SecretKey::generate(), true), |key| (key, false));
    let requested = requested_name(config)?;
    let (own, home) = (Some(config.folder.as_path()), config.manager.home.as_deref());
    let shares = check_all(&config.shares, own, home, config.wait_for_shares)?;
    let mut session = config.manager.reach(&key).await.map_err(JoinError::from)?;
    let mut started = match before {
        Some(before) => before,
        None => StartedFolder::make(&config.folder)?,
    };
    if is_new {
        started.save(&key)?;
    }
    // From here on the manager may have bound the name, also if its answer does not arrive.
    started.keep(!requested.unbound);
    let joined = join(&mut session, &requested, address.port()).await;
    let joined = joined.inspect_err(|error| started.keep(!requested.unbound && !error.bound_nothing()))?;
    config.manager.remember_key(session.peer);
    let username = requested.granted(&joined);
    started.note(Some(&username), Some(address));
    started.protect(&key);
    let (folder, lock, created) = started.into_parts();
    // A key that a name may be bound to stays, however the session ends.
    let created = if requested.unbound { created } else { CreatedFiles::default() };
    let contact = ManagerContact::over(&session, joined.reached_from_elsewhere);
    Ok(JoinedPeer { folder, lock, created, key, requested, username, session, joined, contact, shares })
}

/// The configured name, or an unbound one that names the user.
fn requested_name(config: &PeerConfig) -> Result<RequestedName, NameError> {
    match config.username.clone() {
        Some(username) => Ok(RequestedName { username, unbound: false }),
        None => Ok(RequestedName { username: user_at_host().ok_or(NameError::Empty)?, unbound: true }),
    }
}

/// Starts the tasks.
async fn start_tasks(
    config: PeerConfig,
    joined_peer: JoinedPeer,
    port: TakenPort,
) -> Result<StartedPeer, PeerError> {
    let JoinedPeer { folder, lock, created, key, requested, username, session, joined, contact, shares } =
        joined_peer;
    let (address, (listener, listening, contact)) = answer(port, &key, contact)?;
    let (network, stop) = (session.peer, CancellationToken::new());
    let share = Share::new(folder.clone());
    let started = start_keepers(&config, &share, (shares, key.public()), &stop)?;
    let StartedKeepers { mut tasks, keeper, changes, shares_in_place, verifier } = started;
    let (limits, traffic) = Traffic::start(config.limits.clone(), stop.clone());
    let connection_slots = Arc::new(Semaphore::new(config.max_connections));
    let (username_sender, username) = watch::channel(username);
    let (membership, shown) = watch::channel(joined.membership);
    let (clock_sender, clock) = watch::channel(None);
    let (state_sender, state) = watch::channel(ManagerState::Here { announced: false });
    let ((commands, for_session), (holders_sender, holders)) = (mpsc::channel(QUEUE), mpsc::channel(QUEUE));

    tasks.spawn(write_names(lock.clone(), username.clone(), address, stop.clone()));
    let shared = PeerContext::new(folder, &share, &keeper, &traffic);
    let partial = shared.parts.clone();
    let dial =
        DialContext { key: key.clone(), network, membership: shown, connection_slots, config: &config };
    tasks.spawn(listen(listener, serving(&shared, &dial, &stop)));
    let session_task = Session {
        address: config.manager.clone(),
        key: key.clone(),
        requested,
        username: username_sender,
        port: address.port(),
        contact,
        state: SessionState {
            share: share.clone(),
            rates: Box::new(rates_of(traffic.clone())),
            changes,
            scanned: false,
            commands: for_session,
            subscriptions: Subscriptions::default(),
            holders: holders_sender,
            membership,
            clock: clock_sender,
            manager: state_sender,
            stop: stop.clone(),
        },
    };
    session_task.state.compare_clock(joined.now_s);
    // Only now: the fetches remove old parts, unless this machine's clock is wrong.
    let fetches =
        start_fetches(&mut tasks, shared, dial, (holders, clock.clone()), commands.clone(), stop.clone());
    tasks.spawn(session_task.run(session));
    let parts = PeerParts {
        folder: share.folder().path().to_owned(),
        since: clock::unix_now(),
        username,
        key: key.public(),
        network,
        listening,
        share: share.names(),
        partial,
        traffic,
        limits,
        keeper,
        shares_in_place,
        verifier,
        client: ManagerClient(commands),
        fetches,
        state,
        clock,
        stop_requested: CancellationToken::new(),
        stopping: stop.clone(),
    };
    Ok(StartedPeer { parts, share, stop: stop.drop_guard(), tasks, lock, created })
}

/// The bytes of piece data that are sent and received per second, whenever it is called.
fn rates_of(traffic: Arc<Traffic>) -> impl Fn() -> (u64, u64) + Send {
    move || traffic.rates()
}

/// The listener, its addresses, and the sender that tells it how the manager is reached.
type Answers = (Listener, ListenWatch, watch::Sender<ManagerContact>);

/// Answers on the port from now on. Returns its address.
fn answer(
    port: TakenPort,
    key: &SecretKey,
    contact: ManagerContact,
) -> Result<(SocketAddr, Answers), PeerError> {
    let address = port.address();
    let answers = port.answer_as(key, contact).map_err(|source| PeerError::Answer { address, source })?;
    Ok((address, answers))
}

/// The keepers that run, and the first tasks of a peer.
struct StartedKeepers {
    tasks: JoinSet<()>,
    /// The keeper of its own folder.
    keeper: KeeperHandle,
    /// The changes of all folders.
    changes: mpsc::Receiver<Change>,
    shares_in_place: ShareHandle,
    verifier: VerifierHandle,
}

/// Starts the keeper, which watches the folder as far as the configuration shares it, the owner of the shares in place
/// with the keepers of these, and the owner of verifications.
fn start_keepers(
    config: &PeerConfig,
    share: &Share,
    (shares, key): (Vec<CheckedShare>, PeerKey),
    stop: &CancellationToken,
) -> Result<StartedKeepers, PeerError> {
    let (only_fetched, folder) = (config.sharing == ShareMode::Fetched, share.folder());
    let home = config.manager.home.clone();
    let initial = match only_fetched {
        true => InitialShares::none(),
        false => InitialShares::load(folder, home.as_deref(), shares),
    };
    folder.set_withheld(initial.names());
    let mut scans = FirstScan::of_folders(1 + initial.scans());
    let first_scan = scans.next().unwrap_or_else(FirstScan::uncounted);
    let options = KeeperOptions { only_landed: only_fetched, first_scan, ..KeeperOptions::default() };
    let (keeper, changes) =
        Keeper::start(folder.clone(), share.clone(), options, stop.clone()).map_err(PeerError::Keeper)?;
    let (folder, stop) = (folder.clone(), stop.clone());
    let context =
        ShareContext { folder, share: share.clone(), keeper: keeper.clone(), key, home, only_fetched, stop };
    let mut tasks = JoinSet::new();
    let (owner, shares_in_place) = ShareOwner::start(context.clone(), initial, scans);
    tasks.spawn(owner.run());
    let (owner, verifier) = VerifierOwner::new(context.share, shares_in_place.clone(), context.stop);
    tasks.spawn(owner.run());
    Ok(StartedKeepers { tasks, keeper, changes, shares_in_place, verifier })
}

/// The objects that serving and fetching share.
struct PeerContext {
    folder: Folder,
    share: Share,
    parts: PartTable,
    keeper: KeeperHandle,
    traffic: Arc<Traffic>,
}

impl PeerContext {
    fn new(folder: Folder, share: &Share, keeper: &KeeperHandle, traffic: &Arc<Traffic>) -> Self {
        let (share, keeper, traffic) = (share.clone(), keeper.clone(), traffic.clone());
        Self { folder, share, parts: PartTable::new(), keeper, traffic }
    }
}

/// The identity with which the peer connects to others, and the number of connections.
struct DialContext<'a> {
    key: SecretKey,
    network: PeerKey,
    membership: watch::Receiver<String>,
    connection_slots: Arc<Semaphore>,
    config: &'a PeerConfig,
}

/// The values that the listener needs to serve downloaders.
fn serving(context: &PeerContext, dial: &DialContext<'_>, stop: &CancellationToken) -> ListenContext {
    let PeerContext { share, parts, traffic, .. } = context;
    ListenContext {
        network: dial.network,
        membership: dial.membership.clone(),
        connection_slots: dial.connection_slots.clone(),
        max_connections: dial.config.max_connections,
        counts: ConnectionCounts::default(),
        serve: ServeContext::start(share.clone(), parts.clone(), traffic.clone(), stop.clone()),
        stop: stop.clone(),
    }
}

/// Starts the task that owns all fetches. It gets the holders that the manager names, and the difference between the
/// clocks. Returns the channels that lead to it.
fn start_fetches(
    tasks: &mut JoinSet<()>,
    context: PeerContext,
    dial: DialContext<'_>,
    (holders, clock): (mpsc::Receiver<Holders>, watch::Receiver<Option<ClockDifference>>),
    session: mpsc::Sender<SessionCommand>,
    stop: CancellationToken,
) -> FetchChannels {
    let PeerContext { folder, share, parts, keeper, traffic } = context;
    let DialContext { key, network, membership, connection_slots, config } = dial;
    let seed = seed(&key);
    let connections = ConnectionConfig { key, network, membership, connection_slots, traffic };
    let max_connections = config.max_connections;
    let swarm =
        Swarm::new(SwarmConfig { connections, max_connections, folder, parts, keeper: keeper.clone(), seed });
    let shares_fetched = config.sharing == ShareMode::Fetched;
    let PeerConfig { keep_parts, keep_fetches, .. } = *config;
    let config = FetchConfig { swarm, share, keeper, keep_fetches, keep_parts, shares_fetched, clock };
    let (owner, channels) = FetchOwner::new(config, session, holders);
    tasks.spawn(owner.run(stop));
    channels
}

/// A seed that differs from peer to peer. It only decides ties between pieces.
fn seed(key: &SecretKey) -> u64 {
    let public = key.public().0;
    public.iter().take(8).fold(0, |seed, byte| seed << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests;
