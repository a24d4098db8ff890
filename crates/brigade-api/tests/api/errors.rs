//! The form of every error: of the routes, of the HTTP library, and for input that no client sends.
//!
//! Input is what a faulty client might send.

use axum::{body::Body, http::Request};
use serde_json::Value;

use crate::test_network::{TestNetwork, answer, bytes};

/// Checks that an error has the documented form and this status.
#[track_caller]
fn check(found: &(u16, Value), status: u16, kind: &str) {
    let (found_status, body) = found;
    assert_eq!((*found_status, body["kind"].as_str()), (status, Some(kind)), "{body}");
    assert!(body["code"].is_u64() && body["error"].is_string() && body["causes"].is_array(), "{body}");
    assert!(body["hint"].is_string() || body["hint"].is_null(), "{body}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_error_has_the_same_form() {
    let network = TestNetwork::start().await;
    let ben = network.peer("ben", &[]).await;
    let ask =
        async |method: &str, path: &str, body: Option<&str>| answer(&ben.router, method, path, body).await;
    check(&ask("GET", "/", None).await, 404, "not_found");
    check(&ask("GET", "/v1/nothing", None).await, 404, "not_found");
    check(&ask("GET", "/v2/status", None).await, 404, "not_found");
    check(&ask("DELETE", "/v1/status", None).await, 405, "usage");
    check(&ask("GET", "/v1/fetches/7", None).await, 404, "not_found");
    for id in ["x", "-1", "1e3", "99999999999999999999999", "%00", "%ff"] {
        check(&ask("GET", &format!("/v1/fetches/{id}"), None).await, 400, "usage");
    }
    for query in ["limit=0", "limit=5001", "limit=x", "limit=1&limit=2"] {
        check(&ask("GET", &format!("/v1/files?{query}"), None).await, 400, "usage");
    }
    for query in ["after=", "after=..", "after=%00", "pattern=*[", "pattern=film%20%5b2"] {
        check(&ask("GET", &format!("/v1/files?{query}"), None).await, 404, "not_found");
    }
    check(&ask("GET", "/v1/files/holders", None).await, 400, "usage");
    check(&ask("GET", "/v1/log?lines=0", None).await, 400, "usage");
    check(&ask("PUT", "/v1/limits/sideways", Some("{}")).await, 400, "usage");
    check(&ask("PUT", "/v1/limits/up", Some(r#"{"cap":"fast"}"#)).await, 400, "usage");
    for body in
        ["", "{", "null", "[]", r#"{"names":[]}"#, r#"{"names":[1]}"#, r#"{"names":["a"],"wait_s":6}"#]
    {
        check(&ask("POST", "/v1/fetches", Some(body)).await, 400, "usage");
    }
    check(&ask("POST", "/v1/fetches", Some(r#"{"names":["a","b"],"save_as":"c"}"#)).await, 409, "usage");
    for name in ["nothing", "", "..", "a\\u0000b", "/etc/passwd", "*[", &"x".repeat(5000)] {
        let body = format!(r#"{{"names":["{name}"]}}"#);
        check(&ask("POST", "/v1/fetches", Some(&body)).await, 404, "not_found");
    }
    check(&ask("POST", "/v1/fetches", Some(r#"{"names":["a"],"from":"no body"}"#)).await, 404, "not_found");
    let whole = r#"{"names":["nothing"],"wait_s":0.0}"#;
    check(&ask("POST", "/v1/fetches", Some(whole)).await, 404, "not_found");
    check(&ask("PUT", "/v1/limits/up", Some("[null]")).await, 400, "usage");
    check(&ask("POST", "/v1/fetches", None).await, 415, "usage");
    check(&ask("PATCH", "/v1/fetches/7", Some("{}")).await, 404, "not_found");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_too_large_is_refused() {
    let network = TestNetwork::start().await;
    let ben = network.peer("ben", &[]).await;
    let body = format!(r#"{{"names":["{}"]}}"#, "x".repeat(1 << 20));
    check(&answer(&ben.router, "POST", "/v1/fetches", Some(&body)).await, 413, "usage");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_path_with_another_method_names_its_methods() {
    use tower_service::Service;
    let network = TestNetwork::start().await;
    let ben = network.peer("ben", &[]).await;
    let mut router = ben.router.clone();
    let request = Request::builder().method("PUT").uri("/v1/fetches").body(Body::empty()).unwrap();
    let response = router.call(request).await.unwrap();
    assert_eq!(response.status(), 405);
    let allow = response.headers()["allow"].to_str().unwrap();
    assert!(allow.contains("GET") && allow.contains("POST"), "{allow}");
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_clients_of_the_events_are_refused() {
    use tower_service::Service;
    let network = TestNetwork::start().await;
    let ben = network.peer("ben", &[]).await;
    let mut router = ben.router.clone();
    let request = || Request::builder().uri("/v1/events").body(Body::empty()).unwrap();
    let mut following = vec![];
    for _ in 0..64 {
        following.push(router.call(request()).await.unwrap());
    }
    let (status, body) = bytes(&router, request()).await;
    check(&(status, serde_json::from_slice(&body).unwrap()), 409, "refused");
    following.pop();
    assert_eq!(router.call(request()).await.unwrap().status(), 200);
}
