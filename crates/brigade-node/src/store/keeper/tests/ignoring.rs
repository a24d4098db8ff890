//! What is not shared though it is there: ignored, or kept aside.
//!
//! The rules themselves are tested in `ignore`.

use super::{Batch, KeeperOptions, Landed, Watched, content, fs, landing, temp};

#[tokio::test]
async fn what_is_ignored_is_withdrawn_at_once_and_shared_again_when_it_is_not() {
    for watch in [true, false] {
        let temp = temp();
        let path = |name: &str| temp.path().join(name);
        for name in ["a.tmp", "d/b.tmp", "d/c", "build/e"] {
            fs::create_dir_all(path(name).parent().unwrap()).unwrap();
            fs::write(path(name), name).unwrap();
        }
        fs::write(path("d/.brigadeignore"), "!b.tmp").unwrap();
        let options = KeeperOptions { watch, threads: 2, ..KeeperOptions::default() };
        let mut watched = Watched::start_with(temp.path(), options);
        watched.scanned().await;
        let all = [("a.tmp", "a.tmp"), ("d/b.tmp", "d/b.tmp"), ("d/c", "d/c"), ("build/e", "build/e")];
        watched.until_files(&all).await;
        fs::write(path(".brigadeignore"), "*.tmp\nbuild/\n").unwrap();
        watched.until_files(&[all[1], all[2]]).await;
        let ignoring = watched.keeper.problems().borrow().ignoring;
        assert_eq!((ignoring.files, ignoring.patterns), (2, 3));
        // What comes into an ignored folder, or has an ignored name, stays unknown.
        fs::write(path("build/f"), "f").unwrap();
        fs::write(path("d/more.tmp"), "more").unwrap();
        fs::write(path("seen"), "seen").unwrap();
        watched.until_files(&[all[1], all[2], ("seen", "seen")]).await;
        fs::write(path(".brigadeignore"), "[\n").unwrap();
        let more = [("build/f", "f"), ("d/more.tmp", "more"), ("seen", "seen")];
        watched.until_files(&[&all[..], &more].concat()).await;
        assert!(watched.problems[".brigadeignore"].starts_with("line 1"), "{:?}", watched.problems);
        fs::remove_file(path(".brigadeignore")).unwrap();
        watched.until("no problem", |watched| watched.problems.is_empty()).await;
        // What was not watched is, from now on.
        fs::write(path("build/f"), "other").unwrap();
        let more = [("build/f", "other"), more[1], more[2]];
        watched.until_files(&[&all[..], &more].concat()).await;
        watched.end().await;
    }
}

#[tokio::test]
async fn what_is_known_and_ignored_is_not_shared_at_the_next_start() {
    let temp = temp();
    let path = |name: &str| temp.path().join(name);
    fs::write(path("a"), "a").unwrap();
    fs::write(path("b"), "b").unwrap();
    let mut watched = Watched::start(temp.path());
    watched.until_files(&[("a", "a"), ("b", "b")]).await;
    watched.end().await;
    fs::write(path(".brigadeignore"), "b").unwrap();
    let mut watched = Watched::start(temp.path());
    watched.scanned().await;
    watched.until_files(&[("a", "a")]).await;
    assert_eq!(watched.announced, 1);
    watched.end().await;
}

#[tokio::test]
async fn what_landed_under_an_ignored_name_or_was_kept_aside_is_not_shared() {
    let temp = temp();
    fs::write(temp.path().join(".brigadeignore"), "*.tmp").unwrap();
    let mut watched = Watched::start(temp.path());
    watched.scanned().await;
    let mut batch = Batch::new(&watched.folder).unwrap();
    for name in ["d/a.tmp", "d/a.~1~", "d/a"] {
        batch.add(landing(name), content(b"abc"), b"abc").unwrap();
    }
    let landed = batch.commit().into_iter().map(|(name, placed)| Landed {
        name,
        content: content(b"abc"),
        list: None,
        stamp: placed.unwrap().stamp,
    });
    watched.keeper.landed(landed.collect()).await;
    assert_eq!(watched.share.totals(), (1, 3));
    fs::write(temp.path().join("b.~22~"), "b").unwrap();
    watched.until("two versions", |watched| watched.problems.len() == 2).await;
    assert!(watched.problems["b.~22~"].contains("kept aside"));
    watched.until_files(&[("d/a", "abc")]).await;
}
