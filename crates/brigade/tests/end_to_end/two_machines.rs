//! Two machines: network namespaces with a virtual cable between them, which the test creates and removes.
//!
//! They need root and iproute2; without them the tests are skipped.

use std::{
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use crate::{
    test_network::{Network, bytes, free_port, hash},
    test_process::{PATIENCE, Process, until},
    test_skipping::skip,
};

/// How long a peer may be away after its machine got another address: a lease until that is detected, another one if
/// the old session must end first, and the delay of a busy machine.
const NEW_ADDRESS: Duration = Duration::from_secs(60);

/// Addresses of the two machines.
const NEAR: &str = "10.77.0.1";
const FAR: &str = "10.77.0.2";

/// Link-local addresses of the two machines. The zone of each is the link of the machine that uses it.
const NEAR_LINK_LOCAL: &str = "fe80::1";
const FAR_LINK_LOCAL: &str = "fe80::2";

/// Two machines; removed on drop.
struct Machines {
    near: String,
    far: String,
}

impl Machines {
    fn make() -> Option<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("brigade-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let this = Self { near: format!("{name}-near"), far: format!("{name}-far") };
        let (near, far) = (this.near.as_str(), this.far.as_str());
        if !(ip(&["netns", "add", near]) && ip(&["netns", "add", far])) {
            skip("root and iproute2, to make network namespaces");
            return None;
        }
        let cable =
            ["link", "add", "near", "netns", near, "type", "veth", "peer", "name", "far", "netns", far];
        assert!(ip(&cable));
        for (machine, link, address) in [(near, "near", NEAR), (far, "far", FAR)] {
            assert!(ip(&["-n", machine, "addr", "add", &format!("{address}/24"), "dev", link]));
            // The system adds no link-local address by itself: after a moment, connections would come from it. Without
            // IPv6, it does not add one anyway.
            ip(&["-n", machine, "link", "set", link, "addrgenmode", "none"]);
            assert!(ip(&["-n", machine, "link", "set", link, "up"]));
            assert!(ip(&["-n", machine, "link", "set", "lo", "up"]));
        }
        Some(this)
    }

    /// Gives both machines link-local addresses, which can be used at once.
    fn add_link_local_addresses(&self) -> bool {
        [(&self.near, "near", NEAR_LINK_LOCAL), (&self.far, "far", FAR_LINK_LOCAL)].iter().all(
            |(machine, link, address)| {
                ip(&["-n", machine, "addr", "add", &format!("{address}/64"), "dev", link, "nodad"])
            },
        )
    }

    /// Gives the far machine another address instead of the first one.
    fn renumber_far(&self, before: &str, now: &str) {
        for (what, address) in [("del", before), ("add", now)] {
            assert!(ip(&["-n", &self.far, "addr", what, &format!("{address}/24"), "dev", "far"]));
        }
    }

    fn on_far(&self, network: &Network, subcommand: &str, arguments: &[&str]) -> Process {
        network.run_on(&self.far, NEAR, subcommand, arguments)
    }

    /// Starts a peer on the far machine with the file `name` in the folder of its name, and waits until the file is
    /// listed.
    fn far_holder(&self, network: &Network, username: &str, name: &str, bytes: &[u8]) -> Process {
        network.write(&format!("{username}/{name}"), bytes);
        let peer = self.on_far(network, "peer", &["--headless", "--username", username]);
        peer.prints("ready\n");
        assert_eq!(network.has_file(name, 1, PATIENCE)["id"], *hash(bytes));
        peer
    }
}

impl Drop for Machines {
    fn drop(&mut self) {
        for machine in [&self.near, &self.far] {
            ip(&["netns", "del", machine]);
        }
    }
}

fn ip(arguments: &[&str]) -> bool {
    Command::new("ip").args(arguments).output().is_ok_and(|output| output.status.success())
}

fn address_of(network: &Network, username: &str) -> String {
    let peers = network.list("peers", &[]);
    let row = peers.iter().find(|row| row["username"] == username).unwrap_or_else(|| panic!("no {username}"));
    row["address"].as_str().unwrap().to_owned()
}

#[test]
fn a_peer_with_an_open_manager_serves_other_machines() {
    let Some(machines) = Machines::make() else { return };
    let network = Network::start_on(&machines.near, &["--host", "0.0.0.0", "--open", "--port", "0"]);
    let film = bytes("film", 3 << 20);
    let _fire = network.holder("fire_user", "film.bin", &film);
    let fetch = machines.on_far(&network, "fetch", &["film.bin", "--into", "far", "--json"]);
    let totals = fetch.end().with_code(0).totals();
    assert_eq!(totals["done"], true);
    network.has("far/film.bin", &film);

    // And in the other direction.
    let notes = bytes("notes", 1 << 20);
    let _water = machines.far_holder(&network, "water_user", "notes.bin", &notes);
    network.fetch(&["notes.bin", "--into", "near"]).with_code(0);
    network.has("near/notes.bin", &notes);
}

#[test]
fn a_peer_with_a_manager_on_loopback_listens_only_on_loopback() {
    let Some(machines) = Machines::make() else { return };
    let port = free_port().to_string();
    let mut network = Network::start_on(&machines.near, &["--port", &port]);
    let film = bytes("film", 1 << 20);
    let fire = network.holder("fire_user", "film.bin", &film);
    let address = address_of(&network, "fire_user");
    let own = address.strip_prefix("127.0.0.1:").unwrap().to_owned();
    // Another program listens there; without one, the connection would be refused.
    let knocks = || {
        let mut command = network.brigade_on(Some(&machines.far), "files");
        command.args(["--manager-port", &own, "--manager-host", NEAR]);
        Process::start(command).end().with_code(3).err
    };
    assert!(knocks().contains(&format!("no manager answers at {NEAR}:{own}")));

    // The manager is restarted for other machines: the same peer becomes reachable from them.
    network.stop_manager().with_code(143);
    network.start_manager("state", &["--port", &port, "--host", "0.0.0.0", "--open"]);
    network.has_file("film.bin", 1, PATIENCE);
    let fetch = machines.on_far(&network, "fetch", &["film.bin", "--into", "far"]);
    fetch.end().with_code(0);
    network.has("far/film.bin", &film);
    let ended = fire.terminate().with_code(143).prints_error(&["the manager is back"]);
    assert!(!ended.err.contains("cannot reach"), "{}", ended.err);
}

#[test]
fn a_peer_continues_after_its_machine_gets_another_address() {
    let Some(machines) = Machines::make() else { return };
    let network = Network::start_on(&machines.near, &["--host", "0.0.0.0", "--open", "--port", "0"]);
    let film = bytes("film", 16 << 20);
    let water = machines.far_holder(&network, "water_user", "film.bin", &film);
    let port = address_of(&network, "water_user").strip_prefix(&format!("{FAR}:")).unwrap().to_owned();
    let fetch = network.run("fetch", &["film.bin", "--into", "near", "--download-limit", "2MB"]);
    until("a piece is recorded", PATIENCE, || {
        (crate::test_network::pieces_recorded(&network.path("near")) > 0).then_some(())
    });
    machines.renumber_far(FAR, "10.77.0.3");
    let address = format!("10.77.0.3:{port}");
    until("the peer is there at its new address", NEW_ADDRESS, || {
        let peers = network.list("peers", &[]);
        peers.iter().any(|row| row["username"] == "water_user" && row["address"] == *address).then_some(())
    });
    fetch.end_within(NEW_ADDRESS).with_code(0);
    network.has("near/film.bin", &film);
    let ended =
        water.terminate().with_code(143).prints_error(&["the manager is away", "the manager is back"]);
    assert!(!ended.err.contains("refuses"), "{}", ended.err);
}

#[test]
fn a_peer_that_others_cannot_reach_reports_it() {
    let Some(machines) = Machines::make() else { return };
    let network = Network::start_on(&machines.near, &["--host", "0.0.0.0", "--open", "--port", "0"]);
    let mut fire = network.run("peer", &["--host", "localhost", "--port", "0", "--username", "fire_user"]);
    fire.types("status\nq\n");
    let ended = fire.end().with_code(0);
    let says = "peers on other machines cannot reach 127.0.0.1:";
    assert_eq!(ended.out.matches(says).count(), 2, "at the start and in `status`\n{}", ended.out);
    assert!(ended.out.contains("leave --host out"), "{}", ended.out);
    let far =
        machines.on_far(&network, "peer", &["--headless", "--username", "water_user", "--host", "localhost"]);
    far.prints_error(says);
}

#[test]
fn peers_that_reach_the_manager_at_a_link_local_address_fetch_from_each_other() {
    let Some(machines) = Machines::make() else { return };
    if !machines.add_link_local_addresses() {
        return skip("IPv6 in network namespaces");
    }
    let network = Network::start_on(&machines.near, &["--host", "::", "--open", "--port", "0"]);
    let (near, far) = (format!("{NEAR_LINK_LOCAL}%near"), format!("{NEAR_LINK_LOCAL}%far"));
    let film = bytes("film", 1 << 20);
    network.write("water_user/film.bin", &film);
    let water = ["--headless", "--username", "water_user"];
    let water = network.run_on(&machines.far, &far, "peer", &water);
    water.prints("ready\n");
    assert!(address_of(&network, "water_user").starts_with(&format!("[{FAR_LINK_LOCAL}]:")));
    let fetch = ["film.bin", "--into", "near"];
    network.run_on(&machines.near, &near, "fetch", &fetch).end().with_code(0);
    network.has("near/film.bin", &film);

    // A downloader that reaches the manager at another address does not know the link to the holder.
    let waiting = network.run("fetch", &["film.bin", "--into", "waiting"]);
    waiting.prints_error("the manager knows only its link-local address");
    waiting.terminate().with_code(143);

    // A peer on the manager's machine is reached at the address at which others reach the manager.
    let notes = bytes("notes", 1 << 20);
    let _fire = network.holder("fire_user", "notes.bin", &notes);
    let fetch = ["notes.bin", "--into", "far"];
    network.run_on(&machines.far, &far, "fetch", &fetch).end().with_code(0);
    network.has("far/notes.bin", &notes);
    water.terminate().with_code(143);
}

#[test]
fn a_peer_listens_on_a_link_local_host() {
    let Some(machines) = Machines::make() else { return };
    if !machines.add_link_local_addresses() {
        return skip("IPv6 in network namespaces");
    }
    let near = format!("{NEAR_LINK_LOCAL}%near");
    let network = Network::start_on(&machines.near, &["--host", &near, "--open", "--port", "0"]);
    let (far, own) = (format!("{NEAR_LINK_LOCAL}%far"), format!("{FAR_LINK_LOCAL}%far"));
    network.write("water_user/film.bin", b"film");
    let water = ["--headless", "--username", "water_user", "--host", &own];
    let water = network.run_on(&machines.far, &far, "peer", &water);
    water.prints("ready\n");
    let fetch = ["film.bin", "--into", "near"];
    network.run_on(&machines.near, &near, "fetch", &fetch).end().with_code(0);
    network.has("near/film.bin", b"film");
    let ended = water.terminate().with_code(143);
    assert!(!ended.err.contains("cannot reach"), "{}", ended.err);
}
