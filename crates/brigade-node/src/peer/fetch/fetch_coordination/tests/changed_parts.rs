//! Parts that another program changes while their files are being fetched.
//!
//! The parent has what these tests share.

use std::{fs, time::Duration};

use brigade_core::{bitfield::Bitfield, id::ContentId};

use super::{BYTES, Content, FileDecision, LocalFileError, PartError, TestFetches, film, store_all, wanted};
use crate::clock;

/// Another program changes the part each time before it gets its name.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_part_that_another_program_changes_is_hashed_again_after_growing_pauses() {
    let mut test = TestFetches::new();
    let (begun, mut prepared, bytes, content) = test.begin_complete("film").await;
    let (_, _, list) = film();
    let Ok(FileDecision::Large { file, .. }) = &prepared.files[0].1 else { panic!() };
    file.save_list(&list).unwrap();
    let other = test.begin(vec![wanted("copy", content)]);
    for pause in [1, 2, 4].map(Duration::from_secs) {
        test.change_part();
        let before = clock::now();
        test.prepared(prepared);
        test.receive_landed().await;
        assert!(!test.fetches.swarm.is_active(&content));
        let third = test.begin(vec![wanted("third", content)]);
        test.give_up(&third);
        test.fetches.tick(before.after(pause * 9 / 10));
        assert_eq!(test.fetches.preparing, 0, "its part would be opened at once");
        test.fetches.tick(clock::now().after(pause));
        prepared = test.receive_prepared().await;
        let Ok(FileDecision::Large { file, have, .. }) = &mut prepared.files[0].1 else { panic!() };
        assert_eq!(have.count(), 1, "the first piece is wrong");
        store_all(file, &bytes);
        *have = Bitfield::all(2);
    }
    test.prepared(prepared);
    test.receive_landed().await;
    assert!(begun.progress.borrow().is_over());
    assert!(fs::read(test.temp.path().join("film")).unwrap() == bytes);
    let prepared = test.receive_prepared().await;
    test.prepared(prepared);
    assert!(other.progress.borrow().is_over());
    assert!(!test.is_in_use(&content));
}

/// The same for a file that is made from an equal one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_whose_part_another_program_changes_is_made_again_after_a_pause() {
    for is_given_up in [false, true] {
        let mut test = TestFetches::new();
        let content = Content { id: ContentId([9; 32]), size: 10 };
        let begun = test.begin(vec![wanted("copy", content)]);
        let mut prepared = test.receive_prepared().await;
        let error = PartError::Changed { path: test.temp.path().join("copy") };
        prepared.files[0].1 = Err(LocalFileError::Part(error));
        test.prepared(prepared);
        assert!(!begun.progress.borrow().is_over() && test.is_in_use(&content));
        assert_eq!(test.fetches.preparing, 0, "it would be made again at once");
        if is_given_up {
            test.give_up(&begun);
            test.fetches.tick(clock::now());
            assert!(!test.is_in_use(&content));
            test.begin(vec![wanted("COPY", content)]); // the name is free
        } else {
            test.fetches.tick(clock::now().after(Duration::from_secs(2)));
        }
        assert_eq!(test.fetches.preparing, 1, "given up: {is_given_up}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_part_of_a_fetch_that_is_given_up_is_left_to_the_next_one() {
    let mut test = TestFetches::new();
    let (begun, prepared, _, content) = test.begin_complete("film").await;
    test.change_part();
    test.prepared(prepared);
    test.receive_landed().await;
    test.give_up(&begun);
    test.fetches.tick(clock::now());
    assert!(!test.is_in_use(&content));
    test.begin(vec![wanted("film", content)]);
    assert_eq!(test.fetches.preparing, 1);
}

/// The first fetch has no name any more while its changed part waits.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fetch_that_is_given_up_while_its_changed_part_waits_leaves_the_name_to_the_next_one() {
    let mut test = TestFetches::new();
    let (first, prepared, _, _) = test.begin_complete("film").await;
    test.change_part();
    test.prepared(prepared);
    test.receive_landed().await;
    let [other, alike] = [8, 9].map(|byte| Content { id: ContentId([byte; 32]), size: 10 });
    let second = test.begin(vec![wanted("film", other)]);
    test.give_up(&first);
    test.fetches.tick(clock::now());
    let third = test.begin(vec![wanted("Film", alike)]);
    assert_eq!(third.progress.borrow().failed, 1, "the second fetch has the name");
    assert!(!second.progress.borrow().is_over());
}

/// More files than there may be open parts.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_whose_parts_wait_after_a_change_keep_no_others_from_starting() {
    let mut test = TestFetches::new();
    let content = |byte| Content { id: ContentId([byte; 32]), size: BYTES as u64 };
    test.begin((0..200).map(|byte| wanted(&format!("film{byte}"), content(byte))).collect());
    let mut prepared = test.receive_prepared().await;
    let open_parts = prepared.files.len();
    for (_, decision) in &mut prepared.files {
        *decision = Err(LocalFileError::Part(PartError::Changed { path: test.temp.path().to_owned() }));
    }
    test.prepared(prepared);
    assert_eq!(test.receive_prepared().await.files.len(), open_parts);
}
