//! The last events of a program, from which each client reads at its own speed.
//!
//! The hub is bounded in events and bytes. A client that is too far behind has lost events, and is told so. Nobody waits
//! for a client.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

use axum::body::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use crate::values::EventData;

/// Events that are kept.
pub(super) const EVENTS: usize = 4096;

/// Bytes of all kept events together: fetches with long lists of errors are large.
const BYTES: usize = 16 << 20;

/// Clients that follow the events at the same time.
pub(super) const STREAMS: usize = 64;

/// The events of a program.
#[derive(Debug)]
pub(super) struct EventHub {
    /// The start of the program, in milliseconds since 1970.
    epoch_ms: u64,
    kept: Mutex<KeptEvents>,
    /// The number of the last event.
    last: watch::Sender<u64>,
    streams: Arc<Semaphore>,
    /// The number of clients that follow.
    followers: watch::Sender<usize>,
}

#[derive(Debug, Default)]
struct KeptEvents {
    /// In the order of their numbers, without gaps; the last one has the number `last`.
    events: VecDeque<Bytes>,
    bytes: usize,
    last: u64,
    /// Whether there will be no more.
    is_closed: bool,
}

/// The events after a position.
#[derive(Debug)]
pub(super) enum NextEvents {
    /// The next one, and its number.
    Event(u64, Bytes),
    /// There is none yet.
    UpToDate,
    /// Some are lost.
    Lost,
    /// There is none, and there will be none.
    Ended,
}

/// The right of a client to follow; it counts as a follower until this is dropped.
#[derive(Debug)]
pub(super) struct FollowerPermit {
    hub: Arc<EventHub>,
    _permit: OwnedSemaphorePermit,
}

impl EventHub {
    /// The hub of a program that was started at this time, in milliseconds since 1970.
    fn new(epoch_ms: u64) -> Self {
        Self {
            epoch_ms,
            kept: Mutex::default(),
            last: watch::Sender::new(0),
            streams: Arc::new(Semaphore::new(STREAMS)),
            followers: watch::Sender::new(0),
        }
    }

    /// The hub of a program that starts now.
    pub(super) fn starting_now() -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self::new(u64::try_from(now.as_millis()).unwrap_or(u64::MAX))
    }

    /// Publishes an event.
    pub(super) fn publish(&self, data: &EventData) {
        let mut kept = self.kept();
        kept.last += 1;
        let number = kept.last;
        let event = self.text(&number.to_string(), data);
        kept.bytes += event.len();
        kept.events.push_back(event);
        while kept.events.len() > EVENTS || kept.bytes > BYTES {
            let removed = kept.events.pop_front().map_or(0, |event| event.len());
            kept.bytes -= removed;
        }
        drop(kept);
        self.last.send_replace(number);
    }

    /// Publishes the end of the program, after which there are no events.
    pub(super) fn close(&self) {
        self.publish(&EventData::Stopping);
        let mut kept = self.kept();
        kept.is_closed = true;
        let last = kept.last;
        drop(kept);
        self.last.send_replace(last);
    }

    /// The event after the one with the number `position`.
    pub(super) fn after(&self, position: u64) -> NextEvents {
        let kept = self.kept();
        if position == kept.last {
            return if kept.is_closed { NextEvents::Ended } else { NextEvents::UpToDate };
        }
        let first = kept.last + 1 - kept.events.len() as u64;
        let at = (position + 1).checked_sub(first).and_then(|at| usize::try_from(at).ok());
        match at.and_then(|at| kept.events.get(at)) {
            Some(event) => NextEvents::Event(position + 1, event.clone()),
            None => NextEvents::Lost,
        }
    }

    /// The number of the last event; after the end, of the one before it, so that each client gets the end, too.
    pub(super) fn last(&self) -> u64 {
        let kept = self.kept();
        kept.last - u64::from(kept.is_closed)
    }

    /// The number in an id of this program; `None` for another one.
    pub(super) fn position(&self, id: &str) -> Option<u64> {
        let (epoch, number) = id.split_once('.')?;
        let is_own = epoch.parse() == Ok(self.epoch_ms);
        number.parse().ok().filter(|number| is_own && *number <= self.kept().last)
    }

    /// An event as text: `id`, kind and data.
    pub(super) fn text(&self, number: &str, data: &EventData) -> Bytes {
        // The values have no keys or numbers that JSON lacks.
        let data = serde_json::to_value(data).unwrap_or_default();
        let kind = data.get("event").and_then(serde_json::Value::as_str).unwrap_or("unknown");
        format!("id: {}.{number}\nevent: {kind}\ndata: {data}\n\n", self.epoch_ms).into()
    }

    /// Follows the number of the last event.
    pub(super) fn follow(&self) -> watch::Receiver<u64> {
        self.last.subscribe()
    }

    /// Follows how many clients follow the events: values that change all the time are published only for them.
    pub(super) fn followers(&self) -> watch::Receiver<usize> {
        self.followers.subscribe()
    }

    /// The right to follow, unless too many clients do.
    pub(super) fn permit(self: &Arc<Self>) -> Option<FollowerPermit> {
        let permit = self.streams.clone().try_acquire_owned().ok()?;
        self.followers.send_modify(|followers| *followers += 1);
        Some(FollowerPermit { hub: self.clone(), _permit: permit })
    }

    fn kept(&self) -> MutexGuard<'_, KeptEvents> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for FollowerPermit {
    fn drop(&mut self) {
        self.hub.followers.send_modify(|followers| *followers -= 1);
    }
}

#[cfg(test)]
mod tests {
    use super::{Arc, EVENTS, EventData, EventHub, NextEvents, STREAMS};

    fn rates(sending: u64) -> EventData {
        EventData::Rates { sending, receiving: 0 }
    }

    #[test]
    fn a_client_reads_the_events_after_its_position() {
        let hub = EventHub::new(5);
        assert!(matches!(hub.after(0), NextEvents::UpToDate));
        hub.publish(&rates(1));
        hub.publish(&rates(2));
        let NextEvents::Event(2, event) = hub.after(1) else { panic!("the second event") };
        let expected = "id: 5.2\nevent: rates\ndata: {\"event\":\"rates\",\"receiving\":0,\"sending\":2}\n\n";
        assert_eq!(event, expected);
        assert!(matches!(hub.after(2), NextEvents::UpToDate));
    }

    #[test]
    fn a_client_that_is_too_far_behind_is_told_so() {
        let hub = EventHub::new(5);
        for number in 0..=EVENTS as u64 {
            hub.publish(&rates(number));
        }
        assert!(matches!(hub.after(0), NextEvents::Lost));
        assert!(matches!(hub.after(1), NextEvents::Event(2, _)));
    }

    #[test]
    fn only_ids_of_this_program_have_a_position() {
        let hub = EventHub::new(5);
        hub.publish(&rates(1));
        assert_eq!((hub.position("5.0"), hub.position("5.1")), (Some(0), Some(1)));
        for id in ["", "5", "4.1", "5.2", "5.r", "5.-1", "5.18446744073709551615", "x.1", "."] {
            assert_eq!(hub.position(id), None, "{id}");
        }
    }

    #[test]
    fn the_number_of_followers_is_bounded() {
        let hub = Arc::new(EventHub::new(5));
        let mut permits: Vec<_> = (0..STREAMS).map(|_| hub.permit().unwrap()).collect();
        assert!(hub.permit().is_none());
        permits.pop();
        assert_eq!(*hub.followers().borrow(), STREAMS - 1);
        assert!(hub.permit().is_some());
    }
}
