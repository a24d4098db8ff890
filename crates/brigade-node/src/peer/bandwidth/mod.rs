//! The bandwidth of piece data: the limits on it, the waits for them, and the sums for each member.
//!
//! Bytes are counted when the system accepts or delivers them, under a lock that is held for an addition. Under a
//! limit, tasks wait in the order of their requests, and take no bytes before they are granted: a task that is dropped
//! has taken none. `current_limits` decides which limits hold now; a task that waits when a limit changes goes on
//! waiting under the new one.

mod current_limits;

use std::{
    collections::BTreeMap,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use brigade_core::{
    id::{Content, PeerKey},
    limit_plan::LimitPlan,
    limits::COUNTED_MEMBERS,
    name::Username,
    rate::{Cap, Limiter, Meter},
};
use tokio::{
    sync::{Semaphore, watch},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

pub(crate) use self::current_limits::LimitsHandle;
use crate::{
    clock,
    progress::{MemberTraffic, Upload},
};

/// The traffic of one peer.
#[derive(Debug)]
pub(crate) struct Traffic {
    up: LimitQueue,
    down: LimitQueue,
    sent: RateCounter,
    received: RateCounter,
    downloaders: Mutex<BTreeMap<PeerKey, (Username, Arc<SentCounter>)>>,
}

/// A rate to which several tasks add bytes, and which others read.
#[derive(Debug, Default)]
pub(crate) struct RateCounter(Mutex<Meter>);

/// The limit of one direction, and the tasks that wait for it.
#[derive(Debug)]
struct LimitQueue {
    limiter: Mutex<Limiter>,
    /// One permit, for the first waiting task; the others wait for it in the order of their requests.
    next: Semaphore,
    /// The limit; waiting tasks are notified here when it changes.
    cap: watch::Sender<Cap>,
}

/// The bytes that were granted to a task that still waits for more; they are given back if the task is dropped.
struct GrantedBytes<'a> {
    limit_queue: &'a LimitQueue,
    bytes: u64,
}

/// The piece data that was sent to one downloader.
#[derive(Debug, Default)]
pub(crate) struct SentCounter {
    pub(crate) bytes: AtomicU64,
    pub(crate) pieces: AtomicU64,
    rate: RateCounter,
    /// The content of the last request.
    content: Mutex<Option<Content>>,
}

impl SentCounter {
    /// Notes the content of a request.
    pub(crate) fn note_request(&self, content: Content) {
        *self.content.lock().unwrap_or_else(PoisonError::into_inner) = Some(content);
    }
}

impl Traffic {
    /// Creates the traffic with the limits that hold now, and starts the owner of the limits, which runs until `stop`.
    pub(crate) fn start(plan: LimitPlan, stop: CancellationToken) -> (LimitsHandle, Arc<Self>) {
        let limits = plan.at(clock::wall_now().0);
        let traffic = Arc::new(Self::new(limits.up.cap, limits.down.cap));
        let limited = traffic.clone();
        (LimitsHandle::start(plan, move |up, down| limited.limit(up, down), stop), traffic)
    }

    /// Creates the traffic with these limits on bytes of piece data, over all connections.
    pub(crate) fn new(up: Cap, down: Cap) -> Self {
        Self {
            up: LimitQueue::new(up),
            down: LimitQueue::new(down),
            sent: RateCounter::default(),
            received: RateCounter::default(),
            downloaders: Mutex::default(),
        }
    }

    /// Waits until `bytes` may be sent. While this is first in the queue, other tasks wait for it: it must be polled
    /// until it is done, or dropped. Other work runs [`beside`] it.
    pub(crate) async fn may_send(&self, bytes: usize) {
        self.up.pass(bytes).await;
    }

    /// The number of bytes, at most `bytes`, to receive at once, so that connections share a limit in small steps.
    pub(crate) fn receive_slice(&self, bytes: usize) -> usize {
        if *self.down.cap.borrow() == Cap::Off {
            return bytes;
        }
        let slice = self.down.limiter().slice_bytes().and_then(|slice| usize::try_from(slice).ok());
        slice.map_or(bytes, |slice| slice.min(bytes))
    }

    /// Whether `bytes` may be received at once; if so, they count against the limit.
    pub(crate) fn may_receive_now(&self, bytes: usize) -> bool {
        self.down.passes_now(bytes)
    }

    /// Waits until `bytes` may be received; it must be polled like [`Self::may_send`].
    pub(crate) async fn may_receive(&self, bytes: usize) {
        self.down.pass(bytes).await;
    }

    /// Changes the limits, also for tasks that wait now.
    pub(crate) fn limit(&self, up: Cap, down: Cap) {
        self.up.set(up);
        self.down.set(down);
    }

    /// The limit on sending, in bytes a second.
    pub(crate) fn up_limit(&self) -> Option<u64> {
        self.up.cap.borrow().bytes_per_second()
    }

    /// Follows the limit on sending.
    pub(crate) fn up_cap(&self) -> watch::Receiver<Cap> {
        self.up.cap.subscribe()
    }

    /// Waits until there is no limit on sending.
    pub(crate) async fn up_is_free(&self) {
        let mut cap = self.up.cap.subscribe();
        // The sender lives as long as `self`.
        let _ = cap.wait_for(|cap| *cap == Cap::Off).await;
    }

    /// Counts `bytes` that were sent to a downloader.
    pub(crate) fn count_sent(&self, downloader: &SentCounter, bytes: u64) {
        self.sent.add(bytes);
        downloader.bytes.fetch_add(bytes, Ordering::Relaxed);
        downloader.rate.add(bytes);
    }

    /// Counts `bytes` that were received.
    pub(crate) fn count_received(&self, bytes: u64) {
        self.received.add(bytes);
    }

    /// Bytes of piece data sent and received a second, now.
    pub(crate) fn rates(&self) -> (u64, u64) {
        (self.sent.rate(), self.received.rate())
    }

    /// The counter of one downloader, for all its connections. At the limit of counters, those without a connection
    /// that were sent the least are removed; if all have one, the new counter appears in no sum.
    pub(crate) fn downloader(&self, key: PeerKey, username: &Username) -> Arc<SentCounter> {
        let mut downloaders = self.downloaders.lock().unwrap_or_else(PoisonError::into_inner);
        if downloaders.len() >= COUNTED_MEMBERS && !downloaders.contains_key(&key) {
            remove_smallest(&mut downloaders);
        }
        if downloaders.len() >= COUNTED_MEMBERS && !downloaders.contains_key(&key) {
            return Arc::default();
        }
        downloaders.entry(key).or_insert_with(|| (username.clone(), Arc::default())).1.clone()
    }

    /// The downloaders to which piece data is sent now, or was sent in the last seconds; the fastest first.
    pub(crate) fn uploads(&self) -> Vec<Upload> {
        let downloaders = self.downloaders.lock().unwrap_or_else(PoisonError::into_inner);
        let upload = |(username, sent): &(Username, Arc<SentCounter>)| Upload {
            username: username.clone(),
            content: *sent.content.lock().unwrap_or_else(PoisonError::into_inner),
            name: None,
            bytes: sent.bytes.load(Ordering::Relaxed),
            pieces: sent.pieces.load(Ordering::Relaxed),
            rate: sent.rate.rate(),
        };
        let mut uploads: Vec<Upload> =
            downloaders.values().map(upload).filter(|upload| upload.rate > 0).collect();
        uploads.sort_by(|a, b| b.rate.cmp(&a.rate).then_with(|| a.username.cmp(&b.username)));
        uploads
    }

    /// The traffic of each downloader, the largest first. Downloaders with one name count as one: an unbound name
    /// belongs to another key after each start.
    pub(crate) fn sent_to_each(&self) -> Vec<MemberTraffic> {
        let downloaders = self.downloaders.lock().unwrap_or_else(PoisonError::into_inner);
        let mut by_name: BTreeMap<&Username, (u64, u64)> = BTreeMap::new();
        for (username, sent) in downloaders.values() {
            let (bytes, pieces) = by_name.entry(username).or_default();
            *bytes += sent.bytes.load(Ordering::Relaxed);
            *pieces += sent.pieces.load(Ordering::Relaxed);
        }
        let sent = by_name.into_iter().filter(|(_, (bytes, _))| *bytes > 0);
        let mut shares: Vec<MemberTraffic> =
            sent.map(|(name, (bytes, pieces))| MemberTraffic::new(name.clone(), bytes, pieces)).collect();
        shares.sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.username.cmp(&b.username)));
        shares
    }
}

/// Runs `work` and polls `wait` at the same time; returns the result of `wait` if it is done by then.
///
/// So a wait for a limit stays in its queue and blocks no other task, however long `work` takes.
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

/// Removes a tenth of the counters at once, so that this is rarely done.
fn remove_smallest(downloaders: &mut BTreeMap<PeerKey, (Username, Arc<SentCounter>)>) {
    let unused = downloaders.iter().filter(|(_, (_, sent))| Arc::strong_count(sent) == 1);
    let mut unused: Vec<_> =
        unused.map(|(key, (_, sent))| (sent.bytes.load(Ordering::Relaxed), *key)).collect();
    unused.sort_unstable();
    for (_, key) in unused.into_iter().take(COUNTED_MEMBERS / 10) {
        downloaders.remove(&key);
    }
}

impl RateCounter {
    /// Counts `bytes` that were sent or received.
    pub(crate) fn add(&self, bytes: u64) {
        self.meter().add(clock::now(), bytes);
    }

    /// Bytes a second now.
    pub(crate) fn rate(&self) -> u64 {
        self.meter().rate(clock::now())
    }

    /// Bytes a second over a longer time, for an estimate of the time left.
    pub(crate) fn steady_rate(&self) -> Option<u64> {
        self.meter().steady_rate(clock::now())
    }

    fn meter(&self) -> MutexGuard<'_, Meter> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LimitQueue {
    fn new(cap: Cap) -> Self {
        let limiter = Mutex::new(Limiter::new(cap.bytes_per_second()));
        Self { limiter, next: Semaphore::new(1), cap: watch::Sender::new(cap) }
    }

    fn limiter(&self) -> MutexGuard<'_, Limiter> {
        self.limiter.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the limit. Waiting tasks are notified under the same lock, so that none misses the change.
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
        // If other tasks wait, this one waits behind them.
        self.next.try_acquire().is_ok_and(|_next| self.limiter().pass(clock::now(), bytes as u64).is_ok())
    }

    async fn pass(&self, bytes: usize) {
        if *self.cap.borrow() == Cap::Off {
            return;
        }
        let _next = self.next.acquire().await; // which is never closed
        let (mut left, mut passed) = (bytes as u64, GrantedBytes { limit_queue: self, bytes: 0 });
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
            // The time is over, or the limit has changed: in both cases the limiter decides again.
            let _ = timeout(wait, changed.changed()).await;
        }
        passed.bytes = 0;
    }
}

impl Drop for GrantedBytes<'_> {
    fn drop(&mut self) {
        if self.bytes > 0 {
            self.limit_queue.limiter().give_back(self.bytes);
        }
    }
}

#[cfg(test)]
mod tests;
