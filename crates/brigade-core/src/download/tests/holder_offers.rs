//! Holders that send by turns.
//!
//! Whose turn it is, is tested in `upload`.

use super::{Action, Config, ConnectionState, Duration, Event, HolderId, ONE, PieceIndex, TestDownloads};

/// A table at which `ONE` of twenty pieces is wanted of holders that send by turns and have everything.
fn limited(holders: &[u32]) -> (TestDownloads, Vec<Action>) {
    let mut table = TestDownloads::new(Config::default());
    table.start(ONE, 20, true);
    table.name(ONE, holders);
    let mut actions = vec![];
    for holder in holders.iter().copied().map(HolderId) {
        actions.extend(table.handle(Event::Connected { holder }));
        actions.extend(table.handle(Event::Turns { holder, limited: true }));
        actions.extend(table.handle(Event::HaveAll { holder, download: ONE }));
    }
    (table, actions)
}

fn offer(table: &mut TestDownloads, holder: u32, offer: u32, pieces: &[u32]) -> Vec<Action> {
    let holder = HolderId(holder);
    table.handle(Event::Offered { holder, download: ONE, offer, pieces: pieces.to_vec() })
}

fn want(holder: u32) -> Action {
    Action::Want { holder: HolderId(holder), download: ONE }
}

fn requests(actions: &[Action]) -> usize {
    actions.iter().filter(|action| matches!(action, Action::Request { .. })).count()
}

#[test]
fn something_is_wanted_once_and_asked_for_when_it_is_offered() {
    let (mut table, actions) = limited(&[1]);
    assert_eq!(requests(&actions), 0, "nobody asks out of turn");
    assert_eq!(actions.iter().filter(|action| **action == want(1)).count(), 1);
    // What the holder names it has sent least.
    for (number, named, asked) in [(5, vec![19], 19), (6, vec![3], 3), (7, vec![3, 4], 4)] {
        let request = Action::Request {
            holder: HolderId(1),
            download: ONE,
            piece: PieceIndex(asked),
            offer: Some(number),
        };
        assert_eq!(offer(&mut table, 1, number, &named), [request], "{named:?}");
        table.stored(1, asked);
    }
    // Where it names nothing that is missing, another.
    assert_eq!(requests(&offer(&mut table, 1, 8, &[3, 4])), 1);
}

#[test]
fn unneeded_offers_are_declined() {
    let (mut table, _) = limited(&[1]);
    let two = HolderId(2);
    table.handle(Event::Holders { download: ONE, complete: vec![HolderId(1)], partial: vec![two] });
    table.handle(Event::Connected { holder: two });
    table.handle(Event::Turns { holder: two, limited: true });
    let bits = Event::Bits { holder: two, download: ONE, first: 0, bits: vec![0x80, 0, 0] };
    assert!(table.handle(bits).contains(&want(2)));
    assert_eq!(requests(&offer(&mut table, 2, 1, &[])), 1, "the only one that it has");
    let decline = Action::Decline { holder: two, download: ONE, offer: 3 };
    assert_eq!(offer(&mut table, 2, 3, &[]), [decline]);
    assert_eq!(offer(&mut table, 2, 4, &[]).len(), 1, "each offer has an answer");
    let have = |piece| Event::Have { holder: two, download: ONE, pieces: vec![piece] };
    assert_eq!(table.handle(have(0)), [], "that is no news");
    assert_eq!(table.handle(have(5)), [want(2)]);
}

#[test]
fn one_that_goes_over_to_turns_and_back_is_asked_accordingly() {
    let (mut table, _) = limited(&[1]);
    let holder = HolderId(1);
    let actions = table.handle(Event::Turns { holder, limited: false });
    assert!(requests(&actions) >= 2, "{actions:?}");
    let before = table.in_flight().len();
    assert_eq!(table.handle(Event::Turns { holder, limited: true }), [want(1)]);
    let (_, piece) = table.in_flight()[0];
    assert_eq!(requests(&table.stored(1, piece)), 0);
    assert_eq!(table.in_flight().len(), before - 1);
}

#[test]
fn a_waiting_holder_is_not_stalled_while_it_sends_signs_of_life() {
    let (mut table, _) = limited(&[1, 2]);
    for _ in 0..30 {
        table.wait(Duration::from_secs(1));
        table.handle(Event::Turns { holder: HolderId(1), limited: true });
    }
    let (one, two) = (&table.downloads.holders[&HolderId(1)], &table.downloads.holders[&HolderId(2)]);
    assert!(one.link == ConnectionState::Connected && one.stalled.is_none());
    assert_ne!(two.link, ConnectionState::Connected, "it gave no sign");
}

/// A holder offers no turns for such a content, so it must not be asked for one.
#[test]
fn a_late_content_of_one_piece_is_requested_without_a_turn() {
    let mut table = TestDownloads::with(Config::default(), 1, &[3]);
    table.name(ONE, &[2, 3]);
    table.handle(Event::Connected { holder: HolderId(2) });
    table.handle(Event::Turns { holder: HolderId(2), limited: true });
    assert_eq!(table.in_flight(), [(3, 0)]);
    let actions = table.wait(Duration::from_secs(5));
    assert!(!actions.contains(&want(2)), "{actions:?}");
    let piece = PieceIndex(0);
    let request = Action::Request { holder: HolderId(2), download: ONE, piece, offer: None };
    assert!(actions.contains(&request), "{actions:?}");
}
