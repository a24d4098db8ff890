//! The session with the manager over the life of a peer: it runs one connection, and joins again when that was lost.
//!
//! One task owns the session. After a reconnection everything is announced again from the share, which always has the
//! current state. While the manager is not connected, the session goes on dialling it, applies commands, and answers
//! questions with an error at once. `dial` reaches the manager and joins, `connection` is one connection, `announce`
//! the announcement of the share, and `questions_and_subscriptions` has what other parts of the peer ask for. Nothing
//! here knows a piece.

mod announce;
mod connection;
mod dial;
mod questions_and_subscriptions;

use std::time::Duration;

use brigade_core::{
    backoff::Backoff,
    name::Username,
    wire::{Reason, manager::Joined},
};
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};

use self::connection::{ConnectionEnd, ManagerConnection};
pub(crate) use self::{
    connection::SessionState,
    dial::{RequestedName, join},
    questions_and_subscriptions::{ManagerClient, SessionCommand, Subscriptions},
};
use crate::{
    identity::key::SecretKey,
    listen_addresses::ManagerContact,
    peer_config::ManagerAddress,
    peer_error::{JoinError, ReachError, text_with_causes},
    peer_status::ManagerState,
    store::keeper::Change,
    transport::{connection::ConnectionError, dial::DialError, greeting::GreetedConnection},
};

/// How long one attempt to reach a disconnected manager may take: the next attempt may succeed.
const ATTEMPT: Duration = Duration::from_secs(3);

/// The longest pause between two attempts to reach a disconnected manager. The session finds the manager within five
/// seconds of its return, even if its host was down and the attempt before has to time out first.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// The pauses between these attempts.
const RETRY: Backoff = Backoff::new(Duration::from_millis(250), LONGEST_PAUSE);

const _: () =
    assert!(ATTEMPT.as_millis() + LONGEST_PAUSE.as_millis() < 5_000, "it is found within five seconds");

/// The session of one peer.
pub(crate) struct Session {
    pub(crate) address: ManagerAddress,
    pub(crate) key: SecretKey,
    pub(crate) requested: RequestedName,
    /// The current name: an unbound one may get another number after a reconnection.
    pub(crate) username: watch::Sender<Username>,
    /// The port on which the peer listens.
    pub(crate) port: u16,
    /// The contact at the last join.
    pub(crate) contact: watch::Sender<ManagerContact>,
    pub(crate) state: SessionState,
}

/// Why the session did not join again.
enum RejoinError {
    /// The peer stops.
    Stopped,
    /// The manager refuses this peer for good, for this cause.
    Refused(String),
}

impl Session {
    /// Runs until it is stopped, beginning with a connection that has joined.
    pub(crate) async fn run(mut self, connection: GreetedConnection) {
        self.keep(connection).await;
        // The same token stops the keeper. When this channel is closed, the last hashed files are in its index.
        while self.state.changes.recv().await.is_some() {}
    }

    async fn keep(&mut self, mut connection: GreetedConnection) {
        loop {
            match ManagerConnection::new(&mut self.state).run(connection).await {
                ConnectionEnd::Stopped => return,
                ConnectionEnd::Lost(cause) => {
                    tracing::info!(cause, "the manager is away");
                    self.state.manager.send_replace(ManagerState::Away { cause });
                }
            }
            connection = match self.rejoin().await {
                Ok(connection) => connection,
                Err(RejoinError::Stopped) => return,
                Err(RejoinError::Refused(cause)) => {
                    tracing::info!(cause, "the manager refuses this peer"); // the program reports the state
                    self.state.manager.send_replace(ManagerState::Refused { cause });
                    self.run_without_manager().await;
                    return;
                }
            };
        }
    }

    /// Runs after the manager refused this peer for good, until it is stopped.
    async fn run_without_manager(&mut self) {
        loop {
            // The manager will never name the holders of these contents. With an empty list, their fetches do not wait.
            if let Some(holders) = self.state.subscriptions.assume_no_holders() {
                let _ = self.state.holders.send(holders).await; // the fetches never wait for this task, so this ends
            }
            tokio::select! {
                () = self.state.stop.cancelled() => return,
                Some(command) = self.state.commands.recv() => self.state.apply_disconnected(command),
                Some(_) = self.state.changes.recv() => {}
            }
        }
    }

    /// Tries to join until the manager agrees.
    async fn rejoin(&mut self) -> Result<GreetedConnection, RejoinError> {
        let mut retry = RETRY;
        let mut is_shown = false;
        loop {
            self.run_while_disconnected(sleep(retry.next_pause())).await.ok_or(RejoinError::Stopped)?;
            let (address, key, requested) = (self.address.clone(), self.key.clone(), self.requested.clone());
            let attempt = try_rejoin(address, key, requested, self.port);
            let attempt = self.run_while_disconnected(attempt).await.ok_or(RejoinError::Stopped)?;
            match attempt {
                Ok((connection, joined)) => {
                    self.username.send_replace(self.requested.granted(&joined));
                    self.state.compare_clock(joined.now_s);
                    self.contact
                        .send_replace(ManagerContact::over(&connection, joined.reached_from_elsewhere));
                    self.state.membership.send_replace(joined.membership);
                    return Ok(connection);
                }
                // A name in use is not final: it may belong to this peer's old session until its lease ends.
                Err(JoinError::Refused { reason: Reason::NameTaken | Reason::NotAMember, text }) => {
                    return Err(RejoinError::Refused(text));
                }
                Err(JoinError::Reach(
                    ReachError::WrongKey { found, expected, .. }
                    | ReachError::NotTheKey { found, given: expected, .. },
                )) => {
                    let cause =
                        format!("another manager answers there, with the key {found} instead of {expected}");
                    return Err(RejoinError::Refused(cause));
                }
                Err(error) => {
                    tracing::debug!(%error, "the manager is still away");
                    // The manager refuses for now, or a peer has its port: the user sees the cause, and that of each
                    // later attempt.
                    is_shown |= matches!(
                        error,
                        JoinError::Refused { .. } | JoinError::Reach(ReachError::NotAManager { .. })
                    );
                    if is_shown {
                        let cause = cause_of(&self.address, &error);
                        self.state.manager.send_replace(ManagerState::Away { cause });
                    }
                }
            }
        }
    }

    /// Applies commands and changes until `work` is done; `None` if the peer stops before.
    async fn run_while_disconnected<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        tokio::pin!(work);
        loop {
            tokio::select! {
                () = self.state.stop.cancelled() => return None,
                done = &mut work => return Some(done),
                Some(command) = self.state.commands.recv() => self.state.apply_disconnected(command),
                // The next connection announces the whole share; only the end of the first scan must be remembered.
                Some(change) = self.state.changes.recv() => self.state.scanned |= matches!(change, Change::Scanned),
            }
        }
    }
}

/// Why an attempt to join failed, for people.
fn cause_of(address: &ManagerAddress, error: &JoinError) -> String {
    match error {
        JoinError::Reach(ReachError::Dial { source: DialError::Connect { .. }, .. })
        | JoinError::Connection(_) => {
            format!("no manager answers at {}", address.shown())
        }
        error => text_with_causes(error),
    }
}

async fn try_rejoin(
    address: ManagerAddress,
    key: SecretKey,
    requested: RequestedName,
    port: u16,
) -> Result<(GreetedConnection, Joined), JoinError> {
    let late = || ConnectionError::Io(std::io::ErrorKind::TimedOut.into());
    let mut connection = timeout(ATTEMPT, address.reach(&key)).await.map_err(|_| late())??;
    let joined = join(&mut connection, &requested, port).await?;
    address.remember_key(connection.peer);
    Ok((connection, joined))
}

#[cfg(test)]
mod tests {
    use brigade_core::limits;

    use super::{DialError, JoinError, ManagerAddress, ReachError, cause_of};

    #[test]
    fn the_cause_of_a_failed_attempt_to_join_is_short() {
        let address = ManagerAddress::new("alpha", 12000);
        let check = |cause: String, expected: &str| {
            let source = DialError::Resolve { host: "alpha".into(), source: std::io::Error::other(cause) };
            let error = JoinError::Reach(ReachError::Dial { address: address.shown(), source });
            let shown = cause_of(&address, &error);
            assert!(shown.starts_with(expected) && shown.len() <= limits::TEXT_BYTES, "{shown}");
        };
        let expected = "reaching the manager at alpha:12000: finding the address of alpha: ";
        check("no such name".into(), &format!("{expected}no such name"));
        check("é".repeat(1000), &format!("{expected}éé"));
    }
}
