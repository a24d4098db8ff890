//! What a name means: several contents, none, and names that look like a choice among them.
//!
//! The exit code is 5 where nothing is fetched for want of a clear name.

use crate::{
    network::{Network, bytes, hash},
    process::{PATIENCE, until},
};

/// Two peers with another content each under one name.
fn with_versions(network: &Network) -> [(Vec<u8>, crate::process::Process); 2] {
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
    network.fetch(&["same.bin", "--into", "earth"]).with_code(5).complains(&[
        "same.bin has 2 contents",
        &of_fire,
        &of_water,
        "fire_user",
        "water_user",
        "--from",
    ]);
    assert!(!network.path("earth/same.bin").exists());

    network.fetch(&[&format!("same.bin@{of_water}"), "--into", "by_id"]).with_code(0);
    network.has("by_id/same.bin", &waters);
    network.fetch(&["same.bin", "--from", "fire_user", "--into", "by_user"]).with_code(0);
    network.has("by_user/same.bin", &fires);
    network.fetch(&["same.bin@00000000", "--into", "none"]).with_code(5).complains(&[&of_fire, &of_water]);
    network
        .fetch(&["same.bin", "--from", "air_user", "--into", "none"])
        .with_code(5)
        .complains(&["air_user"]);
}

#[test]
fn an_exact_name_wins_over_the_choice_that_it_looks_like() {
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
fn of_a_name_that_is_not_there_the_closest_one_is_offered() {
    let network = Network::start();
    let _fire = network.holder("fire_user", "films/summer.mkv", b"summer");
    network
        .fetch(&["films/sumer.mkv", "--into", "earth"])
        .with_code(5)
        .complains(&["nobody shares \"films/sumer.mkv\"", "did you mean films/summer.mkv?"]);
    network.fetch(&["../films", "--into", "earth"]).with_code(5);
}
