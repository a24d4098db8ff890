//! A connection to a key: first only able to greet, then a reader and a writer of messages.
//! A [`Reader`] may be dropped while it waits for a message; nothing is lost.

use std::{io, net::SocketAddr};

use brigade_core::{
    id::PeerKey,
    limits,
    wire::{
        FrameError, Header, Message, Reason,
        frame::{self, HEADER_BYTES, PIECE_KIND, PieceHeader},
        hello::{Goodbye, Greeting, Hello},
    },
};
use tokio::{
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    time::{Instant, timeout_at},
};

use super::{
    accept::Turn,
    tls::{handshake::Secured, inbound::Inbound, outbound::Outbound, records::Records},
};

/// An encrypted connection to a known key that nobody has greeted. All it can do is greet, or refuse to.
#[derive(Debug)]
pub struct Fresh {
    peer: PeerKey,
    remote: SocketAddr,
    local: SocketAddr,
    reader: Reader,
    writer: Writer,
    /// Until when the greeting must be done.
    deadline: Instant,
    /// Of one that was accepted: its place among those that have not greeted.
    turn: Option<Turn>,
}

/// A connection whose other end said hello in a version that both speak.
#[derive(Debug)]
pub struct Greeted {
    /// The key that the other end proved to have.
    pub peer: PeerKey,
    /// What it said.
    pub hello: Hello,
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
pub enum GreetError {
    /// The other side said goodbye instead.
    #[error("the other side refused the connection: {}", .0.reason.with(&.0.text))]
    Refused(Goodbye),
    /// The other side speaks only versions that are not spoken here.
    #[error(
        "the other side speaks version {theirs} of the protocol, this program {}",
        brigade_core::wire::hello::VERSION
    )]
    Version {
        /// The highest version it speaks.
        theirs: u32,
    },
    /// It did not come in time.
    #[error("no greeting came in time (within {} s, less where others wait)", limits::GREETING_TIME.as_secs())]
    TimedOut,
    /// The connection broke, or something else than a hello came.
    #[error("no greeting came")]
    Connection(#[from] ConnectionError),
}

/// Why a connection ended other than by its proper end.
#[derive(Debug, thiserror::Error)]
pub enum ConnectionError {
    /// The network, or TLS.
    #[error("the connection broke")]
    Io(#[from] io::Error),
    /// What came is against the protocol.
    #[error("the other side broke the protocol: {0}")]
    Frame(#[from] FrameError),
    /// A part of a frame came, and then nothing.
    #[error("the other side sent a part of a frame and then nothing for {} s", limits::LEASE.as_secs())]
    Stuck,
}

impl ConnectionError {
    /// What the other side is told in farewell; `None` where it cannot be told anything any more.
    pub fn goodbye(&self) -> Option<Goodbye> {
        let (reason, text) = match self {
            Self::Io(_) => return None,
            Self::Frame(error) => (Reason::Protocol, error.to_string()),
            Self::Stuck => (Reason::Silent, format!("half a frame came: {}", Reason::Silent)),
        };
        Some(Goodbye { reason, text })
    }
}

impl Fresh {
    pub(crate) fn new(
        secured: Secured<TcpStream>,
        deadline: Instant,
        turn: Option<Turn>,
    ) -> io::Result<Self> {
        let Secured { stream, sealer, opener, unread, peer } = secured;
        let (remote, local) = (canonical(stream.peer_addr()?), canonical(stream.local_addr()?));
        let peer = peer.ok_or_else(|| io::Error::other("the other side showed no key"))?;
        let (read, write) = stream.into_split();
        let reader = Reader::new(Inbound::new(read, opener, unread));
        let writer = Writer { stream: Outbound::new(write, sealer), queued: vec![] };
        Ok(Self { peer, remote, local, reader, writer, deadline, turn })
    }

    /// The key that the other end proved to have.
    pub fn peer(&self) -> PeerKey {
        self.peer
    }

    /// Says hello and hears the other side's.
    pub async fn greet(self, mine: Hello) -> Result<Greeted, GreetError> {
        let Self { peer, remote, local, mut reader, mut writer, deadline, mut turn } = self;
        let exchange = async {
            writer.send(&Greeting::Hello(mine)).await?;
            writer.flush().await?;
            reader.next::<Greeting>().await
        };
        let turn_is_over = async {
            match &mut turn {
                Some(turn) => turn.is_over().await,
                None => std::future::pending().await,
            }
        };
        let exchanged = tokio::select! {
            exchanged = timeout_at(deadline, exchange) => exchanged,
            () = turn_is_over => return Err(GreetError::TimedOut),
        };
        let answer = match exchanged {
            Err(_) => return Err(GreetError::TimedOut),
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => {
                if let Some(goodbye) = error.goodbye() {
                    part(reader, writer, goodbye.reason, goodbye.text).await;
                }
                return Err(error.into());
            }
        };
        match answer {
            Some(Greeting::Hello(hello)) if hello.common_version().is_some() => {
                Ok(Greeted { peer, hello, remote, local, reader, writer })
            }
            Some(Greeting::Hello(hello)) => {
                let text = format!("version {} is not spoken here", hello.version);
                part(reader, writer, Reason::Version, text).await;
                Err(GreetError::Version { theirs: hello.version })
            }
            Some(Greeting::Goodbye(goodbye)) => Err(GreetError::Refused(goodbye)),
            None => Err(ConnectionError::Io(io::ErrorKind::UnexpectedEof.into()).into()),
        }
    }

    /// Ends the connection with a reason instead of greeting.
    pub async fn refuse(self, reason: Reason, text: impl Into<String>) {
        part(self.reader, self.writer, reason, text).await;
    }
}

/// Says goodbye to one who may still be sending, and reads past that: a system that closes a connection with
/// something unread on it breaks it off, and the goodbye may be lost. It takes two seconds at most.
pub async fn part(reader: Reader, writer: Writer, reason: Reason, text: impl Into<String>) {
    writer.close(reason, text).await;
    reader.run_out().await;
}

/// One frame, as far as it is read at once.
#[derive(Debug)]
pub enum Incoming<M> {
    /// A message.
    Message(M),
    /// The header of piece data; `bytes` of data follow and are to be taken with [`Reader::data`].
    Piece {
        /// What the data answers, and where it belongs.
        header: PieceHeader,
        /// How much follows.
        bytes: usize,
    },
}

/// What the other end sends.
#[derive(Debug)]
pub struct Reader {
    stream: Inbound<OwnedReadHalf>,
    /// The frame in hand: header and as much of the body as came.
    frame: Vec<u8>,
    /// Data of a piece that the caller has still to take.
    data_bytes: usize,
    /// When something of the frame in hand came last; of no meaning while there is none.
    heard: Instant,
}

impl Reader {
    /// Bytes that are read past after a goodbye: what was on its way when it was said.
    const RUN_OUT_BYTES: usize = 4 << 20;

    fn new(stream: Inbound<OwnedReadHalf>) -> Self {
        Self { stream, frame: Vec::with_capacity(64), data_bytes: 0, heard: Instant::now() }
    }

    /// The next message; `None` at the connection's proper end. Piece data is against the protocol here.
    pub async fn next<M: Message>(&mut self) -> Result<Option<M>, ConnectionError> {
        match self.next_frame().await? {
            Some(Incoming::Message(message)) => Ok(Some(message)),
            Some(Incoming::Piece { .. }) => Err(FrameError::UnknownKind(PIECE_KIND).into()),
            None => Ok(None),
        }
    }

    /// The next message, or the header of piece data; `None` at the connection's proper end.
    pub async fn next_frame<M: Message>(&mut self) -> Result<Option<Incoming<M>>, ConnectionError> {
        assert!(self.data_bytes == 0, "the data of the last piece was not taken");
        loop {
            if !self.fill(HEADER_BYTES).await? {
                return Ok(None);
            }
            let Some(header) = Header::parse(&self.frame)? else { continue };
            if header.kind == PIECE_KIND {
                return self.piece(header).await.map(Some);
            }
            self.fill(HEADER_BYTES + header.body_bytes).await?;
            let message = M::decode(header.kind, &self.frame[HEADER_BYTES..]);
            self.recycle();
            if let Some(message) = message? {
                return Ok(Some(Incoming::Message(message)));
            }
        }
    }

    async fn piece<M>(&mut self, header: Header) -> Result<Incoming<M>, ConnectionError> {
        self.fill(HEADER_BYTES + header.body_bytes.min(8)).await?;
        let (piece, _) = PieceHeader::parse(&self.frame[HEADER_BYTES..])?;
        self.recycle();
        self.data_bytes = header.body_bytes - 8;
        Ok(Incoming::Piece { header: piece, bytes: self.data_bytes })
    }

    /// Reads on into `out` of the data that [`Incoming::Piece`] announced: what is there, at least a byte; how much. It may
    /// be dropped and called again.
    ///
    /// # Panics
    /// Where `out` is empty, or longer than what is left.
    pub async fn data(&mut self, out: &mut [u8]) -> Result<usize, ConnectionError> {
        assert!(!out.is_empty() && out.len() <= self.data_bytes);
        let mut filled = 0;
        while filled < out.len() && (filled == 0 || self.stream.is_at_hand()) {
            let chunk = self.stream.chunk().await?;
            if chunk.is_empty() {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
            }
            let count = chunk.len().min(out.len() - filled);
            out[filled..filled + count].copy_from_slice(&chunk[..count]);
            self.stream.take(count);
            filled += count;
            self.data_bytes -= count;
        }
        Ok(filled)
    }

    /// Reads past up to `bytes` of data that nobody wants any more; how much.
    pub async fn skip_data(&mut self, bytes: usize) -> Result<usize, ConnectionError> {
        let mut waste = [0; 4096];
        let count = bytes.min(waste.len());
        self.data(&mut waste[..count]).await
    }

    /// Reads until the frame has `bytes` bytes; false at the proper end of the connection, between two frames.
    async fn fill(&mut self, bytes: usize) -> Result<bool, ConnectionError> {
        while self.frame.len() < bytes {
            let begun = !self.frame.is_empty();
            let chunk = self.stream.chunk();
            // Between two frames there may be silence; in the middle of one there is nothing to wait for.
            let chunk = match begun {
                true => {
                    timeout_at(self.heard + limits::LEASE, chunk).await.map_err(|_| ConnectionError::Stuck)?
                }
                false => chunk.await,
            }?;
            if chunk.is_empty() {
                return if begun {
                    Err(io::Error::from(io::ErrorKind::UnexpectedEof).into())
                } else {
                    Ok(false)
                };
            }
            // Exactly what is missing, never more: what follows may be data that belongs elsewhere. The length
            // was judged against its limit before this, and space is taken only as bytes come.
            let count = chunk.len().min(bytes - self.frame.len());
            self.frame.extend_from_slice(&chunk[..count]);
            self.stream.take(count);
            self.heard = Instant::now();
        }
        Ok(true)
    }

    /// Reads past what still comes, until the other side ends too: for a second, and not for ever much.
    pub async fn run_out(mut self) {
        let mut left = Self::RUN_OUT_BYTES;
        let rest = async {
            while left > 0 {
                let Ok(chunk) = self.stream.chunk().await else { return };
                let count = chunk.len();
                if count == 0 {
                    return;
                }
                self.stream.take(count);
                left = left.saturating_sub(count);
            }
        };
        let _ = tokio::time::timeout(std::time::Duration::from_secs(1), rest).await;
    }

    /// Makes ready for the next frame, and gives back the space of a large one.
    fn recycle(&mut self) {
        self.frame.clear();
        self.frame.shrink_to(4096);
    }
}

/// What is sent to the other end.
#[derive(Debug)]
pub struct Writer {
    stream: Outbound<OwnedWriteHalf>,
    queued: Vec<u8>,
}

impl Writer {
    /// Queued messages beyond this many bytes are written without waiting for a flush.
    const QUEUED_BYTES: usize = 16 << 10;

    /// Queues `message`; it goes out at the next flush, or before where much is queued.
    pub async fn send<M: Message>(&mut self, message: &M) -> Result<(), ConnectionError> {
        if self.queue(message) { self.flush().await } else { Ok(()) }
    }

    /// Queues `message` without writing anything; whether so much is queued that it is to be flushed.
    pub fn queue<M: Message>(&mut self, message: &M) -> bool {
        frame::encode(message, &mut self.queued);
        self.queued.len() >= Self::QUEUED_BYTES
    }

    /// Writes everything queued.
    pub async fn flush(&mut self) -> Result<(), ConnectionError> {
        self.seal_queued()?;
        Ok(self.stream.flush().await?)
    }

    /// Writes everything queued, and after it whole frames that were laid out before; `frames` is empty then. `went` hears
    /// of each part of them that the system took, in bytes of plaintext. A connection on which this was dropped in the
    /// middle can only be dropped too.
    pub async fn write_frames(
        &mut self,
        frames: &mut Records,
        went: impl FnMut(usize),
    ) -> Result<(), ConnectionError> {
        self.seal_queued()?;
        Ok(self.stream.send(frames, went).await?)
    }

    fn seal_queued(&mut self) -> Result<(), ConnectionError> {
        self.stream.put(&self.queued)?;
        self.queued.clear();
        self.queued.shrink_to(Self::QUEUED_BYTES);
        Ok(())
    }

    /// Says goodbye and ends this direction; errors no longer matter. It takes a second at most.
    pub async fn close(mut self, reason: Reason, text: impl Into<String>) {
        let mut text = text.into();
        text.truncate(text.floor_char_boundary(limits::TEXT_BYTES));
        let farewell = async {
            self.send(&Greeting::Goodbye(Goodbye { reason, text })).await?;
            self.flush().await?;
            self.stream.shutdown().await?;
            Ok::<(), ConnectionError>(())
        };
        let _ = tokio::time::timeout(std::time::Duration::from_secs(1), farewell).await;
    }
}

/// An IPv4 address that came in over an IPv6 socket is written as IPv4.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}
