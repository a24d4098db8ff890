//! The output of `--json`: the progress of a fetch, and the reason of a failure.
//!
//! Texts for people are tested with the feature itself.

use serde_json::Value;

use crate::{
    test_network::{Network, bytes, free_port},
    test_process::{PATIENCE, Process, until},
};

#[test]
fn a_fetch_prints_progress_then_the_result_and_the_totals() {
    let network = Network::start();
    let film = bytes("film", 3 << 20);
    let _fire = network.holder("fire_user", "film.bin", &film);
    let ended = network.fetch(&["film.bin", "--into", "earth", "--download-limit", "2MB"]).with_code(0);
    let lines = ended.json();
    let events: Vec<&str> = lines.iter().map(|line| line["event"].as_str().unwrap()).collect();
    let [progress @ .., "result", "done"] = &events[..] else { panic!("{events:?}") };
    assert!(!progress.is_empty() && progress.iter().all(|event| *event == "progress"), "{events:?}");
    let first = &lines[progress.len() - 1];
    assert_eq!((&first["name"], &first["bytes"]), (&"film.bin".into(), &film.len().into()));
    for key in ["bytes_done", "pieces", "pieces_done", "files", "files_done", "rate", "holders"] {
        assert!(first[key].is_u64(), "{key}: {first}");
    }
    let done: Vec<u64> =
        lines[..progress.len()].iter().map(|one| one["bytes_done"].as_u64().unwrap()).collect();
    // All pieces may be written some time before the file is durable and has its name.
    assert!(done.is_sorted() && *done.last().unwrap() <= film.len() as u64, "{done:?}");
    assert!(done[0] < film.len() as u64, "{done:?}");
    assert_eq!(ended.totals()["failure"], Value::Null);
}

/// The reason in the last line of a fetch that ended with `code`.
#[track_caller]
fn reason(ended: crate::test_process::ExitedProcess, code: i32) -> Value {
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
            network.run(subcommand, &["--json"]).end().with_code(3).prints_error(&["no manager answers"]);
        let [failure] = &ended.json()[..] else { panic!("{}", ended.out) };
        assert_eq!((&failure["event"], &failure["code"]), (&"failure".into(), &3.into()));
        assert_eq!((&failure["kind"], &failure["error"]), (&of_manager["kind"], &of_manager["error"]));
    }
}

#[test]
fn a_stopped_fetch_reports_the_signal() {
    let network = Network::start();
    let _fire = network.holder("fire_user", "film.bin", &bytes("film", 3 << 20));
    let fetch = network.run("fetch", &["--json", "film.bin", "--into", "earth", "--download-limit", "200KB"]);
    fetch.prints("\"fetching\"");
    let reason = reason(fetch.terminate(), 143);
    assert_eq!(reason["kind"], "ended_by_signal");
}

#[test]
fn files_accepts_the_patterns_of_fetch() {
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
    ended.prints_error(&["did you mean \"data/b.bin\"?"]);
    let wrong = network.run("files", &["[a", "--json"]).end().with_code(5);
    let wrong = wrong.prints_error(&["\"[a\" is not a pattern: ", "[a-z] matches one letter"]);
    assert_eq!(wrong.json()[0]["kind"], "not_found");
    network.fetch(&["[a", "--into", "air"]).with_code(5).prints_error(&["\"[a\" is not a pattern: "]);
    network
        .run("files", &["nothing"])
        .end()
        .with_code(0)
        .prints_error(&["nothing is shared under this name"]);

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
    assert!(after("files data").contains("did you mean \"data/d\"?"), "{}", ended.out);
}

#[test]
fn the_prompt_explains_wrong_commands() {
    let network = Network::start();
    let mut earth = network.run("peer", &[]);
    earth.types("0\nearth_user\npeers x\nstatus now\nfetch a b\nfetch 'a' 'b'\nlimit up 1\nhelp\nexit\n");
    let ended = earth.end().with_code(2).prints_error(&[
        "`peers` has no arguments, but got \"x\"",
        "`status` has no arguments",
        "nobody shares \"a b\"",
        "\"a b\" was read as one name with spaces",
        "only one name at a time can be fetched here",
        "the unit is missing; expected one of 1B, 1KB, 1MB, 1GB",
    ]);
    assert!(ended.out.contains("q, Q, quit, exit"), "{}", ended.out);
}

/// The size of a file that takes longer to hash than a test; it uses no blocks on the disk.
const HUGE_BYTES: u64 = 200_000_000_000;

/// Repeats `status` of a peer at a pipe until it contains `needle`. Returns the last one.
#[track_caller]
fn status_with(peer: &mut Process, needle: &str) -> String {
    until(&format!("{needle:?} is in the status"), PATIENCE, || {
        let before = peer.output().len();
        peer.types("status\n");
        let all = until("there is a status", PATIENCE, || {
            let text = peer.output();
            text[before..].contains("now: sending").then_some(text)
        });
        let last = all[before..].to_owned();
        last.contains(needle).then_some(last)
    })
}

#[test]
fn status_shows_the_progress_of_hashing() {
    let network = Network::start();
    network.write("fire_user/small.txt", b"small");
    let mut fire = network.run("peer", &[]);
    fire.types("0\nfire_user\n");
    status_with(&mut fire, "everything is announced");
    std::fs::File::create(network.path("fire_user/huge.bin")).unwrap().set_len(HUGE_BYTES).unwrap();
    let status = status_with(&mut fire, " left, now huge.bin");
    assert!(status.contains("all hashed files are announced"), "{status}");
    assert!(status.contains(" of 200.0 GB, 1 file remaining, "), "{status}");
    assert!(!status.contains("everything is announced"), "{status}");
    std::fs::remove_file(network.path("fire_user/huge.bin")).unwrap();
    status_with(&mut fire, "everything is announced");
    fire.types("q\n");
    fire.end().with_code(0);
}
