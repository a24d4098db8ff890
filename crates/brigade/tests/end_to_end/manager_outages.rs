//! Outages of the manager: killed, frozen, or replaced while peers are busy. No fetch fails, each message is printed
//! once, and everything is announced again when the manager is back.
//!
//! `waiting_messages` tests that a waiting fetch learns of holders afterwards.

use std::{collections::BTreeMap, sync::mpsc, thread, time::Duration};

use brigade_core::{
    id::ContentId,
    time::UnixTime,
    wire::{
        Reason,
        hello::{Hello, VERSION},
        manager::{FromManager, Joined, LookupResult, Noted, Refused, Renewed, ToManager, Version},
    },
};
use brigade_node::testing::{Claims, GreetedConnection, PortListener, SecretKey, sign};
use rustix::process::Signal;

use crate::{
    test_network::{Network, bytes, free_port, pieces_recorded},
    test_process::{ENDING, PATIENCE, Process, SLACK, until},
};

/// The time after which the catalogue is complete again when the manager is back.
const BACK: Duration = Duration::from_secs(5);

/// The number of commands while the manager is away.
const REFUSED: usize = 5;

/// The number of files that each of the three peers shares, besides the film.
const FILES: usize = 300;

/// All shared names, and the number of their holders.
fn catalogue(network: &Network) -> Vec<(String, u64)> {
    let listed = network.list("files", &[]);
    listed
        .iter()
        .map(|file| (file["name"].as_str().unwrap().to_owned(), file["holders"].as_u64().unwrap()))
        .collect()
}

/// Three peers with some hundred files each, and the same film.
fn three_peers(network: &Network, film: &[u8]) -> Vec<Process> {
    let peers = ["fire_user", "water_user", "air_user"].map(|username| {
        for number in 0..FILES {
            let name = format!("{username}/{username}-files/{number}");
            network.write(&name, &bytes(&name, 500 + number));
        }
        network.write(&format!("{username}/film.bin"), film);
        network.peer(username, &[])
    });
    until("everything is announced", PATIENCE, || (catalogue(network).len() == 3 * FILES + 1).then_some(()));
    peers.into()
}

#[test]
fn a_killed_manager_has_the_whole_catalogue_five_seconds_after_its_restart() {
    let port = free_port().to_string();
    let mut network = Network::start_with(&["--port", &port]);
    let film = bytes("film", 16 << 20);
    let peers = three_peers(&network, &film);
    let before = catalogue(&network);
    let slow =
        |into: &str| network.run("fetch", &["film.bin", "--into", into, "--download-limit", "2MB", "--json"]);
    let fetches = [slow("earth"), slow("moon")];
    let folder = network.run("fetch", &["fire_user-files", "--into", "stars", "--download-limit", "20KB"]);
    for into in ["earth", "moon"] {
        until("the fetch has begun", PATIENCE, || (pieces_recorded(&network.path(into)) >= 4).then_some(()));
    }

    network.kill_manager();
    network.start_manager("state", &["--port", &port]);
    until("everything is in the catalogue again", BACK + SLACK, || {
        let now: BTreeMap<String, u64> = catalogue(&network).into_iter().collect();
        // A file that was fetched meanwhile has one more holder.
        before.iter().all(|(name, holders)| now.get(name).is_some_and(|now| now >= holders)).then_some(())
    });
    for fetch in fetches {
        let ended = fetch.end().with_code(0);
        assert_eq!(ended.err.matches("the manager is back").count(), 1, "{}", ended.err);
    }
    folder.end_within(2 * PATIENCE).with_code(0);
    for into in ["earth", "moon"] {
        network.has(&format!("{into}/film.bin"), &film);
    }
    for number in 0..FILES {
        let name = format!("fire_user/fire_user-files/{number}");
        network.has(&format!("stars/fire_user-files/{number}"), &bytes(&name, 500 + number));
    }
    for peer in peers {
        let log = peer.terminate().with_code(143).err;
        assert!(!log.contains("ERROR"), "{log}");
    }
}

#[test]
fn a_frozen_manager_is_detected_and_its_peers_reconnect() {
    let port = free_port().to_string();
    let network = Network::start_with(&["--port", &port]);
    let _fire = network.holder("fire_user", "film.bin", &bytes("film", 1000));
    let mut water = network.run("peer", &["--port", "0", "--username", "water_user"]);
    water.prints("`help` lists the commands");
    network.signal_manager(Signal::STOP);

    // Commands get an error meanwhile, instead of no answer.
    water.types("files\n");
    water.prints_error("the manager did not answer within 10 s");
    water.prints("the manager is away; serving and fetching continue");
    // Further commands do not wait, even during a connection attempt: ten seconds for each would exceed the deadline.
    for _ in 0..REFUSED {
        water.types("fetch film.bin\n");
    }
    water.types("status\n");
    water.prints("manager: away (");

    network.signal_manager(Signal::CONT);
    water.prints("the manager is back");
    network.has_peers(&["fire_user", "water_user"], BACK + SLACK);
    network.has_file("film.bin", 1, BACK + SLACK);
    water.types("q\n");
    // The exit code is that of the first command that failed.
    let ended = water.end().with_code(3);
    for text in ["the manager is away", "the manager is back"] {
        assert_eq!(ended.out.matches(text).count(), 1, "{}", ended.out);
    }
    assert_eq!(ended.err.matches("error: the manager is away").count(), REFUSED, "{}", ended.err);
}

#[test]
fn a_frozen_manager_is_a_clear_error_for_new_commands() {
    let network = Network::start();
    network.signal_manager(Signal::STOP);
    let port = network.port();
    let text = [&format!("reaching the manager at localhost:{port}")[..], "does not answer"];
    let commands = [network.run("files", &[]), network.run("fetch", &["film.bin", "--into", "earth"])];
    for command in commands {
        command.end().with_code(3).prints_error(&text);
    }
    assert!(!network.path("earth").exists());
}

#[test]
fn a_fetch_at_the_prompt_without_a_manager_is_an_error_at_once() {
    let port = free_port().to_string();
    let mut network = Network::start_with(&["--port", &port]);
    let mut fire = network.run("peer", &["--port", "0", "--username", "fire_user"]);
    fire.prints("`help` lists the commands");
    network.kill_manager();
    fire.prints("the manager is away");
    for command in ["fetch film.bin", "files", "peers"] {
        fire.types(&format!("{command}\n"));
    }
    fire.types("status\nq\n");
    let ended = fire.end().with_code(3);
    assert_eq!(ended.err.matches("error: the manager is away").count(), 3, "{}", ended.err);
    assert!(ended.out.contains("manager: away ("), "{}", ended.out);
}

/// A manager that knows a name but not its holders, and refuses all later joins.
struct FailingManager {
    port: u16,
    stop: tokio::sync::watch::Sender<()>,
    thread: thread::JoinHandle<()>,
}

impl FailingManager {
    fn start() -> Self {
        let (ports, port) = mpsc::channel();
        let (stop, mut stopped) = tokio::sync::watch::channel(());
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let key = SecretKey::generate();
                let acceptor = PortListener::bind(&[([127, 0, 0, 1], 0).into()], &key).await.unwrap();
                ports.send(acceptor.address().port()).unwrap();
                let serve = async {
                    let mut lets_in = true;
                    loop {
                        let fresh = acceptor.accept().await.unwrap().handshake().await.unwrap();
                        let hello = Hello {
                            version: VERSION,
                            agent: "faithless".to_owned(),
                            membership: None,
                            reached_from_elsewhere: None,
                        };
                        // Later joins are refused.
                        lets_in &= !session(fresh.greet(hello).await.unwrap(), &key, lets_in).await;
                    }
                };
                tokio::select! {
                    () = serve => {}
                    _ = stopped.changed() => {}
                }
            });
        });
        Self { port: port.recv().unwrap(), stop, thread }
    }

    fn stop(self) {
        drop(self.stop);
        self.thread.join().unwrap();
    }
}

/// Serves one session, and accepts or refuses the join. Returns whether it was accepted.
async fn session(mut session: GreetedConnection, key: &SecretKey, lets_in: bool) -> bool {
    let mut joined = false;
    loop {
        let answer: FromManager = match session.reader.next().await.unwrap_or(None) {
            Some(ToManager::Join(join)) if lets_in => {
                joined = true;
                let now = brigade_node::clock::unix_now();
                let claims = Claims {
                    network: key.public(),
                    username: join.username.unwrap(),
                    key: session.peer,
                    issued: now,
                    expires: UnixTime(now.0 + 1000),
                };
                let membership = sign(&claims, key).unwrap();
                Joined {
                    membership,
                    lease_ms: 15_000,
                    username: None,
                    now_s: None,
                    reached_from_elsewhere: None,
                }
                .into()
            }
            Some(ToManager::Join(_)) => {
                Refused { kind: 0x10, question: None, reason: Reason::NameTaken, text: "gone".to_owned() }
                    .into()
            }
            Some(ToManager::Lookup(lookup)) => {
                let version = Version {
                    id: ContentId([7; 32]),
                    size: 1 << 20,
                    mtime_s: 0,
                    executable: false,
                    holders: vec!["fire_user".parse().unwrap()],
                    first_s: 0,
                };
                LookupResult {
                    question: lookup.question,
                    versions: vec![version],
                    below: 0,
                    closest: vec![],
                    incomplete_ms: None,
                }
                .into()
            }
            Some(ToManager::Announce(announce)) => Noted { number: announce.number }.into(),
            Some(ToManager::Renew(_)) => Renewed { membership: None, now_s: None }.into(),
            Some(ToManager::Watch(_) | ToManager::Goodbye(_)) | None => return joined,
            Some(_) => continue,
        };
        session.writer.send(&answer).await.unwrap();
        session.writer.flush().await.unwrap();
    }
}

#[test]
fn a_fetch_ends_if_the_manager_refuses_before_it_names_a_holder() {
    let network = Network::start();
    let failing_manager = FailingManager::start();
    let mut fetch = network.brigade("fetch");
    fetch.args([
        "--manager-port",
        &failing_manager.port.to_string(),
        "film.bin",
        "--into",
        "earth",
        "--json",
    ]);
    let ended = Process::start(fetch).end().with_code(4).prints_error(&[
        "error: the manager refuses this peer, and no connected peer has the missing pieces: gone",
    ]);
    assert_eq!(ended.totals()["done"], false);
    failing_manager.stop();
}

#[test]
fn a_prompt_reports_that_the_manager_refuses_for_good() {
    let network = Network::start();
    let failing_manager = FailingManager::start();
    let mut peer = network.brigade("peer");
    let port = failing_manager.port.to_string();
    peer.args(["--manager-port", &port, "--port", "0", "--username", "earth_user"]);
    let mut peer = Process::start(peer);
    peer.types("fetch film.bin\n");
    peer.prints("the manager refuses this peer from now on: gone");
    peer.types("files\n");
    peer.prints_error("error: the manager refuses this peer: gone");
    peer.signal(Signal::TERM);
    peer.end_within(ENDING + SLACK).with_code(143);
    failing_manager.stop();
}
