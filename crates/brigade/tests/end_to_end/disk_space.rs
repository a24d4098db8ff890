//! A disk that is too small for a fetch, or becomes full during one; and the full disk of a manager.
//!
//! The tests mount small disks (`test_disk`), which needs root.

use std::fs;

use crate::{
    test_disk::Disk,
    test_network::{Network, bytes, pieces_recorded},
    test_process::{PATIENCE, Process, until},
};

#[test]
fn a_fetch_that_does_not_fit_is_refused_before_it_begins() {
    let network = Network::start();
    let Some(_disk) = Disk::in_memory(&network, "small", 4) else { return };
    network.write("fire_user/one.bin", &bytes("one", 2 << 20));
    network.write("fire_user/two.bin", &bytes("two", 3 << 20));
    let _fire = network.holder("fire_user", "film.bin", &bytes("film", 8 << 20));
    network.fetch(&["film.bin", "--into", "small/in"]).with_code(6).prints_error(&[
        "not enough space for \"film.bin\" in ",
        "small/in: 8.4 MB more are needed, and ",
        "MB are free",
        "nothing was fetched",
    ]);
    // Each of them alone would fit, but not both.
    let both = ["one.bin", "two.bin", "--into", "small/in"];
    network.fetch(&both).with_code(6).prints_error(&["5.2 MB more are needed"]);
    assert!(!network.path("small/in").exists(), "what it made for nothing is left");
    network.fetch(&["one.bin", "--into", "small/in"]).with_code(0);
    network.has("small/in/one.bin", &bytes("one", 2 << 20));
    // Existing bytes need no space.
    fs::remove_file(network.path("fire_user/two.bin")).unwrap();
    network.fetch(&["one.bin", "--into", "small/in"]).with_code(0);
}

#[test]
fn existing_bytes_are_not_counted_again() {
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
    // Only the files themselves show what they are.
    for file in ["index.db", "index.db-wal", "index.db-shm"] {
        let _ = fs::remove_file(network.path("small/in/.brigade").join(file));
    }
    network.fetch(&["one.bin", "two.bin", "--into", "small/in"]).with_code(0);
    network.has("small/in/two.bin", &two);
}

#[test]
fn a_kept_aside_file_needs_space_too() {
    let network = Network::start();
    let Some(_disk) = Disk::in_memory(&network, "small", 12) else { return };
    let (old, new) = (bytes("old", 8 << 20), bytes("new", 8 << 20));
    let _fire = network.holder("fire_user", "film.bin", &new);
    network.write("small/in/film.bin", &old);
    let replaced = network.fetch(&["film.bin", "--into", "small/in", "--replace"]);
    replaced.with_code(6).prints_error(&["8.4 MB more are needed"]);
    network.has("small/in/film.bin", &old);
}

#[test]
fn a_fetch_waits_when_the_disk_becomes_full() {
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
    fetch.prints_error("paused: the disk is full");
    fs::remove_file(network.path("small/filler")).unwrap();
    let totals = fetch.end().with_code(0).prints_error(&["it continues"]).totals();
    network.has("small/in/film.bin", &film);
    let crossed = crate::test_network::given(&totals).iter().map(|(_, bytes)| bytes).sum::<u64>();
    assert!(crossed < film.len() as u64 * 3 / 2, "most of what was verified is kept: {totals}");
}

#[test]
fn a_manager_with_a_full_disk_reports_it_to_a_new_peer_and_at_its_next_start() {
    let mut network = Network::start();
    network.stop_manager().with_code(143);
    let Some(disk) = Disk::in_memory(&network, "small", 4) else { return };
    network.start_manager("small/state", &["--port", "0"]);
    disk.fill("filler");
    // The address may have been that of the first manager, which had another key.
    let peer = ["--headless", "--username", "fire_user", "--manager-key", network.key()];
    network.run("peer", &peer).end().with_code(4).prints_error(&[
        "the manager could not store the username",
        "hint: the manager's log has the cause, such as a full disk",
    ]);
    network.stop_manager();
    disk.fill("more");
    let mut command = network.brigade("manager");
    command.args(["--port", "0", "--state", "small/state"]);
    Process::start(command).end().with_code(6).prints_error(&["members.sqlite", "hint: the disk is full"]);
}

#[test]
fn missing_inodes_are_not_reported_as_a_full_disk() {
    let network = Network::start();
    let Some(_disk) = Disk::of_few_inodes(&network, "small", 60) else { return };
    for number in 0..80 {
        network.write(&format!("fire_user/data/{number}"), &bytes(&number.to_string(), 2000));
    }
    let _fire = network.peer("fire_user", &[]);
    network.has_file("data/0", 1, PATIENCE);
    let refused = network.fetch(&["data", "--into", "small/in"]).with_code(6);
    // The files and their folder, and those of the index that the peer has not created at that moment.
    let refused = refused.prints_error(&["no inodes are left for its files; 8", "delete files there"]);
    let takes = |more: u32| refused.err.contains(&format!("; {more} more are needed"));
    assert!((81..=84).any(takes), "{}", refused.err);
    assert!(!network.path("small/in/data").exists());
}

#[test]
fn each_inode_of_a_file_system_below_the_folder_can_be_used() {
    let network = Network::start();
    for number in 0..20 {
        network.write(&format!("fire_user/data/{number}"), &bytes(&number.to_string(), 2000));
    }
    let _fire = network.peer("fire_user", &[]);
    until("all is announced", PATIENCE, || (network.list("files", &["data/"]).len() == 20).then_some(()));
    // The file system's own folder has one, and so have `.brigade` and the directory for received files in it.
    fs::create_dir_all(network.path("earth")).unwrap();
    for (inodes, code) in [(22, 6), (23, 0)] {
        let Some(_disk) = Disk::of_few_inodes(&network, "earth/data", inodes) else { return };
        let ended = network.fetch(&["data", "--into", "earth"]).with_code(code);
        if code == 6 {
            ended.prints_error(&["no inodes are left for its files; 20 more are needed, and 19 are free"]);
        }
    }
}

/// A content has one part, whatever number of names it has.
#[test]
fn copies_of_a_file_need_one_inode_each() {
    let network = Network::start();
    let film = bytes("film", 1 << 20);
    for number in 0..20 {
        network.write(&format!("fire_user/data/{number}"), &film);
    }
    let _fire = network.peer("fire_user", &[]);
    until("all is announced", PATIENCE, || (network.list("files", &["data/"]).len() == 20).then_some(()));
    fs::create_dir_all(network.path("earth")).unwrap();
    for (inodes, code) in [(25, 6), (26, 0)] {
        let Some(_disk) = Disk::of_few_inodes(&network, "earth/data", inodes) else { return };
        let ended = network.fetch(&["data", "--into", "earth"]).with_code(code);
        if code == 6 {
            ended.prints_error(&["no inodes are left for its files; 23 more are needed, and 22 are free"]);
        } else {
            assert!(!ended.err.contains("paused"), "{}", ended.err);
            (0..20).for_each(|number| network.has(&format!("earth/data/{number}"), &film));
        }
    }
}

#[test]
fn a_fetch_continues_when_inodes_are_free_again() {
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
    fetch.prints_error("paused: no inodes are left on the disk");
    made.iter().for_each(|path| fs::remove_file(path).unwrap());
    let totals = fetch.end().with_code(0).totals();
    assert_eq!((&totals["done"], &totals["failed"]), (&true.into(), &0.into()), "{totals}");
    assert_eq!(landed(), 200);
}

#[test]
fn a_folder_of_small_files_continues_when_there_is_space() {
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
    fetch.prints_error("paused: the disk is full");
    assert!(landed() < FILES);
    fs::remove_file(network.path("small/filler")).unwrap();
    let totals = fetch.end().with_code(0).totals();
    assert_eq!((&totals["done"], &totals["failed"]), (&true.into(), &0.into()), "{totals}");
    let crossed = crate::test_network::given(&totals).iter().map(|(_, bytes)| bytes).sum::<u64>();
    assert!(crossed < 20_000 * FILES as u64 * 2, "on a full disk little is asked for: {totals}");
    for number in 0..FILES {
        network.has(&format!("small/in/data/{number}"), &bytes(&number.to_string(), 20_000));
    }
}
