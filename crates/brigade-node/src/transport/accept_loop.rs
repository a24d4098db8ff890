//! The loop that accepts connections, the same for a manager and a peer.
//!
//! Each connection has a task, which does the handshake, greets and then calls a [`ConnectionHandler`]. If the system
//! lacks a resource, such as open files, the loop pauses and tries again.

use std::{error::Error, io, net::SocketAddr, sync::Arc, time::Duration};

use brigade_core::{
    id::PeerKey,
    wire::{
        Reason,
        greeting::{Goodbye, Hello},
    },
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

use super::{
    breach_log::{BreachLog, RemoteRole},
    connection::ConnectionError,
    greeting::{GreetError, GreetedConnection},
    port_listener::{AcceptedConnection, PortListener},
};

/// The limit on connections that are being greeted, or that their handler has not accepted or refused yet. The handler
/// has its own limit on the connections that it has accepted.
pub(crate) const ENTERING: usize = 128;

/// The pause after an error of accepting.
const PAUSE: Duration = Duration::from_millis(100);

/// The time for greetings that are not finished at a stop. A connection that finishes its greeting in time gets a
/// goodbye.
const GREETING_GRACE: Duration = Duration::from_millis(500);

/// A source of accepted connections.
pub(crate) trait Accept: Send {
    /// Waits for the next connection. The future may be dropped and the method called again.
    fn accept(&mut self) -> impl Future<Output = io::Result<AcceptedConnection>> + Send;
}

impl Accept for PortListener {
    async fn accept(&mut self) -> io::Result<AcceptedConnection> {
        Self::accept(self).await
    }
}

/// Handles the connections that were accepted.
pub(crate) trait ConnectionHandler: Clone + Send + Sync + 'static {
    /// The resource that a connection reserves before its greeting and releases at its end.
    type Reserved: Send;

    /// The hello for a connection with this key, or the goodbye if the connection is refused.
    fn before_greeting(&self, peer: PeerKey) -> Result<(Self::Reserved, Hello), Goodbye>;

    /// Serves a connection until its end. Drop `entering` as soon as the connection is accepted or refused.
    fn serve(
        self,
        greeted: GreetedConnection,
        reserved: Self::Reserved,
        entering: OwnedSemaphorePermit,
    ) -> impl Future<Output = ()> + Send;
}

/// Accepts connections until `stop`, closes the socket and waits for the connections to end.
pub(crate) async fn accept_loop(
    mut socket: impl Accept,
    handler: impl ConnectionHandler,
    breaches: Arc<BreachLog>,
    stop: CancellationToken,
) {
    let entering = Arc::new(Semaphore::new(ENTERING));
    let mut connections = JoinSet::new();
    loop {
        let accepted = async {
            let permit = entering.clone().acquire_owned().await.map_err(io::Error::other)?;
            socket.accept().await.map(|accepted| (accepted, permit))
        };
        tokio::select! {
            () = stop.cancelled() => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            accepted = accepted => match accepted {
                Ok((accepted, permit)) => {
                    let (handler, breaches, stop) = (handler.clone(), breaches.clone(), stop.clone());
                    connections.spawn(greet_and_serve(accepted, handler, permit, breaches, stop));
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(PAUSE).await;
                }
            },
        }
    }
    drop(socket);
    while connections.join_next().await.is_some() {}
}

async fn greet_and_serve<H: ConnectionHandler>(
    accepted: AcceptedConnection,
    handler: H,
    entering: OwnedSemaphorePermit,
    breaches: Arc<BreachLog>,
    stop: CancellationToken,
) {
    let remote = accepted.remote();
    let out_of_grace = async {
        stop.cancelled().await;
        tokio::time::sleep(GREETING_GRACE).await;
    };
    let greeted = tokio::select! {
        greeted = greet(accepted, &handler) => greeted,
        () = out_of_grace => return,
    };
    match greeted {
        Ok(Some((greeted, reserved))) => handler.serve(greeted, reserved, entering).await,
        Ok(None) => {}
        Err(error) => not_greeted(remote, &error, &breaches),
    }
}

/// Does the handshake and greets. Returns `None` if the connection was refused before the greeting.
async fn greet<H: ConnectionHandler>(
    accepted: AcceptedConnection,
    handler: &H,
) -> Result<Option<(GreetedConnection, H::Reserved)>, GreetError> {
    let connection = accepted.handshake().await.map_err(ConnectionError::Io)?;
    match handler.before_greeting(connection.peer()) {
        Ok((reserved, hello)) => Ok(Some((connection.greet(hello).await?, reserved))),
        Err(goodbye) => {
            connection.refuse(goodbye).await;
            Ok(None)
        }
    }
}

/// Logs a failed greeting. Port scanners connect to every open port, so only a client that finishes the TLS handshake
/// and then breaks the protocol is worth a line.
fn not_greeted(remote: SocketAddr, error: &GreetError, breaches: &BreachLog) {
    match error {
        GreetError::Connection(breach @ ConnectionError::Frame(_)) => {
            breaches.broke(RemoteRole::Unknown, None, remote, Reason::Protocol, breach);
        }
        _ => tracing::debug!(%remote, error = error as &dyn Error, "a connection was not greeted"),
    }
}

#[cfg(test)]
mod tests {
    use brigade_core::{
        id::PeerKey,
        wire::{
            Reason,
            greeting::{Goodbye, Hello},
            manager::FromManager,
        },
    };
    use tokio::sync::OwnedSemaphorePermit;
    use tokio_util::sync::CancellationToken;

    use super::{ConnectionHandler, GreetedConnection, PortListener, accept_loop};
    use crate::{
        identity::key::SecretKey,
        transport::{dial::dial, own_hello::own_hello},
    };

    /// A handler that ends each connection with a goodbye.
    #[derive(Clone)]
    struct SaysGoodbye;

    impl ConnectionHandler for SaysGoodbye {
        type Reserved = ();

        fn before_greeting(&self, _: PeerKey) -> Result<((), Hello), Goodbye> {
            Ok(((), own_hello(None)))
        }

        async fn serve(self, greeted: GreetedConnection, (): (), _: OwnedSemaphorePermit) {
            greeted.writer.close(Reason::Stopping, "").await;
        }
    }

    #[tokio::test]
    async fn a_greeting_that_is_under_way_at_a_stop_is_finished() {
        let (key, stop) = (SecretKey::generate(), CancellationToken::new());
        let acceptor = PortListener::bind(&[([127, 0, 0, 1], 0).into()], &key).await.unwrap();
        let addresses = [acceptor.address()];
        let accepting = tokio::spawn(accept_loop(acceptor, SaysGoodbye, Default::default(), stop.clone()));
        let connection = dial(&addresses, &SecretKey::generate(), Some(key.public())).await.unwrap();
        stop.cancel();
        tokio::task::yield_now().await;
        let mut greeted = connection.greet(own_hello(None)).await.unwrap();
        let last = greeted.reader.next::<FromManager>().await.unwrap();
        assert!(matches!(last, Some(FromManager::Goodbye(goodbye)) if goodbye.reason == Reason::Stopping));
        accepting.await.unwrap();
    }
}
