//! The index after the folder, or `.brigade/` in it, was away: it still has the files that are unchanged.
//!
//! What is shared in the meantime is tested in the parent module.

use std::{fs, path::Path};

use tokio::time::timeout;

use super::{DEADLINE, TestKeeper, temp};
#[cfg(target_os = "linux")]
use crate::store::folder::Folder;
use crate::store::{index::Index, keeper::KeeperProblem};

/// The names in the index of a folder whose keeper has ended.
fn indexed(folder: &Path) -> Vec<String> {
    let (_, known) = Index::open(&folder.join(".brigade/index.db")).unwrap();
    let mut names: Vec<_> = known.keys().map(ToString::to_string).collect();
    names.sort();
    names
}

/// Waits until the keeper has created `.brigade/` again.
async fn until_recreated(keeper: &TestKeeper) {
    let mut problems = keeper.handle.problems();
    let is_recreated = |problem: &KeeperProblem| matches!(problem, KeeperProblem::PrivateRemoved(_));
    let reported = problems.wait_for(|list| list.keeper_problems.iter().any(is_recreated));
    timeout(DEADLINE, reported).await.expect("it is not created again").unwrap();
}

#[tokio::test]
async fn a_folder_that_returns_without_its_private_folder_keeps_its_index() {
    let temp = temp();
    let (path, elsewhere) = (temp.path().join("folder"), temp.path().join("elsewhere"));
    fs::create_dir(&path).unwrap();
    for name in ["changed", "same"] {
        fs::write(path.join(name), name).unwrap();
    }
    let mut keeper = TestKeeper::start(&path);
    let _lock = keeper.folder.lock().unwrap();
    keeper.until_files(&[("changed", "changed"), ("same", "same")]).await;
    fs::rename(&path, &elsewhere).unwrap();
    keeper.until_files(&[]).await;
    fs::remove_dir_all(elsewhere.join(".brigade")).unwrap();
    fs::remove_file(elsewhere.join("changed")).unwrap();
    fs::rename(&elsewhere, &path).unwrap();
    keeper.until_files(&[("same", "same")]).await;
    until_recreated(&keeper).await;
    keeper.end().await;
    assert_eq!(indexed(&path), ["same"]);
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_folder_that_another_session_had_keeps_its_index() {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    let temp = temp();
    let (path, other) = (temp.path().join("folder"), temp.path().join("other"));
    for folder in [&path, &other] {
        fs::create_dir(folder).unwrap();
    }
    fs::write(path.join("same"), "same").unwrap();
    let mut keeper = TestKeeper::start(&path);
    let _lock = keeper.folder.lock().unwrap();
    keeper.until_files(&[("same", "same")]).await;
    let session = Folder::open(&other).unwrap();
    session.lock().unwrap();
    // In one step: the keeper would create a removed one again before the other session has it.
    let [own, of_session] = [&path, &other].map(|folder| folder.join(".brigade"));
    renameat_with(CWD, &own, CWD, &of_session, RenameFlags::EXCHANGE).unwrap();
    keeper.until_files(&[]).await;
    drop(session);
    fs::remove_dir_all(&own).unwrap();
    keeper.until_files(&[("same", "same")]).await;
    until_recreated(&keeper).await;
    keeper.end().await;
    assert_eq!(indexed(&path), ["same"]);
}
