//! Sessions that have not joined: as many as may be, and who gives way then.
//!
//! That the books agree whatever happens is seen in `random_sessions`.

use super::{
    Binding, Config, FromManager, Goodbye, LeaveReason, Manager, PeerKey, Reason, Renew, SessionId,
    TestManager, join, limits, lookup,
};

/// A network of two places with as many observers from one address, 10.0.0.3, as may be: from number 100 on, each a
/// moment after the one before. The key `1` is bound to a username.
fn crowded() -> TestManager {
    let mut world = TestManager::new(2);
    let fire = Binding { username: "fire_user".parse().unwrap(), key: PeerKey([1; 32]) };
    world.manager = Manager::new(Config { max_peers: 2, seed: 1, ..Config::default() }, [fire]);
    for session in 100..100 + limits::OBSERVERS as u64 + 2 {
        assert_eq!(world.connect(session, 3), []);
        world.pass(std::time::Duration::from_millis(1));
    }
    world
}

#[track_caller]
fn expect_full(session: u64, sent: &[(u64, FromManager)]) {
    let [(to, FromManager::Goodbye(Goodbye { reason: Reason::Full, text }))] = sent else {
        panic!("{sent:?}")
    };
    assert_eq!(*to, session);
    assert!(!text.is_empty());
}

#[test]
fn there_are_only_so_many_observers() {
    let mut world = crowded();
    expect_full(1000, &world.connect(1000, 3));
    world.manager.disconnected(world.now, SessionId(100), LeaveReason::Lost);
    assert_eq!(world.connect(1001, 3), []);
    expect_full(1002, &world.connect(1002, 3));
}

#[test]
fn a_member_is_let_in_first_wherever_it_comes_from() {
    let mut world = crowded();
    // Number 100 was heard of last, so 101 gives way.
    world.send(100, Renew { membership: false });
    let sent = world.connect_from(1, 1, "10.0.0.3:7", "10.0.0.250:12000");
    expect_full(101, &sent);
    assert!(matches!(world.ask(1, join("fire_user")), FromManager::Joined(_)));
    assert_eq!(world.send(101, lookup("x")), [], "it is not there any more");
    assert!(matches!(world.ask(100, lookup("x")), FromManager::LookupResult(_)));
}

#[test]
fn another_address_has_its_share() {
    let mut world = crowded();
    expect_full(100, &world.connect(1, 4));
    assert!(matches!(world.ask(1, join("water_user")), FromManager::Joined(_)), "at its first join");
    // A network of IPv6 is one address, and takes no more than its half.
    let mut taken = 0;
    for host in 1..=limits::OBSERVERS as u64 {
        let remote = format!("[2001:db8::{host:x}]:7");
        let sent = world.connect_from(2000 + host, 5, &remote, "[2001:db8::ffff]:12000");
        if sent.iter().all(|(to, _)| *to != 2000 + host) {
            taken += 1;
        }
    }
    assert!((limits::OBSERVERS / 2 - 2..=limits::OBSERVERS / 2 + 2).contains(&taken), "{taken}");
}

#[test]
fn one_that_is_joining_does_not_give_way() {
    let mut world = crowded();
    // Its name is being written down, which takes its time.
    world.manager.handle(world.now, SessionId(100), join("earth_user").into());
    let record = world.manager.next_output();
    expect_full(101, &world.connect(1, 4));
    let Some(super::Output::StoreBinding { binding }) = record else { panic!("{record:?}") };
    world.manager.binding_stored(&binding.username, true);
    assert!(matches!(&world.carry_out()[..], [(100, FromManager::Joined(_))]));
}
