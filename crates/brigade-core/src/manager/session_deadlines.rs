//! Deadlines of sessions: the end of a lease, and the time of the next update.
//!
//! One deadline for each session, moved as often as it likes; the earliest is found without looking at the
//! others. What happens at a deadline is decided elsewhere (`mod.rs`, `watches.rs`).

use std::collections::{BTreeMap, BTreeSet};

use super::session::SessionId;
use crate::time::Timestamp;

/// At most one deadline for each session.
#[derive(Debug, Default)]
pub(super) struct SessionDeadlines {
    by_session: BTreeMap<SessionId, Timestamp>,
    in_order: BTreeSet<(Timestamp, SessionId)>,
}

impl SessionDeadlines {
    /// Sets the session's deadline, in place of the one that it had.
    pub(super) fn set(&mut self, session: SessionId, at: Timestamp) {
        self.clear(session);
        self.by_session.insert(session, at);
        self.in_order.insert((at, session));
    }

    /// Takes the session's deadline away, where it had one.
    pub(super) fn clear(&mut self, session: SessionId) {
        if let Some(at) = self.by_session.remove(&session) {
            self.in_order.remove(&(at, session));
        }
    }

    /// The earliest deadline of all.
    pub(super) fn next(&self) -> Option<Timestamp> {
        self.in_order.first().map(|(at, _)| *at)
    }

    /// Takes out one session whose deadline is reached.
    pub(super) fn pop_due(&mut self, now: Timestamp) -> Option<SessionId> {
        let &(_, session) = self.in_order.first().filter(|(at, _)| *at <= now)?;
        self.clear(session);
        Some(session)
    }

    #[cfg(test)]
    pub(super) fn sessions(&self) -> impl Iterator<Item = SessionId> + '_ {
        assert_eq!(self.by_session.len(), self.in_order.len());
        self.by_session.keys().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::{SessionDeadlines, SessionId, Timestamp};

    #[test]
    fn only_the_latest_deadline_of_a_session_counts() {
        let at = Timestamp::from_micros;
        let mut deadlines = SessionDeadlines::default();
        deadlines.set(SessionId(1), at(10));
        deadlines.set(SessionId(2), at(20));
        deadlines.set(SessionId(1), at(30));
        assert_eq!(deadlines.next(), Some(at(20)));
        assert_eq!(deadlines.pop_due(at(19)), None);
        assert_eq!(deadlines.pop_due(at(40)), Some(SessionId(2)));
        assert_eq!(deadlines.pop_due(at(40)), Some(SessionId(1)));
        assert_eq!((deadlines.pop_due(at(40)), deadlines.next()), (None, None));
    }
}
