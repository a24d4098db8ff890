//! A folder that was away, or `.brigade/` in it: nothing is shared until it returns, and its index still has the files
//! that are unchanged.
//!
//! What fetches do in the meantime is tested with them.

use std::{fs, path::Path};

use tokio::time::timeout;

use super::{DEADLINE, TestKeeper, temp};
use crate::store::{
    folder::Folder,
    index::Index,
    keeper::{KeeperOptions, KeeperProblem},
};

/// The names in the index of a folder whose keeper has ended.
fn indexed(folder: &Path) -> Vec<String> {
    let (_, known) = Index::open(&folder.join(".brigade/index.db")).unwrap();
    let mut names: Vec<_> = known.keys().map(ToString::to_string).collect();
    names.sort();
    names
}

/// Waits until the keeper reports the `problem`.
async fn until_reported(keeper: &TestKeeper, problem: impl Fn(&KeeperProblem) -> bool) {
    let mut problems = keeper.handle.problems();
    let reported = problems.wait_for(|list| list.keeper_problems.iter().any(&problem));
    timeout(DEADLINE, reported).await.expect("it is not reported").unwrap();
}

/// Waits until the keeper has created `.brigade/` again.
async fn until_recreated(keeper: &TestKeeper) {
    until_reported(keeper, |problem| matches!(problem, KeeperProblem::PrivateRemoved(_))).await;
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_moved_folder_is_not_shared_until_it_returns() {
    use std::sync::Arc;

    use super::{LandedFile, SmallFileBatch, content, landing};
    use crate::store::keeper::ProblemList;

    for only_landed in [false, true] {
        let temp = temp();
        let (path, elsewhere) = (temp.path().join("folder"), temp.path().join("elsewhere"));
        fs::create_dir_all(path.join("d")).unwrap();
        let mut keeper = TestKeeper::start_with(
            &path,
            KeeperOptions { only_landed, threads: 2, ..KeeperOptions::default() },
        );
        keeper.scanned().await;
        let mut batch = SmallFileBatch::new(&keeper.folder).unwrap();
        batch.add(landing("d/a"), content(b"a"), b"a").unwrap();
        let (name, placed) = batch.commit().pop().unwrap();
        let stamp = placed.unwrap().stamp;
        keeper.handle.landed(vec![LandedFile { name, content: content(b"a"), list: None, stamp }]).await;
        keeper.until_files(&[("d/a", "a")]).await;
        fs::rename(&path, &elsewhere).unwrap();
        keeper.until_files(&[]).await;
        assert!(keeper.folder.is_gone());
        let mut problems = keeper.handle.problems();
        let is_gone =
            |list: &Arc<ProblemList>| matches!(list.keeper_problems.as_slice(), [KeeperProblem::Gone(_)]);
        timeout(DEADLINE, problems.wait_for(is_gone)).await.unwrap().unwrap();
        // Another folder at the path is not shared; the old one is, when it is back.
        fs::create_dir(&path).unwrap();
        fs::write(path.join("b"), "b").unwrap();
        fs::rename(&path, temp.path().join("third")).unwrap();
        fs::write(elsewhere.join("c"), "c").unwrap();
        fs::rename(&elsewhere, &path).unwrap();
        let back: &[(&str, &str)] = if only_landed { &[("d/a", "a")] } else { &[("c", "c"), ("d/a", "a")] };
        keeper.until_files(back).await;
        timeout(DEADLINE, problems.wait_for(|list| list.keeper_problems.is_empty())).await.unwrap().unwrap();
        keeper.end().await;
    }
}

#[cfg(unix)]
#[tokio::test]
async fn an_index_whose_directory_was_emptied_is_created_again() {
    let temp = temp();
    fs::write(temp.path().join("same"), "same").unwrap();
    let folder = Folder::open(temp.path()).unwrap();
    let _lock = folder.lock().unwrap();
    let mut keeper = TestKeeper::start_in(folder, KeeperOptions::default());
    keeper.until_files(&[("same", "same")]).await;
    let private = temp.path().join(".brigade");
    // The keeper may create some of them again before all are removed.
    let entries: Vec<_> = fs::read_dir(&private).unwrap().map(|entry| entry.unwrap().path()).collect();
    for path in entries {
        let _ = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    }
    until_reported(&keeper, |problem| matches!(problem, KeeperProblem::IndexRemoved(_))).await;
    fs::write(temp.path().join("new"), "new").unwrap();
    keeper.until_files(&[("new", "new"), ("same", "same")]).await;
    keeper.end().await;
    assert_eq!(indexed(temp.path()), ["new", "same"]);
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_folder_that_returns_with_another_session_is_not_reported_as_gone() {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    let temp = temp();
    let [path, elsewhere, other] = ["folder", "elsewhere", "other"].map(|name| temp.path().join(name));
    for folder in [&path, &other] {
        fs::create_dir(folder).unwrap();
    }
    fs::write(path.join("same"), "same").unwrap();
    let mut earlier = TestKeeper::start(&path);
    earlier.until_files(&[("same", "same")]).await;
    earlier.end().await; // now the index has the file
    let folder = Folder::open(&path).unwrap();
    let _lock = folder.lock().unwrap();
    let mut keeper = TestKeeper::start_in(folder, KeeperOptions::default());
    keeper.until_files(&[("same", "same")]).await;
    let session = Folder::open(&other).unwrap();
    session.lock().unwrap();
    fs::rename(&path, &elsewhere).unwrap();
    keeper.until_files(&[]).await;
    let exchange = |folder: &Path| {
        let [own, of_session] = [folder, &other].map(|folder| folder.join(".brigade"));
        renameat_with(CWD, &own, CWD, &of_session, RenameFlags::EXCHANGE).unwrap();
    };
    exchange(&elsewhere);
    fs::rename(&elsewhere, &path).unwrap();
    let mut problems = keeper.handle.problems();
    let is_taken = |problems: &[KeeperProblem]| matches!(problems, [KeeperProblem::PrivateLost(_)]);
    let reported = problems.wait_for(|list| is_taken(&list.keeper_problems));
    timeout(DEADLINE, reported).await.expect("it is not reported").unwrap();
    exchange(&path);
    keeper.until_files(&[("same", "same")]).await;
    assert_eq!(keeper.handle.problems().borrow().keeper_problems, []);
    keeper.end().await;
    assert_eq!(indexed(&path), ["same"]);
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
