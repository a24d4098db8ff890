//! The tables for people: rows by name and by number, the catalogue in parts, the holders of a content, the totals.
//!
//! `random_sessions` compares the rows and the totals with a model.

use super::{
    Content, Hold, PeerKey, Report, SessionId, TestManager, Unhold, UnixTime, Username, Withdraw, announce,
    content, file,
};
use crate::manager::Totals;

fn world(peers: u8) -> TestManager {
    let mut world = TestManager::new(20);
    for number in 1..=peers {
        world.peer(number, &format!("user{number:02}"));
    }
    world
}

#[test]
fn rows_are_read_by_name_and_by_number() {
    let mut world = world(5);
    world.connect(9, 9); // it has not joined
    let after = |name: &str| {
        let after: Username = name.parse().unwrap();
        world.manager.rows_after(Some(&after)).map(|row| row.username.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(after("user03"), ["user04", "user05"]);
    assert_eq!(after("user033"), ["user04", "user05"], "nobody has the name, or has it any more");
    assert_eq!(after("user05"), [""; 0]);
    let from = |first| world.manager.rows_from(first).map(|row| row.username.to_string()).collect::<Vec<_>>();
    assert_eq!(from(3), ["user04", "user05"]);
    assert_eq!(from(5), [""; 0]);
    assert_eq!(world.manager.row_of("user01").map(|row| row.since), Some(UnixTime(77)));
    assert_eq!(world.manager.row_of("user99"), None);
}

#[test]
fn a_row_has_the_time_of_the_last_message() {
    let mut world = world(1);
    world.manager.set_calendar(UnixTime(100));
    world.send(1, Report { sending: 1, receiving: 2 });
    let row = world.manager.rows().next().unwrap();
    assert_eq!((row.last_message, row.since, row.is_bound), (UnixTime(100), UnixTime(77), true));
    assert_eq!(row.key.0, [1; 32]);
}

#[test]
fn the_catalogue_is_read_in_parts_and_a_name_is_in_one_of_them() {
    let mut world = world(3);
    world.send(1, announce(&[("a", 1), ("b/x", 2), ("b/y", 3)]));
    world.send(2, announce(&[("b/x", 4)]));
    world.send(3, announce(&[("b/x", 4)]));
    let part = |prefix, after, limit| {
        let part = world.manager.content_rows(prefix, after, limit);
        let rows = part.rows.iter().map(|row| (row.name.to_string(), row.content.size, row.complete));
        (rows.collect::<Vec<_>>(), part.next.map(|name| name.to_string()))
    };
    let row = |name: &str, size, holders| (name.to_owned(), size, holders);
    let both = [row("b/x", 4, 2), row("b/x", 2, 1)];
    assert_eq!(part("", None, 2), ([&[row("a", 1, 1)], &both[..]].concat(), Some("b/x".to_owned())));
    assert_eq!(part("", Some("b/x"), 2), (vec![row("b/y", 3, 1)], None));
    assert_eq!(part("b/", None, 1), (both.to_vec(), Some("b/x".to_owned())));
    assert_eq!(part("c", None, 1), (vec![], None));
}

#[test]
fn a_part_of_the_catalogue_ends_before_it_takes_long() {
    let mut world = TestManager::new(2000);
    for number in 0..1500u64 {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&number.to_be_bytes());
        let address = |last| ([10, 1, u8::try_from(number / 250).unwrap(), last], 5000).into();
        let remote = address(u8::try_from(number % 250).unwrap());
        world.manager.connected(world.now, SessionId(number), PeerKey(key), remote, address(255));
        world.send(number, super::join(&format!("user{number}")));
        world.send(number, announce(&[("a", 1), ("b", 2), ("c", 3), ("d", 4)]));
    }
    let part = world.manager.content_rows("", None, 500);
    assert_eq!((part.rows.len(), part.next), (3, Some(file("c"))));
    assert_eq!(part.rows[0].complete, 1500);
    assert_eq!(world.manager.content_rows("", Some("c"), 500).rows.len(), 1);
}

#[test]
fn holders_are_listed_complete_ones_first() {
    let mut world = world(4);
    world.send(1, Hold { contents: vec![content(7)] });
    for number in 2..=4 {
        world.send(number, announce(&[("a", 7)]));
    }
    let of = |first, limit| {
        let found = world.manager.holder_rows(Content::from(content(7)), first, limit);
        assert_eq!((found.complete, found.partial), (3, 1));
        let rows = found.rows.iter().map(|row| (row.username.to_string(), row.is_complete));
        rows.collect::<Vec<_>>()
    };
    assert_eq!(of(0, 2), [("user02".to_owned(), true), ("user03".to_owned(), true)]);
    assert_eq!(of(2, 9), [("user04".to_owned(), true), ("user01".to_owned(), false)]);
    assert_eq!(of(4, 9), []);
    assert_eq!(world.manager.holder_rows(Content::from(content(8)), 0, 9).rows, []);
}

#[test]
fn totals_follow_the_table_and_the_catalogue() {
    let mut world = world(2);
    world.send(1, announce(&[("a", 10), ("b", 20)]));
    world.send(2, announce(&[("a", 10)]));
    world.send(2, Hold { contents: vec![content(30)] });
    world.send(1, Report { sending: u64::MAX, receiving: 5 });
    world.send(2, Report { sending: u64::MAX, receiving: 6 });
    let totals = world.manager.totals();
    let expected = Totals {
        peers: 2,
        members: 2,
        sending: u64::MAX,
        receiving: 11,
        names: 2,
        contents: 3,
        bytes: 60,
        share_changes: 2,
    };
    assert_eq!(totals, expected);
    world.send(2, Unhold { contents: vec![content(30)] });
    world.send(1, Report { sending: 0, receiving: 0 });
    world.send(2, Report { sending: 3, receiving: 0 });
    let totals = world.manager.totals();
    assert_eq!((totals.sending, totals.receiving, totals.contents, totals.bytes), (3, 0, 2, 30));
    assert_eq!(totals.share_changes, 2, "rates and parts are no shared files");
    world.send(1, Withdraw { number: 1, names: vec![Ok(file("b"))] });
    world.send(2, super::Goodbye { reason: super::Reason::Stopping, text: String::new() });
    let expected = Totals {
        peers: 1,
        members: 2,
        names: 1,
        contents: 1,
        bytes: 10,
        share_changes: 4,
        ..Totals::default()
    };
    assert_eq!(world.manager.totals(), expected);
}
