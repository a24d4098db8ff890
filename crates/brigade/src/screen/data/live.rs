//! Follows a peer: its status, its fetches, its uploads, and the pieces of the fetches that run.
//!
//! Fetches and rates come as events. What has no event is asked for from time to time.

use std::{collections::BTreeMap, time::Duration};

use brigade_api::{
    client::{ClientError, PeerClient},
    values::{Event, EventData, Fetch, FetchState, ManagerConnection, ManagerLink, PeerStatus, PieceMap},
};
use tokio::{
    sync::mpsc,
    time::{MissedTickBehavior, interval, sleep},
};

use super::messages::{DataUpdate, error_text};
use crate::{
    screen::model::{HolderShare, PeerSummary, PieceBits, SentFile, Transfer},
    text::escape::escape,
};

/// How often changed fetches are passed on.
const FETCHES_EVERY: Duration = Duration::from_millis(200);

/// How often uploads and pieces are asked for.
const ASK_EVERY: Duration = Duration::from_secs(1);

/// How many ticks of [`ASK_EVERY`] pass between two questions for the status and for the lists.
const STATUS_TICKS: u32 = 3;

/// The most fetches whose pieces are asked for.
const MAPS: usize = 8;

/// The time after an error until the peer is asked again.
const AGAIN_AFTER: Duration = Duration::from_secs(1);

/// The screen is gone.
struct ScreenGone;

/// What is known of the peer.
struct Live {
    client: PeerClient,
    send: mpsc::Sender<DataUpdate>,
    is_own: bool,
    fetches: BTreeMap<u64, Fetch>,
    has_changed: bool,
    summary: PeerSummary,
}

/// Follows the peer until it or the screen ends. After an error of a peer that runs, it begins again.
pub(super) async fn follow(client: PeerClient, send: mpsc::Sender<DataUpdate>, is_own: bool) {
    let summary = PeerSummary::default();
    let mut live = Live { client, send, is_own, fetches: BTreeMap::new(), has_changed: false, summary };
    let mut reported = String::new();
    while let Err(error) = live.run().await {
        let has_ended = matches!(error, ClientError::NotRunning { .. });
        let is_broken = matches!(error, ClientError::Broken(_));
        let text = error_text(error);
        if has_ended {
            let _ = live.send.send(DataUpdate::Ended(text)).await; // the screen is gone
            return;
        }
        // The same error again is not reported twice; a broken connection is followed by another error, or by data.
        let is_new = text != reported && !is_broken;
        if is_new && live.send.send(DataUpdate::Text(text.clone())).await.is_err() {
            return;
        }
        reported = text;
        tokio::select! {
            () = sleep(AGAIN_AFTER) => {}
            () = live.send.closed() => return,
        }
    }
}

impl Live {
    async fn run(&mut self) -> Result<(), ClientError> {
        let status = self.client.status().await?;
        self.set_status(status);
        if self.pass(DataUpdate::Summary(self.summary.clone())).await.is_err() {
            return Ok(());
        }
        let mut events = self.client.events(None).await?;
        let (mut fetches, mut ask) = (interval(FETCHES_EVERY), interval(ASK_EVERY));
        for tick in [&mut fetches, &mut ask] {
            tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        }
        let mut ticks = 0_u32;
        loop {
            let passed = tokio::select! {
                event = events.next() => self.take(event?).await,
                _ = fetches.tick() => self.pass_fetches().await,
                _ = ask.tick() => {
                    ticks = ticks.wrapping_add(1);
                    self.ask(ticks.is_multiple_of(STATUS_TICKS)).await?
                }
            };
            if passed.is_err() {
                return Ok(());
            }
        }
    }

    async fn pass(&self, update: DataUpdate) -> Result<(), ScreenGone> {
        self.send.send(update).await.map_err(|_| ScreenGone)
    }

    async fn take(&mut self, event: Event) -> Result<(), ScreenGone> {
        let before = self.summary.clone();
        match event.data {
            EventData::Reset { fetches } => {
                self.fetches.retain(|id, _| fetches.contains(id));
                self.has_changed = true;
            }
            EventData::Fetch { fetch, .. } => {
                self.fetches.insert(fetch.id, *fetch);
                self.has_changed = true;
            }
            EventData::FetchRemoved { id } => {
                self.fetches.remove(&id);
                self.has_changed = true;
            }
            EventData::ManagerState { manager } => {
                self.summary.manager_problem = manager_problem(&manager);
                self.pass(DataUpdate::FilesChanged).await?;
            }
            EventData::Hashing { hashing } => {
                self.summary.hashing_files = hashing.files;
                self.summary.hashing_bytes = hashing.bytes.saturating_sub(hashing.bytes_done);
            }
            EventData::Problems { problems } => self.summary.problems = problems,
            EventData::Rates { sending, receiving } => {
                (self.summary.sending, self.summary.receiving) = (sending, receiving);
            }
            EventData::Log { line } if !self.is_own => {
                self.pass(DataUpdate::Text(escape(&line.message).into_owned())).await?;
            }
            _ => {}
        }
        if self.summary != before {
            self.pass(DataUpdate::Summary(self.summary.clone())).await?;
        }
        Ok(())
    }

    async fn pass_fetches(&mut self) -> Result<(), ScreenGone> {
        if std::mem::take(&mut self.has_changed) {
            self.pass(DataUpdate::Fetches(self.fetches.values().map(transfer).collect())).await?;
        }
        Ok(())
    }

    /// Asks for what has no event.
    async fn ask(&mut self, with_status: bool) -> Result<Result<(), ScreenGone>, ClientError> {
        let uploads = self.client.uploads().await?;
        let sent = uploads.uploads.into_iter().map(|upload| SentFile {
            username: upload.username,
            name: upload.name,
            rate: upload.rate,
        });
        if self.pass(DataUpdate::Uploads(sent.collect())).await.is_err() {
            return Ok(Err(ScreenGone));
        }
        let running = self.fetches.values().filter(|fetch| !fetch.state.is_over());
        let ids: Vec<u64> = running.rev().take(MAPS).map(|fetch| fetch.id).collect();
        for id in ids {
            // A fetch that was removed meanwhile has no pieces.
            let map = self.client.piece_map(id).await.ok().flatten();
            if self.pass(DataUpdate::Pieces { id, pieces: map.as_ref().map(piece_bits) }).await.is_err() {
                return Ok(Err(ScreenGone));
            }
        }
        if with_status {
            let status = self.client.status().await?;
            self.set_status(status);
            let passed = self.pass(DataUpdate::Summary(self.summary.clone())).await;
            if passed.is_err() || self.pass(DataUpdate::FilesChanged).await.is_err() {
                return Ok(Err(ScreenGone));
            }
        }
        Ok(Ok(()))
    }

    fn set_status(&mut self, status: PeerStatus) {
        self.summary = PeerSummary {
            username: status.username,
            address: status.address,
            manager_problem: manager_problem(&status.manager),
            files: status.files,
            size_bytes: status.bytes,
            sending: status.sending,
            receiving: status.receiving,
            hashing_files: status.hashing.files,
            hashing_bytes: status.hashing.bytes.saturating_sub(status.hashing.bytes_done),
            problems: status.problems,
        };
    }
}

fn manager_problem(manager: &ManagerLink) -> String {
    match manager.state {
        ManagerConnection::Connected | ManagerConnection::Unknown => String::new(),
        ManagerConnection::Away => "the manager is away".to_owned(),
        ManagerConnection::Refused => "the manager refuses this peer".to_owned(),
    }
}

fn transfer(fetch: &Fetch) -> Transfer {
    let now = fetch.holder_rates.iter();
    let mut holders: Vec<HolderShare> = now
        .map(|holder| HolderShare {
            username: holder.username.clone(),
            bytes: holder.bytes,
            rate: holder.rate,
        })
        .collect();
    for given in &fetch.from {
        if !holders.iter().any(|holder| holder.username == given.username) {
            holders.push(HolderShare { username: given.username.clone(), bytes: given.bytes, rate: 0 });
        }
    }
    holders.retain(|holder| holder.bytes > 0);
    holders.sort_by(|one, other| other.bytes.cmp(&one.bytes).then_with(|| one.username.cmp(&other.username)));
    let is_paused = fetch.state == FetchState::Paused;
    Transfer { id: fetch.id, progress: fetch.to_progress(), is_paused, holders, pieces: None }
}

fn piece_bits(map: &PieceMap) -> PieceBits {
    let mut bits = vec![];
    for eight in map.bits().chunks(8) {
        let byte = eight.iter().enumerate().fold(0_u8, |byte, (at, has)| byte | (u8::from(*has) << (7 - at)));
        bits.push(byte);
    }
    PieceBits { count: map.pieces, bits }
}
