//! Watches: who is named to whom, when, and how many.
//!
//! The messages themselves are tested in `wire`.

use std::collections::BTreeSet;

use super::{
    ContentId, Duration, Hold, LeaveReason, Noted, Reason, SessionId, TestManager, Unhold, Unwatch, Watch,
    WireContent, Withdraw, announce, content, file, holders, limits, updates, watch,
};

/// In a crowd nobody hears of everybody, complete holders have no precedence, and who asks again meets others.
#[test]
fn of_many_holders_each_asker_is_named_some_and_other_ones_when_it_asks_again() {
    let mut world = TestManager::new(250);
    for session in 1..=202u8 {
        world.peer(session, &format!("peer{session}"));
    }
    for session in 3..=202 {
        if session % 2 == 0 {
            world.send(session, Hold { contents: vec![content(9)] });
        } else {
            world.send(session, announce(&[("x", 9)]));
        }
    }
    let mut named = |session, again| {
        let watch = Watch { contents: vec![content(9)], again };
        let [(complete, partial)] = &updates(session, &world.send(session, watch))[..] else { panic!() };
        assert_eq!(complete.len() + partial.len(), limits::HOLDERS_NAMED);
        assert!(complete.len().min(partial.len()) > limits::HOLDERS_NAMED / 4, "{complete:?}, {partial:?}");
        complete.iter().chain(partial).cloned().collect::<BTreeSet<String>>()
    };
    let choices = [named(1, None), named(1, Some(1)), named(1, Some(2)), named(2, None)];
    for (at, choice) in choices.iter().enumerate() {
        for other in &choices[..at] {
            // Of 200 a third is named: by chance a third of that again.
            assert!(choice.intersection(other).count() < limits::HOLDERS_NAMED / 2);
        }
    }
}

#[test]
fn parts_and_watches_of_one_session_are_bounded() {
    let mut world = TestManager::new(20);
    world.peer(1, "fire_user");
    let page = |number: usize| -> Vec<WireContent> {
        let id = |i: usize| {
            let mut id = [0; 32];
            id[..8].copy_from_slice(&((number * limits::WATCH_CONTENTS + i) as u64).to_be_bytes());
            ContentId(id)
        };
        (0..limits::WATCH_CONTENTS).map(|i| WireContent { id: id(i), size: 1 }).collect()
    };
    for number in 0..limits::HELD_PARTS / limits::WATCH_CONTENTS {
        assert_eq!(world.send(1, Hold { contents: page(number) }), []);
    }
    assert_eq!(world.refusal(1, Hold { contents: vec![content(1)] }), Reason::TooMuch);
    world.send(1, Unhold { contents: page(0) });
    assert_eq!(world.send(1, Hold { contents: vec![content(1)] }), []);
    for number in 0..limits::WATCHED_CONTENTS / limits::WATCH_CONTENTS {
        assert!(!updates(1, &world.send(1, Watch { contents: page(number), again: None })).is_empty());
    }
    assert_eq!(world.refusal(1, watch(1)), Reason::TooMuch);
    world.send(1, Unwatch { contents: page(0) });
    assert_eq!(updates(1, &world.send(1, watch(1))), [holders(&[], &[])]);
}

#[test]
fn watchers_hear_at_once_and_then_in_batches() {
    let mut world = TestManager::new(20);
    for (session, name) in [(1, "asker"), (2, "b"), (3, "c"), (4, "d")] {
        world.peer(session, name);
    }
    assert_eq!(updates(1, &world.send(1, watch(9))), [holders(&[], &[])]);
    assert_eq!(
        updates(1, &world.send(2, Hold { contents: vec![content(9)] })),
        [holders(&[], &["b"])],
        "at once"
    );
    assert_eq!(updates(1, &world.send(3, Hold { contents: vec![content(9)] })), [], "too soon");
    assert_eq!(world.send(2, announce(&[("x", 9)])), [(2, Noted { number: 5 }.into())]);
    assert_eq!(
        updates(1, &world.pass(limits::UPDATE_INTERVAL)),
        [holders(&["b"], &["c"])],
        "complete now, no more partial"
    );
    world.pass(Duration::from_secs(1));
    assert_eq!(
        updates(1, &world.send(2, Withdraw { number: 1, names: vec![Ok(file("x"))] })),
        [holders(&[], &["c"])]
    );
    world.pass(Duration::from_secs(1));
    world.manager.disconnected(world.now, SessionId(3), LeaveReason::Lost);
    assert_eq!(updates(1, &world.carry_out()), [holders(&[], &[])]);
    world.pass(Duration::from_secs(1));
    assert_eq!(
        updates(1, &world.send(1, announce(&[("mine", 9)]))[1..]),
        [],
        "nobody is named to themselves"
    );
    world.send(1, Unwatch { contents: vec![content(9)] });
    world.send(4, announce(&[("x", 9)]));
    assert_eq!(world.pass(Duration::from_secs(1)), []);
}

#[test]
fn nothing_piles_up_for_a_watcher_that_does_not_read() {
    let mut world = TestManager::new(20);
    world.readers_read = false;
    world.peer(1, "asker");
    world.peer(2, "b");
    world.send(1, watch(9));
    for _ in 0..50 {
        world.send(2, Hold { contents: vec![content(9)] });
        world.send(2, Unhold { contents: vec![content(9)] });
        world.pass(Duration::from_millis(100));
    }
    world.send(2, Hold { contents: vec![content(9)] });
    assert_eq!(world.pass(Duration::from_secs(1)), [], "one batch is on its way");
    world.manager.updates_sent(world.now, SessionId(1));
    assert_eq!(updates(1, &world.carry_out()).len(), 0, "and it said what is true again: b holds a part");
    world.send(2, Unhold { contents: vec![content(9)] });
    assert_eq!(updates(1, &world.carry_out()).len(), 0);
}
