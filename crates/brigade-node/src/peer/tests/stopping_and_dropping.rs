//! What a peer leaves behind when it was stopped or dropped in the middle of everything, or its start is taken back.
//!
//! Starts that fail are tested in `start`.

use std::net::TcpListener;
#[cfg(unix)]
use std::{fs, path::Path};

use tokio::{runtime::Handle, time::timeout};
use tokio_util::sync::CancellationToken;

#[cfg(unix)]
use super::join;
use super::{PATIENCE, in_the_middle, is_free, manager, until};
use crate::peer::FetchState;
#[cfg(unix)]
use crate::{identity::key::SecretKey, store::folder::Folder};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_is_dropped_leaves_no_task_and_no_lock() {
    let temp = tempfile::tempdir().unwrap();
    let stop = CancellationToken::new();
    let manager = manager(temp.path(), &stop).await;
    let tasks = || Handle::current().metrics().num_alive_tasks();
    let before = tasks();
    let (water, fire, fetch) = in_the_middle(&manager, temp.path()).await;
    assert!(tasks() > before + 6);
    let addresses = [water.address(), fire.address()];
    drop((water, fire));
    for folder in ["water", "fire"] {
        // Its threads have ended too: each of them has a handle of the folder.
        until("the lock is free", || is_free(&temp.path().join(folder))).await;
    }
    until("all tasks have ended", || tasks() <= before).await;
    for address in addresses {
        until("the port is free", || TcpListener::bind(address).is_ok()).await;
    }
    drop(fetch);
    stop.cancel();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_was_stopped_has_released_its_folder() {
    let temp = tempfile::tempdir().unwrap();
    let stop = CancellationToken::new();
    let manager = manager(temp.path(), &stop).await;
    let tasks = || Handle::current().metrics().num_alive_tasks();
    let before = tasks();
    let (water, fire, mut fetch) = in_the_middle(&manager, temp.path()).await;
    fire.stop().await;
    until("the lock is free", || is_free(&temp.path().join("fire"))).await;
    assert_eq!(timeout(PATIENCE, fetch.finished()).await.unwrap().state, FetchState::Stopped);
    water.stop().await;
    until("the lock is free", || is_free(&temp.path().join("water"))).await;
    until("all tasks have ended", || tasks() <= before).await;
    stop.cancel();
}

/// A start that came to nothing is taken back, but never what another session has at the same path by then.
#[cfg(unix)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_is_taken_back_only_where_the_folder_is_still_its_own() {
    let temp = tempfile::tempdir().unwrap();
    let stop = CancellationToken::new();
    let manager = manager(temp.path(), &stop).await;
    let folder = temp.path().join("new");
    join(&manager, None, &folder).await.take_back().await;
    assert!(!folder.exists());

    type TakeAway = fn(&Path, &Path);
    let cases: [(&str, TakeAway); 2] = [
        ("the folder was moved away", |folder, aside| fs::rename(folder, aside).unwrap()),
        ("`.brigade` was removed", |folder, aside| fs::rename(folder.join(".brigade"), aside).unwrap()),
    ];
    for (case, take_away) in cases {
        let first = join(&manager, None, &folder).await;
        take_away(&folder, &temp.path().join(case));
        let second = match Folder::create(&folder) {
            Ok(folder) => folder,
            Err(error) => panic!("{case}: {error}"),
        };
        // The first session may have it back already: then nothing was taken.
        let Ok(lock) = second.lock() else {
            first.stop().await;
            fs::remove_dir_all(&folder).unwrap();
            continue;
        };
        let key = SecretKey::generate();
        assert!(key.save(&folder.join(".brigade/key")).unwrap());
        first.take_back().await;
        let found = SecretKey::load(&folder.join(".brigade/key")).unwrap();
        assert_eq!(found.map(|key| key.public()), Some(key.public()), "{case}");
        drop((lock, second));
        fs::remove_dir_all(&folder).unwrap();
    }
    stop.cancel();
}
