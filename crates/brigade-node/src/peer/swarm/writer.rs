//! From a buffer to the disk. What comes here was verified in memory: nothing else is ever written.
//!
//! Pieces of long contents are written to their part file, one writer at a time: on threads that may wait, or, where
//! that is in memory, by the task that brings them. Contents of a single piece go many to a job: one thread writes what
//! has come, makes all of it durable at once, and gives the files their names.

use std::{
    collections::{BTreeMap, HashSet, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use brigade_core::{
    content::PieceList,
    download::{DownloadId, Event, HolderId},
    id::Content,
    name::FileName,
};
use tokio::{runtime::Handle, sync::mpsc};

use super::{
    buffers::Buffer,
    connection::Wanted,
    news::News,
    partial::{Part, Parts},
};
use crate::{
    clock,
    store::{
        folder::Folder,
        keeper::{self, KeeperHandle},
        landing::{Landing, Placed},
        part_file::PartError,
        small_files::Batch,
    },
};

/// Small files that become durable, and get their names, together.
const BATCH_FILES: usize = 1024;

/// How long a batch is added to: where files come slowly but without a pause, a process that dies loses no more than
/// what came in this time.
const BATCH_TIME: Duration = Duration::from_millis(500);

/// How long a batch waits for more while more is in flight.
const BATCH_PAUSE: Duration = Duration::from_millis(20);

/// Small contents that are written before the owner hears of them, while more is waiting: what it then asks for, and what
/// comes of that, goes together too.
const TOLD_TOGETHER: usize = 16;

/// Small contents that wait for the thread that writes them; they are within the windows anyway.
const WAITING: usize = 1024;

/// Where a verified piece goes.
#[derive(Debug, Clone)]
pub(crate) enum Sink {
    /// Into the part file of a content of several pieces.
    Part(Arc<Part>),
    /// It is a file of its own, under these names.
    Small(Arc<Vec<Landing>>),
}

/// A piece that is all there, and is what it must be.
#[derive(Debug)]
pub(crate) struct Arrived {
    pub(crate) holder: HolderId,
    pub(crate) wanted: Wanted,
    pub(crate) buffer: Buffer,
}

impl Arrived {
    /// The names that a content of one piece is to get.
    fn names(&self) -> impl Iterator<Item = &FileName> {
        let landings = match &self.wanted.sink {
            Sink::Small(landings) => landings.as_slice(),
            Sink::Part(_) => &[],
        };
        landings.iter().map(|landing| &landing.name)
    }
}

/// How it went.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// A verified piece could not be written.
    NotWritten { download: DownloadId, error: PartError },
    /// Small files have their names, or not.
    Landed(Vec<Landed>),
}

/// A name that a content of one piece got.
#[derive(Debug)]
pub(crate) struct Landed {
    pub(crate) download: DownloadId,
    pub(crate) content: Content,
    pub(crate) name: FileName,
    pub(crate) placed: Result<Placed, PartError>,
}

/// Takes pieces in; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Receiving {
    parts: Parts,
    news: mpsc::Sender<News>,
    outcomes: mpsc::Sender<Outcome>,
    small: mpsc::Sender<Arrived>,
    keeper: KeeperHandle,
    runtime: Handle,
    /// Small contents that are asked for and not here: while there are any, a batch waits a moment for them.
    awaited: Arc<AtomicUsize>,
}

impl Receiving {
    /// Starts the thread for small files; it ends when the last clone is dropped.
    pub(crate) fn start(
        folder: Folder,
        parts: Parts,
        keeper: KeeperHandle,
        news: mpsc::Sender<News>,
        outcomes: mpsc::Sender<Outcome>,
    ) -> Self {
        let (small, arrived) = mpsc::channel(WAITING);
        let awaited = Arc::new(AtomicUsize::new(0));
        let this = Self { parts, news, outcomes, small, keeper, runtime: Handle::current(), awaited };
        let writer = SmallFiles {
            folder,
            taken: Taken::default(),
            news: this.news.clone(),
            outcomes: this.outcomes.clone(),
            keeper: this.keeper.clone(),
            runtime: this.runtime.clone(),
            awaited: this.awaited.clone(),
            stored: vec![],
        };
        tokio::task::spawn_blocking(move || writer.run(arrived));
        this
    }

    /// Lets the keeper know of files that are under their names, without waiting for it.
    pub(crate) fn tell_keeper(&self, files: Vec<keeper::Landed>) {
        let keeper = self.keeper.clone();
        self.runtime.spawn(async move { keeper.landed(files).await });
    }

    /// Lets the keeper and then the owner know of files that got their names, or not. On a thread that may wait.
    pub(crate) fn landed(&self, files: Vec<(Landed, Option<Arc<PieceList>>)>) {
        announce(&self.runtime, &self.keeper, &self.outcomes, files);
    }

    /// How many small contents are asked for and not here.
    pub(crate) fn awaited(&self) -> &AtomicUsize {
        &self.awaited
    }

    /// Takes a whole piece in. What becomes of it, the owner hears.
    pub(crate) async fn take(&self, arrived: Arrived) {
        match arrived.wanted.sink.clone() {
            Sink::Small(_) => drop(self.small.send(arrived).await),
            // In memory that is a copy, best made while the piece is in the processor's cache. But two connections to one
            // holder would wait for each other's.
            Sink::Part(part) if part.file.is_in_memory() && !arrived.wanted.alone => {
                self.store(arrived, part)
            }
            Sink::Part(part) => {
                let this = self.clone();
                // How many of these wait is bounded by the windows.
                tokio::task::spawn_blocking(move || this.store(arrived, part));
            }
        }
    }

    /// Writes a piece, or leaves that to who is writing another one of its file. So what became of it may be told on any
    /// thread, and waits for nobody.
    fn store(&self, arrived: Arrived, part: Arc<Part>) {
        let Arrived { holder, wanted, buffer } = arrived;
        let (download, piece) = (wanted.download, wanted.piece);
        let (this, file) = (self.clone(), part.file.clone());
        file.store(piece, buffer, move |written| match written {
            Ok(()) => {
                this.parts.stored(&part, piece);
                this.tell(&this.news, News::Core(Event::Stored { holder, download, piece }));
            }
            Err(error) => this.tell(&this.outcomes, Outcome::NotWritten { download, error }),
        });
    }

    /// Tells the owner something without waiting; where it has too much to hear already, a little later.
    fn tell<T: Send + 'static>(&self, owner: &mpsc::Sender<T>, news: T) {
        if let Err(mpsc::error::TrySendError::Full(news)) = owner.try_send(news) {
            let owner = owner.clone();
            self.runtime.spawn(async move { owner.send(news).await });
        }
    }
}

/// First the keeper hears of what has landed, so that it is shared when the owner says that it is done.
fn announce(
    runtime: &Handle,
    keeper: &KeeperHandle,
    outcomes: &mpsc::Sender<Outcome>,
    files: Vec<(Landed, Option<Arc<PieceList>>)>,
) {
    let (mut shared, mut landed) = (vec![], vec![]);
    for (file, list) in files {
        if let Ok(placed) = &file.placed {
            shared.push(keeper::Landed {
                name: file.name.clone(),
                content: file.content,
                list,
                stamp: placed.stamp,
            });
        }
        landed.push(file);
    }
    runtime.block_on(keeper.landed(shared));
    let _ = outcomes.blocking_send(Outcome::Landed(landed));
}

/// The thread that writes small files.
struct SmallFiles {
    folder: Folder,
    taken: Taken,
    news: mpsc::Sender<News>,
    outcomes: mpsc::Sender<Outcome>,
    keeper: KeeperHandle,
    runtime: Handle,
    awaited: Arc<AtomicUsize>,
    /// What was written and the owner has not heard of.
    stored: Vec<Event>,
}

impl SmallFiles {
    fn run(mut self, mut arrived: mpsc::Receiver<Arrived>) {
        let mut next_batch = None;
        while let Some(first) = next_batch.take().or_else(|| arrived.blocking_recv()) {
            let mut names = BTreeMap::new();
            let mut batch = match Batch::new(&self.folder) {
                Ok(batch) => batch,
                Err(error) => {
                    let download = first.wanted.download;
                    let _ = self.outcomes.blocking_send(Outcome::NotWritten { download, error });
                    continue;
                }
            };
            let end = clock::now().after(BATCH_TIME);
            self.add(first, &mut batch, &mut names);
            while batch.len() < BATCH_FILES && clock::now() < end {
                let Some(next) = self.next(&mut arrived) else { break };
                // What became of a name is told once for each batch.
                if next.names().any(|name| names.contains_key(name)) {
                    next_batch = Some(next);
                    break;
                }
                self.add(next, &mut batch, &mut names);
            }
            self.tell_stored();
            let landed = batch.commit().into_iter().filter_map(|(name, placed)| {
                let (download, content) = names.remove(&name)?;
                Some((Landed { download, content, name, placed }, None))
            });
            announce(&self.runtime, &self.keeper, &self.outcomes, landed.collect());
        }
    }

    /// The next content, as long as it is here or on its way.
    fn next(&mut self, arrived: &mut mpsc::Receiver<Arrived>) -> Option<Arrived> {
        if let Ok(next) = arrived.try_recv() {
            return Some(next);
        }
        self.tell_stored();
        if self.awaited.load(Ordering::Relaxed) == 0 {
            return None;
        }
        self.runtime
            .block_on(async { tokio::time::timeout(BATCH_PAUSE, arrived.recv()).await.ok().flatten() })
    }

    fn add(
        &mut self,
        arrived: Arrived,
        batch: &mut Batch,
        names: &mut BTreeMap<FileName, (DownloadId, Content)>,
    ) {
        let Arrived { holder, wanted, buffer } = arrived;
        let Wanted { download, content, piece, sink, .. } = wanted;
        let Sink::Small(landings) = sink else { return };
        if !self.taken.is_new(download) {
            return; // it came from two holders
        }
        let _ = self.awaited.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1));
        for landing in landings.iter() {
            names.insert(landing.name.clone(), (download, content));
            // What goes wrong stands in the answer of the commit.
            let _ = batch.add(landing.clone(), content, buffer.as_ref());
        }
        self.stored.push(Event::Stored { holder, download, piece });
        if self.stored.len() >= TOLD_TOGETHER {
            self.tell_stored();
        }
    }

    fn tell_stored(&mut self) {
        for event in self.stored.drain(..) {
            let _ = self.news.blocking_send(News::Core(event));
        }
    }
}

/// Contents that were written, so that one that comes twice is not written again: where a file makes way for another,
/// the second one would put the first aside.
#[derive(Default)]
struct Taken {
    known: HashSet<DownloadId>,
    in_order: VecDeque<DownloadId>,
}

/// As many as are remembered: far more than are fetched at once.
const TAKEN: usize = 1 << 16;

impl Taken {
    fn is_new(&mut self, download: DownloadId) -> bool {
        if !self.known.insert(download) {
            return false;
        }
        self.in_order.push_back(download);
        if self.in_order.len() > TAKEN
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

    use brigade_core::{
        bitfield::Bitfield,
        content::Expected,
        geometry::{Geometry, PieceIndex},
    };
    use tokio_util::sync::CancellationToken;

    use super::{
        Arc, Arrived, DownloadId, Event, Folder, HolderId, News, Outcome, Part, Parts, Receiving, Sink,
        Wanted, mpsc,
    };
    use crate::{
        peer::swarm::buffers::Buffers,
        store::{
            hash::hash_file,
            keeper::{Keeper, KeeperOptions},
            part_file::PartFile,
            share::Share,
        },
    };

    const PATIENCE: Duration = Duration::from_secs(20);

    /// Whoever writes one piece may write another's too, be it a task that must not wait: so no answer may.
    #[tokio::test]
    async fn what_became_of_a_piece_is_told_without_waiting_for_an_owner_who_does_not_listen() {
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
        let (news, mut heard) = mpsc::channel(1);
        let (outcomes, mut failed) = mpsc::channel(1);
        let (file, _) = PartFile::open(&folder, &"film".parse().unwrap(), content).unwrap();
        let receiving = Receiving::start(folder, Parts::new(), keeper, news, outcomes);
        let geometry = Geometry::new(content.size).unwrap();
        let part = Part::new(content, list.clone(), file, Bitfield::none(geometry.count()));
        let (part, buffers) = (Arc::new(part), Buffers::default());
        let no_piece = geometry.count();
        for piece in geometry.pieces().chain([PieceIndex(no_piece), PieceIndex(no_piece + 1)]) {
            let bytes = geometry.length(PieceIndex(0));
            let mut buffer = buffers.take(bytes as usize);
            buffer.as_mut().fill(7);
            let (download, sink) = (DownloadId(1), Sink::Part(part.clone()));
            let expected = list.expected(&geometry, piece).unwrap_or(Expected::Whole(content.id));
            let wanted = Wanted {
                download,
                content,
                piece,
                offer: None,
                bytes,
                expected,
                sink,
                alone: false,
                received: Default::default(),
            };
            receiving.store(Arrived { holder: HolderId(1), wanted, buffer }, part.clone());
        }
        let all = async {
            let mut stored = BTreeSet::new();
            while stored.len() < geometry.count() as usize {
                let Some(News::Core(Event::Stored { piece, .. })) = heard.recv().await else { panic!() };
                stored.insert(piece);
            }
            for _ in 0..2 {
                assert!(matches!(failed.recv().await, Some(Outcome::NotWritten { .. })));
            }
        };
        tokio::time::timeout(PATIENCE, all).await.expect("something was not told");
        stop.cancel();
    }
}
