//! Messages over an encrypted connection: a reader and a writer of frames.
//!
//! The future of a [`Reader`]'s method may be dropped while it waits for a message; nothing is lost. Both types are
//! generic over the records below them, so that a test can use its own. The default is the TLS back end of this build
//! over a TCP socket.

use std::{io, time::Duration};

use brigade_core::{
    limits,
    wire::{
        FrameError, Header, Message, Reason,
        frame::{self, HEADER_BYTES, PIECE_KIND, PieceHeader},
        greeting::{Goodbye, Greeting},
    },
};
use tokio::{
    net::tcp::{OwnedReadHalf, OwnedWriteHalf},
    time::{Instant, timeout, timeout_at},
};

use super::tls::{
    record_buffer::RecordBuffer,
    record_traits::{RecordReader, RecordWriter},
    selected_backend::{TlsReader, TlsWriter},
};

/// The error of a connection that did not end properly.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectionError {
    /// An error of the network, or of TLS.
    #[error("the connection broke")]
    Io(#[from] io::Error),
    /// A frame or message that the protocol does not allow was received.
    #[error("the other side broke the protocol: {0}")]
    Frame(#[from] FrameError),
    /// A part of a frame was received, and then nothing.
    #[error("the other side sent part of a frame and then nothing for {} s", limits::LEASE.as_secs())]
    Stuck,
}

impl ConnectionError {
    /// The goodbye for the other side; `None` if nothing can be sent any more.
    pub fn goodbye(&self) -> Option<Goodbye> {
        let (reason, text) = match self {
            Self::Io(_) => return None,
            Self::Frame(error) => (Reason::Protocol, error.to_string()),
            Self::Stuck => (Reason::Silent, format!("incomplete frame: {}", Reason::Silent)),
        };
        Some(Goodbye { reason, text })
    }
}

/// A frame: a message, or the header of one with piece data.
#[derive(Debug)]
pub enum Incoming<M> {
    /// A message.
    Message(M),
    /// The header of piece data; the next `bytes` bytes are its data and must be taken with [`Reader::data`].
    Piece {
        /// The request that the data answers, and its offset.
        header: PieceHeader,
        /// The number of bytes of data.
        bytes: usize,
    },
}

/// The reading half of a connection.
#[derive(Debug)]
pub struct Reader<R = TlsReader<OwnedReadHalf>> {
    stream: R,
    /// The current frame: its header, and the part of its body that was received.
    frame: Vec<u8>,
    /// The bytes of piece data that the caller must still take.
    data_bytes: usize,
    /// The time when a part of the current frame was last received; without meaning if there is no frame.
    received: Instant,
}

impl<R: RecordReader> Reader<R> {
    /// The limit on bytes that are read after a goodbye: they were in flight when it was sent.
    const DRAIN_BYTES: usize = 4 << 20;

    pub(crate) fn new(stream: R) -> Self {
        Self { stream, frame: Vec::with_capacity(64), data_bytes: 0, received: Instant::now() }
    }

    /// The next message; `None` at the connection's proper end. Piece data is an error here.
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

    /// Reads data of the piece that [`Incoming::Piece`] announced into `out`: the available part, at least a byte.
    /// Returns the number of bytes. The future may be dropped and the method called again.
    ///
    /// # Panics
    /// If `out` is empty, or longer than the rest of the data.
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

    /// Reads and discards up to `bytes` bytes of data. Returns their number.
    pub async fn skip_data(&mut self, bytes: usize) -> Result<usize, ConnectionError> {
        let mut discarded = [0; 4096];
        let count = bytes.min(discarded.len());
        self.data(&mut discarded[..count]).await
    }

    /// Reads until the frame has `bytes` bytes; false at the proper end of the connection, between two frames.
    async fn fill(&mut self, bytes: usize) -> Result<bool, ConnectionError> {
        while self.frame.len() < bytes {
            let begun = !self.frame.is_empty();
            let chunk = self.stream.chunk();
            // Between two frames the other side may be silent, but not within a frame.
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
            // Exactly the missing bytes: the next ones may be piece data, which goes to another buffer. The length was
            // checked against its limit before, and space is allocated only for received bytes.
            let count = chunk.len().min(bytes - self.frame.len());
            self.frame.extend_from_slice(&chunk[..count]);
            self.stream.take(count);
            self.received = Instant::now();
        }
        Ok(true)
    }

    /// Reads and discards all bytes until the other side ends too, for at most a second and up to a limit.
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

    /// Prepares for the next frame, and frees the space of a large one.
    fn recycle(&mut self) {
        self.frame.clear();
        self.frame.shrink_to(4096);
    }
}

/// The writing half of a connection.
#[derive(Debug)]
pub struct Writer<W = TlsWriter<OwnedWriteHalf>> {
    stream: W,
    queued: Vec<u8>,
}

impl<W: RecordWriter> Writer<W> {
    /// When this many bytes are queued, they are written without waiting for a flush.
    const QUEUED_BYTES: usize = 16 << 10;

    pub(crate) fn new(stream: W) -> Self {
        Self { stream, queued: vec![] }
    }

    /// Queues `message`. It is written at the next flush, or now if many bytes are queued.
    pub async fn send<M: Message>(&mut self, message: &M) -> Result<(), ConnectionError> {
        if self.queue(message) { self.flush().await } else { Ok(()) }
    }

    /// Queues `message` without writing anything. Returns whether so many bytes are queued that they should be flushed.
    pub fn queue<M: Message>(&mut self, message: &M) -> bool {
        frame::encode(message, &mut self.queued);
        self.queued.len() >= Self::QUEUED_BYTES
    }

    /// Writes all queued messages.
    pub async fn flush(&mut self) -> Result<(), ConnectionError> {
        self.encrypt_queued()?;
        Ok(self.stream.flush().await?)
    }

    /// Writes all queued messages, and after them the complete frames in `frames`, which is empty after that.
    /// `on_written` is called for each part of them that the system has accepted, with its size in bytes of plaintext.
    /// If the future is dropped in the middle, the connection cannot be used any more.
    pub async fn write_frames(
        &mut self,
        frames: &mut RecordBuffer,
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

    /// Sends a goodbye and ends this direction, within a second. Errors are ignored.
    pub async fn close(mut self, reason: Reason, text: impl Into<String>) {
        let mut text = text.into();
        text.truncate(text.floor_char_boundary(limits::TEXT_BYTES));
        let closing = async {
            self.send(&Greeting::Goodbye(Goodbye { reason, text })).await?;
            self.flush().await?;
            self.stream.shutdown().await?;
            Ok::<(), ConnectionError>(())
        };
        let _ = timeout(Duration::from_secs(1), closing).await;
    }
}
