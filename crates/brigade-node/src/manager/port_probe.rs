//! Connects to a port of a peer on its request, so that the peer learns whether other machines reach it.
//!
//! Only the address is used from which the session comes, so nobody makes the manager connect to a third machine. One
//! connection is opened, and closed at once; nothing is sent on it. The number of probes at one time is bounded for all
//! sessions together, and a session has one at a time (`session.rs`).

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use brigade_core::wire::manager::{Probe, Probed};
use tokio::{net::TcpStream, sync::Semaphore, time::timeout};

/// How long the peer's machine may take to answer: two lost packets are sent again within it.
const CONNECT_TIME: Duration = Duration::from_secs(4);

/// Probes at one time, for all sessions: each needs a descriptor for up to [`CONNECT_TIME`].
pub(super) const PROBES: usize = 16;

/// Answers the probes of one session.
#[derive(Debug)]
pub(super) struct PortProbe {
    /// The address from which the session comes.
    pub(super) remote: SocketAddr,
    /// The permits that all sessions share.
    pub(super) permits: Arc<Semaphore>,
}

impl PortProbe {
    /// Tries to connect to the port, for at most [`CONNECT_TIME`].
    pub(super) async fn answer(&self, probe: &Probe) -> Probed {
        let mut address = self.remote;
        address.set_port(probe.port);
        let connected = match self.permits.try_acquire() {
            Err(_) => Err(io::Error::other("the manager tests too many ports now; ask again later")),
            Ok(_) if probe.port == 0 => Err(io::Error::other("0 is not a port")),
            Ok(_permit) => match timeout(CONNECT_TIME, TcpStream::connect(address)).await {
                Ok(connected) => connected.map(drop),
                Err(_) => Err(io::Error::other(format!("no answer within {} s", CONNECT_TIME.as_secs()))),
            },
        };
        let failure = connected.err().map(|error| error.to_string());
        Probed { question: probe.question, address: address.to_string(), failure }
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::{Arc, PROBES, PortProbe, Probe, Semaphore};

    #[tokio::test]
    async fn a_port_is_open_closed_or_not_tested() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let open = listener.local_addr().unwrap();
        let probe = PortProbe { remote: open, permits: Arc::new(Semaphore::new(PROBES)) };
        let ask = |port| Probe { question: 7, port };
        let answer = probe.answer(&ask(open.port())).await;
        assert_eq!((answer.question, answer.address, answer.failure), (7, open.to_string(), None));
        drop(listener);
        assert!(probe.answer(&ask(open.port())).await.failure.is_some());
        assert_eq!(probe.answer(&ask(0)).await.failure.as_deref(), Some("0 is not a port"));
        let none = PortProbe { permits: Arc::new(Semaphore::new(0)), ..probe };
        assert!(none.answer(&ask(open.port())).await.failure.unwrap().contains("too many ports"));
    }
}
