//! The life of a whole peer: what is left of it once it was stopped, or dropped in the middle of everything.
//!
//! What it does meanwhile is tested at the binary.

use std::{fs, net::TcpListener, path::Path, time::Duration};

use brigade_core::{
    id::ContentId,
    limit_plan::{LimitPlan, Rule},
    rate::Cap,
};
use tokio::{runtime::Handle, time::timeout};
use tokio_util::sync::CancellationToken;

use super::{Fetch, FetchRequest, ManagerAddress, ManagerContact, Peer, PeerConfig, ShareMode};
#[cfg(unix)]
use crate::identity::key::SecretKey;
#[cfg(target_os = "linux")]
use crate::store::{index::Index, keeper::KeeperProblem};
use crate::{
    manager::{ManagerConfig, ManagerServer},
    store::folder::Folder,
};

const PATIENCE: Duration = Duration::from_secs(20);

/// A manager for the peers of a test.
async fn manager(state: &Path, stop: &CancellationToken) -> ManagerServer {
    let config = ManagerConfig {
        host: "127.0.0.1".into(),
        port: 0,
        max_peers: 20,
        state_dir: state.join("state"),
        open: false,
    };
    ManagerServer::start_until(config, stop.clone()).await.unwrap()
}

/// A peer that shares the folder of its name, and sends 200 kB a second: there is a schedule, so that somebody waits
/// for the next minute.
async fn peer(manager: &ManagerServer, username: &str, folder: &Path) -> Peer {
    join(manager, Some(username), folder).await
}

async fn join(manager: &ManagerServer, username: Option<&str>, folder: &Path) -> Peer {
    let address = ManagerAddress {
        host: "127.0.0.1".into(),
        port: manager.address().port(),
        key: Some(manager.key()),
        home: None,
    };
    let up = Some(Cap::At(200_000));
    let always = Rule::always(up, None);
    let config = PeerConfig {
        keep_parts: None,
        manager: address,
        username: username.map(|username| username.parse().unwrap()),
        folder: folder.to_owned(),
        sharing: ShareMode::Folder,
        max_connections: 20,
        limits: LimitPlan { rules: vec![always], ..LimitPlan::default() },
    };
    let port = ManagerContact::on_loopback().take_port(None, 0).unwrap();
    Peer::join(config, port).await.map_err(|failed| failed.error).unwrap()
}

/// Looks again and again until `reached`.
async fn until(what: &str, reached: impl Fn() -> bool) {
    let looks = async {
        while !reached() {
            tokio::task::yield_now().await;
        }
    };
    assert!(timeout(PATIENCE, looks).await.is_ok(), "not reached: {what}");
}

/// One peer that sends a film slowly, and another in the middle of fetching it.
async fn in_the_middle(manager: &ManagerServer, temp: &Path) -> (Peer, Peer, Fetch) {
    for folder in ["water", "fire"] {
        fs::create_dir_all(temp.join(folder)).unwrap();
    }
    fs::write(temp.join("water/film"), vec![7; 20 << 20]).unwrap();
    fs::write(temp.join("fire/other"), vec![8; 20 << 20]).unwrap();
    let (water, fire) = (
        peer(manager, "water_user", &temp.join("water")).await,
        peer(manager, "fire_user", &temp.join("fire")).await,
    );
    assert!(timeout(PATIENCE, water.announced()).await.unwrap());
    let request = FetchRequest { name: "film".into(), ..FetchRequest::default() };
    let fetch = fire.fetch(fire.resolve(&request, &mut |_| {}).await.unwrap()).await.unwrap();
    let mut progress = fetch.progress();
    timeout(PATIENCE, progress.wait_for(|progress| progress.bytes_done > 0)).await.unwrap().unwrap();
    (water, fire, fetch)
}

fn is_free(folder: &Path) -> bool {
    Folder::open(folder).unwrap().lock().is_ok()
}

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
    assert_eq!(timeout(PATIENCE, fetch.finished()).await.unwrap().state, super::FetchState::Stopped);
    water.stop().await;
    until("the lock is free", || is_free(&temp.path().join("water"))).await;
    until("all tasks have ended", || tasks() <= before).await;
    stop.cancel();
}

/// As when somebody cleans up, and takes it for rubbish.
#[cfg(target_os = "linux")]
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
    assert!(ended.state == super::FetchState::Failed, "{ended:?}");
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
#[cfg(target_os = "linux")]
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
#[cfg(target_os = "linux")]
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

#[cfg(target_os = "linux")]
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_content_is_fetched_by_its_id_under_another_name() {
    let temp = tempfile::tempdir().unwrap();
    let stop = CancellationToken::new();
    let manager = manager(temp.path(), &stop).await;
    let (water, fire) = (temp.path().join("water"), temp.path().join("fire"));
    fs::create_dir_all(water.join("films")).unwrap();
    fs::write(water.join("films/film"), "a short film").unwrap();
    let holder = peer(&manager, "water_user", &water).await;
    assert!(timeout(PATIENCE, holder.announced()).await.unwrap());
    let downloader = peer(&manager, "fire_user", &fire).await;
    let id = ContentId(*blake3::hash(b"a short film").as_bytes());
    let request = FetchRequest::by_id(id).save_as("saved/film".parse().unwrap());
    let files = downloader.resolve(&request, &mut |_| {}).await.unwrap();
    assert_eq!(files.files().len(), 1);
    let mut fetch = downloader.fetch(files).await.unwrap();
    let progress = timeout(PATIENCE, fetch.finished()).await.unwrap();
    assert_eq!((progress.state, progress.name), (super::FetchState::Done, id.to_string()));
    assert_eq!(fs::read(fire.join("saved/film")).unwrap(), b"a short film");
    assert!(!fire.join("films").exists());
    stop.cancel();
}
