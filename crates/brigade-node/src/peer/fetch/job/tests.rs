//! The numbers of a fetch: which bytes count as received, as present before, and as left.
//!
//! What becomes of the files themselves is tested in `fetch_coordination`.

use super::{
    Accounts, BTreeMap, Content, FetchJob, FetchOptions, NewFetch, Resolved, SpaceNeeds, Timestamp,
    WantedFile, pieces,
};
use crate::{
    fetch_request::{FetchId, new_fetch::OrderedFetch},
    peer::swarm::partial_contents::ReceivedBytes,
};

/// A fetch of one file.
fn job() -> (FetchJob, WantedFile) {
    let content = Content { id: brigade_core::id::ContentId([1; 32]), size: 600_000 };
    let file = WantedFile::new("film".parse().unwrap(), content);
    let files = Resolved::for_tests("film", vec![file.clone()]);
    let (id, options) = (None, FetchOptions::default());
    let ordered = OrderedFetch { id, files, options, at: brigade_core::time::UnixTime(0) };
    let new = NewFetch::begin(ordered, FetchId(1));
    (FetchJob::new(new, SpaceNeeds::default(), Timestamp::default(), 0), file)
}

#[test]
fn pieces_of_a_removed_part_do_not_count_as_present() {
    let (mut job, file) = job();
    let (all, found) = ((file.content.size, pieces(file.content)), (400_000, 2));
    let shown = |job: &FetchJob| {
        let progress = &job.accounts.progress;
        (progress.bytes_done, progress.bytes_already, progress.pieces_done)
    };
    job.started(&file, found);
    job.stored_uncounted(&file.name, (100_000, 1));
    assert_eq!(shown(&job), (500_000, 400_000, 3));
    job.removed(&file, (500_000, 3));
    assert_eq!(shown(&job), (0, 0, 0));
    job.started(&file, found);
    job.lost(&file, found); // the disk was full, and then the part was removed
    job.removed(&file, (0, 0));
    job.started(&file, (0, 0));
    job.stored_uncounted(&file.name, all);
    assert_eq!(shown(&job), (all.0, 0, all.1));
}

#[test]
fn pieces_that_did_not_fit_are_counted_as_before_when_they_are_found_again() {
    let (mut job, file) = job();
    let content = file.content;
    job.started(&file, (0, 0));
    let all = (content.size, pieces(content));
    job.stored_uncounted(&file.name, all); // all of it was received
    job.lost(&file, all);
    assert_eq!(job.accounts.progress.bytes_done, 0);
    job.started(&file, all);
    let shown = &job.accounts.progress;
    assert_eq!((shown.bytes_done, shown.bytes_already), (content.size, 0));
    assert_eq!(shown.pieces_done, pieces(content));
}

#[test]
fn received_bytes_are_not_counted_as_left() {
    let mut accounts = Accounts::new("film.bin".to_owned(), Timestamp::default());
    accounts.left_bytes = 1000;
    let mut received = ReceivedBytes::new(accounts.counter.clone());
    received.add(400);
    received.add(100);
    let shown = accounts.shown(Timestamp::default(), &BTreeMap::new());
    assert_eq!((shown.left_bytes, shown.time_left()), (500, None), "too early to tell");
    assert!(shown.rate > 0);
    // A dropped piece has to be received again.
    drop(received);
    let mut shown = accounts.shown(Timestamp::default(), &BTreeMap::new());
    assert_eq!(shown.left_bytes, 1000);
    shown.steady_rate = Some(300);
    assert_eq!(shown.time_left().map(|left| left.as_secs()), Some(4));
}
