//! What is sent to the other side of a connection: records, encrypted where they lie.
//!
//! A message is copied once, into the record that carries it; what is laid out in [`Records`] is not copied at all.
//! [`Outbound::send`] and [`Outbound::flush`] may be dropped and called again: what was sealed goes out in order.

use std::io;

use tokio::io::{AsyncWrite, AsyncWriteExt};

use super::{
    keys::{APPLICATION_DATA, Sealer},
    records::{HEADER_BYTES, PLAIN_BYTES, Records, TRAILER_BYTES},
};

/// The kind of a record with an alert, and the alert by which a side says that it is done.
const ALERT: u8 = 21;
const CLOSE_NOTIFY: [u8; 2] = [1, 0];

/// The writing half of a connection.
#[derive(Debug)]
pub(crate) struct Outbound<W> {
    stream: W,
    sealer: Sealer,
    /// Sealed and not all written.
    sealed: Vec<u8>,
    /// How much of that is written.
    written: usize,
    /// A write of records was dropped in the middle: the other side could not read on.
    torn: bool,
}

impl<W: AsyncWrite + Unpin> Outbound<W> {
    /// Space that is kept for messages between two of them.
    const KEPT_BYTES: usize = 4 << 10;

    pub(crate) fn new(stream: W, sealer: Sealer) -> Self {
        Self { stream, sealer, sealed: vec![], written: 0, torn: false }
    }

    /// Seals a copy of `bytes`, to be written by the next [`flush`](Self::flush).
    pub(crate) fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        for part in bytes.chunks(PLAIN_BYTES) {
            self.renew()?;
            self.seal(APPLICATION_DATA, part)?;
        }
        Ok(())
    }

    /// Writes all that was sealed.
    pub(crate) async fn flush(&mut self) -> io::Result<()> {
        if self.torn {
            return Err(io::Error::other("a write was given up in the middle"));
        }
        while self.written < self.sealed.len() {
            match self.stream.write(&self.sealed[self.written..]).await? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                count => self.written += count,
            }
        }
        self.sealed.clear();
        self.sealed.shrink_to(Self::KEPT_BYTES);
        self.written = 0;
        Ok(())
    }

    /// Writes what was sealed, and `records`, in which there is nothing after that. `went` hears of each part of them that
    /// was written, as so many bytes of plaintext.
    pub(crate) async fn send(
        &mut self,
        records: &mut Records,
        mut went: impl FnMut(usize),
    ) -> io::Result<()> {
        self.renew()?;
        self.flush().await?;
        let plain = records.plain_bytes();
        if plain == 0 {
            return Ok(());
        }
        let bytes = records.seal(&mut self.sealer)?;
        self.torn = true; // until it is all written
        let (mut written, mut told) = (0, 0);
        while written < bytes.len() {
            match self.stream.write(&bytes[written..]).await? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                count => written += count,
            }
            let all = plain * written / bytes.len(); // some 2^17 × 2^17 at most
            went(all - told);
            told = all;
        }
        self.torn = false;
        Ok(())
    }

    /// Says that nothing follows, and ends this direction.
    pub(crate) async fn shutdown(&mut self) -> io::Result<()> {
        self.seal(ALERT, &CLOSE_NOTIFY)?;
        self.flush().await?;
        self.stream.shutdown().await
    }

    /// Takes the next key where it is time; the other side hears of that first.
    fn renew(&mut self) -> io::Result<()> {
        if let Some(record) = self.sealer.renew()? {
            self.sealed.extend_from_slice(&record);
        }
        Ok(())
    }

    fn seal(&mut self, kind: u8, plain: &[u8]) -> io::Result<()> {
        let start = self.sealed.len();
        self.sealed.extend_from_slice(&[0; HEADER_BYTES]);
        self.sealed.extend_from_slice(plain);
        self.sealed.extend_from_slice(&[0; TRAILER_BYTES]);
        self.sealer.seal(kind, &mut self.sealed[start..])
    }
}
