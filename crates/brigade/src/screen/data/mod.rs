//! The data of the screen of a peer, by the API: of a peer in this process or of another one.
//!
//! One task follows the events (`live`); each page of a list is loaded by a task of its own (`pages`). The screen sends
//! [`DataRequest`]s and receives [`DataUpdate`]s; it never waits for an answer.

mod live;
mod messages;
mod pages;

use brigade_api::{client::PeerClient, values::FetchUpdate};
use tokio::sync::mpsc;

use self::messages::error_text;
pub(super) use self::messages::{DataRequest, DataUpdate};

/// The number of requests and updates that can wait. At most one page of each list is loaded at a time.
const WAITING: usize = 64;

/// Both ends of the connection to a peer. The tasks end when they are dropped.
#[derive(Debug)]
pub(super) struct PeerData {
    /// For updates that the screen's own tasks send.
    pub(super) send: mpsc::Sender<DataUpdate>,
    pub(super) requests: mpsc::Sender<DataRequest>,
    pub(super) updates: mpsc::Receiver<DataUpdate>,
}

impl PeerData {
    /// Starts the tasks. Must be called in a runtime. `is_own` says that the log lines of this process are shown anyway.
    pub(super) fn start(client: PeerClient, is_own: bool) -> Self {
        let (requests, asked) = mpsc::channel(WAITING);
        let (send, updates) = mpsc::channel(WAITING);
        tokio::spawn(live::follow(client.clone(), send.clone(), is_own));
        tokio::spawn(answer_all(client, asked, send.clone()));
        Self { send, requests, updates }
    }
}

/// Answers requests, each in a task of its own, until the screen is gone.
async fn answer_all(
    client: PeerClient,
    mut requests: mpsc::Receiver<DataRequest>,
    send: mpsc::Sender<DataUpdate>,
) {
    while let Some(request) = requests.recv().await {
        let (client, send) = (client.clone(), send.clone());
        tokio::spawn(async move {
            if let Some(update) = answer(&client, request).await {
                let _ = send.send(update).await; // the screen is gone
            }
        });
    }
}

async fn answer(client: &PeerClient, request: DataRequest) -> Option<DataUpdate> {
    let text = |error| Some(DataUpdate::Text(error_text(error)));
    match request {
        DataRequest::Files { request, folds } => {
            Some(DataUpdate::Files(pages::files(client, request, &folds).await.map_err(error_text)))
        }
        DataRequest::Peers(request) => {
            Some(DataUpdate::Peers(pages::peers(client, request).await.map_err(error_text)))
        }
        DataRequest::SetPaused { id, paused } => {
            let update = FetchUpdate { paused: Some(paused), ..FetchUpdate::default() };
            client.update_fetch(id, update).await.err().and_then(text)
        }
        DataRequest::Remove { id } => client.remove_fetch(id).await.err().and_then(text),
    }
}
