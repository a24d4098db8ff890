//! Which piece is requested from which holder, how many holders are connected, and what is kept of those that leave.
//!
//! Holders that send or announce something wrong are in `faulty_holders`.

use super::{
    Action, Arc, Bitfield, Config, Content, ContentId, DownloadId, Downloads, Duration, Event, Expected,
    HolderId, ONE, PIECE, PieceIndex, PieceList, Priority, TestDownloads, Timestamp, audit, check, content,
};
use crate::limits;

#[test]
fn the_last_piece_comes_first_then_the_rarest() {
    check("a: 111  b: 110  c: 100", "2 from a, 1 from b, 0 from c");
    check("a: 1111  b: 0011  c: 0010", "3 from a, 2 from b, 1 from a, 0 from a");
    check("a: 0111  b: 1000", "3 from a, 0 from b, 2 from a, 1 from a");
    check("a: 01", "1 from a");
}

#[test]
fn the_list_is_asked_of_one_and_nothing_else_before_it_is_known() {
    let mut table = TestDownloads::new(Config::default());
    table.start(ONE, 3000, false);
    table.name(ONE, &[1, 2]);
    let (one, two) = (HolderId(1), HolderId(2));
    let (content, values) = content(3000, 7);
    let open = |holder| Action::Open { holder, download: ONE, content };
    let ask = |holder, first| Action::AskList { holder, download: ONE, first };
    assert_eq!(table.handle(Event::Connected { holder: one }), [open(one), ask(one, 0)]);
    assert_eq!(table.handle(Event::Connected { holder: two }), [open(two)]);
    assert_eq!([table.have_all(1), table.have_all(2)], [vec![], vec![]]);
    let page = |holder, first: usize, end: usize| Event::ListPage {
        holder,
        download: ONE,
        first: u32::try_from(first).unwrap(),
        values: values[first..end].to_vec(),
    };
    assert_eq!(table.handle(page(two, 0, 1024)), []);
    assert_eq!(table.handle(page(one, 0, 1024)), [ask(one, 1024)]);
    // The first holder goes: the second one is asked from the start.
    assert_eq!(table.handle(Event::Lost { holder: one }), [ask(two, 0)]);
    assert_eq!(table.downloads.expected(ONE, PieceIndex(5)), None);
    assert_eq!(table.handle(page(two, 0, 1024)), [ask(two, 1024)]);
    assert_eq!(table.handle(page(two, 1024, 2048)), [ask(two, 2048)]);
    let actions = table.handle(page(two, 2048, 3000));
    assert!(matches!(&actions[0], Action::ListKnown { .. }));
    assert_eq!(
        actions[1],
        Action::Request { holder: two, download: ONE, piece: PieceIndex(2999), offer: None }
    );
    let expected = Expected::Subtree { offset: 5 << 20, value: values[5] };
    assert_eq!(table.downloads.expected(ONE, PieceIndex(5)), Some(expected));
}

#[test]
fn a_single_piece_is_asked_for_without_list_or_channel() {
    let mut table = TestDownloads::new(Config::default());
    let (content, _) = content(1, 7);
    table.handle(Event::Start {
        download: ONE,
        content,
        list: None,
        have: Bitfield::none(1),
        priority: Priority::Normal,
    });
    assert_eq!(table.name(ONE, &[1]), [Action::Connect { holder: HolderId(1) }]);
    let request = Action::Request { holder: HolderId(1), download: ONE, piece: PieceIndex(0), offer: None };
    assert_eq!(table.handle(Event::Connected { holder: HolderId(1) }), [request]);
    assert_eq!(table.downloads.expected(ONE, PieceIndex(0)), Some(Expected::Whole(content.id)));
    assert_eq!(table.stored(1, 0), [Action::Finished { download: ONE }]);
    assert_eq!(table.downloads.status(ONE), None);
    // The connection is kept a while, then ended.
    assert_eq!(table.wait(Duration::from_secs(31)), [Action::Disconnect { holder: HolderId(1) }]);
    assert_eq!(table.downloads.deadline(), None);
    assert!(table.downloads.holders.is_empty());
}

#[test]
fn an_empty_content_is_there_at_once_and_a_false_one_is_said() {
    let mut table = TestDownloads::new(Config::default());
    let start = |id, size| Event::Start {
        download: ONE,
        content: Content { id, size },
        list: None,
        have: Bitfield::none(0),
        priority: Priority::Normal,
    };
    assert_eq!(table.handle(start(ContentId::EMPTY, 0)), [Action::Finished { download: ONE }]);
    assert!(matches!(table.handle(start(ContentId([1; 32]), 0))[..], [Action::Failed { .. }]));
    assert!(matches!(table.handle(start(ContentId([1; 32]), u64::MAX))[..], [Action::Failed { .. }]));
}

#[test]
fn present_pieces_are_not_requested() {
    let mut table = TestDownloads::new(Config::default());
    let (content, values) = content(4, 7);
    let mut have = Bitfield::all(4);
    have.clear(PieceIndex(1));
    let list = Some(Arc::new(PieceList::new(content, values).unwrap()));
    table.handle(Event::Start {
        download: ONE,
        content,
        list: list.clone(),
        have,
        priority: Priority::Normal,
    });
    table.name(ONE, &[1]);
    table.handle(Event::Connected { holder: HolderId(1) });
    table.have_all(1);
    assert_eq!(table.in_flight(), [(1, 1)]);
    let status = table.downloads.status(ONE).unwrap();
    assert_eq!(table.downloads.stored_pieces(ONE), Some(status.stored));
    assert_eq!((status.stored, status.bytes_stored, status.in_flight_bytes), (3, 3 * PIECE, PIECE));
    let all = Event::Start {
        download: DownloadId(2),
        content,
        list,
        have: Bitfield::all(4),
        priority: Priority::Normal,
    };
    assert_eq!(table.handle(all), [Action::Finished { download: DownloadId(2) }]);
}

#[test]
fn a_few_pieces_are_shared_by_those_who_are_here_or_about_to_be() {
    let mut table = TestDownloads::new(Config::default());
    table.start(ONE, 8, true);
    table.name(ONE, &[1, 2]);
    table.handle(Event::Connected { holder: HolderId(1) });
    table.have_all(1);
    assert_eq!(table.in_flight().len(), 4, "the one who is being dialled gets its half");
    table.handle(Event::Connected { holder: HolderId(2) });
    table.have_all(2);
    assert_eq!(table.in_flight().iter().filter(|(holder, _)| *holder == 2).count(), 4);
}

#[test]
fn thousands_of_single_pieces_come_evenly_and_in_their_order() {
    let mut table = TestDownloads::new(Config::default());
    for number in 0..3000u32 {
        let content =
            Content { id: ContentId(*blake3::hash(&number.to_be_bytes()).as_bytes()), size: 32 << 10 };
        let download = DownloadId(number);
        table.downloads.handle(
            table.now,
            Event::Start {
                download,
                content,
                list: None,
                have: Bitfield::none(1),
                priority: Priority::Normal,
            },
        );
        let complete = vec![HolderId(1), HolderId(2)];
        table.downloads.handle(table.now, Event::Holders { download, complete, partial: vec![] });
    }
    let mut queue = std::collections::VecDeque::from(table.handle(Event::Connected { holder: HolderId(1) }));
    queue.extend(table.handle(Event::Connected { holder: HolderId(2) }));
    let (mut finished, mut counts, mut furthest) = (0, [0u32; 3], 0);
    while let Some(action) = queue.pop_front() {
        match action {
            Action::Request { holder, download, piece, offer: None } => {
                assert!(download.0 < finished + 1100, "{download:?} was asked for before {finished}");
                furthest = furthest.max(download.0);
                counts[usize::try_from(holder.0).unwrap()] += 1;
                table.now = table.now.after(Duration::from_micros(50));
                table.downloads.handle(table.now, Event::Arrived { holder, download, piece });
                table.downloads.handle(table.now, Event::Stored { holder, download, piece });
                queue.extend(std::iter::from_fn(|| table.downloads.next_action()));
            }
            Action::Finished { .. } => finished += 1,
            _ => {}
        }
    }
    assert_eq!((finished, furthest, counts[1] + counts[2]), (3000, 2999, 3000));
    assert!(counts[1].abs_diff(counts[2]) < 150, "{counts:?}");
    audit(&table.downloads);
}

#[test]
fn forgetting_takes_everything_back() {
    let mut table = TestDownloads::with(Config::default(), 20, &[1]);
    table.have_all(1);
    let (_, piece) = table.in_flight()[0];
    table.arrived(1, piece);
    let actions = table.handle(Event::Forget { download: ONE });
    assert_eq!(actions, [Action::Close { holder: HolderId(1), download: ONE }]);
    assert!(table.in_flight().is_empty());
    assert_eq!(table.handle(Event::Forget { download: ONE }), []);
    assert_eq!(table.stored(1, piece), []);
}

#[test]
fn connections_are_bounded_and_those_who_wait_get_their_turn() {
    let config = Config { connections: 2, ..Config::default() };
    let mut table = TestDownloads::new(config);
    table.start(ONE, 20, true);
    let connect = |holder| Action::Connect { holder: HolderId(holder) };
    assert_eq!(table.name(ONE, &[1, 2, 3]), [connect(1), connect(2)]);
    assert_eq!(table.handle(Event::Unreachable { holder: HolderId(1) }), [connect(3)]);
}

#[test]
fn a_hundred_thousand_holders_come_and_go_and_nothing_is_kept_of_them() {
    let mut downloads = Downloads::new(Config::default(), 1);
    let (content, values) = content(9, 7);
    let list = PieceList::new(content, values).ok().map(Arc::new);
    let have = Bitfield::none(9);
    let now = Timestamp::from_micros(1_000_000);
    downloads.handle(now, Event::Start { download: ONE, content, list, have, priority: Priority::Normal });
    let mut most = 0;
    for round in 0..2000_u32 {
        let now = now.after(Duration::from_secs(20 * u64::from(round)));
        let complete: Vec<_> = (0..50).map(|holder| HolderId(round * 50 + holder)).collect();
        downloads.handle(now, Event::Holders { download: ONE, complete, partial: vec![] });
        let mut dialled = vec![];
        while let Some(action) = downloads.next_action() {
            if let Action::Connect { holder } = action {
                dialled.push(holder);
            }
        }
        for holder in dialled {
            if holder.0 % 2 == 0 {
                downloads.handle(now, Event::Unreachable { holder });
            } else {
                downloads.handle(now, Event::Connected { holder });
                downloads.handle(now, Event::Lost { holder });
            }
        }
        downloads.handle_timeout(now);
        most = most.max(downloads.referred_to().len());
    }
    assert!(most <= 4 * limits::HOLDERS_NAMED, "{most}");
    downloads.handle(now, Event::Forget { download: ONE });
    assert!(downloads.holders.is_empty() && downloads.referred_to().is_empty());
}

/// A holder has two contents of one piece and two of several; the one that was started last is the most urgent one.
#[test]
fn a_holder_is_asked_for_the_most_urgent_content_first() {
    for pieces in [1, 3] {
        let mut table = TestDownloads::new(Config { requests_in_flight: 1, ..Config::default() });
        let priorities = [Priority::Low, Priority::Normal, Priority::High];
        for (number, priority) in (1..).zip(priorities) {
            let (content, values) = content(pieces, u8::try_from(number).unwrap());
            let list = (pieces > 1).then(|| Arc::new(PieceList::new(content, values).unwrap()));
            let (download, have) = (DownloadId(number), Bitfield::none(pieces));
            table.handle(Event::Start { download, content, list, have, priority });
            table.name(download, &[1]);
        }
        let mut actions = table.handle(Event::Connected { holder: HolderId(1) });
        for number in 1..=3 {
            let (holder, download) = (HolderId(1), DownloadId(number));
            actions.extend(table.handle(Event::HaveAll { holder, download }));
        }
        let mut asked = vec![];
        while let Some(Action::Request { download, piece, .. }) =
            actions.iter().find(|action| matches!(action, Action::Request { .. })).cloned()
        {
            asked.push(download.0);
            let holder = HolderId(1);
            actions = table.handle(Event::Arrived { holder, download, piece });
            actions.extend(table.handle(Event::Stored { holder, download, piece }));
        }
        // When the first one was requested, the holder had not said that it has the others.
        let after_first: Vec<u32> = asked.iter().copied().skip(1).collect();
        assert_eq!(asked.len(), 3 * pieces as usize, "{pieces}: {asked:?}");
        assert!(after_first.is_sorted_by(|one, next| one >= next), "{pieces}: {asked:?}");
    }
}
