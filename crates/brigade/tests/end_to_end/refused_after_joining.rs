//! A manager that accepts a peer and refuses its later joins: the user is told, and a fetch that no holder can complete
//! fails.

use std::{sync::mpsc, thread};

use brigade_core::{
    id::ContentId,
    time::UnixTime,
    wire::{
        Reason,
        greeting::{Hello, VERSION},
        manager::{FromManager, Joined, LookupResult, Noted, Refused, Renewed, ToManager, Version},
    },
};
use brigade_node::internals_for_tests::{Claims, GreetedConnection, PortListener, SecretKey, sign};
use rustix::process::Signal;

use crate::{
    test_network::{Network, free_port},
    test_process::{ENDING, PATIENCE, Process, SLACK, until},
};

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

/// A peer may have taken the port of a manager that is away: the manager may come back.
#[test]
fn a_peer_on_the_port_of_the_manager_refuses_nobody() {
    let port = free_port().to_string();
    let mut network = Network::start_with(&["--port", &port]);
    let mut peer = network.run("peer", &["--port", "0", "--username", "fire_user"]);
    peer.prints("`help` lists the commands");
    network.stop_manager().with_code(143);
    peer.prints("the manager is away");
    let other = Network::start();
    let in_its_place = other.peer("water_user", &["--port", &port]);
    until("the peer has found the other one", PATIENCE, || {
        peer.types("status\n");
        peer.output().contains("a peer, not a manager, answers at").then_some(())
    });
    in_its_place.terminate().with_code(143);
    until("the status has the cause of a later attempt", PATIENCE, || {
        peer.types("status\n");
        peer.output().contains("no manager answers at").then_some(())
    });
    network.start_manager("state", &["--port", &port]);
    network.has_peers(&["fire_user"], PATIENCE);
    peer.types("q\n");
    peer.end().with_code(0);
}

#[test]
fn a_peer_without_a_prompt_ends_if_the_manager_refuses_for_good() {
    let port = free_port().to_string();
    let mut network = Network::start_with(&["--port", &port]);
    let peer = network.peer("fire_user", &[]);
    network.stop_manager().with_code(143);
    peer.prints_error("the manager is away");
    network.start_manager("another", &["--port", &port]);
    let ended = peer.end().with_code(4);
    ended.prints_error(&[
        "error: the manager refuses this peer: another manager answers there",
        "--manager-key",
    ]);
}
