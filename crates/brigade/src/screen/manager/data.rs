//! The data of the screen of a manager, by the API: the totals, the visible rows, and the events.
//!
//! The peers are asked for page by page, in any order. The contents are only in the order of their names; in another one,
//! they are all asked for and sorted, and the first ones are kept.

use brigade_api::{
    client::{ClientError, ManagerClient},
    problem::Problem,
    values::{EventData, ManagerContent, ManagerPeer, ManagerStatus},
};
use brigade_core::time::UnixTime;
use tokio::{
    sync::mpsc,
    time::{Duration, MissedTickBehavior, interval, sleep},
};

use super::model::{ContentOrder, ListedContent, ListedEvent, ListedManagerPeer, ManagerSummary, PeerOrder};
use crate::{
    failure::Failure,
    manager_display::event_text,
    screen::model::{Keyed, LoadedPage, PageRequest},
    text::escape::escape,
};

/// The number of requests and updates that can wait.
const WAITING: usize = 16;

/// The rows of a page.
const PAGE_ROWS: usize = 200;

/// The rows of a page of a table that is loaded as a whole: the most that the manager answers at once.
const LARGE_PAGE_ROWS: usize = 500;

/// The most rows that are loaded in order to sort them.
const SORTED_ROWS: usize = 50_000;

/// The most rows of a sorted table that are kept.
const KEPT_ROWS: usize = 5000;

/// How often the totals are asked for.
const STATUS_EVERY: Duration = Duration::from_secs(1);

/// The time after an error until the manager is asked again.
const AGAIN_AFTER: Duration = Duration::from_secs(1);

/// The most holders that are shown for a content.
const HOLDERS: usize = 100;

/// What the screen asks for.
#[derive(Debug)]
pub(super) enum ManagerRequest {
    Peers { request: PageRequest, order: PeerOrder },
    Contents { request: PageRequest, order: ContentOrder },
    Holders { name: String, id: String, size_bytes: u64 },
}

/// What the screen gets.
#[derive(Debug)]
pub(super) enum ManagerUpdate {
    Summary(ManagerSummary),
    PeersChanged,
    Event(ListedEvent),
    /// The events that follow replace all others.
    EventsReset,
    Peers(Result<LoadedPage<ListedManagerPeer>, String>),
    Contents(Result<LoadedPage<ListedContent>, String>),
    /// The holders of a content, as lines.
    Holders(Vec<String>),
    /// The manager has ended, or does not answer any more.
    Ended(String),
}

/// Both ends of the connection to a manager. The tasks end when they are dropped.
#[derive(Debug)]
pub(super) struct ManagerData {
    pub(super) requests: mpsc::Sender<ManagerRequest>,
    pub(super) updates: mpsc::Receiver<ManagerUpdate>,
}

impl ManagerData {
    /// Starts the tasks. Must be called in a runtime.
    pub(super) fn start(client: ManagerClient) -> Self {
        let (requests, asked) = mpsc::channel(WAITING);
        let (send, updates) = mpsc::channel(WAITING);
        tokio::spawn(follow(client.clone(), send.clone()));
        tokio::spawn(answer_all(client, asked, send));
        Self { requests, updates }
    }
}

async fn answer_all(
    client: ManagerClient,
    mut requests: mpsc::Receiver<ManagerRequest>,
    send: mpsc::Sender<ManagerUpdate>,
) {
    while let Some(request) = requests.recv().await {
        let (client, send) = (client.clone(), send.clone());
        tokio::spawn(async move {
            let _ = send.send(answer(&client, request).await).await; // an error: the screen is gone
        });
    }
}

async fn answer(client: &ManagerClient, request: ManagerRequest) -> ManagerUpdate {
    match request {
        ManagerRequest::Peers { request, order } => {
            ManagerUpdate::Peers(peers(client, request, order).await.map_err(error_text))
        }
        ManagerRequest::Contents { request, order } => {
            ManagerUpdate::Contents(contents(client, request, order).await.map_err(error_text))
        }
        ManagerRequest::Holders { name, id, size_bytes } => {
            ManagerUpdate::Holders(match client.content_holders(&id, size_bytes).await {
                Ok(found) => {
                    let mut lines = vec![escape(&name).into_owned(), id];
                    lines.extend(found.holders.iter().take(HOLDERS).map(|holder| {
                        let part = if holder.complete { "" } else { "  (a part)" };
                        format!("  {}{part}", escape(&holder.username))
                    }));
                    let rest = found.rest + found.holders.len().saturating_sub(HOLDERS) as u64;
                    if rest > 0 {
                        lines.push(format!("  and {rest} more"));
                    }
                    lines
                }
                Err(error) => error_text(error).lines().map(str::to_owned).collect(),
            })
        }
    }
}

fn error_text(error: ClientError) -> String {
    Failure::from(Problem::from(error)).text()
}

/// Follows the manager until it or the screen ends. After an error of a manager that runs, it begins again.
async fn follow(client: ManagerClient, send: mpsc::Sender<ManagerUpdate>) {
    while let Err(error) = follow_events(&client, &send).await {
        let has_ended = matches!(error, ClientError::NotRunning { .. });
        if send.send(ManagerUpdate::Ended(error_text(error))).await.is_err() || has_ended {
            return;
        }
        tokio::select! {
            () = sleep(AGAIN_AFTER) => {}
            () = send.closed() => return,
        }
    }
}

async fn follow_events(
    client: &ManagerClient,
    send: &mpsc::Sender<ManagerUpdate>,
) -> Result<(), ClientError> {
    let mut events = client.events(None).await?;
    let mut tick = interval(STATUS_EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let update = tokio::select! {
            event = events.next() => match event?.data {
                EventData::Reset { .. } => ManagerUpdate::EventsReset,
                EventData::PeersChanged { .. } => ManagerUpdate::PeersChanged,
                EventData::Life { life } => match life.to_core() {
                    Some(event) => {
                        ManagerUpdate::Event(ListedEvent { at: UnixTime(life.at_s), text: event_text(&event) })
                    }
                    None => continue,
                },
                _ => continue,
            },
            _ = tick.tick() => ManagerUpdate::Summary(summary(client.status().await?)),
        };
        if send.send(update).await.is_err() {
            return Ok(());
        }
    }
}

fn summary(status: ManagerStatus) -> ManagerSummary {
    let ManagerStatus { address, key, peers, max_peers, names, bytes, .. } = status;
    ManagerSummary { address, key, peers, max_peers, names, size_bytes: bytes }
}

/// The columns in the order of the table, as the API names them.
const COLUMNS: [&str; 7] = ["username", "address", "files", "bytes", "sending", "receiving", "since"];

async fn peers(
    client: &ManagerClient,
    request: PageRequest,
    order: PeerOrder,
) -> Result<LoadedPage<ListedManagerPeer>, ClientError> {
    if order.is_by_name() {
        let after = Some(request.after.as_str()).filter(|after| !after.is_empty());
        let page = client.peers(after, Some(PAGE_ROWS)).await?;
        let rows = page.peers.into_iter().map(ListedManagerPeer).collect();
        return Ok(until_end(request, rows, page.next));
    }
    // In another order, a page begins at the number of a row.
    let first: usize = request.after.parse().unwrap_or(0);
    let end = request.until.as_ref().and_then(|until| until.parse().ok());
    let limit = end.map_or(PAGE_ROWS, |end: usize| end.saturating_sub(first)).clamp(1, LARGE_PAGE_ROWS);
    let column = COLUMNS.get(order.column).copied().unwrap_or(COLUMNS[0]);
    let page = client.ordered_peers(column, order.is_reversed, first, limit).await?;
    let rows = rows_from(page.first, page.peers, first);
    let behind = first + rows.len();
    let has_more = !rows.is_empty() && u64::try_from(behind).is_ok_and(|behind| behind < page.total);
    // All digits, so that the numbers are in the order of their texts.
    let next = has_more.then(|| format!("{behind:020}"));
    Ok(LoadedPage { request, rows, next })
}

/// The peers of a page as rows, without those before the row number `first`: near the end, the manager answers a full
/// page, which begins earlier.
fn rows_from(begins: Option<u64>, peers: Vec<ManagerPeer>, first: usize) -> Vec<ListedManagerPeer> {
    let begins = begins.map_or(first, |begins| usize::try_from(begins).unwrap_or(first));
    peers.into_iter().skip(first.saturating_sub(begins)).map(ListedManagerPeer).collect()
}

async fn contents(
    client: &ManagerClient,
    request: PageRequest,
    order: ContentOrder,
) -> Result<LoadedPage<ListedContent>, ClientError> {
    let mut after = Some(request.after.clone()).filter(|after| !after.is_empty());
    if order == ContentOrder::ByName {
        let page = client.contents("", after.as_deref(), Some(PAGE_ROWS)).await?;
        return Ok(until_end(request, listed(page.contents), page.next));
    }
    let mut all: Vec<ManagerContent> = vec![];
    loop {
        let page = client.contents("", after.as_deref(), Some(LARGE_PAGE_ROWS)).await?;
        all.extend(page.contents);
        after = page.next;
        if after.is_none() || all.len() >= SORTED_ROWS {
            break;
        }
    }
    let mut rows = listed(all);
    rows.sort_by(|one, other| {
        let by_holders = one.holders.cmp(&other.holders);
        let by_holders = if order == ContentOrder::MostHolders { by_holders.reverse() } else { by_holders };
        by_holders.then_with(|| one.key.cmp(&other.key))
    });
    rows.truncate(KEPT_ROWS);
    Ok(LoadedPage { request, rows, next: None })
}

/// The contents as rows; further contents of one name have keys of their own.
fn listed(contents: Vec<ManagerContent>) -> Vec<ListedContent> {
    let mut rows: Vec<ListedContent> = Vec::with_capacity(contents.len());
    for content in contents {
        let key = match rows.last() {
            Some(last) if last.name == content.name => format!("{}\0", last.key),
            _ => content.name.clone(),
        };
        let ManagerContent { name, id, size, holders, .. } = content;
        rows.push(ListedContent { key, name, id, size_bytes: size, holders });
    }
    rows
}

/// A page without the rows that are behind its end.
fn until_end<R: Keyed>(request: PageRequest, mut rows: Vec<R>, mut next: Option<String>) -> LoadedPage<R> {
    if let Some(until) = &request.until {
        let before = rows.len();
        rows.retain(|row| row.key().trim_end_matches('\0') <= until.as_str());
        if rows.len() < before {
            next = None;
        }
    }
    LoadedPage { request, rows, next }
}

#[cfg(test)]
mod tests {
    use brigade_api::values::ManagerPeer;

    use super::rows_from;

    #[test]
    fn a_page_that_begins_earlier_shows_no_row_twice() {
        let peer = |number: usize| ManagerPeer {
            username: format!("user{number}"),
            address: String::new(),
            files: 0,
            bytes: 0,
            sending: 0,
            receiving: 0,
            since_s: 0,
            bound: true,
            key: String::new(),
            last_message_s: 0,
        };
        // Of 250 peers, the second page of at most 200.
        let page = || (50..250).map(peer).collect::<Vec<_>>();
        let usernames = |begins, first| {
            rows_from(begins, page(), first).into_iter().map(|row| row.0.username).collect::<Vec<_>>()
        };
        assert_eq!(usernames(Some(50), 200), (200..250).map(|at| peer(at).username).collect::<Vec<_>>());
        assert_eq!(usernames(Some(50), 50).len(), 200);
        assert_eq!(usernames(None, 50).len(), 200);
        assert!(usernames(Some(50), 300).is_empty(), "the peers behind have left");
    }
}
