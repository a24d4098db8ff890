//! One connection to the manager: it greets, then passes messages between the connection and the owner.
//!
//! A session has one message with the owner at a time and reads the next one when the answers to it are written. So the
//! manager reads nothing more from a peer that does not read its answers, and the queue for it stays short. A peer that
//! takes nothing for [`WRITE_TIMEOUT`] is given up. The core makes the decisions.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use brigade_core::{
    id::PeerKey,
    limits,
    manager::{LeaveReason, SessionId},
    name::Username,
    wire::{
        Reason,
        greeting::{Goodbye, Hello},
        manager::{FromManager, ToManager},
    },
};
use tokio::{
    sync::{
        OwnedSemaphorePermit, Semaphore,
        mpsc::{self, error::TryRecvError},
    },
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use super::{
    port_probe::PortProbe,
    task_messages::{SessionQueue, ToOwner, ToSession, stopping},
};
use crate::transport::{
    accept_loop::ConnectionHandler,
    breach_log::{BreachLog, RemoteRole},
    connection::{ConnectionError, Reader, Writer},
    greeting::{GreetedConnection, close_and_drain},
    own_hello::own_hello,
};

/// Messages from the owner that may wait for a session: the answers to one question and one batch of updates. The
/// longest of either is a hundred or so pages; a session whose queue is full is closed.
const QUEUE: usize = 512;

/// How long one message may take to be written.
const WRITE_TIMEOUT: Duration = limits::LEASE;

/// How long a session has to write the messages that wait for it when the manager stops.
const GRACE: Duration = Duration::from_millis(500);

/// How long a session that the core has closed has to write the messages that wait for it.
const CLOSE_TIMEOUT_LEAVING: Duration = Duration::from_secs(2);

/// How a session ended.
enum SessionEnd {
    /// The owner closed it.
    ClosedByOwner(Option<Goodbye>),
    /// The connection was lost or is too slow; the owner does not know yet.
    Lost(LeaveReason),
    /// The peer broke the protocol: it gets a goodbye with the reason.
    ProtocolError(ConnectionError),
}

/// The names of the peer at the other end, as far as this session knows them.
#[derive(Debug, Default)]
struct SessionNames {
    /// The name under which it asked to join.
    requested: Option<Username>,
    /// Its name, once it has joined.
    joined: Option<Username>,
}

/// Values that all sessions share.
#[derive(Debug, Clone)]
pub(super) struct SessionContext {
    pub(super) owner: mpsc::Sender<ToOwner>,
    pub(super) breaches: Arc<BreachLog>,
    /// The number of the next session.
    pub(super) next_session: Arc<AtomicU64>,
    /// Permits for connections that the core has closed and that get a goodbye.
    pub(super) leaving: Arc<Semaphore>,
    /// Permits for probes of ports.
    pub(super) probes: Arc<Semaphore>,
    /// Whether other machines reach the manager.
    pub(super) reached_from_elsewhere: bool,
    pub(super) stop: CancellationToken,
}

impl ConnectionHandler for SessionContext {
    type Reserved = ();

    fn before_greeting(&self, _: PeerKey) -> Result<((), Hello), Goodbye> {
        let reached_from_elsewhere = Some(self.reached_from_elsewhere);
        Ok(((), Hello { reached_from_elsewhere, ..own_hello(None) }))
    }

    async fn serve(self, greeted: GreetedConnection, (): (), entering: OwnedSemaphorePermit) {
        let session = SessionId(self.next_session.fetch_add(1, Ordering::Relaxed));
        run(greeted, session, entering, self).await;
    }
}

/// Serves one greeted connection until it ends. Its permit is released as soon as the core knows the session.
async fn run(
    greeted: GreetedConnection,
    session: SessionId,
    entering: OwnedSemaphorePermit,
    context: SessionContext,
) {
    let SessionContext { owner, breaches, leaving, probes, stop, .. } = context;
    let GreetedConnection { peer: key, remote, local, hello, mut reader, mut writer, .. } = greeted;
    tracing::debug!(session = session.0, %remote, key = %key, agent = ?hello.agent, "a session begins");
    let (queue, mut messages) = mpsc::channel(QUEUE);
    let closed = CancellationToken::new();
    let queue = SessionQueue::new(queue, closed.clone().drop_guard());
    if owner.send(ToOwner::Connected { session, key, remote, local, queue }).await.is_err() {
        return writer.close(Reason::Stopping, "the manager is stopping").await;
    }
    drop(entering);
    // A peer that does not read must not delay the end of the manager.
    let out_of_grace = async {
        stop.cancelled().await;
        tokio::time::sleep(GRACE).await;
    };
    // A session that the core has closed must not keep its permit for long.
    let overdue = async {
        closed.cancelled().await;
        if stop.is_cancelled() {
            std::future::pending().await // `out_of_grace` ends it
        }
        if let Ok(_permit) = leaving.try_acquire() {
            tokio::time::sleep(CLOSE_TIMEOUT_LEAVING).await;
        }
    };
    let mut names = SessionNames::default();
    let port_probe = PortProbe { remote, permits: probes };
    let end = tokio::select! {
        biased;
        end = exchange(session, &owner, &mut messages, (&mut reader, &mut writer), &mut names, &port_probe) => end,
        () = out_of_grace => SessionEnd::ClosedByOwner(None),
        () = overdue => SessionEnd::ClosedByOwner(None),
    };
    match end {
        // The peer may still be sending, but the manager does not wait for it.
        SessionEnd::ClosedByOwner(Some(goodbye)) if goodbye.reason == Reason::Stopping => {
            writer.close(goodbye.reason, goodbye.text).await;
        }
        SessionEnd::ClosedByOwner(Some(goodbye)) => {
            if let Ok(_permit) = leaving.try_acquire() {
                close_and_drain(reader, writer, goodbye).await;
            }
        }
        SessionEnd::ClosedByOwner(None) => {}
        SessionEnd::Lost(reason) => drop(owner.send(ToOwner::Disconnected { session, reason }).await),
        SessionEnd::ProtocolError(error) => {
            let reason = LeaveReason::ProtocolError;
            let _ = owner.send(ToOwner::Disconnected { session, reason }).await;
            breaches.ended(RemoteRole::Peer, names.joined.as_ref(), remote, &error);
            if let Some(goodbye) = error.goodbye() {
                close_and_drain(reader, writer, goodbye).await;
            }
        }
    }
}

/// Passes messages both ways until the session ends.
async fn exchange(
    session: SessionId,
    owner: &mpsc::Sender<ToOwner>,
    messages: &mut mpsc::Receiver<ToSession>,
    (reader, writer): (&mut Reader, &mut Writer),
    names: &mut SessionNames,
    port_probe: &PortProbe,
) -> SessionEnd {
    let mut may_read = true;
    loop {
        let next = match messages.try_recv() {
            Ok(next) => next,
            Err(TryRecvError::Disconnected) => return SessionEnd::ClosedByOwner(None),
            Err(TryRecvError::Empty) => {
                if let Err(reason) = in_time(writer.flush()).await {
                    return SessionEnd::Lost(reason);
                }
                tokio::select! {
                    next = messages.recv() => match next {
                        Some(next) => next,
                        None => return SessionEnd::ClosedByOwner(None),
                    },
                    message = reader.next(), if may_read => {
                        let message = match message_or_end(message) {
                            Ok(message) => message,
                            Err(end) => return end,
                        };
                        match &message {
                            ToManager::Join(join) => names.requested = join.username.clone().ok(),
                            ToManager::Probe(probe) => {
                                let answer = port_probe.answer(probe).await.into();
                                if let Err(reason) = in_time(writer.send::<FromManager>(&answer)).await {
                                    return SessionEnd::Lost(reason);
                                }
                            }
                            _ => {}
                        }
                        if owner.send(ToOwner::Message { session, message }).await.is_err() {
                            return SessionEnd::ClosedByOwner(Some(stopping()));
                        }
                        may_read = false;
                        continue;
                    }
                }
            }
        };
        let end_of_updates = matches!(next, ToSession::EndOfUpdates);
        let written = match next {
            ToSession::Message(message) => {
                if let FromManager::Joined(joined) = &message {
                    names.joined = joined.username.clone().or(names.requested.take());
                }
                in_time(writer.send(&message)).await
            }
            ToSession::EndOfUpdates => in_time(writer.flush()).await,
            ToSession::Next => {
                may_read = true;
                continue;
            }
            ToSession::Close(goodbye) => return SessionEnd::ClosedByOwner(goodbye),
        };
        if let Err(reason) = written {
            return SessionEnd::Lost(reason);
        }
        if end_of_updates && owner.send(ToOwner::UpdatesSent { session }).await.is_err() {
            return SessionEnd::ClosedByOwner(Some(stopping()));
        }
    }
}

fn message_or_end(read: Result<Option<ToManager>, ConnectionError>) -> Result<ToManager, SessionEnd> {
    match read {
        Ok(Some(message)) => Ok(message),
        Ok(None) | Err(ConnectionError::Io(_)) => Err(SessionEnd::Lost(LeaveReason::Lost)),
        Err(error) => Err(SessionEnd::ProtocolError(error)),
    }
}

async fn in_time(writing: impl Future<Output = Result<(), ConnectionError>>) -> Result<(), LeaveReason> {
    match timeout(WRITE_TIMEOUT, writing).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) => Err(LeaveReason::Lost),
        Err(_) => Err(LeaveReason::Slow),
    }
}
