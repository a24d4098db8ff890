//! The keeper with real files. Everything is waited for with a deadline, nothing by sleeping.
//!
//! What `settle` and `watch` decide by themselves is tested there.

mod ignoring;
mod lives;

use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io::Write,
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
    time::Duration,
};

use brigade_core::id::{Content, ContentId};
use tokio::{sync::mpsc, time::timeout};
use tokio_util::sync::CancellationToken;

use super::{Change, Keeper, KeeperHandle, KeeperOptions, Landed};
use crate::store::{folder::Folder, landing::Landing, share::Share, small_files::Batch};

/// Long enough for a loaded machine; what takes longer hangs.
const DEADLINE: Duration = Duration::from_secs(30);

/// What others know of a folder, from the changes that its keeper announces.
struct Watched {
    folder: Folder,
    share: Share,
    keeper: KeeperHandle,
    changes: mpsc::Receiver<Change>,
    stop: CancellationToken,
    files: BTreeMap<String, Content>,
    announced: usize,
    problems: BTreeMap<String, String>,
    scanned: bool,
}

impl Watched {
    fn start(path: &Path) -> Self {
        Self::start_with(path, KeeperOptions { threads: 2, ..KeeperOptions::default() })
    }

    fn start_with(path: &Path, options: KeeperOptions) -> Self {
        let folder = Folder::open(path).unwrap();
        let share = Share::new(folder.clone());
        let stop = CancellationToken::new();
        let (keeper, changes) = Keeper::start(folder.clone(), share.clone(), options, stop.clone()).unwrap();
        let (files, problems) = (BTreeMap::new(), BTreeMap::new());
        Self { folder, share, keeper, changes, stop, files, announced: 0, problems, scanned: false }
    }

    /// An error where the keeper has ended.
    async fn hear_or_end(&mut self) -> Result<(), ()> {
        match self.changes.recv().await.ok_or(())? {
            Change::Shared(files) => {
                for file in files {
                    self.announced += 1;
                    self.files.insert(file.name.to_string(), file.content);
                }
            }
            Change::Gone(names) => {
                for name in names {
                    assert!(self.files.remove(name.as_str()).is_some(), "{name} was not announced");
                }
            }
            Change::Scanned => self.scanned = true,
            Change::Problem { what, why } => {
                self.problems.insert(what, why);
            }
            Change::Solved { what } => {
                assert!(self.problems.remove(&what).is_some(), "{what} was no problem");
            }
        }
        Ok(())
    }

    async fn until(&mut self, what: &str, reached: impl Fn(&Self) -> bool) {
        let reach = async {
            while !reached(self) {
                self.hear_or_end().await.expect("it ended");
            }
        };
        if timeout(DEADLINE, reach).await.is_err() {
            panic!("not reached: {what}; instead {:?}, {:?}", self.files, self.problems);
        }
    }

    /// Waits until exactly these files are announced, with their bytes.
    async fn until_files(&mut self, expected: &[(&str, &str)]) {
        let expected: BTreeMap<_, _> =
            expected.iter().map(|(name, bytes)| ((*name).to_owned(), content(bytes.as_bytes()))).collect();
        self.until("these files", |watched| watched.files == expected).await;
    }

    async fn scanned(&mut self) {
        self.until("the scan", |watched| watched.scanned).await;
    }

    /// Stops it and waits until everything that it knows is in the index.
    async fn end(mut self) {
        self.stop.cancel();
        while timeout(DEADLINE, self.changes.recv()).await.expect("it does not end").is_some() {}
    }
}

fn content(bytes: &[u8]) -> Content {
    Content { id: ContentId(*blake3::hash(bytes).as_bytes()), size: bytes.len() as u64 }
}

fn temp() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

#[tokio::test]
async fn what_is_there_at_the_start_is_announced_and_then_the_scan_is_over() {
    let temp = temp();
    for file in ["a", "b/c/d", ".hidden", "b/.git/x", ".brigade/key", "bad:name"] {
        let path = temp.path().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, file).unwrap();
    }
    fs::write(temp.path().join("large"), vec![1; 5 << 20]).unwrap();
    let mut watched = Watched::start(temp.path());
    watched.scanned().await;
    assert_eq!(watched.files.keys().collect::<Vec<_>>(), ["a", "b/c/d", "large"]);
    assert_eq!(watched.files["a"], content(b"a"));
    assert_eq!(watched.files["large"], content(&vec![1; 5 << 20]));
    let large = watched.share.find(&watched.files["large"]).unwrap();
    assert_eq!(large.list.as_ref().unwrap().values().len(), 20);
    assert_eq!(watched.problems.keys().collect::<Vec<_>>(), ["bad:name"]);
    assert_eq!(watched.keeper.problems().borrow().listed[0].0, "bad:name");
}

#[tokio::test]
async fn an_empty_folder_is_scanned_too() {
    let temp = temp();
    let mut watched = Watched::start(temp.path());
    watched.scanned().await;
    assert_eq!(watched.share.totals(), (0, 0));
}

#[tokio::test]
async fn changes_are_followed() {
    let temp = temp();
    let path = |name: &str| temp.path().join(name);
    let mut watched = Watched::start(temp.path());
    watched.scanned().await;
    fs::write(path("a"), "one").unwrap();
    watched.until_files(&[("a", "one")]).await;
    fs::write(path("a"), "two").unwrap();
    watched.until_files(&[("a", "two")]).await;
    fs::create_dir_all(path("x/y")).unwrap();
    fs::write(path("x/y/z"), "deep").unwrap();
    fs::write(path("x/empty"), "").unwrap();
    watched.until_files(&[("a", "two"), ("x/y/z", "deep"), ("x/empty", "")]).await;
    fs::rename(path("x"), path("moved")).unwrap();
    watched.until_files(&[("a", "two"), ("moved/y/z", "deep"), ("moved/empty", "")]).await;
    // The folder is watched under its new name, too.
    fs::write(path("moved/y/new"), "new").unwrap();
    watched
        .until_files(&[("a", "two"), ("moved/y/z", "deep"), ("moved/empty", ""), ("moved/y/new", "new")])
        .await;
    fs::remove_dir_all(path("moved")).unwrap();
    watched.until_files(&[("a", "two")]).await;
    // Replaced by a rename, as editors do.
    fs::write(path(".a.tmp"), "three").unwrap();
    fs::rename(path(".a.tmp"), path("a")).unwrap();
    watched.until_files(&[("a", "three")]).await;
    fs::remove_file(path("a")).unwrap();
    watched.until_files(&[]).await;
}

#[tokio::test]
async fn changes_are_followed_without_news_too() {
    let temp = temp();
    let path = |name: &str| temp.path().join(name);
    let options = KeeperOptions { watch: false, threads: 2, ..KeeperOptions::default() };
    let mut watched = Watched::start_with(temp.path(), options);
    watched.scanned().await;
    fs::create_dir(path("d")).unwrap();
    fs::write(path("d/a"), "one").unwrap();
    fs::write(path("b"), "b").unwrap();
    watched.until_files(&[("d/a", "one"), ("b", "b")]).await;
    fs::write(path("d/a"), "other").unwrap();
    fs::remove_file(path("b")).unwrap();
    watched.until_files(&[("d/a", "other")]).await;
    fs::remove_dir_all(path("d")).unwrap();
    watched.until_files(&[]).await;
}

/// News of two things under one name is one look at what stands there last.
#[tokio::test]
async fn a_file_and_a_folder_take_each_others_place() {
    let temp = temp();
    let elsewhere = tempfile::tempdir().unwrap();
    let path = |name: &str| temp.path().join(name);
    let mut watched = Watched::start(temp.path());
    watched.scanned().await;
    fs::write(path("a"), "a file").unwrap();
    fs::create_dir_all(path("b/c")).unwrap();
    fs::write(path("b/c/d"), "below").unwrap();
    watched.until_files(&[("a", "a file"), ("b/c/d", "below")]).await;
    fs::remove_file(path("a")).unwrap();
    fs::create_dir(path("a")).unwrap();
    fs::write(path("a/inner"), "inner").unwrap();
    fs::rename(path("b"), elsewhere.path().join("b")).unwrap();
    fs::write(path("b"), "a file now").unwrap();
    watched.until_files(&[("a/inner", "inner"), ("b", "a file now")]).await;
}

#[tokio::test]
async fn a_burst_of_files_is_announced_completely() {
    let temp = temp();
    let mut watched = Watched::start(temp.path());
    watched.scanned().await;
    for number in 0..2000 {
        let folder = temp.path().join(format!("d{}", number % 40));
        let _ = fs::create_dir(&folder);
        fs::write(folder.join(number.to_string()), number.to_string()).unwrap();
    }
    watched.until("2000 files", |watched| watched.files.len() == 2000).await;
    assert_eq!(watched.share.totals().0, 2000);
    fs::remove_dir_all(temp.path().join("d0")).unwrap();
    watched.until("50 fewer", |watched| watched.files.len() == 1950).await;
}

/// The writer is another program, as it is in life.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_file_that_is_written_slowly_is_never_announced_half_way() {
    let temp = temp();
    let mut watched = Watched::start(temp.path());
    watched.scanned().await;
    // Pauses longer than any quiet that is waited for; the second writer shares its file with a touch in between.
    let script = "exec 3>slow; for i in 1 2 3; do printf $i >&3; sleep 1.4; done; touch -d '2001-01-01' slow; \
                  sleep 1.4; printf 4 >&3; exec 3>&-; printf done >end";
    let mut writer = Command::new("sh").args(["-c", script]).current_dir(temp.path()).spawn().unwrap();
    watched.until_files(&[("slow", "1234"), ("end", "done")]).await;
    assert_eq!(watched.announced, 2, "each of them once");
    assert!(writer.wait().unwrap().success());
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_file_that_is_being_written_at_the_start_does_not_hold_up_the_scan() {
    let temp = temp();
    fs::write(temp.path().join("other"), "other").unwrap();
    let mut writer = Command::new("sh")
        .args(["-c", "exec 3>slow; printf begun >&3; echo; read line; printf ' and done' >&3"])
        .current_dir(temp.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = [0; 1];
    std::io::Read::read_exact(writer.stdout.as_mut().unwrap(), &mut line).unwrap();
    let mut watched = Watched::start(temp.path());
    watched.scanned().await;
    watched.until_files(&[("other", "other")]).await;
    writer.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
    watched.until_files(&[("other", "other"), ("slow", "begun and done")]).await;
    assert_eq!(watched.announced, 2);
    writer.wait().unwrap();
}

#[tokio::test]
async fn a_shared_file_that_begins_to_change_is_withdrawn_at_once() {
    let temp = temp();
    fs::write(temp.path().join("log"), "begun").unwrap();
    let mut watched = Watched::start(temp.path());
    watched.scanned().await;
    watched.until_files(&[("log", "begun")]).await;
    let mut log = OpenOptions::new().append(true).open(temp.path().join("log")).unwrap();
    log.write_all(b" and").unwrap();
    watched.until_files(&[]).await;
    log.write_all(b" done").unwrap();
    drop(log);
    watched.until_files(&[("log", "begun and done")]).await;
}

#[tokio::test]
async fn what_did_not_change_is_not_hashed_again_after_a_restart() {
    let temp = temp();
    let path = |name: &str| temp.path().join(name);
    fs::write(path("same"), "same").unwrap();
    fs::write(path("gone"), "gone").unwrap();
    fs::create_dir(path("d")).unwrap();
    fs::write(path("d/moved"), "moved").unwrap();
    let mut watched = Watched::start(temp.path());
    watched.scanned().await;
    watched.end().await;
    fs::remove_file(path("gone")).unwrap();
    fs::rename(path("d"), path("e")).unwrap();
    fs::write(path("new"), "new").unwrap();
    // Other bytes of the same length in the same file, with the time of the old ones: only a hash would tell.
    let before = fs::metadata(path("same")).unwrap();
    let index = rusqlite::Connection::open(path(".brigade/index.db")).unwrap();
    index.execute("UPDATE files SET id = ?1 WHERE name = 'same'", [&[9u8; 32][..]]).unwrap();
    drop(index);
    let mut watched = Watched::start(temp.path());
    watched.scanned().await;
    assert_eq!(watched.files.keys().collect::<Vec<_>>(), ["e/moved", "new", "same"]);
    assert_eq!(watched.files["e/moved"], content(b"moved"));
    assert_eq!(watched.files["same"], Content { id: ContentId([9; 32]), size: before.len() });
    watched.end().await;
}

#[cfg(unix)]
#[tokio::test]
async fn a_change_of_the_inode_alone_withdraws_nothing() {
    use std::os::unix::fs::PermissionsExt;
    let temp = temp();
    let path = |name: &str| temp.path().join(name);
    fs::write(path("a"), "a").unwrap();
    let mut watched = Watched::start(temp.path());
    watched.scanned().await;
    fs::hard_link(path("a"), path("b")).unwrap();
    watched.until_files(&[("a", "a"), ("b", "a")]).await;
    assert_eq!(watched.announced, 2);
    fs::set_permissions(path("a"), fs::Permissions::from_mode(0o755)).unwrap();
    let executable = |watched: &Watched, name: &str| {
        watched.share.by_name(&name.parse().unwrap()).is_some_and(|file| file.stamp.executable)
    };
    watched
        .until("the right to run it", |watched| executable(watched, "a") && executable(watched, "b"))
        .await;
    // The check that this causes ends with the stamp of now, and says nothing new.
    let now = watched.folder.stamp(&"a".parse().unwrap()).unwrap();
    watched.announced = 0;
    fs::write(path("end"), "end").unwrap();
    watched
        .until("the end", |watched| {
            let checked = watched.share.by_name(&"a".parse().unwrap()).is_some_and(|file| file.stamp == now);
            checked && watched.files.contains_key("end")
        })
        .await;
}

/// There is news of the name alone through which something was done.
/// File systems give the number of a deleted file to the next one, and times can be set.
#[tokio::test]
async fn another_file_with_the_number_size_and_time_of_a_deleted_one_is_hashed() {
    let temp = temp();
    let path = |name: &str| temp.path().join(name);
    let time = std::time::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    let write = |name: &str, bytes: &str| {
        fs::write(path(name), bytes).unwrap();
        fs::File::options().write(true).open(path(name)).unwrap().set_modified(time).unwrap();
    };
    write("a", "one");
    let mut watched = Watched::start(temp.path());
    watched.scanned().await;
    fs::remove_file(path("a")).unwrap();
    write("b", "two");
    watched.until("b is announced", |watched| watched.files.contains_key("b")).await;
    assert_eq!(watched.files["b"], content(b"two"), "the first that is said of it");
}

#[tokio::test]
async fn what_is_done_through_one_name_is_seen_under_the_others() {
    let temp = temp();
    let path = |name: &str| temp.path().join(name);
    fs::create_dir(path("d")).unwrap();
    fs::write(path("d/a"), "one").unwrap();
    let mut watched = Watched::start(temp.path());
    watched.until_files(&[("d/a", "one")]).await;
    fs::hard_link(path("d/a"), path("b")).unwrap();
    watched.until_files(&[("d/a", "one"), ("b", "one")]).await;
    fs::write(path("b"), "other").unwrap();
    watched.until_files(&[("d/a", "other"), ("b", "other")]).await;
    // Through a name that is not shared yet, and that is gone before it could be.
    fs::hard_link(path("b"), path("c")).unwrap();
    let mut file = OpenOptions::new().append(true).open(path("c")).unwrap();
    file.write_all(b"wise").unwrap();
    watched.until_files(&[]).await;
    drop(file);
    fs::remove_file(path("c")).unwrap();
    watched.until_files(&[("d/a", "otherwise"), ("b", "otherwise")]).await;
}

fn landing(name: &str) -> Landing {
    Landing { name: name.parse().unwrap(), mtime_s: 1_000_000, executable: false, replace: false }
}

#[tokio::test]
async fn files_that_landed_are_shared_without_being_hashed() {
    let temp = temp();
    let mut watched = Watched::start(temp.path());
    watched.scanned().await;
    let mut batch = Batch::new(&watched.folder).unwrap();
    // The content is a claim that only a hash would find wrong: that nobody hashes shows in its staying.
    let claimed = Content { id: ContentId([7; 32]), size: 3 };
    for name in ["d/a", "d/b"] {
        batch.add(landing(name), claimed, b"abc").unwrap();
    }
    let landed = batch.commit().into_iter().map(|(name, placed)| Landed {
        name,
        content: claimed,
        list: None,
        stamp: placed.unwrap().stamp,
    });
    let landed: Vec<_> = landed.collect();
    watched.keeper.landed(landed).await;
    assert_eq!(watched.share.totals(), (2, 6));
    fs::write(temp.path().join("end"), "end").unwrap();
    watched.until("the end", |watched| watched.files.contains_key("end")).await;
    assert_eq!(watched.files["d/a"], claimed);
    assert_eq!(watched.announced, 3);
}

#[cfg(unix)]
#[tokio::test]
async fn problems_come_and_go() {
    let temp = temp();
    let path = |name: &str| temp.path().join(name);
    let mut watched = Watched::start(temp.path());
    watched.scanned().await;
    std::os::unix::fs::symlink("/etc/passwd", path("link")).unwrap();
    File::create(path("what?")).unwrap();
    watched.until("two problems", |watched| watched.problems.len() == 2).await;
    assert!(watched.problems["link"].contains("a link"));
    fs::rename(path("what?"), path("what")).unwrap();
    fs::remove_file(path("link")).unwrap();
    fs::write(path("link"), "a file now").unwrap();
    watched.until("none", |watched| watched.problems.is_empty() && watched.files.len() == 2).await;
    let list = watched.keeper.problems().borrow().clone();
    assert_eq!(Arc::unwrap_or_clone(list), super::ProblemList::default());
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_folder_that_leaves_its_place_is_not_shared_until_it_is_back() {
    for only_landed in [false, true] {
        let temp = temp();
        let (path, elsewhere) = (temp.path().join("folder"), temp.path().join("elsewhere"));
        fs::create_dir_all(path.join("d")).unwrap();
        let mut watched =
            Watched::start_with(&path, KeeperOptions { only_landed, threads: 2, ..KeeperOptions::default() });
        watched.scanned().await;
        let mut batch = Batch::new(&watched.folder).unwrap();
        batch.add(landing("d/a"), content(b"a"), b"a").unwrap();
        let (name, placed) = batch.commit().pop().unwrap();
        let stamp = placed.unwrap().stamp;
        watched.keeper.landed(vec![Landed { name, content: content(b"a"), list: None, stamp }]).await;
        watched.until_files(&[("d/a", "a")]).await;
        fs::rename(&path, &elsewhere).unwrap();
        watched.until_files(&[]).await;
        assert!(watched.folder.is_gone());
        let mut problems = watched.keeper.problems();
        let gone =
            |list: &Arc<super::ProblemList>| matches!(list.troubles.as_slice(), [super::Trouble::Gone(_)]);
        timeout(DEADLINE, problems.wait_for(gone)).await.unwrap().unwrap();
        // Another folder in its place is nobody's business; the old one is, when it is back.
        fs::create_dir(&path).unwrap();
        fs::write(path.join("b"), "b").unwrap();
        fs::rename(&path, temp.path().join("third")).unwrap();
        fs::write(elsewhere.join("c"), "c").unwrap();
        fs::rename(&elsewhere, &path).unwrap();
        let back: &[(&str, &str)] = if only_landed { &[("d/a", "a")] } else { &[("c", "c"), ("d/a", "a")] };
        watched.until_files(back).await;
        timeout(DEADLINE, problems.wait_for(|list| list.troubles.is_empty())).await.unwrap().unwrap();
        watched.end().await;
    }
}

#[tokio::test]
async fn a_damaged_index_costs_a_hash_and_nothing_else() {
    let temp = temp();
    fs::write(temp.path().join("a"), "a").unwrap();
    fs::create_dir(temp.path().join(".brigade")).unwrap();
    fs::write(temp.path().join(".brigade/index.db"), vec![3; 9000]).unwrap();
    let mut watched = Watched::start(temp.path());
    watched.scanned().await;
    watched.until_files(&[("a", "a")]).await;
    watched.end().await;
}
