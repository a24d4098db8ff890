//! A manager and peers on this machine, each with its router.
//!
//! Everything is stopped when it is dropped.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use axum::{Router, body::Body, http::Request};
use brigade_api::{
    client::{ManagerClient, PeerClient},
    server::{ManagerExtras, PeerExtras, manager_router, peer_router},
};
use brigade_node::{
    manager::{ManagerConfig, ManagerServer},
    peer::{ManagerAddress, Peer, PeerConfig},
};
use http_body_util::BodyExt;
use serde_json::Value;
use tower_service::Service;

/// How long a test waits for anything.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A manager, and a folder for all files.
pub(crate) struct TestNetwork {
    pub(crate) temp: tempfile::TempDir,
    pub(crate) manager: ManagerServer,
    pub(crate) manager_router: Router,
}

/// A peer, its router and a client in the same process.
pub(crate) struct TestPeer {
    pub(crate) peer: Peer,
    pub(crate) router: Router,
    pub(crate) client: PeerClient,
    pub(crate) folder: PathBuf,
}

impl TestNetwork {
    pub(crate) async fn start() -> Self {
        let temp = tempfile::tempdir().unwrap();
        let manager = ManagerServer::start(ManagerConfig::new(temp.path().join("manager"))).await.unwrap();
        let manager_router = manager_router(manager.handle(), ManagerExtras::default());
        Self { temp, manager, manager_router }
    }

    pub(crate) fn manager_client(&self) -> ManagerClient {
        ManagerClient::in_process(self.manager_router.clone())
    }

    /// Starts a peer with this username and these files, and waits until they are in the catalogue.
    pub(crate) async fn peer(&self, name: &str, files: &[(&str, &[u8])]) -> TestPeer {
        self.peer_with(name, files, |config| config).await
    }

    /// Like [`Self::peer`], with a changed configuration.
    pub(crate) async fn peer_with(
        &self,
        name: &str,
        files: &[(&str, &[u8])],
        change: impl FnOnce(PeerConfig) -> PeerConfig,
    ) -> TestPeer {
        let folder = self.temp.path().join(name);
        for (file, bytes) in files {
            let path = folder.join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
        let address =
            ManagerAddress::new("localhost", self.manager.address().port()).key(Some(self.manager.key()));
        let config = PeerConfig::new(address, &folder).username(name.parse().unwrap());
        let peer = Peer::start(change(config)).await.unwrap();
        peer.announced().await;
        let extras = PeerExtras { version: "1.2.3".to_owned(), ..PeerExtras::default() };
        let router = peer_router(peer.handle(), extras);
        TestPeer { peer, client: PeerClient::in_process(router.clone()), router, folder }
    }
}

/// The answer to a request: its status, and its body as JSON (null if it is empty).
pub(crate) async fn answer(router: &Router, method: &str, path: &str, body: Option<&str>) -> (u16, Value) {
    let mut request = Request::builder().method(method).uri(path);
    if body.is_some() {
        request = request.header("content-type", "application/json");
    }
    let request = request.body(Body::from(body.unwrap_or_default().to_owned())).unwrap();
    let (status, bytes) = bytes(router, request).await;
    let text = if bytes.is_empty() { &b"null"[..] } else { &bytes };
    (status, serde_json::from_slice(text).unwrap())
}

/// The answer to a request, as it is.
pub(crate) async fn bytes(router: &Router, request: Request<Body>) -> (u16, Vec<u8>) {
    let response = router.clone().call(request).await.unwrap();
    let status = response.status().as_u16();
    (status, response.into_body().collect().await.unwrap().to_bytes().into())
}

/// Bytes that do not repeat.
pub(crate) fn random_bytes(count: usize) -> Vec<u8> {
    let mut state = 7_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    };
    (0..count).map(|_| next()).collect()
}

/// Whether two files have the same bytes.
pub(crate) fn same(one: &Path, other: &Path) -> bool {
    fs::read(one).unwrap() == fs::read(other).unwrap()
}
