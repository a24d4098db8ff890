//! Writes the records of this side of a connection, which rustls encrypts.
//!
//! rustls copies the plaintext in [`RecordBuffer`], record by record; the space around it is not used.

use std::io;

use tokio::io::{AsyncWrite, AsyncWriteExt};

use super::session::TlsSession;
use crate::transport::tls::{
    record_buffer::RecordBuffer,
    record_traits::{RecordWriter, interrupted},
};

/// The writing half of a connection.
#[derive(Debug)]
pub struct PlainWriter<W> {
    stream: W,
    session: TlsSession,
    /// The encrypted bytes that are to be written.
    sealed: Vec<u8>,
    /// The number of them that were written.
    written: usize,
    /// Whether a write of records was dropped in the middle: the connection is unusable then.
    interrupted: bool,
    /// In a test, the number of calls after which the key is changed, and the calls since then.
    #[cfg(test)]
    key_changes: (u64, u64),
}

impl<W: AsyncWrite + Unpin + Send> RecordWriter for PlainWriter<W> {
    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        #[cfg(test)]
        self.change_key()?; // rustls itself does it only at the limit of a key
        self.session.encrypt(bytes, &mut self.sealed)
    }

    async fn flush(&mut self) -> io::Result<()> {
        self.write_before().await?;
        self.sealed.shrink_to(Self::KEPT_BYTES);
        Ok(())
    }

    async fn send(
        &mut self,
        records: &mut RecordBuffer,
        mut on_written: impl FnMut(usize) + Send,
    ) -> io::Result<()> {
        self.write_before().await?;
        let plain = records.plain_bytes();
        if plain == 0 {
            return Ok(());
        }
        #[cfg(test)]
        self.change_key()?;
        for part in records.take_plain() {
            self.session.encrypt(part, &mut self.sealed)?;
        }
        let bytes = self.sealed.len();
        let mut reported = 0;
        self.interrupted = true; // until it is all written
        let written = self.write_on(|written| {
            let all = plain * written / bytes; // at most about 2^17 × 2^17
            on_written(all - reported);
            reported = all;
        });
        written.await?;
        self.interrupted = false;
        Ok(())
    }

    async fn shutdown(&mut self) -> io::Result<()> {
        self.session.lock().send_close_notify();
        self.session.take_sealed(&mut self.sealed)?;
        self.flush().await?;
        self.stream.shutdown().await
    }
}

impl<W: AsyncWrite + Unpin> PlainWriter<W> {
    /// The space that the buffer keeps between two messages.
    const KEPT_BYTES: usize = 4 << 10;

    pub(crate) fn new(stream: W, session: TlsSession) -> Self {
        Self {
            stream,
            session,
            sealed: vec![],
            written: 0,
            interrupted: false,
            #[cfg(test)]
            key_changes: (u64::MAX, 0),
        }
    }

    /// Writes the bytes that were encrypted before.
    async fn write_before(&mut self) -> io::Result<()> {
        if self.interrupted { Err(interrupted()) } else { self.write_on(|_| {}).await }
    }

    /// Writes the encrypted bytes. `on_written` gets the number of bytes that were written so far.
    async fn write_on(&mut self, mut on_written: impl FnMut(usize)) -> io::Result<()> {
        while self.written < self.sealed.len() {
            match self.stream.write(&self.sealed[self.written..]).await? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                count => self.written += count,
            }
            on_written(self.written);
        }
        self.sealed.clear();
        self.written = 0;
        Ok(())
    }

    #[cfg(test)]
    fn change_key(&mut self) -> io::Result<()> {
        let (after, calls) = &mut self.key_changes;
        *calls += 1;
        if *calls > *after {
            *calls = 0;
            self.session.lock().refresh_traffic_keys().map_err(io::Error::other)?;
        }
        Ok(())
    }

    /// Sets the number of calls after which the key is changed.
    #[cfg(test)]
    pub(crate) fn change_key_after(&mut self, calls: u64) {
        self.key_changes = (calls, 0);
    }
}
