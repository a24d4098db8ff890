//! A fetch into a folder on exFAT, XFS, Btrfs with a subvolume, or an overlay, and a peer that serves from there.
//!
//! `disks_below_folder` tests such file systems below the folder, and `folder_model` a folder on exFAT with random
//! changes. Mounting needs root.

use std::{
    collections::BTreeMap,
    fs::{self, OpenOptions},
    io::{Seek, SeekFrom, Write},
    os::unix::fs::PermissionsExt,
    path::Path,
    process::Command,
    time::{Duration, SystemTime},
};

use crate::{
    test_disk::Disk,
    test_network::{Network, PIECE_BYTES, bytes, hash, pieces_recorded},
    test_process::{PATIENCE, Process, until},
};

const SMALL_FILES: usize = 90;
const FILM_BYTES: usize = 16 << 20;

/// Writes many small files and a large one below `folder`, and one beside it.
fn write_files(network: &Network, root: &str, folder: &str) {
    for number in 0..SMALL_FILES {
        let name = format!("{root}/{folder}/{}/{number}", number % 3);
        network.write(&name, &bytes(&number.to_string(), 100 + number));
    }
    network.write(&format!("{root}/{folder}/film.bin"), &bytes("film", FILM_BYTES));
    network.write(&format!("{root}/top.bin"), &bytes("top", 300_000));
}

/// The names and ids of the files in a folder.
fn ids_in(root: &Path) -> BTreeMap<String, String> {
    let mut ids = BTreeMap::new();
    let mut folders = vec![(root.to_owned(), String::new())];
    while let Some((folder, prefix)) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let name = format!("{prefix}{}", entry.file_name().to_str().unwrap());
            if name == ".brigade" {
                continue;
            }
            if entry.file_type().unwrap().is_dir() {
                folders.push((entry.path(), format!("{name}/")));
            } else {
                ids.insert(name, hash(&fs::read(entry.path()).unwrap()));
            }
        }
    }
    ids
}

/// Waits until the catalogue has exactly the files of `fire_user`.
#[track_caller]
fn catalogue_follows(network: &Network) {
    let expected = ids_in(&network.path("fire_user"));
    until(&format!("the catalogue has {expected:#?}"), PATIENCE, || {
        let text = |file: &serde_json::Value, key: &str| file[key].as_str().unwrap().to_owned();
        let listed = network.list("files", &[]);
        let listed: BTreeMap<_, _> =
            listed.iter().map(|file| (text(file, "name"), text(file, "id"))).collect();
        (listed == expected).then_some(())
    });
}

/// Moves a file or a folder, also to another file system.
#[track_caller]
fn move_to(from: &Path, to: &Path) {
    assert!(Command::new("mv").args([from, to]).status().unwrap().success());
}

/// Overwrites the end of a file. Its length stays, and its time too if `keep_time`.
fn overwrite_end(path: &Path, bytes: &[u8], keep_time: bool) {
    let mut file = OpenOptions::new().write(true).open(path).unwrap();
    let time = file.metadata().unwrap().modified().unwrap();
    file.seek(SeekFrom::End(-i64::try_from(bytes.len()).unwrap())).unwrap();
    file.write_all(bytes).unwrap();
    if keep_time {
        file.set_modified(time).unwrap();
    }
}

/// Changes files in every way that each file system allows.
fn change_files(network: &Network, folder: &str) {
    let root = network.path("fire_user");
    let path = |name: &str| root.join(folder).join(name);
    OpenOptions::new().append(true).open(path("0/3")).unwrap().write_all(b"more").unwrap();
    overwrite_end(&path("1/4"), b"other", false);
    overwrite_end(&path("2/5"), b"other", true);
    overwrite_end(&path("film.bin"), &bytes("other", 5000), true);
    overwrite_end(&path("0/18"), b"other", true); // then it is away and back before the change is handled
    fs::rename(path("0/18"), path("0/away")).unwrap();
    fs::rename(path("0/away"), path("0/18")).unwrap();
    OpenOptions::new().write(true).open(path("0/6")).unwrap().set_len(50).unwrap();
    fs::write(path(".new"), b"replaced").unwrap();
    fs::rename(path(".new"), path("0/9")).unwrap();
    fs::remove_file(path("1/7")).unwrap();
    move_to(&path("2/8"), &path("0/moved"));
    move_to(&path("0/12"), &path("0/15")); // which exists
    move_to(&path("1"), &path("moved"));
    fs::remove_dir_all(path("2")).unwrap();
    fs::create_dir(path("2")).unwrap();
    fs::write(path("2/new"), b"new").unwrap();
    move_to(&root.join("top.bin"), &path("top.bin"));
    move_to(&path("moved/10"), &root.join("10"));
}

/// The bytes that a process has read.
#[track_caller]
fn bytes_read(process: &Process) -> u64 {
    let counts = fs::read_to_string(format!("/proc/{}/io", process.id())).unwrap();
    counts.lines().find_map(|line| line.strip_prefix("rchar: ")).unwrap().parse().unwrap()
}

/// Serves the files of `fire_user`, which `write_files` has written, changes them, and fetches them elsewhere.
#[track_caller]
fn is_served(network: &Network, folder: &str) {
    let fire = network.peer("fire_user", &[]);
    catalogue_follows(network);
    change_files(network, folder);
    catalogue_follows(network);
    let totals = network.fetch(&[folder, "10", "--into", "got"]).with_code(0).totals();
    assert_eq!(totals["failed"], 0, "{totals}");
    assert!(ids_in(&network.path("got")) == ids_in(&network.path("fire_user")));
    // The next session knows the files, and those that were changed in the meantime are hashed.
    fire.terminate().with_code(143);
    fs::write(network.path("fire_user").join(folder).join("0/0"), b"changed meanwhile").unwrap();
    let fire = network.peer("fire_user", &[]);
    catalogue_follows(network);
    // Hashes that began with the start are over when a file that was written later is shared.
    network.write("fire_user/later", b"written later");
    catalogue_follows(network);
    let read = bytes_read(&fire);
    assert!(read < FILM_BYTES as u64 / 2, "{read} bytes were read: files were hashed again");
    fs::remove_file(network.path("fire_user").join(folder).join("film.bin")).unwrap();
    catalogue_follows(network);
}

/// Fetches files into `earth`, is killed, and fetches the rest.
#[track_caller]
fn a_fetch_resumes_there(network: &Network) {
    write_files(network, "fire_user", "all");
    let _fire = network.peer("fire_user", &[]);
    catalogue_follows(network);
    let fetch = ["all", "top.bin", "--into", "earth"];
    let first = network.run("fetch", &[&fetch[..], &["--download-limit", "6MB"]].concat());
    let earth = network.path("earth");
    until("some pieces are recorded", PATIENCE, || (pieces_recorded(&earth) >= 16).then_some(()));
    first.kill();
    let verified = pieces_recorded(&earth) * PIECE_BYTES;
    let totals = network.fetch(&fetch).with_code(0).totals();
    let already = totals["bytes_already"].as_u64().unwrap();
    assert!(already * 100 >= verified * 95, "{verified} bytes were verified: {totals}");
    let mut got = ids_in(&earth);
    got.retain(|name, _| !name.starts_with("lost+found"));
    assert!(got == ids_in(&network.path("fire_user")));
    assert_eq!(fs::read_dir(earth.join(".brigade/parts")).unwrap().count(), 0);
}

#[test]
fn a_folder_on_exfat_is_served() {
    let network = Network::start();
    let Some(_disk) = Disk::exfat(&network, "fire_user") else { return };
    write_files(&network, "fire_user", "all");
    is_served(&network, "all");
}

#[test]
fn a_folder_on_xfs_is_served() {
    let network = Network::start();
    let Some(_disk) = Disk::xfs(&network, "fire_user") else { return };
    write_files(&network, "fire_user", "all");
    is_served(&network, "all");
}

#[test]
fn a_folder_with_a_subvolume_is_served() {
    let network = Network::start();
    let Some(_disk) = Disk::btrfs(&network, "fire_user") else { return };
    write_files(&network, "fire_user", "sub");
    is_served(&network, "sub");
}

/// The files are in the lower layer, and are copied up when they are changed.
#[test]
fn a_folder_on_an_overlay_is_served() {
    let network = Network::start();
    let Some(layers) = Disk::in_memory(&network, "layers", 64) else { return };
    write_files(&network, "layers/lower", "all");
    let Some(_disk) = Disk::overlay(&network, "fire_user", &layers) else { return };
    is_served(&network, "all");
}

#[test]
fn a_fetch_into_exfat_resumes_after_kill_9() {
    let network = Network::start();
    let Some(_disk) = Disk::exfat(&network, "earth") else { return };
    a_fetch_resumes_there(&network);
}

/// The driver ignores a call that sets only the time of the last change. It stores no permissions.
#[test]
fn files_that_are_fetched_into_exfat_have_the_times_of_their_source() {
    let network = Network::start();
    let Some(_disk) = Disk::exfat(&network, "earth") else { return };
    let written = SystemTime::UNIX_EPOCH + Duration::from_secs(1_500_000_000);
    let files =
        [("film.bin", bytes("film", 600_000)), ("run.sh", b"#!/bin/sh\n".to_vec()), ("empty", vec![])];
    for (name, content) in &files {
        let name = format!("fire_user/data/{name}");
        network.write(&name, content);
        OpenOptions::new().write(true).open(network.path(&name)).unwrap().set_modified(written).unwrap();
    }
    fs::set_permissions(network.path("fire_user/data/run.sh"), fs::Permissions::from_mode(0o755)).unwrap();
    let _fire = network.peer("fire_user", &[]);
    catalogue_follows(&network);
    network.fetch(&["data", "--into", "earth"]).with_code(0);
    for (name, content) in &files {
        let name = format!("earth/data/{name}");
        network.has(&name, content);
        assert_eq!(fs::metadata(network.path(&name)).unwrap().modified().unwrap(), written, "{name}");
    }
}

#[test]
fn a_fetch_into_xfs_resumes_after_kill_9() {
    let network = Network::start();
    let Some(_disk) = Disk::xfs(&network, "earth") else { return };
    a_fetch_resumes_there(&network);
}

#[test]
fn a_fetch_into_btrfs_resumes_after_kill_9() {
    let network = Network::start();
    let Some(_disk) = Disk::btrfs(&network, "earth") else { return };
    a_fetch_resumes_there(&network);
}

#[test]
fn a_fetch_into_an_overlay_resumes_after_kill_9() {
    let network = Network::start();
    let Some(layers) = Disk::in_memory(&network, "layers", 64) else { return };
    let Some(_disk) = Disk::overlay(&network, "earth", &layers) else { return };
    a_fetch_resumes_there(&network);
}
