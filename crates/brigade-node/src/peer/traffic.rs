//! What goes in and out of a peer: the limits on it, and the sums by member that people are shown.
//!
//! Counters are atomics that the data path bumps without asking anybody; the two limiters are behind a lock that
//! is held for a subtraction. Which limits hold is decided in [`super::limiting`]; whoever waits under one when it is
//! changed waits under the new one.

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
    limits,
    name::Username,
    rate::{Cap, Limiter, Meter},
};
use tokio::{sync::watch, time::timeout};

use crate::clock;

/// The traffic of one peer.
#[derive(Debug)]
pub(super) struct Traffic {
    up: Gate,
    down: Gate,
    sent: AtomicU64,
    received: AtomicU64,
    newcomers: Mutex<BTreeMap<PeerKey, (Username, Arc<Sent>)>>,
    rates: Mutex<Rates>,
}

/// What bytes wait at in one direction.
#[derive(Debug)]
struct Gate {
    limiter: Mutex<Limiter>,
    /// The limit; who waits hears of another one here.
    cap: watch::Sender<Cap>,
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
    /// With limits on bytes of piece data, over all connections.
    pub(super) fn new(up: Cap, down: Cap) -> Self {
        Self {
            up: Gate::new(up),
            down: Gate::new(down),
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
        self.up.pass(bytes).await;
    }

    /// Waits until `bytes` may be taken in.
    pub(super) async fn may_receive(&self, bytes: usize) {
        self.down.pass(bytes).await;
    }

    /// Sets other limits, for what waits now too.
    pub(super) fn limit(&self, up: Cap, down: Cap) {
        self.up.set(up);
        self.down.set(down);
    }

    /// The limit on what is sent, in bytes a second.
    pub(super) fn up_limit(&self) -> Option<u64> {
        self.up.cap.borrow().bytes_per_second()
    }

    /// The limit on what is sent, now and when it changes.
    pub(super) fn up_cap(&self) -> watch::Receiver<Cap> {
        self.up.cap.subscribe()
    }

    /// Waits until there is no limit on what is sent.
    pub(super) async fn up_is_free(&self) {
        let mut cap = self.up.cap.subscribe();
        // The sender lives as long as `self`.
        let _ = cap.wait_for(|cap| *cap == Cap::Off).await;
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

    /// The counter of one newcomer, over all its connections. Where as many are counted as may be, those that have no
    /// connection and were sent least are forgotten; where all have one, this newcomer is not counted by itself.
    pub(super) fn newcomer(&self, key: PeerKey, username: &Username) -> Arc<Sent> {
        let mut newcomers = self.newcomers.lock().unwrap_or_else(PoisonError::into_inner);
        if newcomers.len() >= limits::COUNTED_MEMBERS && !newcomers.contains_key(&key) {
            forget_those_sent_least(&mut newcomers);
        }
        if newcomers.len() >= limits::COUNTED_MEMBERS && !newcomers.contains_key(&key) {
            return Arc::default();
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

/// Makes room for a tenth more: so that this is seldom done.
fn forget_those_sent_least(newcomers: &mut BTreeMap<PeerKey, (Username, Arc<Sent>)>) {
    let gone = newcomers.iter().filter(|(_, (_, sent))| Arc::strong_count(sent) == 1);
    let mut gone: Vec<_> = gone.map(|(key, (_, sent))| (sent.bytes.load(Ordering::Relaxed), *key)).collect();
    gone.sort_unstable();
    for (_, key) in gone.into_iter().take(limits::COUNTED_MEMBERS / 10) {
        newcomers.remove(&key);
    }
}

impl Gate {
    fn new(cap: Cap) -> Self {
        let limiter = Mutex::new(Limiter::new(cap.bytes_per_second()));
        Self { limiter, cap: watch::Sender::new(cap) }
    }

    /// Another limit. Whoever waits is told under the same lock, so that all of them ask anew and nobody twice.
    fn set(&self, cap: Cap) {
        let mut limiter = self.limiter.lock().unwrap_or_else(PoisonError::into_inner);
        if *self.cap.borrow() != cap {
            limiter.set(clock::now(), cap.bytes_per_second());
            self.cap.send_replace(cap);
        }
    }

    async fn pass(&self, bytes: usize) {
        loop {
            let (wait, mut changed) = {
                let mut limiter = self.limiter.lock().unwrap_or_else(PoisonError::into_inner);
                match limiter.take(clock::now(), bytes as u64) {
                    Duration::ZERO => return,
                    wait => (wait, self.cap.subscribe()),
                }
            };
            if timeout(wait, changed.changed()).await.is_err() {
                return; // waited for
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use tokio::{task::JoinSet, time::timeout};

    use super::{Cap, Ordering, PeerKey, Traffic, limits};

    /// Longer than anything here takes, shorter than what the small limits would make it wait.
    const PATIENCE: Duration = Duration::from_secs(20);

    fn waiting(traffic: &Arc<Traffic>, count: usize) -> JoinSet<()> {
        let mut waiting = JoinSet::new();
        for _ in 0..count {
            let traffic = traffic.clone();
            waiting.spawn(async move {
                traffic.may_send(1_000_000).await;
                traffic.may_receive(1_000_000).await;
            });
        }
        waiting
    }

    /// Lets every task go as far as it can.
    async fn settle() {
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn who_waits_for_weeks_goes_on_when_the_limit_is_lifted() {
        let traffic = Arc::new(Traffic::new(Cap::At(1), Cap::At(1)));
        let mut waiting = waiting(&traffic, 8);
        settle().await;
        assert!(waiting.try_join_next().is_none());
        traffic.limit(Cap::Off, Cap::At(1));
        settle().await;
        assert!(waiting.try_join_next().is_none(), "there is still the other limit");
        traffic.limit(Cap::Off, Cap::Off);
        timeout(PATIENCE, waiting.join_all()).await.unwrap();
    }

    #[tokio::test]
    async fn who_waits_under_one_limit_waits_on_under_another() {
        let traffic = Arc::new(Traffic::new(Cap::At(1), Cap::Off));
        let mut waiting = waiting(&traffic, 4);
        settle().await;
        traffic.limit(Cap::At(2), Cap::Off);
        settle().await;
        assert!(waiting.try_join_next().is_none());
        assert!(timeout(Duration::ZERO, traffic.up_is_free()).await.is_err());
        // All four and a burst: at least 0.3 s, and not the weeks that they were first told.
        let started = tokio::time::Instant::now();
        traffic.limit(Cap::At(10_000_000), Cap::Off);
        timeout(PATIENCE, waiting.join_all()).await.unwrap();
        assert!(started.elapsed() >= Duration::from_millis(290), "{:?}", started.elapsed());
    }

    #[tokio::test]
    async fn the_same_limit_once_more_changes_nothing() {
        let traffic = Traffic::new(Cap::At(1), Cap::Off);
        let waits = traffic.may_send(1_000_000);
        tokio::pin!(waits);
        assert!(timeout(Duration::ZERO, &mut waits).await.is_err());
        traffic.limit(Cap::At(1), Cap::Off);
        assert!(timeout(Duration::ZERO, &mut waits).await.is_err());
        traffic.limit(Cap::Off, Cap::Off);
        timeout(PATIENCE, waits).await.unwrap();
        traffic.up_is_free().await;
    }

    #[test]
    fn a_hundred_thousand_newcomers_are_counted_up_to_a_bound_and_those_sent_most_stay() {
        let traffic = Traffic::new(Cap::Off, Cap::Off);
        let key = |number: u32| {
            let mut key = PeerKey([0; 32]);
            key.0[..4].copy_from_slice(&number.to_be_bytes());
            key
        };
        let username = |number: u32| format!("user{number}").parse().unwrap();
        let connected = traffic.newcomer(key(7), &username(7));
        for number in 100..100_100 {
            let sent = traffic.newcomer(key(number), &username(number));
            traffic.count_sent(&sent, if number % 1000 == 0 { 1 << 20 } else { 1 });
        }
        assert!(traffic.newcomers.lock().unwrap().len() <= limits::COUNTED_MEMBERS);
        let most = traffic.sent_to_each();
        assert_eq!((most[99].bytes, most[100].bytes), (1 << 20, 1), "each has its own sum");
        connected.bytes.fetch_add(5 << 20, Ordering::Relaxed);
        assert_eq!(traffic.sent_to_each()[0].username, username(7));
    }
}
