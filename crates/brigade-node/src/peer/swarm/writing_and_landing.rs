//! Writing received pieces to the disk, and giving complete files their names. The pieces were verified in memory:
//! nothing else is ever written.
//!
//! Pieces of long contents are written to their part file, one writer at a time: on threads that may wait, or, where
//! that is in memory, by the task that received them. Contents of a single piece are written many to a batch: one
//! thread writes those that have arrived, makes all of them durable at once, and gives the files their names.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use brigade_core::{
    download::{DownloadId, HolderId},
    geometry::PieceIndex,
    id::Content,
    name::FileName,
    piece_list::PieceList,
};
use tokio::{runtime::Handle, sync::mpsc};

use super::pending_requests::{Buffers, PieceTarget, ReceivedPiece, WantedPiece};
use crate::{
    clock,
    store::{
        file_stamp::Stamp,
        folder::Folder,
        keeper::{self, KeeperHandle},
        landing::{Landing, Placed},
        part_file::{PartError, PartFile},
        small_file_batch::SmallFileBatch,
    },
};

/// Small files that become durable, and get their names, together.
const BATCH_FILES: usize = 1024;

/// How long files are added to a batch: where they arrive slowly but without a pause, a process that is killed loses no
/// more than the files of this time.
const BATCH_TIME: Duration = Duration::from_millis(500);

/// How long a batch waits for more while more is in flight.
const BATCH_PAUSE: Duration = Duration::from_millis(20);

/// Small contents that are written before the driver is notified, while more are waiting: the requests that follow, and
/// their pieces, then stay together too.
const EVENT_BATCH: usize = 16;

/// The length of the queue of results; the thread for small files waits while it is full.
const OUTCOMES: usize = 4096;

/// Small contents that wait for the thread that writes them; the windows limit them anyway.
const WAITING_PIECES: usize = 1024;

/// A result of the writer.
#[derive(Debug)]
pub(crate) enum WriteOutcome {
    /// A piece is in its part file, or a content of one piece is written.
    Stored { holder: HolderId, download: DownloadId, piece: PieceIndex },
    /// A verified piece could not be written.
    NotWritten { download: DownloadId, error: PartError },
    /// Complete files have their names, or could not get them.
    Landed(Vec<LandResult>),
}

/// The name that a complete content got, or why it did not get it.
#[derive(Debug)]
pub(crate) struct LandResult {
    pub(crate) download: DownloadId,
    pub(crate) content: Content,
    pub(crate) name: FileName,
    pub(crate) placed: Result<Placed, PartError>,
}

/// Writes received pieces, and owns the buffers in which they arrive; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct PieceWriter {
    buffers: Buffers,
    folder: Folder,
    outcomes: mpsc::Sender<WriteOutcome>,
    small: mpsc::Sender<ReceivedPiece>,
    keeper: KeeperHandle,
    runtime: Handle,
    /// Small contents that are requested and have not arrived: while there are any, a batch waits a moment for them.
    awaited: Arc<AtomicUsize>,
}

impl PieceWriter {
    /// Starts the thread for small files, which ends when the last clone is dropped; the receiver gets the results.
    pub(crate) fn start(folder: Folder, keeper: KeeperHandle) -> (Self, mpsc::Receiver<WriteOutcome>) {
        let (outcomes, receiver) = mpsc::channel(OUTCOMES);
        let (small, received) = mpsc::channel(WAITING_PIECES);
        let this = Self {
            buffers: Buffers::default(),
            folder,
            outcomes,
            small,
            keeper,
            runtime: Handle::current(),
            awaited: Arc::default(),
        };
        let writer = SmallFileWriter {
            folder: this.folder.clone(),
            seen: SeenDownloads::default(),
            outcomes: this.outcomes.clone(),
            keeper: this.keeper.clone(),
            runtime: this.runtime.clone(),
            awaited: this.awaited.clone(),
            stored: vec![],
        };
        tokio::task::spawn_blocking(move || writer.run(received));
        (this, receiver)
    }

    /// The buffers in which pieces arrive.
    pub(crate) fn buffers(&self) -> Buffers {
        self.buffers.clone()
    }

    /// Keeps a received piece list, on a thread that may wait.
    pub(crate) fn save_list(&self, file: PartFile, list: Arc<PieceList>) {
        tokio::task::spawn_blocking(move || {
            if let Err(error) = file.save_list(&list) {
                tracing::warn!(%error, "a piece list was not kept: it will be fetched again after a restart");
            }
        });
    }

    /// Gives a complete content of several pieces its name, on a thread that may wait. `on_named` gets the stamp of the
    /// file before the file has its name.
    pub(crate) fn land(
        &self,
        (download, content): (DownloadId, Content),
        file: PartFile,
        landing: Landing,
        list: Option<Arc<PieceList>>,
        on_named: impl FnOnce(Stamp) + Send + 'static,
    ) {
        let this = self.clone();
        tokio::task::spawn_blocking(move || {
            let placed = file.finish_as(&this.folder, &landing, on_named);
            if let Err(error) = &placed {
                this.count_removal(error);
            }
            let result = LandResult { download, content, name: landing.name, placed };
            send_landed(&this.runtime, &this.keeper, &this.outcomes, vec![(result, list)]);
        });
    }

    /// The number of small contents that are requested and have not arrived.
    pub(crate) fn awaited(&self) -> &AtomicUsize {
        &self.awaited
    }

    /// Writes a piece. The result follows.
    pub(crate) async fn write(&self, received: ReceivedPiece) {
        let in_place = match &received.wanted.target {
            PieceTarget::Small(_) => return drop(self.small.send(received).await),
            // In memory this is a copy, best made while the piece is in the processor's cache. But two connections to
            // one holder would wait for each other's copies.
            PieceTarget::Part(part) => part.file.is_in_memory() && !received.wanted.alone,
        };
        if in_place {
            return self.store(received);
        }
        let this = self.clone();
        // The windows limit the number of waiting pieces.
        tokio::task::spawn_blocking(move || this.store(received));
    }

    /// Writes a piece into its part file, or leaves it to the thread that writes another piece of the file. So the
    /// result may be sent from any thread, and sending never waits.
    fn store(&self, received: ReceivedPiece) {
        let ReceivedPiece { holder, wanted, buffer } = received;
        let WantedPiece { download, piece, target, received, .. } = wanted;
        let PieceTarget::Part(part) = target else { return };
        let (this, file) = (self.clone(), part.file.clone());
        file.store(piece, buffer, move |written| match written {
            Ok(()) => {
                part.stored(piece);
                this.send(WriteOutcome::Stored { holder, download, piece });
            }
            Err(error) => {
                this.count_removal(&error);
                this.send(WriteOutcome::NotWritten { download, error });
            }
        });
        drop(received);
    }

    /// If a part was removed: the fetch must know whether its directory was removed, and only this check counts that.
    fn count_removal(&self, error: &PartError) {
        if error.is_removal() {
            let _ = self.folder.keep_private();
        }
    }

    /// Sends a result without waiting; if the queue is full, a little later.
    fn send(&self, outcome: WriteOutcome) {
        if let Err(mpsc::error::TrySendError::Full(outcome)) = self.outcomes.try_send(outcome) {
            let outcomes = self.outcomes.clone();
            self.runtime.spawn(async move { outcomes.send(outcome).await });
        }
    }
}

/// Sends results to the keeper first, so that a landed file is shared when the driver reports it.
fn send_landed(
    runtime: &Handle,
    keeper: &KeeperHandle,
    outcomes: &mpsc::Sender<WriteOutcome>,
    files: Vec<(LandResult, Option<Arc<PieceList>>)>,
) {
    let (mut shared, mut landed) = (vec![], vec![]);
    for (file, list) in files {
        if let Ok(placed) = &file.placed {
            shared.push(keeper::LandedFile {
                name: file.name.clone(),
                content: file.content,
                list,
                stamp: placed.stamp,
            });
        }
        landed.push(file);
    }
    runtime.block_on(keeper.landed(shared));
    let _ = outcomes.blocking_send(WriteOutcome::Landed(landed));
}

/// The name of a content of one piece.
fn name_of(received: &ReceivedPiece) -> Option<&FileName> {
    match &received.wanted.target {
        PieceTarget::Small(landing) => Some(&landing.name),
        PieceTarget::Part(_) => None,
    }
}

/// The thread that writes small files.
struct SmallFileWriter {
    folder: Folder,
    seen: SeenDownloads,
    outcomes: mpsc::Sender<WriteOutcome>,
    keeper: KeeperHandle,
    runtime: Handle,
    awaited: Arc<AtomicUsize>,
    /// Results of written contents that are not sent yet.
    stored: Vec<WriteOutcome>,
}

impl SmallFileWriter {
    fn run(mut self, mut received: mpsc::Receiver<ReceivedPiece>) {
        let mut next_batch = None;
        while let Some(first) = next_batch.take().or_else(|| received.blocking_recv()) {
            let mut names = HashMap::new();
            let mut batch = match SmallFileBatch::new(&self.folder) {
                Ok(batch) => batch,
                Err(error) => {
                    let download = first.wanted.download;
                    let _ = self.outcomes.blocking_send(WriteOutcome::NotWritten { download, error });
                    continue;
                }
            };
            let end = clock::now().after(BATCH_TIME);
            self.add(first, &mut batch, &mut names);
            while batch.len() < BATCH_FILES && clock::now() < end {
                let Some(next) = self.next(&mut received) else { break };
                // Each batch has one result for a name.
                if name_of(&next).is_some_and(|name| names.contains_key(name)) {
                    next_batch = Some(next);
                    break;
                }
                self.add(next, &mut batch, &mut names);
            }
            self.send_stored();
            let landed = batch.commit().into_iter().filter_map(|(name, placed)| {
                let (download, content) = names.remove(&name)?;
                Some((LandResult { download, content, name, placed }, None))
            });
            send_landed(&self.runtime, &self.keeper, &self.outcomes, landed.collect());
        }
    }

    /// The next content, if it has arrived, or arrives soon.
    fn next(&mut self, received: &mut mpsc::Receiver<ReceivedPiece>) -> Option<ReceivedPiece> {
        if let Ok(next) = received.try_recv() {
            return Some(next);
        }
        self.send_stored();
        if self.awaited.load(Ordering::Relaxed) == 0 {
            return None;
        }
        self.runtime
            .block_on(async { tokio::time::timeout(BATCH_PAUSE, received.recv()).await.ok().flatten() })
    }

    fn add(
        &mut self,
        received: ReceivedPiece,
        batch: &mut SmallFileBatch,
        names: &mut HashMap<FileName, (DownloadId, Content)>,
    ) {
        let ReceivedPiece { holder, wanted, buffer } = received;
        let WantedPiece { download, content, piece, target, .. } = wanted;
        let PieceTarget::Small(landing) = target else { return };
        if !self.seen.insert(download) {
            return; // two holders sent it
        }
        let _ = self.awaited.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1));
        names.insert(landing.name.clone(), (download, content));
        // The result of the commit has the error.
        let _ = batch.add(Landing::clone(&landing), content, buffer.as_ref());
        self.stored.push(WriteOutcome::Stored { holder, download, piece });
        if self.stored.len() >= EVENT_BATCH {
            self.send_stored();
        }
    }

    fn send_stored(&mut self) {
        for stored in self.stored.drain(..) {
            // Mostly there is space, and sending without waiting is cheaper.
            if let Err(mpsc::error::TrySendError::Full(stored)) = self.outcomes.try_send(stored) {
                let _ = self.outcomes.blocking_send(stored);
            }
        }
    }
}

/// Contents that were written, so that one that arrives twice is not written again: where an existing file is renamed
/// and kept, the second write would rename the first.
#[derive(Default)]
struct SeenDownloads {
    known: HashSet<DownloadId>,
    in_order: VecDeque<DownloadId>,
}

/// The number of remembered downloads: far more than are active at the same time.
const MAX_SEEN_DOWNLOADS: usize = 1 << 16;

impl SeenDownloads {
    /// Adds a download; false if it was there already.
    fn insert(&mut self, download: DownloadId) -> bool {
        if !self.known.insert(download) {
            return false;
        }
        self.in_order.push_back(download);
        if self.in_order.len() > MAX_SEEN_DOWNLOADS
            && let Some(oldest) = self.in_order.pop_front()
        {
            self.known.remove(&oldest);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, time::Duration};

    use brigade_core::{bitfield::Bitfield, geometry::Geometry, piece_list::Expected};
    use tokio_util::sync::CancellationToken;

    use super::{
        Arc, Buffers, DownloadId, Folder, HolderId, OUTCOMES, PieceIndex, PieceTarget, PieceWriter,
        ReceivedPiece, WantedPiece, WriteOutcome,
    };
    use crate::{
        peer::swarm::partial_contents::Part,
        store::{
            hash::hash_file,
            keeper::{Keeper, KeeperOptions},
            part_file::PartFile,
            share::Share,
        },
    };

    const PATIENCE: Duration = Duration::from_secs(20);

    /// The task that writes a piece may also write the pieces of other tasks, and it must not wait.
    #[tokio::test]
    async fn results_do_not_wait_for_an_owner_that_does_not_receive_them() {
        let temp = tempfile::tempdir().unwrap();
        let source = temp.path().join("source");
        std::fs::write(&source, vec![7; 5 << 20]).unwrap();
        let hashed = hash_file(&std::fs::File::open(source).unwrap(), 5 << 20, 2, &|| false).unwrap();
        let (content, list) = (hashed.content, hashed.list.unwrap());
        let folder = Folder::open(temp.path()).unwrap();
        let stop = CancellationToken::new();
        let share = Share::new(folder.clone());
        let (keeper, _changes) =
            Keeper::start(folder.clone(), share, KeeperOptions::default(), stop.clone()).unwrap();
        let (file, _) = PartFile::open(&folder, &"film".parse().unwrap(), content).unwrap();
        let (writer, mut outcomes) = PieceWriter::start(folder, keeper);
        for _ in 0..OUTCOMES {
            writer.send(WriteOutcome::Landed(vec![])); // the queue is full
        }
        let geometry = Geometry::new(content.size).unwrap();
        let part = Part::new(content, list.clone(), file, Bitfield::none(geometry.count()));
        let (part, buffers) = (Arc::new(part), Buffers::default());
        let no_piece = geometry.count();
        for piece in geometry.pieces().chain([PieceIndex(no_piece), PieceIndex(no_piece + 1)]) {
            let bytes = geometry.length(PieceIndex(0));
            let mut buffer = buffers.take(bytes as usize);
            buffer.as_mut().fill(7);
            let (download, target) = (DownloadId(1), PieceTarget::Part(part.clone()));
            let expected = list.expected(&geometry, piece).unwrap_or(Expected::Whole(content.id));
            let wanted = WantedPiece {
                download,
                content,
                piece,
                offer: None,
                bytes,
                expected,
                target,
                alone: false,
                received: Default::default(),
            };
            writer.store(ReceivedPiece { holder: HolderId(1), wanted, buffer });
        }
        let all = async {
            let (mut stored, mut failed) = (BTreeSet::new(), 0);
            while stored.len() < geometry.count() as usize || failed < 2 {
                match outcomes.recv().await.unwrap() {
                    WriteOutcome::Stored { piece, .. } => drop(stored.insert(piece)),
                    WriteOutcome::NotWritten { .. } => failed += 1,
                    WriteOutcome::Landed(_) => {}
                }
            }
        };
        tokio::time::timeout(PATIENCE, all).await.expect("a result is missing");
        stop.cancel();
    }
}
