//! The accounts of a fetch: what was received from whom, and the [`Progress`] that people see.
//!
//! The parent tells it what happened to the files of the fetch.

use std::{collections::BTreeMap, sync::Arc};

use brigade_core::{download::HolderId, limits, rate::Meter, time::Timestamp};

use crate::{
    peer::swarm::ReceiveCounter,
    progress::{FetchState, HolderTraffic, MemberTraffic, Progress},
};

/// The accounts from which a [`Progress`] is made.
#[derive(Debug)]
pub(super) struct Accounts {
    pub(super) progress: Progress,
    /// Counted by the connections.
    pub(super) counter: Arc<ReceiveCounter>,
    /// Bytes that are not stored yet.
    pub(super) left_bytes: u64,
    pub(super) started: Timestamp,
    pub(super) from: BTreeMap<HolderId, ReceivedFromHolder>,
}

/// What one holder sent of a fetch.
#[derive(Debug, Default)]
pub(super) struct ReceivedFromHolder {
    bytes: u64,
    pieces: u64,
    meter: Meter,
}

impl Accounts {
    pub(super) fn new(name: String, now: Timestamp) -> Self {
        Self {
            progress: Progress::new(name),
            counter: Arc::default(),
            left_bytes: 0,
            started: now,
            from: BTreeMap::new(),
        }
    }

    /// A piece that `holder` sent is stored.
    pub(super) fn stored(&mut self, holder: HolderId, bytes: u64, now: Timestamp) {
        if self.from.len() < limits::COUNTED_MEMBERS || self.from.contains_key(&holder) {
            let from = self.from.entry(holder).or_default();
            from.bytes += bytes;
            from.pieces += 1;
            from.meter.add(now, bytes);
        }
        self.progress.bytes_done += bytes;
        self.progress.pieces_done += 1;
    }

    /// The progress at `now`.
    pub(super) fn shown(&mut self, now: Timestamp, senders: &BTreeMap<HolderId, HolderTraffic>) -> Progress {
        self.progress.rate = self.counter.rate();
        self.progress.steady_rate = self.counter.steady_rate();
        let waits = matches!(
            self.progress.state,
            FetchState::Waiting | FetchState::WaitingForFetch | FetchState::Full { .. } | FetchState::Paused
        );
        if waits {
            // Nothing is received; the meters would show the bytes of the last seconds.
            (self.progress.rate, self.progress.steady_rate) = (0, None);
        }
        self.progress.left_bytes = self.left_bytes.saturating_sub(self.counter.unstored_bytes());
        self.progress.took = now.since(self.started);
        let sent = |(holder, received): (&HolderId, &ReceivedFromHolder)| {
            let ReceivedFromHolder { bytes, pieces, meter } = received;
            let (bytes, pieces) = (*bytes, *pieces);
            Some(HolderTraffic { bytes, pieces, rate: meter.rate(now), ..senders.get(holder)?.clone() })
        };
        let mut senders: Vec<HolderTraffic> = self.from.iter().filter_map(sent).collect();
        senders.sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.username.cmp(&b.username)));
        let given =
            |sender: &HolderTraffic| MemberTraffic::new(sender.username.clone(), sender.bytes, sender.pieces);
        self.progress.from = senders.iter().map(given).collect();
        self.progress.senders = senders;
        self.progress.clone()
    }
}
