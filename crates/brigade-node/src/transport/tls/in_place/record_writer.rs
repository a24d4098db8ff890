//! Writes the records of this side of a connection, which are encrypted in their own buffers.
//!
//! A message is copied once, into its record; plaintext in [`RecordBuffer`] is not copied at all.

use std::io;

use rustls::ContentType;
use tokio::io::{AsyncWrite, AsyncWriteExt};

use super::keys::Sealer;
use crate::transport::tls::{
    record_buffer::RecordBuffer,
    record_layout::{HEADER_BYTES, PLAIN_BYTES, TRAILER_BYTES},
    record_traits::{RecordWriter, interrupted},
};

/// The alert of a side that sends nothing more.
const CLOSE_NOTIFY: [u8; 2] = [1, 0];

/// The writing half of a connection.
#[derive(Debug)]
pub struct InPlaceWriter<W> {
    stream: W,
    sealer: Sealer,
    /// The encrypted bytes that are to be written.
    sealed: Vec<u8>,
    /// The number of them that were written.
    written: usize,
    /// Whether a write of records was dropped in the middle: the other side cannot decrypt later records.
    interrupted: bool,
}

impl<W: AsyncWrite + Unpin + Send> RecordWriter for InPlaceWriter<W> {
    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        for part in bytes.chunks(PLAIN_BYTES) {
            self.renew()?;
            self.seal(ContentType::ApplicationData, part)?;
        }
        Ok(())
    }

    async fn flush(&mut self) -> io::Result<()> {
        if self.interrupted {
            return Err(interrupted());
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

    async fn send(
        &mut self,
        records: &mut RecordBuffer,
        mut on_written: impl FnMut(usize) + Send,
    ) -> io::Result<()> {
        self.renew()?;
        self.flush().await?;
        let plain = records.plain_bytes();
        if plain == 0 {
            return Ok(());
        }
        let bytes = records.seal(|record| self.sealer.seal(ContentType::ApplicationData, record))?;
        self.interrupted = true; // until it is all written
        let (mut written, mut reported) = (0, 0);
        while written < bytes.len() {
            match self.stream.write(&bytes[written..]).await? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                count => written += count,
            }
            let all = plain * written / bytes.len(); // at most about 2^17 × 2^17
            on_written(all - reported);
            reported = all;
        }
        self.interrupted = false;
        Ok(())
    }

    async fn shutdown(&mut self) -> io::Result<()> {
        self.seal(ContentType::Alert, &CLOSE_NOTIFY)?;
        self.flush().await?;
        self.stream.shutdown().await
    }
}

impl<W: AsyncWrite + Unpin> InPlaceWriter<W> {
    /// The space that the buffer keeps between two messages.
    const KEPT_BYTES: usize = 4 << 10;

    pub(crate) fn new(stream: W, sealer: Sealer) -> Self {
        Self { stream, sealer, sealed: vec![], written: 0, interrupted: false }
    }

    /// Changes to the next key if it is due. The record for the other side is written first.
    fn renew(&mut self) -> io::Result<()> {
        if let Some(record) = self.sealer.renew()? {
            self.sealed.extend_from_slice(&record);
        }
        Ok(())
    }

    fn seal(&mut self, kind: ContentType, plain: &[u8]) -> io::Result<()> {
        let start = self.sealed.len();
        self.sealed.extend_from_slice(&[0; HEADER_BYTES]);
        self.sealed.extend_from_slice(plain);
        self.sealed.extend_from_slice(&[0; TRAILER_BYTES]);
        self.sealer.seal(kind, &mut self.sealed[start..])
    }

    /// Sets the number of records after which the key is changed: a test cannot write millions.
    #[cfg(test)]
    pub(crate) fn change_key_after(&mut self, records: u64) {
        self.sealer.renew_after(records);
    }

    /// The stream and its keys: a test writes records that are not allowed.
    #[cfg(test)]
    pub(crate) fn into_parts(self) -> (W, Sealer) {
        (self.stream, self.sealer)
    }
}
