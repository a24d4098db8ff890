//! Questions with a text that no frame can carry: the caller gets an error, and the session continues.
//!
//! The program refuses such a text before it asks; other programs that use the library may not.

use brigade_core::limits;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::{PATIENCE, manager, peer};
use crate::peer::{AskError, FetchRequest, ManagerAddress, Observer, ResolveError};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_question_with_a_text_that_is_too_long_is_an_error_and_the_next_one_is_answered() {
    let temp = tempfile::tempdir().unwrap();
    let stop = CancellationToken::new();
    let manager = manager(temp.path(), &stop).await;
    let fire = peer(&manager, "fire_user", &temp.path().join("fire")).await;
    assert!(timeout(PATIENCE, fire.announced()).await.unwrap());
    let address = ManagerAddress {
        host: "127.0.0.1".into(),
        port: manager.address().port(),
        key: Some(manager.key()),
        home: None,
    };
    let mut observer = Observer::reach(&address).await.unwrap();
    let long = "x".repeat(2 * limits::CONTROL_FRAME_BYTES);
    let refused = fire.resolve(&FetchRequest::new(long.clone()), &mut |_| {}).await;
    assert!(matches!(refused, Err(ResolveError::BadName { .. })));
    for refused in [fire.files(&long, None).await, observer.files(&long, None).await] {
        let Err(AskError::TooLong { bytes }) = refused else { panic!("{refused:?}") };
        assert_eq!(bytes, long.len());
    }
    for listed in [fire.files("x", None).await, observer.files("x", None).await] {
        assert!(listed.unwrap().entries.is_empty());
    }
    stop.cancel();
}
