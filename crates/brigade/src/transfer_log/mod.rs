//! The log of transfers: a line of JSON for each fetch that ends, and for each downloader that was served.
//!
//! A task follows the fetches of the peer and reads the counters of sent bytes every few seconds; a thread writes the
//! lines. The queue between them is bounded: if the disk is slow or full, lines are lost, and transfers are not delayed.
//! `records` has the lines, `upload_sessions` decides what one upload is, `rotating_file` bounds the files.

mod records;
mod rotating_file;
mod upload_sessions;

use std::{collections::BTreeSet, path::Path, sync::Arc, time::Duration};

use brigade_core::{name::Username, time::UnixTime};
use brigade_node::{
    clock,
    peer::{Fetch, FetchId, MemberTraffic, PeerHandle, Progress},
};
use serde_json::{Map, Value};
use tokio::{
    sync::{mpsc, watch},
    task::{JoinHandle, JoinSet, spawn_blocking},
    time::{Instant, interval, timeout},
};
use tokio_util::sync::CancellationToken;

use self::{
    records::{fetch_record, upload_record},
    rotating_file::RotatingFile,
    upload_sessions::UploadSessions,
};
use crate::{
    failure::{DISK, Failure},
    terminal::standard_error::{log_records::LogLevel, print_record},
};

/// Lines that may wait for the disk.
const QUEUE: usize = 1000;

/// Fetches that are followed at one time; more are not logged.
const FOLLOWED: usize = 10_000;

/// How often the counters of sent bytes are read.
const SAMPLE_EVERY: Duration = Duration::from_secs(5);

/// How long the end of the program waits for the last lines.
const END_TIMEOUT: Duration = Duration::from_millis(500);

/// The opened file of a log.
pub(crate) struct TransferLogFile(RotatingFile);

/// The log of one peer; it ends with [`Self::finish`].
pub(crate) struct TransferLog {
    stop: CancellationToken,
    follower: JoinHandle<()>,
    writer: JoinHandle<()>,
}

impl TransferLogFile {
    /// Opens or creates the file at `path`, if there is one.
    ///
    /// # Errors
    /// If the file cannot be opened or created.
    pub(crate) fn open(path: Option<&Path>) -> Result<Option<Self>, Failure> {
        let opened = path.map(|path| {
            RotatingFile::open(path.to_owned()).map(Self).map_err(|error| {
                let message = format!("the log of transfers {} cannot be opened: {error}", path.display());
                Failure::new(DISK, message)
                    .hint("name a file in a folder that is writable with --transfer-log")
            })
        });
        opened.transpose()
    }
}

impl TransferLog {
    /// Logs the transfers of `peer` from now on.
    pub(crate) fn start(TransferLogFile(file): TransferLogFile, peer: PeerHandle) -> Self {
        let (lines, to_write) = mpsc::channel(QUEUE);
        let stop = CancellationToken::new();
        let list = peer.fetches();
        let follower = Follower {
            peer: peer.username(),
            lines,
            uploads: UploadSessions::default(),
            fetches: JoinSet::new(),
            known: BTreeSet::new(),
            lost: 0,
        };
        let sent = move || peer.status().sent;
        let follower = tokio::spawn(follower.run(list, sent, stop.clone()));
        let writer = spawn_blocking(move || write_lines(file, to_write));
        Self { stop, follower, writer }
    }

    /// Writes the last lines, after the peer has stopped: fetches that were running get one too.
    pub(crate) async fn finish(self) {
        self.stop.cancel();
        let ended = async {
            let _ = self.follower.await; // the writer's queue closes with it
            let _ = self.writer.await;
        };
        if timeout(END_TIMEOUT, ended).await.is_err() {
            tracing::warn!("the last lines of the log of transfers are lost: the disk is too slow");
        }
    }
}

/// A fetch that has ended.
struct EndedFetch {
    began: UnixTime,
    progress: Progress,
}

/// Follows the transfers of a peer.
struct Follower {
    peer: Username,
    lines: mpsc::Sender<String>,
    uploads: UploadSessions,
    fetches: JoinSet<EndedFetch>,
    /// The numbers of the listed fetches: each has one line.
    known: BTreeSet<FetchId>,
    /// Lines that did not fit into the queue.
    lost: u64,
}

impl Follower {
    async fn run(
        mut self,
        mut list: watch::Receiver<Arc<Vec<Fetch>>>,
        sent: impl Fn() -> Vec<MemberTraffic>,
        stop: CancellationToken,
    ) {
        let mut sample = interval(SAMPLE_EVERY);
        loop {
            let listed = list.borrow_and_update().clone();
            self.follow_new(&listed);
            tokio::select! {
                biased;
                Some(Ok(ended)) = self.fetches.join_next() => self.log_fetch(&ended),
                changed = list.changed() => if changed.is_err() {
                    break stop.cancelled().await; // the peer has stopped; `finish` follows
                },
                _ = sample.tick() => self.sample(&sent()),
                () = stop.cancelled() => break,
            }
        }
        while let Some(Ok(ended)) = self.fetches.join_next().await {
            self.log_fetch(&ended);
        }
        self.sample(&sent());
        for upload in self.uploads.end_all() {
            self.log(&upload_record(&self.peer, &upload));
        }
    }

    /// Follows the fetches that are new in the list. Of those that have ended, the list has the last hundred, so that a
    /// short fetch is not missed.
    fn follow_new(&mut self, list: &[Fetch]) {
        let before = std::mem::take(&mut self.known);
        for fetch in list {
            self.known.insert(fetch.id());
            if before.contains(&fetch.id()) {
                continue;
            }
            if self.fetches.len() >= FOLLOWED {
                tracing::warn!(FOLLOWED, "a fetch is missing in the log of transfers: too many run");
                continue;
            }
            let (began, mut progress) = (fetch.begun_at(), fetch.progress());
            self.fetches.spawn(async move {
                let ended = progress.wait_for(Progress::is_over).await.map(|progress| progress.clone());
                let progress = ended.unwrap_or_else(|_| progress.borrow().clone().or_stopped());
                EndedFetch { began, progress }
            });
        }
    }

    fn sample(&mut self, sent: &[MemberTraffic]) {
        for upload in self.uploads.sample(Instant::now().into_std(), clock::unix_now(), sent) {
            self.log(&upload_record(&self.peer, &upload));
        }
    }

    fn log_fetch(&mut self, ended: &EndedFetch) {
        self.log(&fetch_record(&self.peer, ended.began, clock::unix_now(), &ended.progress));
    }

    fn log(&mut self, record: &Value) {
        if self.lines.try_send(format!("{record}\n")).is_ok() {
            self.lost = 0;
            return;
        }
        self.lost += 1;
        if self.lost.is_power_of_two() {
            tracing::warn!(lost = self.lost, "the disk of the log of transfers is too slow: lines are lost");
        }
    }
}

/// Writes lines until the queue is closed. Blocks.
fn write_lines(mut file: RotatingFile, mut lines: mpsc::Receiver<String>) {
    let mut lost = 0_u64;
    while let Some(line) = lines.blocking_recv() {
        match file.write(line.as_bytes()) {
            Ok(()) if lost > 0 => {
                let fields = Map::from_iter([("lost".to_owned(), lost.into())]);
                print_record(LogLevel::Info, "the log of transfers is written again", &fields);
                lost = 0;
            }
            Ok(()) => {}
            Err(error) => {
                if lost == 0 {
                    let path = file.path().display();
                    let text = format!(
                        "a line cannot be written to the log of transfers {path}: {error}; transfers go on, and lines are \
                         lost until it can be written"
                    );
                    print_record(LogLevel::Error, &text, &Map::new());
                }
                lost += 1;
            }
        }
    }
}
