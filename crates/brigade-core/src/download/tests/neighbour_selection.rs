//! Whom of many a content is fetched from.
//!
//! Whole crowds are simulated in `brigade-sim`.

use super::{Action, Config, ConnectionState, Downloads, Duration, Event, HolderId, ONE, TestDownloads};
use crate::limits;

const NEIGHBOURS: usize = 4;

/// How many are named at first, where nobody is a spare.
const FEW: u32 = 4;

/// A table at which `ONE` is wanted, of which one holder has everything and so many have a part.
fn crowd(partial: u32) -> (TestDownloads, Vec<HolderId>) {
    let mut table = TestDownloads::new(Config { neighbours: NEIGHBOURS, ..Config::default() });
    table.start(ONE, 20, true);
    let actions = table.handle(named(partial));
    let dialled = dialled(&actions);
    (table, dialled)
}

fn named(partial: u32) -> Event {
    let partial = (1..=partial).map(HolderId).collect();
    Event::Holders { download: ONE, complete: vec![HolderId(0)], partial }
}

fn dialled(actions: &[Action]) -> Vec<HolderId> {
    let dialled = actions.iter().filter_map(|action| match action {
        Action::Connect { holder } => Some(*holder),
        _ => None,
    });
    dialled.collect()
}

/// Connects a holder that says that it has these pieces of the first eight.
fn connect(table: &mut TestDownloads, holder: HolderId, bits: u8) -> Vec<Action> {
    let mut actions = table.handle(Event::Connected { holder });
    actions.extend(table.handle(Event::Bits { holder, download: ONE, first: 0, bits: vec![bits, 0, 0] }));
    actions
}

/// Nobody can be reached: there is no spare left.
fn reach_nobody(table: &mut TestDownloads, mut dialling: Vec<HolderId>) {
    while let Some(holder) = dialling.pop() {
        dialling.extend(dialled(&table.handle(Event::Unreachable { holder })));
    }
}

fn connected(table: &TestDownloads) -> usize {
    table.downloads.holders.values().filter(|known| known.link == ConnectionState::Connected).count()
}

#[test]
fn in_a_crowd_some_are_dialled_and_one_that_cannot_be_reached_is_replaced_at_once() {
    let (mut table, first) = crowd(20);
    assert_eq!(first.len(), NEIGHBOURS);
    let actions = table.handle(Event::Unreachable { holder: first[0] });
    let next = dialled(&actions);
    assert!(next.len() == 1 && !first.contains(&next[0]), "{actions:?}");
    // Another peer chooses others.
    let mut other = TestDownloads::new(Config { neighbours: NEIGHBOURS, ..Config::default() });
    other.downloads = Downloads::new(Config { neighbours: NEIGHBOURS, ..Config::default() }, 77);
    other.start(ONE, 20, true);
    assert_ne!(dialled(&other.handle(named(20))), first);
}

#[test]
fn a_useless_neighbour_is_replaced() {
    let (mut table, first) = crowd(20);
    for holder in &first[1..] {
        connect(&mut table, *holder, 0xff);
    }
    connect(&mut table, first[0], 0);
    let actions = table.wait(Duration::from_secs(9));
    assert_eq!(dialled(&actions), [], "it may have something soon");
    let actions = table.wait(Duration::from_secs(12));
    assert!(actions.contains(&Action::Close { holder: first[0], download: ONE }), "{actions:?}");
    let next = dialled(&actions);
    assert!(!next.is_empty() && !next.contains(&first[0]), "{actions:?}");
    // Whoever is of use stays.
    let closed = |holder: &HolderId| actions.contains(&Action::Close { holder: *holder, download: ONE });
    assert!(!first[1..].iter().any(closed), "{actions:?}");
}

#[test]
fn requests_for_other_holders_become_rarer() {
    let many = u32::try_from(limits::HOLDERS_NAMED).unwrap() - 1;
    let (mut table, first) = crowd(many);
    reach_nobody(&mut table, first);
    let asked = |actions: &[Action]| {
        actions.iter().filter(|action| **action == Action::MoreHolders { download: ONE }).count()
    };
    let counts: Vec<usize> = (0..6).map(|_| asked(&table.wait(Duration::from_secs(30)))).collect();
    assert!(counts[0] >= 2 && counts[0] > counts[5], "{counts:?}");
    assert!(counts.iter().sum::<usize>() >= 5, "{counts:?}");

    // Where fewer were named than may be, there are no others.
    let (mut table, first) = crowd(many - 1);
    reach_nobody(&mut table, first);
    assert_eq!(asked(&table.wait(Duration::from_secs(60))), 0);
}

#[test]
fn those_who_come_later_take_places_and_there_are_never_many_more() {
    let (mut table, mut to_come) = crowd(FEW);
    let mut known = FEW;
    let mut seen = std::collections::BTreeSet::new();
    while known < 60 {
        for holder in std::mem::take(&mut to_come) {
            to_come.extend(dialled(&connect(&mut table, holder, 0x0f)));
            seen.insert(holder);
            assert!(connected(&table) <= NEIGHBOURS + NEIGHBOURS / 4, "{}", connected(&table));
        }
        known += 1;
        to_come.extend(dialled(&table.handle(named(known))));
    }
    let late = seen.iter().filter(|holder| holder.0 > FEW).count();
    assert!(late >= 2, "nobody who came later was ever asked: {seen:?}");
    let sources = table.downloads.downloads[&ONE].sources();
    let open = sources.iter().filter(|source| source.has().is_some()).count();
    assert!(open <= NEIGHBOURS, "{open}");
}

#[test]
fn arrived_pieces_of_a_dropped_holder_still_count() {
    let (mut table, first) = crowd(20);
    for holder in &first {
        connect(&mut table, *holder, 0xff);
    }
    let (holder, piece) = table.in_flight()[0];
    table.arrived(holder, piece);
    table.downloads.disconnect_source(HolderId(holder), ONE);
    table.downloads.finish_event();
    table.actions();
    assert!(table.in_flight().contains(&(holder, piece)));
    table.stored(holder, piece);
    assert_eq!(table.downloads.status(ONE).unwrap().stored, 1);
    table.wait(Duration::from_secs(60));
}
