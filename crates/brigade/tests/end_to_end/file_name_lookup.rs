//! The meaning of a name: several contents, none, patterns, and names that look like a choice of a content.
//!
//! The exit code is 5 if nothing is fetched because the name is not clear.

use crate::{
    test_network::{Network, bytes, hash},
    test_process::{PATIENCE, until},
};

/// Two peers with different contents under one name.
fn with_versions(network: &Network) -> [(Vec<u8>, crate::test_process::Process); 2] {
    let held = ["fire_user", "water_user"].map(|username| {
        let content = bytes(username, 100_000);
        let peer = network.holder(username, "same.bin", &content);
        (content, peer)
    });
    until("both contents are listed", PATIENCE, || {
        (network.list("files", &["same.bin"]).len() == 2).then_some(())
    });
    held
}

#[test]
fn several_contents_are_listed_and_one_is_chosen() {
    let network = Network::start();
    let [(fires, _fire), (waters, _water)] = with_versions(&network);
    let (of_fire, of_water) = (hash(&fires)[..10].to_owned(), hash(&waters)[..10].to_owned());
    network.fetch(&["same.bin", "--into", "earth"]).with_code(5).prints_error(&[
        "same.bin has 2 contents",
        "first announced 20",
        &of_fire,
        &of_water,
        "fire_user",
        "water_user",
        "--from",
    ]);
    let short = network.fetch(&["same.bin@44", "--into", "earth"]).with_code(5);
    short.prints_error(&["nobody shares \"same.bin@44\"", "at least four digits of its ID"]);
    assert!(!network.path("earth/same.bin").exists());

    network.fetch(&[&format!("same.bin@{of_water}"), "--into", "by_id"]).with_code(0);
    network.has("by_id/same.bin", &waters);
    network.fetch(&["same.bin", "--from", "fire_user", "--into", "by_user"]).with_code(0);
    network.has("by_user/same.bin", &fires);
    network
        .fetch(&[&format!("same.bin@{of_fire}"), "--from", "water_user", "--into", "none"])
        .with_code(5)
        .prints_error(&[&format!("begins with {of_fire} and is shared by \"water_user\""), &of_water]);
    network.fetch(&["same.bin@00000000", "--into", "none"]).with_code(5).prints_error(&[&of_fire, &of_water]);
    network
        .fetch(&["same.bin", "--from", "air_user", "--into", "none"])
        .with_code(5)
        .prints_error(&["air_user"]);
}

#[test]
fn all_names_with_several_contents_in_a_folder_are_listed_at_once() {
    let network = Network::start();
    let held = ["fire_user", "water_user"].map(|username| {
        for name in ["d/one.txt", "d/two.txt"] {
            network.write(&format!("{username}/{name}"), username.as_bytes());
        }
        network.write(&format!("{username}/d/same.txt"), b"same");
        network.peer(username, &[])
    });
    let listed = network.fetch(&["d", "--into", "earth"]).with_code(5);
    listed.prints_error(&["d/one.txt has 2 contents", "d/two.txt has 2 contents", "--from"]);
    network.fetch(&["d", "--from", "water_user", "--into", "earth"]).with_code(0);
    network.has("earth/d/one.txt", b"water_user");
    network.has("earth/d/same.txt", b"same");
    drop(held);
}

#[test]
fn files_that_the_requested_user_does_not_share_are_left_out_and_counted() {
    let network = Network::start();
    network.write("fire_user/d/one.txt", b"fire");
    for name in ["d/one.txt", "d/two.txt", "d/three.txt"] {
        network.write(&format!("water_user/{name}"), b"water");
    }
    let _held = ["fire_user", "water_user"].map(|username| network.peer(username, &[]));
    let note = "is fetched without 2 files that fire_user does not share";
    for name in ["d", "d/*"] {
        let ended = network.fetch(&[name, "--from", "fire_user", "--into", "earth"]).with_code(0);
        let ended = ended.prints_error(&[&format!("{name} {note}")]);
        assert_eq!((&ended.results()[0]["files"], &ended.results()[0]["left_out"]), (&1.into(), &2.into()));
    }
    network.has("earth/d/one.txt", b"fire");
    assert!(!network.path("earth/d/two.txt").exists());
    let none = network.fetch(&["d/t*", "--from", "fire_user", "--into", "air"]).with_code(5);
    none.prints_error(&["no content of \"d/t*\" is shared by \"fire_user\""]);
    let whole = network.fetch(&["d", "--from", "water_user", "--into", "air"]).with_code(0);
    assert!(!whole.err.contains("is fetched without"), "{}", whole.err);
    let mut prompt = network.run("peer", &["--port", "0", "--username", "air_user"]);
    prompt.types("fetch d --from fire_user\n");
    prompt.end_input();
    let ended = prompt.end().with_code(0);
    assert!(ended.out.contains(&format!("d {note}")), "{}", ended.out);
}

#[test]
fn a_file_in_the_way_stays_without_replace() {
    let network = Network::start();
    let (old, new) = (bytes("old", 300_000), bytes("new", 400_000));
    let small = b"small";
    network.write("fire_user/small.txt", small);
    let _fire = network.holder("fire_user", "film.bin", &new);
    network.write("earth/film.bin", &old);
    network.write("earth/small.txt", b"mine");
    let both = ["film.bin", "small.txt", "--into", "earth"];
    let refused = network.run("fetch", &both).end().with_code(6);
    for text in [&hash(&old)[..8], &hash(&new)[..8], "--replace", "film.bin is there already"] {
        assert!(refused.err.contains(text), "{text:?} is not in\n{}", refused.err);
    }
    assert_eq!(refused.out, "");
    network.has("earth/film.bin", &old);
    let replaced = network.run("fetch", &[&both[..], &["--replace"]].concat()).end().with_code(0);
    assert!(replaced.out.contains("the old file is now film.bin.~1~"), "{}", replaced.out);
    for (name, bytes) in [("film.bin", &new), ("film.bin.~1~", &old)] {
        network.has(&format!("earth/{name}"), bytes);
    }
    network.has("earth/small.txt", small);
    network.has("earth/small.txt.~1~", b"mine");
    // The same file again is not kept aside.
    let again = network.run("fetch", &[&both[..], &["--replace"]].concat()).end().with_code(0);
    assert!(again.out.contains("film.bin is here already"), "{}", again.out);
    assert!(!network.path("earth/film.bin.~2~").exists());
}

/// A content that only the peer itself has is not a choice for it: its own file is in the way, and the error says so.
#[test]
fn a_content_that_only_the_peer_itself_has_is_not_a_choice() {
    let network = Network::start();
    let (fires, waters) = (bytes("fire", 1000), bytes("water", 2000));
    network.write("fire_user/d/more.txt", b"fire");
    network.write("water_user/d/more.txt", b"water");
    let _fire = network.holder("fire_user", "d/film.bin", &fires);
    network.write("water_user/d/film.bin", &waters);
    let mut water = network.run("peer", &["--port", "0", "--username", "water_user"]);
    until("both contents are listed", PATIENCE, || (network.list("files", &["d/"]).len() == 4).then_some(()));
    water.types("fetch d/film.bin\nfetch d\n");
    water.prints("2 of 2 files could not be fetched");
    water.prints(&format!("film.bin is there already with another content ({}", &hash(&waters)[..10]));
    water.prints(&format!("{} (1000 bytes) was not fetched", &hash(&fires)[..10]));
    water.types("fetch d --replace\n");
    water.end_input();
    let ended = water.end().with_code(6);
    assert!(ended.out.contains("d is here: 2 files"), "{}", ended.out);
    network.has("water_user/d/film.bin", &fires);
    network.has("water_user/d/film.bin.~1~", &waters);
}

#[test]
fn a_pattern_fetches_its_matches() {
    let network = Network::start();
    for name in ["data/a.bin", "data/b.txt", "data/x/c.bin", "data/x/y/d.bin", "other/e.bin", "odd [1].bin"] {
        network.write(&format!("fire_user/{name}"), name.as_bytes());
    }
    let _fire = network.peer("fire_user", &[]);
    network.fetch(&["data/**/*.bin", "odd [1].bin", "--into", "earth"]).with_code(0);
    for name in ["data/a.bin", "data/x/c.bin", "data/x/y/d.bin", "odd [1].bin"] {
        network.has(&format!("earth/{name}"), name.as_bytes());
    }
    for name in ["data/b.txt", "other"] {
        assert!(!network.path(&format!("earth/{name}")).exists(), "{name}");
    }
    network
        .fetch(&["data/*.iso", "--into", "earth"])
        .with_code(5)
        .prints_error(&["nobody shares \"data/*.iso\""]);
    network.fetch(&["data/*.[z-a]", "--into", "earth"]).with_code(5).prints_error(&["is not a pattern"]);
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
    network
        .run("files", &["nothing/*"])
        .end()
        .with_code(0)
        .prints_error(&["nothing is shared whose name matches this pattern"]);

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
fn all_wrong_names_are_reported_at_once_and_nothing_is_fetched() {
    let network = Network::start();
    let [_fire, _water] = with_versions(&network);
    let _earth = network.holder("earth_user", "film.bin", b"film");
    network
        .fetch(&["film.bin", "flim.bin", "same.bin", "nothing", "--into", "air"])
        .with_code(5)
        .prints_error(&[
            "nobody shares \"flim.bin\"",
            "did you mean film.bin?",
            "same.bin has 2 contents",
            "nobody shares \"nothing\"",
        ]);
    assert!(!network.path("air/film.bin").exists());
}

#[test]
fn an_exact_name_takes_precedence_over_the_choice_of_a_content() {
    let network = Network::start();
    let [(fires, _fire), _water] = with_versions(&network);
    let name = format!("same.bin@{}", &hash(&fires)[..10]);
    let exact = bytes("exact", 1234);
    let _earth = network.holder("earth_user", &name, &exact);
    network.fetch(&[&name, "--into", "air"]).with_code(0);
    network.has(&format!("air/{name}"), &exact);
    assert!(!network.path("air/same.bin").exists());
}

#[test]
fn the_closest_names_are_suggested_for_an_unknown_name() {
    let network = Network::start();
    let _fire = network.holder("fire_user", "films/summer.mkv", b"summer");
    network
        .fetch(&["films/sumer.mkv", "--into", "earth"])
        .with_code(5)
        .prints_error(&["nobody shares \"films/sumer.mkv\"", "did you mean films/summer.mkv?"]);
    network.fetch(&["../films", "--into", "earth"]).with_code(5);
}

#[test]
fn a_fetch_of_an_unknown_name_changes_no_files() {
    let network = Network::start();
    let _fire = network.holder("fire_user", "film.bin", b"film");
    network.fetch(&["typo", "--into", "new/sub"]).with_code(5);
    assert!(!network.path("new").exists());
    network.write("mine/file", b"mine");
    network.fetch(&["typo", "--into", "mine"]).with_code(5);
    network.has("mine/file", b"mine");
    assert!(!network.path("mine/.brigade").exists());
    // Parts of an earlier fetch stay, and so does a key that a username is bound to.
    network.fetch(&["film.bin", "--into", "got"]).with_code(0);
    network.fetch(&["typo", "--into", "got"]).with_code(5);
    assert!(network.path("got/.brigade/key").exists() && network.path("got/.brigade/index.db").exists());
    network.fetch(&["typo", "--into", "named/sub", "--username", "earth_user"]).with_code(5);
    assert!(network.path("named/sub/.brigade/key").exists());
}
