//! Reads the records of the other side of a connection, in large steps, and decrypts them in the read buffer.
//!
//! If they arrive fast, one call to the system reads four records. The buffer starts small and grows only when a read
//! fills it, so that a connection with little traffic uses little memory.

use std::{io, ops::Range};

use rustls::{AlertDescription, ContentType, Error, InvalidMessage, PeerMisbehaved};
use tokio::io::{AsyncRead, AsyncReadExt};

use super::keys::Opener;
use crate::transport::tls::{
    record_layout::{HEADER_BYTES, PLAIN_BYTES, RECORD_BYTES},
    record_traits::{RecordReader, unexpected_eof},
};

/// The size of the buffer at first.
const FIRST_BYTES: usize = 4 << 10;

/// Its largest size: whole records, so that the end of the buffer splits no full record.
const MOST_BYTES: usize = 4 * RECORD_BYTES;

/// The limit on the bytes of a record after its header, from any implementation (RFC 8446, section 5.2).
const MOST_PAYLOAD_BYTES: usize = PLAIN_BYTES + 256;

/// The limit on records in a row without data. More of them only waste time, and end the connection.
const MOST_IDLE: u8 = 32;

/// Handshake messages that are allowed after the handshake (RFC 8446, section 4).
const NEW_SESSION_TICKET: u8 = 4;
const KEY_UPDATE: u8 = 24;

/// Bytes that were received with a handshake and come after it.
#[derive(Debug, Default)]
pub(crate) struct UnreadBytes {
    /// The buffer; only a part of it is filled.
    pub(crate) buffer: Vec<u8>,
    /// The end of the filled part, which begins at the start.
    pub(crate) end: usize,
}

/// The reading half of a connection.
#[derive(Debug)]
pub struct InPlaceReader<R> {
    stream: R,
    opener: Opener,
    buffer: Vec<u8>,
    /// The plaintext that was not taken yet.
    plain: Range<usize>,
    /// The bytes that were not decrypted yet.
    unread: Range<usize>,
    /// The number of records in a row without data.
    idle: u8,
    state: StreamState,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum StreamState {
    Open,
    /// The other side has closed it properly.
    Closed,
    Broken,
}

impl<R: AsyncRead + Unpin + Send> RecordReader for InPlaceReader<R> {
    async fn chunk(&mut self) -> io::Result<&[u8]> {
        while self.plain.is_empty() && self.state == StreamState::Open {
            let opened = self.open_next();
            let more = match opened {
                Ok(true) => continue,
                Ok(false) => self.read().await,
                Err(error) => Err(io::Error::new(io::ErrorKind::InvalidData, error)),
            };
            if let Err(error) = more {
                self.state = StreamState::Broken;
                return Err(error);
            }
        }
        match self.state {
            StreamState::Broken => Err(unexpected_eof()),
            _ => Ok(&self.buffer[self.plain.clone()]),
        }
    }

    fn is_ready(&self) -> bool {
        let unread = &self.buffer[self.unread.clone()];
        let bytes = unread.first_chunk().map(|[_, _, _, high, low]: &[u8; HEADER_BYTES]| {
            HEADER_BYTES + usize::from(u16::from_be_bytes([*high, *low]))
        });
        !self.plain.is_empty() || bytes.is_some_and(|bytes| bytes <= unread.len())
    }

    fn take(&mut self, count: usize) {
        assert!(count <= self.plain.len());
        self.plain.start += count;
    }
}

impl<R: AsyncRead + Unpin> InPlaceReader<R> {
    pub(crate) fn new(stream: R, opener: Opener, unread: UnreadBytes) -> Self {
        let UnreadBytes { mut buffer, end } = unread;
        if buffer.len() < FIRST_BYTES {
            buffer.resize(FIRST_BYTES, 0);
        }
        Self { stream, opener, buffer, plain: 0..0, unread: 0..end, idle: 0, state: StreamState::Open }
    }

    /// Reads once, up to the space in the buffer.
    async fn read(&mut self) -> io::Result<()> {
        self.make_space();
        let count = self.stream.read(&mut self.buffer[self.unread.end..]).await?;
        if count == 0 {
            return Err(unexpected_eof());
        }
        self.unread.end += count;
        Ok(())
    }

    /// Moves an incomplete record to the start, into a larger buffer if this one was filled.
    fn make_space(&mut self) {
        let was_filled = self.unread.end == self.buffer.len();
        if was_filled && self.buffer.len() < MOST_BYTES {
            let mut larger = vec![0; (self.buffer.len() * 8).min(MOST_BYTES)];
            larger[..self.unread.len()].copy_from_slice(&self.buffer[self.unread.clone()]);
            self.buffer = larger;
        } else if self.unread.start > 0 {
            self.buffer.copy_within(self.unread.clone(), 0);
        }
        (self.plain, self.unread) = (0..0, 0..self.unread.len());
    }

    /// Decrypts the next record; false if it is incomplete.
    fn open_next(&mut self) -> Result<bool, Error> {
        let Some((header, rest)) = self.buffer[self.unread.clone()].split_first_chunk_mut::<HEADER_BYTES>()
        else {
            return Ok(false);
        };
        // After the handshake every record is encrypted and has the type of data.
        if header[..3] != [u8::from(ContentType::ApplicationData), 3, 3] {
            return Err(InvalidMessage::UnexpectedMessage("an unencrypted record").into());
        }
        let bytes = usize::from(u16::from_be_bytes([header[3], header[4]]));
        if bytes > MOST_PAYLOAD_BYTES {
            return Err(Error::PeerSentOversizedRecord);
        }
        let Some(payload) = rest.get_mut(..bytes) else { return Ok(false) };
        let opened = self.opener.open(payload)?;
        let begin = self.unread.start + HEADER_BYTES;
        self.unread.start = begin + bytes;
        let plain = begin..begin + opened.plain_bytes;
        match opened.kind {
            ContentType::ApplicationData => self.plain = plain,
            ContentType::Handshake => self.handshake(plain)?,
            ContentType::Alert => self.alert(plain)?,
            _ => return Err(InvalidMessage::InvalidContentType.into()),
        }
        self.idle = if self.plain.is_empty() { self.idle + 1 } else { 0 };
        if self.idle > MOST_IDLE {
            return Err(PeerMisbehaved::TooManyEmptyFragments.into());
        }
        Ok(true)
    }

    /// Handles handshake messages, each complete and in one record: the other side changes its key, or sends a session
    /// ticket to a client, which does not use it.
    fn handshake(&mut self, messages: Range<usize>) -> Result<(), Error> {
        let mut messages = &self.buffer[messages];
        loop {
            let Some((&[kind, a, b, c], rest)) = messages.split_first_chunk::<4>() else {
                return Err(InvalidMessage::MessageTooShort.into());
            };
            let bytes = u32::from_be_bytes([0, a, b, c]) as usize;
            let Some((body, rest)) = rest.split_at_checked(bytes) else {
                return Err(InvalidMessage::MessageTooShort.into());
            };
            match (kind, body) {
                // The next bytes have another key, so this must be the last message in the record.
                (KEY_UPDATE, &[request @ (0 | 1)]) if rest.is_empty() => {
                    return self.opener.renew(request == 1);
                }
                (KEY_UPDATE, _) => return Err(InvalidMessage::InvalidKeyUpdate.into()),
                (NEW_SESSION_TICKET, _) if self.opener.is_client() => {}
                _ => return Err(InvalidMessage::UnexpectedMessage("a handshake message").into()),
            }
            if rest.is_empty() {
                return Ok(());
            }
            messages = rest;
        }
    }

    fn alert(&mut self, alert: Range<usize>) -> Result<(), Error> {
        let &[_, description] = &self.buffer[alert] else {
            return Err(InvalidMessage::InvalidContentType.into());
        };
        match AlertDescription::from(description) {
            AlertDescription::CloseNotify => self.state = StreamState::Closed,
            AlertDescription::UserCanceled => {} // ignored: a close follows
            other => return Err(Error::AlertReceived(other)),
        }
        Ok(())
    }
}
