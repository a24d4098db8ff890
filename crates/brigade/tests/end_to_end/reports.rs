//! What `--json` tells programs: how far a fetch is, and why something failed.
//!
//! What people are told of the same is wherever the thing itself is tested.

use serde_json::Value;

use crate::{
    network::{Network, bytes, free_port},
    process::{PATIENCE, Process, until},
};

#[test]
fn a_fetch_tells_how_far_it_is_until_its_result_and_the_totals() {
    let network = Network::start();
    let film = bytes("film", 3 << 20);
    let _fire = network.holder("fire_user", "film.bin", &film);
    let ended = network.fetch(&["film.bin", "--into", "earth", "--download-limit", "2MB"]).with_code(0);
    let lines = ended.json();
    let events: Vec<&str> = lines.iter().map(|line| line["event"].as_str().unwrap()).collect();
    let [progress @ .., "result", "done"] = &events[..] else { panic!("{events:?}") };
    assert!(!progress.is_empty() && progress.iter().all(|event| *event == "progress"), "{events:?}");
    let told = &lines[progress.len() - 1];
    assert_eq!((&told["name"], &told["bytes"]), (&"film.bin".into(), &film.len().into()));
    for key in ["bytes_done", "pieces", "pieces_done", "files", "files_done", "rate", "holders"] {
        assert!(told[key].is_u64(), "{key}: {told}");
    }
    let done: Vec<u64> =
        lines[..progress.len()].iter().map(|one| one["bytes_done"].as_u64().unwrap()).collect();
    // All of it may be here some time before it is durable and has its name.
    assert!(done.is_sorted() && *done.last().unwrap() <= film.len() as u64, "{done:?}");
    assert!(done[0] < film.len() as u64, "{done:?}");
    assert_eq!(ended.totals()["failure"], Value::Null);
}

/// The reason in the last line of a fetch that ended with `code`.
#[track_caller]
fn reason(ended: crate::process::Ended, code: i32) -> Value {
    let ended = ended.with_code(code);
    let reason = ended.totals()["failure"].clone();
    assert_eq!(reason["code"], code, "{reason}");
    reason
}

#[test]
fn the_reason_of_a_failure_is_in_the_last_line() {
    let mut network = Network::start_with(&["--port", &free_port().to_string()]);
    let _fire = network.holder("fire_user", "film.bin", &bytes("film", 1000));
    network.write("earth/film.bin", b"mine");
    let of_disk = reason(network.fetch(&["film.bin", "--into", "earth"]), 6);
    assert_eq!(of_disk["kind"], "disk");
    assert!(of_disk["causes"][0].as_str().unwrap().contains("film.bin"), "{of_disk}");
    assert!(of_disk["hint"].as_str().unwrap().contains("--replace"), "{of_disk}");

    let ended = network.fetch(&["film.bim", "nothing", "--into", "air"]);
    let failures = ended.json().into_iter().filter(|line| line["event"] == "failure").collect::<Vec<_>>();
    let names: Vec<&Value> = failures.iter().map(|failure| &failure["name"]).collect();
    assert_eq!(names, ["film.bim", "nothing"]);
    let of_name = reason(ended, 5);
    assert_eq!((&of_name["kind"], &of_name["hint"]), (&"not_found".into(), &"did you mean film.bin?".into()));

    let of_folder = reason(network.fetch(&["film.bin", "--into", "earth/film.bin"]), 6);
    assert_eq!(of_folder["kind"], "disk");

    network.stop_manager();
    let of_manager = reason(network.fetch(&["film.bin", "--into", "air"]), 3);
    assert_eq!(of_manager["kind"], "unreached");
    assert!(of_manager["error"].as_str().unwrap().starts_with("no manager answers"), "{of_manager}");
    for subcommand in ["files", "peers"] {
        let ended =
            network.run(subcommand, &["--json"]).end().with_code(3).complains(&["no manager answers"]);
        let [failure] = &ended.json()[..] else { panic!("{}", ended.out) };
        assert_eq!((&failure["event"], &failure["code"]), (&"failure".into(), &3.into()));
        assert_eq!((&failure["kind"], &failure["error"]), (&of_manager["kind"], &of_manager["error"]));
    }
}

#[test]
fn a_fetch_that_is_stopped_says_by_what() {
    let network = Network::start();
    let _fire = network.holder("fire_user", "film.bin", &bytes("film", 3 << 20));
    let fetch = network.run("fetch", &["--json", "film.bin", "--into", "earth", "--download-limit", "200KB"]);
    fetch.says("\"fetching\"");
    let reason = reason(fetch.terminate(), 143);
    assert_eq!(reason["kind"], "ended_by_signal");
}

#[test]
fn files_takes_what_fetch_takes() {
    let network = Network::start();
    let _fire = network.holder("fire_user", "a.bin", b"a");
    for name in ["data/b.bin", "data/c.txt", "data/d/e.bin"] {
        network.write(&format!("fire_user/{name}"), name.as_bytes());
        network.has_file(name, 1, PATIENCE);
    }
    let names = |text: &str| {
        let listed = network.list("files", &[text]);
        listed.iter().map(|file| file["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names("*.bin"), ["a.bin"]);
    assert_eq!(names("**/*.bin"), ["a.bin", "data/b.bin", "data/d/e.bin"]);
    assert_eq!(names("data/[bc].*"), ["data/b.bin", "data/c.txt"]);
    assert_eq!(names("data/d"), ["data/d/e.bin"]);
    let ended = network.run("files", &["data\\b.bin"]).end().with_code(0);
    ended.complains(&["is \"data/b.bin\" meant?"]);
    let wrong = network.run("files", &["[a", "--json"]).end().with_code(5);
    let wrong = wrong.complains(&["\"[a\" is not a pattern: ", "[a-z] for one letter"]);
    assert_eq!(wrong.json()[0]["kind"], "not_found");
    network.fetch(&["[a", "--into", "air"]).with_code(5).complains(&["\"[a\" is not a pattern: "]);
    network.run("files", &["nothing"]).end().with_code(0).complains(&["nothing is shared under such a name"]);

    let mut earth = network.run("peer", &[]);
    earth.types(
        "0\nearth_user\nfiles 'data/**/*.bin'\nbrigade files *.txt\nfiles data\\d\nfetch data\\b.bim\nq\n",
    );
    let ended = earth.end().with_code(5);
    let after = |command: &str| {
        let (_, rest) = ended.out.split_once(command).unwrap_or_else(|| panic!("{command}: {}", ended.out));
        rest.split_once("\n> ").unwrap().0.to_owned()
    };
    let patterned = after("> files 'data/**/*.bin'\n");
    assert!(patterned.contains("data/b.bin") && patterned.contains("data/d/e.bin"), "{patterned}");
    assert!(!patterned.contains("a.bin") && !patterned.contains("c.txt"), "{patterned}");
    assert!(after("> brigade files *.txt\n").contains("nothing is shared"), "{}", ended.out);
    assert!(after("files data").contains("is \"data/d\" meant?"), "{}", ended.out);
}

#[test]
fn the_prompt_says_what_it_does_not_take() {
    let network = Network::start();
    let mut earth = network.run("peer", &[]);
    earth.types("0\nearth_user\npeers x\nstatus now\nfetch a b\nfetch 'a' 'b'\nlimit up 1\nhelp\nexit\n");
    let ended = earth.end().with_code(2).complains(&[
        "`peers` takes nothing behind it, and \"x\" is there",
        "`status` takes nothing behind it",
        "nobody shares \"a b\"",
        "\"a b\" was taken for one name with blanks",
        "one name at a time is fetched here",
        "the unit is missing, one of 1B, 1KB, 1MB, 1GB",
    ]);
    assert!(ended.out.contains("q, Q, quit, exit"), "{}", ended.out);
}

/// Bytes of a file that takes longer to hash than any test takes to look; it has no blocks on the disk.
const HUGE_BYTES: u64 = 200_000_000_000;

/// Asks for the `status` of a peer at a pipe until it has `needle`; the last one.
#[track_caller]
fn status_with(peer: &mut Process, needle: &str) -> String {
    until(&format!("{needle:?} is in the status"), PATIENCE, || {
        let before = peer.said().len();
        peer.types("status\n");
        let all = until("there is a status", PATIENCE, || {
            let said = peer.said();
            said[before..].contains("now: sending").then_some(said)
        });
        let last = all[before..].to_owned();
        last.contains(needle).then_some(last)
    })
}

#[test]
fn status_says_what_is_hashed_how_far_and_how_long() {
    let network = Network::start();
    network.write("fire_user/small.txt", b"small");
    let mut fire = network.run("peer", &[]);
    fire.types("0\nfire_user\n");
    status_with(&mut fire, "everything is announced");
    std::fs::File::create(network.path("fire_user/huge.bin")).unwrap().set_len(HUGE_BYTES).unwrap();
    let status = status_with(&mut fire, " left, now huge.bin");
    assert!(status.contains("what is hashed is announced"), "{status}");
    assert!(status.contains(" of 200.0 GB, 1 file to go, "), "{status}");
    assert!(!status.contains("everything is announced"), "{status}");
    std::fs::remove_file(network.path("fire_user/huge.bin")).unwrap();
    status_with(&mut fire, "everything is announced");
    fire.types("q\n");
    fire.end().with_code(0);
}
