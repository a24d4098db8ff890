//! The one task that owns the core's manager: events in, its outputs carried out.
//!
//! It never waits for a session nor for the disk: a session whose queue is full is given up, a binding that
//! cannot be queued is refused. What it publishes is the table (`view.rs`), at most every [`SHOWN_EVERY`].

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use brigade_core::{
    id::PeerKey,
    limits,
    manager::{Binding, Departure, Event, Manager, Output, SessionId},
    time::Timestamp,
    wire::manager::{FromManager, ToManager},
};
use tokio::sync::{broadcast, mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::{
    persist::Recorded,
    session::{SessionQueue, ToSession, stopping},
    view::{LifeEvent, View},
};
use crate::{
    clock,
    identity::{
        key::SecretKey,
        membership::{self, Claims},
    },
};

/// How often at most the table is published.
const SHOWN_EVERY: Duration = Duration::from_millis(250);

/// What the owner is told by sessions.
#[derive(Debug)]
pub(super) enum ToOwner {
    /// A connection was greeted.
    Connected { session: SessionId, key: PeerKey, remote: SocketAddr, local: SocketAddr, queue: SessionQueue },
    /// A message came; the session reads the next one when it is told to.
    Message { session: SessionId, message: ToManager },
    /// A batch of news has left.
    NewsSent { session: SessionId },
    /// The connection ended.
    Disconnected { session: SessionId, why: Departure },
}

/// The owner and what it reaches.
#[derive(Debug)]
pub(super) struct Owner {
    pub(super) manager: Manager,
    pub(super) key: SecretKey,
    pub(super) record: mpsc::Sender<Binding>,
    pub(super) view: watch::Sender<View>,
    pub(super) events: broadcast::Sender<LifeEvent>,
    pub(super) sessions: BTreeMap<SessionId, SessionQueue>,
    pub(super) show: Show,
}

/// When the table was published, and when it is to be.
#[derive(Debug, Default)]
pub(super) struct Show {
    last: Timestamp,
    next: Option<Timestamp>,
}

impl Owner {
    /// Runs until it is stopped, and says goodbye to all sessions then.
    pub(super) async fn run(
        mut self,
        mut events: mpsc::Receiver<ToOwner>,
        mut recorded: mpsc::Receiver<Recorded>,
        stop: CancellationToken,
    ) {
        loop {
            let deadline = [self.manager.deadline(), self.show.next].into_iter().flatten().min();
            tokio::select! {
                Some(event) = events.recv() => self.event(event),
                Some(Recorded { username, durable }) = recorded.recv() => {
                    self.manager.recorded(&username, durable);
                }
                () = clock::reach(deadline) => self.manager.handle_timeout(clock::now()),
                () = stop.cancelled() => break,
            }
            self.carry_out();
            self.show();
        }
        for SessionQueue { queue, .. } in self.sessions.values() {
            // One whose queue is full ends when its sender is gone.
            let _ = queue.try_send(ToSession::Close(Some(stopping())));
        }
    }

    fn event(&mut self, event: ToOwner) {
        let now = clock::now();
        match event {
            ToOwner::Connected { session, key, remote, local, queue } => {
                self.sessions.insert(session, queue);
                self.manager.connected(now, session, key, remote, local);
            }
            ToOwner::Message { session, message } => {
                self.manager.set_calendar(clock::unix_now());
                self.manager.handle(now, session, message);
                self.carry_out(); // the answers go before the leave to read on
                self.tell(session, ToSession::Next);
            }
            ToOwner::NewsSent { session } => self.manager.news_sent(now, session),
            ToOwner::Disconnected { session, why } => self.drop_session(session, why),
        }
    }

    fn carry_out(&mut self) {
        while let Some(output) = self.manager.next_output() {
            match output {
                Output::Send { session, message } => self.tell(session, ToSession::Message(message)),
                Output::News { session, messages } => {
                    for page in messages {
                        self.tell(session, ToSession::Message(FromManager::Holders(page)));
                    }
                    self.tell(session, ToSession::EndOfNews);
                }
                Output::Record { binding } => {
                    if let Err(full) = self.record.try_send(binding) {
                        tracing::error!("the members' writer does not keep up, or is gone");
                        self.manager.recorded(&full.into_inner().username, false);
                    }
                }
                Output::Grant { session, binding } => {
                    let token = self.membership(binding);
                    self.manager.granted(clock::now(), clock::unix_now(), session, token);
                }
                Output::Close { session, goodbye } => {
                    self.tell(session, ToSession::Close(goodbye));
                    self.sessions.remove(&session);
                }
                Output::Event(event) => self.tell_people(event),
                Output::TableChanged => {
                    self.show.next.get_or_insert(self.show.last.after(SHOWN_EVERY));
                }
            }
        }
    }

    /// Hands something to a session, and gives it up where it cannot take it.
    fn tell(&mut self, session: SessionId, what: ToSession) {
        let Some(SessionQueue { queue, .. }) = self.sessions.get(&session) else { return };
        match queue.try_send(what) {
            Ok(()) => {}
            Err(mpsc::error::TrySendError::Full(_)) => self.drop_session(session, Departure::Slow),
            Err(mpsc::error::TrySendError::Closed(_)) => self.drop_session(session, Departure::Lost),
        }
    }

    fn drop_session(&mut self, session: SessionId, why: Departure) {
        self.sessions.remove(&session);
        self.manager.disconnected(clock::now(), session, why);
    }

    fn membership(&self, Binding { username, key }: Binding) -> Option<String> {
        let issued = clock::unix_now();
        let expires = issued.after(limits::MEMBERSHIP_LIFETIME);
        let claims = Claims { network: self.key.public(), username, key, issued, expires };
        membership::sign(&claims, &self.key)
            .inspect_err(|error| tracing::error!(%error, "a membership could not be signed"))
            .ok()
    }

    fn tell_people(&self, event: Event) {
        match &event {
            Event::Joined { username, address } => tracing::info!(%username, %address, "a peer joined"),
            Event::Left { username, why } => tracing::info!(%username, ?why, "a peer left"),
            Event::Refused { username, reason, text } => {
                tracing::info!(username = username.as_deref(), ?reason, text, "somebody was not let in");
            }
        }
        // Nobody need be listening.
        let _ = self.events.send(LifeEvent { at: clock::unix_now(), event });
    }

    fn show(&mut self) {
        let now = clock::now();
        if self.show.next.is_some_and(|next| next <= now) {
            self.show = Show { last: now, next: None };
            self.view.send_modify(|view| view.rows = self.manager.rows().collect());
        }
    }
}
