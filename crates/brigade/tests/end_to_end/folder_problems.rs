//! Problems of the shared folder: removed, moved away, read-only, full, or with more folders than can be watched. Each
//! is reported, and nothing else fails.
//!
//! Test file systems need root; tests of limits need a user namespace.

use std::{
    fs,
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::Path,
};

use crate::{
    sharing::{SEEN, lists},
    test_disk::Disk,
    test_network::{Network, bytes},
    test_process::{Process, until},
    test_skipping::skip,
};

const GONE: &str = "is not there any more: nothing of it is shared";

/// Removes a folder that a peer may be writing to.
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
    fire.prints_error(GONE);
    network.write("fire_user/another", b"another");
    network.write("elsewhere/new", b"new");
    remove(&network.path("fire_user"));
    fs::rename(network.path("elsewhere"), network.path("fire_user")).unwrap();
    lists(&network, "", &[("d/mine", b"mine"), ("new", b"new"), ("theirs", b"theirs")]);
    fire.prints_error("is back and shared again");
    fire.terminate().with_code(143);
}

#[test]
fn a_removed_folder_ends_only_its_fetches() {
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
    fire.prints(GONE);
    let text = fire.prints("1 of 1 file could not be fetched");
    assert!(text.contains("fire_user is not there any more"), "{text}");
    network.has_file("film", 1, SEEN);
    assert!(network.list("files", &["mine"]).is_empty());
    assert_eq!(network.usernames(), ["fire_user", "water_user"]);
    fire.types("fetch film\nstatus\n");
    fire.prints("shared: 0 files");
    fire.types("q\n");
    fire.end().with_code(6);
}

#[test]
fn the_folder_of_a_fetch_with_stay_can_be_removed() {
    let network = Network::start();
    let _fire = network.holder("fire_user", "a", b"content");
    let fetch = network.run("fetch", &["a", "--into", "got", "--stay"]);
    network.has_file("a", 2, SEEN);
    remove(&network.path("got"));
    fetch.prints_error(GONE);
    network.has_file("a", 1, SEEN);
    fetch.terminate().with_code(143);
}

#[test]
fn a_folder_that_is_not_writable_is_refused_at_the_start() {
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
        ended.prints_error(&["Read-only file system", "disk/share/.brigade", "hint: "]);
    }
    // So is the path of a done file.
    let ended =
        network.run("fetch", &["mine", "--into", "new", "--done-file", "disk/done"]).end().with_code(6);
    ended.prints_error(&["disk/done", "Read-only file system"]);
    assert!(!network.path("new").exists());
}

/// As when a command was run with `sudo` once.
#[test]
fn files_of_another_account_are_reported_with_their_owner() {
    const NOBODY: u32 = 65_534;
    let network = Network::start();
    let _fire = network.holder("fire_user", "film.bin", &bytes("film", 3_000_000));
    let root = network.run("fetch", &["film.bin", "--into", "earth", "--download-limit", "100KB"]);
    let parts = network.path("earth/.brigade/parts");
    until("a part is stored", SEEN, || fs::read_dir(&parts).ok()?.next()?.ok());
    root.kill();
    let give = |path: &str, to| std::os::unix::fs::chown(network.path(path), Some(to), Some(to));
    if give("earth", NOBODY).is_err() {
        return skip("root, to be another user");
    }
    fs::create_dir(network.path("other_home")).unwrap();
    for path in ["", "/.brigade", "/.brigade/parts", "/.brigade/key", "/.brigade/lock"] {
        give(&format!("earth{path}"), NOBODY).unwrap();
    }
    give("other_home", NOBODY).unwrap();
    fs::set_permissions(network.path(""), fs::Permissions::from_mode(0o755)).unwrap();
    let as_nobody = |subcommand: &str, arguments: &[&str]| {
        let mut command = network.brigade(subcommand);
        command.args(["--manager-port", &network.port().to_string(), "--manager-key", network.key()]);
        command.args(arguments).env("BRIGADE_HOME", network.path("other_home"));
        command.uid(NOBODY).gid(NOBODY);
        Process::start(command)
    };
    let fetch = || as_nobody("fetch", &["film.bin", "--into", "earth"]).end();
    let ended = fetch();
    if ended.err.contains("Permission denied") && !ended.err.contains("earth") {
        return skip("a build that other users may run");
    }
    let ended = ended.with_code(6);
    assert!(format!("{}{}", ended.out, ended.err).contains("belongs to the account root, and this account"));
    for name in ["index.db", "places"] {
        let path = format!("earth/.brigade/{name}");
        let _ = fs::remove_file(network.path(&path));
        network.write(&path, b"");
        fs::set_permissions(network.path(&path), fs::Permissions::from_mode(0o600)).unwrap();
    }
    give("earth/.brigade/places", NOBODY).unwrap();
    let peer = as_nobody("peer", &["--headless", "--username", "earth_user", "--folder", "earth"]);
    peer.prints_error("index.db belongs to the account root: give it to this account with `chown`");
    peer.terminate().with_code(143);
    give("earth/.brigade/places", 0).unwrap();
    let command = format!("`sudo chown -R \"$(id -un)\" '{}'`", network.path("earth/.brigade").display());
    fetch().with_code(6).prints_error(&["earth/.brigade/places belongs to the account root", &command]);
    give("earth/.brigade/places", NOBODY).unwrap();
    give("earth/.brigade/key", 0).unwrap();
    fetch().with_code(6).prints_error(&["earth/.brigade/key", &command]);
}

#[test]
fn a_manager_whose_state_has_the_folder_of_a_peer_in_it_reports_it() {
    let network = Network::start();
    network.write("all/shared/film.bin", b"film");
    network.peer("fire_user", &["--folder", "all/shared"]).terminate().with_code(143);
    let mut manager = network.brigade("manager");
    manager.args(["--port", "0", "--state", "all"]);
    let manager = Process::start(manager);
    manager.prints_error("note: the folder all/shared, which a peer or a fetch has used, is in the folder ");
    manager.prints("ready\n");
    let fire = ["--headless", "--username", "fire_user", "--folder", "all/shared"];
    network.run("peer", &fire).end().with_code(6).prints_error(&["cannot be shared: "]);
    manager.terminate().with_code(143);
}

#[test]
fn a_full_disk_and_its_end_are_reported_once() {
    let network = Network::start();
    let Some(_disk) = Disk::in_memory(&network, "disk", 2) else { return };
    fs::create_dir(network.path("disk/share")).unwrap();
    let fire = network.peer("fire_user", &["--folder", "disk/share"]);
    let full = fs::write(network.path("disk/share/large"), vec![1; 4 << 20]);
    assert!(full.is_err());
    fs::File::create(network.path("disk/share/empty")).unwrap();
    network.has_file("empty", 1, SEEN);
    fire.prints_error("hashes are not stored for the next start");
    fs::remove_file(network.path("disk/share/large")).unwrap();
    fire.prints_error("hashes are stored again");
    let ended = fire.terminate().with_code(143);
    assert_eq!(ended.err.matches("hashes are not stored").count(), 1, "{}", ended.err);
}

#[test]
fn files_on_a_disk_that_becomes_read_only_are_served_but_fetches_into_it_fail() {
    let network = Network::start();
    let Some(disk) = Disk::failing(&network, "disk") else { return };
    let _water = network.holder("water_user", "theirs", b"theirs");
    network.write("disk/share/mine", b"mine");
    let mut fire = network.run("peer", &["--port", "0", "--username", "fire_user", "--folder", "disk/share"]);
    network.has_file("mine", 1, SEEN);
    disk.fail();
    fire.types("fetch theirs\n");
    fire.prints_error("1 of 1 file of \"theirs\" cannot be put into");
    fire.prints_error("Read-only file system");
    network.fetch(&["mine", "--into", "got"]).with_code(0);
    network.has("got/mine", b"mine");
    fire.prints("fetches into it fail, serving goes on");
    fire.types("q\n");
    fire.end().with_code(6);
}

/// Like a file that another program locks, or a limit on open files.
#[cfg(target_os = "linux")]
#[test]
fn files_that_cannot_be_opened_for_a_while_are_logged_and_shared_later() {
    let network = Network::start();
    let fire = network.holder("fire_user", "d/known", b"known");
    fire.may_open_files(false);
    network.write("fire_user/new", b"new");
    network.write("fire_user/d/deep", b"deep");
    let text = fire.prints_error(" what=new");
    assert!(text.contains("WARN not shared") && text.contains("too many open files"), "{text}");
    fire.prints_error("Brigade tries again");
    fire.may_open_files(true);
    lists(&network, "", &[("d/deep", b"deep"), ("d/known", b"known"), ("new", b"new")]);
    let ended = fire.terminate().with_code(143);
    assert_eq!(ended.err.matches(" what=new").count(), 1, "it is logged once, not each time\n{}", ended.err);
}

#[cfg(target_os = "linux")]
#[test]
fn unwatched_folders_are_scanned_until_they_can_be_watched() {
    use std::process::Command;

    let network = Network::start();
    for number in 0..40 {
        network.write(&format!("fire_user/d{number}/file"), b"file");
    }
    // In a new namespace, which has its own limit.
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
    fire.prints("ready\n");
    let text = fire.prints_error("changes are found by scanning the folder every few seconds");
    assert!(text.contains("fs.inotify.max_user_watches"), "{text}");
    network.write("fire_user/d39/new", b"new");
    lists(&network, "d39", &[("d39/file", b"file"), ("d39/new", b"new")]);
    let raise = format!("echo 1000 >{limit}");
    let number = fire.id().to_string();
    let raised = Command::new("nsenter")
        .args(["-U", "--preserve-credentials", "-t", &number, "sh", "-c", &raise])
        .status();
    assert!(raised.unwrap().success());
    fire.prints_error("all folders are watched again");
    fs::rename(network.path("fire_user/d39"), network.path("fire_user/moved")).unwrap();
    network.write("fire_user/moved/later", b"later");
    let expected: [(&str, &[u8]); 3] =
        [("moved/file", b"file"), ("moved/later", b"later"), ("moved/new", b"new")];
    lists(&network, "moved", &expected);
    let ended = fire.terminate().with_code(143);
    assert_eq!(ended.err.matches("every few seconds").count(), 1, "{}", ended.err);
}
