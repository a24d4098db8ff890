//! Names that lead out of the folder, links, unreadable files and the files of other accounts: what the folder opens and
//! what it refuses.

#[cfg(unix)]
use std::os::unix::fs::symlink;
use std::{fs, time::Duration};

use brigade_core::{
    geometry::PieceIndex,
    id::{Content, ContentId},
};

use super::{Folder, FolderError};
use crate::store::part_file::PartFile;

fn name(text: &str) -> brigade_core::name::FileName {
    text.parse().unwrap()
}

#[cfg(unix)]
#[test]
fn a_folder_replaced_by_a_link_is_not_followed() {
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("f"), "secret").unwrap();
    let temp = tempfile::tempdir().unwrap();
    fs::create_dir(temp.path().join("d")).unwrap();
    fs::write(temp.path().join("d/f"), "mine").unwrap();
    let folder = Folder::open(temp.path()).unwrap();
    assert!(folder.open_file(&name("d/f")).is_ok());
    fs::rename(temp.path().join("d"), temp.path().join("moved")).unwrap();
    symlink(outside.path(), temp.path().join("d")).unwrap();
    assert!(matches!(folder.open_file(&name("d/f")), Err(FolderError::Link { .. })));
    assert!(matches!(folder.stamp(&name("d/f")), Err(FolderError::Link { .. })));
    assert!(matches!(folder.make_parent(&name("d/new"), true), Err(FolderError::Link { .. })));
    assert!(matches!(folder.stamp(&name("d")), Err(FolderError::Link { .. })));
}

#[cfg(unix)]
#[test]
fn a_pipe_is_not_waited_for() {
    let temp = tempfile::tempdir().unwrap();
    let made = std::process::Command::new("mkfifo").arg(temp.path().join("pipe")).status();
    assert!(made.unwrap().success());
    let folder = Folder::open(temp.path()).unwrap();
    let opened = folder.open_file(&name("pipe"));
    assert!(matches!(opened, Err(FolderError::NotAFile { .. })), "{opened:?}");
}

#[test]
fn a_second_session_is_kept_out_until_the_first_ends() {
    let temp = tempfile::tempdir().unwrap();
    let first = Folder::open(temp.path()).unwrap();
    let lock = first.lock().unwrap();
    let second = Folder::open(temp.path()).unwrap();
    assert!(matches!(second.lock(), Err(FolderError::InUse { .. })));
    drop(lock);
    let still = Folder::open(temp.path()).unwrap();
    assert!(matches!(still.lock(), Err(FolderError::InUse { .. })), "a session with a handle may write");
    drop(first);
    becomes_free(&second);
}

/// This happens when a stop does not wait for a disk.
#[tokio::test]
async fn the_lock_lasts_until_the_last_writer_is_done() {
    let temp = tempfile::tempdir().unwrap();
    let folder = Folder::open(temp.path()).unwrap();
    let lock = folder.lock().unwrap();
    let content = Content { id: ContentId([7; 32]), size: 1 << 20 };
    let (part, _) = PartFile::open(&folder, &name("f"), content).unwrap();
    let (go_on, waits) = std::sync::mpsc::channel::<()>();
    let writer = std::thread::spawn(move || {
        waits.recv().unwrap();
        part.store(PieceIndex(1), vec![7; 256 << 10], |stored| stored.unwrap());
    });
    drop(folder);
    let mut alone = Box::pin(lock.alone());
    assert!(tokio::time::timeout(Duration::ZERO, &mut alone).await.is_err());
    let locked = Folder::open(temp.path()).unwrap().lock();
    assert!(matches!(locked, Err(FolderError::InUse { .. })), "{locked:?}");
    go_on.send(()).unwrap();
    tokio::time::timeout(Duration::from_secs(20), alone).await.unwrap();
    drop(lock);
    becomes_free(&Folder::open(temp.path()).unwrap());
    writer.join().unwrap();
}

/// A process that another test starts also has the locked file, until it runs its program.
#[track_caller]
fn becomes_free(folder: &Folder) {
    let deadline = std::time::Instant::now() + Duration::from_secs(30);
    while let Err(error) = folder.lock() {
        assert!(std::time::Instant::now() < deadline, "{error}");
        std::thread::yield_now();
    }
}

#[test]
fn a_folder_is_ours_once_it_was_locked() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("folder");
    let folder = Folder::create(&path).unwrap();
    assert!(folder.is_new() && !Folder::is_brigades(&path));
    let _lock = folder.lock().unwrap();
    assert!(Folder::is_brigades(&path));
    assert!(!Folder::create(&path).unwrap().is_new());
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = fs::metadata(path.join(super::PRIVATE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
    }
}

#[cfg(unix)]
#[test]
fn a_private_folder_that_is_a_link_is_refused() {
    let outside = tempfile::tempdir().unwrap();
    let temp = tempfile::tempdir().unwrap();
    symlink(outside.path(), temp.path().join(super::PRIVATE)).unwrap();
    let folder = Folder::open(temp.path()).unwrap();
    assert!(matches!(folder.private(), Err(FolderError::Link { .. })));
    assert!(matches!(folder.lock(), Err(FolderError::Link { .. })));
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
}

#[test]
fn a_moved_folder_is_gone_until_it_is_back() {
    let temp = tempfile::tempdir().unwrap();
    let (path, elsewhere) = (temp.path().join("folder"), temp.path().join("elsewhere"));
    let folder = Folder::create(&path).unwrap();
    assert!(folder.is_at_path() && !folder.is_gone());
    fs::rename(&path, &elsewhere).unwrap();
    assert!(!folder.is_at_path());
    fs::create_dir(&path).unwrap();
    assert!(!folder.is_at_path() && folder.is_gone(), "another folder is there");
    assert!(matches!(folder.make_parent(&name("a"), true), Err(FolderError::Gone { .. })));
    fs::remove_dir(&path).unwrap();
    fs::rename(&elsewhere, &path).unwrap();
    assert!(folder.is_at_path() && folder.make_parent(&name("a"), true).is_ok());
}

#[test]
fn missing_files_have_their_own_error() {
    let temp = tempfile::tempdir().unwrap();
    assert!(matches!(Folder::open(&temp.path().join("no")), Err(FolderError::Missing { .. })));
    #[cfg(target_os = "linux")]
    {
        let error = Folder::create("/proc/folder".as_ref()).map(drop).unwrap_err();
        assert!(error.to_string().starts_with("could not make the folder /proc/folder: "), "{error}");
    }
    let folder = Folder::open(temp.path()).unwrap();
    assert!(folder.open_file(&name("no/file")).unwrap_err().is_missing());
    fs::write(temp.path().join("file"), "").unwrap();
    assert!(folder.stamp(&name("file/below")).unwrap_err().is_missing());
    assert!(folder.free("").unwrap().bytes > 0);
}
