//! The greeting: both sides of an encrypted connection send a hello before any other message.
//!
//! A [`NewConnection`] can only greet or refuse the greeting; after that, [`GreetedConnection`] has a reader and a
//! writer of messages. `wire::greeting` chooses the version of the protocol. If there is no common version, the other
//! side is told.

use std::{io, net::SocketAddr};

use brigade_core::{
    id::PeerKey,
    limits,
    wire::{
        Reason,
        greeting::{Goodbye, Greeting, Hello, NoCommonVersion, VERSION},
    },
};
use tokio::{
    net::tcp::{OwnedReadHalf, OwnedWriteHalf},
    time::{Instant, timeout_at},
};

use super::{
    connection::{ConnectionError, Reader, Writer},
    handshake_slot::HandshakeSlot,
    socket_addresses::Addresses,
    tls::{
        record_traits::Secured,
        selected_backend::{TlsReader, TlsWriter},
    },
};

/// An encrypted connection to a known key before the greeting. It can only greet or refuse the greeting.
#[derive(Debug)]
pub struct NewConnection {
    peer: PeerKey,
    addresses: Addresses,
    reader: Reader,
    writer: Writer,
    /// The end of the time for the greeting.
    deadline: Instant,
    /// The slot of an accepted connection that has not greeted.
    slot: Option<HandshakeSlot>,
}

/// A connection after the greeting, with a version that both sides support.
#[derive(Debug)]
pub struct GreetedConnection {
    /// The key that the other end proved to have.
    pub peer: PeerKey,
    /// The hello of the other end.
    pub hello: Hello,
    /// The version of the protocol that both sides support.
    pub version: u32,
    /// The address of the other end.
    pub remote: SocketAddr,
    /// The address of this end.
    pub local: SocketAddr,
    /// Receives messages.
    pub reader: Reader,
    /// Sends messages.
    pub writer: Writer,
}

/// The error of a greeting that failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GreetError {
    /// The other side sent a goodbye instead.
    #[error("the other side refused the connection: {}", .0.reason.with(&.0.text))]
    Refused(Goodbye),
    /// The other side supports only other versions.
    #[error("the other side has version {} of the protocol, this program {VERSION}", .0.0)]
    Version(NoCommonVersion),
    /// There was no hello in time.
    #[error("no greeting within {} s (less if other connections wait)", limits::GREETING_TIME.as_secs())]
    TimedOut,
    /// The connection failed, or another message than a hello was received.
    #[error("no greeting")]
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

    /// Sends a hello and receives the one of the other side.
    pub async fn greet(self, mine: Hello) -> Result<GreetedConnection, GreetError> {
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
                    let greeted = GreetedConnection { peer, hello, version, remote, local, reader, writer };
                    tracing::debug!(%remote, version = greeted.version, "a connection was greeted");
                    Ok(greeted)
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

    /// Ends the connection with a goodbye instead of a greeting.
    pub async fn refuse(self, goodbye: Goodbye) {
        close_and_drain(self.reader, self.writer, goodbye).await;
    }
}

/// Sends a goodbye while the other side may still be sending, and then reads the data that it sends until it has
/// received the goodbye: a system that closes a connection with unread data resets it, and the goodbye may be lost. It
/// takes at most two seconds.
pub(crate) async fn close_and_drain(reader: Reader, writer: Writer, goodbye: Goodbye) {
    writer.close(goodbye.reason, goodbye.text).await;
    reader.drain().await;
}
