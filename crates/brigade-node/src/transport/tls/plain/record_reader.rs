//! Reads the records of the other side of a connection, which rustls decrypts.
//!
//! All bytes of one read are decrypted at once into a second buffer. The buffer for reads starts small and grows when a
//! read fills it.

use std::io;

use rustls::Error;
use tokio::io::{AsyncRead, AsyncReadExt};

use super::session::TlsSession;
use crate::transport::tls::{
    record_layout::RECORD_BYTES,
    record_traits::{RecordReader, unexpected_eof},
};

/// The size of the buffer for reads at first.
const FIRST_BYTES: usize = 4 << 10;

/// Its largest size.
const MOST_BYTES: usize = 4 * RECORD_BYTES;

/// The reading half of a connection.
#[derive(Debug)]
pub struct PlainReader<R> {
    stream: R,
    session: TlsSession,
    /// The buffer for reads.
    received: Vec<u8>,
    /// The plaintext.
    plain: Vec<u8>,
    /// The number of bytes of it that were taken.
    taken: usize,
    state: PlainStreamState,
}

#[derive(Debug)]
enum PlainStreamState {
    Open,
    /// The other side has closed it properly.
    Closed,
    /// The error is returned once, after the data before it.
    Broken(Option<Error>),
}

impl<R: AsyncRead + Unpin + Send> RecordReader for PlainReader<R> {
    async fn chunk(&mut self) -> io::Result<&[u8]> {
        while !self.is_ready() && matches!(self.state, PlainStreamState::Open) {
            if let Err(error) = self.read().await {
                self.state = PlainStreamState::Broken(None);
                return Err(error);
            }
        }
        if !self.is_ready()
            && let PlainStreamState::Broken(error) = &mut self.state
        {
            return Err(error.take().map_or_else(unexpected_eof, invalid));
        }
        Ok(&self.plain[self.taken..])
    }

    fn is_ready(&self) -> bool {
        self.taken < self.plain.len()
    }

    fn take(&mut self, count: usize) {
        assert!(count <= self.plain.len() - self.taken);
        self.taken += count;
    }
}

impl<R: AsyncRead + Unpin> PlainReader<R> {
    /// A reader that received `plain` with the handshake, and also the end of the connection if `has_ended`.
    pub(crate) fn new(stream: R, session: TlsSession, plain: Vec<u8>, has_ended: bool) -> Self {
        let state = if has_ended { PlainStreamState::Closed } else { PlainStreamState::Open };
        Self { stream, session, received: vec![0; FIRST_BYTES], plain, taken: 0, state }
    }

    /// Reads once and decrypts what was read.
    async fn read(&mut self) -> io::Result<()> {
        let count = self.stream.read(&mut self.received).await?;
        if count == 0 {
            return Err(unexpected_eof());
        }
        self.plain.clear();
        self.taken = 0;
        match self.session.decrypt(&self.received[..count], &mut self.plain) {
            Ok(false) => {}
            Ok(true) => self.state = PlainStreamState::Closed,
            Err(error) => self.state = PlainStreamState::Broken(Some(error)),
        }
        if count == self.received.len() && count < MOST_BYTES {
            self.received = vec![0; (count * 8).min(MOST_BYTES)];
        }
        Ok(())
    }
}

fn invalid(error: Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}
