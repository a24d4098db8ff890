//! Reading of parts and shared files, and the refusals after every way in which they end.
//!
//! Sending is tested at the binary.

use std::{
    fs,
    io::{IoSliceMut, Write as _},
    path::Path,
    sync::{Arc, OnceLock},
};

use brigade_core::geometry::Geometry;
use tokio_util::sync::CancellationToken;

use super::{
    Bitfield, FilledBuffer, Part, PartTable, PieceRange, PieceSource, ReadMode, Reason, RecordBuffer, Share,
    fill, lay_out,
};
use crate::{
    peer::swarm::partial_contents::PartOwner,
    store::{
        folder::Folder,
        hash::{Hashed, hash_file},
        keeper::{Change, Keeper, KeeperOptions},
        landing::Landing,
        part_file::PartFile,
    },
};

const NAME: &str = "film";
const BYTES: usize = 300_000;

/// A content of two pieces that was received completely and has no name yet.
struct ReceivedContent {
    temp: tempfile::TempDir,
    folder: Folder,
    share: Share,
    parts: PartTable,
    hashed: Hashed,
    owner: Option<PartOwner>,
    source: PieceSource,
}

impl ReceivedContent {
    fn new() -> Self {
        let temp = tempfile::tempdir().unwrap();
        let folder = Folder::open(temp.path()).unwrap();
        let bytes = vec![7; BYTES];
        let mut source = tempfile::tempfile().unwrap();
        source.write_all(&bytes).unwrap();
        let hashed = hash_file(&source, BYTES as u64, 1, &|| false).unwrap();
        let (file, _) = PartFile::open(&folder, &NAME.parse().unwrap(), hashed.content).unwrap();
        let geometry = Geometry::new(BYTES as u64).unwrap();
        for piece in geometry.pieces() {
            let from = usize::try_from(geometry.offset(piece)).unwrap();
            let piece_bytes = bytes[from..][..geometry.length(piece) as usize].to_vec();
            file.store(piece, piece_bytes, |stored| stored.unwrap());
        }
        let (share, parts) = (Share::new(folder.clone()), PartTable::new());
        let list = hashed.list.clone().unwrap();
        let owner = parts.begin(Part::new(hashed.content, list, file, Bitfield::all(geometry.count())));
        let source = PieceSource::Part(parts.find(&hashed.content).unwrap(), share.clone());
        Self { temp, folder, share, parts, hashed, owner: Some(owner), source }
    }

    fn path(&self) -> std::path::PathBuf {
        self.temp.path().join(NAME)
    }

    /// Gives the file its name, as the fetches do.
    fn lands(&self, share_is_notified: bool) {
        let landing =
            Landing { name: NAME.parse().unwrap(), mtime_s: 1000, executable: false, replace: false };
        let owner = self.owner.as_ref().unwrap();
        let placed = owner.file.finish_as(&self.folder, &landing, |stamp| owner.named(stamp)).unwrap();
        if share_is_notified {
            let (content, list) = (self.hashed.content, self.hashed.list.clone());
            let stamp = placed.stamp;
            self.share.insert_for_test(NAME.parse().unwrap(), content, list, stamp);
            owner.landed(stamp);
        }
    }
}

fn range(source: &PieceSource) -> PieceRange {
    let (file_offset, piece_offset, bytes) = (0, 0, 100_000);
    PieceRange { request: 3, source: source.clone(), file_offset, piece_offset, bytes }
}

/// The result of a request for a piece; a refused one leaves nothing in the buffer.
fn request(source: &PieceSource) -> Result<(), Reason> {
    let mut frames = RecordBuffer::default();
    let failed = fill(&mut frames, &[range(source)], true);
    match failed[..] {
        [] => Ok(()),
        [(3, reason)] => {
            assert_eq!(frames.plain_bytes(), 0);
            Err(reason)
        }
        _ => panic!("{failed:?}"),
    }
}

/// Writes other bytes into the file, as the user may.
fn overwrite(path: &Path) {
    fs::OpenOptions::new().write(true).open(path).unwrap().write_all(b"private").unwrap();
}

#[test]
fn a_part_that_was_given_up_is_not_read_any_more() {
    let mut received = ReceivedContent::new();
    assert_eq!(request(&received.source), Ok(()));
    received.owner = None;
    assert!(received.parts.find(&received.hashed.content).is_none());
    assert_eq!(request(&received.source), Err(Reason::NotFound));
    // Another fetch opens the same file again and completes it; then the user writes to it.
    let (file, _) =
        PartFile::open(&received.folder, &NAME.parse().unwrap(), received.hashed.content).unwrap();
    let landing = Landing { name: NAME.parse().unwrap(), mtime_s: 9, executable: false, replace: false };
    file.finish(&received.folder, &landing).unwrap();
    overwrite(&received.path());
    assert_eq!(request(&received.source), Err(Reason::NotFound));
}

#[test]
fn a_part_that_was_given_up_is_not_written_any_more() {
    let mut received = ReceivedContent::new();
    let file = received.owner.as_ref().unwrap().file.clone();
    received.owner = None;
    let (sender, result) = std::sync::mpsc::channel();
    file.store(brigade_core::geometry::PieceIndex(0), vec![7; 256 << 10], move |stored| {
        sender.send(stored.is_err()).unwrap();
    });
    assert!(result.recv().unwrap());
}

#[test]
fn a_part_is_served_from_the_moment_of_its_name_on_only_while_nobody_wrote_to_it() {
    for share_is_notified in [false, true] {
        let received = ReceivedContent::new();
        received.lands(share_is_notified);
        assert_eq!(request(&received.source), Ok(()), "notified: {share_is_notified}");
        overwrite(&received.path());
        assert_eq!(request(&received.source), Err(Reason::NotFound), "notified: {share_is_notified}");
    }
}

#[test]
fn a_part_that_landed_is_served_on_as_long_as_it_is_shared() {
    let mut received = ReceivedContent::new();
    received.lands(true);
    received.owner = None;
    assert_eq!(request(&received.source), Ok(()));
    received.share.remove_for_test(&NAME.parse().unwrap());
    assert_eq!(request(&received.source), Err(Reason::NotFound));
}

#[test]
fn a_fetch_that_is_given_up_while_its_file_gets_its_name_closes_its_part() {
    let mut received = ReceivedContent::new();
    received.lands(false);
    received.owner = None;
    assert_eq!(request(&received.source), Err(Reason::NotFound));
}

#[test]
fn a_task_that_panics_closes_its_part() {
    let mut received = ReceivedContent::new();
    let owner = received.owner.take();
    let panicked = std::thread::spawn(move || {
        let _owner = owner;
        panic!("as the owner of the fetches may");
    });
    assert!(panicked.join().is_err());
    assert_eq!(request(&received.source), Err(Reason::NotFound));
}

/// The read fails then, but the reason is the change.
#[test]
fn an_open_file_that_is_cut_off_is_refused_as_changed() {
    let received = ReceivedContent::new();
    received.lands(true);
    assert_eq!(request(&received.source), Ok(()));
    fs::OpenOptions::new().write(true).open(received.path()).unwrap().set_len(1).unwrap();
    assert_eq!(request(&received.source), Err(Reason::NotFound));
}

/// Bytes are not sent if the file was written to, or given up, while they were read.
#[test]
fn a_change_between_the_check_and_the_read_is_refused() {
    for gives_up in [false, true] {
        let mut received = ReceivedContent::new();
        let mut owner = received.owner.take();
        if !gives_up {
            received.owner = owner.take();
            received.lands(true);
        }
        let (range, path) = (range(&received.source), received.path());
        let read = |data: &mut [IoSliceMut<'_>], offset| {
            if gives_up {
                drop(owner.take());
            } else {
                overwrite(&path);
            }
            range.source.read(data, offset, ReadMode::Wait)
        };
        assert!(lay_out(&mut RecordBuffer::default(), &range, read).is_ok(), "given up: {gives_up}");
        assert_eq!(range.source.check(), Err(Reason::NotFound), "given up: {gives_up}");
    }
}

/// The same for files of the share, be they small or long.
#[tokio::test]
async fn a_shared_file_that_changes_while_it_is_read_is_refused() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join(NAME);
    fs::write(&path, vec![7; BYTES]).unwrap();
    let folder = Folder::open(temp.path()).unwrap();
    let (share, stop) = (Share::new(folder.clone()), CancellationToken::new());
    let (_keeper, mut changes) =
        Keeper::start(folder, share.clone(), KeeperOptions::default(), stop.clone()).unwrap();
    while !matches!(changes.recv().await, Some(Change::Scanned)) {}
    let shared = share.by_name(&NAME.parse().unwrap()).unwrap();
    let source = PieceSource::Shared { share, shared, open: Arc::new(OnceLock::new()) };
    assert_eq!(request(&source), Ok(()));
    let range = range(&source);
    let read = |data: &mut [IoSliceMut<'_>], offset| {
        overwrite(&path);
        range.source.read(data, offset, ReadMode::Wait)
    };
    assert!(lay_out(&mut RecordBuffer::default(), &range, read).is_ok());
    assert_eq!(request(&source), Err(Reason::NotFound));
    stop.cancel();
}

/// The first fill of a buffer leaves the check after the read to the one before the bytes are sent.
#[tokio::test]
async fn a_part_that_was_given_up_after_it_was_read_is_not_sent() {
    let mut received = ReceivedContent::new();
    let (mut frames, ranges, ends) = (RecordBuffer::default(), vec![range(&received.source)], vec![false]);
    let failed = fill(&mut frames, &ranges, false);
    let filled = FilledBuffer { frames, ranges, ends, failed };
    let filled = filled.without_withdrawn().await.unwrap();
    assert_eq!((filled.data_bytes(), filled.failed.len()), (100_000, 0));
    received.owner = None;
    assert!(fill(&mut RecordBuffer::default(), &filled.ranges, false).is_empty());
    let filled = filled.without_withdrawn().await.unwrap();
    assert_eq!((filled.data_bytes(), filled.frames.plain_bytes()), (0, 0));
    assert!(matches!(filled.failed[..], [(3, Reason::NotFound)]));
}
