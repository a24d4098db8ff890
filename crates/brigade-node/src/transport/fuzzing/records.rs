//! The fuzz target of the reader of TLS records: the input says which records are written, and how they are damaged.
//!
//! The records are encrypted with keys that the reader has, so that it gets to what is in them. It must return exactly
//! the data of the records before the first damage, must not wait at the end of the input, and must not panic.

use std::{
    io,
    pin::{Pin, pin},
    task::{Context, Poll, Waker},
};

use rustls::ContentType;
use tokio::io::{AsyncRead, ReadBuf};

use crate::transport::tls::{
    in_place::{
        fixed_keys::FixedKeys,
        keys::{Kernel, Opener, Sealer, keys},
        record_reader::{InPlaceReader, Unread},
    },
    layout::{HEADER_BYTES, PLAIN_BYTES, TRAILER_BYTES},
    record_io::RecordReader,
};

/// Bytes of an input that are used: each of them makes at most 64 bytes of records.
const INPUT_BYTES: usize = 64 << 10;

/// Reads the records that `input` describes. Its first byte says which side reads and how much is read at once; then
/// there are steps, each of a byte, a length and some data.
///
/// # Panics
/// Where the reader returns other data than was written.
pub fn records(input: &[u8]) {
    let Some((&first, steps)) = input.split_first() else { return };
    let is_client = first & 1 == 1;
    let most = [1, 7, 64, 1 << 20][usize::from(first >> 1 & 3)];
    let Some((sealer, opener)) = fixed_keys(is_client) else { return };
    let mut written = Written::new(sealer);
    written.steps(&steps[..steps.len().min(INPUT_BYTES)]);

    let mut reader = InPlaceReader::new(Slice { bytes: &written.stream, most }, opener, Unread::default());
    let mut read = vec![];
    let ended = loop {
        match now(reader.chunk()) {
            Ok([]) => break Ok(()),
            Ok(chunk) => {
                read.extend_from_slice(chunk);
                // A part at a time, as a caller may.
                let count = chunk.len().min(5000);
                read.truncate(read.len() - (chunk.len() - count));
                reader.take(count);
            }
            Err(error) => break Err(error),
        }
    };
    assert!(written.data.starts_with(&read), "data that was not written");
    if written.is_proper {
        assert!(read.len() == written.data.len(), "{} of {} bytes", read.len(), written.data.len());
        assert!(ended.is_err_and(|error| error.kind() == io::ErrorKind::UnexpectedEof), "an end of its own");
    } else if ended.is_err() {
        assert!(now(reader.chunk()).is_err(), "data after an error");
    }
}

fn fixed_keys(is_client: bool) -> Option<(Sealer, Opener)> {
    keys(FixedKeys::secrets(), Kernel::Fixed(FixedKeys::new(is_client))).ok()
}

/// What a stream in memory gives: it never waits.
fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("it waits for bytes that are there"),
    }
}

/// The stream, and what must be read from it.
struct Written {
    sealer: Sealer,
    stream: Vec<u8>,
    /// The data in the records that are not damaged.
    data: Vec<u8>,
    /// Whether there are only records of data, as our own writer makes them.
    is_proper: bool,
    /// Whether a step has damaged the stream: what follows is no data.
    is_damaged: bool,
    /// Where each record begins, and how much data is before it.
    starts: Vec<(usize, usize)>,
}

impl Written {
    fn new(sealer: Sealer) -> Self {
        let (stream, data, starts) = (vec![], vec![], vec![]);
        Self { sealer, stream, data, is_proper: true, is_damaged: false, starts }
    }

    fn steps(&mut self, mut input: &[u8]) {
        while let Some((&[step, low, high], rest)) = input.split_first_chunk::<3>() {
            let length = usize::from(u16::from_le_bytes([low, high]));
            let (data, rest) = rest.split_at(length.min(rest.len()));
            input = rest;
            match step % 8 {
                0..=2 => self.seal(ContentType::ApplicationData, data),
                // Many bytes of little input.
                3 => {
                    let repeated = data.repeat(64);
                    self.seal(ContentType::ApplicationData, &repeated[..repeated.len().min(PLAIN_BYTES)]);
                }
                // Of any type: the first byte says which.
                4 => {
                    if let Some((kind, plain)) = data.split_first() {
                        self.is_proper = false;
                        self.seal(ContentType::from(*kind), plain);
                    }
                }
                5 => self.change_key(),
                6 => self.damage(length, data.first().copied().unwrap_or(1)),
                _ => self.add_raw(data),
            }
        }
    }

    /// Appends a record. What has no type of its own has that of its last byte (RFC 8446, section 5.4).
    fn seal(&mut self, kind: ContentType, plain: &[u8]) {
        let plain = &plain[..plain.len().min(PLAIN_BYTES)];
        self.is_proper &= !plain.is_empty();
        self.starts.push((self.stream.len(), self.data.len()));
        let mut record = [&[0; HEADER_BYTES], plain, &[0; TRAILER_BYTES]].concat();
        if self.sealer.seal(kind, &mut record).is_err() {
            return;
        }
        self.stream.extend_from_slice(&record);
        let inner = [plain, &[kind.into()]].concat();
        let end = inner.iter().rposition(|byte| *byte != 0);
        let is_data = end.is_some_and(|end| inner[end] == u8::from(ContentType::ApplicationData));
        if let Some(end) = end.filter(|_| is_data && !self.is_damaged) {
            self.data.extend_from_slice(&inner[..end]);
        }
    }

    /// Changes the key, as the writer does from time to time.
    fn change_key(&mut self) {
        self.is_proper = false; // so many in a row end the connection
        self.starts.push((self.stream.len(), self.data.len()));
        self.sealer.renew_after(0);
        if let Ok(Some(record)) = self.sealer.renew() {
            self.stream.extend_from_slice(&record);
        }
    }

    /// Changes a byte: one so far before the end. It is done once: a second change could undo it.
    fn damage(&mut self, before_end: usize, change: u8) {
        let at = self.stream.len().checked_sub(before_end + 1);
        let Some(at) = at.filter(|_| change != 0 && !self.is_damaged) else { return };
        self.stream[at] ^= change;
        let record = self.starts.iter().rev().find(|(start, _)| *start <= at);
        self.data.truncate(record.map_or(0, |(_, data)| *data));
        (self.is_proper, self.is_damaged) = (false, true);
    }

    /// Appends bytes that are no record, or an old one.
    fn add_raw(&mut self, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.stream.extend_from_slice(bytes);
            (self.is_proper, self.is_damaged) = (false, true);
        }
    }
}

/// A stream that gives at most so many bytes at once.
struct Slice<'a> {
    bytes: &'a [u8],
    most: usize,
}

impl AsyncRead for Slice<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let count = self.most.min(self.bytes.len()).min(out.remaining());
        let (now, later) = self.bytes.split_at(count);
        out.put_slice(now);
        self.bytes = later;
        Poll::Ready(Ok(()))
    }
}
