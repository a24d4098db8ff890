//! Publishes the events of a manager, and makes its present state for clients that have lost events.
//!
//! The table itself is read page by page; an event only says that it changed, and only while a client follows.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::broadcast::error::RecvError,
    time::{MissedTickBehavior, interval},
};

use super::api_state::ManagerApi;
use crate::values::{EventData, LifeEvent, LogLevel};

/// How often a change of the table is an event.
const TABLE_EVERY: Duration = Duration::from_millis(500);

/// Events of the network in the present state.
const RECENT: usize = 100;

/// Publishes events until the manager stops.
pub(super) async fn publish(api: Arc<ManagerApi>) {
    let (mut life, mut view, mut log) = (api.manager.events(), api.manager.view(), api.log.follow());
    let mut followers = api.hub.followers();
    let mut tick = interval(TABLE_EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut log_line = *log.borrow();
    let mut changes = view.borrow().changes;
    loop {
        let is_followed = *followers.borrow_and_update() > 0;
        tokio::select! {
            event = life.recv() => match event {
                Ok(event) => api.hub.publish(&EventData::Life { life: LifeEvent::from(&event) }),
                Err(RecvError::Lagged(_)) => {} // the numbers of the events show the gap
                Err(RecvError::Closed) => break,
            },
            changed = view.changed(), if !is_followed => if changed.is_err() { break },
            Ok(()) = log.changed() => {
                for line in api.log.after(log_line) {
                    log_line = line.number;
                    if line.level <= LogLevel::Warn {
                        api.hub.publish(&EventData::Log { line });
                    }
                }
            }
            Ok(()) = followers.changed() => {}
            _ = tick.tick(), if is_followed => {
                if view.has_changed().is_err() {
                    break;
                }
                let (now, peers) = { let view = view.borrow_and_update(); (view.changes, view.totals.peers) };
                if now != changes {
                    changes = now;
                    api.hub.publish(&EventData::PeersChanged { peers: peers as u64 });
                }
            }
        }
    }
    api.hub.close();
}

/// The present state: a `reset`, the last events of the network, and the number of peers.
pub(super) async fn present_state(api: Arc<ManagerApi>) -> Vec<EventData> {
    let recent = api.manager.recent_events(0).await.unwrap_or_default();
    let first = recent.len().saturating_sub(RECENT);
    let peers = api.manager.view().borrow().totals.peers as u64;
    let mut events = vec![EventData::Reset { fetches: vec![] }];
    events.extend(recent[first..].iter().map(|event| EventData::Life { life: event.into() }));
    events.push(EventData::PeersChanged { peers });
    events
}
