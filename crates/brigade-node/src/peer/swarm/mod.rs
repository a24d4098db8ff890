//! Fetching contents from many holders, as the core's [`Downloads`] decides.
//!
//! [`Swarm`] is the driver: it carries out the actions of the core, and reports events to the core and, as
//! [`SwarmEvent`]s, to its owner. The owner calls [`Swarm::next_event`] until there is none, and then waits for
//! [`Swarm::receive`]. Nothing here waits for another task, or knows why a content is wanted. `connection_pool` has the
//! connections to the `holders`, `connection` runs one of them with its `pending_requests`, `writing_and_landing`
//! stores pieces for the `active_downloads` and gives complete files their names, and other peers are served from
//! `partial_contents`.

mod active_downloads;
mod connection;
mod connection_pool;
mod holders;
pub(crate) mod partial_contents;
mod pending_requests;
mod queries;
mod writing_and_landing;

use std::{collections::VecDeque, sync::Arc};

use brigade_core::{
    bitfield::Bitfield,
    download::{Action, Config, DownloadError, DownloadId, Downloads, Event, HolderId, Priority},
    geometry::PieceIndex,
    id::Content,
    limits,
    name::Username,
    time::Timestamp,
    wire::manager::Holders,
};
use tokio::sync::mpsc;

use self::{
    active_downloads::{ActiveDownloads, StartedDownload},
    connection::ConnectionContext,
    connection_pool::ConnectionPool,
    holders::NamedHolders,
    writing_and_landing::{PieceWriter, WriteOutcome},
};
pub(crate) use self::{
    active_downloads::{EndedDownload, LandedContent},
    connection::ConnectionConfig,
    holders::ManagerUpdate,
    partial_contents::{OpenPart, PartTable, ReceiveCounter},
};
use crate::{
    clock,
    fetch_request::running_fetch::ContentHolderNames,
    progress::{HolderTraffic, UnusableHolders},
    store::{
        folder::Folder,
        keeper::KeeperHandle,
        landing::Landing,
        part_file::{PartError, PartFile},
    },
};

/// Events that are handled together: fewer, larger steps of the core.
const EVENTS_AT_ONCE: usize = 64;

/// What a swarm is made of.
pub(crate) struct SwarmConfig {
    pub(crate) connections: ConnectionConfig,
    /// Connections to other peers at the same time, in both directions.
    pub(crate) max_connections: usize,
    pub(crate) folder: Folder,
    pub(crate) parts: PartTable,
    pub(crate) keeper: KeeperHandle,
    /// Decides ties between pieces.
    pub(crate) seed: u64,
}

/// An event for the owner of the swarm.
#[derive(Debug)]
pub(crate) enum SwarmEvent {
    /// A piece is stored, for the first time.
    Stored { content: Content, holder: HolderId, bytes: u64 },
    /// No connected holder can send the missing pieces.
    Starved(Content),
    /// A holder can send the missing pieces again.
    Fed(Content),
    /// The manager named a complete holder.
    HolderNamed(Content),
    /// The content cannot be fetched from any holder.
    Impossible { content: Content, error: DownloadError },
    /// A piece could not be written.
    NotWritten { content: Content, error: PartError },
    /// Complete contents got their names, or did not; they are not active any more.
    Landed(Vec<LandedContent>),
    /// The manager is to be told something.
    Manager(ManagerUpdate),
}

/// An input of the swarm.
#[derive(Debug)]
pub(crate) enum SwarmInput {
    /// An event of the connections, for the core.
    Connection(Event),
    /// A result of the writer.
    Written(WriteOutcome),
}

/// All active downloads, and the connections to their holders.
pub(crate) struct Swarm {
    downloads: Downloads,
    pool: ConnectionPool,
    active: ActiveDownloads,
    /// Events for the owner.
    events: VecDeque<SwarmEvent>,
    named: NamedHolders,
    outcomes: mpsc::Receiver<WriteOutcome>,
}

impl Swarm {
    /// Creates a swarm without downloads, and starts the thread that writes small files.
    pub(crate) fn new(config: SwarmConfig) -> Self {
        let (writer, outcomes) = PieceWriter::start(config.folder, config.keeper);
        let (context, events) = ConnectionContext::new(config.connections, writer.clone());
        let connections = config.max_connections;
        // Where others fetch a content too, half of the connections are left for their fetches.
        let neighbours = limits::NEIGHBOURS.min(connections / 2).max(1);
        let core_config = Config { connections, neighbours, ..Config::default() };
        Self {
            downloads: Downloads::new(core_config, config.seed),
            pool: ConnectionPool::new(context, events),
            active: ActiveDownloads::new(writer, config.parts),
            events: VecDeque::new(),
            named: NamedHolders::default(),
            outcomes,
        }
    }

    /// Starts to fetch a content: of one piece, or into a part file in which some pieces are verified. The bytes and
    /// pieces that are present; `None` if the content is too large.
    pub(crate) fn start(
        &mut self,
        content: Content,
        landing: Landing,
        part: Option<OpenPart>,
        (counter, priority): (Arc<ReceiveCounter>, Priority),
    ) -> Option<(u64, u64)> {
        let started = self.active.add(content, landing, part, counter)?;
        if started.list.is_some() {
            self.named.hold(content);
        }
        Some(self.begin(content, started, priority))
    }

    /// Tells the core of a download. The bytes and pieces that are present.
    fn begin(&mut self, content: Content, started: StartedDownload, priority: Priority) -> (u64, u64) {
        let StartedDownload { download, list, have, present } = started;
        self.downloads.handle(clock::now(), Event::Start { download, content, list, have, priority });
        self.named.watch(content);
        present
    }

    /// Ends a download. If it is getting its name at this moment, it still gets it.
    pub(crate) fn forget(&mut self, content: &Content) -> Option<EndedDownload> {
        let download = self.active.number(content)?;
        self.downloads.handle(clock::now(), Event::Forget { download });
        let ended = self.active.remove(download)?;
        self.named.end(*content, ended.is_served);
        Some(ended)
    }

    /// Pauses a download, unless it is paused or getting its name. A content of one piece ends instead.
    pub(crate) fn pause(&mut self, content: &Content) -> Option<EndedDownload> {
        let (download, is_large) = self.active.pause(content)?;
        if !is_large {
            return self.forget(content);
        }
        self.downloads.handle(clock::now(), Event::Forget { download });
        None
    }

    /// Resumes a download, if it is paused. Bytes and pieces that were stored after the pause, and not counted.
    pub(crate) fn resume(&mut self, content: &Content, priority: Priority) -> Option<(u64, u64)> {
        let resumed = self.active.resume(content)?;
        let download = resumed.download;
        let uncounted = self.begin(*content, resumed, priority);
        // They are known whether the manager is there or not.
        if let Some((complete, partial)) = self.named.now(content) {
            self.downloads.handle(clock::now(), Event::Holders { download, complete, partial });
        }
        Some(uncounted)
    }

    /// Waits for the next input. It may be dropped at any time.
    pub(crate) async fn receive(&mut self) -> SwarmInput {
        tokio::select! {
            biased;
            Some(outcome) = self.outcomes.recv() => SwarmInput::Written(outcome),
            event = self.pool.receive() => SwarmInput::Connection(event),
        }
    }

    /// Handles an input, and others that have arrived.
    pub(crate) fn handle(&mut self, input: SwarmInput) {
        match input {
            SwarmInput::Connection(event) => {
                self.downloads.handle(clock::now(), event);
                self.handle_connection_events(EVENTS_AT_ONCE);
            }
            SwarmInput::Written(outcome) => {
                self.write_outcome(outcome);
                for _ in 0..EVENTS_AT_ONCE {
                    let Ok(outcome) = self.outcomes.try_recv() else { break };
                    self.write_outcome(outcome);
                }
            }
        }
    }

    /// Handles at most this many events of connections that have arrived.
    fn handle_connection_events(&mut self, most: usize) {
        for _ in 0..most {
            self.carry_out_all();
            let Some(event) = self.pool.try_receive() else { break };
            self.downloads.handle(clock::now(), event);
        }
        self.carry_out_all();
    }

    /// When [`Self::handle_timeout`] is to be called.
    pub(crate) fn deadline(&self) -> Option<Timestamp> {
        self.downloads.deadline()
    }

    pub(crate) fn handle_timeout(&mut self, now: Timestamp) {
        self.downloads.handle_timeout(now);
    }

    /// The next event for the owner. Actions of the core are carried out until there is one.
    pub(crate) fn next_event(&mut self) -> Option<SwarmEvent> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Some(event);
            }
            if let Some(update) = self.named.next_update() {
                return Some(SwarmEvent::Manager(update));
            }
            let action = self.downloads.next_action()?;
            self.carry_out(action);
        }
    }

    fn carry_out_all(&mut self) {
        while let Some(action) = self.downloads.next_action() {
            self.carry_out(action);
        }
    }

    fn carry_out(&mut self, action: Action) {
        let Some(action) = self.pool.carry_out(action) else { return };
        match action {
            Action::Request { holder, download, piece, offer } => {
                let expected = self.downloads.expected(download, piece);
                let wanted = |expected| self.active.wanted_piece((download, piece), offer, expected);
                if let Some(wanted) = expected.and_then(wanted) {
                    self.pool.request(holder, wanted);
                }
            }
            Action::ListKnown { download, list } => {
                self.active.save_list(download, list.clone());
                if let Some(content) = self.active.serve(download, list, None) {
                    self.named.hold(content);
                }
            }
            Action::Finished { download } => self.active.finish(download),
            Action::MoreHolders { download } => {
                if let Some(content) = self.active.content(download) {
                    self.named.watch_others(content);
                }
            }
            Action::Failed { download, error } => {
                self.send(download, |content| SwarmEvent::Impossible { content, error });
            }
            Action::Starved { download } => self.send(download, SwarmEvent::Starved),
            Action::Fed { download } => self.send(download, SwarmEvent::Fed),
            Action::Banned { holder, download, fault } => {
                let name = self.name_of(holder);
                let name = name.as_deref();
                tracing::warn!(holder = name, ?download, %fault, "a holder is not used for this content any more");
                if let Some(content) = self.active.content(download) {
                    self.named.set_fault(content, holder, fault);
                }
            }
            _ => {} // the pool has carried it out
        }
    }

    fn send(&mut self, download: DownloadId, event: impl FnOnce(Content) -> SwarmEvent) {
        self.events.extend(self.active.content(download).map(event));
    }

    /// Handles a result. The core learns that a piece has arrived before it learns that the piece is stored.
    fn write_outcome(&mut self, outcome: WriteOutcome) {
        self.handle_connection_events(self.pool.waiting_events());
        match outcome {
            WriteOutcome::Stored { holder, download, piece } => self.stored(holder, download, piece),
            WriteOutcome::NotWritten { download, error } => {
                let content = self.active.unfinished(download);
                self.events.extend(content.map(|content| SwarmEvent::NotWritten { content, error }));
            }
            WriteOutcome::Landed(results) => {
                let landed: Vec<_> =
                    results.into_iter().filter_map(|result| self.active.landed(result)).collect();
                for LandedContent { content, ended, .. } in &landed {
                    ended.iter().for_each(|ended| self.named.end(*content, ended.is_served));
                }
                self.events.push_back(SwarmEvent::Landed(landed));
            }
        }
        self.carry_out_all();
    }

    fn stored(&mut self, holder: HolderId, download: DownloadId, piece: PieceIndex) {
        self.pool.clear_error(holder);
        let before = self.downloads.stored_pieces(download);
        self.downloads.handle(clock::now(), Event::Stored { holder, download, piece });
        // A piece that two holders sent counts once.
        if before.is_some() && self.downloads.stored_pieces(download) != before {
            let counted = self.active.count(download, piece);
            self.events.extend(counted.map(|(content, bytes)| SwarmEvent::Stored { content, holder, bytes }));
        }
    }

    /// The manager named holders. Once many are known, those without a reference are forgotten, but for the `needed`
    /// ones.
    pub(crate) fn holders(&mut self, named: &Holders, needed: impl Iterator<Item = HolderId>) {
        if self.pool.has_many_holders() {
            let referred_to = self.downloads.referred_to().into_iter().chain(self.named.all()).chain(needed);
            self.pool.forget_all_but(referred_to.collect());
        }
        for (content, complete, partial) in self.pool.add_holders(named) {
            let Some(download) = self.active.number(&content) else { continue };
            self.named.set(content, &complete, &partial);
            if !complete.is_empty() {
                self.events.push_back(SwarmEvent::HolderNamed(content));
            }
            self.downloads.handle(clock::now(), Event::Holders { download, complete, partial });
        }
    }

    /// Ends all connections.
    pub(crate) fn disconnect_all(&mut self) {
        self.pool.disconnect_all();
    }
}
