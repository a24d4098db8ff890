//! Shares in place: a read-only disk with thousands of files, a disk that comes and goes, shares of the settings, and
//! shares that are refused.
//!
//! What is refused in detail, and shares that are added while a peer runs, are tested in `brigade-node`.

use std::fs;

use crate::{
    sharing::{SEEN, lists},
    test_disk::Disk,
    test_network::{Network, bytes, hash},
    test_process::{PATIENCE, Process, until},
};

/// Files on the read-only disk, and the bytes of each.
const FILES: usize = 3000;
const FILE_BYTES: usize = 5000;

/// The bytes that a process has read so far, from files and elsewhere; `None` if the system does not report them.
fn bytes_read(process: &Process) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{}/io", process.id())).ok()?;
    text.lines().find_map(|line| line.strip_prefix("rchar: ")?.parse().ok())
}

#[test]
fn a_read_only_disk_is_served_and_the_next_start_hashes_nothing() {
    let network = Network::start();
    for number in 0..FILES {
        network.write(&format!("disk/d{}/f{number}", number % 30), &bytes(&number.to_string(), FILE_BYTES));
    }
    let Some(disk) = Disk::bound(&network, "disk", "media") else { return };
    disk.mount_again("bind,ro");
    assert!(fs::write(network.path("media/new"), "").is_err(), "it is not read-only");
    let share = ["--share", "media=photos"];
    let all = (FILES * FILE_BYTES) as u64;
    let fire = network.peer("fire_user", &share);
    assert!(bytes_read(&fire).is_none_or(|read| read >= all));
    assert_eq!(network.list("files", &["photos/"]).len(), FILES);
    network.fetch(&["photos/d7", "--into", "fetched"]).with_code(0);
    network.has("fetched/photos/d7/f37", &bytes("37", FILE_BYTES));
    fire.terminate().with_code(143);
    let fire = network.peer("fire_user", &share);
    assert_eq!(network.list("files", &["photos/"]).len(), FILES);
    if let Some(read) = bytes_read(&fire) {
        assert!(read < all / 2, "it has read {read} bytes, and its files have {all}");
    }
}

#[test]
fn a_disk_that_is_unmounted_is_withdrawn_and_comes_back() {
    let network = Network::start();
    network.write("disk/film", b"a film");
    let Some(disk) = Disk::bound(&network, "disk", "media") else { return };
    let fire = network.peer("fire_user", &["--share", "media"]);
    lists(&network, "", &[("media/film", b"a film")]);
    drop(disk);
    lists(&network, "", &[]);
    fire.prints_error("nothing of the share media is shared now");
    // The empty folder below the disk is shared meanwhile.
    let _disk = Disk::bound(&network, "disk", "media").unwrap();
    lists(&network, "", &[("media/film", b"a film")]);
    network.write("disk/more", b"more");
    lists(&network, "", &[("media/film", b"a film"), ("media/more", b"more")]);
}

#[test]
fn shares_of_the_settings_are_served_beside_those_of_the_options() {
    let network = Network::start();
    for (path, text) in [("one/a", "a"), ("two/b", "b"), ("single.txt", "c")] {
        network.write(path, text.as_bytes());
    }
    let path = |below: &str| network.path(below).display().to_string();
    let settings = format!(
        "[[peer.share]]\npath = '{}'\n[[peer.share]]\npath = '{}'\nname = 'Note'\n",
        path("one"),
        path("single.txt")
    );
    network.write("home/brigade.toml", settings.as_bytes());
    let _fire = network.peer("fire_user", &["--share", "two=Two", "--share", "one=One"]);
    lists(&network, "", &[("Note", b"c"), ("One/a", b"a"), ("Two/b", b"b")]);
    assert_eq!(fs::read_dir(network.path("one")).unwrap().count(), 1, "something was written");
    // Nothing is fetched into a share.
    network.write("water_user/Two/c", b"other");
    let _water = network.peer("water_user", &[]);
    let fetched = until("the file is listed", SEEN, || {
        let listed = network.list("files", &["Two/c"]);
        listed.first().map(|file| file["id"].clone())
    });
    assert_eq!(fetched, hash(b"other"));
}

#[test]
fn shares_that_are_refused_end_the_command_with_the_reason() {
    let network = Network::start();
    network.write("fire_user/photos/x", b"x");
    network.write("photos/y", b"y");
    let run = |arguments: &[&str]| {
        let all = [&["--headless", "--username", "fire_user"][..], arguments].concat();
        network.run("peer", &all).end_within(PATIENCE)
    };
    run(&["--share", "photos"]).with_code(6).prints_error(&["has this name", "PATH=NAME"]);
    run(&["--share", "fire_user/photos=p"]).with_code(6).prints_error(&["it is in "]);
    run(&["--share", "photos=a", "--share", "photos=b"]).with_code(6).prints_error(&["shared already"]);
    run(&["--share", "photos=.p"]).with_code(2).prints_error(&["begins with a dot"]);
    run(&["--share", "photos=a:b", "--share", "=c"]).with_code(2).prints_error(&["a:b", "before the `=`"]);
    network.write("home/brigade.toml", b"[[peer.share]]\npth = '/x'\n");
    run(&[]).with_code(2).prints_error(&["2:1", "`pth` is not a key of a share", "has no `path`"]);
    let peer = network.path("fire_user");
    assert!(!peer.join(".brigade").exists(), "nothing was started");
}
