//! Shares in place of a whole peer: names, starts without hashing, changes while it runs, folders that disappear, and
//! what is refused.
//!
//! Which paths and names are refused is tested in `shares_in_place::path_checks`.

use std::{
    fs,
    path::{Path, PathBuf},
    time::SystemTime,
};

use brigade_core::{id::ContentId, name::FileName};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::{PATIENCE, manager, until};
use crate::{
    manager::ManagerServer,
    peer::{
        CannotShare, FetchError, FetchRequest, FetchState, ManagerAddress, Peer, PeerConfig, PeerError,
        SharedPath,
    },
};

fn config(manager: &ManagerServer, username: &str, temp: &Path) -> PeerConfig {
    let address = ManagerAddress::new("127.0.0.1", manager.address().port())
        .key(Some(manager.key()))
        .home(Some(temp.join("home")));
    PeerConfig::new(address, temp.join(username)).username(username.parse().unwrap())
}

async fn start(config: PeerConfig) -> Peer {
    let peer = Peer::start(config).await.unwrap();
    assert!(timeout(PATIENCE, peer.announced()).await.unwrap());
    peer
}

fn name(text: &str) -> FileName {
    text.parse().unwrap()
}

fn has(peer: &Peer, shared: &str) -> bool {
    peer.shared_content(&name(shared)).is_some()
}

/// All paths below `path` with the times of their last changes.
fn state_of(path: &Path) -> Vec<(PathBuf, SystemTime)> {
    let mut found = vec![(path.to_owned(), fs::symlink_metadata(path).unwrap().modified().unwrap())];
    if path.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            found.extend(state_of(&entry.unwrap().path()));
        }
    }
    found.sort();
    found
}

/// A folder `outside/photos` with two shared files and an ignored one, and a file `outside/a:b.mkv`.
fn outside(temp: &Path) -> PathBuf {
    let outside = temp.join("outside");
    fs::create_dir_all(outside.join("photos/d")).unwrap();
    for (file, bytes) in
        [("photos/a", "one"), ("photos/d/b", "two"), ("photos/c.tmp", "no"), ("film.mkv", "film")]
    {
        fs::write(outside.join(file), bytes).unwrap();
    }
    fs::write(outside.join("photos/.brigadeignore"), "*.tmp\n").unwrap();
    outside
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shares_are_served_under_their_names_and_the_next_start_hashes_nothing() {
    let temp = tempfile::tempdir().unwrap();
    let stop = CancellationToken::new();
    let manager = manager(temp.path(), &stop).await;
    let outside = outside(temp.path());
    let before = state_of(&outside);
    let shares = || {
        vec![
            SharedPath::new(outside.join("photos")),
            SharedPath::new(outside.join("film.mkv")).named(name("Film")),
        ]
    };
    let holder = start(config(&manager, "water", temp.path()).shares(shares())).await;
    assert!(has(&holder, "photos/a") && has(&holder, "photos/d/b") && has(&holder, "Film"));
    assert_eq!(holder.status().files, 3);
    let totals: Vec<_> = holder.shares().iter().map(|share| (share.files, share.bytes)).collect();
    assert_eq!(totals, [(2, 6), (1, 4)]);
    let downloader = start(config(&manager, "fire", temp.path())).await;
    for (request, file) in [("photos", "photos/d/b"), ("Film", "Film")] {
        let files = downloader.resolve(&FetchRequest::new(request), &mut |_| {}).await.unwrap();
        let mut fetch = downloader.fetch(files).await.unwrap();
        assert_eq!(timeout(PATIENCE, fetch.finished()).await.unwrap().state, FetchState::Done);
        assert!(temp.path().join("fire").join(file).exists());
    }
    // A file of a share counts as present.
    let files = holder.resolve(&FetchRequest::new("photos"), &mut |_| {}).await.unwrap();
    let mut fetch = holder.fetch(files).await.unwrap();
    assert_eq!(timeout(PATIENCE, fetch.finished()).await.unwrap().state, FetchState::Done);
    assert!(!temp.path().join("water/photos").exists());
    holder.stop().await;
    assert_eq!(state_of(&outside), before, "something was written");
    // The indexes get other ids for the unchanged files: a hash would find that out.
    let mut indexes = 0;
    for index in fs::read_dir(temp.path().join("home/shares")).unwrap() {
        let index = rusqlite::Connection::open(index.unwrap().path().join("index.db")).unwrap();
        indexes += index.execute("UPDATE files SET id = ?1", [&[9u8; 32][..]]).unwrap();
    }
    assert_eq!(indexes, 3);
    let holder = start(config(&manager, "water", temp.path()).shares(shares())).await;
    for file in ["photos/a", "photos/d/b", "Film"] {
        assert_eq!(holder.shared_content(&name(file)).unwrap().id, ContentId([9; 32]), "{file}");
    }
    stop.cancel();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shares_are_added_and_removed_while_the_peer_runs_and_last_over_a_restart() {
    let temp = tempfile::tempdir().unwrap();
    let stop = CancellationToken::new();
    let manager = manager(temp.path(), &stop).await;
    let outside = outside(temp.path());
    let peer = start(config(&manager, "water", temp.path())).await;
    let status = peer.share(&outside.join("photos"), None).await.unwrap();
    assert_eq!((status.name.as_str(), status.is_configured), ("photos", false));
    until("it is shared", || has(&peer, "photos/d/b")).await;
    fs::write(outside.join("photos/new"), "new").unwrap();
    until("a new file is shared", || has(&peer, "photos/new")).await;
    fs::remove_file(outside.join("photos/new")).unwrap();
    until("a removed file is not shared", || !has(&peer, "photos/new")).await;
    let again = peer.share(&outside.join("photos/d"), None).await;
    assert!(matches!(again, Err(CannotShare::Overlap { .. })), "{again:?}");
    peer.stop().await;

    let peer = start(config(&manager, "water", temp.path())).await;
    assert!(has(&peer, "photos/a"));
    // The peer's own folder must not have the name.
    fs::create_dir(temp.path().join("water/Photos")).unwrap();
    fs::write(temp.path().join("water/Photos/own"), "own").unwrap();
    let is_listed = || {
        let problems = peer.problems().borrow().clone();
        problems.listed.iter().any(|(path, reason)| path == "Photos" && reason.contains("the share photos"))
    };
    until("its own folder of the name is a problem", is_listed).await;
    assert!(!has(&peer, "Photos/own"));
    let removed = peer.unshare("photos").await.unwrap();
    assert_eq!(removed.files, 2);
    assert!(!has(&peer, "photos/a") && peer.shares().is_empty());
    until("its own folder is shared", || has(&peer, "Photos/own")).await;
    assert!(matches!(peer.unshare("photos").await, Err(CannotShare::Unknown(_))));
    assert_eq!(fs::read_dir(temp.path().join("home/shares")).unwrap().count(), 0, "its index is removed");
    peer.stop().await;
    let peer = start(config(&manager, "water", temp.path())).await;
    assert!(peer.shares().is_empty());
    stop.cancel();
}

#[cfg(unix)] // on Windows a folder with open files cannot be renamed
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_share_that_disappears_is_withdrawn_and_comes_back() {
    let temp = tempfile::tempdir().unwrap();
    let stop = CancellationToken::new();
    let manager = manager(temp.path(), &stop).await;
    let outside = outside(temp.path());
    let (photos, elsewhere) = (outside.join("photos"), temp.path().join("elsewhere"));
    let peer = start(config(&manager, "water", temp.path())).await;
    peer.share(&photos, None).await.unwrap();
    until("it is shared", || has(&peer, "photos/a") && has(&peer, "photos/d/b")).await;
    let is_away = |peer: &Peer| {
        use crate::peer::KeeperProblem;
        let problems = peer.problems().borrow().clone();
        problems.keeper_problems.iter().any(|problem| matches!(problem, KeeperProblem::ShareAway { .. }))
    };
    for _ in 0..2 {
        fs::rename(&photos, &elsewhere).unwrap();
        until("it is reported as away", || is_away(&peer)).await;
        assert!(!has(&peer, "photos/a"));
        let status = peer.shares().remove(0);
        assert!(status.files == 0 && status.problem.is_some(), "{status:?}");
        fs::rename(&elsewhere, &photos).unwrap();
        until("it is shared again", || has(&peer, "photos/a") && has(&peer, "photos/d/b")).await;
        until("it has no problem any more", || !is_away(&peer)).await;
    }
    // It is away at a start, and another folder is there later.
    peer.stop().await;
    fs::rename(&photos, &elsewhere).unwrap();
    let peer = start(config(&manager, "water", temp.path())).await;
    assert!(is_away(&peer) && !has(&peer, "photos/a"));
    fs::create_dir(&photos).unwrap();
    fs::write(photos.join("other"), "other").unwrap();
    until("the other folder is shared", || has(&peer, "photos/other")).await;
    stop.cancel();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_with_a_wrong_share_fails_and_nothing_is_fetched_into_a_share() {
    let temp = tempfile::tempdir().unwrap();
    let stop = CancellationToken::new();
    let manager = manager(temp.path(), &stop).await;
    let outside = outside(temp.path());
    let wrong = config(&manager, "water", temp.path()).shares(vec![SharedPath::new(outside.join("missing"))]);
    let failed = Peer::start(wrong).await;
    assert!(matches!(failed, Err(PeerError::Share(CannotShare::Missing { .. }))));
    assert!(!temp.path().join("water").exists(), "nothing was made");
    let holder = config(&manager, "water", temp.path());
    fs::create_dir_all(temp.path().join("water/photos")).unwrap();
    fs::write(temp.path().join("water/photos/theirs"), "theirs").unwrap();
    let _holder = start(holder).await;
    let peer = config(&manager, "fire", temp.path()).shares(vec![SharedPath::new(outside.join("photos"))]);
    let peer = start(peer).await;
    let files = peer.resolve(&FetchRequest::new("photos/theirs"), &mut |_| {}).await.unwrap();
    let refused = peer.fetch(files).await;
    let Err(FetchError::CannotLand(refused)) = refused else { panic!("{refused:?}") };
    assert!(refused.refused[0].reason.contains("name of a share in place"), "{:?}", refused.refused);
    stop.cancel();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_waits_for_a_configured_share_that_is_not_there() {
    let temp = tempfile::tempdir().unwrap();
    let stop = CancellationToken::new();
    let manager = manager(temp.path(), &stop).await;
    let (absent, elsewhere) = (temp.path().join("outside/photos"), temp.path().join("elsewhere"));
    let waiting = vec![SharedPath::new(&absent)];
    let peer =
        start(config(&manager, "water", temp.path()).shares(waiting.clone()).wait_for_shares(true)).await;
    let status = peer.shares().remove(0);
    assert!(status.is_configured && status.problem.is_some(), "{status:?}");
    let other = peer.share(&outside(&elsewhere).join("photos"), None).await;
    assert!(matches!(other, Err(CannotShare::NameOfShare { .. })), "{other:?}");
    outside(temp.path());
    until("it is shared", || has(&peer, "photos/a") && has(&peer, "photos/d/b")).await;
    until("it has no problem", || peer.shares()[0].problem.is_none()).await;
    stop.cancel();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stored_share_that_is_away_at_the_start_is_compared_with_the_others() {
    let temp = tempfile::tempdir().unwrap();
    let stop = CancellationToken::new();
    let manager = manager(temp.path(), &stop).await;
    let (outside, elsewhere) = (outside(temp.path()), temp.path().join("elsewhere"));
    let peer = start(config(&manager, "water", temp.path())).await;
    peer.share(&outside.join("photos"), Some(name("first"))).await.unwrap();
    peer.stop().await;
    fs::rename(outside.join("photos"), &elsewhere).unwrap();
    let problem = |peer: &Peer| peer.shares().iter().find_map(|share| share.problem.clone());
    for (path, other, reason) in
        [(&elsewhere, "FIRST", "is shared under this name"), (&outside, "second", "it is in ")]
    {
        let shares = vec![SharedPath::new(path).named(name(other))];
        let peer = start(config(&manager, "water", temp.path()).shares(shares)).await;
        until("the conflict is listed", || problem(&peer).is_some_and(|problem| problem.contains(reason)))
            .await;
        peer.stop().await;
    }
    stop.cancel();
}
