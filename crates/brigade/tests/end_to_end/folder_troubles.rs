//! What is said and what holds when the folder itself is in trouble: removed, moved away, read-only, full, or more than
//! can be watched. Nothing else suffers.
//!
//! File systems of a test's own need root; limits of its own, a system that lets a user have a namespace.

use std::{fs, path::Path, process::Command};

use crate::{
    disk::{Disk, skip},
    network::{Network, bytes},
    process::{Process, until},
    sharing::{SEEN, lists},
};

const GONE: &str = "is not there any more: nothing of it is shared";

/// Removes a folder that a peer may write to at the same moment.
fn remove(folder: &Path) {
    until("the folder can be removed", SEEN, || fs::remove_dir_all(folder).ok());
}

#[test]
fn a_folder_that_is_moved_away_is_not_shared_until_it_is_back() {
    let network = Network::start();
    let _water = network.holder("water_user", "theirs", b"theirs");
    let fire = network.holder("fire_user", "d/mine", b"mine");
    fs::rename(network.path("fire_user"), network.path("elsewhere")).unwrap();
    lists(&network, "", &[("theirs", b"theirs")]);
    fire.complains(GONE);
    network.write("fire_user/another", b"another");
    network.write("elsewhere/new", b"new");
    remove(&network.path("fire_user"));
    fs::rename(network.path("elsewhere"), network.path("fire_user")).unwrap();
    lists(&network, "", &[("d/mine", b"mine"), ("new", b"new"), ("theirs", b"theirs")]);
    fire.complains("is back, and shared again");
    fire.terminate().with_code(143);
}

#[test]
fn a_folder_that_is_removed_ends_its_fetches_and_nothing_else() {
    let network = Network::start();
    let film = bytes("film", 8 << 20);
    network.write("water_user/film", &film);
    let _water = network.peer("water_user", &["--upload-limit", "500KB"]);
    network.has_file("film", 1, SEEN);
    network.write("fire_user/mine", b"mine");
    let mut fire = network.run("peer", &["--port", "0", "--username", "fire_user"]);
    network.has_file("mine", 1, SEEN);
    fire.types("fetch film\n");
    until("it has begun", SEEN, || fs::read_dir(network.path("fire_user/.brigade/parts")).ok()?.next()?.ok());
    remove(&network.path("fire_user"));
    fire.says(GONE);
    let said = fire.says("1 of 1 file could not be had");
    assert!(said.contains("fire_user is not there any more"), "{said}");
    network.has_file("film", 1, SEEN);
    assert!(network.list("files", &["mine"]).is_empty());
    assert_eq!(network.usernames(), ["fire_user", "water_user"]);
    fire.types("fetch film\nstatus\n");
    fire.says("shared: 0 files");
    fire.types("q\n");
    fire.end().with_code(6);
}

#[test]
fn a_folder_that_a_fetch_stays_in_may_be_removed() {
    let network = Network::start();
    let _fire = network.holder("fire_user", "a", b"content");
    let fetch = network.run("fetch", &["a", "--into", "got", "--stay"]);
    network.has_file("a", 2, SEEN);
    remove(&network.path("got"));
    fetch.complains(GONE);
    network.has_file("a", 1, SEEN);
    fetch.terminate().with_code(143);
}

#[test]
fn a_folder_that_cannot_be_written_to_is_refused_at_the_start() {
    let network = Network::start();
    let Some(disk) = Disk::in_memory(&network, "disk", 4) else { return };
    network.write("disk/share/mine", b"mine");
    disk.mount_again("ro");
    for command in ["peer", "fetch"] {
        let arguments: &[&str] = match command {
            "peer" => &["--headless", "--username", "fire_user", "--folder", "disk/share"],
            _ => &["mine", "--into", "disk/share"],
        };
        let ended = network.run(command, arguments).end().with_code(6);
        ended.complains(&["Read-only file system", "disk/share/.brigade", "hint: "]);
    }
    // So is a place for the file that tells others of the end of a fetch.
    let ended =
        network.run("fetch", &["mine", "--into", "new", "--done-file", "disk/done"]).end().with_code(6);
    ended.complains(&["disk/done", "Read-only file system"]);
    assert!(!network.path("new").exists());
}

#[test]
fn a_full_disk_is_said_once_and_so_is_its_end() {
    let network = Network::start();
    let Some(_disk) = Disk::in_memory(&network, "disk", 2) else { return };
    fs::create_dir(network.path("disk/share")).unwrap();
    let fire = network.peer("fire_user", &["--folder", "disk/share"]);
    let full = fs::write(network.path("disk/share/large"), vec![1; 4 << 20]);
    assert!(full.is_err());
    fs::File::create(network.path("disk/share/empty")).unwrap();
    network.has_file("empty", 1, SEEN);
    fire.complains("hashes are not stored for the next start");
    fs::remove_file(network.path("disk/share/large")).unwrap();
    fire.complains("hashes are stored again");
    let ended = fire.terminate().with_code(143);
    assert_eq!(ended.err.matches("hashes are not stored").count(), 1, "{}", ended.err);
}

#[test]
fn a_disk_that_becomes_read_only_is_served_from_and_not_fetched_into() {
    let network = Network::start();
    let Some(disk) = Disk::that_can_fail(&network, "disk") else { return };
    let _water = network.holder("water_user", "theirs", b"theirs");
    network.write("disk/share/mine", b"mine");
    let mut fire = network.run("peer", &["--port", "0", "--username", "fire_user", "--folder", "disk/share"]);
    network.has_file("mine", 1, SEEN);
    disk.fail();
    fire.types("fetch theirs\n");
    fire.complains("1 of 1 file of \"theirs\" cannot be put into");
    fire.complains("Read-only file system");
    network.fetch(&["mine", "--into", "got"]).with_code(0);
    network.has("got/mine", b"mine");
    fire.says("fetches into it fail, serving goes on");
    fire.types("q\n");
    fire.end().with_code(6);
}

/// As where another program locks a file, or so many are open that no more can be.
#[cfg(target_os = "linux")]
#[test]
fn files_that_cannot_be_opened_for_a_while_are_logged_and_shared_when_they_can_be() {
    let network = Network::start();
    let fire = network.holder("fire_user", "d/known", b"known");
    fire.may_open_files(false);
    network.write("fire_user/new", b"new");
    network.write("fire_user/d/deep", b"deep");
    let said = fire.complains("\"new\"");
    assert!(said.contains("WARN not shared") && said.contains("too many open files"), "{said}");
    fire.complains("it is tried again");
    fire.may_open_files(true);
    lists(&network, "", &[("d/deep", b"deep"), ("d/known", b"known"), ("new", b"new")]);
    let ended = fire.terminate().with_code(143);
    assert_eq!(ended.err.matches("\"new\"").count(), 1, "it is logged once, not each time\n{}", ended.err);
}

#[cfg(target_os = "linux")]
#[test]
fn more_folders_than_can_be_watched_are_looked_at_and_watched_when_they_can_be() {
    let network = Network::start();
    for number in 0..40 {
        network.write(&format!("fire_user/d{number}/file"), b"file");
    }
    // In a namespace of its own, where the limit is its own.
    let limit = "/proc/sys/user/max_inotify_watches";
    let tried = Command::new("unshare").args(["-Ur", "sh", "-c", &format!("echo 20 >{limit}")]).output();
    if !tried.is_ok_and(|tried| tried.status.success()) {
        return skip("user namespaces with limits of their own");
    }
    let port = network.port().to_string();
    let mut command = Command::new("unshare");
    command.args(["-Ur", "sh", "-c", &format!("echo 20 >{limit}; exec \"$0\" \"$@\"")]);
    command.arg(env!("CARGO_BIN_EXE_brigade"));
    command.args(["peer", "--headless", "--username", "fire_user", "--manager-port", &port]);
    command.current_dir(network.path("")).env("BRIGADE_HOME", network.path("home"));
    let fire = Process::start(command);
    fire.says("ready\n");
    let said = fire.complains("changes are found by scanning the folder every few seconds");
    assert!(said.contains("fs.inotify.max_user_watches"), "{said}");
    network.write("fire_user/d39/new", b"new");
    lists(&network, "d39", &[("d39/file", b"file"), ("d39/new", b"new")]);
    let raise = format!("echo 1000 >{limit}");
    let number = fire.number().to_string();
    let raised = Command::new("nsenter")
        .args(["-U", "--preserve-credentials", "-t", &number, "sh", "-c", &raise])
        .status();
    assert!(raised.unwrap().success());
    fire.complains("all folders are watched again");
    fs::rename(network.path("fire_user/d39"), network.path("fire_user/moved")).unwrap();
    network.write("fire_user/moved/later", b"later");
    let expected: [(&str, &[u8]); 3] =
        [("moved/file", b"file"), ("moved/later", b"later"), ("moved/new", b"new")];
    lists(&network, "moved", &expected);
    let ended = fire.terminate().with_code(143);
    assert_eq!(ended.err.matches("every few seconds").count(), 1, "{}", ended.err);
}
