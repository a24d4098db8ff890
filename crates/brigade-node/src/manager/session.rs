//! One connection to the manager: greets, then carries messages between the connection and the owner.
//!
//! A session has one message with the owner at a time and reads the next one when the answers to it are written:
//! who does not read is not read either, and what waits for them stays small. A reader that takes nothing for
//! [`PATIENCE`] is given up. Decisions are the core's.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use brigade_core::{
    limits,
    manager::{Departure, SessionId},
    name::Username,
    wire::{
        Reason,
        hello::{Goodbye, Hello, VERSION},
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
use tokio_util::sync::{CancellationToken, DropGuard};

use super::owner::ToOwner;
use crate::{
    clock,
    transport::{
        Complaints, Line,
        accept::Accepted,
        connection::{ConnectionError, GreetError, Greeted, Reader, Writer, part},
    },
};

/// Messages from the owner that may wait for a session: the answers to one question and one batch of news. The
/// longest of either is a hundred or so pages; a session whose queue is full is closed.
const QUEUE: usize = 512;

/// How long one message may take to be written.
const PATIENCE: Duration = limits::LEASE;

/// How long a session has to write what waits for it when the manager stops.
const GRACE: Duration = Duration::from_millis(500);

/// How long a session that the core keeps no more has to write what waits for it.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// The owner's end of a session: without it, the session ends soon.
#[derive(Debug)]
pub(super) struct SessionQueue {
    pub(super) queue: mpsc::Sender<ToSession>,
    _kept: DropGuard,
}

/// What the owner tells a session.
#[derive(Debug)]
pub(super) enum ToSession {
    /// Write this.
    Message(FromManager),
    /// The message in hand is dealt with: read the next one.
    Next,
    /// A batch of news ends here: say when it has left.
    EndOfNews,
    /// Say goodbye and end; without a goodbye, only end.
    Close(Option<Goodbye>),
}

/// Why a session ends.
enum End {
    /// The owner wants it, and knows.
    Told(Option<Goodbye>),
    /// Something happened of which the owner is to be told.
    Happened(Departure),
    /// What it sent cannot be read, or does not come: it is told why.
    Broke(ConnectionError),
}

/// Who the other end is, as far as it is known here.
#[derive(Debug, Default)]
struct Who {
    /// The name under which it asked to join.
    asked: Option<Username>,
    /// Its name, once it has joined.
    member: Option<Username>,
}

/// What all sessions share.
#[derive(Debug, Clone)]
pub(super) struct Common {
    pub(super) owner: mpsc::Sender<ToOwner>,
    pub(super) complaints: Arc<Complaints>,
    /// Places for connections that the core keeps no more, and that are told why.
    pub(super) leaving: Arc<Semaphore>,
    /// Whether other machines reach the manager.
    pub(super) reached_from_elsewhere: bool,
    pub(super) stop: CancellationToken,
}

/// Serves one accepted connection to its end. Its permit is given back as soon as the core hears of it.
pub(super) async fn run(
    accepted: Accepted,
    session: SessionId,
    entering: OwnedSemaphorePermit,
    common: Common,
) {
    let Common { owner, complaints, leaving, reached_from_elsewhere, stop } = common;
    let remote = accepted.remote();
    let greeted = tokio::select! {
        greeted = greet(accepted, reached_from_elsewhere) => greeted,
        () = stop.cancelled() => return,
    };
    let Greeted { peer: key, remote, local, hello, mut reader, mut writer } = match greeted {
        Ok(greeted) => greeted,
        Err(error) => {
            not_greeted(remote, &error, &complaints);
            return;
        }
    };
    tracing::debug!(session = session.0, %remote, key = %key, agent = ?hello.agent, "a session begins");
    let (queue, mut told) = mpsc::channel(QUEUE);
    let given_up = CancellationToken::new();
    let queue = SessionQueue { queue, _kept: given_up.clone().drop_guard() };
    if owner.send(ToOwner::Connected { session, key, remote, local, queue }).await.is_err() {
        return writer.close(Reason::Stopping, "the manager is stopping").await;
    }
    drop(entering);
    // One that does not read must not hold up the end of the manager.
    let out_of_grace = async {
        stop.cancelled().await;
        tokio::time::sleep(GRACE).await;
    };
    // Nor may one that the core keeps no more take the place of another.
    let overdue = async {
        given_up.cancelled().await;
        if stop.is_cancelled() {
            std::future::pending().await // that has its own bound
        }
        if let Ok(_place) = leaving.try_acquire() {
            tokio::time::sleep(LAST_WORDS).await;
        }
    };
    let mut who = Who::default();
    let end = tokio::select! {
        biased;
        end = carry(session, &owner, &mut told, &mut reader, &mut writer, &mut who) => end,
        () = out_of_grace => End::Told(None),
        () = overdue => End::Told(None),
    };
    match end {
        // It may still be sending, but the end of the manager waits for nobody.
        End::Told(Some(goodbye)) if goodbye.reason == Reason::Stopping => {
            writer.close(goodbye.reason, goodbye.text).await;
        }
        End::Told(Some(goodbye)) => {
            if let Ok(_place) = leaving.try_acquire() {
                part(reader, writer, goodbye.reason, goodbye.text).await;
            }
        }
        End::Told(None) => {}
        End::Happened(why) => drop(owner.send(ToOwner::Disconnected { session, why }).await),
        End::Broke(error) => {
            let why = Departure::Broke;
            let _ = owner.send(ToOwner::Disconnected { session, why }).await;
            broke(remote, &who, &error, &complaints);
            if let Some(goodbye) = error.goodbye() {
                part(reader, writer, goodbye.reason, goodbye.text).await;
            }
        }
    }
}

/// Strangers come to every open port, and are not worth a line; one that speaks TLS and breaks the greeting is.
fn not_greeted(remote: SocketAddr, error: &GreetError, complaints: &Complaints) {
    let broke = matches!(error, GreetError::Connection(ConnectionError::Frame(_)));
    let line = if broke { complaints.strangers.next(clock::now()) } else { None };
    match line {
        Some(Line { passed_over }) => {
            tracing::info!(%remote, %error, passed_over, "a stranger broke the protocol");
        }
        None => {
            tracing::debug!(%remote, error = error as &dyn std::error::Error, "a connection was not greeted")
        }
    }
}

/// Of a member, somebody should know.
fn broke(remote: SocketAddr, who: &Who, error: &ConnectionError, complaints: &Complaints) {
    let lines = if who.member.is_some() { &complaints.members } else { &complaints.strangers };
    match (lines.next(clock::now()), &who.member) {
        (Some(Line { passed_over }), Some(username)) => {
            tracing::warn!(%username, %remote, %error, passed_over, "a peer broke the protocol");
        }
        (Some(Line { passed_over }), None) => {
            tracing::info!(%remote, %error, passed_over, "a visitor broke the protocol");
        }
        (None, _) => tracing::debug!(%remote, %error, "a session broke the protocol"),
    }
}

async fn greet(accepted: Accepted, reached_from_elsewhere: bool) -> Result<Greeted, GreetError> {
    let fresh = accepted.handshake().await.map_err(ConnectionError::Io)?;
    let agent = concat!("brigade/", env!("CARGO_PKG_VERSION")).to_owned();
    let reached_from_elsewhere = Some(reached_from_elsewhere);
    fresh.greet(Hello { version: VERSION, agent, membership: None, reached_from_elsewhere }).await
}

async fn carry(
    session: SessionId,
    owner: &mpsc::Sender<ToOwner>,
    told: &mut mpsc::Receiver<ToSession>,
    reader: &mut Reader,
    writer: &mut Writer,
    who: &mut Who,
) -> End {
    let mut may_read = true;
    loop {
        let order = match told.try_recv() {
            Ok(order) => order,
            Err(TryRecvError::Disconnected) => return End::Told(None), // the owner gave it up
            Err(TryRecvError::Empty) => {
                if let Err(why) = in_time(writer.flush()).await {
                    return End::Happened(why);
                }
                tokio::select! {
                    order = told.recv() => match order {
                        Some(order) => order,
                        None => return End::Told(None),
                    },
                    message = reader.next(), if may_read => {
                        let message = match message_or_end(message) {
                            Ok(message) => message,
                            Err(end) => return end,
                        };
                        if let ToManager::Join(join) = &message {
                            who.asked = join.username.clone().ok();
                        }
                        if owner.send(ToOwner::Message { session, message }).await.is_err() {
                            return End::Told(Some(stopping()));
                        }
                        may_read = false;
                        continue;
                    }
                }
            }
        };
        let end_of_news = matches!(order, ToSession::EndOfNews);
        let written = match order {
            ToSession::Message(message) => {
                if let FromManager::Joined(joined) = &message {
                    who.member = joined.username.clone().or(who.asked.take());
                }
                in_time(writer.send(&message)).await
            }
            ToSession::EndOfNews => in_time(writer.flush()).await,
            ToSession::Next => {
                may_read = true;
                continue;
            }
            ToSession::Close(goodbye) => return End::Told(goodbye),
        };
        if let Err(why) = written {
            return End::Happened(why);
        }
        if end_of_news && owner.send(ToOwner::NewsSent { session }).await.is_err() {
            return End::Told(Some(stopping()));
        }
    }
}

fn message_or_end(read: Result<Option<ToManager>, ConnectionError>) -> Result<ToManager, End> {
    match read {
        Ok(Some(message)) => Ok(message),
        Ok(None) | Err(ConnectionError::Io(_)) => Err(End::Happened(Departure::Lost)),
        Err(error) => Err(End::Broke(error)),
    }
}

async fn in_time(writing: impl Future<Output = Result<(), ConnectionError>>) -> Result<(), Departure> {
    match timeout(PATIENCE, writing).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) => Err(Departure::Lost),
        Err(_) => Err(Departure::Slow),
    }
}

/// What is said when the manager stops.
pub(super) fn stopping() -> Goodbye {
    Goodbye { reason: Reason::Stopping, text: "the manager is stopping".to_owned() }
}
