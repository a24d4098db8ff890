//! A fetch into a folder with another disk mounted below it: files land there, the fetch resumes there, and the free
//! space is measured there.
//!
//! `file_systems` tests a whole folder on such a disk. Mounting (`test_disk`) needs root.

use std::fs;

use crate::{
    test_disk::Disk,
    test_network::{Network, PIECE_BYTES, bytes, nothing_is_left, pieces_recorded},
    test_process::{PATIENCE, until},
};

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
