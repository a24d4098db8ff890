//! The manager as a server: connections and the disk around the core's decisions.
//!
//! [`ManagerServer::start`] listens and returns; everything runs in tasks until it is stopped or dropped.
//! `owner_task.rs` owns the state, `session.rs` is one connection, `task_messages.rs` the messages between them.
//! `member_database` has the bindings on the disk, `state_copy` backs them up and restores them. `published_state.rs` is
//! the published state; `handle.rs` asks for more, and `owner_answers.rs` answers. A manager listens on an address that
//! other machines reach only if its configuration allows it, because there is no list of permitted members.

mod handle;
mod member_database;
mod owner_answers;
mod owner_questions;
mod owner_task;
mod peer_order;
mod port_probe;
mod published_state;
mod session;
mod state_copy;
mod task_messages;

use std::{
    collections::BTreeMap,
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use brigade_core::{
    id::PeerKey,
    limits,
    manager::{self, Manager},
};
pub use handle::{HandleError, ManagerHandle, MemberPage, MemberRow};
pub use member_database::MemberDatabaseError;
pub use owner_questions::PeerPage;
pub use peer_order::PeerOrder;
pub use published_state::{LifeEvent, ManagerView};
pub use state_copy::{
    BackupError, BackupFile, RestoreError, RestoredKeyError, StateCopyError, StateCopySummary, restore,
};
use tokio::sync::{Semaphore, broadcast, mpsc, oneshot, watch};
pub use tokio_util::sync::CancellationToken;
use tokio_util::{sync::DropGuard, task::TaskTracker};

use self::{
    member_database::MemberDatabase,
    owner_task::{LastSeen, ManagerOwner, OwnerInputs, ViewTimer},
    port_probe::PROBES,
    published_state::EventLog,
    session::SessionContext,
    state_copy::{STATE_FILE, take_restored_key},
    task_messages::ToOwner,
};
use crate::{
    clock,
    durable_folders::make_folders,
    identity::key::{KeyError, SecretKey},
    transport::{
        accept_loop::accept_loop,
        breach_log::BreachLog,
        dial::{self, DialError},
        port_listener::{ListenError, PortListener, check_own_address},
    },
};

/// Messages from sessions that may wait for the owner; a session has one there at a time.
const OWNER_QUEUE: usize = 256;

/// Connections that get a goodbye at their end. One more is closed without it.
const LEAVING: usize = 64;

/// Joins that may wait for the disk, beside one for each peer.
const SPARE_JOINS: usize = 64;

/// Other requests that may wait for the disk: more than the handles can make at one time, each with the times of peers
/// that left.
const DATABASE_REQUESTS: usize = 64;

/// Peers that may be connected at the same time, unless the configuration sets another number.
const MAX_PEERS: usize = 20;

/// Where a manager listens, how many peers it accepts, and where it keeps its state.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ManagerConfig {
    /// A host name or an address of this machine.
    pub host: String,
    /// The port; 0 takes a free one.
    pub port: u16,
    /// The limit on peers that are connected at one time.
    pub max_peers: usize,
    /// The folder of its key and of its members; created if it does not exist.
    pub state_dir: PathBuf,
    /// Whether other machines may reach it: then every client that can reach the port may join.
    pub open: bool,
}

impl ManagerConfig {
    /// A manager on a free port of this machine, which other machines do not reach; its state is in this folder.
    pub fn new(state_dir: impl Into<PathBuf>) -> Self {
        let state_dir = state_dir.into();
        Self { host: "localhost".to_owned(), port: 0, max_peers: MAX_PEERS, state_dir, open: false }
    }

    /// Sets the host name or the address of this machine on which it listens.
    pub fn host(self, host: impl Into<String>) -> Self {
        Self { host: host.into(), ..self }
    }

    /// Sets the port; 0 takes a free one.
    pub fn port(self, port: u16) -> Self {
        Self { port, ..self }
    }

    /// Sets how many peers may be connected at the same time.
    pub fn max_peers(self, max_peers: usize) -> Self {
        Self { max_peers, ..self }
    }

    /// Sets whether other machines may reach it: then every client that can reach the port may join.
    pub fn open(self, open: bool) -> Self {
        Self { open, ..self }
    }
}

/// A manager that runs, until it is stopped or dropped.
#[derive(Debug)]
pub struct ManagerServer {
    address: SocketAddr,
    key: PeerKey,
    handle: ManagerHandle,
    /// It has the events since the start, for the first one that asks.
    events: broadcast::Receiver<LifeEvent>,
    owner: mpsc::Sender<ToOwner>,
    tasks: TaskTracker,
    /// Cancels the token by which all tasks end.
    stop: DropGuard,
}

/// Why a manager did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ManagerError {
    /// The host has no address.
    #[error("choosing an address to listen on")]
    Host(#[from] DialError),
    /// The host can be reached from other machines, and the configuration does not allow it.
    #[error(
        "{address} can be reached from other machines: there, anyone who can reach the port may join, read all \
         shared files and announce files (connections are encrypted, but there are no invites yet); \
         only --open starts a manager there"
    )]
    NotOpen {
        /// The address.
        address: SocketAddr,
    },
    /// The folder of its state cannot be made.
    #[error("making the manager's folder {path}")]
    State {
        /// The folder.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// Its key cannot be read or created.
    #[error("reading the manager's key")]
    Key(#[from] KeyError),
    /// Its members cannot be read.
    #[error("reading the manager's members")]
    Members(#[from] MemberDatabaseError),
    /// The state was restored from a backup, and its key cannot be stored in its own file.
    #[error("finishing the restored state of the manager")]
    Restored(#[from] RestoredKeyError),
    /// It cannot listen there: the port may be in use.
    #[error("starting the manager")]
    Listen(#[from] ListenError),
}

impl ManagerServer {
    /// Starts a manager.
    ///
    /// # Errors
    /// If it cannot listen, or its state cannot be read or created.
    pub async fn start(config: ManagerConfig) -> Result<Self, ManagerError> {
        Self::start_until(config, CancellationToken::new()).await
    }

    /// Starts a manager, which also ends when `stop` is cancelled.
    ///
    /// # Errors
    /// As in [`Self::start`].
    pub async fn start_until(config: ManagerConfig, stop: CancellationToken) -> Result<Self, ManagerError> {
        let stop = stop.child_token();
        let addresses = dial::resolve(&config.host, config.port).await?;
        if let Some(address) = addresses.iter().find(|address| !address.ip().to_canonical().is_loopback())
            && !config.open
        {
            check_own_address(*address)?;
            return Err(ManagerError::NotOpen { address: *address });
        }
        make_folders(&config.state_dir, true)
            .map_err(|source| ManagerError::State { path: config.state_dir.clone(), source })?;
        // The database comes first: a second manager cannot open it. On a file system without hard links, two managers
        // could each create a key.
        let (members, bindings) = MemberDatabase::open(&config.state_dir.join(STATE_FILE.members))?;
        let (key, started_before) = load_key(&members, &config.state_dir)?;
        // Only the first address: if another manager has it, the next address may be free, but peers would not dial it.
        let acceptor = PortListener::bind(&addresses[..1], &key).await?;

        let mut view =
            ManagerView::new(acceptor.address(), key.public(), clock::unix_now(), config.max_peers);
        (view.state_dir, view.open) = (config.state_dir.as_path().into(), config.open);
        let (view, view_out) = watch::channel(view);
        let (events, events_out) = broadcast::channel(published_state::EVENTS);
        let (ask, questions) = mpsc::channel(handle::QUESTIONS);
        let (to_owner, sessions) = mpsc::channel(OWNER_QUEUE);
        let server = Self {
            address: acceptor.address(),
            key: key.public(),
            handle: ManagerHandle::new(view_out, events_out.resubscribe(), ask),
            events: events_out,
            owner: to_owner.clone(),
            tasks: TaskTracker::new(),
            stop: stop.clone().drop_guard(),
        };
        let most_joining = config.max_peers.saturating_add(SPARE_JOINS).min(limits::MEMBERS);
        let (database, database_requests) = mpsc::channel(most_joining + DATABASE_REQUESTS);
        let (binding_result, binding_results) = mpsc::channel(most_joining);
        server.tasks.spawn_blocking(move || members.run(database_requests, &binding_result));

        let reached_from_elsewhere = !acceptor.address().ip().to_canonical().is_loopback();
        let core = manager::Config {
            max_peers: config.max_peers,
            max_observers: limits::OBSERVERS,
            seed: seed(&key),
            reached_from_elsewhere,
            // Peers of an earlier run join again within a lease, or not at all.
            complete_at: clock::now().after(if started_before { limits::LEASE } else { Duration::ZERO }),
        };
        let owner = ManagerOwner {
            manager: Manager::new(core, bindings),
            key,
            database,
            view,
            events,
            event_log: EventLog::default(),
            sessions: BTreeMap::new(),
            view_timer: ViewTimer::default(),
            last_seen: LastSeen::default(),
        };
        let inputs = OwnerInputs { sessions, binding_results, questions };
        server.tasks.spawn(owner.run(inputs, stop.clone()));
        let breaches: Arc<BreachLog> = Arc::default();
        let context = SessionContext {
            owner: to_owner,
            breaches: breaches.clone(),
            next_session: Arc::default(),
            leaving: Arc::new(Semaphore::new(LEAVING)),
            probes: Arc::new(Semaphore::new(PROBES)),
            reached_from_elsewhere,
            stop: stop.clone(),
        };
        server.tasks.spawn(accept_loop(acceptor, context, breaches, stop));
        server.tasks.close();
        Ok(server)
    }

    /// The address on which it listens, with the bound port.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its key, which is the network's.
    pub const fn key(&self) -> PeerKey {
        self.key
    }

    /// A handle, with which the tables of the manager are read and its state is backed up. It does not keep the manager
    /// running.
    pub fn handle(&self) -> ManagerHandle {
        self.handle.clone()
    }

    /// The totals, now and whenever they change (some times a second at most).
    pub fn view(&self) -> watch::Receiver<ManagerView> {
        self.handle.view()
    }

    /// The events from now on; the receiver of the first call also has the events since the start.
    pub fn events(&mut self) -> broadcast::Receiver<LifeEvent> {
        let next = self.events.resubscribe();
        std::mem::replace(&mut self.events, next)
    }

    /// Whether its owner task answers. It waits for the answer; after the manager was stopped, the result is false.
    pub async fn responds(&self) -> bool {
        let (answer, answered) = oneshot::channel();
        self.owner.send(ToOwner::Ping { answer }).await.is_ok() && answered.await.is_ok()
    }

    /// Ends all tasks, and waits until they have ended: sessions got a goodbye, members are written.
    ///
    /// A manager that is dropped ends too, and its port and its state are free a little later.
    pub async fn stop(self) {
        let Self { tasks, stop, .. } = self;
        drop(stop); // cancels
        tasks.wait().await;
    }

    /// Waits until all tasks have ended after the token of [`Self::start_until`] was cancelled.
    pub async fn stopped(&self) {
        self.tasks.wait().await;
    }
}

/// The manager's key, and whether a manager with it was started before: then its peers may come back.
fn load_key(members: &MemberDatabase, state_dir: &Path) -> Result<(SecretKey, bool), ManagerError> {
    if let Some(key) = take_restored_key(members, state_dir)? {
        return Ok((key, true));
    }
    let path = state_dir.join(STATE_FILE.key);
    let started_before = path.try_exists().unwrap_or(true);
    Ok((SecretKey::load_or_create(&path)?, started_before))
}

/// A seed that differs from network to network. It need not be secret: it only spreads downloaders over holders.
fn seed(key: &SecretKey) -> u64 {
    key.public().0.first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes))
}

#[cfg(test)]
mod tests;
