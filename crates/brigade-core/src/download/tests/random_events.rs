//! Any events in any order: nothing panics, and the counts stay true.
//!
//! What follows from sensible ones is in the siblings.

use proptest::prelude::{any, prop, prop_oneof, proptest};

use super::{
    Arc, Bitfield, Config, DownloadId, Downloads, Duration, Event, HolderId, PIECE, PieceIndex, PieceList,
    Priority, Reason, Timestamp, audit, content,
};

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
            Event::Start { download, content, list, have: Bitfield::none(pieces), priority: Priority::Normal }
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
        (holder(), any::<bool>()).prop_map(|(holder, limited)| Event::Turns { holder, limited }),
        (holder(), any::<bool>()).prop_map(|(holder, throttled)| Event::Throttled { holder, throttled }),
        (three(), any::<u32>()).prop_map(|((holder, download, piece), offer)| Event::Offered {
            holder,
            download,
            offer,
            pieces: vec![piece.0]
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
        let bounds = Config { connections: 3, channels: 2, neighbours: 2, ..Config::default() };
        let config = Config { in_flight_bytes: 5 * PIECE, ..bounds };
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
