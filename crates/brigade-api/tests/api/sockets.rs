//! The API over a real socket: many clients at once, clients that send nothing, and the end of the server.
//!
//! `local` has the tests of who can open a socket.

use std::time::Duration;

use brigade_api::{
    client::{ClientError, PeerClient},
    local::{Choice, LocalListener, ProgramKind, SocketRecord, find},
    server::ApiServer,
};
use tokio::time::timeout;

use crate::test_network::{PATIENCE, TestNetwork, TestPeer};

/// Serves a peer on a socket in a folder of the test.
fn serve(network: &TestNetwork, peer: &TestPeer) -> (ApiServer, PeerClient) {
    let runtime = network.temp.path().join("run");
    std::fs::create_dir_all(&runtime).unwrap();
    let record = SocketRecord {
        kind: ProgramKind::Peer,
        folder: peer.folder.clone(),
        pid: std::process::id(),
        since_s: 1,
        version: "1.2.3".to_owned(),
        username: None,
    };
    let server = ApiServer::start(LocalListener::bind_in(&runtime, record).unwrap(), peer.router.clone());
    let choice = Choice {
        folder: Some(peer.folder.clone()),
        runtime_folders: Some(vec![runtime]),
        ..Choice::default()
    };
    (server, PeerClient::new(&find(&choice).unwrap()))
}

#[tokio::test(flavor = "multi_thread")]
async fn many_clients_are_answered_at_once() {
    let network = TestNetwork::start().await;
    let ben = network.peer("ben", &[("a", b"a")]).await;
    let (server, client) = serve(&network, &ben);
    let asks = (0..500).map(|_| {
        let client = client.clone();
        tokio::spawn(async move { client.status().await.unwrap().files })
    });
    for ask in asks.collect::<Vec<_>>() {
        assert_eq!(timeout(PATIENCE, ask).await.unwrap().unwrap(), 1);
    }
    let mut events = client.events(None).await.unwrap();
    events.next().await.unwrap();
    timeout(PATIENCE, server.stop()).await.unwrap();
    assert!(matches!(client.status().await, Err(ClientError::NotRunning { .. })));
    let ends = async { while events.next().await.is_ok() {} };
    timeout(PATIENCE, ends).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_send_nothing_do_not_hold_up_others() {
    let network = TestNetwork::start().await;
    let ben = network.peer("ben", &[]).await;
    let (server, client) = serve(&network, &ben);
    let mut silent = vec![];
    for _ in 0..200 {
        silent.push(brigade_api::local::connect(server.path()).await.unwrap());
    }
    assert_eq!(client.status().await.unwrap().username, "ben");
    let answered = timeout(PATIENCE.max(Duration::from_secs(10)), server.stop()).await;
    assert!(answered.is_ok());
}
