//! A running manager is backed up, and the backup becomes a manager in another folder.
//!
//! `state_copy` tests the file and every way in which restoring fails.

use super::{ManagerConfig, RunningManager, SecretKey, config};
use crate::manager::{BackupError, restore};

#[tokio::test]
async fn a_restored_manager_has_the_key_and_the_members_of_the_old_one() {
    let state = tempfile::tempdir().unwrap();
    let (anna, other) = (SecretKey::generate(), SecretKey::generate());
    let manager = RunningManager::new(state.path()).await;
    let key = manager.server.key();
    let mut peer = manager.client(&anna).await;
    peer.join("anna").await.unwrap();
    let file = state.path().join("backup.sqlite");
    let summary = manager.server.handle().backup(&file).await.unwrap();
    assert_eq!((summary.key, summary.members), (key, 1));
    let again = manager.server.handle().backup(&file).await;
    assert!(matches!(again, Err(BackupError::Exists { .. })), "{again:?}");
    manager.client(&other).await.join("after").await.unwrap();
    manager.stop().await;

    let elsewhere = state.path().join("elsewhere");
    assert_eq!(restore(&file, &elsewhere).unwrap(), summary);
    let restored = ManagerConfig { state_dir: elsewhere, ..config(state.path()) };
    let manager = RunningManager::with(restored).await;
    assert_eq!(manager.server.key(), key);
    assert!(manager.client(&other).await.join("anna").await.is_err());
    manager.client(&anna).await.join("anna").await.unwrap();
    manager.client(&other).await.join("after").await.unwrap();
    manager.stop().await;
}
