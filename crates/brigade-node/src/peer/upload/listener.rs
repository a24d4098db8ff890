//! The listener: each incoming connection is greeted, its membership is checked, and it is served in its own task.
//!
//! Cheap checks come first: handshake, number of connections, greeting, membership. Only members get a connection slot.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc, time::Duration};

use brigade_core::{id::PeerKey, wire::Reason};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::connection::{ServeContext, serve};
use crate::{
    clock,
    identity::membership::{self, MembershipError},
    peer::listening::Listener,
    transport::{
        Line,
        accept::Accepted,
        connection::{ConnectionError, GreetError, Greeted, part},
        hello::own_hello,
    },
};

/// The text of a refusal without a free connection slot.
const NO_FREE_CONNECTION: &str = "all connection slots are in use (--max)";

/// Connections that one downloader may have here at once: each is the work of one processor core.
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
    pub(crate) serve: ServeContext,
    pub(crate) stop: CancellationToken,
}

/// Accepts and serves downloaders until it is stopped, then waits for the connections to end.
pub(crate) async fn listen(mut listener: Listener, context: ListenContext) {
    let mut served: JoinSet<Option<PeerKey>> = JoinSet::new();
    let counts: Arc<watch::Sender<BTreeMap<PeerKey, usize>>> = Arc::default();
    loop {
        tokio::select! {
            () = context.stop.cancelled() => break,
            Some(_) = served.join_next(), if !served.is_empty() => {}
            accepted = listener.accept() => match accepted {
                Ok(accepted) => drop(served.spawn(accept_peer(accepted, context.clone(), counts.clone()))),
                Err(error) => {
                    // Mostly too many open files: it passes when connections end.
                    tracing::warn!(%error, "accepting a connection failed");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            },
        }
    }
    while served.join_next().await.is_some() {}
}

async fn accept_peer(
    accepted: Accepted,
    context: ListenContext,
    counts: Arc<watch::Sender<BTreeMap<PeerKey, usize>>>,
) -> Option<PeerKey> {
    let remote = accepted.remote();
    let fresh = match accepted.handshake().await {
        Ok(fresh) => fresh,
        Err(error) => {
            debug!(%remote, %error, "no handshake");
            return None;
        }
    };
    let key = fresh.peer();
    // Only members get a slot. If none is free now, the peer is refused before the hello.
    if context.connection_slots.available_permits() == 0 {
        fresh.refuse(Reason::Full, NO_FREE_CONNECTION).await;
        return None;
    }
    // A second connection is only for speed: it is accepted while more than half of the slots are free.
    let free = context.connection_slots.available_permits();
    let most = if free > context.max_connections / 2 { CONNECTIONS_EACH } else { 1 };
    let Some(_permit) = ConnectionPermit::take(key, counts, most) else {
        fresh.refuse(Reason::TooMuch, "too many connections from one downloader").await;
        return None;
    };
    let hello = own_hello(Some(context.membership.borrow().clone()));
    match fresh.greet(hello).await {
        Ok(greeted) => {
            let token = greeted.hello.membership.as_deref();
            match membership::verify(token, context.network, key, clock::unix_now()) {
                Ok(claims) => match context.connection_slots.clone().try_acquire_owned() {
                    Ok(slot) => serve_connection(greeted, &claims, context, slot).await,
                    Err(_) => part(greeted.reader, greeted.writer, Reason::Full, NO_FREE_CONNECTION).await,
                },
                Err(error) => {
                    refused(&context, remote, key, &error);
                    part(greeted.reader, greeted.writer, Reason::NotAMember, error.told()).await;
                }
            }
        }
        Err(error @ GreetError::Connection(ConnectionError::Frame(_))) => {
            match context.serve.complaints.strangers.next(clock::now()) {
                Some(Line { passed_over }) => {
                    info!(%remote, %error, passed_over, "a stranger broke the protocol");
                }
                None => debug!(%remote, %error, "a stranger broke the protocol"),
            }
        }
        Err(error) => debug!(%remote, %error, "no greeting"),
    }
    Some(key)
}

/// Logs a connection that was refused for its membership. A member with a wrong clock is worth a warning.
fn refused(context: &ListenContext, remote: SocketAddr, key: PeerKey, error: &MembershipError) {
    let lines = &context.serve.complaints;
    match error {
        MembershipError::Time { username, .. } => match lines.members.next(clock::now()) {
            Some(Line { passed_over }) => warn!(%username, %remote, %error, passed_over, "refused a member"),
            None => debug!(%username, %remote, %error, "refused a member"),
        },
        _ => match lines.strangers.next(clock::now()) {
            Some(Line { passed_over }) => {
                info!(%remote, key = key.short(), %error, passed_over, "refused a connection");
            }
            None => debug!(%remote, key = key.short(), %error, "refused a connection"),
        },
    }
}

async fn serve_connection(
    greeted: Greeted,
    claims: &membership::Claims,
    context: ListenContext,
    _slot: OwnedSemaphorePermit,
) {
    let remote = greeted.remote;
    debug!(%remote, downloader = claims.username.as_str(), "serving");
    if let Err(error) = serve(greeted, &claims.username, context.serve, context.stop).await {
        debug!(%remote, downloader = claims.username.as_str(), %error, "stopped serving");
    }
}

/// The permit for one of the connections that a downloader may have.
struct ConnectionPermit {
    key: PeerKey,
    counts: Arc<watch::Sender<BTreeMap<PeerKey, usize>>>,
}

impl ConnectionPermit {
    fn take(key: PeerKey, counts: Arc<watch::Sender<BTreeMap<PeerKey, usize>>>, most: usize) -> Option<Self> {
        let free = counts.send_if_modified(|counts| {
            let count = counts.entry(key).or_default();
            let free = *count < most;
            *count += usize::from(free);
            free
        });
        free.then_some(Self { key, counts })
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        self.counts.send_modify(|counts| {
            if let Some(count) = counts.get_mut(&self.key) {
                *count -= 1;
                if *count == 0 {
                    counts.remove(&self.key);
                }
            }
        });
    }
}
