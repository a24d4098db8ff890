//! Names that are bound to no key: one for each session that asks, told apart by numbers, gone with the session.
//!
//! Names that are bound are in the parent.

use super::{
    Binding, Config, Event, FromManager, Join, LeaveReason, Manager, Output, PeerKey, Reason, Renew, Renewed,
    SessionId, TestManager, Username, announce, join, limits,
};

fn unbound(name: &str) -> Join {
    Join { unbound: Some(true), ..join(name) }
}

/// The name that the session of that number and key has, and what others are shown of it.
#[track_caller]
fn named(world: &mut TestManager, session: u8, name: &str) -> String {
    world.connect(session.into(), session);
    let FromManager::Joined(joined) = world.ask(session.into(), unbound(name)) else { panic!() };
    let updates = joined.username.unwrap();
    assert_eq!(joined.membership, format!("{updates} is {}", PeerKey([session; 32]).short()));
    assert!(world.names().contains(&updates.to_string()));
    updates.to_string()
}

#[test]
fn a_name_that_is_not_bound_is_gone_with_its_session() {
    let mut world = TestManager::new(20);
    world.disk_works = false; // whatever would be written down would fail
    assert_eq!(named(&mut world, 1, "anna@lab"), "anna@lab");
    assert_eq!(named(&mut world, 2, "anna@lab"), "anna@lab 2");
    assert_eq!(named(&mut world, 3, "anna@lab"), "anna@lab 3");
    assert_eq!(world.names(), ["anna@lab", "anna@lab 2", "anna@lab 3"]);
    // It is a peer like any other.
    assert!(matches!(world.ask(2, announce(&[("a", 1)])), FromManager::Noted(_)));
    let renewed = Renewed { membership: Some("anna@lab 2 is 0202020202".to_owned()), now_s: Some(77) };
    assert_eq!(world.ask(2, Renew { membership: true }), renewed.into());
    assert_eq!(world.refusal(2, unbound("other@lab")), Reason::AlreadyHere);
    world.connect(4, 2);
    assert_eq!(world.refusal(4, unbound("other@lab")), Reason::AlreadyHere, "one for each key");

    world.manager.disconnected(world.now, SessionId(1), LeaveReason::Lost);
    assert_eq!(named(&mut world, 5, "anna@lab"), "anna@lab", "another key may have it now");
    for session in [2, 3, 5] {
        world.manager.disconnected(world.now, SessionId(session), LeaveReason::Lost);
    }
    assert_eq!(world.names(), [""; 0]);
    assert!(world.manager.present.is_empty() && world.manager.keys.is_empty());
    assert_eq!(named(&mut world, 6, "anna@lab"), "anna@lab");
}

#[test]
fn any_number_of_them_binds_nothing() {
    let mut world = TestManager::new(20);
    for session in 0..200 {
        world.connect(session, 1);
        let sent = world.send(session, unbound(&format!("user{session}@lab")));
        assert!(matches!(sent[..], [(_, FromManager::Joined(_))]));
        world.manager.disconnected(world.now, SessionId(session), LeaveReason::Quit);
    }
    world.connect(1000, 1);
    world.manager.handle(world.now, SessionId(1000), unbound("anna@lab").into());
    assert!(
        matches!(world.manager.next_output(), Some(Output::SignMembership { .. })),
        "nothing is to be recorded"
    );
}

#[test]
fn a_bound_name_and_one_that_is_not_can_be_told_apart() {
    let mut world = TestManager::new(20);
    let before = Binding { username: "anna@lab".parse().unwrap(), key: PeerKey([1; 32]) };
    world.manager = Manager::new(Config { max_peers: 20, seed: 1, ..Config::default() }, [before]);
    world.connect(2, 2);
    assert_eq!(world.refusal(2, join("bert@lab")), Reason::BadName);
    assert_eq!(world.refusal(2, unbound("bert")), Reason::BadName);
    let long = |bytes: usize| unbound(&format!("{:0>bytes$}", "@lab"));
    assert_eq!(world.refusal(2, long(limits::UNBOUND_NAME_BYTES + 1)), Reason::BadName);
    assert!(matches!(world.ask(2, long(limits::UNBOUND_NAME_BYTES)), FromManager::Joined(_)));
    // One that was bound before the rule stays its key's.
    assert_eq!(named(&mut world, 3, "anna@lab"), "anna@lab 2");
    assert_eq!(named(&mut world, 4, "Anna@LAB"), "Anna@LAB 2");
    world.connect(1, 1);
    let FromManager::Joined(joined) = world.ask(1, join("anna@lab")) else { panic!() };
    assert_eq!(joined.username, None);
}

#[test]
fn sessions_of_one_name_are_bounded() {
    let name: Username = "a@b".parse().unwrap();
    let longest: Username = format!("{:0>1$}", "@b", limits::UNBOUND_NAME_BYTES).parse().unwrap();
    for name in [name, longest] {
        assert_eq!(
            name.numbered(limits::SESSIONS_OF_A_NAME).unwrap().to_string(),
            format!("{name} {}", limits::SESSIONS_OF_A_NAME)
        );
    }
    let mut world = TestManager::new(limits::SESSIONS_OF_A_NAME + 1);
    let key = |number: usize| {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&number.to_be_bytes());
        PeerKey(key)
    };
    for number in 0..=limits::SESSIONS_OF_A_NAME {
        let session = SessionId(number as u64);
        let [.., high, low] = number.to_be_bytes();
        let remote = ([10, 1, high, low], 5000).into();
        world.manager.connected(world.now, session, key(number), remote, ([10, 0, 0, 1], 12000).into());
        world.carry_out();
        let sent = world.send(session.0, unbound("anna@lab"));
        match &sent[..] {
            [(_, FromManager::Joined(_))] => assert!(number < limits::SESSIONS_OF_A_NAME),
            [(_, FromManager::Refused(refused))] => {
                assert_eq!((number, refused.reason), (limits::SESSIONS_OF_A_NAME, Reason::Full));
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_member_displaces_the_newest_unbound_peer_of_a_full_network() {
    let mut world = TestManager::new(2);
    let before = Binding { username: "member".parse().unwrap(), key: PeerKey([9; 32]) };
    let config = Config { max_peers: 2, seed: 1, ..Config::default() };
    let others = [8, 7]
        .map(|key| Binding { username: format!("member{key}").parse().unwrap(), key: PeerKey([key; 32]) });
    world.manager = Manager::new(config, others.into_iter().chain([before]));
    named(&mut world, 1, "anna@lab");
    named(&mut world, 2, "bert@lab");
    // Neither a stranger nor a member that asks for an unbound name displaces anybody.
    world.connect(3, 3);
    assert_eq!(world.refusal(3, join("stranger")), Reason::Full);
    assert_eq!(world.refusal(3, unbound("cleo@lab")), Reason::Full);
    world.connect(9, 9);
    assert_eq!(world.refusal(9, unbound("dora@lab")), Reason::Full);

    let sent = world.send(9, join("member"));
    let [(2, FromManager::Goodbye(goodbye)), (9, FromManager::Joined(_))] = &sent[..] else {
        panic!("{sent:?}")
    };
    assert_eq!(goodbye.reason, Reason::Full);
    assert_eq!(world.names(), ["anna@lab", "member"]);
    let left = Event::Left { username: "bert@lab".parse().unwrap(), reason: LeaveReason::Replaced };
    assert!(world.events.contains(&left));
    world.connect(8, 8);
    assert!(matches!(world.send(8, join("member8"))[..], [(1, _), (8, FromManager::Joined(_))]));
    // Members displace no members.
    world.connect(7, 7);
    assert_eq!(world.refusal(7, join("member7")), Reason::Full);
    assert_eq!(world.names(), ["member", "member8"]);
}
