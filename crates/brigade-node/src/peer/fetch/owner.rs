//! The owner of everything that is being fetched: the core's `Downloads`, the links to holders, and the fetches
//! that people asked for.
//!
//! One task. It carries out every action, then waits for exactly one event. It never waits for anybody else: links
//! and the session get what fits into their queues, blocking work runs on other threads and reports back.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

use brigade_core::{
    download::{Action, Config, DownloadId, Downloads, Event, HolderId},
    id::Content,
    limits,
    name::FileName,
    time::Timestamp,
    wire::manager::Holders,
};
use tokio::{
    sync::mpsc,
    time::{MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;

use super::{
    disk_space::Room,
    job::{Job, JobId},
    kept_parts::{self, Kept},
    measure::Needs,
    orders::{Answer, Order, Ordered, Prepared},
    prepare::WantedFile,
    progress::{State, Why},
};
use crate::{
    clock,
    peer::{
        session::SessionCommand as Command,
        swarm::{
            connection::Lines,
            fetching::{Fetching, Kind},
            news::News,
            partial::Parts,
            pool::{Links, Loss},
            unreached::Causes,
            writer::Outcome,
        },
    },
    store::{
        folder::{Folder, PrivateState},
        part_file::PartFile,
        share::Share,
    },
};

/// News that may wait for the owner; whoever brings more waits.
pub(crate) const NEWS: usize = 4096;

/// How often people are shown something new.
const SHOWN_EVERY: Duration = Duration::from_millis(100);

/// What the owner is made of.
pub(crate) struct Fetches {
    pub(crate) downloads: Downloads,
    pub(crate) links: Links,
    /// Why holders could not be used.
    pub(crate) causes: Causes,
    pub(crate) jobs: BTreeMap<JobId, Job>,
    pub(crate) last_job: u32,
    pub(crate) fetching: BTreeMap<DownloadId, Fetching>,
    pub(crate) by_content: BTreeMap<Content, DownloadId>,
    pub(crate) last_download: u32,
    /// Contents of files that are being looked through, or get their names though their fetch was given up, or whose parts
    /// are being removed: nobody else touches them meanwhile.
    pub(crate) in_preparation: BTreeSet<Content>,
    /// Downloads that were given up while their files were getting their names: what became of those is still to be told.
    pub(crate) given_up: BTreeSet<DownloadId>,
    /// The names, without their case, of files that were taken up and have not landed.
    pub(crate) taken_names: BTreeMap<String, FileName>,
    /// Files whose content is being fetched under another name: they are made from it.
    pub(crate) deferred: BTreeMap<Content, Vec<(JobId, WantedFile)>>,
    pub(crate) preparing: usize,
    pub(crate) prepared: mpsc::Sender<Prepared>,
    pub(crate) answers: mpsc::Sender<Answer>,
    /// When each content landed that was fetched since there was no fetch.
    pub(crate) landed: BTreeMap<Content, Timestamp>,
    pub(crate) room: Room,
    pub(crate) kept: Kept,
    /// Contents of one piece that are being fetched.
    pub(crate) small: usize,
    /// When the manager may be asked about names again.
    pub(crate) next_meanings: Timestamp,
    /// What the session is to be told, in order.
    pub(crate) for_session: VecDeque<Command>,
    pub(crate) folder: Folder,
    /// How our own folder stood when it was last looked at.
    pub(crate) private: PrivateState,
    pub(crate) share: Share,
    pub(crate) parts: Parts,
    pub(crate) lines: Lines,
}

/// The channels on which the owner hears.
pub(crate) struct Ears {
    pub(crate) orders: mpsc::Receiver<Order>,
    pub(crate) news: mpsc::Receiver<News>,
    pub(crate) outcomes: mpsc::Receiver<Outcome>,
    pub(crate) prepared: mpsc::Receiver<Prepared>,
    pub(crate) answers: mpsc::Receiver<Answer>,
    pub(crate) holders: mpsc::Receiver<Holders>,
}

/// The bounds of the core where a peer may have so many connections, both ways. Where others fetch a content too, half of
/// them are left for those who fetch from here.
fn config(connections: usize) -> Config {
    let neighbours = limits::NEIGHBOURS.min(connections / 2).max(1);
    Config { connections, neighbours, ..Config::default() }
}

impl Fetches {
    pub(crate) fn new(
        lines: Lines,
        share: Share,
        parts: Parts,
        (prepared, answers): (mpsc::Sender<Prepared>, mpsc::Sender<Answer>),
        kept: Kept,
        connections: usize,
        seed: u64,
    ) -> Self {
        Self {
            downloads: Downloads::new(config(connections), seed),
            links: Links::new(lines.clone()),
            causes: Causes::default(),
            jobs: BTreeMap::new(),
            last_job: 0,
            fetching: BTreeMap::new(),
            by_content: BTreeMap::new(),
            last_download: 0,
            in_preparation: BTreeSet::new(),
            given_up: BTreeSet::new(),
            taken_names: BTreeMap::new(),
            deferred: BTreeMap::new(),
            preparing: 0,
            prepared,
            answers,
            landed: BTreeMap::new(),
            room: Room::default(),
            kept,
            small: 0,
            next_meanings: Timestamp::default(),
            for_session: VecDeque::new(),
            folder: share.folder().clone(),
            private: share.folder().private_state(),
            share,
            parts,
            lines,
        }
    }

    /// Runs until it is stopped; then syncs what is unfinished and says of every fetch that it was stopped.
    pub(crate) async fn run(
        mut self,
        mut ears: Ears,
        session: mpsc::Sender<Command>,
        stop: CancellationToken,
    ) {
        let mut tick = interval(SHOWN_EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            self.carry_out_all();
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                Ok(permit) = session.reserve(), if !self.for_session.is_empty() => {
                    if let Some(command) = self.for_session.pop_front() {
                        permit.send(command);
                    }
                }
                Some(outcome) = ears.outcomes.recv() => {
                    // That a file landed was said after its bytes were: those count first.
                    while let Ok(news) = ears.news.try_recv() {
                        self.carry_out_all();
                        self.news(news);
                    }
                    self.carry_out_all();
                    self.outcome(outcome);
                }
                Some(news) = ears.news.recv() => {
                    self.news(news);
                    // What waits is heard before windows are filled again: fewer, larger steps.
                    for _ in 0..64 {
                        let Ok(news) = ears.news.try_recv() else { break };
                        self.carry_out_all();
                        self.news(news);
                    }
                }
                Some(prepared) = ears.prepared.recv() => self.prepared(prepared),
                Some(answer) = ears.answers.recv() => self.answer(answer),
                Some(holders) = ears.holders.recv() => self.holders(&holders),
                Some(order) = ears.orders.recv() => self.order(order),
                () = clock::reach(self.downloads.deadline()) => self.downloads.handle_timeout(clock::now()),
                _ = tick.tick() => self.show_all(),
            }
        }
        self.end().await;
    }

    fn carry_out_all(&mut self) {
        while let Some(action) = self.downloads.next_action() {
            self.carry_out(action);
        }
    }

    fn carry_out(&mut self, action: Action) {
        match action {
            Action::Connect { holder } => self.links.connect(holder),
            Action::Disconnect { holder } => {
                tracing::debug!(?holder, "the connection to a holder is given up");
                self.links.disconnect(holder);
            }
            Action::Open { holder, download, content } => self.links.open(holder, download, content),
            Action::Close { holder, download } => self.links.close(holder, download),
            Action::AskList { holder, download, first } => self.links.ask_list(holder, download, first),
            Action::Request { holder, download, piece, offer } => {
                self.request(holder, download, piece, offer);
            }
            Action::Want { holder, download } => self.links.want(holder, download),
            Action::Decline { holder, offer, .. } => self.links.decline(holder, offer),
            Action::MoreHolders { download } => self.more_holders(download),
            Action::Cancel { holder, download, piece } => self.links.cancel(holder, download, piece),
            Action::ListKnown { download, list } => self.list_known(download, list),
            Action::Finished { download } => self.finished(download),
            Action::Impossible { download, why } => self.give_up(download, Why::Changed, &why.to_string()),
            Action::Starved { download } => self.starved(download, true),
            Action::Fed { download } => self.starved(download, false),
            Action::Shunned { holder, download, why } => {
                let name = self.links.name_of(holder);
                tracing::warn!(holder = name.as_deref(), ?download, %why, "a holder is not asked for this any more");
            }
        }
    }

    fn news(&mut self, news: News) {
        match news {
            News::Core(event) => {
                self.core_event(event);
            }
            News::SecondUp { holder, serial } => self.links.second_is_up(holder, serial),
            News::Throttled { holder, serial, throttled } => {
                if let Some(throttled) = self.links.throttled(holder, serial, throttled) {
                    self.downloads.handle(clock::now(), Event::Throttled { holder, throttled });
                }
            }
            News::Ended { holder, serial, greeted, error } => {
                if self.links.ended(holder, serial) == Loss::Holder {
                    if let Some(error) = error {
                        tracing::debug!(?holder, %error, "the connection to a holder ended");
                        if let Some(whereabouts) = self.links.whereabouts(holder) {
                            self.causes.note(holder, whereabouts, &error);
                        }
                    }
                    let event = if greeted { Event::Lost { holder } } else { Event::Unreachable { holder } };
                    self.downloads.handle(clock::now(), event);
                }
            }
        }
    }

    fn core_event(&mut self, event: Event) {
        match event {
            Event::Stored { holder, download, piece } => {
                self.causes.forget(holder);
                let stored = |this: &Self| this.downloads.status(download).map(|status| status.stored);
                let before = stored(self);
                self.downloads.handle(clock::now(), event);
                // What two holders sent counts once.
                if before.is_some() && stored(self) != before {
                    self.count_stored(holder, download, piece);
                }
            }
            Event::Connected { holder } => {
                self.links.is_up(holder);
                self.downloads.handle(clock::now(), event);
            }
            Event::Refused { holder, download, piece: None, .. } => {
                // Refused on one of two connections, a channel must not stay open on the other.
                self.links.close(holder, download);
                self.downloads.handle(clock::now(), event);
            }
            event => self.downloads.handle(clock::now(), event),
        }
    }

    /// The manager said who holds what.
    fn holders(&mut self, holders: &Holders) {
        self.forget_holders();
        let ids: Vec<Option<HolderId>> = holders.peers.iter().map(|peer| self.links.know(peer)).collect();
        let known = |positions: &[u32]| -> Vec<HolderId> {
            let id = |position: &u32| ids.get(usize::try_from(*position).ok()?).copied().flatten();
            positions.iter().filter_map(id).collect()
        };
        for content in &holders.contents {
            let key = Content { id: content.id, size: content.size };
            let Some(download) = self.by_content.get(&key).copied() else { continue };
            let (complete, partial) = (known(&content.complete), known(&content.partial));
            if let Some(fetching) = self.fetching.get_mut(&download) {
                fetching.known.named(&complete, &partial);
                if !fetching.known.are_gone() {
                    fetching.asked = None;
                }
            }
            self.downloads.handle(clock::now(), Event::Holders { download, complete, partial });
        }
    }

    /// Forgets the holders that no content, fetch or connection refers to, once there are many.
    fn forget_holders(&mut self) {
        if !self.links.are_many() {
            return;
        }
        let mut referred_to = self.downloads.referred_to();
        referred_to.extend(self.fetching.values().flat_map(|fetching| fetching.known.all()));
        referred_to.extend(self.jobs.values().flat_map(|job| job.accounts.holders()));
        self.links.forget_all_but(referred_to);
    }

    pub(crate) fn answer(&mut self, answer: Answer) {
        match answer {
            Answer::Measured { order, kept, result } => self.measured(order, kept, result),
            Answer::Free(free) => self.free(free),
            Answer::Kept(parts) => self.looked_at_kept(parts),
            Answer::Removed(contents) => self.removed(&contents),
            Answer::Means { download, found } => self.means(download, &found),
        }
    }

    pub(crate) fn begin(&mut self, ordered: Ordered, needs: Needs) {
        let Ordered { name, files, progress, given_up } = ordered;
        self.last_job += 1;
        let id = JobId(self.last_job);
        let begun = (clock::now(), self.downloads.fetched_twice_bytes());
        self.jobs.insert(id, Job::new(name, files, progress, given_up, needs, begun));
        self.prepare_more();
    }

    fn show_all(&mut self) {
        let now = clock::now();
        let given_up: Vec<JobId> =
            self.jobs.iter().filter(|(_, job)| job.given_up.is_cancelled()).map(|(id, _)| *id).collect();
        for job in given_up {
            self.stop_job(job);
        }
        if let Err(gone) = self.folder.check_place() {
            self.give_up_all(&gone.to_string());
        }
        self.look_at_private();
        self.look_for_room(now);
        self.look_at_kept(now);
        self.ask_meanings(now);
        for (id, job) in &mut self.jobs {
            job.accounts.progress.holders = self.links.connected();
            let of_it = self.fetching.values().filter(|fetching| fetching.job == *id);
            let left = of_it.map(|fetching| fetching.content.size.saturating_sub(fetching.done().0));
            job.accounts.left_bytes = left.fold(job.unseen_bytes(), u64::saturating_add);
            let waiting = self.fetching.values().filter(|fetching| fetching.job == *id && fetching.starved);
            job.accounts.progress.out_of_reach =
                waiting.clone().map(|fetching| fetching.known.now()).max().unwrap_or(0);
            job.accounts.progress.unreached = self.causes.of(waiting);
            let (links, twice) = (&self.links, self.downloads.fetched_twice_bytes());
            job.show(now, twice, &self.room, |holder| links.name_of(holder));
        }
    }

    async fn end(mut self) {
        self.links.disconnect_all();
        let files: Vec<PartFile> = self
            .fetching
            .values()
            .filter_map(|fetching| match &fetching.kind {
                Kind::Large { file, .. } => Some(file.clone()),
                Kind::Small(_) => None,
            })
            .collect();
        let (folder, removing) = (self.folder.clone(), self.kept.removing());
        let sync = tokio::task::spawn_blocking(move || {
            files.iter().for_each(|file| drop(file.sync()));
            kept_parts::remove(&folder, &removing);
            if let Err(error) = folder.remove_empty_places() {
                tracing::debug!(%error, "empty folders of ours stay on other file systems");
            }
        });
        let _ = tokio::time::timeout(Duration::from_secs(1), sync).await;
        let (links, twice) = (&self.links, self.downloads.fetched_twice_bytes());
        for job in self.jobs.values_mut() {
            job.accounts.progress.state = State::Stopped;
            job.show(clock::now(), twice, &self.room, |holder| links.name_of(holder));
        }
    }
}
