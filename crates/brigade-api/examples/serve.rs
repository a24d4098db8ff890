//! Serves the API of a peer and of a manager on sockets, for tools that test an API: `serve FOLDER`.
//!
//! It starts a manager and two peers in FOLDER, with a few files, prints the paths of the sockets, and runs until it is
//! killed.

use std::{env, fs, path::PathBuf, process};

use brigade_api::{
    local::{LocalListener, ProgramKind, SocketRecord},
    server::{ApiServer, ManagerExtras, PeerExtras, manager_router, peer_router},
};
use brigade_node::{
    manager::{ManagerConfig, ManagerServer},
    peer::{ManagerAddress, Peer, PeerConfig},
};

#[tokio::main]
#[expect(clippy::print_stdout, reason = "it shows the paths")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = PathBuf::from(env::args().nth(1).ok_or("the folder is missing")?);
    let (runtime, state) = (folder.join("run"), folder.join("manager"));
    fs::create_dir_all(&runtime)?;
    let manager = ManagerServer::start(ManagerConfig::new(&state)).await?;
    let address = ManagerAddress::new("localhost", manager.address().port()).key(Some(manager.key()));
    let mut peers = vec![];
    for (name, files) in [("anna", &["film.mkv", "data/a.bin"][..]), ("ben", &["film.mkv", "text"])] {
        let shared = folder.join(name);
        fs::create_dir_all(shared.join("data"))?;
        for file in files {
            fs::write(shared.join(file), name.repeat(100_000))?;
        }
        let peer = Peer::start(PeerConfig::new(address.clone(), shared).username(name.parse()?)).await?;
        peer.announced().await;
        peers.push(peer);
    }
    let peer = &peers[0];
    let bind = |kind, folder| {
        let version = env!("CARGO_PKG_VERSION").to_owned();
        let record = SocketRecord { kind, folder, pid: process::id(), since_s: 0, version, username: None };
        LocalListener::bind_in(&runtime, record)
    };
    let of_peer = bind(ProgramKind::Peer, peer.folder().to_owned())?;
    let of_manager = bind(ProgramKind::Manager, state)?;
    let peer_api = ApiServer::start(of_peer, peer_router(peer.handle(), PeerExtras::default()));
    let routes = manager_router(manager.handle(), ManagerExtras::default());
    let manager_api = ApiServer::start(of_manager, routes);
    println!("{}\n{}", peer_api.path().display(), manager_api.path().display());
    std::future::pending().await
}
