//! The owner of the limits: it decides which limits on sending and receiving hold at the moment.
//!
//! `brigade_core::limit_plan` decides which limits hold. With a schedule, the owner asks it again at every full minute
//! of local time, so that it also notices the end of a sleep, a changed clock and summer time.

use std::time::Duration;

use brigade_core::{
    limit_plan::{Direction, LimitPlan, Limits},
    rate::Cap,
};
use tokio::{
    sync::{mpsc, oneshot},
    time::sleep,
};
use tokio_util::sync::CancellationToken;

use crate::clock;

/// Requests that may wait.
const WAITING: usize = 16;

/// Sends requests to the owner.
#[derive(Debug, Clone)]
pub(crate) struct LimitsHandle(mpsc::Sender<LimitRequest>);

/// A change of the limits.
#[derive(Debug)]
enum LimitChange {
    Unchanged,
    /// A limit that the user typed for a direction; without a cap, an earlier one is removed.
    Typed(Direction, Option<Cap>),
    /// Other values of the settings; limits that the user typed stay.
    Plan(Box<LimitPlan>),
}

#[derive(Debug)]
struct LimitRequest {
    change: LimitChange,
    answer: oneshot::Sender<Limits>,
}

impl LimitsHandle {
    /// Starts the owner, which calls `apply` with the limits on sending and receiving that hold from then on, until
    /// `stop`.
    pub(super) fn start(
        plan: LimitPlan,
        apply: impl Fn(Cap, Cap) + Send + 'static,
        stop: CancellationToken,
    ) -> Self {
        let (sender, requests) = mpsc::channel(WAITING);
        tokio::spawn(async move {
            tokio::select! {
                () = keep(plan, apply, requests) => {}
                () = stop.cancelled() => {}
            }
        });
        Self(sender)
    }

    /// The limits that hold now; `None` if the peer is stopping.
    pub(crate) async fn limits(&self) -> Option<Limits> {
        self.request(LimitChange::Unchanged).await
    }

    /// Sets a limit that overrides all others, or removes it. Returns the limits that hold from now on.
    pub(crate) async fn set(&self, direction: Direction, cap: Option<Cap>) -> Option<Limits> {
        self.request(LimitChange::Typed(direction, cap)).await
    }

    /// Replaces all values of the limits except those that the user typed. Returns the limits that hold from now on.
    pub(crate) async fn replace(&self, plan: LimitPlan) -> Option<Limits> {
        self.request(LimitChange::Plan(Box::new(plan))).await
    }

    async fn request(&self, change: LimitChange) -> Option<Limits> {
        let (answer, limits) = oneshot::channel();
        self.0.send(LimitRequest { change, answer }).await.ok()?;
        limits.await.ok()
    }
}

async fn keep(mut plan: LimitPlan, apply: impl Fn(Cap, Cap), mut requests: mpsc::Receiver<LimitRequest>) {
    loop {
        let (now, to_next_minute) = clock::wall_now();
        let limits = plan.at(now);
        apply(limits.up.cap, limits.down.cap);
        let request = tokio::select! {
            request = requests.recv() => request,
            () = minute(to_next_minute), if !plan.rules.is_empty() => continue,
        };
        let Some(LimitRequest { change, answer }) = request else { return };
        match change {
            LimitChange::Unchanged => {}
            LimitChange::Typed(direction, cap) => plan.sources_mut(direction).typed = cap,
            LimitChange::Plan(new) => {
                let typed = [plan.up.typed, plan.down.typed];
                plan = *new;
                [plan.up.typed, plan.down.typed] = typed;
            }
        }
        let limits = plan.at(clock::wall_now().0);
        apply(limits.up.cap, limits.down.cap);
        let _ = answer.send(limits); // the receiver may be dropped
    }
}

/// Waits a little longer than to the next minute, so that it has begun even if the timer is not exact.
async fn minute(left: Duration) {
    sleep(left + Duration::from_millis(5)).await;
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use brigade_core::limit_plan::{LimitOrigin, Rule};
    use tokio::time::timeout;

    use super::{CancellationToken, Cap, Direction, LimitPlan};
    use crate::peer::bandwidth::Traffic;

    #[tokio::test]
    async fn a_typed_limit_holds_until_it_is_removed() {
        let always = Rule::always(Some(Cap::At(1)), None);
        let plan = LimitPlan { rules: vec![always], ..LimitPlan::default() };
        let stop = CancellationToken::new();
        let (limiting, traffic) = Traffic::start(plan, stop.clone());
        assert_eq!(traffic.up_limit(), Some(1), "from the first byte on");
        assert_eq!(limiting.limits().await.unwrap().up.origin, LimitOrigin::Scheduled);

        let sent = traffic.may_send(1_000_000);
        tokio::pin!(sent);
        assert!(timeout(Duration::ZERO, &mut sent).await.is_err());
        let limits = limiting.set(Direction::Up, Some(Cap::Off)).await.unwrap();
        assert_eq!((limits.up.origin, limits.down.origin), (LimitOrigin::Typed, LimitOrigin::Unlimited));
        timeout(Duration::from_secs(20), sent).await.unwrap();

        let limits = limiting.set(Direction::Down, Some(Cap::At(5))).await.unwrap();
        assert_eq!((limits.up.cap, limits.down.cap), (Cap::Off, Cap::At(5)));
        assert_eq!(limiting.set(Direction::Up, None).await.unwrap().up.cap, Cap::At(1));
        assert_eq!(traffic.up_limit(), Some(1));

        let mut other = LimitPlan::default();
        (other.up.default, other.down.default) = (Some(Cap::At(7)), Some(Cap::At(8)));
        let limits = limiting.replace(other).await.unwrap();
        assert_eq!((limits.up.cap, limits.down.cap), (Cap::At(7), Cap::At(5)), "a typed limit stays");

        stop.cancel();
        while limiting.limits().await.is_some() {}
    }
}
