//! Shares in place and the verification of files, over the API.
//!
//! The peer decides what may be shared; here only the way there is tested.

use std::{fs, path::Path};

use brigade_api::{
    client::ClientError,
    values::{EventData, NewShare, Verification, VerificationState, VerifyOrder},
};
use tokio::time::timeout;

use crate::test_network::{PATIENCE, TestNetwork, TestPeer, answer, same};

/// Waits until the verification has ended and, if it repairs, until each damaged file has a result.
async fn ended(peer: &TestPeer) -> Verification {
    let mut events = peer.client.events(None).await.unwrap();
    let found = async {
        loop {
            if let Some(shown) = peer.client.verification().await.unwrap() {
                let is_open = |file: &brigade_api::values::DamagedFile| {
                    shown.repair && file.repaired_by.is_none() && file.repair_error.is_none()
                };
                if shown.state != VerificationState::Running && !shown.damaged.iter().any(is_open) {
                    break shown;
                }
            }
            events.next().await.unwrap();
        }
    };
    timeout(PATIENCE, found).await.unwrap()
}

/// Changes the first byte of a file, and keeps its times.
fn damage(path: &Path) {
    let times = fs::metadata(path).unwrap();
    let mut bytes = fs::read(path).unwrap();
    bytes[0] ^= 1;
    fs::write(path, bytes).unwrap();
    let file = fs::File::options().write(true).open(path).unwrap();
    let times =
        fs::FileTimes::new().set_modified(times.modified().unwrap()).set_accessed(times.accessed().unwrap());
    file.set_times(times).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_is_shared_in_place_and_withdrawn() {
    let network = TestNetwork::start().await;
    let ben = network.peer("ben", &[]).await;
    let films = network.temp.path().join("elsewhere");
    fs::create_dir(&films).unwrap();
    fs::write(films.join("film.mkv"), b"film").unwrap();
    let mut events = ben.client.events(None).await.unwrap();
    let new = NewShare { path: films.display().to_string(), name: Some("films".to_owned()) };
    assert_eq!(ben.client.share(&new).await.unwrap().name, "films");
    let shared = async {
        loop {
            if let EventData::Shares { shares } = events.next().await.unwrap().data
                && shares.iter().any(|share| share.files == 1)
            {
                break;
            }
        }
    };
    timeout(PATIENCE, shared).await.unwrap();
    let again = serde_json::to_string(&new).unwrap();
    assert_eq!(answer(&ben.router, "POST", "/v1/shares", Some(&again)).await.0, 409);
    assert_eq!(ben.client.unshare("films").await.unwrap().name, "films");
    assert!(ben.client.shares().await.unwrap().is_empty());
    let refused = ben.client.unshare("films").await.unwrap_err();
    assert!(matches!(&refused, ClientError::Problem(problem) if problem.code() == 5), "{refused:?}");
    for body in [
        r#"{"path":"relative"}"#,
        r#"{"path":"/nothing/there"}"#,
        r#"{"path":"/a\u0000b"}"#,
        r#"{"path":""}"#,
    ] {
        assert_eq!(answer(&ben.router, "POST", "/v1/shares", Some(body)).await.0, 404, "{body}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_file_is_found_and_repaired() {
    let network = TestNetwork::start().await;
    let files: &[(&str, &[u8])] = &[("film.mkv", b"film"), ("text", b"text")];
    let anna = network.peer("anna", files).await;
    let ben = network.peer("ben", files).await;
    assert_eq!(ben.client.verification().await.unwrap(), None);
    damage(&ben.folder.join("film.mkv"));
    let order = VerifyOrder { name: String::new(), repair: true };
    // The peer may be hashing the file just then, because it noticed the write: then the next verification finds it.
    let found = async {
        loop {
            // One that still begins repairs is waited for.
            if ben.client.begin_verification(&order).await.is_err() {
                tokio::task::yield_now().await;
                continue;
            }
            let shown = ended(&ben).await;
            if !shown.damaged.is_empty() {
                break shown;
            }
        }
    };
    let shown = timeout(PATIENCE, found).await.unwrap();
    assert_eq!((shown.state, shown.damaged.len()), (VerificationState::Done, 1));
    assert_eq!(&*shown.damaged[0].name, "film.mkv");
    let fetch = shown.damaged[0].repaired_by.unwrap_or_else(|| panic!("{shown:?}"));
    let mut followed = ben.client.follow(fetch).await.unwrap();
    timeout(PATIENCE, followed.wait_for(brigade_node::peer::Progress::is_over)).await.unwrap().unwrap();
    assert!(same(&anna.folder.join("film.mkv"), &ben.folder.join("film.mkv")));
    let refused = ben.client.cancel_verification().await.unwrap_err();
    assert!(matches!(&refused, ClientError::Problem(problem) if problem.code() == 4), "{refused:?}");
    let order = VerifyOrder { name: "nothing".to_owned(), repair: false };
    let refused = ben.client.begin_verification(&order).await.unwrap_err();
    assert!(matches!(&refused, ClientError::Problem(problem) if problem.code() == 5), "{refused:?}");
}
