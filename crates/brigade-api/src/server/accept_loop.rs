//! The server: it accepts connections on a local socket, and answers the requests with a router.
//!
//! Connections, the time for a header, and the size of a header are bounded. At the end, requests that are being answered
//! are finished, for at most [`STOP_TIMEOUT`].

use std::{
    convert::Infallible,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use axum::{Router, body::Body, http::Request};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    pin,
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinHandle,
    time::{sleep, timeout},
};
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::TaskTracker,
};
use tower_service::Service;

use crate::local::{LocalListener, LocalStream};

/// Connections at the same time; another one waits.
const CONNECTIONS: usize = 256;

/// How long a client may take to send the header of a request, and how long a connection without requests stays open.
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);

/// Bytes of the header of a request.
const HEADER_BYTES: usize = 64 * 1024;

/// How long the end waits for requests that are being answered.
const STOP_TIMEOUT: Duration = Duration::from_millis(500);

/// The pause after the system could not accept a connection.
const PAUSE: Duration = Duration::from_millis(100);

/// A server on a local socket, until it is stopped or dropped.
#[derive(Debug)]
pub struct ApiServer {
    path: PathBuf,
    /// Accepts connections, and removes the socket when it ends.
    accepting: JoinHandle<()>,
    connections: TaskTracker,
    stop: DropGuard,
}

impl ApiServer {
    /// Serves a router on a socket, in tasks of the current runtime.
    pub fn start(listener: LocalListener, router: Router) -> Self {
        let stop = CancellationToken::new();
        let connections = TaskTracker::new();
        let path = listener.path().to_owned();
        let accepting = tokio::spawn(accept(listener, router, connections.clone(), stop.clone()));
        Self { path, accepting, connections, stop: stop.drop_guard() }
    }

    /// The path of its socket.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Ends it: the socket is removed, and requests that are being answered are finished, for at most half a second. The
    /// events end when the peer or the manager stops; so that comes first.
    pub async fn stop(self) {
        let Self { accepting, connections, stop, .. } = self;
        drop(stop); // cancels
        drop(accepting.await);
        connections.close();
        if timeout(STOP_TIMEOUT, connections.wait()).await.is_err() {
            tracing::debug!("local clients did not end in time");
        }
    }
}

async fn accept(
    mut listener: LocalListener,
    router: Router,
    connections: TaskTracker,
    stop: CancellationToken,
) {
    let permits = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let next = async {
            let permit = permits.clone().acquire_owned().await.ok();
            (permit, listener.accept().await)
        };
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = next => accepted,
        };
        match accepted {
            (Some(permit), Ok(stream)) => {
                connections.spawn(answer(stream, router.clone(), permit, stop.clone()));
            }
            (_, Err(error)) => {
                tracing::debug!(%error, "no local client can be accepted");
                sleep(PAUSE).await;
            }
            (None, Ok(_)) => return,
        }
    }
}

/// Answers the requests of one connection until the client closes it, or the server stops.
async fn answer(stream: LocalStream, router: Router, _permit: OwnedSemaphorePermit, stop: CancellationToken) {
    let service = service_fn(|request: Request<Incoming>| {
        let mut router = router.clone();
        async move {
            let Ok(response) = Service::call(&mut router, request.map(Body::new)).await;
            Ok::<_, Infallible>(response)
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(HEADER_BYTES)
        .serve_connection(TokioIo::new(stream), service);
    pin!(connection);
    let result = tokio::select! {
        result = connection.as_mut() => result,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            match timeout(STOP_TIMEOUT, connection).await {
                Ok(result) => result,
                Err(_) => return,
            }
        }
    };
    if let Err(error) = result {
        tracing::debug!(%error, "the connection of a local client broke");
    }
}
