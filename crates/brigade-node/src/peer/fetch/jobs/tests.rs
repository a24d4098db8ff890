//! What becomes of files and parts while fetches are given up and asked for again, step by step in one owner.
//!
//! Nothing is dialled: each test plays the links, and tells the owner what it would hear of other threads.

use std::{fs, sync::Arc, time::Duration};

use brigade_core::{content::PieceList, id::ContentId, rate::Cap};
use tokio::{
    sync::{Semaphore, mpsc, watch},
    time::timeout,
};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{Content, DownloadId, Fetches, JobId, Outcome, WantedFile};
use crate::{
    identity::key::SecretKey,
    peer::{
        bandwidth::Traffic,
        fetch::{
            kept_parts::Kept,
            measure::Needs,
            orders::{Answer, Ordered, Prepared},
            prepare::Decision,
            progress::Progress,
        },
        swarm::{buffers::Buffers, connection::Lines, partial::Parts, writer::Receiving},
    },
    store::{
        folder::Folder,
        hash::hash_file,
        keeper::{Change, Keeper, KeeperOptions},
        part_file::PartFile,
        parts::kept_parts,
        share::Share,
    },
};

const PATIENCE: Duration = Duration::from_secs(20);
const BYTES: usize = 300_000;

/// An owner of fetches, and the channels on which it is told of what other threads did.
struct Owner {
    fetches: Fetches,
    prepared: mpsc::Receiver<Prepared>,
    answers: mpsc::Receiver<Answer>,
    outcomes: mpsc::Receiver<Outcome>,
    folder: Folder,
    _changes: mpsc::Receiver<Change>,
    _stop: DropGuard,
    temp: tempfile::TempDir,
}

impl Owner {
    fn new() -> Self {
        let temp = tempfile::tempdir().unwrap();
        let folder = Folder::open(temp.path()).unwrap();
        let (share, parts, stop) = (Share::new(folder.clone()), Parts::new(), CancellationToken::new());
        let (keeper, changes) =
            Keeper::start(folder.clone(), share.clone(), KeeperOptions::default(), stop.clone()).unwrap();
        let (news, _) = mpsc::channel(100);
        let (outcomes_sender, outcomes) = mpsc::channel(100);
        let (prepared_sender, prepared) = mpsc::channel(100);
        let (answers_sender, answers) = mpsc::channel(100);
        let receiving =
            Receiving::start(folder.clone(), parts.clone(), keeper, news.clone(), outcomes_sender);
        let key = SecretKey::generate();
        let lines = Lines {
            network: key.public(),
            key,
            membership: watch::channel(String::new()).1,
            places: Arc::new(Semaphore::new(8)),
            traffic: Arc::new(Traffic::new(Cap::Off, Cap::Off)),
            buffers: Buffers::default(),
            receiving,
            news,
            breaches: Arc::default(),
        };
        let kept = Kept::new(None, true).0;
        let fetches = Fetches::new(lines, share, parts, (prepared_sender, answers_sender), kept, 8, 1);
        Self {
            fetches,
            prepared,
            answers,
            outcomes,
            folder,
            _changes: changes,
            _stop: stop.drop_guard(),
            temp,
        }
    }

    /// A fetch of these files begins.
    fn begin(&mut self, files: Vec<WantedFile>) -> JobId {
        let (name, progress) = ("files".to_owned(), watch::channel(Progress::new(String::new())).0);
        let given_up = CancellationToken::new();
        self.fetches.begin(Ordered { name, files, progress, given_up }, Needs::default());
        JobId(self.fetches.last_job)
    }

    async fn hear_prepared(&mut self) -> Prepared {
        timeout(PATIENCE, self.prepared.recv()).await.expect("nothing was looked through").unwrap()
    }

    async fn hear_outcome(&mut self) -> Outcome {
        timeout(PATIENCE, self.outcomes.recv()).await.expect("nothing landed").unwrap()
    }

    /// Every piece of the only content that is fetched is here: it is getting its name.
    fn finish(&mut self) -> DownloadId {
        let [download] = self.fetches.fetching.keys().copied().collect::<Vec<_>>()[..] else { panic!() };
        self.fetches.finished(download);
        download
    }
}

/// A content of two pieces.
fn film() -> (Vec<u8>, Content, Arc<PieceList>) {
    let bytes = vec![7; BYTES];
    let temp = tempfile::NamedTempFile::new().unwrap();
    fs::write(temp.path(), &bytes).unwrap();
    let hashed = hash_file(temp.as_file(), BYTES as u64, 1, &|| false).unwrap();
    (bytes, hashed.content, hashed.list.unwrap())
}

fn wanted(name: &str, content: Content) -> WantedFile {
    WantedFile { name: name.parse().unwrap(), content, mtime_s: 1000, executable: false, replace: false }
}

fn store_all(file: &PartFile, bytes: &[u8]) {
    let geometry = brigade_core::geometry::Geometry::new(bytes.len() as u64).unwrap();
    for piece in geometry.pieces() {
        let from = usize::try_from(geometry.offset(piece)).unwrap();
        let piece_bytes = bytes[from..][..geometry.length(piece) as usize].to_vec();
        file.store(piece, piece_bytes, |stored| stored.unwrap());
    }
}

/// A fetch of a content of several pieces that is stopped while it gets its name, and asked for again at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_part_that_is_getting_its_name_is_not_taken_up_again() {
    let mut owner = Owner::new();
    let (bytes, content, list) = film();
    let first = owner.begin(vec![wanted("film", content)]);
    let mut prepared = owner.hear_prepared().await;
    let Ok(Decision::Large { file, list: known, .. }) = &mut prepared.files[0].1 else { panic!() };
    store_all(file, &bytes);
    *known = Some(list);
    owner.fetches.prepared(prepared);
    owner.finish();
    owner.fetches.stop_job(first);

    owner.begin(vec![wanted("film", content), wanted("copy", content)]);
    assert_eq!(owner.fetches.preparing, 0, "its part would be opened");
    assert_eq!(owner.fetches.deferred[&content].len(), 2);
    let outcome = owner.hear_outcome().await;
    owner.fetches.outcome(outcome);
    assert_eq!(owner.fetches.preparing, 1, "it has landed: the others go on");
    assert_eq!(owner.fetches.taken_names.len(), 2, "the names of the second fetch");
    let prepared = owner.hear_prepared().await;
    assert!(matches!(prepared.files[..], [(_, Ok(Decision::Here(_)))]), "{prepared:?}");
    owner.fetches.prepared(prepared);
    let prepared = owner.hear_prepared().await;
    owner.fetches.prepared(prepared);
    assert!(owner.fetches.jobs.is_empty() && owner.fetches.in_preparation.is_empty());
    for name in ["film", "copy"] {
        assert!(fs::read(owner.temp.path().join(name)).unwrap() == bytes);
    }
    assert!(kept_parts(&owner.folder, std::time::SystemTime::now()).unwrap().is_empty());
}

/// What one fetch keeps of a name is not taken from it by what is told of another.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_lands_after_its_fetch_was_stopped_leaves_the_name_to_the_next_one() {
    let mut owner = Owner::new();
    let (bytes, content, list) = film();
    let first = owner.begin(vec![wanted("film", content)]);
    let mut prepared = owner.hear_prepared().await;
    let Ok(Decision::Large { file, list: known, .. }) = &mut prepared.files[0].1 else { panic!() };
    store_all(file, &bytes);
    *known = Some(list);
    owner.fetches.prepared(prepared);
    owner.finish();
    owner.fetches.stop_job(first);

    let other = Content { id: ContentId([9; 32]), size: 10 };
    owner.begin(vec![wanted("film", other)]);
    assert_eq!(owner.fetches.taken_names.len(), 1);
    let outcome = owner.hear_outcome().await;
    owner.fetches.outcome(outcome);
    assert_eq!(owner.fetches.taken_names.len(), 1);
    assert!(!owner.fetches.in_preparation.contains(&content));
}

/// A part under a name that another content has now, which a file of a fetch still waits for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_part_that_a_fetch_waits_for_is_not_removed() {
    let mut owner = Owner::new();
    let (_, content, _) = film();
    let other = Content { id: ContentId([9; 32]), size: 10 };
    let name: brigade_core::name::FileName = "film".parse().unwrap();
    PartFile::open(&owner.folder, &name, content).unwrap();
    owner.fetches.kept_parts(kept_parts(&owner.folder, std::time::SystemTime::now()).unwrap());
    owner.fetches.preparing = usize::MAX; // as many are looked through as may be
    let job = owner.begin(vec![wanted("copy", content)]);
    owner.fetches.not_wanted_any_more(&name, &other);
    assert!(owner.fetches.kept.removing().is_empty());
    owner.fetches.stop_job(job);
    owner.fetches.not_wanted_any_more(&name, &other);
    assert_eq!(owner.fetches.kept.removing(), [content]);
    let removed = timeout(PATIENCE, owner.answers.recv()).await.unwrap().unwrap();
    assert!(matches!(&removed, Answer::Removed(contents) if *contents == [content]));
    owner.fetches.preparing = 0;
    owner.fetches.answer(removed);
    assert!(owner.fetches.in_preparation.is_empty());
}
