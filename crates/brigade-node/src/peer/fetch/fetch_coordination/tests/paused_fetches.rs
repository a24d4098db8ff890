//! Fetches that are paused, and what other fetches may do meanwhile.
//!
//! The parent has what these tests share. `peer/tests/kept_fetches` has pauses that last over a restart.

use brigade_core::download::Priority;

use super::{Begun, Content, FileDecision, TestFetches, film, wanted};
use crate::progress::FetchState;

impl TestFetches {
    /// Sets whether a fetch is paused.
    fn pause(&mut self, begun: &Begun, paused: bool) {
        begun.handle.set_paused(paused);
        self.fetches.carry_out_wishes();
        self.handle_events();
    }

    /// Begins to fetch the film under a name. Nothing of it is there.
    async fn begin_film(&mut self, name: &str) -> (Begun, Content) {
        let (_, content, _) = film();
        let begun = self.begin(vec![wanted(name, content)]);
        let prepared = self.receive_prepared().await;
        self.prepared(prepared);
        (begun, content)
    }

    /// The state that a fetch shows.
    fn state(&mut self, begun: &Begun) -> FetchState {
        self.fetches.tick(crate::clock::now());
        begun.progress.borrow().state.clone()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_paused_fetch_requests_nothing_and_keeps_its_part_open() {
    let mut test = TestFetches::new();
    let (begun, content) = test.begin_film("film").await;
    test.pause(&begun, true);
    assert!(test.fetches.swarm.is_paused(&content));
    assert_eq!(test.state(&begun), FetchState::Paused);
    test.pause(&begun, false);
    assert!(test.fetches.swarm.is_active(&content) && !test.fetches.swarm.is_paused(&content));
    assert_ne!(test.state(&begun), FetchState::Paused);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fetch_that_is_paused_while_its_file_is_prepared_stays_paused() {
    let mut test = TestFetches::new();
    let (_, content, _) = film();
    let begun = test.begin(vec![wanted("film", content)]);
    let prepared = test.receive_prepared().await;
    test.pause(&begun, true);
    test.prepared(prepared);
    assert!(test.fetches.swarm.is_paused(&content));
    assert_eq!(test.state(&begun), FetchState::Paused);
    test.give_up(&begun);
    assert!(!test.is_in_use(&content));
    assert_eq!(begun.progress.borrow().state, FetchState::Stopped);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_fetch_takes_over_the_content_of_a_paused_one() {
    let mut test = TestFetches::new();
    let (paused, content) = test.begin_film("film").await;
    test.pause(&paused, true);
    let other = test.begin(vec![wanted("copy", content)]);
    assert_eq!(test.state(&other), FetchState::WaitingForFetch);
    test.fetches.carry_out_wishes();
    let prepared = test.receive_prepared().await;
    assert!(matches!(prepared.files[..], [(_, Ok(FileDecision::Large { .. }))]), "{prepared:?}");
    test.prepared(prepared);
    assert!(test.fetches.swarm.is_active(&content) && !test.fetches.swarm.is_paused(&content));
    assert_eq!([test.state(&paused), test.state(&other)], [FetchState::Paused, FetchState::Fetching]);

    // The first one goes on, and waits for the other one now.
    test.pause(&paused, false);
    assert_eq!(test.state(&paused), FetchState::WaitingForFetch);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fetch_with_a_higher_priority_is_prepared_first() {
    let mut test = TestFetches::new();
    let content = |number| Content { id: brigade_core::id::ContentId([number; 32]), size: 10 };
    test.fetches.preparing = usize::MAX; // as many are prepared as may be
    let low = test.begin(vec![wanted("low", content(1))]);
    let high = test.begin(vec![wanted("high", content(2))]);
    low.handle.set_priority(Priority::Low);
    high.handle.set_priority(Priority::High);
    test.fetches.carry_out_wishes();
    test.fetches.preparing = 0;
    test.fetches.prepare_more();
    let prepared = test.receive_prepared().await;
    let names: Vec<&str> = prepared.files.iter().map(|(file, _)| file.name.as_str()).collect();
    assert!(
        names == ["high"] || test.receive_prepared().await.files[0].0.name.as_str() == "high",
        "{names:?}"
    );
    test.fetches.tick(crate::clock::now());
    assert_eq!(low.progress.borrow().priority, Priority::Low);
}
