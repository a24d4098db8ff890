//! What goes in and out of a peer: the limits on it, and the sums by member that people are shown.
//!
//! Counters are atomics that the data path bumps without asking anybody; the two limiters are behind a lock that
//! is held for a subtraction.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use brigade_core::{
    id::PeerKey,
    name::Username,
    rate::{Limiter, Meter},
};

use crate::clock;

/// The members that are counted one by one; what more there are share a row.
const COUNTED_MEMBERS: usize = 10_000;

/// The traffic of one peer.
#[derive(Debug)]
pub(super) struct Traffic {
    up: Mutex<Limiter>,
    down: Mutex<Limiter>,
    sent: AtomicU64,
    received: AtomicU64,
    newcomers: Mutex<BTreeMap<PeerKey, (Username, Arc<Sent>)>>,
    rates: Mutex<Rates>,
}

/// How fast bytes go out and come in, measured whenever somebody asks.
#[derive(Debug)]
struct Rates {
    seen: (u64, u64),
    sending: Meter,
    receiving: Meter,
}

/// What one newcomer was sent.
#[derive(Debug, Default)]
pub(super) struct Sent {
    pub(super) bytes: AtomicU64,
    pub(super) pieces: AtomicU64,
}

/// What a member gave, or got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Given {
    /// The member.
    pub username: Username,
    /// Bytes of piece data.
    pub bytes: u64,
    /// Whole pieces.
    pub pieces: u64,
}

impl Traffic {
    /// Limits in bytes of piece data a second, over all connections; `None` for none.
    pub(super) fn new(up: Option<u64>, down: Option<u64>) -> Self {
        Self {
            up: Mutex::new(Limiter::new(up)),
            down: Mutex::new(Limiter::new(down)),
            sent: AtomicU64::new(0),
            received: AtomicU64::new(0),
            newcomers: Mutex::default(),
            rates: Mutex::new(Rates {
                seen: (0, 0),
                sending: Meter::new(clock::now()),
                receiving: Meter::new(clock::now()),
            }),
        }
    }

    /// Waits until `bytes` may be sent.
    pub(super) async fn may_send(&self, bytes: usize) {
        wait(&self.up, bytes).await;
    }

    /// Waits until `bytes` may be taken in.
    pub(super) async fn may_receive(&self, bytes: usize) {
        wait(&self.down, bytes).await;
    }

    /// The limit on what is sent, in bytes a second.
    pub(super) fn up_limit(&self) -> Option<u64> {
        self.up.lock().unwrap_or_else(PoisonError::into_inner).bytes_per_second()
    }

    /// Counts `bytes` that went out to a newcomer.
    pub(super) fn count_sent(&self, newcomer: &Sent, bytes: u64) {
        self.sent.fetch_add(bytes, Ordering::Relaxed);
        newcomer.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Counts `bytes` that came in.
    pub(super) fn count_received(&self, bytes: u64) {
        self.received.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Bytes of piece data sent and received so far.
    pub(super) fn totals(&self) -> (u64, u64) {
        (self.sent.load(Ordering::Relaxed), self.received.load(Ordering::Relaxed))
    }

    /// Bytes of piece data sent and received a second, now.
    pub(super) fn rates(&self) -> (u64, u64) {
        let now = clock::now();
        let totals = self.totals();
        let mut rates = self.rates.lock().unwrap_or_else(PoisonError::into_inner);
        let (sent, received) = (totals.0 - rates.seen.0, totals.1 - rates.seen.1);
        rates.seen = totals;
        rates.sending.add(now, sent);
        rates.receiving.add(now, received);
        (rates.sending.rate(now), rates.receiving.rate(now))
    }

    /// The counter of one newcomer, over all its connections.
    pub(super) fn newcomer(&self, key: PeerKey, username: &Username) -> Arc<Sent> {
        let mut newcomers = self.newcomers.lock().unwrap_or_else(PoisonError::into_inner);
        if newcomers.len() >= COUNTED_MEMBERS && !newcomers.contains_key(&key) {
            return newcomers.values().next().map_or_else(Arc::default, |(_, sent)| sent.clone());
        }
        newcomers.entry(key).or_insert_with(|| (username.clone(), Arc::default())).1.clone()
    }

    /// What each newcomer was sent, most first.
    pub(super) fn sent_to_each(&self) -> Vec<Given> {
        let newcomers = self.newcomers.lock().unwrap_or_else(PoisonError::into_inner);
        let share = |(username, sent): &(Username, Arc<Sent>)| Given {
            username: username.clone(),
            bytes: sent.bytes.load(Ordering::Relaxed),
            pieces: sent.pieces.load(Ordering::Relaxed),
        };
        let mut shares: Vec<Given> = newcomers.values().map(share).filter(|share| share.bytes > 0).collect();
        shares.sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.username.cmp(&b.username)));
        shares
    }
}

async fn wait(limiter: &Mutex<Limiter>, bytes: usize) {
    let wait = limiter.lock().unwrap_or_else(PoisonError::into_inner).take(clock::now(), bytes as u64);
    if wait > Duration::ZERO {
        tokio::time::sleep(wait).await;
    }
}
