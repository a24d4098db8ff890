//! Fetches that go on after a restart of their peer, with their numbers, their priority and their pause.
//!
//! The second test is about the handle of a peer: what it shows, and that it keeps no folder locked.

use std::path::Path;

use brigade_core::download::Priority;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::{Fetch, PATIENCE, Peer, in_the_middle, is_free, manager, peer, until};
use crate::{
    manager::ManagerServer,
    peer::{FetchId, FetchState, Progress},
};

/// The peer is killed, and starts again in its folder.
async fn start_again(fire: Peer, manager: &ManagerServer, folder: &Path) -> Peer {
    drop(fire);
    until("the lock is free", || is_free(folder)).await;
    peer(manager, "fire_user", folder).await
}

/// Waits until a fetch shows something.
async fn shows(fetch: &Fetch, what: impl FnMut(&Progress) -> bool) {
    timeout(PATIENCE, fetch.progress().wait_for(what)).await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fetch_goes_on_after_a_restart_until_it_is_given_up() {
    let temp = tempfile::tempdir().unwrap();
    let stop = CancellationToken::new();
    let manager = manager(temp.path(), &stop).await;
    let (_water, fire, fetch) = in_the_middle(&manager, temp.path()).await;
    assert_eq!((fetch.id(), fetch.name()), (FetchId(1), "film"));
    let folder = temp.path().join("fire");
    let fire = start_again(fire, &manager, &folder).await;
    let mut list = fire.fetches();
    timeout(PATIENCE, list.wait_for(|list| !list.is_empty())).await.unwrap().unwrap();
    let again = fire.fetch_of(FetchId(1)).unwrap();
    assert_eq!((again.name(), again.begun_at()), ("film", fetch.begun_at()));
    shows(&again, |progress| progress.bytes_already > 0 && !progress.from.is_empty()).await;
    let map = fire.piece_map(FetchId(1)).await.unwrap();
    assert!(map.pieces > 1 && map.have.iter().any(|bits| *bits != 0), "{map:?}");

    again.set_paused(true);
    again.set_priority(Priority::High);
    shows(&again, |progress| progress.state == FetchState::Paused).await;
    let fire = start_again(fire, &manager, &folder).await;
    timeout(PATIENCE, fire.fetches().wait_for(|list| !list.is_empty())).await.unwrap().unwrap();
    let again = fire.fetch_of(FetchId(1)).unwrap();
    shows(&again, |progress| progress.state == FetchState::Paused).await;
    assert_eq!(again.progress().borrow().priority, Priority::High);
    assert!(!fire.forget_fetch(FetchId(1)).await, "it runs");
    again.set_paused(false);
    shows(&again, |progress| progress.state == FetchState::Fetching).await;

    again.give_up();
    shows(&again, |progress| progress.state == FetchState::Stopped).await;
    assert!(fire.forget_fetch(FetchId(1)).await);
    assert!(fire.fetch_of(FetchId(1)).is_none());
    // The next fetch is stored after the first one was removed.
    let wanted = fire.resolve(&super::FetchRequest::new("film"), &mut |_| {}).await.unwrap();
    assert_eq!(fire.fetch(wanted).await.unwrap().id(), FetchId(2));
    let fire = start_again(fire, &manager, &folder).await;
    timeout(PATIENCE, fire.fetches().wait_for(|list| !list.is_empty())).await.unwrap().unwrap();
    assert!(fire.fetch_of(FetchId(1)).is_none() && fire.fetch_of(FetchId(2)).is_some());
    stop.cancel();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handle_shows_uploads_and_holders_and_keeps_no_folder_locked() {
    let temp = tempfile::tempdir().unwrap();
    let stop = CancellationToken::new();
    let manager = manager(temp.path(), &stop).await;
    let (water, fire, fetch) = in_the_middle(&manager, temp.path()).await;
    let content = water.shared_content(&"film".parse().unwrap()).unwrap();
    let uploads = water.uploads();
    let shown = |upload: &crate::peer::Upload| (upload.username.as_str().to_owned(), upload.content);
    assert_eq!(uploads.iter().map(shown).collect::<Vec<_>>(), [("fire_user".to_owned(), Some(content))]);
    assert_eq!(uploads[0].name.as_ref().unwrap().as_str(), "film");
    shows(&fetch, |progress| progress.senders.iter().any(|sender| sender.rate > 0 && sender.connected)).await;
    // The one that does not fetch the content asks the manager; the other one knows the answer.
    let holders = water.holders(content).await.unwrap();
    assert_eq!((holders.complete, holders.partial), (vec![], vec![fire.username()]));
    let holders = fire.holders(content).await.unwrap();
    assert_eq!((holders.complete, holders.partial), (vec![water.username()], vec![]));
    let handle = fire.handle();
    handle.request_stop();
    timeout(PATIENCE, fire.stop_requested()).await.unwrap();
    fire.stop().await;
    timeout(PATIENCE, handle.stopping()).await.unwrap();
    until("the lock is free", || is_free(&temp.path().join("fire"))).await;
    assert!(handle.piece_map(FetchId(1)).await.is_none());
    stop.cancel();
}
