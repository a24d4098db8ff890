//! Which limits hold: the owner of all that was said about them, and what it makes of it as time goes by.
//!
//! The decision is `brigade_core::schedule`'s. Here it is asked again at every full minute on the wall, if there is a
//! schedule: so a machine that slept, a clock that was set and summer time are seen like any other minute.

use std::{sync::Arc, time::Duration};

use brigade_core::{
    rate::Cap,
    schedule::{Direction, LimitPlan, Limits},
};
use tokio::{
    sync::{mpsc, oneshot},
    time::sleep,
};
use tokio_util::sync::CancellationToken;

use super::traffic::Traffic;
use crate::clock;

/// Wishes that may wait.
const WAITING: usize = 16;

/// Asks the owner.
#[derive(Debug, Clone)]
pub(crate) struct Limiting(mpsc::Sender<Wish>);

#[derive(Debug)]
struct Wish {
    /// What was typed for a direction; `None` takes back what was typed before.
    typed: Option<(Direction, Option<Cap>)>,
    answer: oneshot::Sender<Limits>,
}

impl Limiting {
    /// Starts the owner, which ends when it is stopped, and the traffic that it limits: never without its limits.
    pub(crate) fn start(plan: LimitPlan, stop: CancellationToken) -> (Self, Arc<Traffic>) {
        let (sender, wishes) = mpsc::channel(WAITING);
        let limits = plan.at(clock::wall_now().0);
        let traffic = Arc::new(Traffic::new(limits.up.cap, limits.down.cap));
        let limited = traffic.clone();
        tokio::spawn(async move {
            tokio::select! {
                () = keep(plan, &limited, wishes) => {}
                () = stop.cancelled() => {}
            }
        });
        (Self(sender), traffic)
    }

    /// The limits that hold now; `None` where the peer stops.
    pub(crate) async fn limits(&self) -> Option<Limits> {
        self.wish(None).await
    }

    /// Sets a limit above all others, or takes it back; the limits that hold from now on.
    pub(crate) async fn set(&self, direction: Direction, cap: Option<Cap>) -> Option<Limits> {
        self.wish(Some((direction, cap))).await
    }

    async fn wish(&self, typed: Option<(Direction, Option<Cap>)>) -> Option<Limits> {
        let (answer, limits) = oneshot::channel();
        self.0.send(Wish { typed, answer }).await.ok()?;
        limits.await.ok()
    }
}

async fn keep(mut plan: LimitPlan, traffic: &Traffic, mut wishes: mpsc::Receiver<Wish>) {
    loop {
        let (now, to_next_minute) = clock::wall_now();
        let limits = plan.at(now);
        traffic.limit(limits.up.cap, limits.down.cap);
        let wish = tokio::select! {
            wish = wishes.recv() => wish,
            () = minute(to_next_minute), if !plan.rules.is_empty() => continue,
        };
        let Some(Wish { typed, answer }) = wish else { return };
        if let Some((direction, cap)) = typed {
            plan.said(direction).typed = cap;
        }
        let limits = plan.at(clock::wall_now().0);
        traffic.limit(limits.up.cap, limits.down.cap);
        let _ = answer.send(limits); // whoever asked may have gone
    }
}

/// A little longer than to the next minute, so that it has begun whatever the timer's grain.
async fn minute(left: Duration) {
    sleep(left + Duration::from_millis(5)).await;
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use brigade_core::schedule::{DAY_MINUTES, Rule, Why};
    use tokio::time::timeout;

    use super::{CancellationToken, Cap, Direction, LimitPlan, Limiting};

    #[tokio::test]
    async fn what_is_typed_holds_until_it_is_taken_back() {
        let always = Rule { days: [true; 7], from: 0, to: DAY_MINUTES, up: Some(Cap::At(1)), down: None };
        let plan = LimitPlan { rules: vec![always], ..LimitPlan::default() };
        let stop = CancellationToken::new();
        let (limiting, traffic) = Limiting::start(plan, stop.clone());
        assert_eq!(traffic.up_limit(), Some(1), "from the first byte on");
        assert_eq!(limiting.limits().await.unwrap().up.why, Why::Scheduled);

        let sent = traffic.may_send(1_000_000);
        tokio::pin!(sent);
        assert!(timeout(Duration::ZERO, &mut sent).await.is_err());
        let limits = limiting.set(Direction::Up, Some(Cap::Off)).await.unwrap();
        assert_eq!((limits.up.why, limits.down.why), (Why::Typed, Why::Nobody));
        timeout(Duration::from_secs(20), sent).await.unwrap();

        let limits = limiting.set(Direction::Down, Some(Cap::At(5))).await.unwrap();
        assert_eq!((limits.up.cap, limits.down.cap), (Cap::Off, Cap::At(5)));
        assert_eq!(limiting.set(Direction::Up, None).await.unwrap().up.cap, Cap::At(1));
        assert_eq!(traffic.up_limit(), Some(1));

        stop.cancel();
        while limiting.limits().await.is_some() {}
    }
}
