//! A shared folder, and a manager's state, on a file system without permissions and links: exFAT, as on memory cards.
//! Mounting one needs root.

use std::fs;

use crate::{
    test_disk::Disk,
    test_network::{Network, bytes},
    test_process::Process,
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
                assert!(ended.out.contains(&text), "{}{}", ended.out, ended.err);
            }
        }
    }
    network.has("card/in/D/Film.bin", b"mine");
    network.has("card/in/TOP.bin", b"mine");
}
