//! What goes in and out of a peer: the limits on it, and the sums by member that people are shown.
//!
//! Bytes are counted as the system takes and brings them, under a lock that is held for an addition. Under a limit, tasks
//! wait in the order in which they came, and take nothing before it may go: one that is dropped has taken nothing. Which
//! limits hold is decided in [`super::limits`]; who waits under one when it is changed waits under the new one.

use std::{
    collections::BTreeMap,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use brigade_core::{
    id::PeerKey,
    limits,
    name::Username,
    rate::{Cap, Limiter, Meter},
};
use tokio::{
    sync::{Semaphore, watch},
    time::timeout,
};

use crate::clock;

/// The traffic of one peer.
#[derive(Debug)]
pub(crate) struct Traffic {
    up: Gate,
    down: Gate,
    sent: Tally,
    received: Tally,
    newcomers: Mutex<BTreeMap<PeerKey, (Username, Arc<Sent>)>>,
}

/// A meter at which several tasks count, and which others read.
#[derive(Debug, Default)]
pub(crate) struct Tally(Mutex<Meter>);

/// What bytes wait at in one direction.
#[derive(Debug)]
struct Gate {
    limiter: Mutex<Limiter>,
    /// One permit, for the task that is next; the others wait for it in the order in which they came.
    next: Semaphore,
    /// The limit; who waits hears of another one here.
    cap: watch::Sender<Cap>,
}

/// What the limiter let go to a task that still waits for more; given back where that is dropped.
struct Passed<'a> {
    gate: &'a Gate,
    bytes: u64,
}

/// What one newcomer was sent.
#[derive(Debug, Default)]
pub(crate) struct Sent {
    pub(crate) bytes: AtomicU64,
    pub(crate) pieces: AtomicU64,
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
    pub(crate) fn new(up: Cap, down: Cap) -> Self {
        Self {
            up: Gate::new(up),
            down: Gate::new(down),
            sent: Tally::default(),
            received: Tally::default(),
            newcomers: Mutex::default(),
        }
    }

    /// Waits until `bytes` may be sent. While it is first in the queue, others wait for it: it has to be polled until it is
    /// done, or dropped; what is done meanwhile runs [`beside`] it.
    pub(crate) async fn may_send(&self, bytes: usize) {
        self.up.pass(bytes).await;
    }

    /// How many of `bytes` are taken in at once, so that connections share a limit in small turns.
    pub(crate) fn receive_slice(&self, bytes: usize) -> usize {
        if *self.down.cap.borrow() == Cap::Off {
            return bytes;
        }
        let slice = self.down.limiter().slice_bytes().and_then(|slice| usize::try_from(slice).ok());
        slice.map_or(bytes, |slice| slice.min(bytes))
    }

    /// Whether `bytes` may be taken in at once: then they count as taken in.
    pub(crate) fn may_receive_now(&self, bytes: usize) -> bool {
        self.down.passes_now(bytes)
    }

    /// Waits until `bytes` may be taken in; to be polled like [`Self::may_send`].
    pub(crate) async fn may_receive(&self, bytes: usize) {
        self.down.pass(bytes).await;
    }

    /// Sets other limits, for what waits now too.
    pub(crate) fn limit(&self, up: Cap, down: Cap) {
        self.up.set(up);
        self.down.set(down);
    }

    /// The limit on what is sent, in bytes a second.
    pub(crate) fn up_limit(&self) -> Option<u64> {
        self.up.cap.borrow().bytes_per_second()
    }

    /// The limit on what is sent, now and when it changes.
    pub(crate) fn up_cap(&self) -> watch::Receiver<Cap> {
        self.up.cap.subscribe()
    }

    /// Waits until there is no limit on what is sent.
    pub(crate) async fn up_is_free(&self) {
        let mut cap = self.up.cap.subscribe();
        // The sender lives as long as `self`.
        let _ = cap.wait_for(|cap| *cap == Cap::Off).await;
    }

    /// Counts `bytes` that went out to a newcomer.
    pub(crate) fn count_sent(&self, newcomer: &Sent, bytes: u64) {
        self.sent.add(bytes);
        newcomer.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Counts `bytes` that came in.
    pub(crate) fn count_received(&self, bytes: u64) {
        self.received.add(bytes);
    }

    /// Bytes of piece data sent and received a second, now.
    pub(crate) fn rates(&self) -> (u64, u64) {
        (self.sent.rate(), self.received.rate())
    }

    /// The counter of one newcomer, over all its connections. Where as many are counted as may be, those that have no
    /// connection and were sent least are forgotten; where all have one, this newcomer is not counted by itself.
    pub(crate) fn newcomer(&self, key: PeerKey, username: &Username) -> Arc<Sent> {
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
    pub(crate) fn sent_to_each(&self) -> Vec<Given> {
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

/// Does `work`, and polls `wait` all the while; the result of `wait`, if it is done by then.
///
/// A wait for a limit keeps its place in the queue, and holds up nobody, however long `work` takes.
pub(crate) async fn beside<T, E>(
    mut wait: Pin<&mut impl Future<Output = T>>,
    work: impl Future<Output = Result<(), E>>,
) -> Result<Option<T>, E> {
    tokio::pin!(work);
    tokio::select! {
        biased;
        result = &mut work => result.map(|()| None),
        waited = &mut wait => work.await.map(|()| Some(waited)),
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

impl Tally {
    /// Counts `bytes` that came or went.
    pub(crate) fn add(&self, bytes: u64) {
        self.meter().add(clock::now(), bytes);
    }

    /// Bytes a second now.
    pub(crate) fn rate(&self) -> u64 {
        self.meter().rate(clock::now())
    }

    /// Bytes a second by which one may foretell.
    pub(crate) fn steady_rate(&self) -> Option<u64> {
        self.meter().steady_rate(clock::now())
    }

    fn meter(&self) -> MutexGuard<'_, Meter> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Gate {
    fn new(cap: Cap) -> Self {
        let limiter = Mutex::new(Limiter::new(cap.bytes_per_second()));
        Self { limiter, next: Semaphore::new(1), cap: watch::Sender::new(cap) }
    }

    fn limiter(&self) -> MutexGuard<'_, Limiter> {
        self.limiter.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Another limit. Who waits is told under the same lock, so that it asks anew.
    fn set(&self, cap: Cap) {
        let mut limiter = self.limiter();
        if *self.cap.borrow() != cap {
            limiter.set(clock::now(), cap.bytes_per_second());
            self.cap.send_replace(cap);
        }
    }

    fn passes_now(&self, bytes: usize) -> bool {
        if *self.cap.borrow() == Cap::Off {
            return true;
        }
        // Where others wait, this one waits behind them.
        self.next.try_acquire().is_ok_and(|_next| self.limiter().pass(clock::now(), bytes as u64).is_ok())
    }

    async fn pass(&self, bytes: usize) {
        if *self.cap.borrow() == Cap::Off {
            return;
        }
        let _next = self.next.acquire().await; // which is never closed
        let (mut left, mut passed) = (bytes as u64, Passed { gate: self, bytes: 0 });
        while left > 0 {
            let (wait, mut changed) = {
                let mut limiter = self.limiter();
                let slice = limiter.slice_bytes().unwrap_or(left).min(left);
                match limiter.pass(clock::now(), slice) {
                    Ok(()) => {
                        left -= slice;
                        passed.bytes += slice;
                        continue;
                    }
                    Err(wait) => (wait, self.cap.subscribe()),
                }
            };
            // Over, or another limit holds: either way it is asked again.
            let _ = timeout(wait, changed.changed()).await;
        }
        passed.bytes = 0;
    }
}

impl Drop for Passed<'_> {
    fn drop(&mut self) {
        if self.bytes > 0 {
            self.gate.limiter().give_back(self.bytes);
        }
    }
}

#[cfg(test)]
mod tests;
