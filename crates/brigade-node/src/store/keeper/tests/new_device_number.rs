//! The index after the system has numbered its file systems anew: only files with another difference are hashed.
//!
//! On exFAT the files have other numbers as well; the end-to-end tests have such a disk.

use brigade_core::id::{Content, ContentId};
use rusqlite::Connection;

use super::{TestKeeper, content, fs, temp};

#[tokio::test]
async fn files_that_only_have_another_device_number_are_not_hashed_again() {
    let temp = temp();
    for name in ["same", "changed"] {
        fs::write(temp.path().join(name), name).unwrap();
    }
    let mut keeper = TestKeeper::start(temp.path());
    keeper.scanned().await;
    keeper.end().await;
    // Not the true id: a file that is announced with it was not hashed.
    let id = ContentId([7; 32]);
    let index = Connection::open(temp.path().join(".brigade/index.db")).unwrap();
    index.execute("UPDATE files SET device = device + 1, id = ?1", [&id.0[..]]).unwrap();
    index.execute("UPDATE files SET ctime_ns = ctime_ns - 1 WHERE name = 'changed'", []).unwrap();
    index.close().unwrap();
    let mut keeper = TestKeeper::start(temp.path());
    keeper.scanned().await;
    assert_eq!(keeper.files["same"], Content { id, size: 4 });
    assert_eq!(keeper.files["changed"], content(b"changed"));
}
