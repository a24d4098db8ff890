//! How much is asked at once.
//!
//! Of whom is in `requests`.

use super::{
    Arc, Bitfield, Config, Content, Duration, Event, Geometry, HolderId, ONE, PIECE, PieceIndex, PieceList,
    Priority, TestDownloads, content, fold,
};

#[test]
fn windows_hold_and_grow_with_what_arrives() {
    let config = Config { holder_window_bytes: 8 << 20, ..Config::default() };
    let mut table = TestDownloads::with(config, 1000, &[1]);
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
        let mut table = TestDownloads::with(Config::default(), 1000, &[1]);
        table.have_all(1);
        let (holder, piece) = table.in_flight()[0];
        table.now = table.now.after(Duration::from_millis(round_trip_ms));
        let (holder, piece) = (HolderId(holder), PieceIndex(piece));
        table.handle(Event::Progress { holder, download: ONE, piece, bytes: 65_523 });
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
    let mut table = TestDownloads::with(config, 1000, &[1, 2, 3, 4]);
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
    let mut table = TestDownloads::new(Config::default());
    let size = 70u64 << 30; // pieces of 16 MiB
    let pieces = Geometry::new(size).unwrap().count();
    let values = content(pieces, 7).1;
    let content = Content { id: fold(&values).unwrap(), size };
    let list = PieceList::new(content, values).ok().map(Arc::new);
    table.handle(Event::Start {
        download: ONE,
        content,
        list,
        have: Bitfield::none(pieces),
        priority: Priority::Normal,
    });
    table.name(ONE, &[1, 2, 3]);
    for holder in 1..=3 {
        table.handle(Event::Connected { holder: HolderId(holder) });
        table.have_all(holder);
    }
    assert_eq!(table.in_flight().len(), 4);
}
