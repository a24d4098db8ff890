//! Fetches that are begun, followed, changed and removed over the API.
//!
//! A limit makes a fetch so slow that it runs while a test acts on it.

use brigade_api::{
    client::ClientError,
    values::{ChosenContent, FetchOrder, FetchState, FetchUpdate, Priority},
};
use brigade_core::{limit_plan::LimitPlan, rate::Cap};
use tokio::time::timeout;

use crate::test_network::{PATIENCE, TestNetwork, TestPeer, answer, random_bytes, same};

/// A pause.
const PAUSED: FetchUpdate = FetchUpdate { paused: Some(true), priority: None, cancelled: None };

/// A file of several pieces.
const BIG: usize = 3_000_000;

/// The limit of a peer whose fetch of a big file must not end during a test: two minutes.
const SLOW: u64 = 25_000;

/// The limit of a holder whose file must not be complete in the middle of a test: a minute.
const SLOW_HOLDER: u64 = 50_000;

async fn slow_peer(network: &TestNetwork, name: &str) -> TestPeer {
    let mut limits = LimitPlan::default();
    limits.down.default = Some(Cap::At(SLOW));
    network.peer_with(name, &[], |config| config.limits(limits)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fetch_is_begun_followed_and_listed() {
    let network = TestNetwork::start().await;
    let (film, text) = (random_bytes(BIG), b"text".as_slice());
    let anna = network.peer("anna", &[("film.mkv", &film), ("data/a.txt", text)]).await;
    let ben = network.peer("ben", &[]).await;
    let begun = ben.client.begin_fetches(&FetchOrder::new(["film.mkv", "data/"])).await.unwrap();
    assert_eq!(
        begun.iter().map(|fetch| (fetch.id, &*fetch.name)).collect::<Vec<_>>(),
        [(1, "film.mkv"), (2, "data/")]
    );
    for mut followed in ben.client.follow_all(&[1, 2]).await.unwrap() {
        let ended = timeout(PATIENCE, followed.wait_for(brigade_node::peer::Progress::is_over)).await;
        let progress = ended.unwrap().unwrap().clone();
        assert_eq!(progress.state, brigade_node::peer::FetchState::Done);
        assert_eq!(progress.from[0].username.as_str(), "anna");
    }
    for name in ["film.mkv", "data/a.txt"] {
        assert!(same(&anna.folder.join(name), &ben.folder.join(name)));
    }
    let fetch = ben.client.fetch(1).await.unwrap();
    assert_eq!(
        (fetch.state, fetch.bytes_done, fetch.from[0].bytes),
        (FetchState::Done, BIG as u64, BIG as u64)
    );
    assert!(fetch.ended_s.is_some() && fetch.begun_s > 1_700_000_000);
    assert_eq!(ben.client.fetches().await.unwrap().len(), 2);
    ben.client.remove_fetch(1).await.unwrap();
    assert!(matches!(ben.client.fetch(1).await, Err(ClientError::Problem(_))));
    assert_eq!(ben.client.fetches().await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_fetch_is_paused_resumed_ranked_and_cancelled() {
    let network = TestNetwork::start().await;
    let _anna = network.peer("anna", &[("film.mkv", &random_bytes(BIG))]).await;
    let ben = slow_peer(&network, "ben").await;
    let order = FetchOrder { paused: true, priority: Priority::Low, ..FetchOrder::new(["film.mkv"]) };
    let id = ben.client.begin_fetches(&order).await.unwrap()[0].id;
    let mut followed = ben.client.follow(id).await.unwrap();
    let state =
        |state: brigade_node::peer::FetchState| move |now: &brigade_node::peer::Progress| now.state == state;
    let paused = brigade_node::peer::FetchState::Paused;
    let progress =
        timeout(PATIENCE, followed.wait_for(state(paused.clone()))).await.unwrap().unwrap().clone();
    assert_eq!((progress.bytes_done, progress.priority), (0, brigade_node::peer::Priority::Low));

    let update =
        FetchUpdate { paused: Some(false), priority: Some(Priority::High), ..FetchUpdate::default() };
    assert_eq!(ben.client.update_fetch(id, update).await.unwrap().priority, Priority::High);
    let fetching = timeout(PATIENCE, followed.wait_for(state(brigade_node::peer::FetchState::Fetching)));
    fetching.await.unwrap().unwrap();
    ben.client.update_fetch(id, PAUSED).await.unwrap();
    timeout(PATIENCE, followed.wait_for(state(paused))).await.unwrap().unwrap();

    ben.client.remove_fetch(id).await.unwrap();
    let ended = timeout(PATIENCE, followed.wait_for(brigade_node::peer::Progress::is_over)).await.unwrap();
    assert_eq!(ended.unwrap().state, brigade_node::peer::FetchState::Stopped);
    let refused = ben.client.update_fetch(id, PAUSED).await;
    assert!(
        matches!(&refused, Err(ClientError::Problem(problem)) if problem.message().contains("has ended")),
        "{refused:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pieces_and_the_uploads_of_a_running_fetch_are_shown() {
    let network = TestNetwork::start().await;
    let mut limits = LimitPlan::default();
    limits.up.default = Some(Cap::At(SLOW_HOLDER));
    let film = random_bytes(BIG);
    let files: &[(&str, &[u8])] = &[("film.mkv", &film)];
    let anna = network.peer_with("anna", files, |config| config.limits(limits)).await;
    let ben = network.peer("ben", &[]).await;
    let id = ben.client.begin_fetches(&FetchOrder::new(["film.mkv"])).await.unwrap()[0].id;
    let mut followed = ben.client.follow(id).await.unwrap();
    let sent = async {
        loop {
            let uploads = anna.client.uploads().await.unwrap().uploads;
            if let Some(upload) = uploads.into_iter().find(|upload| upload.bytes > 0) {
                break upload;
            }
            tokio::task::yield_now().await;
        }
    };
    let upload = timeout(PATIENCE, sent).await.unwrap();
    assert_eq!((&*upload.username, upload.name.as_deref()), ("ben", Some("film.mkv")));
    let has_senders = |now: &brigade_node::peer::Progress| now.senders.iter().any(|one| one.bytes > 0);
    timeout(PATIENCE, followed.wait_for(has_senders)).await.unwrap().unwrap();
    let fetch = ben.client.fetch(id).await.unwrap();
    assert_eq!((&*fetch.holder_rates[0].username, fetch.state), ("anna", FetchState::Fetching));
    let map = ben.client.piece_map(id).await.unwrap().unwrap();
    assert_eq!((&*map.name, u64::from(map.pieces)), ("film.mkv", fetch.pieces));
    let bits = map.bits();
    assert_eq!(bits.len() as u64, fetch.pieces);
    assert!(bits.contains(&true) && bits.contains(&false), "{map:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_wrong_name_begins_nothing_and_the_choices_are_in_the_error() {
    let network = TestNetwork::start().await;
    let anna = network.peer("anna", &[("film.mkv", b"one"), ("text", b"text")]).await;
    let _ben = network.peer("ben", &[("film.mkv", b"another")]).await;
    let cara = network.peer("cara", &[]).await;
    let refused =
        cara.client.begin_fetches(&FetchOrder::new(["text", "film.mkv", "tent"])).await.unwrap_err();
    let ClientError::Problem(problem) = refused else { panic!("{refused:?}") };
    let names = &problem.details().unwrap().names;
    assert_eq!(names.iter().map(|one| &*one.name).collect::<Vec<_>>(), ["film.mkv", "tent"]);
    assert!(cara.client.fetches().await.unwrap().is_empty());
    let choices = &names[0].problem.details().unwrap().choices;
    assert_eq!((&*choices[0].name, choices[0].versions.len()), ("film.mkv", 2));
    assert_eq!(names[1].problem.details().unwrap().closest, ["text"]);

    let version = choices[0].versions.iter().find(|version| version.holders == ["anna"]).unwrap();
    let chosen = ChosenContent { name: "film.mkv".to_owned(), id: version.id.clone(), size: version.size };
    let order = FetchOrder { chosen: vec![chosen], ..FetchOrder::new(["film.mkv"]) };
    let id = cara.client.begin_fetches(&order).await.unwrap()[0].id;
    let mut followed = cara.client.follow(id).await.unwrap();
    timeout(PATIENCE, followed.wait_for(brigade_node::peer::Progress::is_over)).await.unwrap().unwrap();
    assert!(same(&anna.folder.join("film.mkv"), &cara.folder.join("film.mkv")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fetch_can_wait_for_a_name_that_nobody_shares_yet() {
    let network = TestNetwork::start().await;
    let ben = network.peer("ben", &[]).await;
    let order = FetchOrder { wait_s: Some(5), ..FetchOrder::new(["late.txt"]) };
    let client = ben.client.clone();
    let waiting = tokio::spawn(async move {
        loop {
            if let Ok(begun) = client.begin_fetches(&order).await {
                break begun;
            }
        }
    });
    let anna = network.peer("anna", &[("late.txt", b"late")]).await;
    let begun = timeout(PATIENCE, waiting).await.unwrap().unwrap();
    let mut followed = ben.client.follow(begun[0].id).await.unwrap();
    timeout(PATIENCE, followed.wait_for(brigade_node::peer::Progress::is_over)).await.unwrap().unwrap();
    assert!(same(&anna.folder.join("late.txt"), &ben.folder.join("late.txt")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_is_set_shown_and_taken_back() {
    let network = TestNetwork::start().await;
    let ben = slow_peer(&network, "ben").await;
    let limits = ben.client.set_limit("up", Some("10MB")).await.unwrap();
    assert_eq!((limits.up.bytes_per_second, limits.down.bytes_per_second), (Some(10_000_000), Some(SLOW)));
    assert_eq!(ben.client.set_limit("down", Some("off")).await.unwrap().down.bytes_per_second, None);
    ben.client.set_limit("down", None).await.unwrap();
    let limits = ben.client.limits().await.unwrap();
    assert_eq!((limits.up.bytes_per_second, limits.down.bytes_per_second), (Some(10_000_000), Some(SLOW)));
    let refused = ben.client.set_limit("up", Some("10")).await.unwrap_err();
    assert!(
        matches!(&refused, ClientError::Problem(problem) if problem.message().contains("unit is missing"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_fetch_is_cancelled_and_removed_at_once() {
    let network = TestNetwork::start().await;
    let _anna = network.peer("anna", &[("film.mkv", &random_bytes(BIG))]).await;
    let ben = slow_peer(&network, "ben").await;
    let id = ben.client.begin_fetches(&FetchOrder::new(["film.mkv"])).await.unwrap()[0].id;
    let path = format!("/v1/fetches/{id}");
    assert_eq!(answer(&ben.router, "DELETE", &path, None).await.0, 204);
    assert_eq!(answer(&ben.router, "GET", &path, None).await.0, 404);
    assert_eq!(answer(&ben.router, "DELETE", &path, None).await.0, 404);
}

/// More fetches than the list keeps of those that ended.
const MANY: usize = 150;

#[tokio::test(flavor = "multi_thread")]
async fn fetches_that_end_and_leave_the_list_at_once_are_followed_to_their_end() {
    let network = TestNetwork::start().await;
    let names: Vec<String> = (0..MANY).map(|number| format!("data/{number}.txt")).collect();
    let files: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), name.as_bytes())).collect();
    let _anna = network.peer("anna", &files).await;
    let ben = network.peer("ben", &files).await;
    let follower = ben.client.fetch_follower().await.unwrap();
    let begun = ben.client.begin_fetches(&FetchOrder::new(&names)).await.unwrap();
    assert_eq!(begun.len(), MANY);
    for mut followed in follower.follow(&begun) {
        let ended = timeout(PATIENCE, followed.wait_for(brigade_node::peer::Progress::is_over)).await;
        assert_eq!(ended.unwrap().unwrap().state, brigade_node::peer::FetchState::Done);
    }
    assert!(ben.client.fetches().await.unwrap().len() < MANY);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fetch_is_followed_without_events_if_too_many_clients_have_them() {
    let network = TestNetwork::start().await;
    let _anna = network.peer("anna", &[("film.mkv", &random_bytes(BIG))]).await;
    let ben = network.peer("ben", &[]).await;
    let mut streams = vec![];
    while let Ok(events) = ben.client.events(None).await {
        streams.push(events);
    }
    let follower = ben.client.fetch_follower().await.unwrap();
    let begun = ben.client.begin_fetches(&FetchOrder::new(["film.mkv"])).await.unwrap();
    let mut followed = follower.follow(&begun).remove(0);
    let ended = timeout(PATIENCE, followed.wait_for(brigade_node::peer::Progress::is_over)).await;
    assert_eq!(ended.unwrap().unwrap().state, brigade_node::peer::FetchState::Done);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_name_that_may_come_is_missing() {
    let network = TestNetwork::start().await;
    let _anna = network.peer("anna", &[("film.mkv", b"film")]).await;
    let ben = network.peer("ben", &[]).await;
    for (name, is_missing) in [("later.mkv", true), ("film.mkv@00000000", false)] {
        let error = ben.client.begin_fetches(&FetchOrder::new([name])).await.unwrap_err();
        let ClientError::Problem(problem) = error else { panic!("{name}: {error}") };
        assert_eq!(problem.details().unwrap().missing, is_missing, "{name}: {problem:?}");
    }
}
