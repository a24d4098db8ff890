//! The OpenAPI documents: they are the committed ones, and have every route.
//!
//! `.ci/schemathesis` tests the API with requests that it makes from these documents.

use std::{fs, path::Path};

use brigade_api::server::{manager_document, peer_document};
use serde_json::Value;

use crate::test_network::{TestNetwork, answer};

/// Writes the documents anew if this variable is set.
const WRITE: &str = "BRIGADE_WRITE_OPENAPI";

#[test]
fn the_committed_documents_are_those_of_the_program() {
    for (name, document) in [("openapi.json", peer_document()), ("openapi-manager.json", manager_document())]
    {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
        if std::env::var_os(WRITE).is_some() {
            fs::write(&path, &document).unwrap();
        }
        let committed = fs::read_to_string(&path).unwrap_or_default();
        assert!(
            committed == document,
            "crates/brigade-api/{name} is not the document of the API any more. If the change is meant, write it anew: \
             {WRITE}=1 cargo test -p brigade-api --test api openapi"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_documented_path_has_a_route() {
    let network = TestNetwork::start().await;
    let ben = network.peer("ben", &[]).await;
    let documents =
        [(ben.router.clone(), peer_document()), (network.manager_router.clone(), manager_document())];
    for (router, document) in documents {
        let document: Value = serde_json::from_str(&document).unwrap();
        for (path, methods) in document["paths"].as_object().unwrap() {
            let path = path.replace("{id}", "1").replace("{direction}", "up");
            for method in methods.as_object().unwrap().keys() {
                if ["/events", "/stop", "/backup"].iter().any(|end| path.ends_with(end)) {
                    continue;
                }
                let (status, body) = answer(&router, &method.to_uppercase(), &path, None).await;
                let is_unknown = body["error"] == "the API has no such path";
                assert!(status != 405 && status < 500 && !is_unknown, "{method} {path}: {status}");
            }
        }
        // Another method of each path has no route: all methods of a route are documented.
        for (path, methods) in document["paths"].as_object().unwrap() {
            let path = path.replace("{id}", "1").replace("{direction}", "up");
            for method in ["get", "post", "put", "patch", "delete"] {
                if methods.get(method).is_none() {
                    let (status, _) = answer(&router, &method.to_uppercase(), &path, None).await;
                    assert_eq!(status, 405, "{method} {path} is not documented");
                }
            }
        }
    }
}
