//! A disk that is too small for what is fetched, or runs full on the way.
//!
//! The disks are small ones of the test's own (`disk`), for which it has to run as root.

use std::fs;

use crate::{
    disk::Disk,
    network::{Network, bytes, pieces_recorded},
    process::{PATIENCE, until},
};

#[test]
fn what_does_not_fit_is_refused_before_anything_is_fetched() {
    let network = Network::start();
    let Some(_disk) = Disk::in_memory(&network, "small", 4) else { return };
    network.write("fire_user/one.bin", &bytes("one", 2 << 20));
    network.write("fire_user/two.bin", &bytes("two", 3 << 20));
    let _fire = network.holder("fire_user", "film.bin", &bytes("film", 8 << 20));
    network.fetch(&["film.bin", "--into", "small/in"]).with_code(6).complains(&[
        "not enough space for \"film.bin\" in ",
        "small/in: it takes 8.4 MB more, and ",
        "MB are free",
        "nothing was fetched",
    ]);
    // Each of them would fit, and both together do not.
    let both = ["one.bin", "two.bin", "--into", "small/in"];
    network.fetch(&both).with_code(6).complains(&["it takes 5.2 MB more"]);
    assert!(!network.path("small/in").exists(), "what it made for nothing is left");
    network.fetch(&["one.bin", "--into", "small/in"]).with_code(0);
    network.has("small/in/one.bin", &bytes("one", 2 << 20));
    // What is there needs no room any more.
    fs::remove_file(network.path("fire_user/two.bin")).unwrap();
    network.fetch(&["one.bin", "--into", "small/in"]).with_code(0);
}

#[test]
fn what_is_on_the_disk_already_is_not_reckoned_a_second_time() {
    let network = Network::start();
    let Some(_disk) = Disk::in_memory(&network, "small", 24) else { return };
    let (one, two) = (bytes("one", 10 << 20), bytes("two", 10 << 20));
    network.write("fire_user/one.bin", &one);
    let _fire = network.holder("fire_user", "two.bin", &two);
    network.fetch(&["one.bin", "--into", "small/in"]).with_code(0);
    let cut_off = network.run("fetch", &["two.bin", "--into", "small/in", "--download-limit", "4MB"]);
    until("half of it is recorded", PATIENCE, || {
        (pieces_recorded(&network.path("small/in")) >= 20).then_some(())
    });
    cut_off.kill();
    // Nothing is known of them but what lies there.
    for file in ["index.db", "index.db-wal", "index.db-shm"] {
        let _ = fs::remove_file(network.path("small/in/.brigade").join(file));
    }
    network.fetch(&["one.bin", "two.bin", "--into", "small/in"]).with_code(0);
    network.has("small/in/two.bin", &two);
}

#[test]
fn a_file_that_makes_way_needs_room_beside_the_one_that_comes() {
    let network = Network::start();
    let Some(_disk) = Disk::in_memory(&network, "small", 12) else { return };
    let (old, new) = (bytes("old", 8 << 20), bytes("new", 8 << 20));
    let _fire = network.holder("fire_user", "film.bin", &new);
    network.write("small/in/film.bin", &old);
    let replaced = network.fetch(&["film.bin", "--into", "small/in", "--replace"]);
    replaced.with_code(6).complains(&["it takes 8.4 MB more"]);
    network.has("small/in/film.bin", &old);
}

#[test]
fn a_disk_that_runs_full_midway_is_waited_for() {
    let network = Network::start();
    let Some(disk) = Disk::in_memory(&network, "small", 16) else { return };
    let film = bytes("film", 8 << 20);
    let _fire = network.holder("fire_user", "film.bin", &film);
    let fetch =
        network.run("fetch", &["film.bin", "--into", "small/in", "--download-limit", "2MB", "--json"]);
    until("some pieces are recorded", PATIENCE, || {
        (pieces_recorded(&network.path("small/in")) >= 4).then_some(())
    });
    disk.fill("filler");
    fetch.complains("paused: the disk is full");
    fs::remove_file(network.path("small/filler")).unwrap();
    let totals = fetch.end().with_code(0).complains(&["it goes on"]).totals();
    network.has("small/in/film.bin", &film);
    let crossed = crate::network::given(&totals).iter().map(|(_, bytes)| bytes).sum::<u64>();
    assert!(crossed < film.len() as u64 * 3 / 2, "most of what was verified is kept: {totals}");
}

#[test]
fn a_full_table_of_inodes_is_no_full_disk() {
    let network = Network::start();
    let Some(_disk) = Disk::of_few_inodes(&network, "small", 60) else { return };
    for number in 0..80 {
        network.write(&format!("fire_user/data/{number}"), &bytes(&number.to_string(), 2000));
    }
    let _fire = network.peer("fire_user", &[]);
    network.has_file("data/0", 1, PATIENCE);
    let refused = network.fetch(&["data", "--into", "small/in"]).with_code(6);
    refused.complains(&["no inodes are left for its files; it takes 84 more, and ", "delete files there"]);
    assert!(!network.path("small/in/data").exists());
}

#[test]
fn a_fetch_goes_on_when_there_are_inodes_again() {
    let network = Network::start();
    let Some(_disk) = Disk::of_few_inodes(&network, "small", 300) else { return };
    for number in 0..200 {
        network.write(&format!("fire_user/data/{number}"), &bytes(&number.to_string(), 20_000));
    }
    let _fire = network.peer("fire_user", &[]);
    until("all is announced", PATIENCE, || (network.list("files", &["data/"]).len() == 200).then_some(()));
    let fetch = network.run("fetch", &["data", "--into", "small/in", "--download-limit", "1MB", "--json"]);
    let landed = || fs::read_dir(network.path("small/in/data")).map_or(0, Iterator::count);
    until("some have landed", PATIENCE, || (landed() >= 20).then_some(()));
    let fillers = (0..).map(|number| network.path(&format!("small/filler{number}")));
    let made: Vec<_> = fillers.map_while(|path| fs::File::create(&path).ok().map(|_| path)).collect();
    fetch.complains("paused: no inodes are left on the disk");
    made.iter().for_each(|path| fs::remove_file(path).unwrap());
    let totals = fetch.end().with_code(0).totals();
    assert_eq!((&totals["done"], &totals["failed"]), (&true.into(), &0.into()), "{totals}");
    assert_eq!(landed(), 200);
}

#[test]
fn a_folder_of_small_files_goes_on_when_there_is_room() {
    const FILES: usize = 300;
    let network = Network::start();
    let Some(disk) = Disk::in_memory(&network, "small", 16) else { return };
    for number in 0..FILES {
        network.write(&format!("fire_user/data/{number}"), &bytes(&number.to_string(), 20_000));
    }
    let _fire = network.peer("fire_user", &[]);
    let fetch = network.run("fetch", &["data", "--into", "small/in", "--download-limit", "2MB", "--json"]);
    let landed = || fs::read_dir(network.path("small/in/data")).map_or(0, Iterator::count);
    until("some have landed", PATIENCE, || (landed() >= 20).then_some(()));
    disk.fill("filler");
    fetch.complains("paused: the disk is full");
    assert!(landed() < FILES);
    fs::remove_file(network.path("small/filler")).unwrap();
    let totals = fetch.end().with_code(0).totals();
    assert_eq!((&totals["done"], &totals["failed"]), (&true.into(), &0.into()), "{totals}");
    let crossed = crate::network::given(&totals).iter().map(|(_, bytes)| bytes).sum::<u64>();
    assert!(crossed < 20_000 * FILES as u64 * 2, "on a full disk little is asked for: {totals}");
    for number in 0..FILES {
        network.has(&format!("small/in/data/{number}"), &bytes(&number.to_string(), 20_000));
    }
}
