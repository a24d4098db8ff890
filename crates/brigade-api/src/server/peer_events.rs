//! Publishes the events of a peer, and makes its present state for clients that have lost events.
//!
//! Changes that are rare are published at once. Values that change all the time (progress, rates, hashing) are read some
//! times a second, and only while a client follows the events.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
    time::Duration,
};

use brigade_node::peer::{Fetch as NodeFetch, FetchId, ProblemList};
use tokio::{
    sync::watch,
    time::{Instant, MissedTickBehavior, interval},
};

use super::api_state::PeerApi;
use crate::values::{EventData, Fetch, FetchChange, LogLevel, Share};

/// How often the progress of fetches is read.
const PROGRESS_EVERY: Duration = Duration::from_millis(250);

/// How often rates, hashing and limits are read: every so many times.
const TICKS_PER_STATUS: u32 = 4;

/// The most events for log lines in [`LOG_WINDOW`]; the log itself has all.
const LOG_LINES: u32 = 100;

/// The time in which events for log lines are counted.
const LOG_WINDOW: Duration = Duration::from_secs(1);

/// Publishes events until the peer stops.
pub(super) async fn publish(api: Arc<PeerApi>) {
    let mut publisher = Publisher::new(api);
    publisher.run().await;
    publisher.api.hub.close();
}

/// The number of problems for people: files that are not shared, and problems of the folder.
pub(super) fn problem_count(list: &ProblemList) -> u64 {
    (list.keeper_problems.len() + list.listed.len() + list.rest) as u64
}

/// The whole state as events; the first one is a `reset`.
pub(super) async fn present_state(api: Arc<PeerApi>) -> Vec<EventData> {
    let list = api.peer.fetches().borrow().clone();
    let mut events = vec![EventData::Reset { fetches: list.iter().map(|fetch| fetch.id().0).collect() }];
    let present = |fetch: &NodeFetch| event(fetch, FetchChange::Present);
    events.extend(list.iter().map(present));
    events.extend(status_events(&api).await);
    events.push(EventData::ManagerState { manager: (&*api.peer.state().borrow()).into() });
    events.push(EventData::Clock { clock: api.peer.clock().borrow().map(Into::into) });
    events.push(EventData::Problems { problems: problem_count(&api.peer.problems().borrow()) });
    events
}

/// The values that are read once a second.
async fn status_events(api: &PeerApi) -> Vec<EventData> {
    let status = api.peer.status();
    let mut events = vec![
        EventData::Hashing { hashing: (&status.backlog).into() },
        EventData::Rates { sending: status.sending, receiving: status.receiving },
    ];
    let shares = api.peer.shares();
    if !shares.is_empty() {
        events.push(EventData::Shares { shares: shares.iter().map(Share::from).collect() });
    }
    events.extend(api.verification.shown().map(|verification| EventData::Verification { verification }));
    let limits = api.peer.limits().await;
    events.extend(limits.map(|limits| EventData::Limits { limits: (&limits).into() }));
    events
}

fn event(fetch: &NodeFetch, change: FetchChange) -> EventData {
    EventData::Fetch { change, fetch: Box::new(fetch.into()) }
}

/// What was published last.
struct Publisher {
    api: Arc<PeerApi>,
    /// The fetches of the list, and whether their end was published.
    fetches: BTreeMap<FetchId, PublishedFetch>,
    status: Vec<EventData>,
    log_line: u64,
    log_window: (Instant, u32),
}

struct PublishedFetch {
    fetch: NodeFetch,
    progress: watch::Receiver<brigade_node::peer::Progress>,
    last: Fetch,
}

impl Publisher {
    fn new(api: Arc<PeerApi>) -> Self {
        let log_line = *api.log.follow().borrow();
        let log_window = (Instant::now(), 0);
        let mut publisher = Self { api, fetches: BTreeMap::new(), status: vec![], log_line, log_window };
        publisher.compare_fetches();
        publisher
    }

    async fn run(&mut self) {
        let peer = self.api.peer.clone();
        let (mut list, mut state, mut clock) = (peer.fetches(), peer.state(), peer.clock());
        let (mut problems, mut log) = (peer.problems(), self.api.log.follow());
        let mut followers = self.api.hub.followers();
        let mut tick = interval(PROGRESS_EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut ticks = 0;
        loop {
            let is_followed = *followers.borrow_and_update() > 0;
            let publish = |data: EventData| self.api.hub.publish(&data);
            tokio::select! {
                () = peer.stopping() => return,
                Ok(()) = list.changed() => self.compare_fetches(),
                Ok(()) = state.changed() => {
                    let manager = (&*state.borrow_and_update()).into();
                    publish(EventData::ManagerState { manager });
                }
                Ok(()) = clock.changed() => {
                    let clock = clock.borrow_and_update().map(Into::into);
                    publish(EventData::Clock { clock });
                }
                Ok(()) = problems.changed() => {
                    let problems = problem_count(&problems.borrow_and_update());
                    publish(EventData::Problems { problems });
                }
                Ok(()) = log.changed() => self.publish_log(),
                // A loop that sleeps while nobody follows wakes up when somebody does.
                Ok(()) = followers.changed() => {}
                _ = tick.tick(), if is_followed => {
                    self.publish_progress();
                    ticks += 1;
                    if ticks % TICKS_PER_STATUS == 0 {
                        self.publish_status().await;
                    }
                }
            }
        }
    }

    /// Compares the list of fetches with the published ones.
    fn compare_fetches(&mut self) {
        let list = self.api.peer.fetches().borrow().clone();
        for fetch in list.iter() {
            if !self.fetches.contains_key(&fetch.id()) {
                let mut progress = fetch.progress();
                progress.mark_unchanged();
                let last = Fetch::from(fetch);
                self.publish_fetch(&last, FetchChange::Begun);
                if last.state.is_over() {
                    self.publish_fetch(&last, FetchChange::Ended);
                }
                self.fetches.insert(fetch.id(), PublishedFetch { fetch: fetch.clone(), progress, last });
            }
        }
        self.publish_progress();
        let listed: HashSet<FetchId> = list.iter().map(NodeFetch::id).collect();
        let removed: Vec<FetchId> = self.fetches.keys().filter(|id| !listed.contains(id)).copied().collect();
        for id in removed {
            self.fetches.remove(&id);
            self.api.hub.publish(&EventData::FetchRemoved { id: id.0 });
        }
    }

    /// Publishes the fetches that changed since they were published.
    fn publish_progress(&mut self) {
        let mut changed = vec![];
        for published in self.fetches.values_mut().filter(|published| !published.last.state.is_over()) {
            // An error means that the peer ends: then the fetch has its last state.
            if published.progress.has_changed().unwrap_or(true) {
                published.progress.mark_unchanged();
                let now = Fetch::from(&published.fetch);
                // While a fetch waits, only its time changes.
                let is_new = Fetch { seconds: published.last.seconds, ..now.clone() } != published.last;
                if is_new {
                    published.last = now.clone();
                    changed.push(now);
                }
            }
        }
        for fetch in changed {
            let change = if fetch.state.is_over() { FetchChange::Ended } else { FetchChange::Progress };
            self.publish_fetch(&fetch, change);
        }
    }

    fn publish_fetch(&self, fetch: &Fetch, change: FetchChange) {
        self.api.hub.publish(&EventData::Fetch { change, fetch: Box::new(fetch.clone()) });
    }

    /// Publishes the values that are read once a second, if they changed.
    async fn publish_status(&mut self) {
        let status = status_events(&self.api).await;
        for data in status.iter().filter(|data| !self.status.contains(data)) {
            self.api.hub.publish(data);
        }
        self.status = status;
    }

    /// Publishes the lines of the log that report something odd.
    fn publish_log(&mut self) {
        for line in self.api.log.after(self.log_line) {
            self.log_line = line.number;
            if line.level <= LogLevel::Warn && self.takes_log_line() {
                self.api.hub.publish(&EventData::Log { line });
            }
        }
    }

    /// Whether another log line may be an event now.
    fn takes_log_line(&mut self) -> bool {
        let (since, lines) = &mut self.log_window;
        if since.elapsed() >= LOG_WINDOW {
            (*since, *lines) = (Instant::now(), 0);
        }
        *lines += 1;
        *lines <= LOG_LINES
    }
}
