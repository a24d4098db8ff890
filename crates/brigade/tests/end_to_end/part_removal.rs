//! Parts of files that are not being fetched: how they are reported, and when they are removed.
//!
//! `resuming` tests that a fetch continues with existing parts; `disks_below_folder` tests parts on other disks.

use std::{
    fs,
    time::{Duration, SystemTime},
};

use crate::{
    test_network::{Network, PIECE_BYTES, bytes, parts_in, pieces_recorded},
    test_process::{PATIENCE, until},
};

/// Interrupts a fetch of `name` into the folder `earth`.
fn cut_off(network: &Network, name: &str) {
    let before = pieces_recorded(&network.path("earth"));
    let fetch = network.run("fetch", &[name, "--into", "earth", "--download-limit", "4MB"]);
    until("some pieces are recorded", PATIENCE, || {
        (pieces_recorded(&network.path("earth")) >= before + 4).then_some(())
    });
    fetch.kill();
}

#[track_caller]
fn parts_are_gone(network: &Network) {
    until("the parts are gone", PATIENCE, || parts_in(&network.path("earth")).is_empty().then_some(()));
}

#[test]
fn a_part_is_removed_when_another_content_lands_under_its_name() {
    let network = Network::start();
    let fire = network.holder("fire_user", "film.bin", &bytes("old", 8 << 20));
    cut_off(&network, "film.bin");
    fire.terminate().with_code(143);
    let new = bytes("new", 1 << 20);
    let _water = network.holder("water_user", "film.bin", &new);
    let fetch = network.run("fetch", &["film.bin", "--into", "earth", "--stay"]);
    fetch.prints("film.bin is here");
    parts_are_gone(&network);
    network.has("earth/film.bin", &new);
    fetch.terminate().with_code(143);
}

#[test]
fn a_part_is_removed_when_its_content_arrives_in_another_way() {
    let network = Network::start();
    let film = bytes("film", 8 << 20);
    let _fire = network.holder("fire_user", "film.bin", &film);
    cut_off(&network, "film.bin");
    network.write("earth/by_hand.bin", &film);
    let earth = network.peer("earth_user", &["--folder", "earth"]);
    network.has_file("by_hand.bin", 1, PATIENCE);
    earth.terminate().with_code(143);
    // The index of the folder contains it now.
    let earth = network.peer("earth_user", &["--folder", "earth"]);
    parts_are_gone(&network);
    earth.terminate().with_code(143);
}

#[test]
fn an_old_part_is_removed_and_status_counts_the_others() {
    let network = Network::start();
    network.write("fire_user/old.bin", &bytes("old", 8 << 20));
    let _fire = network.holder("fire_user", "new.bin", &bytes("new", 8 << 20));
    cut_off(&network, "old.bin");
    let day = Duration::from_secs(86_400);
    for path in parts_in(&network.path("earth")) {
        let file = fs::File::options().write(true).open(path).unwrap();
        file.set_modified(SystemTime::now() - 8 * day).unwrap();
    }
    let old = parts_in(&network.path("earth"));
    cut_off(&network, "new.bin");
    network.write("earth/.brigade/parts/notes.txt", b"mine");
    let status = |keep: &str, expected: &str| {
        let arguments =
            ["--port", "0", "--username", "earth_user", "--folder", "earth", "--keep-parts", keep];
        let mut peer = network.run("peer", &arguments);
        until(expected, PATIENCE, || {
            peer.types("status\n");
            peer.prints("manager: ").contains(expected).then_some(())
        });
        peer.types("q\n");
        peer.end().with_code(0);
    };
    status("30d", "unfinished: 2 parts of files that are not being fetched, ");
    assert!(old.iter().all(|path| path.exists()));
    status("7d", "unfinished: 1 part of files that are not being fetched, ");
    until("the old part is gone", PATIENCE, || old.iter().all(|path| !path.exists()).then_some(()));
    assert!(pieces_recorded(&network.path("earth")) >= 4, "the other one is kept");
    assert!(network.path("earth/.brigade/parts/notes.txt").exists());
    // A fetch uses existing parts of any age.
    for path in parts_in(&network.path("earth")) {
        fs::File::options().write(true).open(path).unwrap().set_modified(SystemTime::now() - day).unwrap();
    }
    let totals = network.fetch(&["new.bin", "--into", "earth", "--keep-parts", "1h"]).with_code(0).totals();
    assert!(totals["bytes_already"].as_u64().unwrap() >= 4 * PIECE_BYTES, "{totals}");
}
