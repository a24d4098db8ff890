//! The events of a peer: the present state, progress, resuming, and a client that has lost events.
//!
//! `server::event_hub` has the tests of the bounds.

use brigade_api::{
    client::EventStream,
    values::{Event, EventData, FetchChange, FetchOrder},
};
use tokio::time::timeout;

use crate::test_network::{PATIENCE, TestNetwork, random_bytes};

/// The next event that is wanted.
async fn until(events: &mut EventStream, mut is_wanted: impl FnMut(&EventData) -> bool) -> Event {
    let found = async {
        loop {
            let event = events.next().await.unwrap();
            if is_wanted(&event.data) {
                break event;
            }
        }
    };
    timeout(PATIENCE, found).await.unwrap()
}

fn is_end_of(data: &EventData, id: u64) -> bool {
    matches!(data, EventData::Fetch { change: FetchChange::Ended, fetch } if fetch.id == id)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_client_gets_the_present_state_and_then_each_change() {
    let network = TestNetwork::start().await;
    let _anna = network.peer("anna", &[("film.mkv", &random_bytes(500_000)), ("text", b"text")]).await;
    let ben = network.peer("ben", &[]).await;
    let mut events = ben.client.events(None).await.unwrap();
    let first = events.next().await.unwrap();
    assert_eq!(first.data, EventData::Reset { fetches: vec![] });
    let id = ben.client.begin_fetches(&FetchOrder::new(["film.mkv"])).await.unwrap()[0].id;
    let mut changes = vec![];
    let ended = until(&mut events, |data| {
        if let EventData::Fetch { change, fetch } = data {
            assert_eq!(fetch.id, id);
            changes.push(*change);
        }
        is_end_of(data, id)
    });
    ended.await;
    assert_eq!((changes.first(), changes.last()), (Some(&FetchChange::Begun), Some(&FetchChange::Ended)));
    ben.client.remove_fetch(id).await.unwrap();
    until(&mut events, |data| *data == EventData::FetchRemoved { id }).await;

    let id = ben.client.begin_fetches(&FetchOrder::new(["text"])).await.unwrap()[0].id;
    until(&mut events, |data| is_end_of(data, id)).await;
    let mut later = ben.client.events(None).await.unwrap();
    assert_eq!(later.next().await.unwrap().data, EventData::Reset { fetches: vec![id] });
    let present = later.next().await.unwrap().data;
    assert!(matches!(present, EventData::Fetch { change: FetchChange::Present, fetch } if fetch.id == id));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_resumes_after_the_last_event_that_it_has() {
    let network = TestNetwork::start().await;
    let _anna = network.peer("anna", &[("one", b"1"), ("two", b"2")]).await;
    let ben = network.peer("ben", &[]).await;
    let mut events = ben.client.events(None).await.unwrap();
    let id = ben.client.begin_fetches(&FetchOrder::new(["one"])).await.unwrap()[0].id;
    let last = until(&mut events, |data| is_end_of(data, id)).await;
    drop(events);
    let id = ben.client.begin_fetches(&FetchOrder::new(["two"])).await.unwrap()[0].id;
    let mut events = ben.client.events(Some(last.id.clone())).await.unwrap();
    let mut is_reset = false;
    let next = until(&mut events, |data| {
        is_reset |= matches!(data, EventData::Reset { .. });
        matches!(data, EventData::Fetch { change: FetchChange::Begun, fetch } if fetch.id == id)
    });
    let next = next.await;
    assert!(!is_reset);
    let number = |id: &str| id.split_once('.').unwrap().1.parse::<u64>().unwrap();
    assert!(number(&next.id) > number(&last.id));

    let (epoch, _) = last.id.split_once('.').unwrap();
    for lost in ["7.1".to_owned(), format!("{epoch}.999999"), "nonsense".to_owned(), format!("{epoch}.reset")]
    {
        let mut events = ben.client.events(Some(lost.clone())).await.unwrap();
        let first = timeout(PATIENCE, events.next()).await.unwrap().unwrap();
        assert!(matches!(first.data, EventData::Reset { .. }), "{lost}: {first:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_events_end_with_the_peer_and_a_fetch_is_then_stopped() {
    let network = TestNetwork::start().await;
    let anna = network.peer("anna", &[("film.mkv", &random_bytes(500_000))]).await;
    let ben = network.peer("ben", &[]).await;
    let order = FetchOrder { paused: true, ..FetchOrder::new(["film.mkv"]) };
    let id = ben.client.begin_fetches(&order).await.unwrap()[0].id;
    let mut followed = ben.client.follow(id).await.unwrap();
    let mut events = ben.client.events(None).await.unwrap();
    anna.peer.stop().await;
    ben.peer.stop().await;
    until(&mut events, |data| *data == EventData::Stopping).await;
    assert!(timeout(PATIENCE, events.next()).await.unwrap().is_err());
    let ended = timeout(PATIENCE, followed.wait_for(brigade_node::peer::Progress::is_over)).await.unwrap();
    assert_eq!(ended.unwrap().state, brigade_node::peer::FetchState::Stopped);
}

#[tokio::test(flavor = "multi_thread")]
async fn warnings_of_the_log_are_events() {
    use brigade_api::{server::PeerExtras, values::LogLevel};
    let network = TestNetwork::start().await;
    let ben = network.peer("ben", &[]).await;
    let extras = PeerExtras::default();
    let client = brigade_api::client::PeerClient::in_process(brigade_api::server::peer_router(
        ben.peer.handle(),
        extras.clone(),
    ));
    let mut events = client.events(None).await.unwrap();
    events.next().await.unwrap();
    extras.log.add(LogLevel::Info, "here", "usual".to_owned());
    extras.log.add(LogLevel::Warn, "here", "odd".to_owned());
    let found = until(&mut events, |data| matches!(data, EventData::Log { .. })).await;
    let EventData::Log { line } = found.data else { unreachable!() };
    assert_eq!(line.message, "odd");
    let lines = client.log(1).await.unwrap().lines;
    assert_eq!((lines.len(), &lines[0]), (1, &line));
}
