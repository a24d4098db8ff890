//! The task that owns the core's manager: it passes events in and carries the outputs out.
//!
//! It never waits for a session or for the disk: it gives up a session whose queue is full, and refuses a binding that
//! cannot be queued. It publishes the totals (`published_state.rs`) at most every [`VIEW_INTERVAL`], and makes rows only
//! for those who ask (`owner_answers.rs`).

use std::{collections::BTreeMap, time::Duration};

use brigade_core::{
    limits,
    manager::{Binding, Event, LeaveReason, Manager, Output, SessionId},
    name::Username,
    time::{Timestamp, UnixTime},
    wire::manager::FromManager,
};
use tokio::sync::{broadcast, mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::{
    member_database::{BindingResult, DatabaseRequest},
    owner_questions::OwnerQuestion,
    published_state::{EventLog, LifeEvent, ManagerView},
    task_messages::{SessionQueue, ToOwner, ToSession, stopping},
};
use crate::{
    clock,
    identity::{
        key::SecretKey,
        membership::{self, Claims},
    },
};

/// The shortest time between two published snapshots.
const VIEW_INTERVAL: Duration = Duration::from_millis(250);

/// How long the times of peers that left are collected before they are stored together: a write is a sync of the disk.
const LAST_SEEN_INTERVAL: Duration = Duration::from_secs(10);

/// The core's manager, and the channels that its outputs are sent to.
#[derive(Debug)]
pub(super) struct ManagerOwner {
    pub(super) manager: Manager,
    pub(super) key: SecretKey,
    pub(super) database: mpsc::Sender<DatabaseRequest>,
    pub(super) view: watch::Sender<ManagerView>,
    pub(super) events: broadcast::Sender<LifeEvent>,
    pub(super) event_log: EventLog,
    pub(super) sessions: BTreeMap<SessionId, SessionQueue>,
    pub(super) view_timer: ViewTimer,
    pub(super) last_seen: LastSeen,
}

/// When members that left were last seen, as far as it is not stored yet; and when it is stored.
#[derive(Debug, Default)]
pub(super) struct LastSeen {
    times: BTreeMap<Username, UnixTime>,
    due: Option<Timestamp>,
}

/// The messages to the owner.
#[derive(Debug)]
pub(super) struct OwnerInputs {
    pub(super) sessions: mpsc::Receiver<ToOwner>,
    pub(super) binding_results: mpsc::Receiver<BindingResult>,
    pub(super) questions: mpsc::Receiver<OwnerQuestion>,
}

/// When the table was last published, and when it is published next.
#[derive(Debug, Default)]
pub(super) struct ViewTimer {
    last: Timestamp,
    next: Option<Timestamp>,
}

impl ManagerOwner {
    /// Runs until it is stopped, then sends a goodbye to all sessions.
    pub(super) async fn run(mut self, mut inputs: OwnerInputs, stop: CancellationToken) {
        loop {
            let deadlines = [self.manager.deadline(), self.view_timer.next, self.last_seen.due];
            let deadline = deadlines.into_iter().flatten().min();
            tokio::select! {
                Some(event) = inputs.sessions.recv() => self.handle(event),
                Some(BindingResult { username, durable }) = inputs.binding_results.recv() => {
                    self.manager.binding_stored(&username, durable);
                }
                Some(question) = inputs.questions.recv() => self.answer(question),
                () = clock::reach(deadline) => self.manager.handle_timeout(clock::now()),
                () = stop.cancelled() => break,
            }
            self.carry_out();
            self.publish_view();
            if self.last_seen.due.is_some_and(|due| due <= clock::now()) {
                self.store_last_seen();
            }
        }
        let now = clock::unix_now();
        let present: Vec<Username> = self.manager.rows().map(|row| row.username).collect();
        present.into_iter().for_each(|username| self.note_last_seen(username, now));
        self.store_last_seen();
        for queue in self.sessions.values() {
            // A session whose queue is full ends when its sender is dropped.
            let _ = queue.try_send(ToSession::Close(Some(stopping())));
        }
    }

    fn handle(&mut self, event: ToOwner) {
        let now = clock::now();
        match event {
            ToOwner::Connected { session, key, remote, local, queue } => {
                self.sessions.insert(session, queue);
                self.manager.connected(now, session, key, remote, local);
            }
            ToOwner::Message { session, message } => {
                self.manager.set_calendar(clock::unix_now());
                self.manager.handle(now, session, message);
                self.carry_out(); // the answers are queued before the permission to read on
                self.send(session, ToSession::Next);
            }
            ToOwner::UpdatesSent { session } => self.manager.updates_sent(now, session),
            ToOwner::Disconnected { session, reason } => self.drop_session(session, reason),
            ToOwner::Ping { answer } => drop(answer.send(())), // the receiver may be dropped
        }
    }

    fn carry_out(&mut self) {
        while let Some(output) = self.manager.next_output() {
            match output {
                Output::Send { session, message } => self.send(session, ToSession::Message(message)),
                Output::HolderUpdates { session, messages } => {
                    for page in messages {
                        self.send(session, ToSession::Message(FromManager::Holders(page)));
                    }
                    self.send(session, ToSession::EndOfUpdates);
                }
                Output::StoreBinding { binding } => {
                    let username = binding.username.clone();
                    if self.database.try_send(DatabaseRequest::Bind(binding)).is_err() {
                        tracing::error!("the thread that stores members is too slow or has ended");
                        self.manager.binding_stored(&username, false);
                    }
                }
                Output::SignMembership { session, binding } => {
                    let token = self.membership(binding);
                    self.manager.membership_signed(clock::now(), clock::unix_now(), session, token);
                }
                Output::Close { session, goodbye } => {
                    self.send(session, ToSession::Close(goodbye));
                    self.sessions.remove(&session);
                }
                Output::Event(event) => self.publish_event(event),
                Output::TableChanged => {
                    self.view_timer.next.get_or_insert(self.view_timer.last.after(VIEW_INTERVAL));
                }
            }
        }
    }

    /// Queues `message` for a session, and gives up a session that cannot take it.
    fn send(&mut self, session: SessionId, message: ToSession) {
        let Some(queue) = self.sessions.get(&session) else { return };
        match queue.try_send(message) {
            Ok(()) => {}
            Err(mpsc::error::TrySendError::Full(_)) => self.drop_session(session, LeaveReason::Slow),
            Err(mpsc::error::TrySendError::Closed(_)) => self.drop_session(session, LeaveReason::Lost),
        }
    }

    fn drop_session(&mut self, session: SessionId, reason: LeaveReason) {
        self.sessions.remove(&session);
        self.manager.disconnected(clock::now(), session, reason);
    }

    fn membership(&self, Binding { username, key }: Binding) -> Option<String> {
        let issued = clock::unix_now();
        let expires = issued.after(limits::MEMBERSHIP_LIFETIME);
        let claims = Claims { network: self.key.public(), username, key, issued, expires };
        membership::sign(&claims, &self.key)
            .inspect_err(|error| tracing::error!(%error, "a membership could not be signed"))
            .ok()
    }

    fn publish_event(&mut self, event: Event) {
        let at = clock::unix_now();
        match &event {
            Event::Joined { username, address } => tracing::info!(%username, %address, "a peer joined"),
            Event::Left { username, reason } => {
                tracing::info!(%username, ?reason, "a peer left");
                self.note_last_seen(username.clone(), at);
            }
            Event::Refused { username, reason, text } => {
                tracing::info!(username = username.as_deref(), ?reason, text, "a join was refused");
            }
        }
        // There may be no receiver.
        let _ = self.events.send(self.event_log.add(at, event));
    }

    /// Notes when a member left. A username that is bound to no key belongs to no member.
    fn note_last_seen(&mut self, username: Username, at: UnixTime) {
        if !username.contains(Username::UNBOUND_MARK) {
            self.last_seen.times.insert(username, at);
            self.last_seen.due.get_or_insert(clock::now().after(LAST_SEEN_INTERVAL));
        }
    }

    /// Stores when members were last seen. If the disk is too slow for that, it is tried again later.
    pub(super) fn store_last_seen(&mut self) {
        // Joins have the other half of the queue.
        if self.database.capacity() < self.database.max_capacity() / 2 {
            self.last_seen.due = Some(clock::now().after(LAST_SEEN_INTERVAL));
            return;
        }
        let LastSeen { times, .. } = std::mem::take(&mut self.last_seen);
        if !times.is_empty() {
            // Where the thread has ended, the times are lost, which is no harm.
            let _ = self.database.try_send(DatabaseRequest::Seen(times.into_iter().collect()));
        }
    }

    fn publish_view(&mut self) {
        let now = clock::now();
        if self.view_timer.next.is_some_and(|next| next <= now) {
            self.view_timer = ViewTimer { last: now, next: None };
            let totals = self.manager.totals();
            self.view.send_modify(|view| {
                view.totals = totals;
                view.changes += 1;
            });
        }
    }
}
