//! Whole peers and a manager in this process: what a peer leaves behind when it ends, what it does when its private
//! files are removed, a fetch by ID, kept fetches, questions with long texts, shares in place, and verification.
//!
//! This file has what these tests share. Joining, sharing and fetching are tested by the end-to-end tests.

mod fetching_by_id;
mod kept_fetches;
mod long_questions;
#[cfg(target_os = "linux")]
mod removed_private_files;
mod shares_in_place;
mod stopping_and_dropping;
mod verification;

use std::{fs, path::Path, time::Duration};

use brigade_core::{
    limit_plan::{LimitPlan, Rule},
    rate::Cap,
};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::{Fetch, FetchRequest, ManagerAddress, ManagerContact, Peer, PeerConfig, ShareMode};
use crate::{
    manager::{ManagerConfig, ManagerServer},
    store::folder::Folder,
};

const PATIENCE: Duration = Duration::from_secs(20);

/// A manager for the peers of a test.
async fn manager(state: &Path, stop: &CancellationToken) -> ManagerServer {
    let config = ManagerConfig {
        host: "127.0.0.1".into(),
        port: 0,
        max_peers: 20,
        state_dir: state.join("state"),
        open: false,
    };
    ManagerServer::start_until(config, stop.clone()).await.unwrap()
}

/// A peer that shares the folder of its name, and sends 200 kB a second: there is a schedule, so that somebody waits
/// for the next minute.
async fn peer(manager: &ManagerServer, username: &str, folder: &Path) -> Peer {
    join(manager, Some(username), folder).await
}

async fn join(manager: &ManagerServer, username: Option<&str>, folder: &Path) -> Peer {
    let address = ManagerAddress {
        host: "127.0.0.1".into(),
        port: manager.address().port(),
        key: Some(manager.key()),
        home: None,
    };
    let up = Some(Cap::At(200_000));
    let always = Rule::always(up, None);
    let config = PeerConfig {
        keep_fetches: true,
        keep_parts: None,
        shares: vec![],
        wait_for_shares: false,
        manager: address,
        username: username.map(|username| username.parse().unwrap()),
        folder: folder.to_owned(),
        sharing: ShareMode::Folder,
        max_connections: 20,
        limits: LimitPlan { rules: vec![always], ..LimitPlan::default() },
    };
    let port = ManagerContact::on_loopback().take_port(None, 0).unwrap();
    Peer::join(config, port).await.map_err(|failed| failed.error).unwrap()
}

/// Looks again and again until `reached`.
async fn until(what: &str, reached: impl Fn() -> bool) {
    let looks = async {
        while !reached() {
            tokio::task::yield_now().await;
        }
    };
    assert!(timeout(PATIENCE, looks).await.is_ok(), "not reached: {what}");
}

/// One peer that sends a film slowly, and another in the middle of fetching it.
async fn in_the_middle(manager: &ManagerServer, temp: &Path) -> (Peer, Peer, Fetch) {
    for folder in ["water", "fire"] {
        fs::create_dir_all(temp.join(folder)).unwrap();
    }
    fs::write(temp.join("water/film"), vec![7; 20 << 20]).unwrap();
    fs::write(temp.join("fire/other"), vec![8; 20 << 20]).unwrap();
    let (water, fire) = (
        peer(manager, "water_user", &temp.join("water")).await,
        peer(manager, "fire_user", &temp.join("fire")).await,
    );
    assert!(timeout(PATIENCE, water.announced()).await.unwrap());
    let request = FetchRequest { name: "film".into(), ..FetchRequest::default() };
    let fetch = fire.fetch(fire.resolve(&request, &mut |_| {}).await.unwrap()).await.unwrap();
    let mut progress = fetch.progress();
    timeout(PATIENCE, progress.wait_for(|progress| progress.bytes_done > 0)).await.unwrap().unwrap();
    (water, fire, fetch)
}

fn is_free(folder: &Path) -> bool {
    Folder::open(folder).unwrap().lock().is_ok()
}
