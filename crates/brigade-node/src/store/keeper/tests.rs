//! The keeper with real files. Everything is waited for with a deadline, nothing by sleeping.
//!
//! Many of the keeper's modules also have unit tests of their own.

mod ignored_files;
mod new_device_number;
mod random_changes;
mod renames;
#[cfg(unix)] // on Windows a folder with open files cannot be renamed
mod returned_folder;

#[cfg(target_os = "linux")]
use std::process::{Command, Stdio};
use std::{
    collections::BTreeMap,
    fs::{self, OpenOptions},
    io::Write,
    path::Path,
    time::Duration,
};
#[cfg(unix)]
use std::{fs::File, sync::Arc};

use brigade_core::id::{Content, ContentId};
use tokio::{sync::mpsc, time::timeout};
use tokio_util::sync::CancellationToken;

use super::{Change, Keeper, KeeperHandle, KeeperOptions, LandedFile};
use crate::store::{folder::Folder, landing::Landing, share::Share, small_file_batch::SmallFileBatch};

/// Long enough for a loaded machine: after this time a test counts as hung.
const DEADLINE: Duration = Duration::from_secs(30);

/// The files that other peers know, from the changes that the keeper announces.
struct TestKeeper {
    folder: Folder,
    share: Share,
    handle: KeeperHandle,
    changes: mpsc::Receiver<Change>,
    stop: CancellationToken,
    files: BTreeMap<String, Content>,
    /// The name of each announcement, in their order.
    announced: Vec<String>,
    problems: BTreeMap<String, String>,
    scanned: bool,
}

impl TestKeeper {
    fn start(path: &Path) -> Self {
        Self::start_with(path, KeeperOptions { threads: 2, ..KeeperOptions::default() })
    }

    fn start_with(path: &Path, options: KeeperOptions) -> Self {
        Self::start_in(Folder::open(path).unwrap(), options)
    }

    fn start_in(folder: Folder, options: KeeperOptions) -> Self {
        let share = Share::new(folder.clone());
        let stop = CancellationToken::new();
        let (handle, changes) = Keeper::start(folder.clone(), share.clone(), options, stop.clone()).unwrap();
        let (files, problems) = (BTreeMap::new(), BTreeMap::new());
        Self { folder, share, handle, changes, stop, files, announced: vec![], problems, scanned: false }
    }

    /// Handles the next change; an error if the keeper has ended.
    async fn receive_or_end(&mut self) -> Result<(), ()> {
        match self.changes.recv().await.ok_or(())? {
            Change::Shared(files) => {
                for file in files {
                    self.announced.push(file.name.to_string());
                    self.files.insert(file.name.to_string(), file.content);
                }
            }
            Change::Gone(names) => {
                for name in names {
                    assert!(self.files.remove(name.as_str()).is_some(), "{name} was not announced");
                }
            }
            Change::Scanned => self.scanned = true,
            Change::Problem { what, reason } => {
                self.problems.insert(what, reason);
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
                self.receive_or_end().await.expect("it ended");
            }
        };
        if timeout(DEADLINE, reach).await.is_err() {
            panic!("not reached: {what}; instead {:?}, {:?}", self.files, self.problems);
        }
    }

    /// Waits until exactly these files are announced, with these contents.
    async fn until_files(&mut self, expected: &[(&str, &str)]) {
        let expected: BTreeMap<_, _> =
            expected.iter().map(|(name, bytes)| ((*name).to_owned(), content(bytes.as_bytes()))).collect();
        self.until("these files", |keeper| keeper.files == expected).await;
    }

    async fn scanned(&mut self) {
        self.until("the scan", |keeper| keeper.scanned).await;
    }

    /// Stops the keeper and waits until the index is complete.
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
async fn existing_files_are_announced_before_the_scan_ends() {
    let temp = temp();
    for file in ["a", "b/c/d", ".hidden", "b/.git/x", ".brigade/key", "bad:name"] {
        let path = temp.path().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, file).unwrap();
    }
    fs::write(temp.path().join("large"), vec![1; 5 << 20]).unwrap();
    let mut keeper = TestKeeper::start(temp.path());
    keeper.scanned().await;
    assert_eq!(keeper.files.keys().collect::<Vec<_>>(), ["a", "b/c/d", "large"]);
    assert_eq!(keeper.files["a"], content(b"a"));
    assert_eq!(keeper.files["large"], content(&vec![1; 5 << 20]));
    let large = keeper.share.find(&keeper.files["large"]).unwrap();
    assert_eq!(large.list.as_ref().unwrap().values().len(), 20);
    assert_eq!(keeper.problems.keys().collect::<Vec<_>>(), ["bad:name"]);
    assert_eq!(keeper.handle.problems().borrow().listed[0].0, "bad:name");
}

#[tokio::test]
async fn an_empty_folder_is_scanned_too() {
    let temp = temp();
    let mut keeper = TestKeeper::start(temp.path());
    keeper.scanned().await;
    assert_eq!(keeper.share.totals(), (0, 0));
}

#[tokio::test]
async fn changes_are_followed() {
    let temp = temp();
    let path = |name: &str| temp.path().join(name);
    let mut keeper = TestKeeper::start(temp.path());
    keeper.scanned().await;
    fs::write(path("a"), "one").unwrap();
    keeper.until_files(&[("a", "one")]).await;
    fs::write(path("a"), "two").unwrap();
    keeper.until_files(&[("a", "two")]).await;
    fs::create_dir_all(path("x/y")).unwrap();
    fs::write(path("x/y/z"), "deep").unwrap();
    fs::write(path("x/empty"), "").unwrap();
    keeper.until_files(&[("a", "two"), ("x/y/z", "deep"), ("x/empty", "")]).await;
    fs::rename(path("x"), path("moved")).unwrap();
    keeper.until_files(&[("a", "two"), ("moved/y/z", "deep"), ("moved/empty", "")]).await;
    // The folder is watched under its new name, too.
    fs::write(path("moved/y/new"), "new").unwrap();
    keeper
        .until_files(&[("a", "two"), ("moved/y/z", "deep"), ("moved/empty", ""), ("moved/y/new", "new")])
        .await;
    fs::remove_dir_all(path("moved")).unwrap();
    keeper.until_files(&[("a", "two")]).await;
    // An editor replaces a file by a rename.
    fs::write(path(".a.tmp"), "three").unwrap();
    fs::rename(path(".a.tmp"), path("a")).unwrap();
    keeper.until_files(&[("a", "three")]).await;
    fs::remove_file(path("a")).unwrap();
    keeper.until_files(&[]).await;
}

#[tokio::test]
async fn changes_are_followed_without_events_too() {
    let temp = temp();
    let path = |name: &str| temp.path().join(name);
    let options = KeeperOptions { watch: false, threads: 2, ..KeeperOptions::default() };
    let mut keeper = TestKeeper::start_with(temp.path(), options);
    keeper.scanned().await;
    fs::create_dir(path("d")).unwrap();
    fs::write(path("d/a"), "one").unwrap();
    fs::write(path("b"), "b").unwrap();
    keeper.until_files(&[("d/a", "one"), ("b", "b")]).await;
    fs::write(path("d/a"), "other").unwrap();
    fs::remove_file(path("b")).unwrap();
    keeper.until_files(&[("d/a", "other")]).await;
    fs::remove_dir_all(path("d")).unwrap();
    keeper.until_files(&[]).await;
}

/// Two events about one name cause one check of its last state.
#[tokio::test]
async fn a_file_and_a_folder_exchange_their_names() {
    let temp = temp();
    let elsewhere = tempfile::tempdir().unwrap();
    let path = |name: &str| temp.path().join(name);
    let mut keeper = TestKeeper::start(temp.path());
    keeper.scanned().await;
    fs::write(path("a"), "a file").unwrap();
    fs::create_dir_all(path("b/c")).unwrap();
    fs::write(path("b/c/d"), "below").unwrap();
    keeper.until_files(&[("a", "a file"), ("b/c/d", "below")]).await;
    fs::remove_file(path("a")).unwrap();
    fs::create_dir(path("a")).unwrap();
    fs::write(path("a/inner"), "inner").unwrap();
    fs::rename(path("b"), elsewhere.path().join("b")).unwrap();
    fs::write(path("b"), "a file now").unwrap();
    keeper.until_files(&[("a/inner", "inner"), ("b", "a file now")]).await;
}

#[tokio::test]
async fn a_burst_of_files_is_announced_completely() {
    let temp = temp();
    let mut keeper = TestKeeper::start(temp.path());
    keeper.scanned().await;
    for number in 0..2000 {
        let folder = temp.path().join(format!("d{}", number % 40));
        let _ = fs::create_dir(&folder);
        fs::write(folder.join(number.to_string()), number.to_string()).unwrap();
    }
    keeper.until("2000 files", |keeper| keeper.files.len() == 2000).await;
    assert_eq!(keeper.share.totals().0, 2000);
    fs::remove_dir_all(temp.path().join("d0")).unwrap();
    keeper.until("50 fewer", |keeper| keeper.files.len() == 1950).await;
}

/// The writer is another program, as usual.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_file_that_is_written_slowly_is_never_announced_half_way() {
    let temp = temp();
    let mut keeper = TestKeeper::start(temp.path());
    keeper.scanned().await;
    // The pauses are longer than each quiet time; a change of the file's time is between two writes.
    let script = "exec 3>slow; for i in 1 2 3; do printf $i >&3; sleep 1.4; done; touch -d '2001-01-01' slow; \
                  sleep 1.4; printf 4 >&3; exec 3>&-; printf done >end";
    let mut writer = Command::new("sh").args(["-c", script]).current_dir(temp.path()).spawn().unwrap();
    keeper.until_files(&[("slow", "1234"), ("end", "done")]).await;
    assert_eq!(keeper.announced.len(), 2, "each of them once");
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
    let mut keeper = TestKeeper::start(temp.path());
    keeper.scanned().await;
    keeper.until_files(&[("other", "other")]).await;
    writer.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
    keeper.until_files(&[("other", "other"), ("slow", "begun and done")]).await;
    assert_eq!(keeper.announced.len(), 2);
    writer.wait().unwrap();
}

#[tokio::test]
async fn a_shared_file_that_begins_to_change_is_withdrawn_at_once() {
    let temp = temp();
    fs::write(temp.path().join("log"), "begun").unwrap();
    let mut keeper = TestKeeper::start(temp.path());
    keeper.scanned().await;
    keeper.until_files(&[("log", "begun")]).await;
    let mut log = OpenOptions::new().append(true).open(temp.path().join("log")).unwrap();
    log.write_all(b" and").unwrap();
    keeper.until_files(&[]).await;
    log.write_all(b" done").unwrap();
    drop(log);
    keeper.until_files(&[("log", "begun and done")]).await;
}

#[tokio::test]
async fn unchanged_files_are_not_hashed_again_after_a_restart() {
    let temp = temp();
    let path = |name: &str| temp.path().join(name);
    fs::write(path("same"), "same").unwrap();
    fs::write(path("gone"), "gone").unwrap();
    fs::create_dir(path("d")).unwrap();
    fs::write(path("d/moved"), "moved").unwrap();
    let mut keeper = TestKeeper::start(temp.path());
    keeper.scanned().await;
    keeper.end().await;
    fs::remove_file(path("gone")).unwrap();
    fs::rename(path("d"), path("e")).unwrap();
    fs::write(path("new"), "new").unwrap();
    // The index gets another id for the unchanged file: a hash would find that out.
    let before = fs::metadata(path("same")).unwrap();
    let index = rusqlite::Connection::open(path(".brigade/index.db")).unwrap();
    index.execute("UPDATE files SET id = ?1 WHERE name = 'same'", [&[9u8; 32][..]]).unwrap();
    drop(index);
    let mut keeper = TestKeeper::start(temp.path());
    keeper.scanned().await;
    assert_eq!(keeper.files.keys().collect::<Vec<_>>(), ["e/moved", "new", "same"]);
    assert_eq!(keeper.files["e/moved"], content(b"moved"));
    assert_eq!(keeper.files["same"], Content { id: ContentId([9; 32]), size: before.len() });
    keeper.end().await;
}

#[cfg(unix)]
#[tokio::test]
async fn a_change_of_the_inode_alone_withdraws_nothing() {
    use std::os::unix::fs::PermissionsExt;
    let temp = temp();
    let path = |name: &str| temp.path().join(name);
    fs::write(path("a"), "a").unwrap();
    let mut keeper = TestKeeper::start(temp.path());
    keeper.scanned().await;
    fs::hard_link(path("a"), path("b")).unwrap();
    keeper.until_files(&[("a", "a"), ("b", "a")]).await;
    assert_eq!(keeper.announced.len(), 2);
    fs::set_permissions(path("a"), fs::Permissions::from_mode(0o755)).unwrap();
    let executable = |keeper: &TestKeeper, name: &str| {
        keeper.share.by_name(&name.parse().unwrap()).is_some_and(|file| file.stamp.executable)
    };
    keeper.until("the right to run it", |keeper| executable(keeper, "a") && executable(keeper, "b")).await;
    // This causes a check, which ends with the current stamp and announces nothing.
    let now = keeper.folder.stamp(&"a".parse().unwrap()).unwrap();
    keeper.announced.clear();
    fs::write(path("end"), "end").unwrap();
    keeper
        .until("the end", |keeper| {
            let checked = keeper.share.by_name(&"a".parse().unwrap()).is_some_and(|file| file.stamp == now);
            checked && keeper.files.contains_key("end")
        })
        .await;
}

/// File systems use the inode number of a deleted file for the next one, and times can be set.
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
    let mut keeper = TestKeeper::start(temp.path());
    keeper.scanned().await;
    fs::remove_file(path("a")).unwrap();
    write("b", "two");
    keeper.until("b is announced", |keeper| keeper.files.contains_key("b")).await;
    assert_eq!(keeper.files["b"], content(b"two"), "the first announcement of it");
}

#[tokio::test]
async fn a_change_through_one_hard_link_is_seen_under_the_others() {
    let temp = temp();
    let path = |name: &str| temp.path().join(name);
    fs::create_dir(path("d")).unwrap();
    fs::write(path("d/a"), "one").unwrap();
    let mut keeper = TestKeeper::start(temp.path());
    keeper.until_files(&[("d/a", "one")]).await;
    fs::hard_link(path("d/a"), path("b")).unwrap();
    keeper.until_files(&[("d/a", "one"), ("b", "one")]).await;
    fs::write(path("b"), "other").unwrap();
    keeper.until_files(&[("d/a", "other"), ("b", "other")]).await;
    // The change is made through a name that is not shared yet and is removed before it could be.
    fs::hard_link(path("b"), path("c")).unwrap();
    let mut file = OpenOptions::new().append(true).open(path("c")).unwrap();
    file.write_all(b"wise").unwrap();
    keeper.until_files(&[]).await;
    drop(file);
    fs::remove_file(path("c")).unwrap();
    keeper.until_files(&[("d/a", "otherwise"), ("b", "otherwise")]).await;
    fs::write(path(".brigadeignore"), "*.tmp\n").unwrap();
    // The change is made through a name that is never shared.
    for (number, name) in ["b.~1~", ".b", "d/.b", "b.tmp"].into_iter().enumerate() {
        fs::hard_link(path("b"), path(name)).unwrap();
        let bytes = format!("through {name} {number}");
        fs::write(path(name), &bytes).unwrap();
        keeper.until_files(&[("d/a", &bytes), ("b", &bytes)]).await;
        fs::remove_file(path(name)).unwrap();
    }
}

fn landing(name: &str) -> Landing {
    Landing { name: name.parse().unwrap(), mtime_s: 1_000_000, executable: false, replace: false }
}

#[tokio::test]
async fn files_that_landed_are_shared_without_being_hashed() {
    let temp = temp();
    let mut keeper = TestKeeper::start(temp.path());
    keeper.scanned().await;
    let mut batch = SmallFileBatch::new(&keeper.folder).unwrap();
    // The content is wrong; it stays only if the file is not hashed.
    let claimed = Content { id: ContentId([7; 32]), size: 3 };
    for name in ["d/a", "d/b"] {
        batch.add(landing(name), claimed, b"abc").unwrap();
    }
    let landed = batch.commit().into_iter().map(|(name, placed)| LandedFile {
        name,
        content: claimed,
        list: None,
        stamp: placed.unwrap().stamp,
    });
    let landed: Vec<_> = landed.collect();
    keeper.handle.landed(landed).await;
    assert_eq!(keeper.share.totals(), (2, 6));
    fs::write(temp.path().join("end"), "end").unwrap();
    keeper.until("the end", |keeper| keeper.files.contains_key("end")).await;
    assert_eq!(keeper.files["d/a"], claimed);
    assert_eq!(keeper.announced.len(), 3);
}

#[cfg(unix)]
#[tokio::test]
async fn problems_are_reported_and_solved() {
    let temp = temp();
    let path = |name: &str| temp.path().join(name);
    let mut keeper = TestKeeper::start(temp.path());
    keeper.scanned().await;
    std::os::unix::fs::symlink("/etc/passwd", path("link")).unwrap();
    File::create(path("what?")).unwrap();
    keeper.until("two problems", |keeper| keeper.problems.len() == 2).await;
    assert!(keeper.problems["link"].contains("a link"));
    fs::rename(path("what?"), path("what")).unwrap();
    fs::remove_file(path("link")).unwrap();
    fs::write(path("link"), "a file now").unwrap();
    keeper.until("none", |keeper| keeper.problems.is_empty() && keeper.files.len() == 2).await;
    let list = keeper.handle.problems().borrow().clone();
    assert_eq!(Arc::unwrap_or_clone(list), super::ProblemList::default());
}

#[tokio::test]
async fn after_a_damaged_index_files_are_hashed_again() {
    let temp = temp();
    fs::write(temp.path().join("a"), "a").unwrap();
    fs::create_dir(temp.path().join(".brigade")).unwrap();
    fs::write(temp.path().join(".brigade/index.db"), vec![3; 9000]).unwrap();
    let mut keeper = TestKeeper::start(temp.path());
    keeper.scanned().await;
    keeper.until_files(&[("a", "a")]).await;
    keeper.end().await;
}

#[cfg(unix)]
#[tokio::test]
async fn a_file_that_could_not_be_served_is_checked_at_once() {
    let (folder, outside) = (temp(), temp());
    fs::write(folder.path().join("a"), "first").unwrap();
    fs::write(folder.path().join("b"), "same").unwrap();
    let link = outside.path().join("link");
    fs::hard_link(folder.path().join("a"), &link).unwrap();
    let mut keeper = TestKeeper::start(folder.path());
    keeper.until_files(&[("a", "first"), ("b", "same")]).await;
    keeper.scanned().await;
    let shared = ["a", "b"].map(|name| keeper.share.by_name(&name.parse().unwrap()).unwrap());
    fs::write(link, "second").unwrap(); // for this, there is no event
    shared.iter().for_each(|shared| keeper.share.report_unservable(shared));
    keeper.until_files(&[("b", "same")]).await;
    keeper.until_files(&[("a", "second"), ("b", "same")]).await;
    assert_eq!(keeper.announced.len(), 3, "b was not withdrawn");
    keeper.end().await;
}
