//! Holders that are lost, lie, refuse, stall or are slow.
//!
//! Whom they are replaced by in a crowd is in `neighbour_selection`.

use super::{Action, Config, Duration, Event, HolderFault, HolderId, ONE, PieceIndex, Reason, TestDownloads};

#[test]
fn a_list_that_does_not_fold_bans_its_holder() {
    let mut table = TestDownloads::new(Config::default());
    table.start(ONE, 3, false);
    table.name(ONE, &[1, 2]);
    let (one, two) = (HolderId(1), HolderId(2));
    table.handle(Event::Connected { holder: one });
    table.handle(Event::Connected { holder: two });
    let wrong = Event::ListPage { holder: one, download: ONE, first: 0, values: vec![[9; 32]; 3] };
    assert_eq!(
        table.handle(wrong),
        [
            Action::Close { holder: one, download: ONE },
            Action::Banned { holder: one, download: ONE, fault: HolderFault::WrongList },
            Action::AskList { holder: two, download: ONE, first: 0 },
        ]
    );
    // It is not asked again for this content, whatever it says.
    assert_eq!(table.have_all(1), []);
    table.handle(Event::Lost { holder: one });
    table.name(ONE, &[1, 2]);
    assert_eq!(table.wait(Duration::from_millis(1500)), []);
}

#[test]
fn requests_of_a_lost_holder_are_moved_at_once() {
    let mut table = TestDownloads::with(Config::default(), 14, &[1, 2]);
    table.have_all(1);
    table.have_all(2);
    let (holder, arrived) = table.in_flight()[0];
    assert_eq!(holder, 1);
    table.arrived(1, arrived);
    let before = table.in_flight().iter().filter(|(holder, _)| *holder == 1).count();
    assert!(before > 4);
    let actions = table.handle(Event::Lost { holder: HolderId(1) });
    assert!(actions.iter().any(|action| matches!(action, Action::Request { holder: HolderId(2), .. })));
    // What has arrived is not asked again: its hash and write follow.
    let of_first: Vec<(u32, u32)> =
        table.in_flight().into_iter().filter(|(holder, _)| *holder == 1).collect();
    assert_eq!(of_first, [(1, arrived)]);
    table.handle(Event::Stored { holder: HolderId(1), download: ONE, piece: PieceIndex(arrived) });
    assert_eq!(table.downloads.status(ONE).unwrap().stored, 1);
    assert_eq!(table.downloads.fetched_twice_bytes(), 0);
}

/// As a holder does that takes its downloader's membership for one of another time.
#[test]
fn a_holder_that_refuses_each_connection_after_its_hello_cannot_be_reached() {
    let mut table = TestDownloads::with(Config::default(), 14, &[1]);
    let holder = HolderId(1);
    let actions = table.handle(Event::Unreachable { holder });
    assert!(actions.contains(&Action::Starved { download: ONE }), "{actions:?}");
    for _ in 0..5 {
        let actions = table.wait(Duration::from_secs(60));
        assert_eq!(actions, [Action::Connect { holder }]);
        // That it greets is no news: it did so before.
        let greeted = table.handle(Event::Connected { holder });
        let refused = table.handle(Event::Unreachable { holder });
        for action in [greeted, refused].concat() {
            assert!(!matches!(action, Action::Starved { .. } | Action::Fed { .. }), "{action:?}");
        }
    }
    table.wait(Duration::from_secs(60));
    table.handle(Event::Connected { holder });
    let actions = table.have_all(1);
    assert!(actions.contains(&Action::Fed { download: ONE }), "{actions:?}");
}

#[test]
fn a_lost_holder_is_dialled_again_ever_more_slowly() {
    let mut table = TestDownloads::with(Config::default(), 20, &[1]);
    table.handle(Event::Lost { holder: HolderId(1) });
    let connect = Action::Connect { holder: HolderId(1) };
    let mut waits = Vec::new();
    for _ in 0..9 {
        let before = table.now;
        let mut actions = vec![];
        while actions.is_empty() {
            let due = table.downloads.deadline().unwrap();
            actions = table.wait(due.since(table.now));
        }
        assert_eq!(actions, std::slice::from_ref(&connect));
        waits.push(table.now.since(before).as_millis());
        let actions = table.handle(Event::Unreachable { holder: HolderId(1) });
        let starved: &[Action] = if waits.len() == 1 { &[Action::Starved { download: ONE }] } else { &[] };
        assert_eq!(actions, starved);
    }
    assert!((125..=250).contains(&waits[0]) && (5000..=10_000).contains(&waits[8]), "{waits:?}");
    assert!(waits[4] > waits[2] && waits[6] > waits[4], "{waits:?}");
    // It comes back.
    table.wait(Duration::from_secs(11));
    let actions = table.handle(Event::Connected { holder: HolderId(1) });
    assert_eq!(actions.last(), Some(&Action::Fed { download: ONE }));
    // The manager names it no more and it goes: nobody dials it.
    table.name(ONE, &[]);
    assert_eq!(table.handle(Event::Lost { holder: HolderId(1) }), [Action::Starved { download: ONE }]);
    assert_eq!(table.wait(Duration::from_secs(60)), []);
}

#[test]
fn a_wrong_piece_bans_its_holder_for_the_content() {
    let mut table = TestDownloads::with(Config::default(), 20, &[1, 2]);
    table.have_all(1);
    table.have_all(2);
    let (_, piece) = table.in_flight()[0];
    table.arrived(1, piece);
    let wrong = Event::Wrong { holder: HolderId(1), download: ONE, piece: PieceIndex(piece) };
    let actions = table.handle(wrong.clone());
    let banned = Action::Banned {
        holder: HolderId(1),
        download: ONE,
        fault: HolderFault::WrongPiece(PieceIndex(piece)),
    };
    assert_eq!(actions[..2], [Action::Close { holder: HolderId(1), download: ONE }, banned]);
    assert!(table.in_flight().iter().all(|(holder, _)| *holder == 2));
    assert!(!table.handle(wrong).iter().any(|action| matches!(action, Action::Banned { .. })));
}

#[test]
fn a_refused_piece_is_asked_elsewhere_and_a_refused_content_later_again() {
    let mut table = TestDownloads::with(Config::default(), 4, &[1, 2]);
    table.have_all(1);
    table.have_all(2);
    let refuse = |piece, reason| Event::Refused { holder: HolderId(1), download: ONE, piece, reason };
    let (_, piece) = table.in_flight()[0];
    table.handle(refuse(Some(PieceIndex(piece)), Reason::NoPiece));
    assert!(!table.in_flight().contains(&(1, piece)));
    for (holder, piece) in table.in_flight() {
        if holder == 2 {
            table.stored(2, piece);
        }
    }
    assert!(table.in_flight().contains(&(2, piece)), "{:?}", table.in_flight());
    table.handle(refuse(None, Reason::NotFound));
    assert!(table.in_flight().iter().all(|(holder, _)| *holder == 2));
    let again = table.wait(Duration::from_millis(1100));
    assert!(matches!(again[..], [Action::Open { holder: HolderId(1), .. }]), "{again:?}");
}

#[test]
fn a_stalled_holder_keeps_one_piece_and_loses_it_to_the_idle() {
    let mut table = TestDownloads::with(Config::default(), 12, &[1, 2]);
    table.have_all(1);
    table.have_all(2);
    let mut twice = 0;
    for _ in 0..100 {
        table.wait(Duration::from_millis(100));
        let in_flight = table.in_flight();
        let mut pieces: Vec<u32> = in_flight.iter().map(|(_, piece)| *piece).collect();
        pieces.sort_unstable();
        pieces.dedup();
        twice = twice.max(in_flight.len() - pieces.len());
        if let Some((_, piece)) = in_flight.into_iter().find(|(holder, _)| *holder == 2) {
            table.stored(2, piece);
        }
    }
    assert_eq!(table.downloads.status(ONE), None, "the second one brings everything");
    assert_eq!((twice, table.downloads.fetched_twice_bytes()), (1, 0));
}

#[test]
fn a_silent_holder_is_let_go_and_that_is_said() {
    let mut table = TestDownloads::with(Config::default(), 4, &[1]);
    table.have_all(1);
    assert_eq!(table.wait(Duration::from_secs(5)), []);
    let holder = HolderId(1);
    assert_eq!(
        table.wait(Duration::from_secs(10)),
        [Action::Disconnect { holder }, Action::Starved { download: ONE }, Action::Connect { holder }]
    );
    table.handle(Event::Connected { holder: HolderId(1) });
    table.have_all(1);
    assert_eq!(table.in_flight().len(), 4);
}

#[test]
fn progress_keeps_a_slow_holder_from_being_taken_for_stalled() {
    let mut table = TestDownloads::with(Config::default(), 4, &[1]);
    table.have_all(1);
    let (_, piece) = table.in_flight()[0];
    for step in 1..=20 {
        assert_eq!(table.wait(Duration::from_millis(900)), []);
        let piece = PieceIndex(piece);
        table.handle(Event::Progress { holder: HolderId(1), download: ONE, piece, bytes: step * 5000 });
    }
}

#[test]
fn a_slow_holder_keeps_little_and_the_end_goes_to_the_fast_one() {
    let mut table = TestDownloads::with(Config::default(), 200, &[1, 2]);
    table.have_all(1);
    table.have_all(2);
    let start = table.now;
    let mut from_slow = 0;
    let mut steps = 0;
    while table.downloads.status(ONE).is_some() {
        // One sends 8 pieces a second, two sends one in two seconds.
        table.wait(Duration::from_millis(125));
        steps += 1;
        let in_flight = table.in_flight();
        if let Some((_, piece)) = in_flight.iter().find(|(holder, _)| *holder == 1) {
            table.stored(1, *piece);
        }
        if steps % 16 == 0
            && let Some((_, piece)) = in_flight.iter().find(|(holder, _)| *holder == 2)
        {
            from_slow += 1;
            table.stored(2, *piece);
        }
        assert!(steps < 1000);
    }
    let took = table.now.since(start).as_secs_f64();
    assert!(took < 200.0 / 8.5 + 2.0, "{took}");
    assert!(from_slow >= 9, "{from_slow}");
}
