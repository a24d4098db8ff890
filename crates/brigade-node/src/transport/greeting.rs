//! The greeting: both sides of an encrypted connection say hello before anything else.
//!
//! [`NewConnection`] can only greet, or refuse to; after that, [`Greeted`] has a reader and a writer of messages. Which
//! version of the protocol is spoken is decided in `wire::hello`, and what is refused is told to the other side.

use std::{io, net::SocketAddr};

use brigade_core::{
    id::PeerKey,
    limits,
    wire::{
        Reason,
        hello::{Goodbye, Greeting, Hello, NoCommonVersion, VERSION},
    },
};
use tokio::{
    net::tcp::{OwnedReadHalf, OwnedWriteHalf},
    time::{Instant, timeout_at},
};

use super::{
    connection::{ConnectionError, Reader, Writer},
    handshake_slot::HandshakeSlot,
    socket::Addresses,
    tls::{
        backend::{TlsReader, TlsWriter},
        record_io::Secured,
    },
};

/// An encrypted connection to a known key before the greeting. All it can do is greet, or refuse to.
#[derive(Debug)]
pub struct NewConnection {
    peer: PeerKey,
    addresses: Addresses,
    reader: Reader,
    writer: Writer,
    /// Until when the greeting must be done.
    deadline: Instant,
    /// Of an accepted connection: its slot among those that have not greeted.
    slot: Option<HandshakeSlot>,
}

/// A connection whose other end said hello, with a version that both speak.
#[derive(Debug)]
pub struct Greeted {
    /// The key that the other end proved to have.
    pub peer: PeerKey,
    /// What it said.
    pub hello: Hello,
    /// The version of the protocol that both speak.
    pub version: u32,
    /// Its address.
    pub remote: SocketAddr,
    /// The address here.
    pub local: SocketAddr,
    /// What it sends.
    pub reader: Reader,
    /// What is sent to it.
    pub writer: Writer,
}

/// Why a greeting did not come about.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GreetError {
    /// The other side said goodbye instead.
    #[error("the other side refused the connection: {}", .0.reason.with(&.0.text))]
    Refused(Goodbye),
    /// The other side speaks only versions that are not spoken here.
    #[error("the other side speaks version {} of the protocol, this program {VERSION}", .0.0)]
    Version(NoCommonVersion),
    /// It did not come in time.
    #[error("no greeting came in time (within {} s, less where others wait)", limits::GREETING_TIME.as_secs())]
    TimedOut,
    /// The connection broke, or something else than a hello came.
    #[error("no greeting came")]
    Connection(#[from] ConnectionError),
}

impl NewConnection {
    pub(crate) fn new(
        secured: Secured<TlsReader<OwnedReadHalf>, TlsWriter<OwnedWriteHalf>>,
        addresses: Addresses,
        deadline: Instant,
        slot: Option<HandshakeSlot>,
    ) -> io::Result<Self> {
        let Secured { reader, writer, peer } = secured;
        let peer = peer.ok_or_else(|| io::Error::other("the other side showed no key"))?;
        let (reader, writer) = (Reader::new(reader), Writer::new(writer));
        Ok(Self { peer, addresses, reader, writer, deadline, slot })
    }

    /// The key that the other end proved to have.
    pub fn peer(&self) -> PeerKey {
        self.peer
    }

    /// Says hello and hears the other side's.
    pub async fn greet(self, mine: Hello) -> Result<Greeted, GreetError> {
        let Self { peer, addresses, mut reader, mut writer, deadline, mut slot } = self;
        let exchange = async {
            writer.send(&Greeting::Hello(mine)).await?;
            writer.flush().await?;
            reader.next::<Greeting>().await
        };
        let slot_is_over = async {
            match &mut slot {
                Some(slot) => slot.is_over().await,
                None => std::future::pending().await,
            }
        };
        let exchanged = tokio::select! {
            exchanged = timeout_at(deadline, exchange) => exchanged,
            () = slot_is_over => return Err(GreetError::TimedOut),
        };
        let answer = match exchanged {
            Err(_) => return Err(GreetError::TimedOut),
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => {
                if let Some(goodbye) = error.goodbye() {
                    close_and_drain(reader, writer, goodbye).await;
                }
                return Err(error.into());
            }
        };
        match answer {
            Some(Greeting::Hello(hello)) => match hello.common_version() {
                Ok(version) => {
                    let Addresses { remote, local } = addresses;
                    Ok(Greeted { peer, hello, version, remote, local, reader, writer })
                }
                Err(error) => {
                    let goodbye = Goodbye { reason: Reason::Version, text: error.to_string() };
                    close_and_drain(reader, writer, goodbye).await;
                    Err(GreetError::Version(error))
                }
            },
            Some(Greeting::Goodbye(goodbye)) => Err(GreetError::Refused(goodbye)),
            None => Err(ConnectionError::Io(io::ErrorKind::UnexpectedEof.into()).into()),
        }
    }

    /// Ends the connection with a reason instead of greeting.
    pub async fn refuse(self, goodbye: Goodbye) {
        close_and_drain(self.reader, self.writer, goodbye).await;
    }
}

/// Says goodbye while the other side may still be sending, and reads what was sent before it is heard: a system that
/// closes a connection with unread data on it breaks it off, and the goodbye may be lost. It takes two seconds at most.
pub(crate) async fn close_and_drain(reader: Reader, writer: Writer, goodbye: Goodbye) {
    writer.close(goodbye.reason, goodbye.text).await;
    reader.drain().await;
}
