//! The manager as a whole: messages in, outputs out, in virtual time.
//!
//! `TestManager` plays the caller: it makes bindings durable and signs at once unless told otherwise, and returns what
//! a session is sent. `random_sessions` compares the manager with a model that is as plain as can be.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use super::{Binding, Config, Event, LeaveReason, Manager, Output, SessionId};
use crate::{
    geometry::Geometry,
    id::{Content, ContentId, PeerKey},
    limits,
    name::{FileName, InvalidName, NameError, Username},
    time::{Timestamp, UnixTime},
    wire::{
        Reason, frame,
        greeting::Goodbye,
        manager::{
            Announce, Browse, FileEntry, FromManager, Hold, Holders, Join, Joined, ListPeers, Listing,
            Lookup, Noted, Refused, Renew, Renewed, Report, ToManager, Unhold, Unwatch, Watch, WireContent,
            Withdraw,
        },
    },
};

mod catalogue;
mod listings;
mod observer_limit;
mod random_sessions;
mod unbound_usernames;
mod watching;

struct TestManager {
    manager: Manager,
    now: Timestamp,
    /// Whether bindings become durable.
    disk_works: bool,
    /// Whether news leaves as soon as it is there.
    readers_read: bool,
    events: Vec<Event>,
}

impl TestManager {
    fn new(max_peers: usize) -> Self {
        Self {
            manager: Manager::new(Config { max_peers, seed: 1, ..Config::default() }, []),
            now: Timestamp::from_micros(1_000_000),
            disk_works: true,
            readers_read: true,
            events: vec![],
        }
    }

    /// Carries everything out, and says what each session was sent; an end is a goodbye.
    fn carry_out(&mut self) -> Vec<(u64, FromManager)> {
        let mut sent = vec![];
        while let Some(output) = self.manager.next_output() {
            match output {
                Output::Send { session, message } => sent.push((session.0, message)),
                Output::HolderUpdates { session, messages } => {
                    sent.extend(messages.into_iter().map(|page| (session.0, page.into())));
                    if self.readers_read {
                        self.manager.updates_sent(self.now, session);
                    }
                }
                Output::StoreBinding { binding } => {
                    self.manager.binding_stored(&binding.username, self.disk_works)
                }
                Output::SignMembership { session, binding } => {
                    let token = format!("{} is {}", binding.username, binding.key.short());
                    self.manager.membership_signed(self.now, UnixTime(77), session, Some(token));
                }
                Output::Close { session, goodbye } => {
                    sent.extend(goodbye.map(|goodbye| (session.0, goodbye.into())));
                }
                Output::Event(event) => self.events.push(event),
                Output::TableChanged => {}
            }
        }
        for (_, message) in &sent {
            frame::encode(message, &mut vec![]); // panics where it is too long for a frame
        }
        sent
    }

    fn connect(&mut self, session: u64, key: u8) -> Vec<(u64, FromManager)> {
        self.connect_from(session, key, &format!("10.0.0.{key}:5000"), "10.0.0.250:12000")
    }

    fn connect_from(&mut self, session: u64, key: u8, remote: &str, local: &str) -> Vec<(u64, FromManager)> {
        let (remote, local): (SocketAddr, SocketAddr) = (remote.parse().unwrap(), local.parse().unwrap());
        self.manager.connected(self.now, SessionId(session), PeerKey([key; 32]), remote, local);
        self.carry_out()
    }

    fn send(&mut self, session: u64, message: impl Into<ToManager>) -> Vec<(u64, FromManager)> {
        self.manager.handle(self.now, SessionId(session), message.into());
        self.carry_out()
    }

    /// What the session itself is answered: exactly one message.
    #[track_caller]
    fn ask(&mut self, session: u64, message: impl Into<ToManager>) -> FromManager {
        let mut sent = self.send(session, message);
        sent.retain(|(to, _)| *to == session);
        assert_eq!(sent.len(), 1, "{sent:?}");
        sent.remove(0).1
    }

    #[track_caller]
    fn refusal(&mut self, session: u64, message: impl Into<ToManager>) -> Reason {
        match self.send(session, message).into_iter().find(|(to, _)| *to == session) {
            Some((_, FromManager::Refused(Refused { reason, text, .. }))) => {
                assert!(!text.is_empty() && text.len() <= limits::TEXT_BYTES);
                reason
            }
            other => panic!("{other:?}"),
        }
    }

    /// Session and key of that number are there under the name.
    #[track_caller]
    fn peer(&mut self, session: u8, name: &str) {
        assert_eq!(self.connect(session.into(), session), []);
        let joined = self.ask(session.into(), join(name));
        assert!(matches!(joined, FromManager::Joined(_)), "{joined:?}");
    }

    fn pass(&mut self, time: Duration) -> Vec<(u64, FromManager)> {
        let end = self.now.after(time);
        let mut sent = vec![];
        while let Some(deadline) = self.manager.deadline().filter(|deadline| *deadline <= end) {
            self.now = self.now.max(deadline);
            self.manager.handle_timeout(self.now);
            sent.extend(self.carry_out());
        }
        self.now = end;
        sent
    }

    fn names(&self) -> Vec<String> {
        self.manager.rows().map(|row| row.username.to_string()).collect()
    }
}

fn join(name: &str) -> Join {
    Join { username: Ok(name.parse().unwrap()), port: 7001, unbound: None }
}

fn file(name: &str) -> FileName {
    name.parse().unwrap()
}

fn content(number: u8) -> WireContent {
    WireContent { id: ContentId([number; 32]), size: u64::from(number) }
}

fn entry(name: &str, number: u8) -> FileEntry {
    let WireContent { id, size } = content(number);
    FileEntry { name: file(name), id, size, mtime_s: i64::from(number), executable: number == 9 }
}

fn announce(entries: &[(&str, u8)]) -> Announce {
    Announce { number: 5, entries: entries.iter().map(|(name, number)| Ok(entry(name, *number))).collect() }
}

fn watch(number: u8) -> Watch {
    Watch { contents: vec![content(number)], again: None }
}

fn lookup(name: &str) -> Lookup {
    Lookup { question: 3, name: name.to_owned() }
}

fn browse(prefix: &str, after: Option<FileName>, holder: Option<&str>) -> Browse {
    Browse { question: 4, prefix: prefix.to_owned(), after, holder: holder.map(|name| name.parse().unwrap()) }
}

/// Usernames of complete and partial holders, sorted, in all that was sent to the session.
fn updates(session: u64, sent: &[(u64, FromManager)]) -> Vec<(Vec<String>, Vec<String>)> {
    let pages = sent.iter().filter(|(to, _)| *to == session).map(|(_, message)| match message {
        FromManager::Holders(page) => page,
        other => panic!("{other:?}"),
    });
    pages
        .flat_map(|page| {
            page.contents.iter().map(move |of| (names_in(page, &of.complete), names_in(page, &of.partial)))
        })
        .collect()
}

fn names_in(page: &Holders, positions: &[u32]) -> Vec<String> {
    let mut names: Vec<_> =
        positions.iter().map(|at| page.peers[*at as usize].username.to_string()).collect();
    names.sort();
    names
}

fn holders(complete: &[&str], partial: &[&str]) -> (Vec<String>, Vec<String>) {
    let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    (owned(complete), owned(partial))
}

#[test]
fn a_peer_joins_and_is_in_the_table_until_it_quits() {
    let mut world = TestManager::new(20);
    world.connect(1, 1);
    let joined = world.ask(1, join("fire_user"));
    let membership = "fire_user is 0101010101".to_owned();
    let joined_so = Joined {
        membership,
        lease_ms: 15_000,
        username: None,
        now_s: Some(77),
        reached_from_elsewhere: Some(false),
    };
    assert_eq!(joined, joined_so.into());
    assert_eq!(world.send(1, announce(&[("a", 10), ("b", 20)])), [(1, Noted { number: 5 }.into())]);
    world.send(1, Report { sending: 7, receiving: 8 });
    let row = world.manager.rows().next().unwrap();
    assert_eq!((row.files, row.bytes, row.sending, row.receiving), (2, 30, 7, 8));
    assert_eq!((row.address.to_string().as_str(), row.since), ("10.0.0.1:7001", UnixTime(77)));
    assert_eq!(world.send(1, Goodbye { reason: Reason::Stopping, text: String::new() }), []);
    assert_eq!(world.names(), [""; 0]);
    assert!(matches!(
        &world.events[..],
        [Event::Joined { .. }, Event::Left { reason: LeaveReason::Quit, .. }]
    ));
    assert_eq!(world.send(1, Renew { membership: true }), [], "it is not there any more");
}

#[test]
fn joins_that_cannot_be_are_refused_and_may_be_tried_again() {
    let mut world = TestManager::new(2);
    world.peer(1, "fire_user");
    world.connect(2, 2);
    assert_eq!(world.refusal(2, join("fire_user")), Reason::NameTaken);
    assert_eq!(world.refusal(2, join("Fire_User")), Reason::NameTaken);
    assert_eq!(world.refusal(2, Join { port: 0, ..join("water_user") }), Reason::BadPort);
    assert_eq!(world.refusal(1, join("earth_user")), Reason::AlreadyHere);
    world.connect(3, 1);
    assert_eq!(world.refusal(3, join("fire_user")), Reason::AlreadyHere);
    assert_eq!(world.refusal(3, join("another_name_of_the_same_key")), Reason::AlreadyHere);
    assert!(matches!(world.ask(2, join("water_user")), FromManager::Joined(_)));
    world.connect(4, 4);
    assert_eq!(world.refusal(4, join("air_user")), Reason::Full);
    world.manager.disconnected(world.now, SessionId(2), LeaveReason::Lost);
    assert!(matches!(world.ask(4, join("air_user")), FromManager::Joined(_)));
    assert_eq!(world.names(), ["air_user", "fire_user"]);
}

/// Two sessions, each with its remote and local ends, and whether the second may have the port of the first.
#[track_caller]
fn check_endpoint(first: (&str, &str), second: (&str, &str), port: u16, free: bool) {
    let mut world = TestManager::new(20);
    world.connect_from(1, 1, first.0, first.1);
    world.connect_from(2, 2, second.0, second.1);
    assert!(matches!(world.ask(1, join("fire_user")), FromManager::Joined(_)));
    let asked = Join { port, ..join("water_user") };
    match world.ask(2, asked.clone()) {
        FromManager::Joined(_) => assert!(free),
        FromManager::Refused(Refused { reason, text, .. }) => {
            assert!(!free && reason == Reason::PortTaken, "{reason}");
            assert!(text.starts_with("fire_user is reached at ") && text.contains(":7001 already"), "{text}");
            // Another port will do, and the same one when the first has left.
            assert!(matches!(world.ask(2, Join { port: 7002, ..asked.clone() }), FromManager::Joined(_)));
            world.manager.disconnected(world.now, SessionId(1), LeaveReason::Lost);
            world.connect_from(3, 3, second.0, second.1);
            assert!(matches!(world.ask(3, Join { port, ..join("air_user") }), FromManager::Joined(_)));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_address_and_port_lead_to_one_peer() {
    let manager = "10.0.0.250:12000";
    check_endpoint(("10.0.0.1:50", manager), ("10.0.0.1:51", manager), 7001, false);
    check_endpoint(("10.0.0.1:50", manager), ("10.0.0.1:51", manager), 7002, true);
    check_endpoint(("10.0.0.1:50", manager), ("10.0.0.2:50", manager), 7001, true);
    // To others the manager's machine is one, whatever its peers' sessions come from.
    let beside = "127.0.0.1:12000";
    check_endpoint(("127.0.0.1:50", beside), ("10.0.0.250:50", manager), 7001, false);
    check_endpoint(("127.0.0.1:50", beside), ("10.0.0.1:50", manager), 7001, true);
}

#[test]
fn a_place_is_given_back_where_a_join_fails() {
    let mut world = TestManager::new(20);
    world.connect_from(1, 1, "10.0.0.1:50", "10.0.0.250:12000");
    world.connect_from(2, 2, "10.0.0.1:51", "10.0.0.250:12000");
    world.disk_works = false;
    assert_eq!(world.refusal(1, join("fire_user")), Reason::Failed);
    world.disk_works = true;
    assert!(matches!(world.ask(2, join("water_user")), FromManager::Joined(_)));
}

fn wrong(name: &str) -> InvalidName {
    InvalidName::new(name, name.parse::<FileName>().unwrap_err())
}

#[test]
fn a_bad_name_is_refused_and_the_others_stand() {
    let mut world = TestManager::new(20);
    world.connect(1, 1);
    let bad =
        Join { username: Err(InvalidName::new("a/b", NameError::Character('/'))), port: 7001, unbound: None };
    assert_eq!(world.refusal(1, bad), Reason::BadName);
    assert!(matches!(world.events[..], [Event::Refused { username: None, reason: Reason::BadName, .. }]));
    assert!(matches!(world.ask(1, join("fire_user")), FromManager::Joined(_)));

    let mut mixed = announce(&[("a", 1), ("b", 2)]);
    mixed.entries.insert(1, Err(wrong("x/../y")));
    mixed.entries.push(Err(wrong("")));
    let sent = world.send(1, mixed);
    let [(1, FromManager::Refused(refused)), (1, FromManager::Noted(Noted { number: 5 }))] = &sent[..] else {
        panic!("{sent:?}")
    };
    assert_eq!((refused.kind, refused.question, refused.reason), (0x11, None, Reason::BadName));
    let text = "\"x/../y\" breaks the rule for names: it has a part `.` or `..`; 1 more beside it does";
    assert_eq!(refused.text, text);
    assert_eq!(world.manager.rows().next().unwrap().files, 2);

    let names = vec![Ok(file("a")), Err(wrong(&"\u{1b}".repeat(2000)))];
    let sent = world.send(1, Withdraw { number: 6, names });
    let [(1, FromManager::Refused(refused)), (1, FromManager::Noted(_))] = &sent[..] else {
        panic!("{sent:?}")
    };
    assert_eq!((refused.kind, refused.reason), (0x12, Reason::BadName));
    assert!(refused.text.len() <= limits::TEXT_BYTES, "{}", refused.text);
    assert_eq!(world.manager.rows().next().unwrap().files, 1);

    // Too many are too many, whatever they are.
    let entries = vec![Err(wrong("")); limits::ANNOUNCE_ENTRIES + 1];
    assert_eq!(world.refusal(1, Announce { number: 7, entries }), Reason::TooMuch);
}

#[test]
fn the_text_for_one_too_many_says_how_many_there_are() {
    let mut world = TestManager::new(1);
    world.peer(1, "fire_user");
    world.connect(2, 2);
    let FromManager::Refused(refused) = world.ask(2, join("water_user")) else { panic!() };
    assert_eq!((refused.kind, refused.text.as_str()), (0x10, "the network is full: it takes 1 peer at most"));
}

#[test]
fn a_name_stays_bound_over_a_restart_and_a_binding_that_is_not_durable_does_not_count() {
    let mut world = TestManager::new(20);
    let fire = Binding { username: "fire_user".parse().unwrap(), key: PeerKey([1; 32]) };
    world.manager = Manager::new(Config { max_peers: 20, seed: 1, ..Config::default() }, [fire]);
    world.connect(2, 2);
    assert_eq!(world.refusal(2, join("fire_user")), Reason::NameTaken);
    world.disk_works = false;
    assert_eq!(world.refusal(2, join("water_user")), Reason::Failed);
    world.connect(1, 1);
    assert!(matches!(world.ask(1, join("fire_user")), FromManager::Joined(_)), "nothing new is recorded");
    world.disk_works = true;
    world.connect(3, 3);
    assert!(matches!(world.ask(3, join("water_user")), FromManager::Joined(_)));
}

#[test]
fn a_session_that_ends_while_its_name_is_written_leaves_it_to_the_next_of_its_key() {
    let mut world = TestManager::new(20);
    world.connect(1, 1);
    world.manager.handle(world.now, SessionId(1), join("fire_user").into());
    let Some(Output::StoreBinding { binding }) = world.manager.next_output() else { panic!() };
    world.manager.disconnected(world.now, SessionId(1), LeaveReason::Lost);
    world.connect(2, 1);
    assert_eq!(world.send(2, join("fire_user")), [], "it waits for the first record");
    world.connect(3, 3);
    assert_eq!(world.refusal(3, join("fire_user")), Reason::NameTaken);
    world.manager.binding_stored(&binding.username, true);
    assert!(matches!(&world.carry_out()[..], [(2, FromManager::Joined(_))]));
}

#[test]
fn silence_past_the_lease_ends_a_session() {
    let mut world = TestManager::new(20);
    world.peer(1, "fire_user");
    world.peer(2, "water_user");
    world.connect(3, 3);
    world.pass(limits::LEASE / 2);
    world.manager.set_calendar(UnixTime(99));
    assert_eq!(
        world.ask(1, Renew { membership: false }),
        Renewed { membership: None, now_s: Some(99) }.into()
    );
    let sent = world.pass(limits::LEASE / 2);
    assert!(
        matches!(&sent[..], [(2, FromManager::Goodbye(bye))] if bye.reason == Reason::Silent),
        "{sent:?}"
    );
    assert_eq!(world.names(), ["fire_user"]);
    world.pass(limits::LEASE / 2);
    assert_eq!(world.names(), [""; 0]);
    assert!(
        matches!(world.ask(3, lookup("x")), FromManager::LookupResult(_)),
        "somebody may still be typing"
    );
    world.pass(limits::OBSERVER_TIMEOUT);
    assert_eq!(world.send(3, lookup("x")), []);
    assert_eq!(world.manager.deadline(), None);
}

#[test]
fn a_membership_is_renewed_when_asked_for() {
    let mut world = TestManager::new(20);
    world.peer(1, "fire_user");
    let renewed = world.ask(1, Renew { membership: true });
    assert_eq!(
        renewed,
        Renewed { membership: Some("fire_user is 0101010101".to_owned()), now_s: Some(77) }.into()
    );
}

#[test]
fn observers_may_ask_but_not_share_and_take_no_place() {
    let mut world = TestManager::new(1);
    world.connect(1, 1);
    assert_eq!(world.refusal(1, announce(&[("a", 1)])), Reason::NotAMember);
    assert_eq!(world.refusal(1, Withdraw { number: 1, names: vec![] }), Reason::NotAMember);
    assert_eq!(world.refusal(1, Hold { contents: vec![] }), Reason::NotAMember);
    assert_eq!(world.refusal(1, Report { sending: 1, receiving: 1 }), Reason::NotAMember);
    assert_eq!(updates(1, &world.send(1, watch(1))), [holders(&[], &[])]);
    assert!(matches!(world.ask(1, browse("", None, None)), FromManager::Listing(_)));
    world.peer(2, "fire_user");
    let FromManager::PeerList(list) = world.ask(1, ListPeers { question: 8, after: None }) else { panic!() };
    assert_eq!((list.question, list.rows.len(), list.more), (8, 1, false));
    assert_eq!(list.rows[0].address, "10.0.0.2:7001");
}

#[test]
fn a_manager_that_was_started_again_says_how_long_its_catalogue_is_incomplete() {
    let mut world = TestManager::new(20);
    let complete_at = world.now.after(limits::LEASE);
    let config = Config { max_peers: 20, seed: 1, complete_at, ..Config::default() };
    world.manager = Manager::new(config, []);
    world.peer(1, "fire_user");
    let sent = |world: &mut TestManager| {
        let FromManager::LookupResult(found) = world.ask(1, lookup("a")) else { panic!() };
        let FromManager::Listing(listing) = world.ask(1, browse("", None, None)) else { panic!() };
        let FromManager::PeerList(list) = world.ask(1, ListPeers { question: 8, after: None }) else {
            panic!()
        };
        assert_eq!((found.incomplete_ms, found.incomplete_ms), (listing.incomplete_ms, list.incomplete_ms));
        found.incomplete_ms
    };
    assert_eq!(sent(&mut world), Some(15_000));
    world.send(1, announce(&[("a", 1)]));
    world.pass(Duration::from_micros(4_999_001));
    assert_eq!(sent(&mut world), Some(10_001), "rounded up");
    world.pass(Duration::from_secs(8));
    sent(&mut world);
    world.pass(Duration::from_micros(2_000_998));
    assert_eq!(sent(&mut world), Some(1));
    world.pass(Duration::from_micros(1));
    assert_eq!(sent(&mut world), None);
}
