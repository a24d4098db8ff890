//! The door: who dials is greeted, shown to be a member, and served in a task of its own.
//!
//! Refusals go from cheap to dear: no handshake, too many connections, no greeting, no membership. A place for a
//! connection is taken up by members only.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc, time::Duration};

use brigade_core::{
    id::PeerKey,
    wire::{
        Reason,
        hello::{Hello, VERSION},
    },
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::connection::{Shop, serve};
use crate::{
    clock,
    identity::membership::{self, MembershipError},
    peer::{listening::Listener, session::dial::AGENT},
    transport::{
        Line,
        accept::Accepted,
        connection::{ConnectionError, GreetError, part},
    },
};

/// What is said where there is no place.
const NO_PLACE: &str = "all places for connections are taken (--max)";

/// Connections that one newcomer may have here at once: one core's work each.
const CONNECTIONS_EACH: usize = 2;

/// Everything that is needed to let somebody in.
#[derive(Clone)]
pub(crate) struct Door {
    /// The manager's key: whose members come in.
    pub(crate) network: PeerKey,
    pub(crate) membership: watch::Receiver<String>,
    /// Places for connections, both ways.
    pub(crate) places: Arc<Semaphore>,
    /// How many places there are in all.
    pub(crate) most_places: usize,
    pub(crate) shop: Shop,
    pub(crate) stop: CancellationToken,
}

/// Lets newcomers in until it is stopped, then waits for those that are being served.
pub(crate) async fn listen(mut listener: Listener, door: Door) {
    let mut served: JoinSet<Option<PeerKey>> = JoinSet::new();
    let counts: Arc<watch::Sender<BTreeMap<PeerKey, usize>>> = Arc::default();
    loop {
        tokio::select! {
            () = door.stop.cancelled() => break,
            Some(_) = served.join_next(), if !served.is_empty() => {}
            accepted = listener.accept() => match accepted {
                Ok(accepted) => drop(served.spawn(let_in(accepted, door.clone(), counts.clone()))),
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

async fn let_in(
    accepted: Accepted,
    door: Door,
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
    // A place is given to members only; who finds none free now is told so before a hello.
    if door.places.available_permits() == 0 {
        fresh.refuse(Reason::Full, NO_PLACE).await;
        return None;
    }
    // A second connection is a comfort: it is given only while there are places for many more.
    let most = if door.places.available_permits() > door.most_places / 2 { CONNECTIONS_EACH } else { 1 };
    let Some(_seat) = Seat::take(key, counts, most) else {
        fresh.refuse(Reason::TooMuch, "no more connections of one newcomer are taken").await;
        return None;
    };
    let mine = Hello {
        version: VERSION,
        agent: AGENT.to_owned(),
        membership: Some(door.membership.borrow().clone()),
        reached_from_elsewhere: None,
    };
    match fresh.greet(mine).await {
        Ok(greeted) => {
            let token = greeted.hello.membership.as_deref();
            match membership::verify(token, door.network, key, clock::unix_now()) {
                Ok(claims) => match door.places.clone().try_acquire_owned() {
                    Ok(place) => work(greeted, &claims, door, place).await,
                    Err(_) => part(greeted.reader, greeted.writer, Reason::Full, NO_PLACE).await,
                },
                Err(error) => {
                    refused(&door, remote, key, &error);
                    part(greeted.reader, greeted.writer, Reason::NotAMember, error.told()).await;
                }
            }
        }
        Err(error @ GreetError::Connection(ConnectionError::Frame(_))) => {
            match door.shop.complaints.strangers.next(clock::now()) {
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

/// Says that a connection was refused for its membership: of a member whose time is wrong, a person should know.
fn refused(door: &Door, remote: SocketAddr, key: PeerKey, error: &MembershipError) {
    let lines = &door.shop.complaints;
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

async fn work(
    greeted: crate::transport::connection::Greeted,
    claims: &membership::Claims,
    door: Door,
    _place: OwnedSemaphorePermit,
) {
    let remote = greeted.remote;
    debug!(%remote, newcomer = claims.username.as_str(), "serving");
    if let Err(error) = serve(greeted, &claims.username, door.shop, door.stop).await {
        debug!(%remote, newcomer = claims.username.as_str(), %error, "stopped serving");
    }
}

/// One of the connections that a newcomer may have.
struct Seat {
    key: PeerKey,
    counts: Arc<watch::Sender<BTreeMap<PeerKey, usize>>>,
}

impl Seat {
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

impl Drop for Seat {
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
