//! Interrupted fetches: `kill -9`, Ctrl-C, holders that leave and come back.
//!
//! All fetches are slowed down by `--download-limit`, and are interrupted when a number of pieces is recorded, or when a
//! number of files has landed, so that no test depends on the speed of the machine.

use std::fs;

use rustix::process::Signal;
use serde_json::Value;

use crate::{
    test_network::{Network, PIECE_BYTES, bytes, free_port, given, pieces_recorded},
    test_process::{ENDING, PATIENCE, Process, SLACK, until},
};

/// The size of the fetched file: 64 pieces.
const FILM_BYTES: usize = 16 << 20;

/// A fetch of the film into `earth` that takes more than five seconds.
fn slow_fetch(network: &Network) -> Process {
    network.run("fetch", &["film.bin", "--into", "earth", "--download-limit", "3MB", "--json"])
}

/// Waits until the fetch has written this number of pieces.
#[track_caller]
fn fetched(network: &Network, pieces: u64) {
    until(&format!("{pieces} pieces are recorded"), PATIENCE, || {
        (pieces_recorded(&network.path("earth")) >= pieces).then_some(())
    });
}

/// Checks that `totals` are of a fetch that resumed when `verified` bytes existed.
#[track_caller]
fn went_on(totals: &Value, verified: u64) {
    let already = totals["bytes_already"].as_u64().unwrap();
    let crossed: u64 = given(totals).iter().map(|(_, bytes)| bytes).sum();
    assert!(verified > 0);
    assert!(already * 100 >= verified * 95, "{verified} bytes were verified: {totals}");
    assert_eq!(already + crossed, FILM_BYTES as u64, "{totals}");
}

#[test]
fn after_kill_9_the_same_command_resumes() {
    let network = Network::start();
    let film = bytes("film", FILM_BYTES);
    let _fire = network.holder("fire_user", "film.bin", &film);
    let first = slow_fetch(&network);
    fetched(&network, 12);
    first.kill();
    assert!(!network.path("earth/film.bin").exists());
    let verified = pieces_recorded(&network.path("earth")) * PIECE_BYTES;
    let totals = network.fetch(&["film.bin", "--into", "earth"]).with_code(0).totals();
    went_on(&totals, verified);
    network.has("earth/film.bin", &film);
}

#[test]
fn after_ctrl_c_the_same_command_resumes() {
    let network = Network::start();
    let film = bytes("film", FILM_BYTES);
    let _fire = network.holder("fire_user", "film.bin", &film);
    let first = slow_fetch(&network);
    fetched(&network, 16);
    first.signal(Signal::INT);
    let ended = first.end_within(ENDING + SLACK).with_code(130);
    let verified = pieces_recorded(&network.path("earth")) * PIECE_BYTES;
    let totals = ended.totals();
    assert_eq!(totals["done"], false);
    assert!(given(&totals).iter().map(|(_, bytes)| bytes).sum::<u64>() > 0, "what came is not in {totals}");
    went_on(&network.fetch(&["film.bin", "--into", "earth"]).with_code(0).totals(), verified);
    network.has("earth/film.bin", &film);
}

#[test]
fn a_fetch_at_the_prompt_goes_on_after_kill_9_of_the_peer() {
    let network = Network::start();
    let film = bytes("film", FILM_BYTES);
    let _fire = network.holder("fire_user", "film.bin", &film);
    let mut first = network.run("peer", &["--port", "0", "--username", "earth", "--download-limit", "3MB"]);
    first.types("fetch film.bin\n");
    fetched(&network, 16);
    first.kill();
    let verified = pieces_recorded(&network.path("earth")) * PIECE_BYTES;
    assert!(verified < FILM_BYTES as u64);
    network.has_peers(&["fire_user"], PATIENCE);
    let mut second = network.run("peer", &["--port", "0", "--username", "earth"]);
    second.prints("resumed: 1 fetch\n");
    // The same fetch again waits for it.
    second.types("fetch film.bin\n");
    second.end_input();
    second.end().with_code(0);
    network.has("earth/film.bin", &film);
}

#[test]
fn one_of_two_holders_may_be_killed_midway() {
    let network = Network::start();
    let film = bytes("film", FILM_BYTES);
    let _fire = network.holder("fire_user", "film.bin", &film);
    let water = network.holder("water_user", "film.bin", &film);
    network.has_file("film.bin", 2, PATIENCE);
    let fetch = slow_fetch(&network);
    fetched(&network, 24);
    water.kill();
    let totals = fetch.end().with_code(0).totals();
    network.has("earth/film.bin", &film);
    let shares = given(&totals);
    assert_eq!(shares.len(), 2, "{totals}");
    assert_eq!(shares.iter().map(|(_, bytes)| bytes).sum::<u64>(), FILM_BYTES as u64, "{totals}");
}

#[test]
fn a_fetch_waits_for_a_holder_to_come_back() {
    let network = Network::start();
    let film = bytes("film", FILM_BYTES);
    let fire = network.holder("fire_user", "film.bin", &film);
    let mut fetch = slow_fetch(&network);
    fetched(&network, 8);
    fire.kill();
    fetch.prints_error("waiting");
    assert!(fetch.is_running());
    let _fire = network.peer("fire_user", &[]);
    fetch.end().with_code(0);
    network.has("earth/film.bin", &film);
}

/// Files of other peers with this name, before and after, say nothing about its holder.
#[test]
fn a_fetch_waits_for_an_absent_holder_although_others_have_another_content() {
    let network = Network::start();
    let film = bytes("film", FILM_BYTES);
    let fire = network.holder("fire_user", "film.bin", &film);
    let _water = network.holder("water_user", "film.bin", &bytes("another film", 1000));
    let from_fire =
        ["film.bin", "--from", "fire_user", "--into", "earth", "--download-limit", "3MB", "--json"];
    let fetch = network.run("fetch", &from_fire);
    fetched(&network, 8);
    fire.kill();
    fetch.prints_error("waiting: no connected peer has the missing pieces");
    let _fire = network.peer("fire_user", &[]);
    fetch.end().with_code(0);
    network.has("earth/film.bin", &film);
}

#[test]
fn a_fetch_continues_with_another_holder() {
    let network = Network::start();
    let film = bytes("film", FILM_BYTES);
    let fire = network.holder("fire_user", "film.bin", &film);
    let fetch = slow_fetch(&network);
    fetched(&network, 8);
    fire.terminate().with_code(143);
    fetch.prints_error("waiting");
    let _water = network.holder("water_user", "film.bin", &film);
    let totals = fetch.end().with_code(0).totals();
    network.has("earth/film.bin", &film);
    let names: Vec<String> = given(&totals).into_iter().map(|(username, _)| username).collect();
    assert_eq!(names, ["fire_user", "water_user"], "{totals}");
}

#[test]
fn landed_small_files_are_not_fetched_again() {
    const FILES: usize = 400;
    let network = Network::start();
    for number in 0..FILES {
        network.write(&format!("fire_user/data/{number}"), &bytes(&number.to_string(), 20_000));
    }
    let _fire = network.peer("fire_user", &[]);
    until("all is announced", PATIENCE, || (network.list("files", &["data/"]).len() == FILES).then_some(()));
    let landed = || fs::read_dir(network.path("earth/data")).map_or(0, Iterator::count) as u64;
    let first = network.run("fetch", &["data", "--into", "earth", "--download-limit", "2MB"]);
    until("some have landed", PATIENCE, || (landed() >= 100).then_some(()));
    first.kill();
    let before = landed();
    assert!(before < FILES as u64);
    let totals = network.fetch(&["data", "--into", "earth"]).with_code(0).totals();
    let already = totals["bytes_already"].as_u64().unwrap() / 20_000;
    assert!(already * 100 >= before * 95, "{before} had landed: {totals}");
    for number in 0..FILES {
        network.has(&format!("earth/data/{number}"), &bytes(&number.to_string(), 20_000));
    }
}

#[test]
fn a_fetch_continues_without_the_manager() {
    let port = free_port().to_string();
    let mut network = Network::start_with(&["--port", &port]);
    let film = bytes("film", FILM_BYTES);
    let _fire = network.holder("fire_user", "film.bin", &film);
    let fetch = slow_fetch(&network);
    fetched(&network, 8);
    network.stop_manager().with_code(143);
    fetch.end().with_code(0);
    network.has("earth/film.bin", &film);
}

/// The bytes of a part are verified in memory before they are written; the disk has others now.
#[test]
fn a_part_that_another_program_changes_is_hashed_and_completed() {
    let network = Network::start();
    let film = bytes("film", FILM_BYTES);
    let _fire = network.holder("fire_user", "film.bin", &film);
    let fetch = slow_fetch(&network);
    fetched(&network, 8);
    let parts = crate::test_network::parts_in(&network.path("earth"));
    let part = parts.iter().find(|path| path.extension().is_some_and(|ending| ending == "part")).unwrap();
    let part = fs::OpenOptions::new().write(true).open(part).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&part, &vec![7; 3 << 20], 0).unwrap();
    fetch.end().with_code(0).prints_error(&["another program has changed"]);
    network.has("earth/film.bin", &film);
}
