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

use std::{collections::VecDeque, time::Duration};

use brigade_core::wire::manager::Holders;
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::{MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;

use self::{
    blocking_work::{BlockingWork, BlockingWorkResult, PreparedFiles},
    fetch_coordination::Fetches,
};
pub(crate) use self::{fetch_coordination::FetchConfig, resolve::resolve_request};
use crate::{
    clock,
    fetch_request::new_fetch::NewFetches,
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

/// The task that owns all fetches.
pub(crate) struct FetchOwner {
    fetches: Fetches,
    background: BlockingWork,
    /// Commands for the session, in order.
    to_session: VecDeque<SessionCommand>,
    session: mpsc::Sender<SessionCommand>,
    orders: mpsc::Receiver<NewFetches>,
    prepared: mpsc::Receiver<PreparedFiles>,
    results: mpsc::Receiver<BlockingWorkResult>,
    holders: mpsc::Receiver<Holders>,
    folder: Folder,
    /// The state of the peer's own folder at the last check.
    private: PrivateState,
}

impl FetchOwner {
    /// Creates the owner. `holders` receives the holders that the manager names. Returns the channel for orders, and
    /// the totals of kept parts.
    pub(crate) fn new(
        config: FetchConfig,
        session: mpsc::Sender<SessionCommand>,
        holders: mpsc::Receiver<Holders>,
    ) -> (Self, mpsc::Sender<NewFetches>, watch::Receiver<KeptTotals>) {
        let (orders_sender, orders) = mpsc::channel(ORDERS);
        let (background, prepared, results) = BlockingWork::new(config.share.clone());
        let folder = config.share.folder().clone();
        let (fetches, totals) = Fetches::new(config, background.clone());
        let this = Self {
            fetches,
            background,
            to_session: VecDeque::new(),
            session,
            orders,
            prepared,
            results,
            holders,
            private: folder.private_state(),
            folder,
        };
        (this, orders_sender, totals)
    }

    /// Runs until it is stopped; then makes unfinished files durable and shows that every fetch was stopped.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        let session = self.session.clone();
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
                Some(holders) = self.holders.recv() => self.fetches.holders(&holders),
                Some(order) = self.orders.recv() => {
                    self.background.measure(order, self.fetches.promised());
                }
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

    fn result(&mut self, result: BlockingWorkResult) {
        match result {
            BlockingWorkResult::Measured { order, kept, result } => {
                let NewFetches { fetches, begun } = order;
                match result {
                    Err(refusal) => drop(begun.send(Err(refusal))),
                    // If the caller does not wait any more, nothing begins.
                    Ok(needs) if begun.send(Ok(())).is_ok() => {
                        for (ordered, needs) in fetches.into_iter().zip(needs) {
                            self.fetches.begin(ordered, needs);
                        }
                    }
                    Ok(_) => {}
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
