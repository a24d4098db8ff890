//! The catalogue has the files of a folder, and no others, while the peer runs.
//!
//! The program promises two seconds after the last write, plus the time of hashing. These tests allow more, since the
//! machine may be busy, but less than the time until the next scan of the whole folder: so a change was found by a file
//! system event.

use std::{
    fs,
    io::Write,
    time::{Duration, Instant},
};

use crate::{
    test_network::{Network, bytes, hash},
    test_process::{PATIENCE, found_within, until},
};

/// How long after the last write a change must be listed.
pub(crate) const SEEN: Duration = Duration::from_secs(20);

/// How long a file is being written: longer than any pause that a peer could take for the end.
const WRITING: Duration = Duration::from_secs(3);

/// Waits until exactly these names with these contents are listed under `prefix`.
#[track_caller]
pub(crate) fn lists(network: &Network, prefix: &str, expected: &[(&str, &[u8])]) {
    let expected: Vec<(String, String)> =
        expected.iter().map(|(name, bytes)| ((*name).to_owned(), hash(bytes))).collect();
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let mut seen = vec![];
    let found = found_within(SEEN, || {
        let listed = network.list("files", &[prefix]);
        seen = listed.iter().map(|file| (text(&file["name"]), text(&file["id"]))).collect();
        (seen == expected).then_some(())
    });
    assert!(found.is_some(), "{seen:?} are listed, not {expected:?}");
}

#[test]
fn changes_in_the_folder_are_announced_in_time() {
    let network = Network::start();
    let _fire = network.peer("fire_user", &[]);
    let (old, new) = (bytes("old", 2 << 20), bytes("new", 1 << 20));
    network.write("old.bin", &old);
    fs::copy(network.path("old.bin"), network.path("fire_user/film.bin")).unwrap();
    lists(&network, "", &[("film.bin", &old)]);
    network.write("fire_user/film.bin", &new);
    lists(&network, "", &[("film.bin", &new)]);
    fs::rename(network.path("fire_user/film.bin"), network.path("fire_user/movie.bin")).unwrap();
    lists(&network, "", &[("movie.bin", &new)]);
    fs::remove_file(network.path("fire_user/movie.bin")).unwrap();
    lists(&network, "", &[]);
}

#[test]
fn whole_folders_come_and_go() {
    let network = Network::start();
    let _fire = network.peer("fire_user", &[]);
    network.write("fire_user/a/b/one.txt", b"one");
    network.write("fire_user/a/two.txt", b"two");
    lists(&network, "", &[("a/b/one.txt", b"one"), ("a/two.txt", b"two")]);
    fs::rename(network.path("fire_user/a/b"), network.path("fire_user/c")).unwrap();
    lists(&network, "", &[("a/two.txt", b"two"), ("c/one.txt", b"one")]);
    fs::rename(network.path("fire_user/c"), network.path("outside")).unwrap();
    fs::remove_dir_all(network.path("fire_user/a")).unwrap();
    lists(&network, "", &[]);
}

/// More events than the system keeps for a program that does not read them at once.
#[test]
fn ten_thousand_changes_at_once_are_announced() {
    let network = Network::start();
    for number in 0..5000 {
        let path = network.path(&format!("fire_user/d{}/f{number}", number % 50));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, number.to_string()).unwrap();
    }
    let _fire = network.peer("fire_user", &[]);
    for number in 0..5000 {
        let path = |name: &str| network.path(&format!("fire_user/d{}/{name}{number}", number % 50));
        match number % 5 {
            0 => fs::remove_file(path("f")).unwrap(),
            1 => fs::write(path("f"), "other").unwrap(),
            _ => fs::rename(path("f"), path("g")).unwrap(),
        }
        fs::write(path("h"), "new").unwrap();
    }
    let (other, new) = (hash(b"other"), hash(b"new"));
    // The longest of these tests, but still shorter than the time until the next scan of the whole folder.
    until("all of it is seen", PATIENCE * 3 / 2, || {
        let listed = network.list("files", &[]);
        let right = |file: &serde_json::Value| {
            let (name, number) = file["name"].as_str()?.split_once('/')?.1.split_at(1);
            let id = match (name, number.parse::<usize>().ok()? % 5) {
                ("f", 1) => other.clone(),
                ("g", 2..) => hash(number.as_bytes()),
                ("h", _) => new.clone(),
                _ => return None,
            };
            (file["id"] == id).then_some(())
        };
        (listed.len() == 9000 && listed.iter().all(|file| right(file).is_some())).then_some(())
    });
}

#[test]
fn a_file_is_not_announced_while_it_is_written() {
    let network = Network::start();
    let _fire = network.peer("fire_user", &[]);
    let mut file = fs::File::create(network.path("fire_user/film.bin")).unwrap();
    let mut written = vec![];
    let end = Instant::now() + WRITING;
    while Instant::now() < end {
        let part = bytes(&written.len().to_string(), 1000);
        file.write_all(&part).unwrap();
        written.extend(part);
        let listed = network.list("files", &[]);
        assert!(listed.is_empty(), "announced after {} bytes: {listed:?}", written.len());
    }
    drop(file);
    lists(&network, "", &[("film.bin", &written)]);
}

#[test]
fn hashes_are_stored_when_a_peer_quits_at_once() {
    let network = Network::start();
    for round in 0..5 {
        let name = format!("film{round}.bin");
        let fire = network.holder("fire_user", &name, &bytes(&name, 300_000));
        fire.terminate().with_code(143);
        let index = fs::read(network.path("fire_user/.brigade/index.db")).unwrap();
        assert!(
            index.windows(name.len()).any(|bytes| bytes == name.as_bytes()),
            "{name} is not in the index"
        );
    }
}

#[test]
fn private_and_hidden_files_are_not_shared() {
    let network = Network::start();
    network.write("fire_user/.hidden", b"hidden");
    network.write("fire_user/.git/config", b"hidden");
    let _fire = network.holder("fire_user", "seen.txt", b"seen");
    network.write("fire_user/.later", b"hidden");
    network.write("fire_user/seen too.txt", b"too");
    until("the second file is listed", PATIENCE, || {
        (network.list("files", &["seen too"]).len() == 1).then_some(())
    });
    lists(&network, "", &[("seen too.txt", b"too"), ("seen.txt", b"seen")]);
}

/// Root can read all files, so the peer runs as nobody.
#[test]
fn unreadable_files_are_not_shared_and_status_lists_them() {
    use std::os::unix::{fs::PermissionsExt, process::CommandExt};

    let network = Network::start();
    network.write("fire_user/seen.txt", b"seen");
    network.write("fire_user/hidden.txt", b"hidden");
    network.write("fire_user/closed/inside.txt", b"inside");
    for path in ["fire_user/hidden.txt", "fire_user/closed"] {
        fs::set_permissions(network.path(path), fs::Permissions::from_mode(0o000)).unwrap();
    }
    let mut command = network.brigade("peer");
    command.args(["--manager-port", &network.port().to_string(), "--port", "0", "--username", "fire_user"]);
    if rustix::process::geteuid().is_root() {
        const NOBODY: u32 = 65_534;
        for path in ["", "fire_user", "home"] {
            fs::create_dir_all(network.path(path)).unwrap();
            std::os::unix::fs::chown(network.path(path), Some(NOBODY), Some(NOBODY)).unwrap();
        }
        std::os::unix::fs::chown(network.path("fire_user/seen.txt"), Some(NOBODY), Some(NOBODY)).unwrap();
        command.uid(NOBODY).gid(NOBODY);
    }
    let mut fire = crate::test_process::Process::start(command);
    fire.prints("`help` lists the commands");
    lists(&network, "", &[("seen.txt", b"seen")]);
    fire.types("status\n");
    fire.prints("not shared: closed (");
    fire.prints("not shared: hidden.txt (");
    fire.types("q\n");
    fire.end().with_code(0);
}
