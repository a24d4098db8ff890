//! The API of a manager: its tables, its catalogue, its events, a backup, and its end.
//!
//! Peers of the test network fill its tables.

use brigade_api::values::{EventData, LifeEvent};
use tokio::time::timeout;

use crate::test_network::{PATIENCE, TestNetwork};

#[tokio::test(flavor = "multi_thread")]
async fn the_tables_of_a_manager_are_read_page_by_page() {
    let network = TestNetwork::start().await;
    let client = network.manager_client();
    let _anna = network.peer("anna", &[("film.mkv", b"one"), ("data/a", b"a")]).await;
    let ben = network.peer("ben", &[("film.mkv", b"one")]).await;
    let page = client.peers(None, Some(1)).await.unwrap();
    assert_eq!((&*page.peers[0].username, page.total, page.next.as_deref()), ("anna", 2, Some("anna")));
    let page = client.peers(Some("anna"), Some(1)).await.unwrap();
    assert_eq!((&*page.peers[0].username, page.next), ("ben", None));
    let ordered = async |descending, first| {
        let page = client.ordered_peers("files", descending, first, 1).await.unwrap();
        (page.peers[0].username.clone(), page.first)
    };
    assert_eq!(ordered(true, 0).await, ("anna".to_owned(), Some(0)));
    assert_eq!(ordered(false, 0).await, ("ben".to_owned(), Some(0)));
    assert_eq!(ordered(false, 9).await, ("anna".to_owned(), Some(1)), "the last page is full");
    let page = client.contents("film", None, None).await.unwrap();
    let film = &page.contents[0];
    assert_eq!((&*film.name, film.size, film.holders, film.complete), ("film.mkv", 3, 2, 2));
    let holders = client.content_holders(&film.id, film.size).await.unwrap();
    assert_eq!((holders.holders.len(), holders.rest, holders.holders[0].complete), (2, 0, true));
    ben.peer.stop().await;
    let left = async {
        while client.status().await.unwrap().peers > 1 {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, left).await.unwrap();
    let members = client.members(None, None).await.unwrap().members;
    let shown: Vec<_> = members.iter().map(|member| (&*member.username, member.connected)).collect();
    assert_eq!(shown, [("anna", true), ("ben", false)]);
    let status = client.status().await.unwrap();
    assert_eq!((status.members, status.key), (2, network.manager.key().to_string()));
}

#[tokio::test(flavor = "multi_thread")]
async fn peers_that_join_and_leave_are_events() {
    let network = TestNetwork::start().await;
    let client = network.manager_client();
    let mut events = client.events(None).await.unwrap();
    assert!(matches!(events.next().await.unwrap().data, EventData::Reset { .. }));
    let anna = network.peer("anna", &[]).await;
    let mut next_life = async || -> LifeEvent {
        let found = async {
            loop {
                if let EventData::Life { life } = events.next().await.unwrap().data {
                    break life;
                }
            }
        };
        timeout(PATIENCE, found).await.unwrap()
    };
    let joined = next_life().await;
    assert_eq!((&*joined.kind, joined.username.as_deref()), ("joined", Some("anna")));
    assert!(joined.to_core().is_some());
    anna.peer.stop().await;
    let left = next_life().await;
    assert_eq!((&*left.kind, left.reason.as_deref()), ("left", Some("quit")));
    let mut later = client.events(None).await.unwrap();
    later.next().await.unwrap();
    assert_eq!(later.next().await.unwrap().data, EventData::Life { life: joined });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_gets_the_backup_and_the_manager_keeps_no_copy() {
    use brigade_node::manager::{BackupFile, restore};
    let network = TestNetwork::start().await;
    let client = network.manager_client();
    let entries = |folder: &std::path::Path| std::fs::read_dir(folder).unwrap().count();
    let state_dir = network.manager.handle().view().borrow().state_dir.clone();
    let before = entries(&state_dir);
    // Two at once do not meet.
    let (first, second) = tokio::join!(client.backup(), client.backup());
    for (mut parts, name) in [(first.unwrap(), "first"), (second.unwrap(), "second")] {
        assert_eq!(entries(&state_dir), before);
        let path = network.temp.path().join(name);
        let mut file = BackupFile::create(&path).unwrap();
        while let Some(part) = parts.next().await.unwrap() {
            file.write(&part).unwrap();
        }
        file.finish().unwrap();
        let restored = restore(&path, &network.temp.path().join(format!("{name}-state"))).unwrap();
        assert_eq!(restored.key, network.manager.key());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_stops_the_manager() {
    use brigade_api::{
        client::ManagerClient,
        server::{ManagerExtras, manager_router},
    };
    let network = TestNetwork::start().await;
    let extras = ManagerExtras::default();
    let client = ManagerClient::in_process(manager_router(network.manager.handle(), extras.clone()));
    client.stop().await.unwrap();
    timeout(PATIENCE, extras.stop.cancelled()).await.unwrap();
}
