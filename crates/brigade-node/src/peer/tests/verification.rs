//! Verifying what is on the disk: damaged files are found, withdrawn, remembered and fetched again.
//!
//! In most tests a byte is changed and the time before is set again. No program can set the time of the last change of
//! an attribute, so the keeper hashes such a file at once, and remembers the bytes before. Where only the verification is to find it, the index gets
//! another id for the unchanged file.

#![cfg(target_os = "linux")]

use std::{
    fs::{self, File, OpenOptions},
    os::unix::fs::FileExt,
    path::Path,
};

use brigade_core::{id::ContentId, name::FileName};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::{PATIENCE, manager, peer, until};
use crate::peer::{CannotRepair, CannotVerify, FetchState, Peer, SharedPath, VerifyProgress, VerifyState};

fn name(text: &str) -> FileName {
    text.parse().unwrap()
}

/// Changes a byte, and sets the time before again.
fn flip_byte(path: &Path) {
    let file = OpenOptions::new().read(true).write(true).open(path).unwrap();
    let time = file.metadata().unwrap().modified().unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, 5).unwrap();
    file.write_all_at(&[!byte[0]], 5).unwrap();
    file.set_modified(time).unwrap();
}

async fn verified(peer: &Peer, name: &str) -> VerifyProgress {
    let progress = timeout(PATIENCE, peer.verify(name).await.unwrap().finished()).await.unwrap();
    assert_eq!(progress.state, VerifyState::Finished, "{progress:?}");
    progress
}

fn id(bytes: &[u8]) -> ContentId {
    ContentId(*blake3::hash(bytes).as_bytes())
}

fn is_shared(peer: &Peer, file: &str) -> bool {
    peer.shared_content(&name(file)).is_some()
}

/// Whether a file is shared with these bytes.
fn has_bytes(peer: &Peer, file: &str, bytes: &[u8]) -> bool {
    peer.shared_content(&name(file)).is_some_and(|content| content.id == id(bytes))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_file_is_withdrawn_remembered_and_repaired() {
    let temp = tempfile::tempdir().unwrap();
    let stop = CancellationToken::new();
    let manager = manager(temp.path(), &stop).await;
    let bytes = vec![7; 700_000];
    for folder in ["water", "fire"] {
        fs::create_dir_all(temp.path().join(folder).join("films")).unwrap();
        fs::write(temp.path().join(folder).join("films/film"), &bytes).unwrap();
    }
    fs::write(temp.path().join("fire/other"), "other").unwrap();
    let water = peer(&manager, "water_user", &temp.path().join("water")).await;
    assert!(timeout(PATIENCE, water.announced()).await.unwrap());
    let fire = peer(&manager, "fire_user", &temp.path().join("fire")).await;
    assert!(timeout(PATIENCE, fire.announced()).await.unwrap());
    let progress = verified(&fire, "").await;
    assert_eq!((progress.files_done, progress.bytes_done, progress.damaged.len()), (2, 700_005, 0));

    let film = temp.path().join("fire/films/film");
    flip_byte(&film);
    let mut damaged = bytes.clone();
    damaged[5] = !damaged[5];
    // A program may have written it, so it is shared as it is until it is verified.
    until("it is hashed", || has_bytes(&fire, "films/film", &damaged)).await;
    let progress = verified(&fire, "films").await;
    assert_eq!(progress.damaged.len(), 1, "{progress:?}");
    until("it is withdrawn", || !is_shared(&fire, "films/film")).await;
    let damage = &progress.damaged[0];
    assert_eq!((damage.expected.id, damage.found), (id(&bytes), id(&damaged)));
    assert!(damage.can_be_repaired);
    let reason = |peer: &Peer| {
        let problems = peer.problems().borrow().clone();
        problems.listed.iter().find(|(path, _)| path == "films/film").map(|(_, reason)| reason.clone())
    };
    until("it is listed", || reason(&fire).is_some_and(|reason| reason.contains("bytes changed"))).await;

    // The damaged bytes are not shared as a new version after a restart.
    fire.stop().await;
    let fire = peer(&manager, "fire_user", &temp.path().join("fire")).await;
    assert!(timeout(PATIENCE, fire.announced()).await.unwrap());
    assert!(is_shared(&fire, "other") && !is_shared(&fire, "films/film"));
    assert_eq!(fire.damaged("").len(), 1);

    let mut repair = fire.repair(&name("films/film")).await.unwrap();
    let progress = timeout(PATIENCE, repair.finished()).await.unwrap();
    assert_eq!(progress.state, FetchState::Done, "{progress:?}");
    assert_eq!(fs::read(&film).unwrap(), bytes);
    assert_eq!(fs::read(temp.path().join("fire/films/film.~1~")).unwrap(), damaged);
    assert!(is_shared(&fire, "films/film") && fire.damaged("").is_empty());
    assert!(matches!(fire.repair(&name("films/film")).await, Err(CannotRepair::NotDamaged(_))));
    assert!(reason(&fire).is_none());
    stop.cancel();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_is_touched_or_put_right_is_shared_again() {
    let temp = tempfile::tempdir().unwrap();
    let stop = CancellationToken::new();
    let manager = manager(temp.path(), &stop).await;
    let folder = temp.path().join("fire");
    fs::create_dir(&folder).unwrap();
    for file in ["a", "b"] {
        fs::write(folder.join(file), format!("bytes of {file}")).unwrap();
    }
    let fire = peer(&manager, "fire_user", &folder).await;
    assert!(timeout(PATIENCE, fire.announced()).await.unwrap());
    for file in ["a", "b"] {
        flip_byte(&folder.join(file));
        until("it is hashed", || !has_bytes(&fire, file, format!("bytes of {file}").as_bytes())).await;
        until("it is shared as it is", || is_shared(&fire, file)).await;
    }
    // This is remembered over a restart.
    fire.stop().await;
    let fire = peer(&manager, "fire_user", &folder).await;
    assert!(timeout(PATIENCE, fire.announced()).await.unwrap());
    assert!(is_shared(&fire, "a") && is_shared(&fire, "b"));
    verified(&fire, "").await;
    until("both are withdrawn", || fire.damaged("").len() == 2).await;
    File::open(folder.join("a")).unwrap().set_modified(std::time::SystemTime::now()).unwrap();
    until("the touched file is shared as it is", || is_shared(&fire, "a")).await;
    flip_byte(&folder.join("b"));
    // The keeper may look at the file before it has its old time again: then it shares the file without a verification.
    if let Ok(mut verification) = fire.verify("b").await {
        assert_eq!(timeout(PATIENCE, verification.finished()).await.unwrap().damaged, []);
    }
    until("the file with the right bytes is shared", || is_shared(&fire, "b")).await;
    assert!(fire.damaged("").is_empty());
    stop.cancel();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_verification_finds_bytes_that_nothing_else_shows() {
    let temp = tempfile::tempdir().unwrap();
    let stop = CancellationToken::new();
    let manager = manager(temp.path(), &stop).await;
    let folder = temp.path().join("fire");
    fs::create_dir(&folder).unwrap();
    for file in ["a", "b", "c"] {
        fs::write(folder.join(file), format!("bytes of {file}")).unwrap();
    }
    let fire = peer(&manager, "fire_user", &folder).await;
    assert!(timeout(PATIENCE, fire.announced()).await.unwrap());
    fire.stop().await;
    let index = rusqlite::Connection::open(folder.join(".brigade/index.db")).unwrap();
    index.execute("UPDATE files SET id = ?1 WHERE name != 'c'", [&[9u8; 32][..]]).unwrap();
    drop(index);
    let fire = peer(&manager, "fire_user", &folder).await;
    assert!(timeout(PATIENCE, fire.announced()).await.unwrap());
    let progress = verified(&fire, "a").await;
    assert_eq!((progress.files_done, progress.bytes_done), (1, 10));
    let expected = (ContentId([9; 32]), id(b"bytes of a"));
    let found = progress.damaged.iter().map(|damage| (damage.expected.id, damage.found)).collect::<Vec<_>>();
    assert_eq!(found, [expected]);
    until("it is withdrawn", || !is_shared(&fire, "a")).await;
    assert!(is_shared(&fire, "b"), "it was not verified");
    let progress = verified(&fire, "").await;
    let names: Vec<&str> = progress.damaged.iter().map(|damage| damage.name.as_str()).collect();
    assert_eq!((names, progress.files_done), (vec!["a", "b"], 3));
    until("the other one is withdrawn too", || !is_shared(&fire, "b")).await;
    assert!(is_shared(&fire, "c"));
    stop.cancel();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_one_verification_runs_and_it_can_be_cancelled() {
    let temp = tempfile::tempdir().unwrap();
    let stop = CancellationToken::new();
    let manager = manager(temp.path(), &stop).await;
    let folder = temp.path().join("fire");
    fs::create_dir(&folder).unwrap();
    // At the most bytes in a second this takes two seconds.
    File::create(folder.join("large")).unwrap().set_len(512 << 20).unwrap();
    let fire = peer(&manager, "fire_user", &folder).await;
    assert!(matches!(fire.verify("none").await, Err(CannotVerify::NoFiles { .. })));
    until("it is shared", || is_shared(&fire, "large")).await;
    let mut first = fire.verify("large").await.unwrap();
    let second = fire.verify("").await;
    assert!(matches!(&second, Err(CannotVerify::Running { name }) if name == "large"), "{second:?}");
    first.cancel();
    let progress = timeout(PATIENCE, first.finished()).await.unwrap();
    assert_eq!((progress.state, progress.files_done), (VerifyState::Cancelled, 0));
    fs::remove_file(folder.join("large")).unwrap();
    verified(&fire, "").await;
    stop.cancel();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_file_of_a_share_in_place_is_not_repaired_there() {
    let temp = tempfile::tempdir().unwrap();
    let stop = CancellationToken::new();
    let manager = manager(temp.path(), &stop).await;
    fs::create_dir(temp.path().join("photos")).unwrap();
    fs::write(temp.path().join("photos/a"), "a photo").unwrap();
    let fire = peer(&manager, "fire_user", &temp.path().join("fire")).await;
    let wanted = SharedPath::new(temp.path().join("photos"));
    fire.share(&wanted.path, None).await.unwrap();
    until("it is shared", || is_shared(&fire, "photos/a")).await;
    flip_byte(&temp.path().join("photos/a"));
    until("it is hashed", || is_shared(&fire, "photos/a") && !has_bytes(&fire, "photos/a", b"a photo")).await;
    verified(&fire, "photos").await;
    until("it is withdrawn", || fire.damaged("photos").len() == 1).await;
    assert!(!fire.damaged("photos")[0].can_be_repaired);
    let refused = fire.repair(&name("photos/a")).await;
    assert!(matches!(refused, Err(CannotRepair::InPlace { .. })), "{refused:?}");
    stop.cancel();
}
