//! Limits that change while tasks wait, and counts that are read at the same time.
//!
//! The arithmetic of both is tested in the core, in virtual time.

use std::{sync::Arc, time::Duration};

use tokio::{task::JoinSet, time::timeout};

use super::{COUNTED_MEMBERS, Cap, Ordering, PeerKey, RateCounter, Traffic};

/// Longer than any test takes, and shorter than a wait under the small limits.
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
async fn a_task_that_waits_for_weeks_continues_when_the_limit_is_removed() {
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
async fn a_waiting_task_continues_to_wait_under_a_new_limit() {
    let traffic = Arc::new(Traffic::new(Cap::At(1), Cap::Off));
    let mut waiting = waiting(&traffic, 4);
    settle().await;
    traffic.limit(Cap::At(2), Cap::Off);
    settle().await;
    assert!(waiting.try_join_next().is_none());
    assert!(timeout(Duration::ZERO, traffic.up_is_free()).await.is_err());
    // All four and a burst: at least 0.3 s, and not weeks as under the first limit.
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

#[tokio::test]
async fn waits_that_are_dropped_cost_later_ones_nothing() {
    let traffic = Arc::new(Traffic::new(Cap::At(100_000), Cap::At(100_000)));
    // Together 2,000 s of each limit: requested and given up at once, in the queue, and at its head after a part.
    for _ in 0..100 {
        assert!(timeout(Duration::ZERO, traffic.may_send(1_000_000)).await.is_err());
        assert!(timeout(Duration::ZERO, traffic.may_receive(1_000_000)).await.is_err());
    }
    let waiting = waiting(&traffic, 100);
    settle().await;
    drop(waiting);
    settle().await;
    timeout(PATIENCE, traffic.may_send(64_000)).await.unwrap();
    timeout(PATIENCE, traffic.may_receive(64_000)).await.unwrap();
}

#[tokio::test]
async fn waiting_tasks_are_served_in_order() {
    let traffic = Arc::new(Traffic::new(Cap::Off, Cap::At(1_000_000)));
    assert_eq!(traffic.receive_slice(1 << 20), 50_000);
    assert!(traffic.may_receive_now(100_000), "a burst");
    let order = Arc::new(std::sync::Mutex::new(vec![]));
    let mut waiting = JoinSet::new();
    for number in 0..5 {
        let (traffic, order) = (traffic.clone(), order.clone());
        waiting.spawn(async move {
            traffic.may_receive(50_000).await;
            order.lock().unwrap().push(number);
        });
        settle().await;
    }
    assert!(!traffic.may_receive_now(1) || !order.lock().unwrap().is_empty());
    timeout(PATIENCE, waiting.join_all()).await.unwrap();
    assert_eq!(*order.lock().unwrap(), [0, 1, 2, 3, 4]);
    traffic.limit(Cap::Off, Cap::Off);
    assert!(traffic.may_receive_now(usize::MAX));
    assert_eq!(traffic.receive_slice(1 << 20), 1 << 20);
}

/// No reader ever sees more than the sum of all counts, however many threads read and count at the same time.
#[test]
fn rates_are_sensible_while_other_threads_read_and_count() {
    const ALL: u64 = 4 * 20_000 * 1000;
    let tally = RateCounter::default();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..20_000).for_each(|_| tally.add(1000)));
            scope.spawn(|| {
                for _ in 0..20_000 {
                    // Less than half a second is shown as a part of a second.
                    let seen = (tally.rate(), tally.steady_rate().unwrap_or(0));
                    assert!(seen.0 <= 2 * ALL && seen.1 <= 2 * ALL, "{seen:?}");
                }
            });
        }
    });
    assert!(tally.rate() > 0);
}

#[test]
fn a_hundred_thousand_downloaders_are_counted_up_to_a_bound_and_the_largest_stay() {
    let traffic = Traffic::new(Cap::Off, Cap::Off);
    let key = |number: u32| {
        let mut key = PeerKey([0; 32]);
        key.0[..4].copy_from_slice(&number.to_be_bytes());
        key
    };
    let username = |number: u32| format!("user{number}").parse().unwrap();
    let connected = traffic.downloader(key(7), &username(7));
    for number in 100..100_100 {
        let sent = traffic.downloader(key(number), &username(number));
        traffic.count_sent(&sent, if number % 1000 == 0 { 1 << 20 } else { 1 });
    }
    assert!(traffic.downloaders.lock().unwrap().len() <= COUNTED_MEMBERS);
    let most = traffic.sent_to_each();
    assert_eq!((most[99].bytes, most[100].bytes), (1 << 20, 1), "each has its own sum");
    connected.bytes.fetch_add(5 << 20, Ordering::Relaxed);
    assert_eq!(traffic.sent_to_each()[0].username, username(7));
}

#[test]
fn downloaders_with_one_name_are_counted_together() {
    let traffic = Traffic::new(Cap::Off, Cap::Off);
    let name: brigade_core::name::Username = "anna@lab".parse().unwrap();
    for key in [1, 2] {
        let sent = traffic.downloader(PeerKey([key; 32]), &name);
        traffic.count_sent(&sent, 100);
        sent.pieces.fetch_add(1, Ordering::Relaxed);
    }
    let sent = traffic.sent_to_each();
    assert_eq!(sent.len(), 1);
    assert_eq!((sent[0].bytes, sent[0].pieces), (200, 2));
}
