//! Serving downloaders: each incoming connection is greeted, its membership is checked, and it is served in its own
//! task.
//!
//! Cheap checks come first: handshake, number of connections, greeting, membership. Only members get a connection slot.
//! `connection` reads the requests of one downloader, and `send` answers them with the pieces in
//! `piece_queue_and_reading`. `upload_owner` and `wants_and_offers` are used only while sending has a limit. The loop
//! that accepts is in `transport::accept_loop`.

mod connection;
mod piece_queue_and_reading;
mod send;
mod upload_owner;
mod wants_and_offers;

use std::{collections::BTreeMap, sync::Arc};

use brigade_core::{
    id::PeerKey,
    wire::{
        Reason,
        greeting::{Goodbye, Hello},
    },
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio_util::sync::CancellationToken;
use tracing::debug;

pub(crate) use self::connection::ServeContext;
use self::connection::serve;
use crate::{
    clock,
    identity::membership::{self, MembershipError},
    transport::{
        accept_loop::{Accept, ConnectionHandler, accept_loop},
        greeting::{GreetedConnection, close_and_drain},
        own_hello::own_hello,
    },
};

/// Connections that one downloader may have at once: each can keep one processor core busy.
const CONNECTIONS_EACH: usize = 2;

/// The values that the listener needs to accept a connection.
#[derive(Clone)]
pub(crate) struct ListenContext {
    /// The manager's key: only its members are served.
    pub(crate) network: PeerKey,
    pub(crate) membership: watch::Receiver<String>,
    /// Connection slots, for both directions.
    pub(crate) connection_slots: Arc<Semaphore>,
    /// The number of all connection slots.
    pub(crate) max_connections: usize,
    pub(crate) counts: ConnectionCounts,
    pub(crate) serve: ServeContext,
    pub(crate) stop: CancellationToken,
}

/// Accepts and serves downloaders until it is stopped, then waits for the connections to end.
pub(crate) async fn listen(socket: impl Accept, context: ListenContext) {
    let (breaches, stop) = (context.serve.breaches.clone(), context.stop.clone());
    accept_loop(socket, context, breaches, stop).await;
}

impl ConnectionHandler for ListenContext {
    type Reserved = ConnectionPermit;

    fn before_greeting(&self, peer: PeerKey) -> Result<(ConnectionPermit, Hello), Goodbye> {
        // Only members get a slot. If none is free now, the peer is refused before the hello.
        let free = self.connection_slots.available_permits();
        if free == 0 {
            return Err(no_free_connection());
        }
        // A second connection is only for speed: it is accepted while more than half of the slots are free.
        let most = if free > self.max_connections / 2 { CONNECTIONS_EACH } else { 1 };
        let Some(permit) = self.counts.take(peer, most) else {
            let text = "too many connections from one downloader".to_owned();
            return Err(Goodbye { reason: Reason::TooMuch, text });
        };
        Ok((permit, own_hello(Some(self.membership.borrow().clone()))))
    }

    async fn serve(
        self,
        greeted: GreetedConnection,
        _permit: ConnectionPermit,
        entering: OwnedSemaphorePermit,
    ) {
        drop(entering); // from here on other limits apply
        let (remote, key) = (greeted.remote, greeted.peer);
        let token = greeted.hello.membership.as_deref();
        let claims = match membership::verify(token, self.network, key, clock::unix_now()) {
            Ok(claims) => claims,
            Err(error) => {
                // A member with a wrong clock is worth a warning.
                let member = match &error {
                    MembershipError::Time { username, .. } => Some(username),
                    _ => None,
                };
                self.serve.breaches.refused(member, remote, key, &error);
                let goodbye = Goodbye { reason: Reason::NotAMember, text: error.peer_message() };
                return close_and_drain(greeted.reader, greeted.writer, goodbye).await;
            }
        };
        let Ok(_slot) = self.connection_slots.clone().try_acquire_owned() else {
            return close_and_drain(greeted.reader, greeted.writer, no_free_connection()).await;
        };
        let downloader = claims.username.as_str();
        debug!(%remote, downloader, "serving");
        if let Err(error) = serve(greeted, &claims.username, self.serve, self.stop).await {
            debug!(%remote, downloader, %error, "stopped serving");
        }
    }
}

/// The goodbye for a downloader for which there is no free connection slot.
fn no_free_connection() -> Goodbye {
    Goodbye { reason: Reason::Full, text: "all connection slots are in use (--max)".to_owned() }
}

/// The number of connections of each downloader.
#[derive(Debug, Clone, Default)]
pub(crate) struct ConnectionCounts(Arc<watch::Sender<BTreeMap<PeerKey, usize>>>);

/// The permit for one of the connections that a downloader may have.
pub(crate) struct ConnectionPermit {
    key: PeerKey,
    counts: ConnectionCounts,
}

impl ConnectionCounts {
    /// Counts another connection, if there are fewer than `most`.
    fn take(&self, key: PeerKey, most: usize) -> Option<ConnectionPermit> {
        let is_free = self.0.send_if_modified(|counts| {
            let count = counts.entry(key).or_default();
            let is_free = *count < most;
            *count += usize::from(is_free);
            is_free
        });
        is_free.then(|| ConnectionPermit { key, counts: self.clone() })
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        self.counts.0.send_modify(|counts| {
            if let Some(count) = counts.get_mut(&self.key) {
                *count -= 1;
                if *count == 0 {
                    counts.remove(&self.key);
                }
            }
        });
    }
}
