//! The target of a fetch: other file systems below the folder, and files that can never get their name and are refused
//! before the fetch.
//!
//! The tests mount their file systems (`test_disk`), which needs root.

use std::{
    fs,
    os::unix::{fs::PermissionsExt, fs::symlink, process::CommandExt},
    path::Path,
};

use crate::{
    skipped_tests::skip,
    test_disk::Disk,
    test_network::{Network, PIECE_BYTES, bytes, given, parts_in, pieces_recorded},
    test_process::{PATIENCE, Process, until},
};

/// A user without files here.
const NOBODY: u32 = 65_534;

/// Checks that no received parts are left in a folder.
#[track_caller]
fn nothing_is_left(folder: &Path) {
    assert_eq!(parts_in(folder), Vec::<std::path::PathBuf>::new());
}

/// Fetches a large and some small files to the disk at `earth/FOLDER`, and checks the result.
#[track_caller]
fn all_lands_on(network: &Network, folder: &str) {
    let film = bytes("film", 3 << 20);
    network.write(&format!("fire_user/{folder}/film.bin"), &film);
    for number in 0..40 {
        let name = format!("fire_user/{folder}/new/{}/{number}", number % 3);
        network.write(&name, &bytes(&number.to_string(), 1000 + number));
    }
    let _fire = network.holder("fire_user", "top.bin", &film[..1 << 20]);
    let names = [folder, "top.bin", "--into", "earth"];
    let totals = network.fetch(&names).with_code(0).totals();
    assert_eq!(totals["failed"], 0, "{totals}");
    network.has(&format!("earth/{folder}/film.bin"), &film);
    network.has("earth/top.bin", &film[..1 << 20]);
    for number in 0..40 {
        let name = format!("earth/{folder}/new/{}/{number}", number % 3);
        network.has(&name, &bytes(&number.to_string(), 1000 + number));
    }
    nothing_is_left(&network.path("earth"));
    assert!(!network.path(&format!("earth/{folder}/.brigade")).exists(), "the place there is removed");
    // Once more: the files exist.
    let totals = network.fetch(&names).with_code(0).totals();
    assert_eq!(totals["bytes_already"], totals["bytes"], "{totals}");
    // A file that is in the way is kept aside there.
    fs::write(network.path(&format!("earth/{folder}/film.bin")), b"mine").unwrap();
    network.fetch(&[folder, "--into", "earth", "--replace"]).with_code(0);
    network.has(&format!("earth/{folder}/film.bin"), &film);
    network.has(&format!("earth/{folder}/film.bin.~1~"), b"mine");
    nothing_is_left(&network.path("earth"));
}

#[test]
fn a_fetch_lands_on_a_disk_that_is_mounted_below_the_folder() {
    let network = Network::start();
    let Some(_disk) = Disk::in_memory(&network, "earth/disk", 16) else { return };
    all_lands_on(&network, "disk");
}

#[test]
fn a_fetch_lands_in_a_bind_mount_of_the_same_disk() {
    let network = Network::start();
    fs::create_dir(network.path("elsewhere")).unwrap();
    let Some(_disk) = Disk::bound(&network, "elsewhere", "earth/bound") else { return };
    all_lands_on(&network, "bound");
}

#[test]
fn a_fetch_lands_on_exfat() {
    let network = Network::start();
    fs::create_dir(network.path("earth")).unwrap();
    let Some(_disk) = Disk::exfat(&network, "earth/stick") else { return };
    all_lands_on(&network, "stick");
}

#[test]
fn a_fetch_lands_in_a_subvolume() {
    let network = Network::start();
    let Some(_disk) = Disk::btrfs(&network, "earth") else { return };
    all_lands_on(&network, "sub");
}

#[test]
fn a_fetch_lands_on_xfs() {
    let network = Network::start();
    let Some(_disk) = Disk::xfs(&network, "earth/disk") else { return };
    all_lands_on(&network, "disk");
}

#[test]
fn a_fetch_lands_on_an_overlay() {
    let network = Network::start();
    let Some(layers) = Disk::in_memory(&network, "layers", 32) else { return };
    let Some(_disk) = Disk::overlay(&network, "earth/disk", &layers) else { return };
    all_lands_on(&network, "disk");
}

#[test]
fn a_fetch_onto_another_disk_resumes_after_kill_9() {
    const FILM: usize = 16 << 20;
    let network = Network::start();
    let Some(_disk) = Disk::in_memory(&network, "earth/disk", 20) else { return };
    let film = bytes("film", FILM);
    let _fire = network.holder("fire_user", "disk/film.bin", &film);
    let fetch = ["disk/film.bin", "--into", "earth"];
    let first = network.run("fetch", &[&fetch[..], &["--download-limit", "6MB"]].concat());
    let disk = network.path("earth/disk");
    until("some pieces are recorded", PATIENCE, || (pieces_recorded(&disk) >= 16).then_some(()));
    first.kill();
    assert_eq!(pieces_recorded(&network.path("earth")), 0);
    // A peer does not share the parts there.
    let peer = network.peer("earth_user", &["--folder", "earth"]);
    assert_eq!(network.list("files", &[]).len(), 1);
    peer.terminate().with_code(143);
    let verified = pieces_recorded(&disk) * PIECE_BYTES;
    let totals = network.fetch(&fetch).with_code(0).totals();
    let already = totals["bytes_already"].as_u64().unwrap();
    assert!(already * 100 >= verified * 95, "{verified} bytes were verified: {totals}");
    network.has("earth/disk/film.bin", &film);
    assert!(!disk.join(".brigade").exists());
}

#[test]
fn space_is_measured_on_the_target_file_system() {
    let network = Network::start();
    let Some(_disk) = Disk::in_memory(&network, "earth/disk", 4) else { return };
    let _fire = network.holder("fire_user", "disk/film.bin", &bytes("film", 8 << 20));
    let fetch = ["disk/film.bin", "--into", "earth"];
    let refused = network.fetch(&fetch).with_code(6);
    refused.prints_error(&[
        "not enough space for \"disk/film.bin\" in ",
        "earth/disk: 8.4 MB more are needed, and 4.2 MB are free",
    ]);
    nothing_is_left(&network.path("earth/disk"));
}

#[test]
fn a_fetch_waits_for_space_on_a_full_disk() {
    let network = Network::start();
    let Some(disk) = Disk::in_memory(&network, "earth/disk", 12) else { return };
    let film = bytes("film", 8 << 20);
    let _fire = network.holder("fire_user", "disk/film.bin", &film);
    let fetch =
        network.run("fetch", &["disk/film.bin", "--into", "earth", "--download-limit", "4MB", "--json"]);
    let path = network.path("earth/disk");
    until("some pieces are recorded", PATIENCE, || (pieces_recorded(&path) >= 4).then_some(()));
    disk.fill("filler");
    fetch.prints_error("paused: the disk is full");
    fs::remove_file(path.join("filler")).unwrap();
    fetch.end().with_code(0).prints_error(&["it continues"]);
    network.has("earth/disk/film.bin", &film);
}

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
    refused.prints_error(&[
        "2 of 2 files of \"d\"",
        "earth/d cannot be written to: Permission denied",
        "d/small: ",
    ]);
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
fn a_fetch_of_an_unknown_name_changes_no_files() {
    let network = Network::start();
    let _fire = network.holder("fire_user", "film.bin", b"film");
    network.fetch(&["typo", "--into", "new/sub"]).with_code(5);
    assert!(!network.path("new").exists());
    network.write("mine/file", b"mine");
    network.fetch(&["typo", "--into", "mine"]).with_code(5);
    network.has("mine/file", b"mine");
    assert!(!network.path("mine/.brigade").exists());
    // Parts of an earlier fetch stay, and so does a key that a username is bound to.
    network.fetch(&["film.bin", "--into", "got"]).with_code(0);
    network.fetch(&["typo", "--into", "got"]).with_code(5);
    assert!(network.path("got/.brigade/key").exists() && network.path("got/.brigade/index.db").exists());
    network.fetch(&["typo", "--into", "named/sub", "--username", "earth_user"]).with_code(5);
    assert!(network.path("named/sub/.brigade/key").exists());
}
