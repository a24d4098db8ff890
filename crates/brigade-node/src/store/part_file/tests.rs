//! Part files: writing pieces, resuming after a restart, and getting the name.
//!
//! Whole fetches are in the end-to-end tests.

use std::{
    fs,
    sync::mpsc::{self, channel},
    thread,
};

use brigade_core::{
    bitfield::Bitfield,
    geometry::{Geometry, PieceIndex},
    id::Content,
    name::FileName,
};

use super::{Folder, Landing, PartError, PartFile, PieceList};
use crate::store::{
    file_stamp::{stamp_of, system_time},
    hash::hash_file,
    piece_verification::hash_pieces,
    stored_parts::{kept_parts, remove_part},
};
#[cfg(unix)]
use crate::test_helpers::run_with_few_open_files::run_with_few_open_files;

fn landing(name: &str, mtime_s: i64, executable: bool) -> Landing {
    Landing { name: name.parse().unwrap(), mtime_s, executable, replace: false }
}

struct TestContent {
    bytes: Vec<u8>,
    content: Content,
    list: PieceList,
    geometry: Geometry,
}

/// The name under which parts are opened.
fn name() -> FileName {
    "film.bin".parse().unwrap()
}

/// The contents that are stored in part.
fn contents(folder: &Folder) -> Vec<Content> {
    let kept = kept_parts(folder, std::time::SystemTime::now()).unwrap();
    kept.iter().map(|part| part.content).collect()
}

/// The bytes of five pieces; the last one is short.
fn source() -> TestContent {
    let bytes: Vec<u8> =
        (0..(1usize << 20) + 77).map(|i| u8::try_from((i * 7 + i / 300) % 256).unwrap()).collect();
    let temp = tempfile::NamedTempFile::new().unwrap();
    fs::write(temp.path(), &bytes).unwrap();
    let hashed = hash_file(temp.as_file(), bytes.len() as u64, 2, &|| false).unwrap();
    let geometry = Geometry::new(hashed.content.size).unwrap();
    TestContent { bytes, content: hashed.content, list: hashed.list.unwrap().as_ref().clone(), geometry }
}

impl TestContent {
    fn piece(&self, piece: u32) -> Vec<u8> {
        let at = usize::try_from(self.geometry.offset(PieceIndex(piece))).unwrap();
        self.bytes[at..at + self.geometry.length(PieceIndex(piece)) as usize].to_vec()
    }

    fn store(&self, part: &PartFile, pieces: &[u32]) {
        let (send, done) = channel();
        for piece in pieces {
            let send = send.clone();
            part.store(PieceIndex(*piece), self.piece(*piece), move |result| send.send(result).unwrap());
        }
        for _ in pieces {
            done.recv().unwrap().unwrap();
        }
    }
}

fn folder() -> (tempfile::TempDir, Folder) {
    let temp = tempfile::tempdir().unwrap();
    let folder = Folder::open(temp.path()).unwrap();
    (temp, folder)
}

#[test]
fn a_content_is_received_and_gets_its_name() {
    let (source, (temp, folder)) = (source(), folder());
    let (part, resumed) = PartFile::open(&folder, &name(), source.content).unwrap();
    assert!(resumed.list.is_none() && resumed.claimed.is_empty());
    source.store(&part, &[4, 0, 2, 3, 1]);
    let stamp = part.finish(&folder, &landing("new/deep/file", 1_000_000_000, true)).unwrap().stamp;
    let path = temp.path().join("new/deep/file");
    assert_eq!(fs::read(&path).unwrap(), source.bytes);
    assert_eq!(stamp.mtime_s(), 1_000_000_000);
    assert_eq!(stamp, folder.stamp(&"new/deep/file".parse().unwrap()).unwrap());
    assert_eq!(stamp.executable, cfg!(unix));
    assert_eq!(fs::read_dir(temp.path().join(".brigade/parts")).unwrap().count(), 0);
}

#[test]
fn only_stored_pieces_are_believed_after_a_restart() {
    let (source, (temp, folder)) = (source(), folder());
    let (part, _) = PartFile::open(&folder, &name(), source.content).unwrap();
    part.save_list(&source.list).unwrap();
    source.store(&part, &[0, 4]);
    drop(part);
    assert_eq!(contents(&folder), [source.content]);
    // As after a power failure: the record has more pieces than the disk.
    let record =
        temp.path().join(format!(".brigade/parts/{}-{}.pieces", source.content.id, source.content.size));
    fs::write(&record, [0b1110_1000]).unwrap();
    let (part, resumed) = PartFile::open(&folder, &name(), source.content).unwrap();
    assert_eq!(resumed.list.as_deref(), Some(&source.list));
    assert_eq!(resumed.claimed.count(), 4);
    let right = hash_pieces(part.file(), source.content, &source.list, &resumed.claimed, 2);
    assert_eq!(right.iter().collect::<Vec<_>>(), [PieceIndex(0), PieceIndex(4)]);
    // A record with a wrong length has no pieces.
    for nonsense in [&[0xff][..], &[0, 0], &[]] {
        fs::write(&record, nonsense).unwrap();
        assert!(PartFile::open(&folder, &name(), source.content).unwrap().1.claimed.is_empty());
    }
    assert!(remove_part(&folder, source.content).unwrap());
    assert!(!remove_part(&folder, source.content).unwrap());
    assert_eq!(contents(&folder), []);
}

#[test]
fn a_record_without_its_file_claims_nothing() {
    let (source, (temp, folder)) = (source(), folder());
    let (part, _) = PartFile::open(&folder, &name(), source.content).unwrap();
    source.store(&part, &[0, 1, 2, 3, 4]);
    drop(part);
    let data = format!(".brigade/parts/{}-{}.part", source.content.id, source.content.size);
    fs::remove_file(temp.path().join(data)).unwrap();
    assert_eq!(PartFile::open(&folder, &name(), source.content).unwrap().1.claimed, Bitfield::none(5));
}

#[test]
fn nothing_is_replaced_and_another_name_may_be_tried() {
    let (source, (temp, folder)) = (source(), folder());
    let (part, _) = PartFile::open(&folder, &name(), source.content).unwrap();
    source.store(&part, &[0, 1, 2, 3, 4]);
    fs::write(temp.path().join("taken"), "mine").unwrap();
    let refused = part.finish(&folder, &landing("taken", 0, false));
    assert!(matches!(&refused, Err(PartError::Occupied { path }) if path.ends_with("taken")), "{refused:?}");
    let refused = part.finish(&folder, &landing("taken/below", 0, false));
    assert!(matches!(refused, Err(PartError::Folder(_))), "{refused:?}");
    assert_eq!(fs::read(temp.path().join("taken")).unwrap(), b"mine");
    part.finish(&folder, &landing("free", 0, false)).unwrap();
    assert_eq!(fs::read(temp.path().join("free")).unwrap(), source.bytes);
}

/// Another program may write between two pieces, or after the last one.
#[test]
fn a_part_that_another_program_changed_gets_no_name_and_keeps_its_right_pieces() {
    for (first, second, expected) in
        [(&[0, 1, 2][..], &[3, 4][..], vec![0, 2, 3, 4]), (&[0, 1, 2, 3, 4][..], &[][..], vec![0, 2, 3, 4])]
    {
        let (source, (temp, folder)) = (source(), folder());
        let (part, _) = PartFile::open(&folder, &name(), source.content).unwrap();
        part.save_list(&source.list).unwrap();
        source.store(&part, first);
        let data = format!(".brigade/parts/{}-{}.part", source.content.id, source.content.size);
        let data = fs::OpenOptions::new().write(true).open(temp.path().join(data)).unwrap();
        // The times of some file systems are those of the last tick of the clock.
        let before = data.metadata().unwrap().modified().unwrap();
        while data.metadata().unwrap().modified().unwrap() == before {
            crate::store::system::write_at(&data, b"another program", source.geometry.offset(PieceIndex(1)))
                .unwrap();
        }
        source.store(&part, second);
        let result = part.finish(&folder, &landing("film.bin", 1, false));
        assert!(matches!(result, Err(PartError::Changed { .. })), "{result:?}");
        assert!(!temp.path().join("film.bin").exists());
        drop(part);
        let (part, resumed) = PartFile::open(&folder, &name(), source.content).unwrap();
        let right = hash_pieces(part.file(), source.content, &source.list, &resumed.claimed, 2);
        assert_eq!(right.iter().map(|piece| piece.0).collect::<Vec<_>>(), expected);
        source.store(&part, &[1]);
        part.finish(&folder, &landing("film.bin", 1, false)).unwrap();
        assert_eq!(fs::read(temp.path().join("film.bin")).unwrap(), source.bytes);
    }
}

#[cfg(unix)]
#[test]
fn a_part_that_another_program_removes_or_replaces_takes_no_more_pieces() {
    for is_replaced in [false, true] {
        let (source, (temp, folder)) = (source(), folder());
        let (part, _) = PartFile::open(&folder, &name(), source.content).unwrap();
        source.store(&part, &[0, 1]);
        let path = temp.path().join(".brigade/parts");
        let path = path.join(format!("{}-{}.part", source.content.id, source.content.size));
        let before = stamp_of(part.file()).unwrap();
        fs::remove_file(&path).unwrap();
        if is_replaced {
            fs::write(&path, "another file").unwrap();
        }
        // The times of some file systems are those of the last tick of the clock.
        while stamp_of(part.file()).unwrap() == before {
            part.file().set_modified(std::time::SystemTime::now()).unwrap();
        }
        let is_removed = |error: PartError| {
            matches!(error, PartError::Folder(crate::store::folder::FolderError::PartRemoved { .. }))
        };
        let (send, done) = channel();
        part.store(PieceIndex(2), source.piece(2), move |result| send.send(result).unwrap());
        assert!(is_removed(done.recv().unwrap().unwrap_err()), "replaced: {is_replaced}");
        let refused = part.finish(&folder, &landing("film.bin", 1, false)).unwrap_err();
        assert!(is_removed(refused), "replaced: {is_replaced}");
        assert!(!temp.path().join("film.bin").exists());
        drop(part);
        let (_, resumed) = PartFile::open(&folder, &name(), source.content).unwrap();
        assert!(resumed.claimed.is_empty(), "replaced: {is_replaced}");
    }
}

/// Without the record, only a restart would fetch more.
#[cfg(unix)]
#[test]
fn a_part_whose_record_is_removed_gets_its_name() {
    let (source, (temp, folder)) = (source(), folder());
    let (part, _) = PartFile::open(&folder, &name(), source.content).unwrap();
    source.store(&part, &[0, 1]);
    let record = format!(".brigade/parts/{}-{}.pieces", source.content.id, source.content.size);
    fs::remove_file(temp.path().join(record)).unwrap();
    source.store(&part, &[2, 3, 4]);
    part.finish(&folder, &landing("film.bin", 1, false)).unwrap();
    assert_eq!(fs::read(temp.path().join("film.bin")).unwrap(), source.bytes);
}

/// A sync takes seconds if the file is large. The old time may be set again after the write.
#[test]
fn a_part_that_another_program_changes_during_its_sync_gets_no_name() {
    // Windows has no time for a change of an attribute alone.
    for keeps_time in [false, cfg!(unix)] {
        let (source, (temp, folder)) = (source(), folder());
        let (part, _) = PartFile::open(&folder, &name(), source.content).unwrap();
        part.save_list(&source.list).unwrap();
        source.store(&part, &[0, 1, 2, 3, 4]);
        let data = format!(".brigade/parts/{}-{}.part", source.content.id, source.content.size);
        let other = fs::OpenOptions::new().write(true).open(temp.path().join(data)).unwrap();
        let sync = |file: &fs::File| {
            let before = stamp_of(file)?;
            // The times of some file systems are those of the last tick of the clock.
            while stamp_of(file)? == before {
                crate::store::system::write_at(&other, b"another program", 0)?;
                if keeps_time {
                    other.set_modified(system_time(before.mtime_s()).unwrap())?;
                }
            }
            file.sync_all()
        };
        let landed =
            part.0.land(&folder, &landing("film.bin", 1, false), sync, |_| panic!("it got its name"));
        assert!(matches!(landed, Err(PartError::Changed { .. })), "{landed:?}");
        assert!(!temp.path().join("film.bin").exists());
        let again = part.finish(&folder, &landing("film.bin", 1, false));
        assert!(matches!(again, Err(PartError::Changed { .. })), "{again:?}");
        drop(part);
        let (part, resumed) = PartFile::open(&folder, &name(), source.content).unwrap();
        let right = hash_pieces(part.file(), source.content, &source.list, &resumed.claimed, 2);
        assert_eq!(right.iter().map(|piece| piece.0).collect::<Vec<_>>(), [1, 2, 3, 4]);
    }
}

#[test]
fn pieces_from_many_threads_are_all_stored_and_none_after_the_end() {
    let (source, (temp, folder)) = (source(), folder());
    let (part, _) = PartFile::open(&folder, &name(), source.content).unwrap();
    thread::scope(|scope| {
        for thread in 0..5 {
            let (part, source) = (part.clone(), &source);
            scope.spawn(move || {
                for round in 0..20 {
                    part.store(
                        PieceIndex((thread + round) % 5),
                        source.piece((thread + round) % 5),
                        |result| {
                            result.unwrap();
                        },
                    );
                }
            });
        }
    });
    // The last piece may have been written by another thread; that thread has ended, so all pieces are written.
    part.finish(&folder, &landing("f", 0, false)).unwrap();
    assert_eq!(fs::read(temp.path().join("f")).unwrap(), source.bytes);
    let (send, done) = mpsc::channel();
    part.store(PieceIndex(0), source.piece(1), move |result| send.send(result).unwrap());
    assert!(matches!(done.recv().unwrap(), Err(PartError::OutOfRange { .. })));
    assert_eq!(fs::read(temp.path().join("f")).unwrap(), source.bytes);
}

#[test]
fn a_piece_that_does_not_fit_is_refused() {
    let (source, (_temp, folder)) = (source(), folder());
    let (part, _) = PartFile::open(&folder, &name(), source.content).unwrap();
    let (send, done) = channel();
    for (piece, bytes) in [(5, vec![0; 77]), (4, vec![0; 78]), (u32::MAX, vec![])] {
        let send = send.clone();
        part.store(PieceIndex(piece), bytes, move |result| send.send(result).unwrap());
        assert!(matches!(done.recv().unwrap(), Err(PartError::OutOfRange { .. })));
    }
}

#[test]
fn a_full_disk_is_told_from_other_failures() {
    let failed = |kind: std::io::ErrorKind| super::FolderError::new("write to", "file".into(), kind.into());
    for kind in [std::io::ErrorKind::StorageFull, std::io::ErrorKind::QuotaExceeded] {
        assert!(matches!(PartError::from(failed(kind)), PartError::NotEnoughSpace { .. }));
    }
    assert!(matches!(PartError::from(failed(std::io::ErrorKind::PermissionDenied)), PartError::Folder(_)));
}

#[test]
fn the_empty_content_is_a_file_too() {
    let (temp, folder) = folder();
    let content = Content { id: brigade_core::id::ContentId::EMPTY, size: 0 };
    let (part, resumed) = PartFile::open(&folder, &name(), content).unwrap();
    assert!(resumed.claimed.is_full());
    part.finish(&folder, &landing("empty", -5, false)).unwrap();
    assert_eq!(fs::metadata(temp.path().join("empty")).unwrap().len(), 0);
}

#[test]
fn a_part_that_is_gone_lands_nothing_and_leaves_nothing() {
    let (temp, source) = (tempfile::tempdir().unwrap(), source());
    let folder = Folder::open(temp.path()).unwrap();
    let (part, _) = PartFile::open(&folder, &name(), source.content).unwrap();
    assert!(remove_part(&folder, source.content).unwrap());
    assert!(part.finish(&folder, &landing("film.bin", 1, false)).is_err());
    assert!(contents(&folder).is_empty(), "an empty part was made");
    assert!(!temp.path().join("film.bin").exists());
}

/// Without its list, all stored pieces would be discarded.
#[cfg(unix)]
#[test]
fn a_part_that_cannot_be_opened_with_too_few_open_files_keeps_its_list_and_its_pieces() {
    let temp = tempfile::tempdir().unwrap();
    let folder = Folder::open(temp.path()).unwrap();
    let _lock = folder.lock().unwrap();
    let source = source();
    let (part, _) = PartFile::open(&folder, &name(), source.content).unwrap();
    part.save_list(&source.list).unwrap();
    source.store(&part, &[0, 3]);
    drop(part);
    let has_all = |opened: Result<(PartFile, super::ResumedPart), PartError>| match opened {
        Ok((_, resumed)) => {
            assert!(resumed.list.is_some_and(|list| *list == source.list));
            assert_eq!(resumed.claimed.iter().collect::<Vec<_>>(), [PieceIndex(0), PieceIndex(3)]);
            true
        }
        Err(PartError::Folder(error)) => {
            assert!(error.lacks_open_files(), "{error}");
            false
        }
        Err(error) => panic!("{error}"),
    };
    let test = "store::part_file::tests::\
                a_part_that_cannot_be_opened_with_too_few_open_files_keeps_its_list_and_its_pieces";
    run_with_few_open_files(test, || has_all(PartFile::open(&folder, &name(), source.content)));
    assert!(has_all(PartFile::open(&folder, &name(), source.content)));
}
