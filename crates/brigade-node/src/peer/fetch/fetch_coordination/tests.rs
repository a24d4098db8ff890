//! What becomes of files and parts while fetches are given up and asked for again, step by step.
//!
//! Nothing is dialled: each test plays the connections and the threads, and passes on what they would send.

mod changed_parts;
mod paused_fetches;

use std::{fs, io::Write, sync::Arc, time::Duration};

use brigade_core::{
    bitfield::Bitfield,
    geometry::Geometry,
    id::ContentId,
    piece_list::PieceList,
    rate::Cap,
    time::UnixTime,
    wire::manager::{ContentHolders, PeerAddress, Version},
};
use tokio::{
    sync::{Semaphore, mpsc, watch},
    time::timeout,
};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{
    BlockingWork, ClockDifference, Content, FetchConfig, Fetches, FileDecision, Holders, KeptPart,
    LocalFileError, LookupResult, NewFetch, PartError, PreparedFiles, SpaceNeeds, Swarm, UnusedParts,
    WantedFile,
};
use crate::{
    clock,
    fetch_request::{
        FetchId, FetchOptions, new_fetch::OrderedFetch, running_fetch::Fetch, stored_fetches::StoredFetches,
        wanted_files::Resolved,
    },
    identity::key::SecretKey,
    peer::{
        bandwidth::Traffic,
        fetch::blocking_work::BlockingWorkResult,
        swarm::{ConnectionConfig, PartTable, SwarmConfig},
    },
    progress::Progress,
    store::{
        folder::Folder,
        hash::hash_file,
        keeper::{Change, Keeper, KeeperOptions},
        part_file::PartFile,
        share::Share,
        stored_parts::kept_parts,
    },
};

const PATIENCE: Duration = Duration::from_secs(20);
const BYTES: usize = 300_000;

/// Fetches, and the channels with the results of other threads.
struct TestFetches {
    fetches: Fetches,
    /// The number of the last fetch.
    last: u64,
    prepared: mpsc::Receiver<PreparedFiles>,
    results: mpsc::Receiver<BlockingWorkResult>,
    folder: Folder,
    _changes: mpsc::Receiver<Change>,
    _stop: DropGuard,
    temp: tempfile::TempDir,
}

/// A fetch that began.
struct Begun {
    progress: watch::Receiver<Progress>,
    handle: Fetch,
}

impl TestFetches {
    fn new() -> Self {
        let temp = tempfile::tempdir().unwrap();
        let folder = Folder::open(temp.path()).unwrap();
        folder.lock().unwrap();
        let (share, stop) = (Share::new(folder.clone()), CancellationToken::new());
        let (keeper, changes) =
            Keeper::start(folder.clone(), share.clone(), KeeperOptions::default(), stop.clone()).unwrap();
        let key = SecretKey::generate();
        let connections = ConnectionConfig {
            network: key.public(),
            key,
            membership: watch::channel(String::new()).1,
            connection_slots: Arc::new(Semaphore::new(8)),
            traffic: Arc::new(Traffic::new(Cap::Off, Cap::Off)),
        };
        let swarm = Swarm::new(SwarmConfig {
            connections,
            max_connections: 8,
            folder: folder.clone(),
            parts: PartTable::new(),
            keeper: keeper.clone(),
            seed: 1,
        });
        let (background, prepared, results) = BlockingWork::new(share.clone(), StoredFetches::default());
        let clock = watch::channel(None).1;
        let (keep_fetches, keep_parts, shares_fetched) = (false, None, true);
        let config = FetchConfig { swarm, share, keeper, keep_fetches, keep_parts, shares_fetched, clock };
        let (fetches, _) = Fetches::new(config, background);
        let (_changes, _stop) = (changes, stop.drop_guard());
        Self { fetches, last: 0, prepared, results, folder, _changes, _stop, temp }
    }

    /// Whether a content is fetched, or a file is prepared or deferred for it.
    fn is_in_use(&self, content: &Content) -> bool {
        self.fetches.swarm.is_active(content) || self.fetches.jobs.is_claimed(content)
    }

    /// A fetch of these files begins.
    fn begin(&mut self, files: Vec<WantedFile>) -> Begun {
        self.last += 1;
        let files = Resolved::for_tests("files", files);
        let (id, at) = (Some(FetchId(self.last)), UnixTime(0));
        let ordered = OrderedFetch { id, files, options: FetchOptions::default(), at };
        let new = NewFetch::begin(ordered, FetchId(self.last));
        let (handle, progress) = (new.handle.clone(), new.handle.progress());
        self.fetches.begin(new, SpaceNeeds::default());
        Begun { progress, handle }
    }

    /// A fetch is given up.
    fn give_up(&mut self, begun: &Begun) {
        begun.handle.give_up();
        self.fetches.stop_given_up();
    }

    async fn receive_prepared(&mut self) -> PreparedFiles {
        timeout(PATIENCE, self.prepared.recv()).await.expect("nothing was prepared").unwrap()
    }

    /// Files are prepared, and the events that follow from it are handled.
    fn prepared(&mut self, prepared: PreparedFiles) {
        self.fetches.prepared(prepared);
        self.handle_events();
    }

    fn handle_events(&mut self) {
        while let Some(event) = self.fetches.swarm().next_event() {
            self.fetches.handle(event);
        }
    }

    /// Waits until a file has landed, or has not.
    async fn receive_landed(&mut self) {
        let input = timeout(PATIENCE, self.fetches.swarm().receive()).await.expect("nothing landed");
        self.fetches.swarm().handle(input);
        self.handle_events();
    }

    /// Begins to fetch a content of two pieces as a file, of which all pieces are found: it gets its name.
    async fn begin_landing(&mut self, name: &str) -> (Begun, Vec<u8>, Content) {
        let (begun, prepared, bytes, content) = self.begin_complete(name).await;
        self.prepared(prepared);
        (begun, bytes, content)
    }

    /// Begins to fetch a content of two pieces as a file, of which all pieces are found. Returns the decision about it.
    async fn begin_complete(&mut self, name: &str) -> (Begun, PreparedFiles, Vec<u8>, Content) {
        let (bytes, content, list) = film();
        let begun = self.begin(vec![wanted(name, content)]);
        let mut prepared = self.receive_prepared().await;
        let Ok(FileDecision::Large { file, list: known, have }) = &mut prepared.files[0].1 else { panic!() };
        store_all(file, &bytes);
        (*known, *have) = (Some(list), Bitfield::all(Geometry::new(content.size).unwrap().count()));
        (begun, prepared, bytes, content)
    }

    /// Removes the directory for received files.
    fn remove_parts_directory(&self) {
        fs::remove_dir_all(self.temp.path().join(".brigade/parts")).unwrap();
    }

    /// The path of the only part.
    fn part_path(&self) -> std::path::PathBuf {
        let parts = fs::read_dir(self.temp.path().join(".brigade/parts")).unwrap();
        let mut paths = parts.map(|entry| entry.unwrap().path());
        paths.find(|path| path.extension().is_some_and(|ending| ending == "part")).unwrap()
    }

    /// Another program writes to the only part.
    fn change_part(&self) {
        let path = self.part_path();
        let modified = || fs::metadata(&path).unwrap().modified().unwrap();
        let before = modified();
        // The times of some file systems are those of the last tick of the clock.
        while modified() == before {
            fs::OpenOptions::new().write(true).open(&path).unwrap().write_all(b"another program").unwrap();
        }
    }

    /// The manager names these holders of a content, which have all of it.
    fn name_holders(&mut self, content: Content, peers: Vec<PeerAddress>) {
        let complete = (0..).take(peers.len()).collect();
        let of = ContentHolders { id: content.id, size: content.size, complete, partial: vec![] };
        self.fetches.holders(&Holders { peers, contents: vec![of] });
    }

    /// The number of pieces, bytes and bytes already present that a fetch shows.
    fn shown(&mut self, begun: &Begun) -> (u64, u64, u64) {
        self.fetches.tick(clock::now());
        let progress = begun.progress.borrow();
        assert_eq!((progress.failed, progress.is_over()), (0, false));
        (progress.pieces_done, progress.bytes_done, progress.bytes_already)
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
    WantedFile { mtime_s: 1000, ..WantedFile::new(name.parse().unwrap(), content) }
}

fn store_all(file: &PartFile, bytes: &[u8]) {
    let geometry = Geometry::new(bytes.len() as u64).unwrap();
    for piece in geometry.pieces() {
        let from = usize::try_from(geometry.offset(piece)).unwrap();
        let piece_bytes = bytes[from..][..geometry.length(piece) as usize].to_vec();
        file.store(piece, piece_bytes, |stored| stored.unwrap());
    }
}

/// A fetch of a content of several pieces that is stopped while it gets its name, and asked for again at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_part_that_is_getting_its_name_is_not_taken_up_again() {
    let mut test = TestFetches::new();
    let (first, bytes, content) = test.begin_landing("film").await;
    test.give_up(&first);

    let second = test.begin(vec![wanted("film", content), wanted("copy", content)]);
    assert_eq!(test.fetches.preparing, 0, "its part would be opened");
    assert!(test.is_in_use(&content));
    test.receive_landed().await;
    assert_eq!(test.fetches.preparing, 1, "it has landed: the others go on");
    let other = test.begin(vec![wanted("Film", content), wanted("COPY", content)]);
    assert_eq!(other.progress.borrow().failed, 2, "the second fetch has these names");
    let prepared = test.receive_prepared().await;
    assert!(matches!(prepared.files[..], [(_, Ok(FileDecision::Here(_)))]), "{prepared:?}");
    test.prepared(prepared);
    let prepared = test.receive_prepared().await;
    test.prepared(prepared);
    assert!(second.progress.borrow().is_over());
    assert!(!test.is_in_use(&content));
    for name in ["film", "copy"] {
        assert!(fs::read(test.temp.path().join(name)).unwrap() == bytes);
    }
    assert!(kept_parts(&test.folder, std::time::SystemTime::now()).unwrap().is_empty());
}

/// What one fetch keeps of a name is not taken from it by the result of another.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_lands_after_its_fetch_was_stopped_leaves_the_name_to_the_next_one() {
    let mut test = TestFetches::new();
    let (first, _, content) = test.begin_landing("film").await;
    test.give_up(&first);

    let other = Content { id: ContentId([9; 32]), size: 10 };
    let second = test.begin(vec![wanted("film", other)]);
    for landed in [false, true] {
        if landed {
            test.receive_landed().await;
        }
        let third = test.begin(vec![wanted("Film", content)]);
        test.fetches.prepare_more();
        assert_eq!(third.progress.borrow().failed, 1, "the second fetch has the name");
    }
    assert!(!second.progress.borrow().is_over());
    assert!(!test.is_in_use(&content));
}

/// A part under a name that another content has now, which a file of a fetch still waits for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_part_that_a_fetch_waits_for_is_not_removed() {
    let mut test = TestFetches::new();
    let (_, content, _) = film();
    let other = Content { id: ContentId([9; 32]), size: 10 };
    let name: brigade_core::name::FileName = "film".parse().unwrap();
    PartFile::open(&test.folder, &name, content).unwrap();
    test.fetches.parts_found(kept_parts(&test.folder, std::time::SystemTime::now()).unwrap());
    test.fetches.preparing = usize::MAX; // as many are prepared as may be
    let begun = test.begin(vec![wanted("copy", content)]);
    test.fetches.remove_parts(test.fetches.kept.obsolete(&name, &other));
    assert!(test.fetches.kept.removing().is_empty());
    test.give_up(&begun);
    test.fetches.remove_parts(test.fetches.kept.obsolete(&name, &other));
    assert_eq!(test.fetches.kept.removing(), [content]);
    let removed = timeout(PATIENCE, test.results.recv()).await.unwrap().unwrap();
    let BlockingWorkResult::PartsRemoved(removed) = removed else { panic!("{removed:?}") };
    assert_eq!(removed, [content]);
    test.fetches.preparing = 0;
    test.fetches.parts_removed(&removed);
    assert!(!test.is_in_use(&content));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_part_that_was_opened_before_its_directory_was_removed_is_not_used() {
    let mut test = TestFetches::new();
    let (begun, prepared, bytes, content) = test.begin_complete("film").await;
    test.remove_parts_directory();
    test.folder.keep_private().unwrap();
    test.fetches.begin_large_again();
    test.prepared(prepared);
    assert!(!test.fetches.swarm.is_active(&content));
    assert_eq!(test.shown(&begun), (0, 0, 0));

    let prepared = test.receive_prepared().await;
    let Ok(FileDecision::Large { file, have, .. }) = &prepared.files[0].1 else { panic!("{prepared:?}") };
    assert!(have.is_empty());
    store_all(file, &bytes);
    test.prepared(prepared);
    assert!(test.fetches.swarm.is_active(&content));
    assert_eq!(kept_parts(&test.folder, std::time::SystemTime::now()).unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_whose_part_was_removed_before_it_got_its_name_is_fetched_again() {
    let mut test = TestFetches::new();
    let (begun, prepared, _, content) = test.begin_complete("film").await;
    test.remove_parts_directory();
    test.prepared(prepared);
    // The keeper may notice the removal just before: then the part is not even used.
    if test.fetches.swarm.is_active(&content) {
        test.receive_landed().await;
    }
    assert!(!test.fetches.swarm.is_active(&content));
    assert_eq!(test.shown(&begun), (0, 0, 0));
    let prepared = test.receive_prepared().await;
    assert!(matches!(prepared.files[..], [(_, Ok(FileDecision::Large { .. }))]), "{prepared:?}");
}

/// A piece cannot be written because the part was removed, and later the complete part is removed.
#[cfg(unix)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_whose_part_alone_is_removed_is_fetched_again_once() {
    let mut test = TestFetches::new();
    let (bytes, content, list) = film();
    let begun = test.begin(vec![wanted("film", content)]);
    let prepared = test.receive_prepared().await;
    test.prepared(prepared);
    let error = crate::store::folder::FolderError::PartRemoved { path: test.part_path() };
    test.fetches.handle(super::SwarmEvent::NotWritten { content, error: error.into() });
    assert!(!test.fetches.swarm.is_active(&content));
    assert_eq!(test.shown(&begun), (0, 0, 0));

    let mut prepared = test.receive_prepared().await;
    let Ok(FileDecision::Large { file, list: known, have }) = &mut prepared.files[0].1 else { panic!() };
    store_all(file, &bytes);
    (*known, *have) = (Some(list), Bitfield::all(2));
    fs::remove_file(test.part_path()).unwrap();
    test.prepared(prepared);
    test.receive_landed().await;
    assert!(!test.temp.path().join("film").exists());
    let progress = begun.progress.borrow();
    assert_eq!((progress.is_over(), progress.failed), (true, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fetch_that_is_given_up_gives_back_the_names_of_files_that_wait_again() {
    let mut test = TestFetches::new();
    let (first, _, content) = test.begin_landing("film").await;
    test.give_up(&first);
    let second = test.begin(vec![wanted("copy", content)]); // it is deferred, and has the name
    test.fetches.preparing = usize::MAX; // as many are prepared as may be
    test.receive_landed().await;
    test.give_up(&second);
    test.fetches.preparing = 0;
    test.begin(vec![wanted("COPY", content)]);
    assert_eq!(test.fetches.preparing, 1, "the name is free");
}

/// The age of a part follows from this machine's clock.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_part_is_removed_for_its_age_while_the_clock_is_wrong() {
    let mut test = TestFetches::new();
    let content = Content { id: ContentId([7; 32]), size: BYTES as u64 };
    let keep = Duration::from_secs(60);
    let part = KeptPart { content, name: None, stored: vec![], idle: keep };
    test.fetches.kept = UnusedParts::new(Some(keep), true).0;
    let wrong = ClockDifference { is_behind: false, apart_s: 3600 };
    for (difference, removed) in [(Some(wrong), vec![]), (None, vec![content])] {
        test.fetches.clock = watch::channel(difference).1;
        test.fetches.parts_found(vec![part.clone()]);
        assert_eq!(test.fetches.kept.removing(), removed);
    }
}

/// The manager knows the file by its name in the catalogue.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_of_a_file_that_is_saved_under_another_name_is_noticed() {
    let mut test = TestFetches::new();
    let content = Content { id: ContentId([9; 32]), size: 10 };
    let begun = test.begin(vec![wanted("film", content).saved_as("copy".parse().unwrap())]);
    let prepared = test.receive_prepared().await;
    test.prepared(prepared);
    let peer = PeerAddress {
        key: SecretKey::generate().public(),
        username: "fire_user".parse().unwrap(),
        address: "127.0.0.1:1".to_owned(),
    };
    let version = Version {
        id: ContentId([8; 32]),
        size: 10,
        mtime_s: 0,
        executable: false,
        holders: vec![peer.username.clone()],
        first_s: 0,
    };
    test.name_holders(content, vec![peer]);
    test.name_holders(content, vec![]);
    test.handle_events();
    let (mut now, mut asked) = (clock::now(), vec![]);
    for _ in 0..3 {
        for (content, number, name) in test.fetches.names_to_check(now) {
            let versions = if *name == *"film" { vec![version.clone()] } else { vec![] };
            let found =
                LookupResult { question: 0, versions, below: 0, closest: vec![], incomplete_ms: None };
            test.fetches.name_checked(&content, number, &found);
            asked.push(name.to_string());
        }
        now = now.after(Duration::from_secs(5));
    }
    assert_eq!(asked, ["film", "film"]);
    assert_eq!(begun.progress.borrow().changed, 1);
}
