//! A shared folder, and a manager's state, on a file system without permissions and links: exFAT, as on memory cards.
//! Mounting one needs root.

use std::{
    fs::{self, OpenOptions},
    io::Write,
    path::Path,
};

use rustix::process::Signal;

use crate::{
    test_disk::Disk,
    test_network::{Network, bytes, hash},
    test_process::{PATIENCE, Process, until},
};

const EXPOSED: &str = "others on this machine may read the key file";

#[test]
fn a_peer_whose_folder_is_on_exfat_shares_and_keeps_its_name() {
    let network = Network::start();
    let Some(_disk) = Disk::exfat(&network, "card") else { return };
    let film = bytes("film", 600_000);
    network.write("card/share/film.bin", &film);
    for _ in 0..2 {
        let fire = network.peer("fire_user", &["--folder", "card/share"]);
        network.fetch(&["film.bin", "--into", "got"]).with_code(0);
        let ended = fire.terminate().with_code(143);
        assert_eq!(ended.err.matches(EXPOSED).count(), 1, "{}", ended.err);
        assert!(ended.err.contains("umask=077"), "{}", ended.err);
    }
    network.has("got/film.bin", &film);
    // A refused username leaves no file behind.
    let taken = ["--headless", "--username", "fire_user", "--folder", "card/other"];
    network.run("peer", &taken).end().with_code(4);
    assert!(!network.path("card/other").exists());
}

#[test]
fn a_manager_whose_state_is_on_exfat_is_the_same_after_a_restart() {
    let mut network = Network::start();
    let Some(_disk) = Disk::exfat(&network, "card") else { return };
    let mut keys = vec![];
    for _ in 0..2 {
        let mut command = network.brigade("manager");
        command.args(["--port", "0", "--state", "card/state"]);
        let manager = Process::start(command);
        manager.prints("ready\n");
        let text = manager.prints("its key is ");
        keys.push(text.split_once("its key is ").unwrap().1.trim().to_owned());
        manager.terminate().with_code(143).prints_error(&[EXPOSED]);
    }
    assert_eq!(keys[0], keys[1]);
    assert!(fs::metadata(network.path("card/state/members.sqlite")).unwrap().len() > 0);
    network.stop_manager().with_code(143);
}

#[test]
fn a_name_that_differs_only_in_case_from_a_file_is_refused_with_that_file() {
    let network = Network::start();
    let Some(_disk) = Disk::exfat(&network, "card") else { return };
    network.write("fire_user/d/film.bin", b"wanted");
    let _fire = network.holder("fire_user", "top.bin", b"wanted, too");
    network.write("card/in/D/Film.bin", b"mine");
    network.write("card/in/TOP.bin", b"mine");
    for replace in [&[][..], &["--replace"]] {
        // The first time the file is not known yet; the second time it may be known.
        for _ in 0..2 {
            let names = [&["d/film.bin", "top.bin", "--into", "card/in"], replace].concat();
            let ended = network.run("fetch", &names).end().with_code(6);
            for (true_name, name) in [("D/Film.bin", "d/film.bin"), ("TOP.bin", "top.bin")] {
                let text =
                    format!("{true_name} is there already, and differs from {name} only in capital letters");
                assert!(ended.err.contains(&text), "{}{}", ended.out, ended.err);
            }
        }
    }
    network.has("card/in/D/Film.bin", b"mine");
    network.has("card/in/TOP.bin", b"mine");
}

#[test]
fn wanted_names_that_differ_only_in_case_are_reported_before_the_fetch() {
    let network = Network::start();
    let Some(_disk) = Disk::exfat(&network, "card") else { return };
    for name in ["e/A.txt", "e/a.txt", "e/other.txt"] {
        network.write(&format!("fire_user/{name}"), name.as_bytes());
    }
    let _fire = network.peer("fire_user", &[]);
    let ended = network.fetch(&["e", "--into", "card/in"]).with_code(6).prints_error(&[
        "1 of 3 files of \"e\" cannot be put into ",
        "e/a.txt: e/A.txt is wanted too, and this file system ignores capital letters",
    ]);
    assert_eq!(ended.totals()["bytes"], 0);
    assert!(!network.path("card/in/e").exists());
    network.fetch(&["e/{A,other}.txt", "--into", "card/in"]).with_code(0);
    network.has("card/in/e/a.txt", b"e/A.txt");
}

/// exFAT stores times in whole seconds, and no time for a change of an attribute.
#[test]
fn a_write_that_the_times_do_not_show_is_noticed() {
    let network = Network::start();
    let Some(_disk) = Disk::exfat(&network, "fire_user") else { return };
    let is_listed = |name: &str, content: &[u8]| {
        until(&format!("the new {name} is listed"), PATIENCE, || {
            let listed = network.list("files", &[name]);
            (listed.len() == 1 && listed[0]["id"] == hash(content)).then_some(())
        });
    };
    // The peer sees only the result of a write.
    let unseen = |fire: &Process, write: &dyn Fn()| {
        fire.signal(Signal::STOP);
        write();
        fire.signal(Signal::CONT);
    };
    network.write("fire_user/kept", b"old");
    let fire = network.peer("fire_user", &[]);
    is_listed("kept", b"old");
    unseen(&fire, &|| write_with_the_old_time(&network.path("fire_user/kept"), b"new"));
    is_listed("kept", b"new");
    // Written again as soon as it is listed, which is often in the same second.
    for content in ["one", "two", "six", "ten"] {
        unseen(&fire, &|| network.write("fire_user/again", content.as_bytes()));
        is_listed("again", content.as_bytes());
    }
}

/// exFAT ignores case, and events have the spelling that the writing program used.
#[test]
fn a_file_is_listed_only_with_its_true_capital_letters() {
    let network = Network::start();
    let Some(_disk) = Disk::exfat(&network, "fire_user") else { return };
    for name in ["renamed", "written", "removed", "folder/file"] {
        network.write(&format!("fire_user/{name}"), name.as_bytes());
    }
    let fire = network.peer("fire_user", &[]);
    let are_listed = |expected: &[(&str, &str)]| {
        let mut expected: Vec<_> =
            expected.iter().map(|(name, content)| ((*name).to_owned(), hash(content.as_bytes()))).collect();
        expected.sort();
        until(&format!("exactly these are listed: {expected:?}"), PATIENCE, || {
            let text = |file: &serde_json::Value, key: &str| file[key].as_str().unwrap().to_owned();
            let listed = network.list("files", &[]);
            let listed: Vec<_> = listed.iter().map(|file| (text(file, "name"), text(file, "id"))).collect();
            (listed == expected).then_some(())
        });
    };
    are_listed(&[
        ("renamed", "renamed"),
        ("written", "written"),
        ("removed", "removed"),
        ("folder/file", "folder/file"),
    ]);
    let path = |name: &str| network.path("fire_user").join(name);
    fs::rename(path("renamed"), path("Renamed")).unwrap();
    fs::write(path("WRITTEN"), "again").unwrap();
    fs::remove_file(path("REMOVED")).unwrap();
    fs::rename(path("folder"), path("FOLDER")).unwrap();
    are_listed(&[("Renamed", "renamed"), ("written", "again"), ("FOLDER/file", "folder/file")]);
    drop(fire);
}

/// Writes bytes over the beginning of a file, and sets the time before that again.
fn write_with_the_old_time(path: &Path, bytes: &[u8]) {
    let mut file = OpenOptions::new().write(true).open(path).unwrap();
    let time = file.metadata().unwrap().modified().unwrap();
    file.write_all(bytes).unwrap();
    file.set_modified(time).unwrap();
}
