//! Messages over an encrypted connection: a reader and a writer of frames.
//!
//! A [`Reader`] may be dropped while it waits for a message; nothing is lost. Both are generic over the records below
//! them, so that a test can put its own there; the default is the TLS back end of this build over a TCP socket.

use std::{io, time::Duration};

use brigade_core::{
    limits,
    wire::{
        FrameError, Header, Message, Reason,
        frame::{self, HEADER_BYTES, PIECE_KIND, PieceHeader},
        hello::{Goodbye, Greeting},
    },
};
use tokio::{
    net::tcp::{OwnedReadHalf, OwnedWriteHalf},
    time::{Instant, timeout, timeout_at},
};

use super::tls::{
    backend::{TlsReader, TlsWriter},
    record_io::{RecordReader, RecordWriter},
    records::Records,
};

/// Why a connection ended other than by its proper end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
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
pub struct Reader<R = TlsReader<OwnedReadHalf>> {
    stream: R,
    /// The frame in hand: header and as much of the body as came.
    frame: Vec<u8>,
    /// Data of a piece that the caller has still to take.
    data_bytes: usize,
    /// When a part of the frame in hand was last received; without meaning while there is none.
    received: Instant,
}

impl<R: RecordReader> Reader<R> {
    /// Bytes that are read after a goodbye: those that were on their way when it was sent.
    const DRAIN_BYTES: usize = 4 << 20;

    pub(crate) fn new(stream: R) -> Self {
        Self { stream, frame: Vec::with_capacity(64), data_bytes: 0, received: Instant::now() }
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
        while filled < out.len() && (filled == 0 || self.stream.is_ready()) {
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

    /// Reads and drops up to `bytes` bytes of data; returns how many.
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
                true => timeout_at(self.received + limits::LEASE, chunk)
                    .await
                    .map_err(|_| ConnectionError::Stuck)?,
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
            self.received = Instant::now();
        }
        Ok(true)
    }

    /// Reads and drops what is still received, until the other side ends too: for a second at most, and up to a bound.
    pub async fn drain(mut self) {
        let mut left = Self::DRAIN_BYTES;
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
        let _ = timeout(Duration::from_secs(1), rest).await;
    }

    /// Makes ready for the next frame, and gives back the space of a large one.
    fn recycle(&mut self) {
        self.frame.clear();
        self.frame.shrink_to(4096);
    }
}

/// What is sent to the other end.
#[derive(Debug)]
pub struct Writer<W = TlsWriter<OwnedWriteHalf>> {
    stream: W,
    queued: Vec<u8>,
}

impl<W: RecordWriter> Writer<W> {
    /// Queued messages beyond this many bytes are written without waiting for a flush.
    const QUEUED_BYTES: usize = 16 << 10;

    pub(crate) fn new(stream: W) -> Self {
        Self { stream, queued: vec![] }
    }

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
        self.encrypt_queued()?;
        Ok(self.stream.flush().await?)
    }

    /// Writes everything queued, and after it whole frames that were laid out before; `frames` is empty then. `on_written`
    /// is called for each part of them that the system took, with its size in bytes of plaintext. A connection on which
    /// this was dropped in the middle can only be dropped too.
    pub async fn write_frames(
        &mut self,
        frames: &mut Records,
        on_written: impl FnMut(usize) + Send,
    ) -> Result<(), ConnectionError> {
        self.encrypt_queued()?;
        Ok(self.stream.send(frames, on_written).await?)
    }

    fn encrypt_queued(&mut self) -> Result<(), ConnectionError> {
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
        let _ = timeout(Duration::from_secs(1), farewell).await;
    }
}
