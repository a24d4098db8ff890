//! What a running peer does when files of its private folder (`.brigade/`) are removed or replaced: it restores them,
//! reports it, and its fetches continue or fail.

use std::{fs, path::Path};

use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::{PATIENCE, in_the_middle, is_free, manager, peer, until};
use crate::{
    identity::key::SecretKey,
    peer::{FetchRequest, FetchState},
    store::{index::Index, keeper::KeeperProblem},
};

/// As when somebody cleans up, and takes it for rubbish.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_private_folder_of_a_peer_is_restored_if_it_is_removed() {
    let temp = tempfile::tempdir().unwrap();
    let stop = CancellationToken::new();
    let manager = manager(temp.path(), &stop).await;
    let (water, fire, mut fetch) = in_the_middle(&manager, temp.path()).await;
    assert!(timeout(PATIENCE, fire.announced()).await.unwrap());
    let private = temp.path().join("fire/.brigade");
    let key = fs::read(private.join("key")).unwrap();
    // In one step: while it is removed file by file, the peer may make it anew, and there is no end to it.
    fs::rename(&private, temp.path().join("rubbish")).unwrap();
    fs::remove_dir_all(temp.path().join("rubbish")).unwrap();

    let mut problems = fire.problems();
    let reported = problems
        .wait_for(|list| matches!(list.keeper_problems.as_slice(), [KeeperProblem::PrivateRemoved(1)]));
    timeout(PATIENCE, reported).await.expect("it is not noticed").unwrap();
    assert!(!is_free(&temp.path().join("fire")), "a second session may start");
    assert_eq!(fs::read(private.join("key")).unwrap(), key);
    until("who has the lock is noted", || {
        fs::read_to_string(private.join("lock")).unwrap().contains("username fire_user")
    })
    .await;
    let mode =
        |path: &Path| std::os::unix::fs::PermissionsExt::mode(&fs::metadata(path).unwrap().permissions());
    assert_eq!((mode(&private) & 0o777, mode(&private.join("key")) & 0o777), (0o700, 0o600));
    let ended = timeout(PATIENCE, fetch.finished()).await.expect("the fetch goes on without its part");
    assert!(ended.state == FetchState::Failed, "{ended:?}");
    assert!(ended.errors[0].1.contains("was removed while this peer runs"), "{ended:?}");
    // It shares on, and fetches again.
    assert_eq!(fire.status().files, 1);
    let request = FetchRequest { name: "film".into(), ..FetchRequest::default() };
    let again = fire.fetch(fire.resolve(&request, &mut |_| {}).await.unwrap()).await.unwrap();
    let mut progress = again.progress();
    timeout(PATIENCE, progress.wait_for(|progress| progress.bytes_done > 0)).await.unwrap().unwrap();
    fire.stop().await;

    // The next start has the same name, and what was hashed is known.
    until("the lock is free", || is_free(&temp.path().join("fire"))).await;
    let index = Index::open(&private.join("index.db")).unwrap();
    assert_eq!(index.1.keys().map(|name| name.as_str()).collect::<Vec<_>>(), ["other"]);
    drop(index);
    let fire = peer(&manager, "fire_user", &temp.path().join("fire")).await;
    assert_eq!(fire.username().as_str(), "fire_user");
    fire.stop().await;
    water.stop().await;
    stop.cancel();
}

/// The parts of files are there: a fetch that takes hours must not end for that.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fetch_goes_on_where_the_lock_and_the_key_alone_are_removed() {
    let temp = tempfile::tempdir().unwrap();
    let stop = CancellationToken::new();
    let manager = manager(temp.path(), &stop).await;
    let (water, fire, fetch) = in_the_middle(&manager, temp.path()).await;
    let private = temp.path().join("fire/.brigade");
    let key = fs::read(private.join("key")).unwrap();
    for file in ["lock", "key"] {
        fs::remove_file(private.join(file)).unwrap();
    }
    let expected = [KeeperProblem::LockRemoved(1), KeeperProblem::KeyRemoved(1)];
    let mut problems = fire.problems();
    let noticed = problems.wait_for(|list| list.keeper_problems == expected);
    timeout(PATIENCE, noticed).await.expect("it is not noticed").unwrap();
    assert!(!is_free(&temp.path().join("fire")), "a second session may start");
    assert_eq!(fs::read(private.join("key")).unwrap(), key);
    let mut progress = fetch.progress();
    let before = progress.borrow_and_update().bytes_done;
    let later = progress.wait_for(|progress| progress.bytes_done > before || !progress.errors.is_empty());
    let later = timeout(PATIENCE, later).await.unwrap().unwrap().clone();
    assert!(later.errors.is_empty(), "{later:?}");
    fire.stop().await;
    water.stop().await;
    stop.cancel();
}

/// The key may be overwritten in place, or another file may get its name.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_is_replaced_while_the_peer_runs_is_written_again() {
    let temp = tempfile::tempdir().unwrap();
    let stop = CancellationToken::new();
    let manager = manager(temp.path(), &stop).await;
    let fire = peer(&manager, "fire_user", &temp.path().join("fire")).await;
    let private = temp.path().join("fire/.brigade");
    let path = |name: &str| private.join(name);
    let key = fs::read(path("key")).unwrap();
    let mut problems = fire.problems();
    let is_restored = || fs::read(path("key")).is_ok_and(|bytes| bytes == key);
    for times in 1..=3 {
        match times {
            1 => fs::write(path("key"), "damaged").unwrap(),
            2 => assert!(SecretKey::generate().save(&path("other")).unwrap()),
            _ => fs::write(path("other"), "other accounts can read it").unwrap(),
        }
        if times > 1 {
            fs::rename(path("other"), path("key")).unwrap();
        }
        let expected = [KeeperProblem::KeyRemoved(times)];
        let noticed = problems.wait_for(|list| list.keeper_problems == expected);
        timeout(PATIENCE, noticed).await.expect("it is not noticed").unwrap();
        assert!(is_restored());
    }
    assert_eq!(fs::read(path("key.replaced-1")).unwrap(), b"damaged");
    assert!(SecretKey::load(&path("key.replaced-2")).unwrap().is_some());
    assert!(path("key.replaced-3").exists());
    fire.stop().await;
    stop.cancel();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fetch_begins_again_where_the_received_files_alone_are_removed() {
    let temp = tempfile::tempdir().unwrap();
    let stop = CancellationToken::new();
    let manager = manager(temp.path(), &stop).await;
    let (water, fire, fetch) = in_the_middle(&manager, temp.path()).await;
    let parts = temp.path().join("fire/.brigade/parts");
    // In one step, as above.
    fs::rename(&parts, temp.path().join("rubbish")).unwrap();
    fs::remove_dir_all(temp.path().join("rubbish")).unwrap();
    let mut problems = fire.problems();
    let noticed = problems.wait_for(|list| list.keeper_problems == [KeeperProblem::PartsRemoved(1)]);
    timeout(PATIENCE, noticed).await.expect("it is not noticed").unwrap();
    let stores_pieces = || {
        let records = fs::read_dir(&parts).into_iter().flatten().filter_map(Result::ok);
        let mut records =
            records.map(|entry| entry.path()).filter(|path| path.extension() == Some("pieces".as_ref()));
        records.any(|record| fs::read(record).is_ok_and(|bytes| bytes.iter().any(|byte| *byte != 0)))
    };
    until("pieces are stored again", stores_pieces).await;
    assert!(fetch.progress().borrow().errors.is_empty());
    fire.stop().await;
    water.stop().await;
    stop.cancel();
}
