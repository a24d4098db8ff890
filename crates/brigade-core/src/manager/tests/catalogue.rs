//! What names lead to: announced, withdrawn, looked up, browsed.
//!
//! Who hears of holders is in `watching`.

use super::{
    Announce, FileEntry, FromManager, Geometry, Hold, Join, LeaveReason, ListPeers, Listing, Noted, Reason,
    SessionId, TestManager, Unhold, UnixTime, Unwatch, Watch, Withdraw, announce, browse, content, entry,
    file, holders, limits, lookup, updates, watch,
};

#[test]
fn a_lookup_lists_the_versions_of_a_name() {
    let mut world = TestManager::new(20);
    for (session, number) in [(1, 5), (2, 9), (3, 9)] {
        world.peer(session, &format!("user{session}"));
        world.send(session.into(), announce(&[("data/x", number), ("data/y", 1), ("data2", 1)]));
    }
    let FromManager::LookupResult(found) = world.ask(1, lookup("data/x")) else { panic!() };
    let versions: Vec<_> = found.versions.iter().map(|v| (v.size, v.executable, v.holders.len())).collect();
    assert_eq!((found.question, versions), (3, vec![(9, true, 2), (5, false, 1)]));
    for name in ["data", "data/"] {
        let FromManager::LookupResult(found) = world.ask(1, lookup(name)) else { panic!() };
        assert_eq!((found.versions.len(), found.below, found.closest), (0, 2, vec![]));
    }
    let FromManager::LookupResult(found) = world.ask(1, lookup("Data/z")) else { panic!() };
    assert_eq!(found.closest[..2], [file("data/x"), file("data/y")]);
    assert_eq!(world.refusal(1, lookup(&"x".repeat(limits::NAME_BYTES + 1))), Reason::TooMuch);
    for strange in ["", "/", "//", "\0", "a\u{301}", "../.."] {
        assert!(matches!(world.ask(1, lookup(strange)), FromManager::LookupResult(_)));
    }
}

#[test]
fn a_version_is_as_old_as_its_first_announcement_while_somebody_has_it() {
    let mut world = TestManager::new(20);
    let first_of = |world: &mut TestManager| {
        let FromManager::LookupResult(found) = world.ask(1, lookup("x")) else { panic!() };
        found.versions.iter().map(|version| (version.size, version.first_s)).collect::<Vec<_>>()
    };
    for session in [1, 2, 3] {
        world.peer(session, &format!("user{session}"));
    }
    let start = 1_700_000_000;
    world.manager.set_calendar(UnixTime(start));
    world.send(2, announce(&[("x", 5)]));
    world.manager.set_calendar(UnixTime(start + 10));
    world.send(3, announce(&[("x", 5)]));
    assert_eq!(first_of(&mut world), [(5, start)]);
    world.manager.disconnected(world.now, SessionId(2), LeaveReason::Lost);
    assert_eq!(first_of(&mut world), [(5, start)], "who announced it first has left");
    world.send(3, announce(&[("x", 6)]));
    assert_eq!(first_of(&mut world), [(6, start + 10)]);
    world.send(3, announce(&[("x", 5)]));
    assert_eq!(first_of(&mut world), [(5, start + 10)], "nobody had it in between");
}

#[test]
fn a_name_announced_again_has_the_new_content_only() {
    let mut world = TestManager::new(20);
    world.peer(1, "fire_user");
    world.send(1, announce(&[("x", 5), ("y", 5)]));
    world.send(1, announce(&[("x", 6)]));
    let FromManager::LookupResult(found) = world.ask(1, lookup("x")) else { panic!() };
    assert_eq!(found.versions.len(), 1);
    assert_eq!(found.versions[0].size, 6);
    assert_eq!(world.manager.rows().next().unwrap().bytes, 11);
    world.connect(2, 2);
    assert_eq!(updates(2, &world.send(2, watch(5))), [holders(&["fire_user"], &[])], "y is still that");
    world.send(1, Withdraw { number: 6, names: vec![Ok(file("y")), Ok(file("never there"))] });
    world.manager.catalogue.check();
    assert_eq!(updates(2, &world.send(2, watch(5))), [holders(&[], &[])]);
}

#[test]
fn announcements_beyond_the_bounds_are_refused_whole() {
    let mut world = TestManager::new(20);
    world.peer(1, "fire_user");
    let many = Announce { number: 1, entries: vec![Ok(entry("x", 1)); limits::ANNOUNCE_ENTRIES + 1] };
    assert_eq!(world.refusal(1, many), Reason::TooMuch);
    let mut large = announce(&[("small", 1), ("large", 1)]);
    large.entries[1].as_mut().unwrap().size = Geometry::MAX_SIZE + 1;
    let sent = world.send(1, large);
    assert!(matches!(
        &sent[..],
        [(1, FromManager::Refused(_)), (1, FromManager::Noted(Noted { number: 5 }))]
    ));
    let contents = vec![content(1); limits::WATCH_CONTENTS + 1];
    assert_eq!(world.refusal(1, Hold { contents: contents.clone() }), Reason::TooMuch);
    assert_eq!(world.refusal(1, Unhold { contents: contents.clone() }), Reason::TooMuch);
    assert_eq!(world.refusal(1, Watch { contents: contents.clone(), again: None }), Reason::TooMuch);
    assert_eq!(world.refusal(1, Unwatch { contents }), Reason::TooMuch);
    assert_eq!(
        world.refusal(1, Withdraw { number: 1, names: vec![Ok(file("x")); limits::ANNOUNCE_ENTRIES + 1] }),
        Reason::TooMuch
    );
    assert_eq!(world.manager.rows().next().unwrap().files, 0);
}

#[test]
fn browsing_goes_by_pages_through_everything_once() {
    let mut world = TestManager::new(20);
    world.peer(1, "fire_user");
    world.peer(2, "water_user");
    let long = "n".repeat(200);
    let name = |i: usize| file(&format!("dir{}/{long}{i:04}", i % 2));
    for first in (0..1000).step_by(100) {
        let entries =
            (first..first + 100).map(|i| Ok(FileEntry { name: name(i), ..entry("x", 1) })).collect();
        world.send(1 + (first / 100 % 2) as u64, Announce { number: 1, entries });
    }
    world.send(2, announce(&[("zzz", 1)]));
    let mut check = |prefix: &str, holder: Option<&str>, expected: usize| {
        let (mut names, mut after, mut pages) = (vec![], None, 0);
        loop {
            let FromManager::Listing(Listing { entries, more, .. }) =
                world.ask(1, browse(prefix, after, holder))
            else {
                panic!()
            };
            names.extend(entries.into_iter().map(|listed| listed.name));
            (after, pages) = (names.last().cloned(), pages + 1);
            if !more {
                break;
            }
        }
        assert!(names.is_sorted_by(|a, b| a < b) && names.iter().all(|name| name.starts_with(prefix)));
        assert_eq!(names.len(), expected);
        assert!(pages <= 1 + expected / 150, "{pages} pages");
    };
    check("", None, 1001);
    check("dir1/", None, 500);
    check("dir", Some("fire_user"), 500);
    check("", Some("water_user"), 501);
    check("nothing", None, 0);
    assert_eq!(world.refusal(1, browse("", None, Some("nobody"))), Reason::NotFound);
}

#[test]
fn answers_fit_a_frame_however_long_the_names_and_many_the_versions() {
    let mut world = TestManager::new(300);
    let longest = file(&vec!["é".repeat(100); 5].join("/")); // 1,004 bytes
    for session in 0..250u8 {
        world.connect(session.into(), session);
        world.ask(
            session.into(),
            Join { username: Ok(format!("{session:064}").parse().unwrap()), port: 65535, unbound: None },
        );
        let entries = vec![
            FileEntry { name: longest.clone(), ..entry("x", session) },
            FileEntry { name: file("one content of all"), ..entry("x", 255) },
            FileEntry { name: file("two contents of all"), ..entry("x", session % 2) },
            FileEntry { name: file("many contents"), ..entry("x", session % 100) },
        ];
        world.send(session.into(), Announce { number: 1, entries: entries.into_iter().map(Ok).collect() });
    }
    let mut found = |name: &str| match world.ask(1, lookup(name)) {
        FromManager::LookupResult(found) => found.versions,
        other => panic!("{other:?}"),
    };
    assert_eq!(found(&longest).len(), limits::VERSIONS_LISTED);
    assert_eq!(found("one content of all")[0].holders.len(), limits::HOLDERS_NAMED);
    assert_eq!(found("two contents of all")[1].holders.len(), limits::HOLDERS_NAMED);
    let many = found("many contents");
    assert!(many.len() == limits::VERSIONS_LISTED && many.iter().all(|version| version.holders.len() > 1));
    let FromManager::Listing(page) = world.ask(1, browse("é", None, None)) else { panic!() };
    assert!(page.entries.len() > 45 && !page.more);
    let FromManager::PeerList(list) = world.ask(1, ListPeers { question: 1, after: None }) else { panic!() };
    assert!(list.rows.len() == 250 || list.more);
    assert_eq!(updates(1, &world.send(1, watch(255))).len(), 1);
}
