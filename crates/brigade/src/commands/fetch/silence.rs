//! `--timeout`: notices that no byte arrives any more.
//!
//! Checking the files that are here, and a pause that somebody ordered, are no silence. The caller ends the fetches.

use std::time::Duration;

use brigade_node::peer::{FetchState, Progress};
use tokio::{
    sync::watch,
    time::{Instant, sleep},
};

/// How often the progress is looked at.
const CHECK_EVERY: Duration = Duration::from_millis(250);

/// Waits until nothing has arrived for any of `fetches` for the time `limit`, which is returned; without end if there
/// is no limit.
pub(super) async fn wait_for_silence(
    limit: Option<Duration>,
    fetches: Vec<watch::Receiver<Progress>>,
) -> Duration {
    let Some(limit) = limit else { return std::future::pending().await };
    let (mut last, mut since) = (arrived(&fetches), Instant::now());
    loop {
        sleep(CHECK_EVERY).await;
        let now = arrived(&fetches);
        if now != last || !may_be_silent(&fetches) {
            (last, since) = (now, Instant::now());
        } else if since.elapsed() >= limit {
            return limit;
        }
    }
}

/// What is here of all fetches, and what is missing: it changes when something arrives, also a part of a piece.
fn arrived(fetches: &[watch::Receiver<Progress>]) -> (u64, u64, u64) {
    let of = |one: &watch::Receiver<Progress>| {
        let progress = one.borrow();
        (progress.bytes_done, progress.files_done, progress.left_bytes)
    };
    fetches.iter().map(of).fold((0, 0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1, sum.2 + one.2))
}

/// Whether some fetch only waits for bytes.
fn may_be_silent(fetches: &[watch::Receiver<Progress>]) -> bool {
    let waits = |one: &watch::Receiver<Progress>| {
        let progress = one.borrow();
        let is_busy = matches!(progress.state, FetchState::Checking | FetchState::Paused);
        !progress.is_over() && !is_busy && progress.rate == 0
    };
    let is_receiving = |one: &watch::Receiver<Progress>| one.borrow().rate > 0;
    fetches.iter().any(waits) && !fetches.iter().any(is_receiving)
}

#[cfg(test)]
mod tests {
    use super::{Duration, FetchState, Instant, Progress, sleep, wait_for_silence, watch};

    const LIMIT: Duration = Duration::from_secs(30);

    fn progress(state: FetchState) -> Progress {
        let mut progress = Progress::new("a");
        progress.state = state;
        progress
    }

    #[tokio::test(start_paused = true)]
    async fn a_fetch_is_silent_when_no_byte_arrives_for_the_time() {
        let (sender, receiver) = watch::channel(progress(FetchState::Fetching));
        let began = Instant::now();
        let silence = tokio::spawn(wait_for_silence(Some(LIMIT), vec![receiver]));
        for _ in 0..5 {
            sleep(LIMIT - Duration::from_secs(1)).await;
            assert!(!silence.is_finished());
            sender.send_modify(|progress| progress.bytes_done += 1);
        }
        assert_eq!(silence.await.unwrap(), LIMIT);
        assert!(began.elapsed() >= LIMIT * 5 && began.elapsed() <= LIMIT * 6, "{:?}", began.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_and_checking_are_not_silence() {
        let (sender, receiver) = watch::channel(progress(FetchState::Paused));
        let silence = tokio::spawn(wait_for_silence(Some(LIMIT), vec![receiver]));
        sleep(LIMIT * 10).await;
        sender.send_modify(|progress| progress.state = FetchState::Checking);
        sleep(LIMIT * 10).await;
        assert!(!silence.is_finished());
        sender.send_modify(|progress| progress.state = FetchState::Waiting);
        assert_eq!(silence.await.unwrap(), LIMIT);
    }
}
