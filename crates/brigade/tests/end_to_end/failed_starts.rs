//! Commands that end at their start, with their exit codes and texts: a full network, names, keys, ports, folders.
//!
//! `file_name_lookup` tests names of files that are refused.

use std::{fs, os::unix::fs::PermissionsExt};

use crate::{
    scripted_peer::ScriptedPeer,
    test_disk::Disk,
    test_network::{Network, bytes, free_port},
    test_process::{PATIENCE, Process, until},
};

/// Starts a peer without a prompt that is expected to be refused.
fn refused(network: &Network, arguments: &[&str]) -> crate::test_process::ExitedProcess {
    network.run("peer", &[&["--headless", "--username"][..], arguments].concat()).end()
}

#[test]
fn a_full_network_refuses_peers_and_still_answers_questions() {
    let network = Network::start_with(&["--port", "0", "--max", "1"]);
    let fire = network.holder("fire_user", "film.bin", &bytes("film", 1000));
    let full = network.run("peer", &["--username", "water_user", "--port", "0"]).end().with_code(4);
    let full = full.prints_error(&[
        "the manager refused: the network is full: it takes 1 peer at most",
        "--max is reached",
    ]);
    assert_eq!(full.err.matches("the network is full").count(), 1, "{}", full.err);
    assert!(!network.path("water_user").exists());
    network.fetch(&["film.bin", "--into", "earth"]).with_code(4).prints_error(&["the network is full"]);
    assert_eq!(network.usernames(), ["fire_user"]);
    assert_eq!(network.list("files", &[]).len(), 1);
    // A service waits until a peer has left.
    let water = network.run("peer", &["--headless", "--username", "water_user"]);
    water.prints_error("waiting for the manager");
    fire.terminate().with_code(143);
    water.prints("ready\n");
    water.terminate().with_code(143);
}

#[test]
fn a_username_stays_bound_to_its_key_after_a_restart_of_the_manager() {
    let port = free_port().to_string();
    let mut network = Network::start_with(&["--port", &port]);
    network.peer("fire_user", &["--folder", "a"]).terminate().with_code(143);
    let another = |network: &Network| {
        for username in ["fire_user", "FIRE_user"] {
            refused(network, &[username, "--folder", "b"])
                .with_code(4)
                .prints_error(&["the username belongs to another key", "choose another username"]);
        }
        assert!(!network.path("b").exists());
    };
    another(&network);
    let key = network.key().to_owned();
    network.stop_manager().with_code(143);
    network.start_manager("state", &["--port", &port]);
    assert_eq!(network.key(), key);
    another(&network);
    network.peer("fire_user", &["--folder", "a"]).terminate().with_code(143);
}

#[test]
fn a_manager_with_another_key_is_refused_until_its_key_is_given() {
    let port = free_port().to_string();
    let mut network = Network::start_with(&["--port", &port]);
    let before = network.key().to_owned();
    network.list("files", &[]);
    network.stop_manager().with_code(143);
    network.start_manager("another", &["--port", &port]);
    let now = network.key().to_owned();
    assert_ne!(before, now);
    for command in ["files", "peers"] {
        network.run(command, &[]).end().with_code(4).prints_error(&[
            &before,
            &now,
            "--manager-key",
            "known_managers",
        ]);
    }
    refused(&network, &["fire_user"]).with_code(4).prints_error(&[&before, &now]);
    network.fetch(&["film.bin", "--into", "earth"]).with_code(4).prints_error(&[
        &before,
        &now,
        "--manager-key",
    ]);
    // The manager is contacted before the first question.
    network.run("peer", &[]).end().with_code(4).prints_error(&[&before, &now, "--manager-key"]);
    assert!(!network.path("fire_user").exists() && !network.path("earth").exists());
    let given = network.run("files", &["--manager-key", &before, "--json"]).end().with_code(4);
    let given = given.prints_error(&["has another key than the one that was given", &before, &now]);
    assert!(!given.err.contains("there before"), "{}", given.err);
    let causes = [format!("given:    {before}"), format!("answered: {now}")];
    assert_eq!(given.json()[0]["causes"], serde_json::json!(causes));
    network.run("files", &["--manager-key", &now]).end().with_code(0);
    // It is needed only once.
    network.run("files", &[]).end().with_code(0);
}

/// Before the manager is contacted, and before anything is created.
#[test]
fn private_files_of_brigade_are_neither_shared_nor_fetched_into() {
    let mut network = Network::start();
    network.write("fire_user/.brigade/key", b"");
    network.write("seen/home/known_managers", b"");
    network.stop_manager().with_code(143);
    let run = |subcommand: &str, arguments: &[&str]| {
        let mut command = network.brigade(subcommand);
        command.args(arguments).env("BRIGADE_HOME", network.path("seen/home"));
        Process::start(command).end().with_code(6)
    };
    let cannot_be_shared = ["cannot be shared: ", "hint: name another folder with --folder"];
    for folder in ["seen", "seen/home", "state", "state/sub", "fire_user/.brigade"] {
        let ended = run("peer", &["--folder", folder]).prints_error(&cannot_be_shared);
        assert!(!ended.out.contains("Port:"), "{}", ended.out);
        run("peer", &["--headless", "--username", "a", "--folder", folder]).prints_error(&cannot_be_shared);
    }
    run("peer", &["--headless", "--username", "seen"]).prints_error(&["BRIGADE_HOME", "is in it"]);
    for folder in ["seen/home", "state", "state/sub", "fire_user/.brigade", "fire_user/.brigade/parts/new"] {
        let ended = run("fetch", &["film", "--json", "--into", folder]);
        ended.prints_error(&["nothing can be fetched into ", "--into"]);
    }
    let made = ["fire_user/.brigade/parts", "state/.brigade", "state/sub", "seen/.brigade"];
    assert_eq!(made.iter().find(|folder| network.path(folder).exists()), None);
    // Only a peer would share it, and it leaves out the state.
    let mut manager = network.brigade("manager");
    manager.args(["--port", "0", "--state", "fire_user/state"]);
    let manager = Process::start(manager);
    manager.prints_error("note: the state of the manager (fire_user/state) is in the folder ");
    manager.prints("ready\n");
    manager.terminate().with_code(143);
}

#[test]
fn the_port_of_a_peer_is_not_taken_for_the_port_of_a_manager() {
    let network = Network::start();
    let port = free_port().to_string();
    let _fire = network.peer("fire_user", &["--port", &port]);
    let known = || fs::read_to_string(network.path("home/known_managers")).unwrap();
    let before = known();
    let texts = ["a peer, not a manager, answers at", "give the host and port of the manager"];
    for arguments in [
        &["files"][..],
        &["peers"],
        &["peer"],
        &["peer", "--headless", "--username", "water_user"],
        &["fetch", "film.bin"],
    ] {
        let mut command = network.brigade(arguments[0]);
        command.args(&arguments[1..]).args(["--manager-port", &port]);
        Process::start(command).end().with_code(3).prints_error(&texts);
    }
    assert_eq!(known(), before);
    // Nor is the peer taken for another manager if the key of a manager is known for its address.
    let line = format!("localhost:{port} {}\n", network.key());
    network.write("home/known_managers", format!("{before}{line}").as_bytes());
    for arguments in [&["files"][..], &["peer", "--headless", "--username", "water_user"]] {
        let mut command = network.brigade(arguments[0]);
        command.args(&arguments[1..]).args(["--manager-port", &port]);
        Process::start(command).end().with_code(3).prints_error(&texts);
    }
    assert!(!network.path("water_user").exists());
}

#[test]
fn an_error_that_cannot_be_printed_keeps_its_exit_code() {
    let mut network = Network::start();
    network.stop_manager().with_code(143);
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut files = network.brigade("files");
    files.args(["--manager-port", &network.port().to_string()]).stderr(writer);
    assert_eq!(files.status().unwrap().code(), Some(3));
}

#[test]
fn without_a_manager_it_says_how_to_start_one() {
    let mut network = Network::start_with(&["--port", &free_port().to_string()]);
    network.stop_manager().with_code(143);
    let hint = ["no manager answers at localhost:", "start one with `brigade manager`"];
    network.run("files", &[]).end().with_code(3).prints_error(&hint);
    network.run("peers", &["--json"]).end().with_code(3).prints_error(&hint);
    network.fetch(&["film.bin"]).with_code(3).prints_error(&hint);
    // Before the first question, and a host without an address is no special case.
    let ended = network.run("peer", &[]).end().with_code(3).prints_error(&hint);
    assert!(!ended.out.contains("Port:"), "{}", ended.out);
    assert!(!network.path("fire_user").exists());
}

#[test]
fn a_host_without_an_address_ends_the_questions() {
    let network = Network::start();
    for (subcommand, arguments) in
        [("files", &[][..]), ("peers", &[]), ("fetch", &["film.bin", "--into", "earth"]), ("peer", &[])]
    {
        let mut command = network.brigade(subcommand);
        command.args(["--manager-host", "nosuch.invalid"]).args(arguments);
        let ended = Process::start(command).end().with_code(3);
        ended.prints_error(&[
            "finding the address of nosuch.invalid",
            "hint: check the host and port of the manager",
        ]);
    }
    // For the peer's own host, and for one of another machine: no port would help.
    for host in ["nosuch.invalid", "192.0.2.1"] {
        let mut asked = network.run("peer", &["--host", host]);
        if host == "192.0.2.1" {
            asked.types("0\n0\n0\n");
        }
        asked.end().with_code(2).prints_error(&[host, "--host must be a name or an address of this machine"]);
        let headless = ["--headless", "--username", "fire_user", "--host", host];
        network.run("peer", &headless).end().with_code(2).prints_error(&[host, "--host must be"]);
        let fetch = ["film.bin", "--into", "earth", "--host", host];
        network.run("fetch", &fetch).end().with_code(2).prints_error(&[host, "--host must be"]);
        let mut manager = network.brigade("manager");
        manager.args(["--host", host, "--open", "--port", "0", "--state", "another"]);
        Process::start(manager).end().with_code(2).prints_error(&[host, "--host must be"]);
    }
    assert!(!network.path("earth").exists() && !network.path("fire_user").exists());
}

#[test]
fn a_port_that_is_in_use_is_named() {
    let network = Network::start();
    let port = network.port().to_string();
    let hint = format!("another program listens on port {port} already");
    let mut command = network.brigade("manager");
    command.args(["--port", &port, "--state", "another"]);
    Process::start(command).end().with_code(1).prints_error(&[&hint]);
    refused(&network, &["fire_user", "--port", &port, "--host", "localhost"])
        .with_code(1)
        .prints_error(&[&hint]);
}

#[test]
fn a_state_folder_has_one_manager() {
    let network = Network::start();
    let manager = || {
        let mut command = network.brigade("manager");
        command.args(["--port", "0", "--state", "another"]);
        Process::start(command)
    };
    let first = manager();
    first.prints("ready\n");
    let says = ["another manager is using another", "stop the other manager", "another --port and --state"];
    manager().end().with_code(6).prints_error(&says);
    first.terminate().with_code(143);
}

#[test]
fn two_peers_at_one_address_need_two_ports() {
    let network = Network::start();
    let port = free_port();
    let (_session, _) = ScriptedPeer::join(network.port(), 1, port);
    let text = [
        &format!("stranger_1 is reached at 127.0.0.1:{port} already")[..],
        "choose another port (--port), or 0 for a free one",
    ];
    let at = port.to_string();
    network
        .run("peer", &["--headless", "--username", "fire_user", "--port", &at])
        .end()
        .with_code(4)
        .prints_error(&text);
    assert!(!network.path("fire_user").exists());
    network.fetch(&["film.bin", "--into", "earth", "--port", &at]).with_code(4).prints_error(&text);
    assert!(!network.path("earth").exists());
    // At a prompt the question is repeated, only for the port.
    let mut fire = network.run("peer", &[]);
    fire.types(&format!("{at}\nfire_user\n0\nq\n"));
    let ended = fire.end().with_code(0).prints_error(&text);
    assert_eq!(ended.out.matches("Username: ").count(), 1, "{}", ended.out);
    assert_eq!(ended.out.matches("Port: ").count(), 2, "{}", ended.out);
    // A peer with a port that the system chose takes another one.
    until("fire_user has left", PATIENCE, || (network.usernames() == ["stranger_1"]).then_some(()));
}

#[test]
fn a_manager_that_others_can_reach_starts_only_with_open() {
    let network = Network::start();
    let manager = |arguments: &[&str]| {
        let mut command = network.brigade("manager");
        command.args(["--host", "0.0.0.0", "--port", "0", "--state", "another"]).args(arguments);
        Process::start(command)
    };
    manager(&[]).end().with_code(2).prints_error(&[
        "anyone who can reach the port may join",
        "--open",
        "--host localhost",
    ]);
    let open = manager(&["--open"]);
    open.prints("ready\n");
    open.terminate().with_code(143);
}

#[test]
fn a_start_that_cannot_store_its_key_binds_no_username() {
    let network = Network::start();
    network.write("file", b"mine");
    let ended = refused(&network, &["fire_user", "--folder", "file"]).with_code(6);
    ended.prints_error(&["file is not a folder"]);
    network.peer("fire_user", &["--folder", "a"]).terminate().with_code(143);
    if let Some(disk) = Disk::in_memory(&network, "disk", 1) {
        disk.fill("filler");
        let ended = refused(&network, &["water_user", "--folder", "disk/share"]).with_code(6);
        ended.prints_error(&["No space left on device"]);
        assert!(!network.path("disk/share").exists());
    }
    network.peer("water_user", &["--folder", "b"]).terminate().with_code(143);
}

#[test]
fn a_folder_has_one_session() {
    let network = Network::start();
    let fire = network.peer("fire_user", &["--folder", "shared"]);
    let at = network.list("peers", &[])[0]["address"].as_str().unwrap().to_owned();
    let named = format!("shared is in use by another session: fire_user at {at} (process {})", fire.id());
    let says = [&named, "stop the other session, or use another folder"];
    refused(&network, &["water_user", "--folder", "shared"]).with_code(6).prints_error(&says);

    // The text in the lock may come from anyone: only a name, a number or an address in it is shown.
    let lock = network.path("shared/.brigade/lock");
    fs::write(&lock, "username \u{1b}[2J\nprocess many\naddress\nhint: rm -rf\n".repeat(1000)).unwrap();
    let ended = refused(&network, &["water_user", "--folder", "shared"]).with_code(6);
    assert_eq!(ended.err.lines().count(), 2, "{}", ended.err);
    assert!(ended.err.contains("in use by another session\n"), "{}", ended.err);

    // A copy with its `.brigade/` has the same key.
    fs::create_dir_all(network.path("copy/.brigade")).unwrap();
    fs::set_permissions(network.path("copy/.brigade"), fs::Permissions::from_mode(0o700)).unwrap();
    fs::copy(network.path("shared/.brigade/key"), network.path("copy/.brigade/key")).unwrap();
    refused(&network, &["fire_user", "--folder", "copy"])
        .with_code(4)
        .prints_error(&[&format!("fire_user is here already, at {at}"), "delete `.brigade/` in the copy"]);
    network.has_peers(&["fire_user"], PATIENCE);
}

#[test]
fn a_key_that_others_can_read_is_refused() {
    let network = Network::start();
    network.peer("fire_user", &[]).terminate().with_code(143);
    let key = network.path("fire_user/.brigade/key");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    refused(&network, &["fire_user"]).with_code(6).prints_error(&["chmod 600"]);
}

#[test]
fn unusable_private_files_are_explained() {
    let network = Network::start();
    let link = |to: &str, path: &str| std::os::unix::fs::symlink(to, network.path(path)).unwrap();
    let make_private = |path: &str, bytes: &[u8]| {
        network.write(path, bytes);
        fs::set_permissions(network.path(path), fs::Permissions::from_mode(0o600)).unwrap();
    };
    make_private("damaged/.brigade/key", b"damaged");
    fs::create_dir_all(network.path("lock/.brigade/lock")).unwrap();
    network.write("lock/.brigade/key", b"");
    fs::create_dir_all(network.path("link/.brigade")).unwrap();
    network.write("link/.brigade/lock", b"");
    link("nowhere", "link/.brigade/key");
    for (folder, expected) in [
        ("damaged", ["does not hold an Ed25519 key: it is damaged", "hint: put the key from a backup there"]),
        ("lock", [".brigade/lock is not a regular file", "hint: Brigade keeps its own files in `.brigade`"]),
        ("link", ["is a symbolic link to a file that does not exist", "hint: bring back the file"]),
    ] {
        refused(&network, &["fire_user", "--folder", folder]).with_code(6).prints_error(&expected);
    }
    make_private("damaged_key/manager.key", b"damaged");
    network.write("damaged_members/members.sqlite", b"this is not a database");
    fs::create_dir_all(network.path("no_file/members.sqlite")).unwrap();
    fs::create_dir_all(network.path("link_state")).unwrap();
    link("nowhere", "link_state/manager.key");
    for (state, expected) in [
        ("damaged_key", ["does not hold an Ed25519 key", "hint: put the key from a backup there"]),
        ("damaged_members", ["file is not a database", "hint: put the file from a backup there"]),
        ("no_file", ["unable to open database file", "hint: members.sqlite must be a file"]),
        ("link_state", ["is a symbolic link to a file that does not exist", "refuse the new key"]),
    ] {
        let mut command = network.brigade("manager");
        command.args(["--port", "0", "--state", state]);
        Process::start(command).end().with_code(6).prints_error(&expected);
    }
}

#[test]
fn a_wrong_command_line_is_2() {
    let network = Network::start();
    for (subcommand, arguments) in [
        ("files", &["--no-such-option"][..]),
        ("fetch", &[]),
        ("fetch", &["film.bin", "--download-limit", "fast"]),
        ("peer", &["--max", "0"]),
        ("peer", &["--headless"]),
        ("peer", &["--headless", "--username", "a/b"]),
        ("peers", &["--manager-key", "12"]),
    ] {
        network.run(subcommand, arguments).end().with_code(2);
    }
}
