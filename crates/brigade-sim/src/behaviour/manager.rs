//! The manager: it passes messages and deadlines to its core, and carries out the core's outputs.
//!
//! A message from the manager takes as long as any other message to the same peer. The manager's disk and its signature
//! take no time. The peers' side of the sessions is in `manager_session`.

use brigade_core::{
    manager::{LeaveReason, Output, SessionId},
    time::UnixTime,
    wire::manager::{FromManager, ToManager},
};

use crate::{scheduled_event::ScheduledEvent, simulation::Simulation};

impl Simulation {
    /// A message arrives at the manager.
    pub(crate) fn say_to_manager(&mut self, session: SessionId, message: ToManager) {
        self.manager.core.handle(self.now, session, message);
        self.manager_acts();
    }

    pub(crate) fn session_broken(&mut self, session: SessionId) {
        self.manager.core.disconnected(self.now, session, LeaveReason::Lost);
        self.manager_acts();
    }

    pub(crate) fn manager_deadline(&mut self) {
        if self.manager.deadline.take_if(|at| *at <= self.now).is_some() {
            self.manager.core.handle_timeout(self.now);
            self.manager_acts();
        }
    }

    fn manager_acts(&mut self) {
        while let Some(output) = self.manager.core.next_output() {
            match output {
                Output::Send { session, message } => self.manager_says(session, message),
                Output::HolderUpdates { session, messages } => {
                    for message in messages {
                        self.manager_says(session, message.into());
                    }
                    self.manager.core.updates_sent(self.now, session);
                }
                Output::StoreBinding { binding } => self.manager.core.binding_stored(&binding.username, true),
                Output::SignMembership { session, .. } => {
                    self.manager.core.membership_signed(self.now, UnixTime(0), session, Some(String::new()));
                }
                Output::Close { session, .. } => {
                    if let Some(of) = self.manager.sessions.remove(&session) {
                        let delay = self.peers[of.at()].link.delay;
                        self.schedule_in(delay, ScheduledEvent::SessionEnded { of, session });
                    }
                }
                Output::Event(_) | Output::TableChanged => {}
            }
        }
        if let Some(due) = self.manager.core.deadline()
            && self.manager.deadline.is_none_or(|at| due < at)
        {
            self.manager.deadline = Some(due);
            self.schedule(due.max(self.now), ScheduledEvent::ManagerDeadline);
        }
    }

    fn manager_says(&mut self, session: SessionId, message: FromManager) {
        if let Some(to) = self.manager.sessions.get(&session).copied() {
            let delay = self.peers[to.at()].link.delay;
            self.schedule_in(delay, ScheduledEvent::FromManager { to, session, message: Box::new(message) });
        }
    }
}
