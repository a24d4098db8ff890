//! What is refused before a fetch begins, and what counts as needed.
//!
//! Other file systems are in the end-to-end tests.

use std::{collections::BTreeMap, fs, time::Duration};

use brigade_core::id::{Content, ContentId};

use super::{
    DiskSpace, FetchError, FetchId, FileSystemId, FreeSpace, KeptPart, MissingSpace, OPEN_PARTS, PAUSES,
    Resolved, Share, SpaceNeeds, StoredFiles, Timestamp, WantedFile, WantedNames, measure, measure_own,
};
use crate::store::folder::Folder;

fn wanted(name: &str, byte: u8, size: u64) -> WantedFile {
    let content = Content { id: ContentId([byte; 32]), size };
    WantedFile::new(name.parse().unwrap(), content)
}

fn resolved(files: &[WantedFile]) -> Resolved {
    Resolved::for_tests("d", files.to_vec())
}

fn share() -> (tempfile::TempDir, Share) {
    let temp = tempfile::tempdir().unwrap();
    let share = Share::new(Folder::open(temp.path()).unwrap());
    (temp, share)
}

/// The bytes that files need, where so many are promised; or what there is too little of.
fn bytes(share: &Share, files: &[WantedFile], promised: u64) -> Result<u64, MissingSpace> {
    let own = share.folder().file_system();
    match measure(share, &[&resolved(files)], &[], &BTreeMap::from([(own, promised)])) {
        Ok(needs) => Ok(needs.iter().map(|needs| needs.bytes_on(own)).sum()),
        Err(FetchError::NotEnoughSpace(no_room)) => {
            assert_eq!((no_room.name.as_str(), no_room.folder.as_path()), ("d", share.folder().path()));
            Err(no_room.missing)
        }
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn existing_files_need_no_space_and_reserved_bytes_do() {
    let (temp, share) = share();
    let free = share.folder().free("").unwrap().bytes;
    let half = free / 2;
    let mut huge = wanted("huge", 1, half);
    assert_eq!(bytes(&share, &[huge.clone()], 0), Ok(half));
    let Err(MissingSpace::Bytes { needed, free: left }) = bytes(&share, &[huge.clone()], free - 1000) else {
        panic!()
    };
    assert_eq!(needed, half);
    assert!(left < half);
    let file = fs::File::create(temp.path().join("huge")).unwrap();
    file.set_len(half).unwrap(); // sparse: it takes nothing
    assert_eq!(bytes(&share, &[huge.clone()], free - 1000), Ok(0));
    // What makes way stays on the disk as well.
    huge.replace = true;
    let refused = bytes(&share, &[huge], free - 1000);
    assert!(matches!(refused, Err(MissingSpace::Bytes { needed, .. }) if needed == half), "{refused:?}");
}

#[test]
fn sums_that_no_disk_has_do_not_overflow() {
    let (_temp, share) = share();
    let files = [wanted("a", 1, u64::MAX), wanted("b", 2, u64::MAX)];
    let refused = bytes(&share, &files, u64::MAX);
    assert!(matches!(refused, Err(MissingSpace::Bytes { needed: u64::MAX, .. })), "{refused:?}");
}

#[test]
fn all_that_cannot_land_is_told_at_once() {
    let (temp, share) = share();
    fs::create_dir(temp.path().join("folder")).unwrap();
    fs::write(temp.path().join("file"), "mine").unwrap();
    let names = ["folder", "good", "file/below", "a", "a/b/c", "file"];
    let files: Vec<WantedFile> = names.iter().map(|name| wanted(name, 1, 10)).collect();
    let Err(FetchError::CannotLand(refused)) = measure(&share, &[&resolved(&files)], &[], &BTreeMap::new())
    else {
        panic!("it is not refused")
    };
    let refusals: Vec<String> = refused.refused.iter().map(ToString::to_string).collect();
    assert_eq!((refused.count, refused.files, refusals.len()), (3, 6, 3), "{refusals:?}");
    for (refusals, expected) in refusals.iter().zip([
        ("folder: ", "folder is a folder"),
        ("file/below: ", "file is a file, and a folder of that name is needed"),
        ("a/b/c: ", "a is wanted too, as a file"),
    ]) {
        assert!(refusals.starts_with(expected.0) && refusals.contains(expected.1), "{refusals}");
    }
    assert!(refused.to_string().starts_with("3 of 6 files of \"d\" cannot be put into "), "{refused}");
    // The files of several names are counted together, and it says so.
    let several = [&files[..2], &files[2..3]].map(resolved);
    let Err(FetchError::CannotLand(refused)) = measure(&share, &several.each_ref(), &[], &BTreeMap::new())
    else {
        panic!("it is not refused")
    };
    let expected = "2 of 3 files of \"d\" and 1 other name cannot be put into ";
    assert!(refused.to_string().starts_with(expected), "{refused}");
    let huge = [wanted("x", 9, u64::MAX)];
    let several = [&huge[..], &[], &[]].map(resolved);
    let Err(refused) = measure(&share, &several.each_ref(), &[], &BTreeMap::new()) else { panic!("it fits") };
    assert!(refused.to_string().starts_with("not enough space for \"d\" and 2 other names in "), "{refused}");
    // A file with another content is no obstacle here: its bytes are looked at first.
    assert!(measure(&share, &[&resolved(&files[5..])], &[], &BTreeMap::new()).is_ok());
}

#[test]
fn two_contents_of_one_name_are_refused_even_if_one_is_kept_aside() {
    let (temp, share) = share();
    let (mut first, mut other) = (wanted("a", 1, 10), wanted("a", 2, 10));
    fs::write(temp.path().join("a"), "0123456789").unwrap();
    for replace in [false, true] {
        (first.replace, other.replace) = (replace, replace);
        let several = [&first, &other].map(|file| resolved(std::slice::from_ref(file)));
        let Err(FetchError::CannotLand(refused)) =
            measure(&share, &several.each_ref(), &[], &BTreeMap::new())
        else {
            panic!("it is not refused")
        };
        let refusal = refused.refused[0].to_string();
        let expected = format!("a: another content of it ({}) is wanted too", first.content.id.short());
        assert!(refused.count == 1 && refusal.starts_with(&expected), "{refusal}");
        let same = [&first, &first].map(|file| resolved(std::slice::from_ref(file)));
        assert!(measure(&share, &same.each_ref(), &[], &BTreeMap::new()).is_ok(), "it is one file");
    }
}

/// Whole fetches onto a file system that ignores case are in the end-to-end tests.
#[test]
fn names_that_differ_only_in_case_conflict_if_the_file_system_ignores_case() {
    let files = ["d/film", "d/Film", "D/FILM/x", "other"].map(|name| wanted(name, 1, 10));
    let all = resolved(&files);
    let conflicts = |ignores_case| {
        let names = WantedNames::new(&[&all], ignores_case);
        files.each_ref().map(|file| {
            (names.conflict_with_same_name(file).is_some(), names.conflict_with_folder(&file.name).is_some())
        })
    };
    assert_eq!(conflicts(false), [(false, false); 4]);
    assert_eq!(conflicts(true), [(false, false), (true, false), (false, true), (false, false)]);
}

#[test]
fn bytes_are_counted_down_by_name() {
    let (_temp, share) = share();
    let file = wanted("a", 1, 100);
    let mut needs =
        measure(&share, &[&resolved(std::slice::from_ref(&file))], &[], &BTreeMap::new()).unwrap().remove(0);
    let own = share.folder().file_system();
    let left = |needs: &SpaceNeeds| needs.bytes_on(own);
    needs.less(&file.name, 30);
    assert_eq!(left(&needs), 70);
    needs.more(&file.name, 10);
    assert_eq!(left(&needs), 80);
    needs.less(&file.name, 1000);
    assert_eq!(left(&needs), 0);
}

#[test]
fn a_file_of_equal_size_that_cannot_make_way_is_told_unless_it_is_the_very_file() {
    let (temp, share) = share();
    fs::write(temp.path().join("f"), "0123456789").unwrap();
    let parts = share.folder().private().unwrap().join("parts");
    let _ = fs::remove_dir(&parts);
    fs::write(&parts, "nothing can be received here").unwrap();
    let mut file = wanted("f", 1, 10);
    file.replace = true;
    let refused = measure(&share, &[&resolved(std::slice::from_ref(&file))], &[], &BTreeMap::new());
    assert!(matches!(&refused, Err(FetchError::CannotLand(refused)) if refused.count == 1), "{refused:?}");
    file.content.id = ContentId(*blake3::hash(b"0123456789").as_bytes());
    let needs = measure(&share, &[&resolved(&[file])], &[], &BTreeMap::new()).unwrap();
    assert_eq!(needs[0].bytes_on(share.folder().file_system()), 0);
}

#[test]
fn folders_that_have_to_be_made_take_inodes_and_each_is_counted_once() {
    let (temp, share) = share();
    fs::create_dir(temp.path().join("there")).unwrap();
    let names = ["there/a", "new/b", "new/c", "new/er/d", "there/new/e"];
    let files: Vec<WantedFile> = names.iter().map(|name| wanted(name, 1, 10)).collect();
    let needs = measure(&share, &[&resolved(&files)], &[], &BTreeMap::new()).unwrap();
    assert_eq!(needs[0].files_on(share.folder().file_system()), 5 + 3);
}

#[test]
fn files_of_a_kept_part_exist_and_need_no_inodes() {
    let (_temp, share) = share();
    let own = share.folder().file_system();
    let large = |name: &str, byte| wanted(name, byte, 1 << 20);
    let (begun, new) = (large("begun", 1), large("new", 2));
    let stored = StoredFiles { file_system: own, bytes: 1000, files: 3 };
    let kept = KeptPart { content: begun.content, name: None, stored: vec![stored], idle: Duration::ZERO };
    let files = |files: &[WantedFile]| {
        let needs = measure(&share, &[&resolved(files)], std::slice::from_ref(&kept), &BTreeMap::new());
        needs.unwrap()[0].files_on(own)
    };
    assert_eq!(files(std::slice::from_ref(&new)), 4, "bytes, record, list and name");
    assert_eq!(files(std::slice::from_ref(&begun)), 1, "the list");
    assert_eq!(files(&[begun, new]), 5);
    let many: Vec<_> = (0..100).map(|number| large(&format!("large{number}"), 100 + number)).collect();
    assert_eq!(files(&many), 100 + 3 * OPEN_PARTS as u64, "so many are received at one time");
}

/// The others are copies, which are made one after the other.
#[test]
fn files_of_a_part_are_counted_once_for_all_names_and_fetches_of_its_content() {
    let (_temp, share) = share();
    let own = share.folder().file_system();
    let large = |name: &str, byte| wanted(name, byte, 1 << 20);
    let files = |fetches: &[Resolved], kept: &[KeptPart]| -> u64 {
        let fetches: Vec<&Resolved> = fetches.iter().collect();
        let needs = measure(&share, &fetches, kept, &BTreeMap::new()).unwrap();
        needs.iter().map(|needs| needs.files_on(own)).sum()
    };
    let same: Vec<_> = (0..5).map(|number| large(&format!("same{number}"), 1)).collect();
    assert_eq!(files(&[resolved(&same)], &[]), 5 + 3);
    let other = large("other", 2);
    assert_eq!(files(&[resolved(&same[..2]), resolved(&same[2..]), resolved(&[other])], &[]), 6 + 2 * 3);
    let stored = StoredFiles { file_system: own, bytes: 1000, files: 3 };
    let kept = KeptPart { content: same[0].content, name: None, stored: vec![stored], idle: Duration::ZERO };
    assert_eq!(files(&[resolved(&same)], &[kept]), 5 + 3 - 3);
    let many: Vec<_> = (0..100).map(|number| large(&format!("large{number}"), 100 + number)).collect();
    assert_eq!(files(&[resolved(&many[..50]), resolved(&many[50..])], &[]), 100 + 3 * OPEN_PARTS as u64);
}

#[test]
fn a_kept_part_counts_for_a_file_that_replaces_one_of_equal_size() {
    let (temp, share) = share();
    let own = share.folder().file_system();
    let size = 1 << 20;
    fs::File::create(temp.path().join("film")).unwrap().set_len(size).unwrap();
    let mut file = wanted("film", 1, size);
    file.replace = true;
    let stored = StoredFiles { file_system: own, bytes: 1000, files: 3 };
    let kept = KeptPart { content: file.content, name: None, stored: vec![stored], idle: Duration::ZERO };
    let needs = |kept: &[KeptPart]| {
        let files = resolved(std::slice::from_ref(&file));
        let needs = measure(&share, &[&files], kept, &BTreeMap::new()).unwrap();
        (needs[0].bytes_on(own), needs[0].files_on(own))
    };
    assert_eq!(needs(&[]), (size, 4), "bytes, record, list and name");
    assert_eq!(needs(&[kept]), (size - 1000, 1), "the list");
}

/// The keeper creates them when it starts.
#[test]
fn files_of_the_index_that_exist_need_no_inodes() {
    let (_temp, share) = share();
    let private = share.folder().private().unwrap();
    let own_files = |has_others| measure_own(share.folder(), has_others).1;
    assert_eq!((own_files(false), own_files(true)), (3, 4), "the next list of directories is one more");
    fs::write(private.join("index.db"), "").unwrap();
    assert_eq!(own_files(false), 2);
    for name in ["index.db-wal", "index.db-shm"] {
        fs::write(private.join(name), "").unwrap();
    }
    assert_eq!((own_files(false), own_files(true)), (0, 1));
}

#[test]
fn fetches_go_on_one_after_the_other_as_far_as_there_is_space() {
    let (mut space, on, now) = (DiskSpace::default(), FileSystemId::default(), Timestamp::default());
    let needs = BTreeMap::from([(FetchId(1), 60), (FetchId(2), 50), (FetchId(3), 30)]);
    let needed = |job: FetchId, _: FileSystemId| needs[&job];
    for job in needs.keys() {
        assert!(space.wait(*job, on, false, now));
        assert!(!space.wait(*job, on, false, now), "it waits already");
    }
    assert_eq!(space.check(now).len(), 3);
    assert_eq!(space.check(now), [], "the disk is being asked");
    let free = |bytes| vec![(on, FreeSpace { bytes, files: 1 })];
    assert_eq!(space.checked(free(100), now, needed), [], "it is too soon");
    assert_eq!(space.full(FetchId(1)).map(|full| full.free_bytes), Some(100));
    let later = now.after(PAUSES.nth_pause(0));
    assert_eq!(space.checked(free(100), later, needed), [FetchId(1), FetchId(3)]);
    assert!(space.is_waiting(FetchId(2)) && !space.is_waiting(FetchId(3)));
    assert_eq!(
        space.checked(
            vec![(on, FreeSpace { bytes: 100, files: 0 })],
            later.after(PAUSES.nth_pause(0)),
            needed
        ),
        []
    );
}

#[test]
fn the_pause_doubles_while_the_disk_is_full_again_at_once() {
    let (mut space, on) = (DiskSpace::default(), FileSystemId::default());
    let (mut now, mut pauses) = (Timestamp::default(), vec![]);
    for _ in 0..7 {
        assert!(space.wait(FetchId(1), on, false, now));
        let pause = space.waits[&FetchId(1)].pauses.last_pause();
        pauses.push(pause.as_secs());
        now = now.after(pause);
        assert_eq!(space.checked(vec![(on, FreeSpace::UNKNOWN)], now, |_, _| 1), [FetchId(1)]);
    }
    assert_eq!(pauses, [1, 2, 4, 8, 16, 16, 16]);
    assert!(space.wait(FetchId(1), on, false, now.after(2 * PAUSES.nth_pause(u32::MAX))));
    assert_eq!(space.waits[&FetchId(1)].pauses.last_pause(), PAUSES.nth_pause(0));
}
