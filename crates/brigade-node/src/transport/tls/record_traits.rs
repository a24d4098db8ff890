//! The interface between a connection and the TLS back end below it: a reader and a writer of records.
//!
//! Both are generic parameters of the types that use them, so no call for a record is dispatched at run time. The back
//! ends in `in_place` and `plain` implement them.

use std::io;

use brigade_core::id::PeerKey;

use super::record_buffer::RecordBuffer;

/// The reading half of an encrypted connection. After an error it only returns errors.
pub trait RecordReader: Send {
    /// The plaintext that was received and not taken, at least a byte; empty at the proper end of the connection. The
    /// future may be dropped and the method called again; nothing is lost.
    fn chunk(&mut self) -> impl Future<Output = io::Result<&[u8]>> + Send;

    /// Whether [`Self::chunk`] returns plaintext without reading from the socket.
    fn is_ready(&self) -> bool;

    /// Takes the first `count` bytes of the chunk.
    ///
    /// # Panics
    /// If the chunk is shorter.
    fn take(&mut self, count: usize);
}

/// The writing half of an encrypted connection.
pub trait RecordWriter: Send {
    /// Encrypts a copy of `bytes`, to be written by the next [`flush`](Self::flush).
    fn put(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Writes all encrypted bytes. The future may be dropped and the method called again; the order stays.
    fn flush(&mut self) -> impl Future<Output = io::Result<()>> + Send;

    /// Writes the bytes that were encrypted before, and then `records`, which are empty after that. `on_written` is
    /// called for each part of them that the system has accepted, with its size in bytes of plaintext. If the future is
    /// dropped in the middle, the writer only returns errors.
    fn send(
        &mut self,
        records: &mut RecordBuffer,
        on_written: impl FnMut(usize) + Send,
    ) -> impl Future<Output = io::Result<()>> + Send;

    /// Tells the other side that nothing more is sent, and ends this direction.
    fn shutdown(&mut self) -> impl Future<Output = io::Result<()>> + Send;
}

/// Both halves of a connection after a handshake.
#[derive(Debug)]
pub(crate) struct Secured<R, W> {
    pub(crate) reader: R,
    pub(crate) writer: W,
    /// The key that the other end proved to have.
    pub(crate) peer: Option<PeerKey>,
}

/// The error of a stream that ended without a proper end.
pub(crate) fn unexpected_eof() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "the other side closed the connection without a notice")
}

/// The error of a writer whose last [`RecordWriter::send`] was dropped in the middle.
pub(crate) fn interrupted() -> io::Error {
    io::Error::other("an earlier write was interrupted")
}
