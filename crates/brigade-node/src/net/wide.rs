//! A TCP stream that is read in large steps.
//!
//! rustls alone asks the system for one record at a time, 16 KiB; at a gigabyte a second that is sixty thousand
//! calls. The buffer here takes what the socket has, up to 64 KiB, and hands it on. It starts small and grows
//! only while it comes back full, so that a connection that carries little costs little.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

const FIRST_BYTES: usize = 4 << 10;
const MOST_BYTES: usize = 64 << 10;

/// A TCP stream with a read buffer.
#[derive(Debug)]
pub(super) struct Wide {
    stream: TcpStream,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
}

impl Wide {
    pub(super) fn new(stream: TcpStream) -> Self {
        Self { stream, buffer: vec![0; FIRST_BYTES], start: 0, end: 0 }
    }

    pub(super) fn stream(&self) -> &TcpStream {
        &self.stream
    }

    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.end == self.buffer.len() && self.buffer.len() < MOST_BYTES {
            self.buffer = vec![0; (self.buffer.len() * 8).min(MOST_BYTES)]; // all of it was handed on
        }
        let mut space = ReadBuf::new(&mut self.buffer);
        let filled = Pin::new(&mut self.stream).poll_read(cx, &mut space);
        let end = space.filled().len();
        ready!(filled)?;
        (self.start, self.end) = (0, end);
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Wide {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.start == this.end {
            ready!(this.poll_fill(cx))?;
        }
        let count = out.remaining().min(this.end - this.start);
        out.put_slice(&this.buffer[this.start..this.start + count]);
        this.start += count;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wide {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, parts)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
