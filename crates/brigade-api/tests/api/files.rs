//! The network's files and peers, the status, and the files that are not shared, over the API.
//!
//! The manager answers the questions about the network.

use brigade_api::values::{FilePage, LocalCopy, ManagerConnection};

use crate::test_network::TestNetwork;

#[tokio::test(flavor = "multi_thread")]
async fn the_catalogue_is_read_page_by_page() {
    let network = TestNetwork::start().await;
    let names = ["a.bin", "b.txt", "data/a.bin", "data/b.txt", "data/x/a.bin", "film [1].mkv"];
    let files: Vec<(&str, &[u8])> = names.iter().map(|name| (*name, name.as_bytes())).collect();
    let _anna = network.peer("anna", &files).await;
    let ben = network.peer("ben", &files[..1]).await;
    let all = async |pattern: Option<&str>, prefix: &str, rows| {
        let (mut found, mut after) = (vec![], None::<String>);
        loop {
            let page = match pattern {
                Some(pattern) => {
                    ben.client.matching_files(pattern, after.as_deref(), Some(rows)).await.unwrap()
                }
                None => ben.client.files(prefix, after.as_deref(), Some(rows)).await.unwrap(),
            };
            assert!(page.files.len() <= rows);
            found.extend(page.files.into_iter().map(|file| file.name));
            after = page.next;
            if after.is_none() {
                break found;
            }
        }
    };
    for rows in [1, 2, 6, 100] {
        assert_eq!(all(None, "", rows).await, names, "{rows}");
        assert_eq!(all(None, "data/", rows).await, names[2..5], "{rows}");
        assert_eq!(all(Some("**/*.bin"), "", rows).await, ["a.bin", "data/a.bin", "data/x/a.bin"], "{rows}");
        assert_eq!(all(Some("film [1"), "", rows).await, ["film [1].mkv"], "{rows}");
    }
    // A folder is skipped with the greatest name in it.
    let page = ben.client.files("", Some("data/\u{10ffff}"), None).await.unwrap();
    assert_eq!(page.files.iter().map(|file| &*file.name).collect::<Vec<_>>(), ["film [1].mkv"]);
    let page = ben.client.files("", None, None).await.unwrap();
    assert_eq!((page.files[0].local_copy, page.files[0].holders), (LocalCopy::Whole, 2));
    assert_eq!((page.files[1].local_copy, page.files[1].size), (LocalCopy::No, 5));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_holders_of_a_name_are_listed_with_its_contents() {
    let network = TestNetwork::start().await;
    let _anna = network.peer("anna", &[("film.mkv", b"one")]).await;
    let ben = network.peer("ben", &[("film.mkv", b"another")]).await;
    let found = ben.client.name_holders("film.mkv").await.unwrap();
    let mut holders: Vec<_> = found.versions.iter().flat_map(|version| version.holders.clone()).collect();
    holders.sort();
    assert_eq!(holders, ["anna", "ben"]);
    assert!(found.versions.iter().all(|version| version.first_s > 1_700_000_000));
    let missing = ben.client.name_holders("flim.mkv").await.unwrap();
    assert_eq!((missing.versions.len(), &*missing.closest), (0, &["film.mkv".to_owned()][..]));
    let page = ben.client.peers(Some("anna")).await.unwrap();
    assert_eq!(page.peers.iter().map(|peer| &*peer.username).collect::<Vec<_>>(), ["ben"]);
    assert_eq!(page.next, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_status_and_the_unshared_files_are_those_of_the_peer() {
    let network = TestNetwork::start().await;
    let files: &[(&str, &[u8])] = &[("film.mkv", b"one"), ("what?", b"x"), ("why?", b"y")];
    let anna = network.peer("anna", files).await;
    let status = anna.client.status().await.unwrap();
    assert_eq!((&*status.username, status.files, status.bytes, status.problems), ("anna", 1, 3, 2));
    assert_eq!((status.manager.state, status.manager.announced), (ManagerConnection::Connected, true));
    assert_eq!(status.folder, anna.folder.canonicalize().unwrap().display().to_string());
    assert_eq!((status.pid, &*status.version), (std::process::id(), "1.2.3"));
    let page = anna.client.problems(None).await.unwrap();
    assert_eq!(page.files.iter().map(|file| &*file.path).collect::<Vec<_>>(), ["what?", "why?"]);
    let page = anna.client.problems(Some("what?")).await.unwrap();
    assert_eq!((page.files.len(), &*page.files[0].path, page.next), (1, "why?", None));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_stops_the_peer() {
    let network = TestNetwork::start().await;
    let anna = network.peer("anna", &[]).await;
    anna.client.stop().await.unwrap();
    tokio::time::timeout(crate::test_network::PATIENCE, anna.peer.stop_requested()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_program_makes_the_checks() {
    use brigade_api::{
        client::{ClientError, PeerClient},
        server::{Checks, PeerExtras, peer_router},
        values::{Check, CheckReport, CheckState},
    };
    let network = TestNetwork::start().await;
    let anna = network.peer("anna", &[]).await;
    assert!(matches!(anna.client.doctor().await, Err(ClientError::Problem(_))));
    let check = Check {
        check: "clock".to_owned(),
        state: CheckState::Fault,
        text: "an hour behind".to_owned(),
        remedy: None,
    };
    let report = CheckReport { checks: vec![check] };
    let made = report.clone();
    let checks = Checks::new(move || std::future::ready(made.clone()));
    let router =
        peer_router(anna.peer.handle(), PeerExtras { checks: Some(checks), ..PeerExtras::default() });
    assert_eq!(PeerClient::in_process(router).doctor().await.unwrap(), report);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_has_all_contents_of_its_last_name() {
    let network = TestNetwork::start().await;
    let _anna = network.peer("anna", &[("a.txt", b"hers"), ("b.txt", b"b")]).await;
    let ben = network.peer("ben", &[("a.txt", b"his")]).await;
    let first = ben.client.files("", None, Some(1)).await.unwrap();
    let names = |page: &FilePage| page.files.iter().map(|file| file.name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&first), ["a.txt", "a.txt"], "the next page begins after the name");
    let second = ben.client.files("", first.next.as_deref(), Some(1)).await.unwrap();
    assert_eq!(names(&second), ["b.txt"]);
}
