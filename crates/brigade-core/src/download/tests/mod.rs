//! `Downloads` as a table of events and actions: a [`TestDownloads`] plays the caller, and every step is audited.
//!
//! Whole fetches, over lines that have a bandwidth, are simulated in `brigade-sim`.

mod download_limit;
mod faulty_holders;
mod holder_offers;
mod neighbour_selection;
mod random_events;
mod request_windows;
mod requests;

use std::{collections::BTreeMap, time::Duration};

use super::{
    Action, Arc, Bitfield, Config, ConnectionState, Content, ContentId, DownloadId, Downloads, Event,
    Geometry, HolderFault, HolderId, PieceIndex, PieceList, Priority, Timer, Timestamp,
    single_download::{content_holder::SourceState, picker::PieceState},
};
use crate::{
    piece_list::{Expected, fold},
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

/// A caller without a network.
struct TestDownloads {
    downloads: Downloads,
    now: Timestamp,
}

impl TestDownloads {
    fn new(config: Config) -> Self {
        Self { downloads: Downloads::new(config, 1), now: Timestamp::from_micros(1_000_000) }
    }

    /// A table at which `ONE` of so many pieces is wanted, its list known, and these holders are connected.
    fn with(config: Config, pieces: u32, holders: &[u32]) -> Self {
        let mut table = Self::new(config);
        table.start(ONE, pieces, true);
        table.name(ONE, holders);
        for holder in holders {
            table.handle(Event::Connected { holder: HolderId(*holder) });
        }
        table
    }

    fn start(&mut self, download: DownloadId, pieces: u32, with_list: bool) {
        let (content, values) = content(pieces, 7);
        let list = with_list.then(|| PieceList::new(content, values).ok().map(Arc::new)).flatten();
        let have = Bitfield::none(pieces);
        self.handle(Event::Start { download, content, list, have, priority: Priority::Normal });
    }

    fn name(&mut self, download: DownloadId, holders: &[u32]) -> Vec<Action> {
        let complete = holders.iter().copied().map(HolderId).collect();
        self.handle(Event::Holders { download, complete, partial: vec![] })
    }

    fn handle(&mut self, event: Event) -> Vec<Action> {
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
        self.handle(Event::HaveAll { holder: HolderId(holder), download: ONE })
    }

    fn arrived(&mut self, holder: u32, piece: u32) -> Vec<Action> {
        self.handle(Event::Arrived { holder: HolderId(holder), download: ONE, piece: PieceIndex(piece) })
    }

    fn stored(&mut self, holder: u32, piece: u32) -> Vec<Action> {
        let mut actions = self.arrived(holder, piece);
        let piece = PieceIndex(piece);
        actions.extend(self.handle(Event::Stored { holder: HolderId(holder), download: ONE, piece }));
        actions
    }

    /// What is in flight, as (holder, piece).
    fn in_flight(&self) -> Vec<(u32, u32)> {
        let of = |(id, holder): (&HolderId, &super::holders::holder::Holder)| {
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
    for (id, holder) in downloads.holders.iter() {
        let queue = holder.queue();
        let bytes: u64 = queue.iter().map(|asked| u64::from(asked.bytes)).sum();
        assert_eq!(holder.in_flight_bytes(), bytes);
        in_flight += bytes;
        let awaited: u64 = queue.iter().map(|asked| u64::from(asked.bytes - asked.received)).sum();
        assert_eq!(holder.awaited_bytes(), awaited);
        assert!(queue.len() <= downloads.config.requests_in_flight);
        let whole: u64 = queue.iter().filter(|asked| asked.whole).map(|asked| u64::from(asked.bytes)).sum();
        assert_eq!(holder.whole_bytes, whole);
        assert!(holder.link == ConnectionState::Connected || queue.iter().all(|asked| asked.arrived));
        let watched = downloads.timers.is_set(Timer::Silence(*id));
        assert!(
            !holder.is_expected_to_send() || watched || holder.link != ConnectionState::Connected,
            "{id:?} owes and nobody watches"
        );
        let holder_sets = &downloads.holder_sets;
        assert_eq!(holder_sets.can_request.contains(id), holder.answers() && holder.has_open_work());
        assert_eq!(holder_sets.owe_data.contains(id), holder.awaited_bytes() > 0);
        assert_eq!(holder_sets.stalled.contains(id), holder.stalled.is_some());
        for asked in queue {
            *by_source.entry((*id, asked.download)).or_default() += u64::from(asked.bytes);
            let state = downloads.downloads[&asked.download].picker.state(asked.piece);
            let mine =
                matches!(state, Some(PieceState::InFlight(holders)) if holders.iter().any(|a| a == *id));
            assert!(mine || asked.arrived && state == Some(PieceState::Stored), "{id:?} {asked:?} {state:?}");
        }
    }
    assert_eq!(downloads.in_flight_bytes, in_flight);
    for (id, one) in &downloads.downloads {
        for source in one.sources() {
            let bytes = by_source.remove(&(source.holder, *id)).unwrap_or(0);
            assert_eq!(source.in_flight_bytes, bytes);
            let Some(holder) = downloads.holders.get(&source.holder) else {
                assert!(source.state == SourceState::Banned && !source.ready);
                continue;
            };
            let lists = [&holder.ready, &holder.ready_whole];
            let listed = lists.iter().any(|list| list.contains(&(one.order, *id)));
            assert_eq!(source.ready, listed);
            assert_eq!(source.wanted, holder.wants.contains(id));
            assert_eq!(source.ready, one.has_work_for(source));
            if let Some(super::single_download::content_holder::HolderPieces::Some(bits)) = source.has() {
                let useful = bits.iter().filter(|piece| one.picker.missing().has(*piece)).count();
                assert_eq!(source.useful as usize, useful);
            }
        }
        audit_positions(one);
    }
    assert!(by_source.is_empty(), "in flight of holders that are no sources: {by_source:?}");
}

/// Whether sources that are passed over have nothing to do, and the rarity of what is missing is true.
fn audit_positions(one: &super::Download) {
    for (at, source) in one.sources().iter().enumerate() {
        assert!(one.is_in_use(at) || (source.has().is_none() && !source.ready), "{source:?} is passed over");
    }
    for piece in one.picker.missing().iter() {
        let partial = one.sources().iter().filter_map(|source| match source.has() {
            Some(super::single_download::content_holder::HolderPieces::Some(bits)) => Some(bits),
            _ => None,
        });
        let holders = partial.filter(|bits| bits.has(piece)).count();
        assert_eq!(usize::from(one.picker.rarity(piece)), holders, "{piece:?}");
    }
}

/// The order in which pieces are asked for when each holder sends one at a time: `"2 from a, …"`. `holders` says who
/// has what: `"a: 1110  b: 1100"`.
#[track_caller]
fn check(holders: &str, expected: &str) {
    let words: Vec<&str> = holders.split_whitespace().collect();
    let pieces = u32::try_from(words[1].len()).unwrap();
    let ids: Vec<u32> = words.iter().step_by(2).map(|name| u32::from(name.as_bytes()[0])).collect();
    let config = Config { requests_in_flight: 1, ..Config::default() };
    let mut table = TestDownloads::new(config);
    table.start(ONE, pieces, true);
    table.name(ONE, &ids);
    // All say what they have before anything is asked.
    let (content, values) = content(pieces, 7);
    let one = table.downloads.downloads.get_mut(&ONE).unwrap();
    one.list = super::single_download::ListState::Wanted;
    for (id, has) in ids.iter().zip(words.iter().skip(1).step_by(2)) {
        table.handle(Event::Connected { holder: HolderId(*id) });
        let mut bits = Bitfield::none(pieces);
        has.bytes().zip(0..).filter(|(bit, _)| *bit == b'1').for_each(|(_, at)| {
            bits.set(PieceIndex(at));
        });
        let bits = bits.page(0, pieces).to_vec();
        table.handle(Event::Bits { holder: HolderId(*id), download: ONE, first: 0, bits });
    }
    let list = Arc::new(PieceList::new(content, values).unwrap());
    table.downloads.downloads.get_mut(&ONE).unwrap().list = super::single_download::ListState::Known(list);
    table.downloads.mark_changed(ONE);
    let mut log = Vec::new();
    let mut actions = table.handle(Event::Connected { holder: HolderId(ids[0]) });
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
