//! Files that cannot get their names: another file is in the way, the folder or its disk cannot be written to, or two
//! names differ only in case.
//!
//! Except for the last, a fetch reports them before it fetches anything. `disk_space` tests files that do not fit. Some
//! tests need root.

use std::{
    fs,
    os::unix::{fs::PermissionsExt, fs::symlink, process::CommandExt},
};

use crate::{
    test_disk::Disk,
    test_network::{Network, bytes, given, hash, nothing_is_left},
    test_process::{PATIENCE, Process, until},
    test_skipping::skip,
};

/// A user without files here.
const NOBODY: u32 = 65_534;

#[test]
fn all_files_that_can_never_land_are_reported_before_the_fetch() {
    let network = Network::start();
    for name in ["good", "is_folder", "link", "file/below", "link/below"] {
        // From the folders of several holders: no single one has both.
        let holder = if name == "link/below" { "water_user" } else { "fire_user" };
        network.write(&format!("{holder}/d/{name}"), &bytes(name, 2000));
    }
    let fire = network.peer("fire_user", &[]);
    let _water = network.peer("water_user", &[]);
    until("all is announced", PATIENCE, || (network.list("files", &["d/"]).len() == 5).then_some(()));
    fs::create_dir_all(network.path("earth/d/is_folder")).unwrap();
    symlink("nowhere", network.path("earth/d/link")).unwrap();
    network.write("earth/d/file", b"mine");
    let refused = network.fetch(&["d", "--into", "earth"]).with_code(6).prints_error(&[
        "4 of 5 files of \"d\" cannot be put into ",
        "d/is_folder: ",
        "earth/d/is_folder is a folder",
        "d/link: ",
        "earth/d/link is a link",
        "earth/d/file is a file, and a folder of that name is needed",
        "earth/d/link is a link, and a folder of that name is needed",
        "nothing was fetched; move what is in the way",
    ]);
    assert_eq!(refused.totals()["bytes"], 0);
    assert!(!network.path("earth/d/good").exists());
    nothing_is_left(&network.path("earth"));
    drop(fire);
}

#[test]
fn a_folder_that_is_not_writable_is_reported_before_the_fetch() {
    let network = Network::start();
    let film = bytes("film", 300_000);
    network.write("fire_user/d/small", b"small");
    network.write("fire_user/sticky/theirs", b"ours");
    let _fire = network.holder("fire_user", "d/film.bin", &film);
    network.write("earth/sticky/theirs", b"root's");
    fs::create_dir(network.path("earth/d")).unwrap();
    let Ok(()) = std::os::unix::fs::chown(network.path("earth"), Some(NOBODY), Some(NOBODY)) else {
        return skip("root, to be another user");
    };
    for (path, mode) in [("", 0o755), ("earth/sticky", 0o1777), ("earth/d", 0o755)] {
        fs::set_permissions(network.path(path), fs::Permissions::from_mode(mode)).unwrap();
    }
    let as_nobody = |arguments: &[&str]| {
        let mut command = network.brigade("fetch");
        command.args(["--manager-port", &network.port().to_string(), "--manager-key", network.key()]);
        command.args(arguments).args(["--into", "earth"]).env("BRIGADE_HOME", network.path("earth/home"));
        command.uid(NOBODY).gid(NOBODY);
        Process::start(command).end()
    };
    // The folder of Brigade may be closed for others.
    if !as_nobody(&["none"]).err.contains("nobody shares") {
        return skip("a build that other users may run");
    }
    let refused = as_nobody(&["d"]).with_code(6);
    let refused = refused.prints_error(&[
        "2 of 2 files of \"d\"",
        "earth/d cannot be written to: Permission denied",
        "d/film.bin and 1 other file: ",
    ]);
    assert_eq!(
        refused.err.matches("cannot be written to").count(),
        1,
        "one line for the folder\n{}",
        refused.err
    );
    fs::set_permissions(network.path("earth/d"), fs::Permissions::from_mode(0o700)).unwrap();
    let refused = as_nobody(&["d"]).with_code(6);
    refused.prints_error(&["d/film.bin and 1 other file: ", "earth/d belongs to the account root"]);
    let refused = as_nobody(&["sticky/theirs", "--replace"]).with_code(6);
    refused.prints_error(&["earth/sticky/theirs belongs to another user and cannot be renamed"]);
    network.has("earth/sticky/theirs", b"root's");
    nothing_is_left(&network.path("earth"));
}

#[test]
fn a_read_only_disk_is_reported_before_the_fetch() {
    let network = Network::start();
    let Some(disk) = Disk::in_memory(&network, "earth/disk", 4) else { return };
    disk.mount_again("ro");
    let _fire = network.holder("fire_user", "disk/small", b"small");
    let refused = network.fetch(&["disk/small", "--into", "earth"]).with_code(6);
    assert!(given(&refused.totals()).is_empty());
    refused.prints_error(&["earth/disk cannot be written to: Read-only file system"]);
}

#[test]
fn two_contents_of_one_name_are_reported_before_the_fetch() {
    let network = Network::start();
    let held = ["fire_user", "water_user"].map(|username| {
        let peer = network.holder(username, "same.bin", username.as_bytes());
        (format!("same.bin@{}", &hash(username.as_bytes())[..10]), peer)
    });
    let [(fires, _fire), (waters, _water)] = &held;
    for further in [&[][..], &["--replace"]] {
        let names = [&[fires.as_str(), waters.as_str(), "--into", "earth"], further].concat();
        let refused = network.fetch(&names).with_code(6).prints_error(&[
            "1 of 2 files of \"same.bin@",
            "same.bin: another content of it (",
            "is wanted too: fetch one of them into another folder",
        ]);
        assert_eq!(refused.totals()["bytes"], 0);
        assert!(!network.path("earth/same.bin").exists());
    }
    network.fetch(&[fires, "same.bin", "--from", "fire_user", "--into", "earth"]).with_code(0);
    network.has("earth/same.bin", b"fire_user");
}

/// On many systems the two names are one file.
#[test]
fn only_one_of_two_names_that_differ_in_case_lands() {
    let network = Network::start();
    network.write("fire/e/A.txt", b"one");
    network.write("fire/e/a.txt", b"another");
    let _fire = network.peer("fire_user", &["--folder", "fire"]);
    let ended = network.run("fetch", &["e", "--into", "earth"]).end().with_code(6);
    assert!(
        ended.err.contains("differs from e/") && ended.err.contains("only in capital letters"),
        "{}",
        ended.err
    );
    let landed = ["earth/e/A.txt", "earth/e/a.txt"].map(|name| network.path(name).exists());
    assert_eq!(landed.iter().filter(|landed| **landed).count(), 1);
}
