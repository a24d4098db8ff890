//! Starts that fail or are cancelled, and no others: which key and which files are on the disk afterwards. The manager
//! answers as each test wants it.
//!
//! The end-to-end tests check that a real manager binds no username then.

use std::{fs, path::Path};

use brigade_core::wire::{
    Reason,
    greeting::{Hello, VERSION},
    manager::{FromManager, Refused, ToManager},
};

use super::{ManagerContact, PeerConfig, PeerError, SecretKey, ShareMode};
use crate::{
    peer::Peer,
    peer_config::ManagerAddress,
    transport::{greeting::GreetedConnection, port_listener::PortListener},
};

/// A manager's port, where a test plays the manager.
struct TestManager(PortListener);

impl TestManager {
    async fn new() -> Self {
        Self(PortListener::bind(&[([127, 0, 0, 1], 0).into()], &SecretKey::generate()).await.unwrap())
    }

    /// Greets a peer, and waits until it asks to join.
    async fn asked(&self) -> GreetedConnection {
        let mut peer = self.greeted().await;
        let asked = peer.reader.next::<ToManager>().await.unwrap();
        assert!(matches!(asked, Some(ToManager::Join(_))), "{asked:?}");
        peer
    }

    async fn greeted(&self) -> GreetedConnection {
        let connection = self.0.accept().await.unwrap().handshake().await.unwrap();
        connection
            .greet(Hello {
                version: VERSION,
                agent: "test".into(),
                membership: None,
                reached_from_elsewhere: None,
            })
            .await
            .unwrap()
    }

    async fn join(&self, folder: &Path) -> PeerError {
        let manager =
            ManagerAddress { host: "127.0.0.1".into(), port: self.0.address().port(), key: None, home: None };
        let config = PeerConfig {
            shares: vec![],
            wait_for_shares: false,
            keep_parts: None,
            keep_fetches: false,
            manager,
            username: Some("fire_user".parse().unwrap()),
            folder: folder.to_owned(),
            sharing: ShareMode::Folder,
            max_connections: 8,
            limits: Default::default(),
        };
        let port = ManagerContact::on_loopback().take_port(None, 0).unwrap();
        Peer::join(config, port).await.unwrap_err().error
    }
}

async fn refuse(mut peer: GreetedConnection, reason: Reason) {
    let refused = Refused { kind: 0x10, question: None, reason, text: "no".into() };
    peer.writer.send(&FromManager::from(refused)).await.unwrap();
    peer.writer.flush().await.unwrap();
    let _ = peer.reader.next::<ToManager>().await;
}

#[tokio::test]
async fn the_key_is_on_the_disk_before_the_name_can_be_bound_and_stays_where_it_may_be() {
    let temp = tempfile::tempdir().unwrap();
    let (manager, folder) = (TestManager::new().await, temp.path().join("folder"));
    let key = folder.join(".brigade/key");
    let kept = async {
        let peer = manager.asked().await; // who would bind the name now
        SecretKey::load(&key).unwrap().expect("the key is there").public() == peer.peer
    };
    let (_, was_kept) = tokio::join!(manager.join(&folder), kept);
    assert!(was_kept);
    // It never heard whether it has the name: the next start asks with the same key.
    let first = SecretKey::load(&key).unwrap().unwrap().public();
    let again = async { manager.asked().await.peer };
    let (_, second) = tokio::join!(manager.join(&folder), again);
    assert_eq!(first, second);
    // So it does where the manager failed, and where it refused a key that was there before.
    for reason in [Reason::Failed, Reason::NameTaken] {
        let refused = async { refuse(manager.asked().await, reason).await };
        tokio::join!(manager.join(&folder), refused);
        assert_eq!(SecretKey::load(&key).unwrap().unwrap().public(), first);
    }
}

#[tokio::test]
async fn a_start_that_is_not_waited_for_keeps_the_key() {
    let temp = tempfile::tempdir().unwrap();
    let (manager, folder) = (TestManager::new().await, temp.path().join("folder"));
    tokio::select! {
        error = manager.join(&folder) => panic!("{error:?}"),
        peer = manager.asked() => drop(peer),
    }
    assert!(SecretKey::load(&folder.join(".brigade/key")).unwrap().is_some());
}

#[tokio::test]
async fn a_refusal_takes_back_what_was_made_and_nothing_else() {
    let temp = tempfile::tempdir().unwrap();
    let manager = TestManager::new().await;
    let refused = |folder| {
        let manager = &manager;
        async move {
            tokio::join!(manager.join(folder), async {
                refuse(manager.asked().await, Reason::NameTaken).await
            })
            .0
        }
    };
    let new = temp.path().join("new");
    assert!(matches!(refused(&new).await, PeerError::Join(_)));
    assert!(!new.exists());

    let mine = temp.path().join("mine");
    fs::create_dir(&mine).unwrap();
    fs::write(mine.join("file"), "mine").unwrap();
    refused(&mine).await;
    assert_eq!(names(&mine), ["file"]);

    fs::create_dir(mine.join(".brigade")).unwrap();
    fs::write(mine.join(".brigade/notes"), "mine").unwrap();
    refused(&mine).await;
    assert_eq!(names(&mine.join(".brigade")), ["notes"]);
}

#[tokio::test]
async fn key_errors_are_found_before_the_manager_is_asked() {
    let temp = tempfile::tempdir().unwrap();
    let manager = TestManager::new().await;
    fs::write(temp.path().join("file"), "mine").unwrap();
    fs::create_dir(temp.path().join("crossed")).unwrap();
    fs::write(temp.path().join("crossed/.brigade"), "mine").unwrap();
    for folder in ["file", "file/below", "missing/below", "crossed"] {
        let greeted = async {
            let mut peer = manager.greeted().await;
            peer.reader.next::<ToManager>().await
        };
        let path = temp.path().join(folder);
        let (error, asked) = tokio::join!(manager.join(&path), greeted);
        assert!(matches!(error, PeerError::Folder(_)), "{folder}: {error:?}");
        assert!(!matches!(asked, Ok(Some(ToManager::Join(_)))), "{folder}: {asked:?}");
    }
    assert_eq!(names(temp.path()), ["crossed", "file"]);
    assert_eq!(names(&temp.path().join("crossed")), [".brigade"]);
}

#[tokio::test]
async fn nothing_is_made_where_no_manager_answers() {
    let temp = tempfile::tempdir().unwrap();
    let manager = TestManager::new().await;
    let closed = async { drop(manager.0.accept().await) };
    let folder = temp.path().join("folder");
    let (error, ()) = tokio::join!(manager.join(&folder), closed);
    assert!(matches!(error, PeerError::Join(_)), "{error:?}");
    assert!(!folder.exists());
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<_> = entries.map(|name| name.into_string().unwrap()).collect();
    names.sort();
    names
}
