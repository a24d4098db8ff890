//! `Downloads` as a table of events and actions: a [`Table`] plays the shell, and every step is audited.
//!
//! Whole fetches, over lines that have a bandwidth, are simulated in `brigade-sim`.

use std::collections::BTreeMap;

use proptest::prelude::{any, prop, prop_oneof, proptest};

use super::{
    Action, Alarm, Arc, Bitfield, Config, Content, ContentId, DownloadId, Downloads, Duration, Event,
    Geometry, HolderId, Lie, Link, PieceIndex, PieceList, Timestamp, picker::PieceState, source::Standing,
};
use crate::{
    content::{Expected, fold},
    wire::Reason,
};

const PIECE: u64 = 256 << 10;
const ONE: DownloadId = DownloadId(1);

/// A content of so many pieces, and its list.
fn content(pieces: u32, salt: u8) -> (Content, Vec<[u8; 32]>) {
    let values: Vec<[u8; 32]> = (0..pieces)
        .map(|piece| {
            let mut value = [salt; 32];
            value[..4].copy_from_slice(&piece.to_be_bytes());
            value
        })
        .collect();
    let id = fold(&values).unwrap_or(ContentId([salt; 32]));
    let piece_bytes = if pieces > 1024 { 4 * PIECE } else { PIECE };
    (Content { id, size: u64::from(pieces) * piece_bytes }, values)
}

/// A shell without a network.
struct Table {
    downloads: Downloads,
    now: Timestamp,
}

impl Table {
    fn new(config: Config) -> Self {
        Self { downloads: Downloads::new(config, 1), now: Timestamp::from_micros(1_000_000) }
    }

    /// A table at which `ONE` of so many pieces is wanted, its list known, and these holders are connected.
    fn with(config: Config, pieces: u32, holders: &[u32]) -> Self {
        let mut table = Self::new(config);
        table.start(ONE, pieces, true);
        table.name(ONE, holders);
        for holder in holders {
            table.tell(Event::Connected { holder: HolderId(*holder) });
        }
        table
    }

    fn start(&mut self, download: DownloadId, pieces: u32, with_list: bool) {
        let (content, values) = content(pieces, 7);
        let list = with_list.then(|| PieceList::new(content, values).ok().map(Arc::new)).flatten();
        let have = Bitfield::none(pieces);
        self.tell(Event::Start { download, content, list, have });
    }

    fn name(&mut self, download: DownloadId, holders: &[u32]) -> Vec<Action> {
        let complete = holders.iter().copied().map(HolderId).collect();
        self.tell(Event::Holders { download, complete, partial: vec![] })
    }

    fn tell(&mut self, event: Event) -> Vec<Action> {
        self.downloads.handle(self.now, event);
        self.actions()
    }

    fn actions(&mut self) -> Vec<Action> {
        audit(&self.downloads);
        std::iter::from_fn(|| self.downloads.next_action()).collect()
    }

    /// Lets time pass, with every deadline kept.
    fn wait(&mut self, duration: Duration) -> Vec<Action> {
        let end = self.now.after(duration);
        let mut actions = Vec::new();
        while let Some(due) = self.downloads.deadline().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            self.downloads.handle_timeout(self.now);
            actions.extend(self.actions());
        }
        self.now = end;
        actions
    }

    fn have_all(&mut self, holder: u32) -> Vec<Action> {
        self.tell(Event::HaveAll { holder: HolderId(holder), download: ONE })
    }

    fn arrived(&mut self, holder: u32, piece: u32) -> Vec<Action> {
        self.tell(Event::Arrived { holder: HolderId(holder), download: ONE, piece: PieceIndex(piece) })
    }

    fn stored(&mut self, holder: u32, piece: u32) -> Vec<Action> {
        let mut actions = self.arrived(holder, piece);
        let piece = PieceIndex(piece);
        actions.extend(self.tell(Event::Stored { holder: HolderId(holder), download: ONE, piece }));
        actions
    }

    /// What is in flight, as (holder, piece).
    fn in_flight(&self) -> Vec<(u32, u32)> {
        let of = |(id, holder): (&HolderId, &super::Holder)| {
            let id = id.0;
            holder.queue().iter().map(move |asked| (id, asked.piece.0)).collect::<Vec<_>>()
        };
        self.downloads.holders.iter().flat_map(of).collect()
    }
}

/// Whether all that is counted is what is there.
fn audit(downloads: &Downloads) {
    let mut in_flight = 0;
    let mut by_source: BTreeMap<(HolderId, DownloadId), u64> = BTreeMap::new();
    for (id, holder) in &downloads.holders {
        let queue = holder.queue();
        let bytes: u64 = queue.iter().map(|asked| u64::from(asked.bytes)).sum();
        assert_eq!(holder.in_flight_bytes(), bytes);
        in_flight += bytes;
        let awaited: u64 = queue.iter().map(|asked| u64::from(asked.bytes - asked.here)).sum();
        assert_eq!(holder.awaited_bytes(), awaited);
        assert!(queue.len() <= downloads.config.requests_in_flight);
        let whole: u64 = queue.iter().filter(|asked| asked.whole).map(|asked| u64::from(asked.bytes)).sum();
        assert_eq!(holder.whole_bytes, whole);
        assert!(holder.link == Link::Up || queue.iter().all(|asked| asked.arrived));
        let watched = downloads.timers.is_set(Alarm::Silence(*id));
        assert!(!holder.owes() || watched || holder.link != Link::Up, "{id:?} owes and nobody watches");
        let marks = &downloads.marks;
        assert_eq!(marks.hungry.contains(id), holder.answers() && holder.has_open_work());
        assert_eq!(marks.owing.contains(id), holder.awaited_bytes() > 0);
        assert_eq!(marks.stalled.contains(id), holder.stalled.is_some());
        for asked in queue {
            *by_source.entry((*id, asked.download)).or_default() += u64::from(asked.bytes);
            let state = downloads.downloads[&asked.download].picker.state(asked.piece);
            let mine = matches!(state, Some(PieceState::InFlight(askers)) if askers.iter().any(|a| a == *id));
            assert!(mine || asked.arrived && state == Some(PieceState::Stored), "{id:?} {asked:?} {state:?}");
        }
    }
    assert_eq!(downloads.in_flight_bytes, in_flight);
    for (id, one) in &downloads.downloads {
        for source in one.sources() {
            let bytes = by_source.remove(&(source.holder, *id)).unwrap_or(0);
            assert_eq!(source.in_flight_bytes, bytes);
            let Some(holder) = downloads.holders.get(&source.holder) else {
                assert!(source.standing == Standing::Shunned && !source.ready);
                continue;
            };
            let lists = [&holder.ready, &holder.ready_whole];
            let listed = lists.iter().any(|list| list.contains(&(one.order, *id)));
            assert_eq!(source.ready, listed);
            assert_eq!(source.wanted, holder.wants.contains(id));
            assert_eq!(source.ready, one.has_work_for(source));
            if let Some(super::source::Has::Some(bits)) = source.has() {
                let useful = bits.iter().filter(|piece| one.picker.missing().has(*piece)).count();
                assert_eq!(source.useful as usize, useful);
            }
        }
    }
    assert!(by_source.is_empty(), "in flight of holders that are no sources: {by_source:?}");
}

/// The order in which pieces are asked for when each holder sends one at a time: `"2 from a, …"`. `holders` says who
/// has what: `"a: 1110  b: 1100"`.
#[track_caller]
fn check(holders: &str, expected: &str) {
    let words: Vec<&str> = holders.split_whitespace().collect();
    let pieces = u32::try_from(words[1].len()).unwrap();
    let ids: Vec<u32> = words.iter().step_by(2).map(|name| u32::from(name.as_bytes()[0])).collect();
    let config = Config { requests_in_flight: 1, ..Config::default() };
    let mut table = Table::new(config);
    table.start(ONE, pieces, true);
    table.name(ONE, &ids);
    // All say what they have before anything is asked.
    let (content, values) = content(pieces, 7);
    let one = table.downloads.downloads.get_mut(&ONE).unwrap();
    one.list = super::one::List::Wanted;
    for (id, has) in ids.iter().zip(words.iter().skip(1).step_by(2)) {
        table.tell(Event::Connected { holder: HolderId(*id) });
        let mut bits = Bitfield::none(pieces);
        has.bytes().zip(0..).filter(|(bit, _)| *bit == b'1').for_each(|(_, at)| {
            bits.set(PieceIndex(at));
        });
        let bits = bits.page(0, pieces).to_vec();
        table.tell(Event::Bits { holder: HolderId(*id), download: ONE, first: 0, bits });
    }
    let list = Arc::new(PieceList::new(content, values).unwrap());
    table.downloads.downloads.get_mut(&ONE).unwrap().list = super::one::List::Known(list);
    table.downloads.touch(ONE);
    let mut log = Vec::new();
    let mut actions = table.tell(Event::Connected { holder: HolderId(ids[0]) });
    let mut asked = std::collections::VecDeque::new();
    loop {
        for action in actions.drain(..) {
            if let Action::Request { holder, piece, .. } = action {
                log.push(format!("{} from {}", piece.0, char::from(u8::try_from(holder.0).unwrap())));
                asked.push_back((holder.0, piece.0));
            }
        }
        let Some((holder, piece)) = asked.pop_front() else { break };
        table.now = table.now.after(Duration::from_millis(10));
        actions = table.stored(holder, piece);
    }
    assert_eq!(log.join(", "), expected);
}

#[test]
fn the_last_piece_comes_first_then_the_rarest() {
    check("a: 111  b: 110  c: 100", "2 from a, 1 from b, 0 from c");
    check("a: 1111  b: 0011  c: 0010", "3 from a, 2 from b, 1 from a, 0 from a");
    check("a: 0111  b: 1000", "3 from a, 0 from b, 2 from a, 1 from a");
    check("a: 01", "1 from a");
}

#[test]
fn the_list_is_asked_of_one_and_nothing_else_before_it_is_known() {
    let mut table = Table::new(Config::default());
    table.start(ONE, 3000, false);
    table.name(ONE, &[1, 2]);
    let (one, two) = (HolderId(1), HolderId(2));
    let (content, values) = content(3000, 7);
    let open = |holder| Action::Open { holder, download: ONE, content };
    let ask = |holder, first| Action::AskList { holder, download: ONE, first };
    assert_eq!(table.tell(Event::Connected { holder: one }), [open(one), ask(one, 0)]);
    assert_eq!(table.tell(Event::Connected { holder: two }), [open(two)]);
    assert_eq!([table.have_all(1), table.have_all(2)], [vec![], vec![]]);
    let page = |holder, first: usize, end: usize| Event::ListPage {
        holder,
        download: ONE,
        first: u32::try_from(first).unwrap(),
        values: values[first..end].to_vec(),
    };
    assert_eq!(table.tell(page(two, 0, 1024)), []);
    assert_eq!(table.tell(page(one, 0, 1024)), [ask(one, 1024)]);
    // The first holder goes: the second one is asked from the start.
    assert_eq!(table.tell(Event::Lost { holder: one }), [ask(two, 0)]);
    assert_eq!(table.downloads.expected(ONE, PieceIndex(5)), None);
    assert_eq!(table.tell(page(two, 0, 1024)), [ask(two, 1024)]);
    assert_eq!(table.tell(page(two, 1024, 2048)), [ask(two, 2048)]);
    let actions = table.tell(page(two, 2048, 3000));
    assert!(matches!(&actions[0], Action::ListKnown { .. }));
    assert_eq!(
        actions[1],
        Action::Request { holder: two, download: ONE, piece: PieceIndex(2999), offer: None }
    );
    let expected = Expected::Subtree { offset: 5 << 20, value: values[5] };
    assert_eq!(table.downloads.expected(ONE, PieceIndex(5)), Some(expected));
}

#[test]
fn a_list_that_does_not_fold_shuns_its_holder() {
    let mut table = Table::new(Config::default());
    table.start(ONE, 3, false);
    table.name(ONE, &[1, 2]);
    let (one, two) = (HolderId(1), HolderId(2));
    table.tell(Event::Connected { holder: one });
    table.tell(Event::Connected { holder: two });
    let wrong = Event::ListPage { holder: one, download: ONE, first: 0, values: vec![[9; 32]; 3] };
    assert_eq!(
        table.tell(wrong),
        [
            Action::Close { holder: one, download: ONE },
            Action::Shunned { holder: one, download: ONE, why: Lie::BadList },
            Action::AskList { holder: two, download: ONE, first: 0 },
        ]
    );
    // It is not asked again for this content, whatever it says.
    assert_eq!(table.have_all(1), []);
    table.tell(Event::Lost { holder: one });
    table.name(ONE, &[1, 2]);
    assert_eq!(table.wait(Duration::from_millis(1500)), []);
}

#[test]
fn a_single_piece_is_asked_for_without_list_or_channel() {
    let mut table = Table::new(Config::default());
    let (content, _) = content(1, 7);
    table.tell(Event::Start { download: ONE, content, list: None, have: Bitfield::none(1) });
    assert_eq!(table.name(ONE, &[1]), [Action::Connect { holder: HolderId(1) }]);
    let request = Action::Request { holder: HolderId(1), download: ONE, piece: PieceIndex(0), offer: None };
    assert_eq!(table.tell(Event::Connected { holder: HolderId(1) }), [request]);
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
    let mut table = Table::new(Config::default());
    let start = |id, size| Event::Start {
        download: ONE,
        content: Content { id, size },
        list: None,
        have: Bitfield::none(0),
    };
    assert_eq!(table.tell(start(ContentId::EMPTY, 0)), [Action::Finished { download: ONE }]);
    assert!(matches!(table.tell(start(ContentId([1; 32]), 0))[..], [Action::Impossible { .. }]));
    assert!(matches!(table.tell(start(ContentId([1; 32]), u64::MAX))[..], [Action::Impossible { .. }]));
}

#[test]
fn what_is_here_is_not_asked_for() {
    let mut table = Table::new(Config::default());
    let (content, values) = content(4, 7);
    let mut have = Bitfield::all(4);
    have.clear(PieceIndex(1));
    let list = Some(Arc::new(PieceList::new(content, values).unwrap()));
    table.tell(Event::Start { download: ONE, content, list: list.clone(), have });
    table.name(ONE, &[1]);
    table.tell(Event::Connected { holder: HolderId(1) });
    table.have_all(1);
    assert_eq!(table.in_flight(), [(1, 1)]);
    let status = table.downloads.status(ONE).unwrap();
    assert_eq!((status.stored, status.bytes_stored, status.in_flight_bytes), (3, 3 * PIECE, PIECE));
    let all = Event::Start { download: DownloadId(2), content, list, have: Bitfield::all(4) };
    assert_eq!(table.tell(all), [Action::Finished { download: DownloadId(2) }]);
}

#[test]
fn a_few_pieces_are_shared_by_those_who_are_here_or_about_to_be() {
    let mut table = Table::new(Config::default());
    table.start(ONE, 8, true);
    table.name(ONE, &[1, 2]);
    table.tell(Event::Connected { holder: HolderId(1) });
    table.have_all(1);
    assert_eq!(table.in_flight().len(), 4, "the one who is being dialled gets its half");
    table.tell(Event::Connected { holder: HolderId(2) });
    table.have_all(2);
    assert_eq!(table.in_flight().iter().filter(|(holder, _)| *holder == 2).count(), 4);
}

#[test]
fn windows_hold_and_grow_with_what_arrives() {
    let config = Config { holder_window_bytes: 8 << 20, ..Config::default() };
    let mut table = Table::with(config, 1000, &[1]);
    table.have_all(1);
    assert_eq!(table.in_flight().len(), 8, "2 MiB at first");
    for _ in 0..40 {
        table.now = table.now.after(Duration::from_millis(1));
        let (holder, piece) = table.in_flight()[0];
        table.stored(holder, piece);
        assert!(table.downloads.in_flight_bytes <= table.downloads.config.holder_window_bytes);
    }
    assert_eq!(table.in_flight().len(), 32, "8 MiB at last");
}

/// The first byte of an idle holder comes after a round trip, then a piece every 26 ms, which is 10 MB/s.
#[test]
fn a_window_is_as_long_as_bandwidth_and_delay_want_it() {
    for (round_trip_ms, least, most) in [(1, 1_000_000, 2_300_000), (100, 3_000_000, 4_000_000)] {
        let mut table = Table::with(Config::default(), 1000, &[1]);
        table.have_all(1);
        let (holder, piece) = table.in_flight()[0];
        table.now = table.now.after(Duration::from_millis(round_trip_ms));
        let (holder, piece) = (HolderId(holder), PieceIndex(piece));
        table.tell(Event::Progress { holder, download: ONE, piece, bytes: 65_523 });
        for _ in 0..300 {
            table.now = table.now.after(Duration::from_micros(26_214));
            let (holder, piece) = table.in_flight()[0];
            table.stored(holder, piece);
        }
        let window = table.downloads.in_flight_bytes;
        assert!((least..=most).contains(&window), "{round_trip_ms} ms: {window}");
    }
}

#[test]
fn all_holders_together_keep_the_limit_and_each_has_its_part() {
    let config = Config { in_flight_bytes: 16 * PIECE, holder_window_bytes: 8 << 20, ..Config::default() };
    let mut table = Table::with(config, 1000, &[1, 2, 3, 4]);
    for holder in 1..=4 {
        table.have_all(holder);
    }
    for _ in 0..400 {
        table.now = table.now.after(Duration::from_millis(1));
        let (holder, piece) = table.in_flight()[usize::try_from(table.now.as_micros() / 1000 % 7).unwrap()];
        table.stored(holder, piece);
        assert!(table.downloads.in_flight_bytes <= 16 * PIECE);
    }
    for holder in 1..=4 {
        let count = table.in_flight().iter().filter(|(other, _)| *other == holder).count();
        assert!((2..=6).contains(&count), "{holder}: {count}");
    }
}

#[test]
fn long_pieces_still_go_two_at_a_time() {
    let mut table = Table::new(Config::default());
    let size = 70u64 << 30; // pieces of 16 MiB
    let pieces = Geometry::new(size).unwrap().count();
    let values = content(pieces, 7).1;
    let content = Content { id: fold(&values).unwrap(), size };
    let list = PieceList::new(content, values).ok().map(Arc::new);
    table.tell(Event::Start { download: ONE, content, list, have: Bitfield::none(pieces) });
    table.name(ONE, &[1, 2, 3]);
    for holder in 1..=3 {
        table.tell(Event::Connected { holder: HolderId(holder) });
        table.have_all(holder);
    }
    assert_eq!(table.in_flight().len(), 4);
}

#[test]
fn what_a_lost_holder_had_is_asked_elsewhere_at_once() {
    let mut table = Table::with(Config::default(), 14, &[1, 2]);
    table.have_all(1);
    table.have_all(2);
    let (holder, arrived) = table.in_flight()[0];
    assert_eq!(holder, 1);
    table.arrived(1, arrived);
    let before = table.in_flight().iter().filter(|(holder, _)| *holder == 1).count();
    assert!(before > 4);
    let actions = table.tell(Event::Lost { holder: HolderId(1) });
    assert!(actions.iter().any(|action| matches!(action, Action::Request { holder: HolderId(2), .. })));
    // What has arrived is not asked again: its hash and write follow.
    let of_first: Vec<(u32, u32)> =
        table.in_flight().into_iter().filter(|(holder, _)| *holder == 1).collect();
    assert_eq!(of_first, [(1, arrived)]);
    table.tell(Event::Stored { holder: HolderId(1), download: ONE, piece: PieceIndex(arrived) });
    assert_eq!(table.downloads.status(ONE).unwrap().stored, 1);
    assert_eq!(table.downloads.fetched_twice_bytes(), 0);
}

#[test]
fn a_lost_holder_is_dialled_again_ever_more_slowly() {
    let mut table = Table::with(Config::default(), 20, &[1]);
    table.tell(Event::Lost { holder: HolderId(1) });
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
        let actions = table.tell(Event::Unreachable { holder: HolderId(1) });
        let starved: &[Action] = if waits.len() == 1 { &[Action::Starved { download: ONE }] } else { &[] };
        assert_eq!(actions, starved);
    }
    assert!((125..=250).contains(&waits[0]) && (5000..=10_000).contains(&waits[8]), "{waits:?}");
    assert!(waits[4] > waits[2] && waits[6] > waits[4], "{waits:?}");
    // It comes back.
    table.wait(Duration::from_secs(11));
    let actions = table.tell(Event::Connected { holder: HolderId(1) });
    assert_eq!(actions.last(), Some(&Action::Fed { download: ONE }));
    // The manager names it no more and it goes: nobody dials it.
    table.name(ONE, &[]);
    assert_eq!(table.tell(Event::Lost { holder: HolderId(1) }), [Action::Starved { download: ONE }]);
    assert_eq!(table.wait(Duration::from_secs(60)), []);
}

#[test]
fn a_wrong_piece_shuns_its_holder_for_the_content() {
    let mut table = Table::with(Config::default(), 20, &[1, 2]);
    table.have_all(1);
    table.have_all(2);
    let (_, piece) = table.in_flight()[0];
    table.arrived(1, piece);
    let wrong = Event::Wrong { holder: HolderId(1), download: ONE, piece: PieceIndex(piece) };
    let actions = table.tell(wrong.clone());
    let shunned =
        Action::Shunned { holder: HolderId(1), download: ONE, why: Lie::WrongPiece(PieceIndex(piece)) };
    assert_eq!(actions[..2], [Action::Close { holder: HolderId(1), download: ONE }, shunned]);
    assert!(table.in_flight().iter().all(|(holder, _)| *holder == 2));
    assert!(!table.tell(wrong).iter().any(|action| matches!(action, Action::Shunned { .. })));
}

#[test]
fn a_refused_piece_is_asked_elsewhere_and_a_refused_content_later_again() {
    let mut table = Table::with(Config::default(), 4, &[1, 2]);
    table.have_all(1);
    table.have_all(2);
    let refuse = |piece, reason| Event::Refused { holder: HolderId(1), download: ONE, piece, reason };
    let (_, piece) = table.in_flight()[0];
    table.tell(refuse(Some(PieceIndex(piece)), Reason::NoPiece));
    assert!(!table.in_flight().contains(&(1, piece)));
    for (holder, piece) in table.in_flight() {
        if holder == 2 {
            table.stored(2, piece);
        }
    }
    assert!(table.in_flight().contains(&(2, piece)), "{:?}", table.in_flight());
    table.tell(refuse(None, Reason::NotFound));
    assert!(table.in_flight().iter().all(|(holder, _)| *holder == 2));
    let again = table.wait(Duration::from_millis(1100));
    assert!(matches!(again[..], [Action::Open { holder: HolderId(1), .. }]), "{again:?}");
}

#[test]
fn a_stalled_holder_keeps_one_piece_and_loses_it_to_the_idle() {
    let mut table = Table::with(Config::default(), 12, &[1, 2]);
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
    let mut table = Table::with(Config::default(), 4, &[1]);
    table.have_all(1);
    assert_eq!(table.wait(Duration::from_secs(5)), []);
    let holder = HolderId(1);
    assert_eq!(
        table.wait(Duration::from_secs(10)),
        [Action::Disconnect { holder }, Action::Starved { download: ONE }, Action::Connect { holder }]
    );
    table.tell(Event::Connected { holder: HolderId(1) });
    table.have_all(1);
    assert_eq!(table.in_flight().len(), 4);
}

#[test]
fn progress_keeps_a_slow_holder_from_being_taken_for_stalled() {
    let mut table = Table::with(Config::default(), 4, &[1]);
    table.have_all(1);
    let (_, piece) = table.in_flight()[0];
    for step in 1..=20 {
        assert_eq!(table.wait(Duration::from_millis(900)), []);
        let piece = PieceIndex(piece);
        table.tell(Event::Progress { holder: HolderId(1), download: ONE, piece, bytes: step * 5000 });
    }
}

#[test]
fn a_slow_holder_keeps_little_and_the_end_goes_to_the_fast_one() {
    let mut table = Table::with(Config::default(), 200, &[1, 2]);
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

#[test]
fn thousands_of_single_pieces_come_evenly_and_in_their_order() {
    let mut table = Table::new(Config::default());
    for number in 0..3000u32 {
        let content =
            Content { id: ContentId(*blake3::hash(&number.to_be_bytes()).as_bytes()), size: 32 << 10 };
        let download = DownloadId(number);
        table
            .downloads
            .handle(table.now, Event::Start { download, content, list: None, have: Bitfield::none(1) });
        let complete = vec![HolderId(1), HolderId(2)];
        table.downloads.handle(table.now, Event::Holders { download, complete, partial: vec![] });
    }
    let mut queue = std::collections::VecDeque::from(table.tell(Event::Connected { holder: HolderId(1) }));
    queue.extend(table.tell(Event::Connected { holder: HolderId(2) }));
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
    let mut table = Table::with(Config::default(), 20, &[1]);
    table.have_all(1);
    let (_, piece) = table.in_flight()[0];
    table.arrived(1, piece);
    let actions = table.tell(Event::Forget { download: ONE });
    assert_eq!(actions, [Action::Close { holder: HolderId(1), download: ONE }]);
    assert!(table.in_flight().is_empty());
    assert_eq!(table.tell(Event::Forget { download: ONE }), []);
    assert_eq!(table.stored(1, piece), []);
}

#[test]
fn connections_are_bounded_and_those_who_wait_get_their_turn() {
    let config = Config { connections: 2, ..Config::default() };
    let mut table = Table::new(config);
    table.start(ONE, 20, true);
    let connect = |holder| Action::Connect { holder: HolderId(holder) };
    assert_eq!(table.name(ONE, &[1, 2, 3]), [connect(1), connect(2)]);
    assert_eq!(table.tell(Event::Unreachable { holder: HolderId(1) }), [connect(3)]);
}

/// Any event, with numbers that are often but not always sensible.
fn any_event() -> impl prop::strategy::Strategy<Value = Event> {
    use prop::strategy::Strategy;
    let holder = || (0u32..4).prop_map(HolderId);
    let download = || (0u32..4).prop_map(DownloadId);
    let piece = || (0u32..7).prop_map(PieceIndex);
    let three = || (holder(), download(), piece());
    let ids = || prop::collection::vec(holder(), 0..4);
    prop_oneof![
        (download(), 1u32..6, any::<bool>()).prop_map(|(download, pieces, listed)| {
            let pieces = if download.0 == 0 { 1 } else { pieces };
            let (content, values) = content(pieces, 7);
            let list = PieceList::new(content, values).ok().filter(|_| listed).map(Arc::new);
            Event::Start { download, content, list, have: Bitfield::none(pieces) }
        }),
        (download(), ids(), ids()).prop_map(|(download, complete, partial)| Event::Holders {
            download,
            complete,
            partial
        }),
        holder().prop_map(|holder| Event::Connected { holder }),
        holder().prop_map(|holder| Event::Connected { holder }),
        holder().prop_map(|holder| Event::Unreachable { holder }),
        holder().prop_map(|holder| Event::Lost { holder }),
        (holder(), download()).prop_map(|(holder, download)| Event::HaveAll { holder, download }),
        (holder(), download(), 0u32..9, any::<u8>()).prop_map(|(holder, download, first, bits)| {
            Event::Bits { holder, download, first: first / 8 * 8, bits: vec![bits & 0xf8] }
        }),
        three().prop_map(|(holder, download, piece)| Event::Have { holder, download, pieces: vec![piece.0] }),
        (holder(), download(), 1u32..6, 0u8..9).prop_map(|(holder, download, pieces, salt)| {
            let values = content(pieces, 7.max(salt)).1;
            Event::ListPage { holder, download, first: 0, values }
        }),
        (three(), any::<u32>()).prop_map(|((holder, download, piece), bytes)| Event::Progress {
            holder,
            download,
            piece,
            bytes
        }),
        three().prop_map(|(holder, download, piece)| Event::Arrived { holder, download, piece }),
        three().prop_map(|(holder, download, piece)| Event::Arrived { holder, download, piece }),
        three().prop_map(|(holder, download, piece)| Event::Stored { holder, download, piece }),
        three().prop_map(|(holder, download, piece)| Event::Wrong { holder, download, piece }),
        (three(), 0u32..12, any::<bool>()).prop_map(|((holder, download, piece), reason, all)| {
            let piece = (!all).then_some(piece);
            Event::Refused { holder, download, piece, reason: Reason::from_number(reason) }
        }),
        download().prop_map(|download| Event::Forget { download }),
    ]
}

proptest! {
    #[test]
    fn no_order_of_events_panics_or_miscounts(
        events in prop::collection::vec((any_event(), 0u64..3000), 0..120),
        seed in any::<u64>(),
    ) {
        let config = Config { connections: 3, channels: 2, in_flight_bytes: 5 * PIECE, ..Config::default() };
        let mut downloads = Downloads::new(config, seed);
        let mut now = Timestamp::default();
        for (event, wait_ms) in events {
            if let Event::Start { download, .. } = &event
                && downloads.status(*download).is_some()
            {
                continue;
            }
            now = now.after(Duration::from_millis(wait_ms));
            while downloads.deadline().is_some_and(|due| due <= now) {
                downloads.handle_timeout(now);
                audit(&downloads);
            }
            downloads.handle(now, event);
            audit(&downloads);
            while downloads.next_action().is_some() {}
        }
        for download in 0..4 {
            downloads.handle(now, Event::Forget { download: DownloadId(download) });
        }
        assert_eq!((downloads.in_flight_bytes, downloads.whole_left_bytes), (0, 0));
        audit(&downloads);
    }
}
