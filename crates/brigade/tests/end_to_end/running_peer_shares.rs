//! Shares in place of a running peer, and the verification of its files, by commands and at its prompt.
//!
//! `shares_in_place` tests the shares of the options and the settings.

#![cfg(target_os = "linux")]

use std::{
    fs::{File, OpenOptions},
    os::unix::fs::FileExt,
    path::Path,
};

use crate::{
    test_network::{Network, bytes},
    test_process::{PATIENCE, until},
};

#[test]
fn a_folder_is_shared_in_place_until_it_is_unshared() {
    let network = Network::start();
    network.write("media/films/a.bin", b"a");
    let fire = network.peer("fire_user", &[]);
    let shared = network.start_in("media", "share", &["films", "--as", "movies"]).end().with_code(0);
    assert!(shared.out.ends_with("/media/films is shared as movies\n"), "{}", shared.out);
    network.has_file("movies/a.bin", 1, PATIENCE);
    let [share] = &network.order("shares", &["--json"]).with_code(0).json()[..] else { panic!() };
    assert_eq!(share["name"], "movies");
    let table = network.order("shares", &[]).with_code(0).out;
    assert!(table.starts_with("name") && table.contains("movies"), "{table}");
    let again = network.start_in("media", "share", &["films"]).end();
    assert!(again.code != Some(0) && again.err.contains("shared already"), "{}", again.err);
    network.order("share", &["nowhere"]).with_code(6).prints_error(&["nowhere", "hint: "]);
    // It lasts over a restart.
    fire.terminate().with_code(143);
    let mut fire = network.run("peer", &[]);
    fire.types("0\nfire_user\nshares\n");
    fire.prints("movies");
    network.has_file("movies/a.bin", 1, PATIENCE);
    fire.types("unshare movies\nshares\n");
    fire.prints("movies is no longer shared");
    fire.prints("nothing is shared in place");
    let ended = network.order("unshare", &["movies"]);
    assert!(ended.code != Some(0) && ended.err.contains("movies"), "{}", ended.err);
    fire.types("q\n");
    fire.end().with_code(0);
}

/// Changes a byte, and sets the time before again.
fn flip_byte(path: &Path) {
    let file: File = OpenOptions::new().read(true).write(true).open(path).unwrap();
    let time = file.metadata().unwrap().modified().unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, 5).unwrap();
    file.write_all_at(&[!byte[0]], 5).unwrap();
    file.set_modified(time).unwrap();
}

#[test]
fn a_damaged_file_is_named_and_repaired() {
    let network = Network::start();
    let film = bytes("film", 700_000);
    let _fire = network.holder("fire_user", "film.bin", &film);
    let _earth = network.holder("earth_user", "film.bin", &film);
    let verify =
        |arguments: &[&str]| network.order("verify", &[arguments, &["--folder", "earth_user"]].concat());
    let clean = verify(&[]).with_code(0);
    assert_eq!(
        (clean.out.as_str(), clean.err.as_str()),
        ("verified: 1 file, 700.0 kB, no file is damaged\n", "")
    );
    flip_byte(&network.path("earth_user/film.bin"));
    until("the damage is found", PATIENCE, || {
        let ended = verify(&["film.bin", "--json"]);
        let damaged = ended.json().pop()?["damaged"].as_array()?.len();
        (ended.code == Some(6) && damaged == 1).then_some(())
    });
    let found = verify(&["film.bin"]).with_code(6);
    assert!(
        found.out.contains("\n  film.bin: its bytes changed on the disk; it is no longer shared\n"),
        "{}",
        found.out
    );
    assert!(found.out.ends_with("fetched again from other holders\n"), "{}", found.out);
    let repaired = verify(&["film.bin", "--repair"]).with_code(0);
    assert!(repaired.out.contains("it was fetched again"), "{}", repaired.out);
    network.has("earth_user/film.bin", &film);
    let ended = verify(&["nothing"]);
    assert!(ended.code != Some(0) && ended.err.contains("nothing"), "{}", ended.err);
}
