//! The fetches that people ask for, and the task that owns all of them.
//!
//! [`FetchOwner`] waits for one input at a time, and has it handled. It never waits for another task: connections and
//! the session get what fits into their queues, and work that takes time is done in the background and sends its
//! result. `resolve` finds the files of a request, `disk_space` and `file_preparation` check them.
//! `fetch_coordination` decides which files start, land, wait or fail; `job_table` has all fetches, each of them a
//! `job`. The module `swarm` decides which pieces are received from which holder.

mod blocking_work;
mod catalogue_change_check;
mod disk_space;
mod fetch_coordination;
mod file_preparation;
mod job;
mod job_table;
mod name_and_content_claims;
mod resolve;
mod space_needs;
mod unused_parts;

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use brigade_core::{id::Content, wire::manager::Holders};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::{MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;

use self::{
    blocking_work::{BlockingWork, BlockingWorkResult, PreparedFiles},
    fetch_coordination::Fetches,
    space_needs::SpaceNeeds,
};
pub(crate) use self::{fetch_coordination::FetchConfig, resolve::resolve_request};
use crate::{
    clock,
    fetch_error::FetchError,
    fetch_request::{
        FetchId,
        new_fetch::{FetchOrder, NewFetch, NewFetches, OrderedFetch},
        running_fetch::{ContentHolderNames, Fetch},
        stored_fetches::StoredFetches,
    },
    manager_questions::{Answer, Question},
    peer::{session::SessionCommand, swarm::ManagerUpdate},
    peer_status::KeptTotals,
    store::folder::{Folder, FolderError, PrivateState},
};

/// Orders that may wait.
const ORDERS: usize = 256;

/// How often people are shown something new.
const SHOWN_EVERY: Duration = Duration::from_millis(100);

/// How long making the part files durable may take at the end.
const SYNC_TIMEOUT: Duration = Duration::from_secs(1);

/// The channels that lead to the owner of the fetches.
#[derive(Debug)]
pub(crate) struct FetchChannels {
    pub(crate) orders: mpsc::Sender<FetchOrder>,
    /// The list of all fetches.
    pub(crate) list: watch::Receiver<Arc<Vec<Fetch>>>,
    /// The totals of kept parts.
    pub(crate) kept: watch::Receiver<KeptTotals>,
    /// The number of fetches of an earlier run, when they have begun.
    pub(crate) resumed: watch::Receiver<Option<usize>>,
}

/// The task that owns all fetches.
pub(crate) struct FetchOwner {
    fetches: Fetches,
    background: BlockingWork,
    /// Commands for the session, in order.
    to_session: VecDeque<SessionCommand>,
    session: mpsc::Sender<SessionCommand>,
    orders: mpsc::Receiver<FetchOrder>,
    /// The fetches of an earlier run, before they begin.
    restored: Vec<OrderedFetch>,
    resumed: watch::Sender<Option<usize>>,
    /// The questions for the members that hold a content, until the manager names them.
    holder_questions: BTreeMap<Content, Vec<oneshot::Sender<ContentHolderNames>>>,
    prepared: mpsc::Receiver<PreparedFiles>,
    results: mpsc::Receiver<BlockingWorkResult>,
    holders: mpsc::Receiver<Holders>,
    folder: Folder,
    /// The state of the peer's own folder at the last check.
    private: PrivateState,
}

impl FetchOwner {
    /// Creates the owner. `holders` receives the holders that the manager names. Returns the channels that lead to it.
    pub(crate) fn new(
        config: FetchConfig,
        session: mpsc::Sender<SessionCommand>,
        holders: mpsc::Receiver<Holders>,
    ) -> (Self, FetchChannels) {
        let (orders_sender, orders) = mpsc::channel(ORDERS);
        let folder = config.share.folder().clone();
        let (stored, restored) = match config.keep_fetches {
            true => StoredFetches::open(&folder.private_dir()),
            false => (StoredFetches::default(), vec![]),
        };
        let (background, prepared, results) = BlockingWork::new(config.share.clone(), stored);
        let (fetches, kept) = Fetches::new(config, background.clone());
        let (resumed, resumed_number) = watch::channel(restored.is_empty().then_some(0));
        let list = fetches.list();
        let channels = FetchChannels { orders: orders_sender, list, kept, resumed: resumed_number };
        let this = Self {
            fetches,
            background,
            to_session: VecDeque::new(),
            session,
            orders,
            restored,
            resumed,
            holder_questions: BTreeMap::new(),
            prepared,
            results,
            holders,
            private: folder.private_state(),
            folder,
        };
        (this, channels)
    }

    /// Runs until it is stopped; then makes unfinished files durable and shows that every fetch was stopped.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        let session = self.session.clone();
        if !self.restored.is_empty() {
            let order = NewFetches { fetches: std::mem::take(&mut self.restored), begun: None };
            self.background.measure(order, self.fetches.promised());
        }
        let mut tick = interval(SHOWN_EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            self.handle_events();
            let deadline = self.fetches.swarm().deadline();
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                Ok(permit) = session.reserve(), if !self.to_session.is_empty() => {
                    if let Some(command) = self.to_session.pop_front() {
                        permit.send(command);
                    }
                }
                input = self.fetches.swarm().receive() => self.fetches.swarm().handle(input),
                Some(prepared) = self.prepared.recv() => self.fetches.prepared(prepared),
                Some(result) = self.results.recv() => self.result(result),
                Some(holders) = self.holders.recv() => self.holders_named(&holders),
                Some(order) = self.orders.recv() => self.order(order),
                () = clock::reach(deadline) => self.fetches.swarm().handle_timeout(clock::now()),
                _ = tick.tick() => self.tick(),
            }
        }
        let (files, removing) = self.fetches.stop_all();
        let _ = tokio::time::timeout(SYNC_TIMEOUT, self.background.sync(files, removing)).await;
        self.fetches.show_stopped();
    }

    /// Handles all events of the swarm.
    fn handle_events(&mut self) {
        while let Some(event) = self.fetches.swarm().next_event() {
            let command = match self.fetches.handle(event) {
                None => continue,
                Some(ManagerUpdate::Watch(contents)) => SessionCommand::Watch(contents),
                Some(ManagerUpdate::WatchOthers(content, times)) => {
                    SessionCommand::WatchOthers(content, times)
                }
                Some(ManagerUpdate::Unwatch(contents)) => SessionCommand::Unwatch(contents),
                Some(ManagerUpdate::Hold(content)) => SessionCommand::Hold(content),
                Some(ManagerUpdate::Unhold(content)) => SessionCommand::Unhold(content),
            };
            self.to_session.push_back(command);
        }
    }

    fn order(&mut self, order: FetchOrder) {
        match order {
            FetchOrder::Begin(order) => self.background.measure(order, self.fetches.promised()),
            FetchOrder::Forget(id, reply) => drop(reply.send(self.fetches.forget_ended(id))),
            FetchOrder::Pieces(id, reply) => drop(reply.send(self.fetches.piece_map(id))),
            FetchOrder::Holders(content, reply) => match self.fetches.swarm().holder_names(&content) {
                Some(names) => drop(reply.send(names)),
                None => {
                    self.holder_questions.entry(content).or_default().push(reply);
                    self.to_session.push_back(SessionCommand::Watch(vec![content]));
                }
            },
        }
    }

    /// The fetches of an order can begin: with these numbers, and with so much space. If the caller does not wait any
    /// more, none begins.
    fn begin(
        &mut self,
        fetches: Vec<OrderedFetch>,
        measured: Vec<(FetchId, SpaceNeeds)>,
        begun: Option<oneshot::Sender<Result<Vec<Fetch>, FetchError>>>,
    ) {
        let ids = measured.iter().map(|(id, _)| *id).collect();
        let new = |(ordered, (id, needs))| (NewFetch::begin(ordered, id), needs);
        let new: Vec<(NewFetch, SpaceNeeds)> = fetches.into_iter().zip(measured).map(new).collect();
        let handles = new.iter().map(|(fetch, _)| fetch.handle.clone()).collect();
        let resumed = begun.is_none().then_some(new.len());
        if begun.is_some_and(|begun| begun.send(Ok(handles)).is_err()) {
            return self.background.remove_stored(ids);
        }
        new.into_iter().for_each(|(fetch, needs)| self.fetches.begin(fetch, needs));
        if resumed.is_some() {
            self.resumed.send_replace(resumed);
        }
    }

    /// The manager named holders: of contents that are fetched, or that a person asked for.
    fn holders_named(&mut self, named: &Holders) {
        self.fetches.holders(named);
        if self.holder_questions.is_empty() {
            return;
        }
        for of in &named.contents {
            let content = Content { id: of.id, size: of.size };
            let Some(replies) = self.holder_questions.remove(&content) else { continue };
            let name =
                |position: &u32| Some(named.peers.get(usize::try_from(*position).ok()?)?.username.clone());
            let names = ContentHolderNames {
                complete: of.complete.iter().filter_map(name).collect(),
                partial: of.partial.iter().filter_map(name).collect(),
            };
            replies.into_iter().for_each(|reply| drop(reply.send(names.clone())));
            if !self.fetches.swarm().is_active(&content) {
                self.to_session.push_back(SessionCommand::Unwatch(vec![content]));
            }
        }
    }

    /// Drops the questions whose askers do not wait any more.
    fn drop_unwanted_questions(&mut self) {
        let mut unwanted = vec![];
        self.holder_questions.retain(|content, replies| {
            replies.retain(|reply| !reply.is_closed());
            if replies.is_empty() {
                unwanted.push(*content);
            }
            !replies.is_empty()
        });
        unwanted.retain(|content| !self.fetches.swarm().is_active(content));
        if !unwanted.is_empty() {
            self.to_session.push_back(SessionCommand::Unwatch(unwanted));
        }
    }

    fn result(&mut self, result: BlockingWorkResult) {
        match result {
            BlockingWorkResult::Measured { order, kept, result } => {
                let NewFetches { fetches, begun } = order;
                match result {
                    Err(refusal) => drop(begun.map(|begun| begun.send(Err(refusal)))),
                    Ok(measured) => self.begin(fetches, measured, begun),
                }
                // Only now: parts that a fetch wants from now on are not unused, whatever their age.
                self.fetches.parts_found(kept);
            }
            BlockingWorkResult::FreeSpace(free) => self.fetches.space_checked(free),
            BlockingWorkResult::PartsFound(parts) => self.fetches.parts_checked(parts),
            BlockingWorkResult::PartsRemoved(contents) => self.fetches.parts_removed(&contents),
            BlockingWorkResult::NameFound { content, number, found } => {
                self.fetches.name_checked(&content, number, &found);
            }
        }
    }

    fn tick(&mut self) {
        let now = clock::now();
        self.fetches.stop_given_up();
        self.fetches.carry_out_wishes();
        self.drop_unwanted_questions();
        self.check_folder();
        self.fetches.tick(now);
        for (content, number, name) in self.fetches.names_to_check(now) {
            let (reply, answer) = oneshot::channel();
            self.to_session.push_back(SessionCommand::Ask {
                question: Question::Lookup { name: name.to_string() },
                reply,
            });
            self.background.spawn(async move {
                // A manager that is away knows nothing now: it is asked again later.
                let Ok(Ok(Answer::LookupResult(found))) = answer.await else { return None };
                Some(BlockingWorkResult::NameFound { content, number, found })
            });
        }
    }

    /// Gives up contents that cannot be written because the folder was removed, or the peer's own folder in it.
    fn check_folder(&mut self) {
        if let Err(error) = self.folder.check_at_path() {
            self.fetches.give_up_all(&error.to_string());
        }
        let state = self.folder.private_state();
        let before = std::mem::replace(&mut self.private, state);
        if before.recreated != state.recreated {
            // The part files have lost their names.
            let error = FolderError::Removed { path: self.folder.private_dir() };
            self.fetches.give_up_large(&error.to_string());
        } else if before.parts != state.parts {
            self.fetches.begin_large_again();
        }
    }
}
