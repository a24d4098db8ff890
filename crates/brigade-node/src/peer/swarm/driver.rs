//! The driver: fetches contents from many holders, as the core's [`Downloads`] decides.
//!
//! It carries out the actions of the core, and reports events to the core and, as [`SwarmEvent`]s, to its owner. The
//! owner calls [`Swarm::next_event`] until there is none, and then waits for [`Swarm::receive`]. Nothing here waits for
//! another task.

use std::{collections::VecDeque, sync::Arc};

use brigade_core::{
    bitfield::Bitfield,
    content::PieceList,
    download::{Action, Config, DownloadId, Downloads, Event, HolderId},
    geometry::PieceIndex,
    id::Content,
    limits,
    name::Username,
    time::Timestamp,
    wire::manager::Holders,
};
use tokio::sync::mpsc;

use super::{
    active_downloads::ActiveDownloads,
    connection::ConnectionContext,
    message::{
        ConnectionEvent, EndedDownload, LandedContent, ManagerUpdate, OpenPart, ReceiveCounter, SwarmConfig,
        SwarmEvent, SwarmInput, WriteOutcome,
    },
    pool::ConnectionPool,
    writer::PieceWriter,
};
use crate::{
    clock,
    progress::UnreachableHolder,
    store::{landing::Landing, part_file::PartFile},
};

/// The length of the queues of connection events and write outcomes; a sender waits while one is full.
const EVENT_QUEUE: usize = 4096;

/// Connection events that are handled together: fewer, larger steps of the core.
const EVENTS_AT_ONCE: usize = 64;

/// All active downloads, and the connections to their holders.
pub(crate) struct Swarm {
    downloads: Downloads,
    pool: ConnectionPool,
    active: ActiveDownloads,
    /// Events for the owner.
    events: VecDeque<SwarmEvent>,
    /// Contents of which the manager is to name the holders from now on.
    to_watch: Vec<Content>,
    connection_events: mpsc::Receiver<ConnectionEvent>,
    outcomes: mpsc::Receiver<WriteOutcome>,
}

/// The limits of the core. Where others fetch a content too, half of the connections are left for their fetches.
fn core_config(connections: usize) -> Config {
    let neighbours = limits::NEIGHBOURS.min(connections / 2).max(1);
    Config { connections, neighbours, ..Config::default() }
}

impl Swarm {
    /// Creates a swarm without downloads, and starts the thread that writes small files.
    pub(crate) fn new(config: SwarmConfig) -> Self {
        let SwarmConfig { connections, max_connections, folder, parts, keeper, seed } = config;
        let (events, connection_events) = mpsc::channel(EVENT_QUEUE);
        let (outcomes_sender, outcomes) = mpsc::channel(EVENT_QUEUE);
        let writer = PieceWriter::start(folder.clone(), keeper, events.clone(), outcomes_sender);
        Self {
            downloads: Downloads::new(core_config(max_connections), seed),
            pool: ConnectionPool::new(ConnectionContext::new(connections, writer.clone(), events)),
            active: ActiveDownloads::new(writer, parts, folder),
            events: VecDeque::new(),
            to_watch: vec![],
            connection_events,
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
        counter: Arc<ReceiveCounter>,
    ) -> Option<(u64, u64)> {
        let Some(OpenPart { file, list, have }) = part else {
            let download = self.active.add_small(content, landing, counter)?;
            self.begin(content, download, (None, Bitfield::none(1)));
            return Some((0, 0));
        };
        let (download, present) = self.active.add_large(content, file, landing, &have, counter)?;
        if let Some(list) = &list {
            self.serve(download, list.clone(), Some(have.clone()));
        }
        self.begin(content, download, (list, have));
        Some(present)
    }

    fn begin(
        &mut self,
        content: Content,
        download: DownloadId,
        (list, have): (Option<Arc<PieceList>>, Bitfield),
    ) {
        self.downloads.handle(clock::now(), Event::Start { download, content, list, have });
        self.to_watch.push(content);
    }

    /// Serves the part of a content from now on.
    fn serve(&mut self, download: DownloadId, list: Arc<PieceList>, have: Option<Bitfield>) {
        if let Some(content) = self.active.serve(download, list, have) {
            self.notify(ManagerUpdate::Hold(content));
        }
    }

    /// Ends a download. If it is getting its name at this moment, it still gets it.
    pub(crate) fn forget(&mut self, content: &Content) -> Option<EndedDownload> {
        let download = self.active.number(content)?;
        self.downloads.handle(clock::now(), Event::Forget { download });
        let ended = self.active.remove(download)?;
        self.ended(*content, &ended);
        Some(ended)
    }

    /// Something for the manager, which the owner passes on.
    fn notify(&mut self, update: ManagerUpdate) {
        self.events.push_back(SwarmEvent::Manager(update));
    }

    /// The manager has to know that a download has ended.
    fn ended(&mut self, content: Content, ended: &EndedDownload) {
        match self.to_watch.iter().position(|waiting| *waiting == content) {
            Some(waiting) => drop(self.to_watch.remove(waiting)),
            None => self.notify(ManagerUpdate::Unwatch(content)),
        }
        if ended.is_served {
            self.notify(ManagerUpdate::Unhold(content));
        }
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
    pub(crate) fn resume(&mut self, content: &Content) -> Option<(u64, u64)> {
        let resumed = self.active.resume(content)?;
        let download = resumed.download;
        self.begin(*content, download, (resumed.list, resumed.have));
        if let Some((complete, partial)) = resumed.holders {
            self.downloads.handle(clock::now(), Event::Holders { download, complete, partial });
        }
        Some(resumed.uncounted)
    }

    /// Waits for the next input. It may be dropped at any time.
    pub(crate) async fn receive(&mut self) -> SwarmInput {
        tokio::select! {
            biased;
            Some(outcome) = self.outcomes.recv() => SwarmInput::Written(outcome),
            Some(event) = self.connection_events.recv() => SwarmInput::Connection(event),
            else => std::future::pending().await,
        }
    }

    /// Handles an input, and connection events that are waiting.
    pub(crate) fn handle(&mut self, input: SwarmInput) {
        match input {
            SwarmInput::Written(outcome) => {
                // The event of the last stored piece was sent before the result of landing: it is handled before.
                while let Ok(event) = self.connection_events.try_recv() {
                    self.carry_out_all();
                    self.connection_event(event);
                }
                self.carry_out_all();
                self.write_outcome(outcome);
            }
            SwarmInput::Connection(event) => {
                self.connection_event(event);
                for _ in 0..EVENTS_AT_ONCE {
                    let Ok(event) = self.connection_events.try_recv() else { break };
                    self.carry_out_all();
                    self.connection_event(event);
                }
            }
        }
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
            if self.events.is_empty() && !self.to_watch.is_empty() {
                let page = self.to_watch.len().min(limits::WATCH_CONTENTS);
                let watched = self.to_watch.drain(..page).collect();
                self.notify(ManagerUpdate::Watch(watched));
            }
            if let Some(event) = self.events.pop_front() {
                return Some(event);
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
        match action {
            Action::Connect { holder } => self.pool.connect(holder),
            Action::Disconnect { holder } => {
                tracing::debug!(?holder, "the connection to a holder is given up");
                self.pool.disconnect(holder);
            }
            Action::Open { holder, download, content } => self.pool.open(holder, download, content),
            Action::Close { holder, download } => self.pool.close(holder, download),
            Action::AskList { holder, download, first } => self.pool.ask_list(holder, download, first),
            Action::Request { holder, download, piece, offer } => {
                self.request(holder, download, piece, offer);
            }
            Action::Want { holder, download } => self.pool.want(holder, download),
            Action::Decline { holder, offer, .. } => self.pool.decline(holder, offer),
            Action::Cancel { holder, download, piece } => self.pool.cancel(holder, download, piece),
            Action::ListKnown { download, list } => {
                self.active.save_list(download, list.clone());
                self.serve(download, list, None);
            }
            Action::Finished { download } => self.active.finish(download),
            Action::MoreHolders { download } => {
                if let Some((content, times)) = self.active.ask_for_others(download) {
                    self.notify(ManagerUpdate::WatchOthers(content, times));
                }
            }
            Action::Failed { download, error } => {
                self.send(download, |content| SwarmEvent::Impossible { content, error });
            }
            Action::Starved { download } => self.send(download, SwarmEvent::Starved),
            Action::Fed { download } => self.send(download, SwarmEvent::Fed),
            Action::Banned { holder, download, fault } => {
                let name = self.pool.name_of(holder);
                tracing::warn!(holder = name.as_deref(), ?download, %fault, "a holder is not asked for this any more");
            }
        }
    }

    fn send(&mut self, download: DownloadId, event: impl FnOnce(Content) -> SwarmEvent) {
        self.events.extend(self.active.content(download).map(event));
    }

    fn request(&mut self, holder: HolderId, download: DownloadId, piece: PieceIndex, offer: Option<u32>) {
        let Some(expected) = self.downloads.expected(download, piece) else { return };
        if let Some(wanted) = self.active.wanted_piece((download, piece), offer, expected) {
            self.pool.request(holder, wanted);
        }
    }

    fn connection_event(&mut self, event: ConnectionEvent) {
        let Some(event) = self.pool.handle(event) else { return };
        let Event::Stored { holder, download, piece } = event else {
            return self.downloads.handle(clock::now(), event);
        };
        let stored = |this: &Self| this.downloads.status(download).map(|status| status.stored);
        let before = stored(self);
        self.downloads.handle(clock::now(), event);
        // A piece that two holders sent counts once.
        if before.is_some() && stored(self) != before {
            let counted = self.active.count(download, piece);
            self.events.extend(counted.map(|(content, bytes)| SwarmEvent::Stored { content, holder, bytes }));
        }
    }

    fn write_outcome(&mut self, outcome: WriteOutcome) {
        match outcome {
            WriteOutcome::NotWritten { download, error } => {
                let content = self.active.unfinished(download);
                self.events.extend(content.map(|content| SwarmEvent::NotWritten { content, error }));
            }
            WriteOutcome::Landed(results) => {
                let landed = results.into_iter().filter_map(|result| self.active.landed(result));
                let landed: Vec<LandedContent> = landed.collect();
                for LandedContent { content, ended, .. } in &landed {
                    ended.iter().for_each(|ended| self.ended(*content, ended));
                }
                self.events.push_back(SwarmEvent::Landed(landed));
            }
        }
    }

    /// The manager named holders. Once many are known, those without a reference are forgotten, but for the `needed`
    /// ones.
    pub(crate) fn holders(&mut self, named: &Holders, needed: impl Iterator<Item = HolderId>) {
        if self.pool.has_many_holders() {
            let mut referred_to = self.downloads.referred_to();
            referred_to.extend(self.active.all_holders());
            referred_to.extend(needed);
            self.pool.forget_all_but(referred_to);
        }
        for (content, complete, partial) in self.pool.add_holders(named) {
            let Some(download) = self.active.number(&content) else { continue };
            self.active.set_holders(download, &complete, &partial);
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

    pub(crate) fn is_active(&self, content: &Content) -> bool {
        self.active.number(content).is_some()
    }

    pub(crate) fn len(&self) -> usize {
        self.active.len()
    }

    /// The number of active contents of several pieces.
    pub(crate) fn large(&self) -> usize {
        self.active.large()
    }

    /// The active contents of several pieces that are not getting their names.
    pub(crate) fn unfinished_large(&self) -> Vec<Content> {
        self.active.unfinished_large()
    }

    /// The part files of all active contents of several pieces.
    pub(crate) fn part_files(&self) -> Vec<PartFile> {
        self.active.part_files()
    }

    /// Bytes that were received twice, over all downloads.
    pub(crate) fn bytes_twice(&self) -> u64 {
        self.downloads.fetched_twice_bytes()
    }

    /// The number of connected holders.
    pub(crate) fn connected(&self) -> usize {
        self.pool.connected()
    }

    pub(crate) fn name_of(&self, holder: HolderId) -> Option<Username> {
        self.pool.name_of(holder)
    }

    /// The largest number of holders that are named of one of these contents, and the first few that could not be used.
    pub(crate) fn unreached<'a>(
        &self,
        contents: impl Iterator<Item = &'a Content> + Clone,
    ) -> (usize, Vec<UnreachableHolder>) {
        let named = contents.clone().map(|content| self.active.holders(content).count()).max();
        let holders = contents.flat_map(|content| self.active.holders(content));
        (named.unwrap_or(0), self.pool.unreached(holders))
    }

    /// Whether the manager says that no holder has all of a content now.
    pub(crate) fn has_lost_holders(&self, content: &Content) -> bool {
        self.active.lost_holders(content).is_some()
    }

    /// The names of the holders that had all of a content, if the manager says that there is none now.
    pub(crate) fn lost_holders(&self, content: &Content) -> Option<Vec<Username>> {
        let lost = self.active.lost_holders(content)?;
        Some(lost.iter().filter_map(|holder| self.pool.name_of(*holder)).collect())
    }
}
