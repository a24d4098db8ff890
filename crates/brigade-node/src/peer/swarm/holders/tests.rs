//! The holders of contents, as the manager names them, and the errors of their connections.
//!
//! The names, the counts of holders that cannot be used, and their faults are tested without connections.

use std::io;

use brigade_core::{geometry::PieceIndex, id::ContentId};

use super::{
    BTreeSet, Content, HolderFault, HolderId, HolderTable, ManagerUpdate, NamedHolders, PeerAddress, PeerKey,
    limits,
};

fn peer(number: u32) -> PeerAddress {
    let mut key = PeerKey([0; 32]);
    key.0[..4].copy_from_slice(&number.to_be_bytes());
    PeerAddress {
        key,
        username: format!("user{number}").parse().unwrap(),
        address: "127.0.0.1:7000".to_owned(),
    }
}

#[test]
fn a_hundred_thousand_holders_leave_a_table_of_bounded_size() {
    let mut known = HolderTable::default();
    let first = known.add(&peer(0)).unwrap();
    let stays = BTreeSet::from([first]);
    let mut most = 0;
    for number in 1..100_000 {
        if known.is_large() {
            known.forget_all_but(&stays);
        }
        known.add(&peer(number)).unwrap();
        most = most.max(known.ids.len());
    }
    assert_eq!(most, limits::REMEMBERED_HOLDERS);
    assert_eq!(known.add(&peer(0)), Some(first), "what is referred to keeps its number");
    assert_ne!(known.add(&peer(1)), None);
    known.forget_all_but(&BTreeSet::new());
    assert_eq!((known.ids.len(), known.holders.len()), (0, 0));
}

#[test]
fn errors_are_bounded_and_forgotten() {
    let mut known = HolderTable::default();
    for number in 0..1000 {
        let holder = known.add(&peer(number)).unwrap();
        known.set_error(holder, &io::Error::other("no"));
    }
    assert_eq!(known.errors.len(), limits::UNREACHED_KEPT);
    known.set_error(HolderId(1000), &io::Error::other("another"));
    assert_eq!(known.errors[&HolderId(1000)].cause, "another");
    known.clear_error(HolderId(1000));
    assert!(!known.errors.contains_key(&HolderId(1000)));
    known.set_error(HolderId(1001), &io::Error::other("nobody"));
    assert!(!known.errors.contains_key(&HolderId(1001)), "it is not known");
}

#[test]
fn a_content_that_ends_before_the_manager_is_told_of_it_is_not_mentioned() {
    let [first, second] = [1, 2].map(|byte| Content { id: ContentId([byte; 32]), size: 7 });
    let mut named = NamedHolders::default();
    named.watch(first);
    named.watch(second);
    named.end(first, false);
    assert!(matches!(named.next_update(), Some(ManagerUpdate::Watch(told)) if told == [second]));
    named.set(second, &[HolderId(1)], &[]);
    named.set(second, &[], &[HolderId(2)]);
    assert_eq!(named.lost(&second), Some(&[HolderId(1)][..]));
    let count = |contents: &[Content]| named.count_named(contents, vec![HolderId(1), HolderId(2)]);
    assert_eq!([count(&[]), count(&[first]), count(&[first, second])], [0, 0, 1]);
    named.end(second, true);
    assert!(matches!(named.next_update(), Some(ManagerUpdate::Unwatch(told)) if told == [second]));
    assert!(matches!(named.next_update(), Some(ManagerUpdate::Unhold(told)) if told == second));
    assert!(named.next_update().is_none());
    assert_eq!(named.all().count(), 0);
}

#[test]
fn a_waiting_fetch_knows_whether_its_holders_are_out_of_reach_or_have_wrong_data() {
    let content = Content { id: ContentId([1; 32]), size: 7 };
    let (mut known, mut named) = (HolderTable::default(), NamedHolders::default());
    let [first, second] = [1, 2].map(|number| known.add(&peer(number)).unwrap());
    named.set(content, &[first], &[second]);
    let numbers = |named: &NamedHolders, known: &HolderTable, connected: &[HolderId]| {
        let found = named.unusable([&[content], &[content]], known, |one| connected.contains(one));
        (found.out_of_reach, found.wrong_data, found.shown.len())
    };
    assert_eq!(numbers(&named, &known, &[]), (0, 0, 0), "no connection has failed");
    known.set_error(first, &io::Error::other("no"));
    assert_eq!(numbers(&named, &known, &[]), (0, 0, 1), "the other one may still be reached");
    assert_eq!(numbers(&named, &known, &[second]), (0, 0, 1), "a connected one lacks the pieces");
    known.set_error(second, &io::Error::other("no"));
    assert_eq!(numbers(&named, &known, &[]), (2, 0, 2));
    known.clear_error(second);
    named.set_fault(content, second, HolderFault::WrongPiece(PieceIndex(7)));
    assert_eq!(numbers(&named, &known, &[]), (0, 1, 2));
    let shown = |connected: &[HolderId]| {
        let found = named.unusable([&[content], &[]], &known, |one| connected.contains(one));
        found.shown.into_iter().map(|one| one.cause).collect::<Vec<_>>()
    };
    assert_eq!(shown(&[]), ["no", "its data is wrong: piece 7 has a wrong hash"]);
    assert_eq!(shown(&[first, second]), ["its data is wrong: piece 7 has a wrong hash"]);
    named.end(content, false);
    named.set(content, &[first], &[second]);
    assert_eq!(numbers(&named, &known, &[second]), (0, 0, 1), "another fetch tries it again");
}

#[test]
fn a_content_that_ends_right_after_a_pause_is_not_watched_any_more() {
    let content = Content { id: ContentId([1; 32]), size: 7 };
    let mut named = NamedHolders::default();
    named.watch(content);
    assert!(matches!(named.next_update(), Some(ManagerUpdate::Watch(watched)) if watched == [content]));
    named.watch(content); // it goes on after a pause
    named.end(content, false);
    assert!(matches!(named.next_update(), Some(ManagerUpdate::Unwatch(ended)) if ended == [content]));
    assert!(named.next_update().is_none());
}

/// Thousands of small contents would else be as many messages.
#[test]
fn contents_that_end_together_are_unwatched_with_few_messages() {
    let content = |size| Content { id: ContentId([1; 32]), size };
    let all: Vec<Content> = (1..).take(limits::WATCH_CONTENTS + 2).map(content).collect();
    let mut named = NamedHolders::default();
    all.iter().for_each(|content| named.watch(*content));
    while named.next_update().is_some() {}
    all.iter().for_each(|content| named.end(*content, content.size == 1));
    let (served, others) = all.split_at(1);
    let (full, rest) = others.split_at(limits::WATCH_CONTENTS);
    assert!(matches!(named.next_update(), Some(ManagerUpdate::Unwatch(ended)) if ended == served));
    assert!(matches!(named.next_update(), Some(ManagerUpdate::Unhold(ended)) if ended == served[0]));
    assert!(matches!(named.next_update(), Some(ManagerUpdate::Unwatch(ended)) if ended == full));
    assert!(matches!(named.next_update(), Some(ManagerUpdate::Unwatch(ended)) if ended == rest));
    assert!(named.next_update().is_none());
}
