//! The values that pass between the connections to holders, their pool, the writer, the driver and its owner.
//!
//! A command goes to one connection; a connection and the writer answer with events. [`EndReporter`] sends the last
//! event of a connection, and [`ReceiveCounter`] counts the bytes of a fetch; the other types are plain values.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use brigade_core::{
    bitfield::Bitfield,
    content::{Expected, PieceList},
    download::{DownloadError, DownloadId, Event, HolderId},
    geometry::PieceIndex,
    id::{Content, PeerKey},
    name::{FileName, Username},
    wire::{FrameError, Reason},
};
use tokio::sync::{Semaphore, mpsc, watch};

use super::partial::{Part, Parts};
use crate::{
    identity::{key::SecretKey, membership::MembershipError},
    peer::bandwidth::{RateCounter, Traffic},
    store::{
        folder::Folder,
        keeper::KeeperHandle,
        landing::{Landing, Placed},
        part_file::{PartError, PartFile},
    },
    transport::{connection::ConnectionError, dial::DialError, greeting::GreetError},
};

/// What a swarm is made of.
pub(crate) struct SwarmConfig {
    pub(crate) connections: ConnectionConfig,
    /// Connections to other peers at the same time, in both directions.
    pub(crate) max_connections: usize,
    pub(crate) folder: Folder,
    pub(crate) parts: Parts,
    pub(crate) keeper: KeeperHandle,
    /// Decides ties between pieces.
    pub(crate) seed: u64,
}

/// What a peer needs to connect to others.
#[derive(Clone)]
pub(crate) struct ConnectionConfig {
    pub(crate) key: SecretKey,
    /// The manager's key: a holder must be a member of its network.
    pub(crate) network: PeerKey,
    pub(crate) membership: watch::Receiver<String>,
    pub(crate) connection_slots: Arc<Semaphore>,
    pub(crate) traffic: Arc<Traffic>,
}

/// A peer that may hold a content: its key, and its last known name and address.
#[derive(Debug, Clone)]
pub(crate) struct Holder {
    pub(crate) id: HolderId,
    pub(crate) username: Username,
    pub(crate) key: PeerKey,
    pub(crate) address: SocketAddr,
}

/// Which of the connections to a holder one is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ConnectionSlot {
    /// Its own number.
    pub(crate) serial: u64,
    /// Whether it is the second one.
    pub(crate) second: bool,
}

/// A command to the connection to a holder.
#[derive(Debug)]
pub(crate) enum ConnectionCommand {
    Open { download: DownloadId, content: Content },
    Close { download: DownloadId },
    AskList { download: DownloadId, first: u32 },
    Request(WantedPiece),
    Cancel { download: DownloadId, piece: PieceIndex },
    Want { download: DownloadId },
    Decline { offer: u32 },
}

/// A piece to request from a holder, and where it goes when it is complete.
#[derive(Debug)]
pub(crate) struct WantedPiece {
    pub(crate) download: DownloadId,
    pub(crate) content: Content,
    pub(crate) piece: PieceIndex,
    /// The offer that the request accepts, if any.
    pub(crate) offer: Option<u32>,
    /// Its length in bytes, at least 1.
    pub(crate) bytes: u32,
    pub(crate) expected: Expected,
    pub(crate) target: PieceTarget,
    /// Whether the content comes from one holder only, over two connections.
    pub(crate) alone: bool,
    /// Counts its bytes as they arrive.
    pub(crate) received: ReceivedBytes,
}

/// Where a verified piece is written.
#[derive(Debug, Clone)]
pub(crate) enum PieceTarget {
    /// Into the part file of a content of several pieces.
    Part(Arc<Part>),
    /// It is a whole file, with these names.
    Small(Arc<Vec<Landing>>),
}

/// An event of the connection to a holder, or of the writer.
#[derive(Debug)]
pub(crate) enum ConnectionEvent {
    /// An event for the core.
    Core(Event),
    /// The second connection to a holder is established.
    SecondConnected { holder: HolderId, serial: u64 },
    /// A download limit keeps the connection from reading, or does so no more.
    Throttled { holder: HolderId, serial: u64, throttled: bool },
    /// The connection has ended; `greeted` says whether it was ever established. It is the last event.
    Ended { holder: HolderId, serial: u64, greeted: bool, error: Option<ConnectionEndError> },
}

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectionEndError {
    #[error(transparent)]
    Dial(#[from] DialError),
    #[error(transparent)]
    Greet(#[from] GreetError),
    #[error(transparent)]
    Membership(#[from] MembershipError),
    #[error("the holder at {address} is {found}, not {expected}")]
    Name { address: String, expected: Username, found: Username },
    #[error("the holder said goodbye: {0} ({1})")]
    Goodbye(Reason, String),
    #[error("all places for connections are taken (--max)")]
    NoFreeConnection,
    #[error(transparent)]
    Connection(#[from] ConnectionError),
}

impl From<FrameError> for ConnectionEndError {
    fn from(error: FrameError) -> Self {
        Self::Connection(error.into())
    }
}

/// A result of the writer.
#[derive(Debug)]
pub(crate) enum WriteOutcome {
    /// A verified piece could not be written.
    NotWritten { download: DownloadId, error: PartError },
    /// Complete files have their names, or could not get them.
    Landed(Vec<LandResult>),
}

/// The name that a complete content got, or why it did not get it.
#[derive(Debug)]
pub(crate) struct LandResult {
    pub(crate) download: DownloadId,
    pub(crate) content: Content,
    pub(crate) name: FileName,
    pub(crate) placed: Result<Placed, PartError>,
}

/// An open part file, its piece list if that is known, and the verified pieces in it.
#[derive(Debug)]
pub(crate) struct OpenPart {
    pub(crate) file: PartFile,
    pub(crate) list: Option<Arc<PieceList>>,
    pub(crate) have: Bitfield,
}

/// An event for the owner of the swarm.
#[derive(Debug)]
pub(crate) enum SwarmEvent {
    /// A piece is stored, for the first time.
    Stored { content: Content, holder: HolderId, bytes: u64 },
    /// No connected holder can send the missing pieces.
    Starved(Content),
    /// A holder can send the missing pieces again.
    Fed(Content),
    /// The manager named a complete holder.
    HolderNamed(Content),
    /// The content cannot be fetched from any holder.
    Impossible { content: Content, error: DownloadError },
    /// A piece could not be written.
    NotWritten { content: Content, error: PartError },
    /// Complete contents got their names, or did not; they are not active any more.
    Landed(Vec<LandedContent>),
    /// The manager is to be told something.
    Manager(ManagerUpdate),
}

/// What the manager is to be told.
#[derive(Debug)]
pub(crate) enum ManagerUpdate {
    /// The manager is to name the holders of these contents, now and when they change.
    Watch(Vec<Content>),
    /// The manager is to name other holders than before; the number says how often it was asked.
    WatchOthers(Content, u32),
    /// The holders of a content do not matter any more.
    Unwatch(Content),
    /// This peer has a part of a content and serves it.
    Hold(Content),
    /// This peer does not serve the part any more.
    Unhold(Content),
}

/// An input of the swarm.
#[derive(Debug)]
pub(crate) enum SwarmInput {
    Connection(ConnectionEvent),
    Written(WriteOutcome),
}

/// A content that got its name, or did not.
#[derive(Debug)]
pub(crate) struct LandedContent {
    pub(crate) content: Content,
    pub(crate) name: FileName,
    pub(crate) placed: Result<Placed, PartError>,
    /// What it was until now; `None` if it was forgotten before.
    pub(crate) ended: Option<EndedDownload>,
}

/// A download that is not active any more.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EndedDownload {
    /// Bytes and pieces of it that counted as present.
    pub(crate) present: (u64, u64),
    /// Whether it has several pieces: then its part file stays on the disk, unless it has landed.
    pub(crate) is_large: bool,
    /// Whether other peers were served from it.
    pub(crate) is_served: bool,
    /// Whether it is getting its name at this moment; [`SwarmEvent::Landed`] follows.
    pub(crate) is_landing: bool,
}

/// The bytes that arrive for one fetch. Connections add to it, and the progress of the fetch reads it.
#[derive(Debug, Default)]
pub(crate) struct ReceiveCounter {
    /// All bytes that arrived, used or not.
    all: RateCounter,
    unstored_bytes: AtomicU64,
}

/// The bytes of one piece that have arrived. They count as not stored until this is dropped.
#[derive(Debug, Default)]
pub(crate) struct ReceivedBytes {
    counter: Arc<ReceiveCounter>,
    bytes: u64,
}

impl ReceiveCounter {
    /// Bytes a second that arrive now.
    pub(crate) fn rate(&self) -> u64 {
        self.all.rate()
    }

    /// Bytes a second over a longer time; `None` while it is not known.
    pub(crate) fn steady_rate(&self) -> Option<u64> {
        self.all.steady_rate()
    }

    /// Bytes of pieces that have arrived and are not stored.
    pub(crate) fn unstored_bytes(&self) -> u64 {
        self.unstored_bytes.load(Ordering::Relaxed)
    }
}

impl ReceivedBytes {
    /// A piece of which no bytes have arrived.
    pub(crate) const fn new(counter: Arc<ReceiveCounter>) -> Self {
        Self { counter, bytes: 0 }
    }

    /// Counts bytes that have arrived.
    pub(crate) fn add(&mut self, bytes: u64) {
        self.bytes += bytes;
        self.counter.unstored_bytes.fetch_add(bytes, Ordering::Relaxed);
        self.counter.all.add(bytes);
    }
}

impl Drop for ReceivedBytes {
    fn drop(&mut self) {
        self.counter.unstored_bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// Reports the end of a connection in any case, also when its task panicked.
#[derive(Debug)]
pub(crate) struct EndReporter {
    events: mpsc::Sender<ConnectionEvent>,
    holder: HolderId,
    serial: u64,
    /// Whether the connection was ever established.
    pub(crate) greeted: bool,
    reported: bool,
}

impl EndReporter {
    pub(crate) const fn new(events: mpsc::Sender<ConnectionEvent>, holder: HolderId, serial: u64) -> Self {
        Self { events, holder, serial, greeted: false, reported: false }
    }

    /// Reports the end of a connection that did not panic.
    pub(crate) async fn send(mut self, error: Option<ConnectionEndError>) {
        self.reported = true;
        let _ = self.events.send(self.ended(error)).await;
    }

    const fn ended(&self, error: Option<ConnectionEndError>) -> ConnectionEvent {
        ConnectionEvent::Ended { holder: self.holder, serial: self.serial, greeted: self.greeted, error }
    }
}

impl Drop for EndReporter {
    fn drop(&mut self) {
        if !self.reported && std::thread::panicking() {
            let (events, ended) = (self.events.clone(), self.ended(None));
            tokio::spawn(async move { events.send(ended).await });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{ConnectionEvent, EndReporter, HolderId, mpsc};

    #[tokio::test]
    async fn a_connection_that_panics_has_ended_too() {
        let (events, mut sent) = mpsc::channel(1);
        for established in [false, true] {
            let end = EndReporter::new(events.clone(), HolderId(3), 7);
            let connection = tokio::spawn(async move {
                let mut end = end;
                end.greeted = established;
                panic!("as a connection may");
            });
            assert!(connection.await.is_err());
            let ended = sent.recv().await;
            let Some(ConnectionEvent::Ended { holder: HolderId(3), serial: 7, greeted, .. }) = ended else {
                panic!("that is not its end");
            };
            assert_eq!(greeted, established);
        }
        EndReporter::new(events, HolderId(3), 8).send(None).await;
        assert!(matches!(sent.recv().await, Some(ConnectionEvent::Ended { serial: 8, .. })));
        assert!(sent.recv().await.is_none(), "nothing follows");
    }
}
