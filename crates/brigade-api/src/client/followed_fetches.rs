//! The progress of fetches of another process, as if they were our own.
//!
//! One task reads the events from before the fetches begin, and publishes the progress of each until all have ended.
//! Without events, because too many clients follow them already, it asks for the list of fetches again and again.

use std::{collections::BTreeMap, time::Duration};

use brigade_node::peer::Progress;
use tokio::{
    sync::{oneshot, watch},
    time::{MissedTickBehavior, interval, sleep},
};

use super::{client_error::ClientError, event_stream::EventStream, peer_client::PeerClient};
use crate::{
    problem::REFUSED,
    values::{EventData, Fetch},
};

/// How often the list is asked for without events.
const ASK_EVERY: Duration = Duration::from_millis(500);

/// How often the list is asked for with events.
const CHECK_EVERY: Duration = Duration::from_secs(10);

/// The most fetches whose last state is kept before it is known which ones are followed.
const KEPT: usize = 20_000;

/// Reads the events of fetches that are about to begin. They may end, and leave the list, before their numbers are known
/// to the client.
#[derive(Debug)]
pub struct FetchFollower {
    /// Takes the followed fetches.
    followed: oneshot::Sender<Vec<FollowedFetch>>,
}

/// A fetch whose progress is published.
#[derive(Debug)]
struct FollowedFetch {
    id: u64,
    /// Whether its state was ever known.
    is_known: bool,
    /// Whether it was missing in the list.
    is_unlisted: bool,
    progress: watch::Sender<Progress>,
}

impl PeerClient {
    /// Reads the events of fetches that are about to begin, so that none of them is missed, however soon they end. If too
    /// many clients follow the events already, the fetches are asked for again and again instead.
    ///
    /// # Errors
    /// If the peer does not answer.
    pub async fn fetch_follower(&self) -> Result<FetchFollower, ClientError> {
        FetchFollower::open(self.clone()).await
    }

    /// Follows the progress of a fetch until it ends. If the peer ends first, the fetch was stopped.
    ///
    /// # Errors
    /// If there is no such fetch.
    pub async fn follow(&self, id: u64) -> Result<watch::Receiver<Progress>, ClientError> {
        let mut followed = self.follow_all(&[id]).await?;
        followed.pop().ok_or(ClientError::Silent { seconds: 0 })
    }

    /// Follows the progress of several fetches, in their order, over one connection.
    ///
    /// # Errors
    /// If there is no such fetch.
    pub async fn follow_all(&self, ids: &[u64]) -> Result<Vec<watch::Receiver<Progress>>, ClientError> {
        let follower = self.fetch_follower().await?;
        let mut first = vec![];
        for id in ids {
            first.push(self.fetch(*id).await?);
        }
        Ok(follower.follow(&first))
    }
}

impl FetchFollower {
    /// Opens the events, and returns when they have begun.
    pub(super) async fn open(client: PeerClient) -> Result<Self, ClientError> {
        let events = match begun_events(&client).await {
            Ok(events) => Some(events),
            Err(ClientError::Problem(problem)) if problem.code() == REFUSED => None,
            Err(error) => return Err(error),
        };
        let (followed, wanted) = oneshot::channel();
        tokio::spawn(publish(client, events, wanted));
        Ok(Self { followed })
    }

    /// Follows the fetches that have begun since, from the state in the answer to their order. One that left the list
    /// without its end being known, and one that the end of the peer stopped, ends with what is known, as stopped.
    pub fn follow(self, begun: &[Fetch]) -> Vec<watch::Receiver<Progress>> {
        self.take(begun.iter().map(|fetch| (fetch.id, Some(fetch.to_progress()))))
    }

    /// Follows the fetches with these numbers that have begun since.
    pub fn follow_ids(self, ids: &[u64]) -> Vec<watch::Receiver<Progress>> {
        self.take(ids.iter().map(|id| (*id, None)))
    }

    fn take(self, fetches: impl Iterator<Item = (u64, Option<Progress>)>) -> Vec<watch::Receiver<Progress>> {
        let channel = |(id, first): (u64, Option<Progress>)| {
            let is_known = first.is_some();
            let (progress, receiver) = watch::channel(first.unwrap_or_else(|| Progress::new("")));
            (FollowedFetch { id, is_known, is_unlisted: false, progress }, receiver)
        };
        let (followed, receivers) = fetches.map(channel).unzip::<_, _, Vec<_>, Vec<_>>();
        let _ = self.followed.send(followed); // the task waits for it
        receivers
    }
}

impl FollowedFetch {
    fn update(&mut self, fetch: &Fetch) {
        self.is_known = true;
        self.progress.send_replace(fetch.to_progress());
    }

    /// Nothing more will be known of it. If it has not ended, it was stopped.
    fn end(&self) {
        self.progress.send_modify(|progress| *progress = progress.clone().or_stopped());
    }
}

/// The events, after the `reset` with which they begin: what happens from then on is in them.
async fn begun_events(client: &PeerClient) -> Result<EventStream, ClientError> {
    let mut events = client.events(None).await?;
    while !matches!(events.next().await?.data, EventData::Reset { .. }) {}
    Ok(events)
}

async fn publish(
    client: PeerClient,
    mut events: Option<EventStream>,
    mut wanted: oneshot::Receiver<Vec<FollowedFetch>>,
) {
    let mut seen = BTreeMap::new();
    let mut running = loop {
        let event = tokio::select! {
            followed = &mut wanted => match followed {
                Ok(followed) => break followed,
                Err(_) => return, // nothing began
            },
            event = next_event(events.as_mut()) => event,
        };
        match event {
            Ok(EventData::Fetch { fetch, .. }) => {
                seen.insert(fetch.id, fetch);
                if seen.len() > KEPT {
                    seen.pop_first();
                }
            }
            Ok(_) => {}
            Err(_) => events = None,
        }
    };
    for fetch in &mut running {
        // The answer may be later than the event, unless the fetch has ended.
        let published = seen.get(&fetch.id).filter(|published| !fetch.is_known || published.state.is_over());
        if let Some(published) = published.filter(|_| !fetch.progress.borrow().is_over()) {
            fetch.update(published);
        }
    }
    drop(seen);
    forget_ended(&mut running);
    if let Some(events) = events {
        follow_events(&client, events, &mut running).await;
    }
    while !running.is_empty() && ask(&client, &mut running, Unlisted::Ended).await {
        sleep(ASK_EVERY).await;
    }
    running.iter().for_each(FollowedFetch::end);
}

/// The next event; without events, never.
async fn next_event(events: Option<&mut EventStream>) -> Result<EventData, ClientError> {
    match events {
        Some(events) => Ok(events.next().await?.data),
        None => std::future::pending().await,
    }
}

/// Follows events until all fetches have ended, or there are no more events. Now and then the list is asked for, too: a
/// fetch may begin, end and leave it before the peer makes an event of it.
async fn follow_events(client: &PeerClient, mut events: EventStream, running: &mut Vec<FollowedFetch>) {
    let mut check = interval(CHECK_EVERY);
    check.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while !running.is_empty() {
        let event = tokio::select! {
            biased;
            event = events.next() => event,
            _ = check.tick() => {
                if !ask(client, running, Unlisted::EndedIfTwice).await {
                    return;
                }
                continue;
            }
        };
        let Ok(event) = event else { return };
        match event.data {
            EventData::Fetch { fetch, .. } => {
                let followed = running.iter_mut().find(|one| one.id == fetch.id);
                followed.into_iter().for_each(|one| one.update(&fetch));
            }
            // Events were lost, those of fetches that have left the list, too.
            EventData::Reset { .. } => {
                let is_answering = ask(client, running, Unlisted::Ended).await;
                if !is_answering {
                    return;
                }
            }
            EventData::FetchRemoved { id } => {
                running.iter().filter(|one| one.id == id).for_each(FollowedFetch::end);
            }
            EventData::Stopping => running.iter().for_each(FollowedFetch::end),
            _ => {}
        }
        forget_ended(running);
    }
}

/// What it means that the list does not have a fetch.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Unlisted {
    /// It has ended.
    Ended,
    /// It has ended, and its last event may still come: not after the second time.
    EndedIfTwice,
}

/// Asks for the list of fetches. Returns whether the peer answered.
async fn ask(client: &PeerClient, running: &mut Vec<FollowedFetch>, unlisted: Unlisted) -> bool {
    let Ok(list) = client.fetches().await else { return false };
    for followed in running.iter_mut() {
        match list.iter().find(|fetch| fetch.id == followed.id) {
            Some(fetch) => followed.update(fetch),
            None if followed.is_unlisted || unlisted == Unlisted::Ended => followed.end(),
            None => followed.is_unlisted = true,
        }
    }
    forget_ended(running);
    true
}

fn forget_ended(running: &mut Vec<FollowedFetch>) {
    running.retain(|one| !one.progress.borrow().is_over() && !one.progress.is_closed());
}
