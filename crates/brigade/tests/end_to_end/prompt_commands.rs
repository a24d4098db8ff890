//! Commands at the prompt of `brigade peer`: a script, wrong commands, and `status` while files are hashed.
//!
//! The commands come through a pipe; `terminal` tests the prompt in a terminal, `rate_limits` tests `limit`, and
//! `startup_questions` the questions before the first command.

use crate::{
    test_network::{Network, bytes},
    test_process::{PATIENCE, Process, until},
};

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

#[test]
fn a_prefix_that_is_longer_than_a_name_is_reported() {
    let network = Network::start();
    let mut earth = network.run("peer", &[]);
    let (prefix, pattern) = ("x".repeat(2000), "*x".repeat(1000));
    earth.types(&format!("0\nearth_user\nfiles {prefix}\nfiles '{pattern}'\nfetch nothing\nexit\n"));
    let ended = earth.end().with_code(2);
    let ended = ended.prints_error(&["nobody shares \"nothing\""]);
    let expected = "it has 2000 bytes, and a name or a pattern has at most 1024";
    assert_eq!(ended.err.matches(expected).count(), 2, "{}", ended.err);
}

#[test]
fn a_script_that_is_typed_at_once_works() {
    let network = Network::start();
    let film = bytes("film", 300_000);
    let _fire = network.holder("fire_user", "film.bin", &film);
    let mut earth = network.run("peer", &[]);
    earth.types("0\nearth_user\nfetch film.bin\nq\n");
    earth.end().with_code(0);
    network.has("earth_user/film.bin", &film);
}

#[test]
fn a_command_that_fails_decides_the_exit_code_of_a_script() {
    let network = Network::start();
    let mut peer = network.run("peer", &[]);
    peer.types("0\nfire_user\nfecth film.bin\nfetch film.bin\nhelp\nq\n");
    let ended = peer.end().with_code(2);
    insta::assert_snapshot!(ended.err, @r#"
    error: "fecth" is not a command
    hint: did you mean `fetch`? `help` lists the commands
    error: nobody shares "film.bin"
    hint: `files` lists all names
    "#);
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
