//! Files that are not shared: ignored ones, those that were kept aside, and the state of a manager.
//!
//! The rules themselves are tested in `ignore_patterns`.

use crate::identity::key::SecretKey;

use super::{KeeperOptions, LandedFile, SmallFileBatch, TestKeeper, content, fs, landing, temp};

#[tokio::test]
async fn ignored_files_are_withdrawn_at_once_and_shared_again_later() {
    for watch in [true, false] {
        let temp = temp();
        let path = |name: &str| temp.path().join(name);
        for name in ["a.tmp", "d/b.tmp", "d/c", "build/e"] {
            fs::create_dir_all(path(name).parent().unwrap()).unwrap();
            fs::write(path(name), name).unwrap();
        }
        fs::write(path("d/.brigadeignore"), "!b.tmp").unwrap();
        let options = KeeperOptions { watch, threads: 2, ..KeeperOptions::default() };
        let mut keeper = TestKeeper::start_with(temp.path(), options);
        keeper.scanned().await;
        let all = [("a.tmp", "a.tmp"), ("d/b.tmp", "d/b.tmp"), ("d/c", "d/c"), ("build/e", "build/e")];
        keeper.until_files(&all).await;
        fs::write(path(".brigadeignore"), "*.tmp\nbuild/\n").unwrap();
        keeper.until_files(&[all[1], all[2]]).await;
        let ignored = keeper.handle.problems().borrow().ignored;
        assert_eq!((ignored.files, ignored.patterns), (2, 3));
        // New files in an ignored folder, or with an ignored name, stay unknown.
        fs::write(path("build/f"), "f").unwrap();
        fs::write(path("d/more.tmp"), "more").unwrap();
        fs::write(path("seen"), "seen").unwrap();
        keeper.until_files(&[all[1], all[2], ("seen", "seen")]).await;
        fs::write(path(".brigadeignore"), "[\n").unwrap();
        let more = [("build/f", "f"), ("d/more.tmp", "more"), ("seen", "seen")];
        keeper.until_files(&[&all[..], &more].concat()).await;
        assert!(keeper.problems[".brigadeignore"].starts_with("line 1"), "{:?}", keeper.problems);
        fs::remove_file(path(".brigadeignore")).unwrap();
        keeper.until("no problem", |keeper| keeper.problems.is_empty()).await;
        // Folders that were ignored are watched from now on.
        fs::write(path("build/f"), "other").unwrap();
        let more = [("build/f", "other"), more[1], more[2]];
        keeper.until_files(&[&all[..], &more].concat()).await;
        keeper.end().await;
    }
}

/// Checks that no other files were ever announced: a file that was withdrawn since counts too.
#[track_caller]
fn has_announced_only(keeper: &TestKeeper, expected: &[&str]) {
    let other = keeper.announced.iter().find(|name| !expected.contains(&name.as_str()));
    assert_eq!(other, None, "announced: {:?}", keeper.announced);
}

/// The state may exist before the peer, be made while it runs, or be moved into its folder.
#[tokio::test]
async fn the_state_of_a_manager_is_never_shared() {
    for watch in [true, false] {
        let temp = temp();
        let path = |name: &str| temp.path().join(name);
        // The key is made first and removed last: without it, these would be files like any others.
        let make_state = |folder: &str| {
            fs::create_dir_all(path(folder)).unwrap();
            SecretKey::generate().save(&path(folder).join("manager.key")).unwrap();
            fs::create_dir_all(path(folder).join("below")).unwrap();
            fs::write(path(folder).join("below/file"), "below").unwrap();
            fs::write(path(folder).join("members.sqlite"), "members").unwrap();
        };
        make_state("old/state");
        fs::write(path("seen"), "seen").unwrap();
        let options = KeeperOptions { watch, threads: 2, ..KeeperOptions::default() };
        let mut keeper = TestKeeper::start_with(temp.path(), options);
        keeper.scanned().await;
        keeper.until_files(&[("seen", "seen")]).await;
        keeper.until("a problem", |keeper| keeper.problems.contains_key("old/state")).await;
        assert!(keeper.problems["old/state"].contains("secret key of a manager"), "{:?}", keeper.problems);
        make_state("new");
        keeper.until("a problem", |keeper| keeper.problems.contains_key("new")).await;
        fs::rename(path("new"), path("moved")).unwrap();
        fs::write(path("seen"), "again").unwrap();
        keeper.until("a problem", |keeper| keeper.problems.contains_key("moved")).await;
        keeper.until_files(&[("seen", "again")]).await;
        make_state("");
        keeper.until("a problem", |keeper| keeper.problems.contains_key(".")).await;
        keeper.until_files(&[]).await;
        assert!(keeper.problems["."].contains("--state"), "{:?}", keeper.problems);
        for name in ["members.sqlite", "manager.key"] {
            fs::remove_file(path(name)).unwrap();
        }
        has_announced_only(&keeper, &["seen"]);
        keeper.until_files(&[("below/file", "below"), ("seen", "again")]).await;
        has_announced_only(&keeper, &["below/file", "seen"]);
        keeper.until("no problem", |keeper| !keeper.problems.contains_key(".")).await;
        keeper.end().await;
    }
}

#[tokio::test]
async fn indexed_ignored_files_are_not_shared_at_the_next_start() {
    let temp = temp();
    let path = |name: &str| temp.path().join(name);
    fs::write(path("a"), "a").unwrap();
    fs::write(path("b"), "b").unwrap();
    let mut keeper = TestKeeper::start(temp.path());
    keeper.until_files(&[("a", "a"), ("b", "b")]).await;
    keeper.end().await;
    fs::write(path(".brigadeignore"), "b").unwrap();
    let mut keeper = TestKeeper::start(temp.path());
    keeper.scanned().await;
    keeper.until_files(&[("a", "a")]).await;
    assert_eq!(keeper.announced.len(), 1);
    keeper.end().await;
}

#[tokio::test]
async fn ignored_landed_files_and_kept_aside_files_are_not_shared() {
    let temp = temp();
    fs::write(temp.path().join(".brigadeignore"), "*.tmp").unwrap();
    let mut keeper = TestKeeper::start(temp.path());
    keeper.scanned().await;
    let mut batch = SmallFileBatch::new(&keeper.folder).unwrap();
    for name in ["d/a.tmp", "d/a.~1~", "d/a"] {
        batch.add(landing(name), content(b"abc"), b"abc").unwrap();
    }
    let landed = batch.commit().into_iter().map(|(name, placed)| LandedFile {
        name,
        content: content(b"abc"),
        list: None,
        stamp: placed.unwrap().stamp,
    });
    keeper.handle.landed(landed.collect()).await;
    assert_eq!(keeper.share.totals(), (1, 3));
    fs::write(temp.path().join("b.~22~"), "b").unwrap();
    keeper.until("two versions", |keeper| keeper.problems.len() == 2).await;
    assert!(keeper.problems["b.~22~"].contains("kept aside"));
    keeper.until_files(&[("d/a", "abc")]).await;
}
