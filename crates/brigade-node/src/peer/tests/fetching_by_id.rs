//! A fetch of a content by its ID, which only the library offers.
//!
//! How the ID leads to a file is tested in `fetch::resolve`.

use std::fs;

use brigade_core::id::ContentId;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::{PATIENCE, manager, peer};
use crate::peer::{FetchRequest, FetchState};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_content_is_fetched_by_its_id_under_another_name() {
    let temp = tempfile::tempdir().unwrap();
    let stop = CancellationToken::new();
    let manager = manager(temp.path(), &stop).await;
    let (water, fire) = (temp.path().join("water"), temp.path().join("fire"));
    fs::create_dir_all(water.join("films")).unwrap();
    fs::write(water.join("films/film"), "a short film").unwrap();
    let holder = peer(&manager, "water_user", &water).await;
    assert!(timeout(PATIENCE, holder.announced()).await.unwrap());
    let downloader = peer(&manager, "fire_user", &fire).await;
    let id = ContentId(*blake3::hash(b"a short film").as_bytes());
    let request = FetchRequest::by_id(id).save_as("saved/film".parse().unwrap());
    let files = downloader.resolve(&request, &mut |_| {}).await.unwrap();
    assert_eq!(files.files().len(), 1);
    let mut fetch = downloader.fetch(files).await.unwrap();
    let progress = timeout(PATIENCE, fetch.finished()).await.unwrap();
    assert_eq!((progress.state, progress.name), (FetchState::Done, id.to_string()));
    assert_eq!(fs::read(fire.join("saved/film")).unwrap(), b"a short film");
    assert!(!fire.join("films").exists());
    stop.cancel();
}
