//! The manager on real sockets: peers that join, disconnect, exceed the limit, break the protocol or do not read.
//!
//! The core tests the decisions; these tests check that they reach sockets and the disk.

use std::{net::IpAddr, path::Path, time::Duration};

use brigade_core::{
    id::ContentId,
    limits,
    manager::{Event, LeaveReason},
    wire::{
        Reason,
        greeting::{Hello, VERSION},
        manager::{
            Announce, Browse, FileEntry, FromManager, Holders, Join, ListPeers, Lookup, Refused, Renew,
            Report, ToManager, Watch, WireContent,
        },
    },
};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::{ManagerConfig, ManagerError, ManagerServer, ManagerView, MemberDatabase};
use crate::{
    clock,
    identity::{key::SecretKey, membership},
    transport::{
        accept_loop::ENTERING, dial::dial, greeting::GreetedConnection, tls::record_buffer::RecordBuffer,
    },
};

mod handle;
mod restoring;

const PATIENCE: Duration = Duration::from_secs(20);

struct RunningManager {
    server: ManagerServer,
    stop: CancellationToken,
}

fn config(state: &Path) -> ManagerConfig {
    ManagerConfig {
        host: "127.0.0.1".into(),
        port: 0,
        max_peers: 20,
        state_dir: state.join("state"),
        open: false,
    }
}

impl RunningManager {
    async fn new(state: &Path) -> Self {
        Self::with(config(state)).await
    }

    async fn with(config: ManagerConfig) -> Self {
        let stop = CancellationToken::new();
        Self { server: ManagerServer::start_until(config, stop.clone()).await.unwrap(), stop }
    }

    async fn client(&self, key: &SecretKey) -> Client {
        self.client_over(self.server.address().ip(), key).await
    }

    /// A client that reaches the manager at `ip`.
    async fn client_over(&self, ip: IpAddr, key: &SecretKey) -> Client {
        let connection =
            dial(&[(ip, self.server.address().port()).into()], key, Some(self.server.key())).await.unwrap();
        let hello =
            Hello { version: VERSION, agent: "test".into(), membership: None, reached_from_elsewhere: None };
        Client(connection.greet(hello).await.unwrap())
    }

    async fn view(&self, wanted: impl FnMut(&ManagerView) -> bool) -> ManagerView {
        self.server.view().wait_for(wanted).await.unwrap().clone()
    }

    async fn stop(self) {
        self.stop.cancel();
        self.server.stopped().await;
    }
}

struct Client(GreetedConnection);

impl Client {
    async fn send(&mut self, message: impl Into<ToManager>) {
        self.0.writer.send(&message.into()).await.unwrap();
        self.0.writer.flush().await.unwrap();
    }

    async fn receive(&mut self) -> FromManager {
        self.0.reader.next().await.unwrap().unwrap()
    }

    async fn ask(&mut self, message: impl Into<ToManager>) -> FromManager {
        self.send(message).await;
        self.receive().await
    }

    async fn join(&mut self, name: &str) -> Result<String, Refused> {
        match self
            .ask(Join { username: Ok(name.parse().unwrap()), port: self.0.local.port(), unbound: None })
            .await
        {
            FromManager::Joined(joined) => Ok(joined.membership),
            FromManager::Refused(refused) => Err(refused),
            other => panic!("{other:?}"),
        }
    }
}

fn entry(name: &str) -> FileEntry {
    FileEntry {
        name: name.parse().unwrap(),
        id: ContentId([7; 32]),
        size: 300,
        mtime_s: 0,
        executable: false,
    }
}

#[tokio::test]
async fn a_peer_is_in_the_table_until_its_connection_breaks() {
    let state = tempfile::tempdir().unwrap();
    let mut manager = RunningManager::new(state.path()).await;
    let mut events = manager.server.events();
    let (key, watcher_key) = (SecretKey::generate(), SecretKey::generate());
    let mut watcher = manager.client(&watcher_key).await;
    let watched = WireContent { id: ContentId([7; 32]), size: 300 };
    assert!(matches!(
        watcher.ask(Watch { contents: vec![watched], again: None }).await,
        FromManager::Holders(_)
    ));

    let mut peer = manager.client(&key).await;
    let token = peer.join("fire_user").await.unwrap();
    let claims =
        membership::verify(Some(&token), manager.server.key(), key.public(), clock::unix_now()).unwrap();
    assert_eq!(claims.username.as_str(), "fire_user");
    let noted = peer.ask(Announce { number: 1, entries: vec![Ok(entry("a")), Ok(entry("b"))] }).await;
    assert!(matches!(noted, FromManager::Noted(_)));
    peer.send(Report { sending: 5, receiving: 6 }).await;
    manager.view(|view| view.totals.sending == 5).await;
    let row = &manager.server.handle().peers(None, 1).await.unwrap().rows[0];
    assert_eq!(
        (row.files, row.bytes, row.address.to_string().as_str()),
        (2, 600, peer.0.local.to_string().as_str())
    );
    let FromManager::Holders(Holders { peers, contents }) = watcher.receive().await else { panic!() };
    assert_eq!((peers[0].key, &contents[0].complete[..]), (key.public(), &[0][..]));

    drop(peer); // no goodbye, as when the process is killed
    manager.view(|view| view.totals.peers == 0).await;
    let FromManager::Holders(Holders { peers, contents }) = watcher.receive().await else { panic!() };
    assert_eq!((peers.len(), contents[0].complete.len()), (0, 0));
    assert!(matches!(events.recv().await.unwrap().event, Event::Joined { .. }));
    let left = events.recv().await.unwrap().event;
    assert_eq!(left, Event::Left { username: "fire_user".parse().unwrap(), reason: LeaveReason::Lost });
    manager.stop().await;
}

#[tokio::test]
async fn bindings_of_usernames_survive_a_restart() {
    let state = tempfile::tempdir().unwrap();
    let (owner, other) = (SecretKey::generate(), SecretKey::generate());
    let manager = RunningManager::new(state.path()).await;
    let network = manager.server.key();
    manager.client(&owner).await.join("fire_user").await.unwrap();
    manager.stop().await;

    let manager = RunningManager::new(state.path()).await;
    assert_eq!(manager.server.key(), network);
    let mut stranger = manager.client(&other).await;
    assert_eq!(stranger.join("fire_user").await.unwrap_err().reason, Reason::NameTaken);
    stranger.join("water_user").await.unwrap();
    manager.client(&owner).await.join("fire_user").await.unwrap();
    manager.stop().await;
}

#[tokio::test]
async fn two_hundred_fetches_bind_nothing() {
    let state = tempfile::tempdir().unwrap();
    let manager = RunningManager::new(state.path()).await;
    manager.client(&SecretKey::generate()).await.join("fire_user").await.unwrap();
    let mut stays = manager.client(&SecretKey::generate()).await;
    let join = |client: &Client| Join {
        username: Ok("anna@lab".parse().unwrap()),
        port: client.0.local.port(),
        unbound: Some(true),
    };
    let request = join(&stays);
    assert!(matches!(stays.ask(request).await, FromManager::Joined(_)));
    for _ in 0..200 {
        let key = SecretKey::generate();
        let mut client = manager.client(&key).await;
        let request = join(&client);
        let FromManager::Joined(joined) = client.ask(request).await else { panic!() };
        let name = joined.username.unwrap();
        assert!(name.starts_with("anna@lab "), "{name}");
        let token = Some(joined.membership.as_str());
        let claims =
            membership::verify(token, manager.server.key(), key.public(), clock::unix_now()).unwrap();
        assert_eq!(claims.username, name);
    }
    manager.view(|view| view.totals.peers == 1).await;
    let row = &manager.server.handle().peers(None, 1).await.unwrap().rows[0];
    assert_eq!((row.username.as_str(), row.is_bound), ("anna@lab", false));
    manager.stop().await;
    let (_, bindings) = MemberDatabase::open(&state.path().join("state/members.sqlite")).unwrap();
    let names: Vec<_> = bindings.iter().map(|binding| binding.username.as_str()).collect();
    assert_eq!(names, ["fire_user"]);
}

#[tokio::test]
async fn a_peer_beyond_the_limit_is_refused_because_the_network_is_full() {
    let state = tempfile::tempdir().unwrap();
    let manager = RunningManager::new(state.path()).await;
    let mut peers = vec![];
    for number in 0..20 {
        let mut peer = manager.client(&SecretKey::generate()).await;
        peer.join(&format!("user{number}")).await.unwrap();
        peers.push(peer);
    }
    let mut late = manager.client(&SecretKey::generate()).await;
    let refused = late.join("late_user").await.unwrap_err();
    assert_eq!(
        (refused.reason, refused.text.as_str()),
        (Reason::Full, "the network is full: it takes 20 peers at most")
    );
    let FromManager::PeerList(list) = late.ask(ListPeers { question: 1, after: None }).await else {
        panic!()
    };
    assert_eq!(list.rows.len(), 20, "it may still ask");
    drop(peers.pop());
    manager.view(|view| view.totals.peers == 19).await;
    late.join("late_user").await.unwrap();
    manager.stop().await;
}

#[tokio::test]
async fn sessions_are_told_when_the_manager_stops() {
    let state = tempfile::tempdir().unwrap();
    let manager = RunningManager::new(state.path()).await;
    let mut peer = manager.client(&SecretKey::generate()).await;
    peer.join("fire_user").await.unwrap();
    manager.stop().await;
    assert!(
        matches!(peer.receive().await, FromManager::Goodbye(goodbye) if goodbye.reason == Reason::Stopping)
    );
    assert!(peer.0.reader.next::<FromManager>().await.unwrap().is_none());
}

#[tokio::test]
async fn a_peer_that_breaks_the_protocol_gets_a_goodbye_and_others_are_not_affected() {
    let state = tempfile::tempdir().unwrap();
    let manager = RunningManager::new(state.path()).await;
    let mut good = manager.client(&SecretKey::generate()).await;
    good.join("good_user").await.unwrap();
    let mut bad = manager.client(&SecretKey::generate()).await;
    bad.join("bad_user").await.unwrap();
    let mut frames = RecordBuffer::default();
    frames.put(&[0, 0, 0, 2, 0x10, 0xff]);
    bad.0.writer.write_frames(&mut frames, |_| {}).await.unwrap();
    assert!(
        matches!(bad.receive().await, FromManager::Goodbye(goodbye) if goodbye.reason == Reason::Protocol)
    );
    manager.view(|view| view.totals.peers == 1).await;
    assert!(matches!(good.ask(Renew { membership: true }).await, FromManager::Renewed(_)));
    manager.stop().await;
}

#[tokio::test]
async fn a_client_that_asks_and_does_not_read_blocks_no_other() {
    let state = tempfile::tempdir().unwrap();
    let manager = RunningManager::new(state.path()).await;
    let mut peer = manager.client(&SecretKey::generate()).await;
    peer.join("fire_user").await.unwrap();
    for number in 0..10 {
        let entries = (0..50).map(|i| Ok(entry(&format!("{number}/{i}/{}", "n".repeat(200))))).collect();
        assert!(matches!(peer.ask(Announce { number, entries }).await, FromManager::Noted(_)));
    }
    let mut client = manager.client(&SecretKey::generate()).await;
    let browse = Browse { question: 1, prefix: String::new(), after: None, holder: None };
    let requests_without_reading = async {
        for _ in 0..100_000 {
            client.send(browse.clone()).await; // a few hundred MB of answers: the manager stops reading long before
        }
    };
    let requests_of_another = async {
        for _ in 0..200 {
            assert!(matches!(peer.ask(browse.clone()).await, FromManager::Listing(_)));
        }
    };
    tokio::select! {
        () = requests_without_reading => panic!("all requests were read"),
        () = requests_of_another => {}
    }
    manager.stop().await;
}

#[tokio::test]
async fn a_manager_that_cannot_start_returns_the_reason() {
    let state = tempfile::tempdir().unwrap();
    let start = ManagerServer::start;
    let open = ManagerConfig { host: "0.0.0.0".into(), ..config(state.path()) };
    let refused = start(open.clone()).await.unwrap_err();
    assert!(matches!(refused, ManagerError::NotOpen { .. }) && refused.to_string().contains("--open"));
    let of_another = ManagerConfig { host: "192.0.2.1".into(), ..config(state.path()) };
    let refused = start(of_another).await.unwrap_err();
    let ManagerError::Listen(error) = &refused else { panic!("{refused:?}") };
    assert_eq!(error.source.kind(), std::io::ErrorKind::AddrNotAvailable, "--open would not help");
    assert!(!open.state_dir.exists(), "nothing was created");

    let manager = RunningManager::new(state.path()).await;
    let same_state = start(config(state.path())).await.unwrap_err();
    assert!(matches!(same_state, ManagerError::Members(_)), "{same_state:?}");
    let port = manager.server.address().port();
    let other_state = state.path().join("other");
    let same_port =
        start(ManagerConfig { port, state_dir: other_state, ..config(state.path()) }).await.unwrap_err();
    let ManagerError::Listen(error) = &same_port else { panic!("{same_port:?}") };
    assert_eq!(error.to_string(), format!("listening on 127.0.0.1:{port}"));
    manager.stop().await;
    let started = start(ManagerConfig { open: true, ..open }).await.unwrap();
    assert!(started.address().ip().is_unspecified());
}

#[tokio::test]
async fn observers_of_one_machine_exclude_neither_members_nor_other_machines() {
    let state = tempfile::tempdir().unwrap();
    let all = ManagerConfig { host: "::".into(), open: true, max_peers: 4, ..config(state.path()) };
    let manager = RunningManager::with(all).await;
    let (v4, v6): (IpAddr, IpAddr) = ("127.0.0.1".parse().unwrap(), "::1".parse().unwrap());
    let member = SecretKey::generate();
    manager.client_over(v4, &member).await.join("fire_user").await.unwrap();
    manager.view(|view| view.totals.peers == 0).await;

    let key = SecretKey::generate();
    let mut observers = vec![];
    for _ in 0..limits::OBSERVERS + 4 {
        observers.push(manager.client_over(v4, &key).await);
    }
    // All of them are connected: the last one gets an answer.
    let browse = Browse { question: 1, prefix: String::new(), after: None, holder: None };
    assert!(matches!(observers.last_mut().unwrap().ask(browse.clone()).await, FromManager::Listing(_)));
    let mut refused = manager.client_over(v4, &SecretKey::generate()).await;
    assert!(
        matches!(refused.receive().await, FromManager::Goodbye(goodbye) if goodbye.reason == Reason::Full)
    );
    // And many more that send nothing at all, not even a TLS message.
    let mut silent = vec![];
    for _ in 0..2 * ENTERING {
        silent.push(tokio::net::TcpStream::connect((v4, manager.server.address().port())).await.unwrap());
    }

    let mut member = manager.client_over(v4, &member).await;
    member.join("fire_user").await.unwrap();
    let FromManager::Goodbye(goodbye) = observers[0].receive().await else { panic!("it is still connected") };
    assert_eq!(goodbye.reason, Reason::Full);
    let mut elsewhere = manager.client_over(v6, &SecretKey::generate()).await;
    assert!(matches!(elsewhere.ask(browse).await, FromManager::Listing(_)));
    elsewhere.join("water_user").await.unwrap();
    manager.stop().await;
}

#[tokio::test]
async fn a_manager_that_was_started_before_says_that_its_catalogue_is_incomplete() {
    let state = tempfile::tempdir().unwrap();
    let lookup = Lookup { question: 1, name: "a".to_owned() };
    for again in [false, true] {
        let manager = RunningManager::new(state.path()).await;
        let mut client = manager.client(&SecretKey::generate()).await;
        let FromManager::LookupResult(found) = client.ask(lookup.clone()).await else {
            panic!("it does not answer")
        };
        assert_eq!(found.incomplete_ms.is_some(), again);
        let lease_ms = limits::LEASE.as_millis().try_into().unwrap();
        assert!(found.incomplete_ms.is_none_or(|left| (1..=lease_ms).contains(&left)));
        manager.stop().await;
    }
}

#[tokio::test]
async fn a_manager_says_whether_other_machines_reach_it() {
    for (host, reached) in [("127.0.0.1", false), ("0.0.0.0", true)] {
        let state = tempfile::tempdir().unwrap();
        let named = ManagerConfig { host: host.into(), open: true, ..config(state.path()) };
        let manager = RunningManager::with(named).await;
        let mut client = manager.client_over("127.0.0.1".parse().unwrap(), &SecretKey::generate()).await;
        assert_eq!(client.0.hello.reached_from_elsewhere, Some(reached));
        let join = Join { username: Ok("fire_user".parse().unwrap()), port: 7001, unbound: None };
        let FromManager::Joined(joined) = client.ask(join).await else { panic!("it is refused") };
        assert_eq!(joined.reached_from_elsewhere, Some(reached));
        manager.stop().await;
    }
}

#[tokio::test]
async fn a_dropped_manager_frees_its_port_and_its_state() {
    let state = tempfile::tempdir().unwrap();
    let manager = ManagerServer::start(config(state.path())).await.unwrap();
    let config = config(state.path()).port(manager.address().port());
    let client = dial(&[manager.address()], &SecretKey::generate(), None).await.unwrap();
    let busy = ManagerServer::start(config.clone()).await;
    assert!(matches!(busy, Err(ManagerError::Members(_))), "{busy:?}");
    drop(manager);
    let again = async {
        loop {
            match ManagerServer::start(config.clone()).await {
                Ok(manager) => return manager,
                Err(_) => tokio::task::yield_now().await,
            }
        }
    };
    let again = timeout(PATIENCE, again).await.expect("the port and the state were not freed");
    drop(client);
    again.stop().await;
}
