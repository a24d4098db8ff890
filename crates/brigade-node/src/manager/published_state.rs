//! The published state of the manager: a snapshot of its totals, and its events.
//!
//! The owner publishes. A user interface follows the snapshot (`watch`: only the latest counts) or the events
//! (`broadcast`: a slow receiver misses the oldest ones, and the manager never waits for it). The snapshot has no rows:
//! who shows some of them asks for these (`handle.rs`), so that thousands of peers cost nothing while nobody looks.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use brigade_core::{
    id::PeerKey,
    manager::{Event, Totals},
    time::UnixTime,
};

/// Events that a slow receiver may be behind before it misses some.
pub(super) const EVENTS: usize = 256;

/// Events that are kept for those that ask later: a few hundred bytes each.
const EVENTS_KEPT: usize = 1000;

/// The state of the manager at one moment.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ManagerView {
    /// The address on which it listens.
    pub address: SocketAddr,
    /// Its key, which is the network's.
    pub key: PeerKey,
    /// The folder of its key and of its members.
    pub state_dir: Arc<Path>,
    /// Whether other machines may reach it, so that every client that can reach the port may join.
    pub open: bool,
    /// When it was started.
    pub since: UnixTime,
    /// The limit on peers that are connected at one time.
    pub max_peers: usize,
    /// The numbers of everything together.
    pub totals: Totals,
    /// How often a snapshot was published: a row, a content or a total may have changed if it is another number.
    pub changes: u64,
}

impl ManagerView {
    /// A manager without peers, which other machines do not reach, and whose folder is not known.
    pub fn new(address: SocketAddr, key: PeerKey, since: UnixTime, max_peers: usize) -> Self {
        Self {
            address,
            key,
            state_dir: PathBuf::new().into(),
            open: false,
            since,
            max_peers,
            totals: Totals::default(),
            changes: 0,
        }
    }
}

/// An event in the life of the network, with its time.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LifeEvent {
    /// Its number: the first event since the manager was started has the number 1, and each has one more than the
    /// event before it.
    pub number: u64,
    /// When it happened.
    pub at: UnixTime,
    /// The event.
    pub event: Event,
}

impl LifeEvent {
    /// An event with this number at this time.
    pub const fn new(number: u64, at: UnixTime, event: Event) -> Self {
        Self { number, at, event }
    }
}

/// The last events.
#[derive(Debug, Default)]
pub(super) struct EventLog {
    kept: VecDeque<LifeEvent>,
    last_number: u64,
}

impl EventLog {
    /// Numbers an event and keeps it.
    pub(super) fn add(&mut self, at: UnixTime, event: Event) -> LifeEvent {
        self.last_number += 1;
        let event = LifeEvent::new(self.last_number, at, event);
        if self.kept.len() == EVENTS_KEPT {
            self.kept.pop_front();
        }
        self.kept.push_back(event.clone());
        event
    }

    /// The kept events with a larger number than `after`, the oldest one first.
    pub(super) fn after(&self, after: u64) -> Vec<LifeEvent> {
        self.kept.iter().filter(|event| event.number > after).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{EVENTS_KEPT, Event, EventLog, UnixTime};
    use brigade_core::manager::LeaveReason;

    #[test]
    fn the_last_events_are_kept_with_their_numbers() {
        let mut log = EventLog::default();
        for _ in 0..EVENTS_KEPT + 5 {
            let username = "fire_user".parse().unwrap();
            log.add(UnixTime(7), Event::Left { username, reason: LeaveReason::Quit });
        }
        let kept = log.after(0);
        assert_eq!((kept.len(), kept[0].number), (EVENTS_KEPT, 6));
        let last = EVENTS_KEPT as u64 + 5;
        assert_eq!(log.after(last - 1).iter().map(|event| event.number).collect::<Vec<_>>(), [last]);
        assert_eq!(log.after(last), []);
    }
}
