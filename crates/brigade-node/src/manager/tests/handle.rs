//! A handle to a running manager: pages of its tables, its events, and what is left after its end.
//!
//! The core tests the order and the bounds of the rows; these tests check what a handle adds.

use brigade_core::{
    id::Content,
    limits,
    wire::manager::{Announce, FileEntry, Hold, WireContent},
};

use super::{
    Client, ContentId, Event, FromManager, Join, LeaveReason, ManagerServer, PATIENCE, RunningManager,
    SecretKey, config, entry, timeout,
};
use crate::manager::{HandleError, ManagerHandle, MemberPage, PeerOrder};

/// Announces files of these names and sizes; the size is also the content.
async fn announce(peer: &mut Client, files: &[(&str, u8)]) {
    let entries = files.iter().map(|(name, number)| {
        let id = ContentId([*number; 32]);
        Ok(FileEntry { id, size: u64::from(*number), ..entry(name) })
    });
    let entries = entries.collect();
    assert!(matches!(peer.ask(Announce { number: 1, entries }).await, FromManager::Noted(_)));
}

#[tokio::test]
async fn the_table_is_read_in_pages() {
    let state = tempfile::tempdir().unwrap();
    let manager = RunningManager::new(state.path()).await;
    let mut peers = vec![];
    for name in ["anna", "bert", "carl", "dora", "emil"] {
        let mut peer = manager.client(&SecretKey::generate()).await;
        peer.join(name).await.unwrap();
        peers.push(peer);
    }
    let handle = manager.server.handle();
    let names = |rows: Vec<brigade_core::manager::Row>| {
        rows.into_iter().map(|row| row.username.to_string()).collect::<Vec<_>>()
    };
    let page = handle.peers(Some("bert".parse().unwrap()), 2).await.unwrap();
    assert_eq!((page.total, page.first, page.more), (5, None, true));
    assert_eq!(names(page.rows), ["carl", "dora"]);
    let page = handle.peers_from(1, 3).await.unwrap();
    assert_eq!((page.first, page.more), (Some(1), true));
    assert_eq!(names(page.rows), ["bert", "carl", "dora"]);
    let page = handle.peers_from(4, 3).await.unwrap();
    assert_eq!((page.first, page.more), (Some(2), false), "the last page is full");
    assert_eq!(names(page.rows), ["carl", "dora", "emil"]);
    let page = handle.peers_ordered(PeerOrder::Username, true, 0, 2).await.unwrap();
    assert_eq!((page.first, page.total, page.more), (Some(0), 5, true));
    assert_eq!(names(page.rows), ["emil", "dora"]);
    assert_eq!(names(handle.all_peers().await.unwrap()).len(), 5);
    let page = handle.peers_from(9, usize::MAX).await.unwrap();
    assert_eq!((page.first, names(page.rows).len()), (Some(0), 5));
    manager.stop().await;
}

#[tokio::test]
async fn contents_are_found_by_prefix_and_by_pattern_with_their_holders() {
    let state = tempfile::tempdir().unwrap();
    let manager = RunningManager::new(state.path()).await;
    let mut anna = manager.client(&SecretKey::generate()).await;
    anna.join("anna").await.unwrap();
    let many: Vec<String> = (0..450).map(|number| format!("many/{number:03}.txt")).collect();
    announce(&mut anna, &many.iter().map(|name| (&**name, 9)).collect::<Vec<_>>()).await;
    announce(&mut anna, &[("a.bin", 1), ("data/x.bin", 2), ("data/y.txt", 3), ("many/x.bin", 4)]).await;
    let mut bert = manager.client(&SecretKey::generate()).await;
    bert.join("bert").await.unwrap();
    announce(&mut bert, &[("data/x.bin", 5), ("other", 2)]).await;
    bert.send(Hold { contents: vec![WireContent { id: ContentId([3; 32]), size: 3 }] }).await;

    let handle = manager.server.handle();
    let found = async |text: &str, after: Option<&str>, limit| {
        let after = after.map(|name| name.parse().unwrap());
        let page = handle.contents(text, after, limit).await.unwrap();
        let rows = page.rows.iter().map(|row| format!("{} {}", row.name, row.content.size));
        (rows.collect::<Vec<_>>(), page.next.map(|name| name.to_string()))
    };
    manager.view(|view| view.totals.contents == 6).await;
    assert_eq!(found("data/", None, 9).await.0, ["data/x.bin 2", "data/x.bin 5", "data/y.txt 3"]);
    let first = ["a.bin 1", "data/x.bin 2", "data/x.bin 5"].map(str::to_owned).to_vec();
    assert_eq!(found("**/*.bin", None, 2).await, (first, Some("data/x.bin".to_owned())));
    assert_eq!(found("**/*.bin", Some("data/x.bin"), 2).await, (vec!["many/x.bin 4".to_owned()], None));
    assert_eq!(found("*", None, 0).await.0, ["a.bin 1"], "a page has at least one row");
    for wrong in ["a/{*", &"n".repeat(limits::NAME_BYTES + 1)] {
        let error = handle.contents(wrong, None, 9).await.unwrap_err();
        assert!(matches!(error, HandleError::BadPattern { .. }) && error.to_string().len() < 200, "{error}");
    }
    let content = |number| Content { id: ContentId([number; 32]), size: u64::from(number) };
    let holders = handle.holders(content(2), 0, 9).await.unwrap();
    assert_eq!((holders.complete, holders.partial), (2, 0));
    let holders = handle.holders(content(3), 0, 9).await.unwrap();
    let rows = holders.rows.iter().map(|row| (row.username.as_str(), row.is_complete));
    assert_eq!(rows.collect::<Vec<_>>(), [("anna", true), ("bert", false)]);
    manager.stop().await;
}

#[tokio::test]
async fn members_are_listed_whether_they_are_connected_or_not() {
    let state = tempfile::tempdir().unwrap();
    let keys = [SecretKey::generate(), SecretKey::generate()];
    let manager = RunningManager::new(state.path()).await;
    let (mut anna, mut bert) = (manager.client(&keys[0]).await, manager.client(&keys[1]).await);
    anna.join("anna").await.unwrap();
    bert.join("bert").await.unwrap();
    let mut fetch = manager.client(&SecretKey::generate()).await;
    let username = Ok("user@host".parse().unwrap());
    let unbound = Join { username, port: fetch.0.local.port(), unbound: Some(true) };
    assert!(matches!(fetch.ask(unbound).await, FromManager::Joined(_)));
    drop(bert);
    manager.view(|view| view.totals.peers == 2).await;

    let check = |page: MemberPage, connected: [bool; 2]| {
        let rows: Vec<_> = page.rows.iter().map(|row| (row.username.as_str(), row.key)).collect();
        assert_eq!(rows, [("anna", keys[0].public()), ("bert", keys[1].public())]);
        assert!(page.rows.iter().map(|row| row.connected.is_some()).eq(connected));
        assert!(page.rows.iter().all(|row| row.last_seen.is_some_and(|seen| seen >= row.since)));
    };
    let handle = manager.server.handle();
    check(handle.members(None, 9).await.unwrap(), [true, false]);
    let first = handle.members(None, 1).await.unwrap();
    assert_eq!(first.next.as_deref(), Some("anna"));
    let second = handle.members(first.next, 1).await.unwrap();
    assert_eq!(second.rows[0].username.as_str(), "bert");
    assert_eq!(manager.server.view().borrow().totals.members, 2);
    manager.stop().await;

    // The end of the manager is the end of all sessions.
    let manager = RunningManager::new(state.path()).await;
    check(manager.server.handle().members(None, 9).await.unwrap(), [false, false]);
    manager.stop().await;
}

#[tokio::test]
async fn events_have_numbers_and_the_last_ones_are_kept() {
    let state = tempfile::tempdir().unwrap();
    let manager = RunningManager::new(state.path()).await;
    let handle = manager.server.handle();
    let mut peer = manager.client(&SecretKey::generate()).await;
    peer.join("anna").await.unwrap();
    let mut events = handle.events();
    drop(peer);
    let left = timeout(PATIENCE, events.recv()).await.unwrap().unwrap();
    let expected = Event::Left { username: "anna".parse().unwrap(), reason: LeaveReason::Lost };
    assert_eq!((left.number, &left.event), (2, &expected), "the first event was before the receiver");
    let all = handle.recent_events(0).await.unwrap();
    assert!(matches!(all[0].event, Event::Joined { .. }) && all[0].number == 1);
    assert_eq!((all.len(), handle.recent_events(1).await.unwrap()), (2, vec![left]));
    manager.stop().await;
}

#[tokio::test]
async fn a_handle_does_not_keep_a_manager_running() {
    let state = tempfile::tempdir().unwrap();
    let manager = ManagerServer::start(config(state.path())).await.unwrap();
    let handle: ManagerHandle = manager.handle();
    let mut view = handle.view();
    assert_eq!(&*view.borrow_and_update().state_dir, state.path().join("state"));
    timeout(PATIENCE, manager.stop()).await.expect("the manager does not end");
    assert!(view.changed().await.is_err());
    assert!(matches!(handle.peers(None, 1).await, Err(HandleError::Stopped)));
    assert!(matches!(handle.members(None, 1).await, Err(HandleError::Stopped)));
    let to = state.path().join("backup");
    assert!(handle.backup(&to).await.is_err() && !to.exists());
    let mut events = handle.events();
    assert!(timeout(PATIENCE, events.recv()).await.expect("it never ends").is_err());
}
