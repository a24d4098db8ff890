//! A manager and two peers in one process: one peer shares a file, the other one fetches it.
//!
//! Run it with `cargo run --example embed`.

use std::{error::Error, fs};

use brigade_node::{
    manager::{ManagerConfig, ManagerServer},
    peer::{FetchRequest, ManagerAddress, Peer, PeerConfig},
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let temp = tempfile::tempdir()?;
    let (shared, fetched) = (temp.path().join("shared"), temp.path().join("fetched"));
    fs::create_dir(&shared)?;
    fs::copy(std::env::current_exe()?, shared.join("program"))?;

    let manager = ManagerServer::start(ManagerConfig::new(temp.path().join("manager"))).await?;
    let address = ManagerAddress::new("localhost", manager.address().port()).key(Some(manager.key()));
    let holder = Peer::start(PeerConfig::new(address.clone(), &shared)).await?;
    holder.announced().await;

    let downloader = Peer::start(PeerConfig::new(address, &fetched)).await?;
    let files = downloader.resolve(&FetchRequest::new("program"), &mut |_| {}).await?;
    let progress = downloader.fetch(files).await?.finished().await;
    assert_eq!(progress.failed, 0, "{progress:?}");
    assert!(fs::read(shared.join("program"))? == fs::read(fetched.join("program"))?);

    downloader.stop().await;
    holder.stop().await;
    manager.stop().await;
    Ok(())
}
