//! Fetching: from several holders at once with a limit, folders, several names, equal files, and existing files in the
//! way; the created folders, the totals, standard output, and `--done-file`.
//!
//! `file_name_lookup` tests which content a name means, `resuming` tests interrupted fetches, `rate_limits` tests other
//! limits, and `serving_after_fetch` tests `--stay`.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    time::{Duration, SystemTime},
};

use crate::{
    test_network::{Network, bytes, given, hash},
    test_process::{PATIENCE, until},
    test_skipping::skip,
};

#[test]
fn two_holders_share_the_work_within_the_limit() {
    let network = Network::start();
    let film = bytes("film", 24 << 20);
    let _fire = network.holder("fire_user", "film.bin", &film);
    let _water = network.holder("water_user", "film.bin", &film);
    let entry = network.has_file("film.bin", 2, PATIENCE);
    assert_eq!(entry["id"], *hash(&film));
    assert_eq!(entry["size"], film.len());

    let ended = network.fetch(&["film.bin", "--into", "earth", "--download-limit", "8MB"]).with_code(0);
    network.has("earth/film.bin", &film);
    let totals = ended.totals();
    assert_eq!((&totals["done"], &totals["files"], &totals["pieces"]), (&true.into(), &1.into(), &96.into()));
    assert_eq!((&totals["bytes"], &totals["bytes_already"]), (&film.len().into(), &0.into()));
    let shares = given(&totals);
    assert_eq!(
        shares.iter().map(|(username, _)| username.as_str()).collect::<Vec<_>>(),
        ["fire_user", "water_user"]
    );
    assert!(shares.iter().all(|(_, bytes)| *bytes > 0), "{totals}");
    assert_eq!(shares.iter().map(|(_, bytes)| bytes).sum::<u64>(), film.len() as u64, "{totals}");
    // A holder that the machine delays for a while is overtaken; the simulator tests how little that costs.
    assert!(totals["fetched_twice_bytes"].as_u64().unwrap() < film.len() as u64 / 4, "{totals}");
    assert_eq!(totals["sent"].as_array().unwrap().len(), 0, "{totals}");
    let lines = ended.results();
    let [event] = lines.as_slice() else { panic!("{}", ended.out) };
    assert_eq!((&event["name"], &event["done"]), (&"film.bin".into(), &true.into()));
    // 25.2 MB at 8 MB/s; a tenth of a second of it is sent at once.
    assert!(event["seconds"].as_f64().unwrap() > 2.9, "faster than its limit: {event}");
    assert_eq!(ended.err, "", "nothing went wrong");
}

/// The files of the fetched folder: many small ones, one of several pieces, an empty one, nested ones.
fn tree() -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<(String, Vec<u8>)> = (0..300)
        .map(|number| {
            (format!("data/{}/{number}.txt", number % 7), bytes(&number.to_string(), 50 + number * 17))
        })
        .collect();
    files.push(("data/large.bin".to_owned(), bytes("large", 700_000)));
    files.push(("data/empty".to_owned(), vec![]));
    files.push(("data/a/b/c/d/deep.txt".to_owned(), b"deep".to_vec()));
    files.push(("data/with a space/naïve 日本.txt".to_owned(), b"named".to_vec()));
    files.push(("data/run.sh".to_owned(), b"#!/bin/sh\n".to_vec()));
    files
}

#[test]
fn a_folder_is_fetched_with_everything_in_it() {
    let network = Network::start();
    let files = tree();
    let written = SystemTime::UNIX_EPOCH + Duration::from_secs(1_500_000_000);
    for (name, content) in &files {
        let path = format!("fire_user/{name}");
        network.write(&path, content);
        let file = fs::File::options().write(true).open(network.path(&path)).unwrap();
        file.set_modified(written).unwrap();
    }
    network.write("fire_user/other.txt", b"not below it");
    fs::set_permissions(network.path("fire_user/data/run.sh"), fs::Permissions::from_mode(0o755)).unwrap();
    let _fire = network.peer("fire_user", &[]);
    crate::test_process::until("all is announced", PATIENCE, || {
        (network.list("files", &["data/"]).len() == files.len()).then_some(())
    });

    let totals = network.fetch(&["data", "--into", "earth"]).with_code(0).totals();
    assert_eq!((&totals["files"], &totals["failed"]), (&files.len().into(), &0.into()), "{totals}");
    for (name, content) in &files {
        network.has(&format!("earth/{name}"), content);
        let metadata = fs::metadata(network.path(&format!("earth/{name}"))).unwrap();
        assert_eq!(metadata.modified().unwrap(), written, "{name}");
        let is_executable = metadata.permissions().mode() & 0o111 != 0;
        assert_eq!(is_executable, name.ends_with(".sh"), "{name}");
    }
    assert!(!network.path("earth/other.txt").exists());

    // Everything exists: the same command again has nothing to do, with or without the slash.
    let again = network.fetch(&["data/", "--into", "earth"]).with_code(0);
    let totals = again.totals();
    assert_eq!(totals["bytes_already"], totals["bytes"], "{totals}");
    assert!(given(&totals).is_empty(), "{totals}");
    assert_eq!(again.results()[0]["files_already"], files.len());
}

#[test]
fn several_names_come_with_one_command() {
    let network = Network::start();
    let (one, two) = (bytes("one", 400_000), bytes("two", 10));
    let _fire = network.holder("fire_user", "one.bin", &one);
    let _water = network.holder("water_user", "in/two.bin", &two);
    let ended = network.fetch(&["one.bin", "in/two.bin", "--into", "earth"]).with_code(0);
    network.has("earth/one.bin", &one);
    network.has("earth/in/two.bin", &two);
    assert_eq!(ended.results().len(), 2);
    assert_eq!(ended.totals()["bytes"], 400_010);
}

/// The second of two equal files is copied from the first: it did not exist before.
#[test]
fn equal_files_of_one_fetch_are_fetched_once_and_counted_as_copied() {
    let network = Network::start();
    let (film, note) = (bytes("film", 900_000), bytes("note", 1000));
    for name in ["film.bin", "copy.bin"] {
        network.write(&format!("fire_user/d/{name}"), &film);
    }
    for name in ["one.txt", "two.txt", "three.txt"] {
        network.write(&format!("fire_user/d/{name}"), &note);
    }
    let _fire = network.peer("fire_user", &[]);
    until("all is announced", PATIENCE, || (network.list("files", &["d/"]).len() == 5).then_some(()));
    let totals = network.fetch(&["d", "--into", "earth"]).with_code(0).totals();
    assert_eq!((&totals["bytes_already"], &totals["bytes_copied"]), (&0.into(), &902_000.into()), "{totals}");
    assert_eq!(given(&totals), [("fire_user".to_owned(), 901_000)]);
    let text = network.run("fetch", &["d", "--into", "air"]).end().with_code(0).out;
    assert!(text.contains("902.0 kB were copied from equal files"), "{text}");
    assert!(!text.contains("existed before"), "{text}");
    // A content that existed under another name before the fetch is not a copy of a fetched file.
    let mut earth = network.run("peer", &["--port", "0", "--username", "earth_user", "--folder", "earth"]);
    network.has_file("d/film.bin", 2, PATIENCE);
    network.write("fire_user/d/more.bin", &film);
    network.has_file("d/more.bin", 1, PATIENCE);
    earth.types("fetch d/more.bin\n");
    earth.end_input();
    let text = earth.end().with_code(0).out;
    assert!(text.contains("900.0 kB existed before") && !text.contains("copied"), "{text}");
    network.has("earth/d/more.bin", &film);
}

/// Each of the four fetches would create the same part file; the later ones wait for the first.
#[test]
fn one_long_content_under_several_names_lands_right_under_all() {
    let network = Network::start();
    let content = bytes("same", 20_000_000);
    for name in ["d1/f1", "d2/f2", "d3/f3", "d4/f4"] {
        network.write(&format!("fire/{name}"), &content);
    }
    let _fire = network.peer("fire_user", &["--folder", "fire"]);
    network.fetch(&["d1", "d2", "d3", "d4", "--into", "earth"]).with_code(0);
    for name in ["d1/f1", "d2/f2", "d3/f3", "d4/f4"] {
        network.has(&format!("earth/{name}"), &content);
    }
    // The copies must be complete on the disk too.
    network.fetch(&["d1", "d2", "d3", "d4", "--into", "earth"]).with_code(0);
}

#[test]
fn existing_files_are_never_replaced() {
    let network = Network::start();
    let film = bytes("film", 300_000);
    let _fire = network.holder("fire_user", "film.bin", &film);
    network.write("earth/film.bin", b"mine");
    let ended = network.fetch(&["film.bin", "--into", "earth"]).with_code(6);
    network.has("earth/film.bin", b"mine");
    let totals = ended.totals();
    assert_eq!((&totals["done"], &totals["failed"]), (&false.into(), &1.into()), "{totals}");
    let reason = ended.results()[0]["errors"][0]["error"].as_str().unwrap().to_owned();
    assert!(reason.contains("is there already with another content"), "{reason}");

    network.run("fetch", &["film.bin", "--into", "earth"]).end().with_code(6);
    network.has("earth/film.bin", b"mine");
}

#[test]
fn a_fetch_into_an_existing_folder_shares_only_its_files() {
    let network = Network::start();
    let film = bytes("film", 300_000);
    let _fire = network.holder("fire_user", "film.bin", &film);
    network.write("earth/private.txt", b"mine alone");
    let earth = network.run("fetch", &["film.bin", "--into", "earth", "--stay"]);
    earth.prints("film.bin is here");
    network.has_file("film.bin", 2, PATIENCE);
    assert!(network.list("files", &["private"]).is_empty());
}

#[test]
fn the_parents_of_the_target_folder_are_created() {
    let mut network = Network::start();
    let film = bytes("film", 300_000);
    let fire = network.holder("fire_user", "film.bin", &film);
    network.fetch(&["film.bin", "--into", "a/b/c"]).with_code(0);
    network.has("a/b/c/film.bin", &film);
    drop(fire);
    network.stop_manager().with_code(143);
    // The manager is not asked if the folders cannot be created; they are removed if no manager answers.
    network.write("file", b"mine");
    let ended = network.fetch(&["film.bin", "--into", "file/b/c"]).with_code(6);
    ended.prints_error(&["creating the folder file/b: file is not a folder"]);
    network.fetch(&["film.bin", "--into", "d/e/f"]).with_code(3);
    assert!(!network.path("d").exists());
}

#[test]
fn the_totals_are_last_after_success_and_failure() {
    let network = Network::start();
    let film = bytes("film", 300_000);
    let _fire = network.holder("fire_user", "film.bin", &film);
    let ended = network.fetch(&["film.bin", "other.bin", "--into", "earth"]).with_code(5);
    let totals = ended.totals();
    assert_eq!((&totals["done"], &totals["bytes"]), (&false.into(), &0.into()), "{totals}");
    ended.prints_error(&["error: nobody shares \"other.bin\""]);
    assert!(!network.path("earth/film.bin").exists(), "one of two names is wrong: nothing is fetched");
    let totals = network.fetch(&["film.bin", "--into", "earth"]).with_code(0).totals();
    assert_eq!((&totals["done"], &totals["bytes"]), (&true.into(), &film.len().into()), "{totals}");
}

/// A reader that closes the pipe ends nothing; a disk that takes no data is an error.
#[test]
fn standard_output_may_be_closed_or_full() {
    let network = Network::start();
    let film = bytes("film", 300_000);
    let _fire = network.holder("fire_user", "film.bin", &film);
    let port = network.port().to_string();
    let run = |subcommand: &str, arguments: &[&str], into: std::process::Stdio| {
        let mut command = network.brigade(subcommand);
        command.args(["--manager-port", &port]).args(arguments).stdout(into);
        command.stdin(std::process::Stdio::null()).output().unwrap()
    };
    let (reader, closed) = std::io::pipe().unwrap();
    drop(reader);
    let ended = run("fetch", &["film.bin", "--into", "earth"], closed.into());
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    network.has("earth/film.bin", &film);
    for (subcommand, arguments) in [
        ("fetch", &["film.bin", "--into", "air"][..]),
        ("files", &[]),
        ("files", &["--json"]),
        ("peers", &[]),
    ] {
        let Ok(full) = fs::OpenOptions::new().write(true).open("/dev/full") else {
            return skip("/dev/full");
        };
        let ended = run(subcommand, arguments, full.into());
        let text = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert_eq!(ended.status.code(), Some(6), "{subcommand}: {text}");
        assert!(text.contains("error: writing to standard output"), "{subcommand}: {text}");
    }
    network.has("air/film.bin", &film);
}

/// Neither its progress lines nor its log lines can be written.
#[test]
fn a_fetch_continues_if_standard_error_is_closed() {
    let network = Network::start();
    let film = bytes("film", 3_000_000);
    let _fire = network.holder("fire_user", "film.bin", &film);
    let (reader, closed) = std::io::pipe().unwrap();
    drop(reader);
    let mut fetch = network.brigade("fetch");
    fetch.args(["--manager-port", &network.port().to_string(), "film.bin", "--into", "earth"]);
    let ended = fetch.env("BRIGADE_LOG", "debug").stderr(closed).output().unwrap();
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    network.has("earth/film.bin", &film);
}

#[test]
fn a_done_file_exists_only_if_everything_is_complete() {
    let network = Network::start();
    let film = bytes("film", 1000);
    let _fire = network.holder("fire_user", "film.bin", &film);
    network.fetch(&["nothing.bin", "--into", "earth", "--done-file", "done"]).with_code(5);
    assert!(!network.path("done").exists());
    network.fetch(&["film.bin", "--into", "earth", "--done-file", "done"]).with_code(0);
    assert!(network.path("done").exists());
    // The file of an earlier fetch does not stay.
    network.fetch(&["nothing.bin", "--into", "earth", "--done-file", "done"]).with_code(5);
    assert!(!network.path("done").exists());
}

#[test]
fn a_done_file_replaces_no_other_file() {
    let network = Network::start();
    let film = bytes("film", 1000);
    let _fire = network.holder("fire_user", "film.bin", &film);
    network.write("notes", b"mine");
    network.fetch(&["film.bin", "--into", "earth", "--done-file", "notes"]).with_code(6);
    network.has("notes", b"mine");
    let ended = network.fetch(&["film.bin", "--into", "earth", "--done-file", "earth/film.bin"]);
    ended.with_code(6).prints_error(&["a file that is to be fetched gets this name", "nothing was fetched"]);
    network.fetch(&["film.bin", "--into", "earth"]).with_code(0);
    network.fetch(&["film.bin", "--into", "earth", "--done-file", "earth/film.bin"]).with_code(6);
    network.has("earth/film.bin", &film);
}

#[test]
fn a_done_file_whose_name_a_folder_of_the_fetch_gets_is_refused_before_the_fetch() {
    let network = Network::start();
    let _fire = network.holder("fire_user", "set/film.bin", b"film");
    for (into, done) in [("earth", "earth"), ("earth/x/y", "earth/x"), ("earth", "earth/set")] {
        let ended = network.fetch(&["set", "--into", into, "--done-file", done]).with_code(6);
        ended.prints_error(&[&format!("--done-file {done} cannot be created: "), "nothing was fetched"]);
        assert!(!network.path("earth/set").exists() && !network.path("earth/x").exists());
    }
    network.fetch(&["set", "--into", "earth", "--done-file", "earth/done"]).with_code(0);
    assert!(network.path("earth/done").exists());
}

#[test]
fn a_done_file_that_cannot_be_created_is_reported_before_the_fetch() {
    let network = Network::start();
    let _fire = network.holder("fire_user", "film.bin", b"film");
    let ended = network.fetch(&["film.bin", "--into", "earth", "--done-file", "not/there"]);
    ended.with_code(6).prints_error(&["--done-file not/there cannot be created", "nothing was fetched"]);
    assert!(!network.path("earth").exists());
}

/// The second of two fetches of one file waits for the first one: the file did not exist before.
#[test]
fn a_fetch_of_the_same_file_waits_for_the_first_one() {
    let network = Network::start();
    let _fire = network.holder("fire_user", "data/film.bin", &bytes("film", 3 << 20));
    let ended = network.fetch(&["data/film.bin", "data/", "--into", "earth", "--download-limit", "2MB"]);
    let ended = ended.with_code(0);
    let mut lines = ended.json().into_iter();
    let waits = lines.any(|line| line["name"] == "data/" && line["state"] == "waiting_for_fetch");
    assert!(waits, "{}", ended.out);
    let results = ended.results();
    let counted = |name: &str| {
        let result = results.iter().find(|result| result["name"] == name).unwrap();
        ["bytes_already", "bytes_of_other_fetches"].map(|key| result[key].as_u64().unwrap())
    };
    assert_eq!(counted("data/film.bin"), [0, 0]);
    assert_eq!(counted("data/"), [0, 3 << 20]);
    let totals = ended.totals();
    assert_eq!((&totals["bytes_already"], &totals["bytes_of_other_fetches"]), (&0.into(), &(3 << 20).into()));
    let again = network.fetch(&["data/film.bin", "--into", "earth"]).with_code(0).totals();
    assert_eq!((&again["bytes_already"], &again["bytes_of_other_fetches"]), (&(3 << 20).into(), &0.into()));
}
