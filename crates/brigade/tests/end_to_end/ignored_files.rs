//! Files in `.brigadeignore` are not shared, from the time when they are added to it until they are removed.
//!
//! The tests of the store's `ignore_patterns` compare the patterns with git.

use std::fs;

use crate::{
    sharing::{SEEN, lists},
    test_network::{Network, bytes, hash},
    test_process::{PATIENCE, until},
};

#[test]
fn ignored_files_are_withdrawn_and_shared_again_in_time() {
    let network = Network::start();
    let _fire = network.peer("fire_user", &[]);
    for name in ["a.tmp", "keep.tmp", "build/b", "d/c.tmp", "d/c"] {
        network.write(&format!("fire_user/{name}"), name.as_bytes());
    }
    network.write("fire_user/.gitignore", b"*");
    let all: [(&str, &[u8]); 5] = [
        ("a.tmp", b"a.tmp"),
        ("build/b", b"build/b"),
        ("d/c", b"d/c"),
        ("d/c.tmp", b"d/c.tmp"),
        ("keep.tmp", b"keep.tmp"),
    ];
    lists(&network, "", &all);
    network.write("fire_user/.brigadeignore", b"# what builds leave\n*.tmp\nbuild/\n!keep.tmp\n");
    lists(&network, "", &[all[2], all[4]]);
    network.write("fire_user/d/.brigadeignore", b"!*.tmp\n");
    lists(&network, "", &[all[2], all[3], all[4]]);
    fs::remove_file(network.path("fire_user/.brigadeignore")).unwrap();
    lists(&network, "", &all);
}

#[test]
fn a_file_fetched_under_an_ignored_name_is_not_shared() {
    let network = Network::start();
    let film = bytes("film", 700_000);
    network.write("fire_user/film.tmp", &film);
    let _fire = network.holder("fire_user", "other", b"other");
    network.write("water_user/.brigadeignore", b"*.tmp\n[wrong\n");
    network.write("water_user/mine.tmp", b"mine");
    network.write("water_user/old.~1~", b"old");
    let mut water = network.run("peer", &["--port", "0", "--username", "water_user"]);
    water.types("fetch film.tmp\nfetch other\n");
    water.prints("film.tmp is here");
    water.prints("other is here");
    network.has("water_user/film.tmp", &film);
    network.has_file("other", 2, SEEN);
    // Peers that request it anyway are refused.
    #[cfg(target_os = "linux")]
    until("it is closed", PATIENCE, || {
        let open = fs::read_dir(format!("/proc/{}/fd", water.id())).unwrap().flatten();
        let mut paths = open.filter_map(|open| fs::read_link(open.path()).ok());
        (!paths.any(|path| path.ends_with("film.tmp"))).then_some(())
    });
    water.types("status\n");
    let text = water.prints("not shared: old.~1~ (kept aside by a fetch with --replace)");
    let row = |beginning: &str| text.lines().any(|line| line.starts_with(beginning));
    assert!(row("ignored: ") && row("not shared: .brigadeignore (line 2 is not a pattern"), "{text}");
    assert!(!text.contains("not shared: mine.tmp"), "{text}");
    assert_eq!(network.has_file("film.tmp", 1, SEEN)["id"], hash(&film));
    assert!(network.list("files", &["mine"]).is_empty());
    water.types("q\n");
    water.end().with_code(0);
}

/// With such a file, another member could withhold a folder.
#[test]
fn a_file_with_the_name_of_a_managers_key_is_not_fetched() {
    let network = Network::start();
    network.write("fire_user/notes/Manager.KEY", b"it is in the drawer");
    let _fire = network.holder("fire_user", "notes/other", b"other");
    network.has_file("notes/Manager.KEY", 1, SEEN);
    let ended = network.fetch(&["notes", "--into", "got"]).with_code(6);
    let errors = ended.results()[0]["errors"].to_string();
    assert!(errors.contains("notes/Manager.KEY is not fetched: it has the name of"), "{errors}");
    network.has("got/notes/other", b"other");
    assert!(!network.path("got/notes/Manager.KEY").exists());
}

#[test]
fn a_fetch_neither_fetches_nor_applies_ignore_files() {
    let network = Network::start();
    let _fire = network.holder("fire_user", "a.tmp", b"content");
    network.write("got/.brigadeignore", b"*\n");
    let fetch = network.run("fetch", &["a.tmp", "--into", "got", "--stay"]);
    fetch.prints("a.tmp is here");
    until("it is shared on", PATIENCE, || {
        (network.list("files", &["a.tmp"])[0]["holders"] == 2).then_some(())
    });
    fetch.terminate().with_code(143);
}
