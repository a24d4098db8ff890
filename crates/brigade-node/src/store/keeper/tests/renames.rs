//! Files that are renamed, and written before or after that.
//!
//! The stamp of a file that was written does not show it if its old time was set again; the events do.

use std::fs;

use super::{TestKeeper, temp};

/// As programs do that rotate their logs.
#[tokio::test]
async fn a_renamed_file_is_announced_at_once_though_its_old_name_is_written_again() {
    let temp = temp();
    let path = |name: &str| temp.path().join(name);
    fs::write(path("log"), "old").unwrap();
    let mut keeper = TestKeeper::start(temp.path());
    keeper.scanned().await;
    fs::rename(path("log"), path("log.1")).unwrap();
    fs::write(path("log"), "new").unwrap();
    fs::write(path("after"), "after").unwrap(); // it has to be hashed
    keeper.until("the new name", |keeper| keeper.files.contains_key("log.1")).await;
    assert_eq!(
        keeper.files.keys().collect::<Vec<_>>(),
        ["log.1"],
        "the others wait until nothing is written"
    );
    keeper.until_files(&[("after", "after"), ("log", "new"), ("log.1", "old")]).await;
}

#[cfg(unix)] // Windows keeps no time of the last change that a program cannot set
mod with_the_old_time {
    use std::{
        fs::{self, OpenOptions},
        io::Write,
        path::Path,
    };

    use crate::store::keeper::tests::{TestKeeper, content, temp};

    fn numbers() -> impl Iterator<Item = String> {
        (0..20).map(|number| number.to_string())
    }

    /// A keeper of the files 0 to 19, which it has announced.
    async fn twenty_files(folder: &Path) -> TestKeeper {
        for number in numbers() {
            fs::write(folder.join(&number), format!("old {number}")).unwrap();
        }
        let mut keeper = TestKeeper::start(folder);
        keeper.scanned().await;
        keeper
    }

    /// Writes `text`, which is as long as the old one, and sets the time before that again.
    fn write_with_the_old_time(path: &Path, text: &str) {
        let mut file = OpenOptions::new().write(true).open(path).unwrap();
        let time = file.metadata().unwrap().modified().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file.set_modified(time).unwrap();
    }

    #[tokio::test]
    async fn a_file_that_was_written_and_renamed_has_its_new_content_under_the_new_name() {
        let temp = temp();
        let path = |name: &str| temp.path().join(name);
        let mut keeper = twenty_files(temp.path()).await;
        for number in numbers() {
            write_with_the_old_time(&path(&number), &format!("new {number}"));
            fs::rename(path(&number), path(&format!("renamed {number}"))).unwrap();
        }
        keeper
            .until("all have their new content", |keeper| {
                let content_of = |number: &String| keeper.files.get(&format!("renamed {number}"));
                for number in numbers() {
                    let expected = content(format!("new {number}").as_bytes());
                    assert!(
                        content_of(&number).is_none_or(|found| *found == expected),
                        "{number} has its old content"
                    );
                }
                numbers().all(|number| content_of(&number).is_some())
            })
            .await;
    }

    #[tokio::test]
    async fn a_file_that_was_renamed_and_then_written_has_its_new_content() {
        let temp = temp();
        let path = |name: &str| temp.path().join(name);
        let mut keeper = twenty_files(temp.path()).await;
        for number in numbers() {
            let renamed = path(&format!("renamed {number}"));
            fs::rename(path(&number), &renamed).unwrap();
            write_with_the_old_time(&renamed, &format!("new {number}"));
        }
        let expected = |number: &String| content(format!("new {number}").as_bytes());
        keeper
            .until("all have their new content", |keeper| {
                let found = |number: &String| keeper.files.get(&format!("renamed {number}"));
                numbers().all(|number| found(&number).is_some_and(|found| *found == expected(&number)))
            })
            .await;
    }
}
