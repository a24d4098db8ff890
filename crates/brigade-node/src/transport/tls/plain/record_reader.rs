//! Reads what the other side of a connection sends, and has rustls decrypt it.
//!
//! Everything that one read brings is decrypted at once, into a buffer from which it is taken. The buffer for reads
//! starts small and grows while a read fills it.

use std::io;

use rustls::Error;
use tokio::io::{AsyncRead, AsyncReadExt};

use super::session::Session;
use crate::transport::tls::{
    layout::RECORD_BYTES,
    record_io::{RecordReader, broken_off},
};

/// Bytes that a connection reads at once, at first.
const FIRST_BYTES: usize = 4 << 10;

/// And at most.
const MOST_BYTES: usize = 4 * RECORD_BYTES;

/// The reading half of a connection.
#[derive(Debug)]
pub struct PlainReader<R> {
    stream: R,
    session: Session,
    /// Space for one read.
    received: Vec<u8>,
    /// Decrypted.
    plain: Vec<u8>,
    /// How much of that was taken.
    taken: usize,
    state: State,
}

#[derive(Debug)]
enum State {
    Open,
    /// It has come to its proper end.
    Closed,
    /// The error is returned once, after the data before it.
    Broken(Option<Error>),
}

impl<R: AsyncRead + Unpin + Send> RecordReader for PlainReader<R> {
    async fn chunk(&mut self) -> io::Result<&[u8]> {
        while !self.is_ready() && matches!(self.state, State::Open) {
            if let Err(error) = self.read().await {
                self.state = State::Broken(None);
                return Err(error);
            }
        }
        if !self.is_ready()
            && let State::Broken(error) = &mut self.state
        {
            return Err(error.take().map_or_else(broken_off, invalid));
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
    /// A reader that has received `plain` with the handshake, and perhaps the end of the connection.
    pub(crate) fn new(stream: R, session: Session, plain: Vec<u8>, has_ended: bool) -> Self {
        let state = if has_ended { State::Closed } else { State::Open };
        Self { stream, session, received: vec![0; FIRST_BYTES], plain, taken: 0, state }
    }

    /// Reads once and decrypts what was read.
    async fn read(&mut self) -> io::Result<()> {
        let count = self.stream.read(&mut self.received).await?;
        if count == 0 {
            return Err(broken_off());
        }
        self.plain.clear();
        self.taken = 0;
        match self.session.decrypt(&self.received[..count], &mut self.plain) {
            Ok(false) => {}
            Ok(true) => self.state = State::Closed,
            Err(error) => self.state = State::Broken(Some(error)),
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
