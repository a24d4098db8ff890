//! The fuzz target of the reader of TLS records: the input describes the records that are written, and their damage.
//!
//! The records are encrypted with the reader's keys, so that it can decrypt them. It must return exactly the data of
//! the records before the first damage, must not wait at the end of the input, and must not panic.

use std::{
    io,
    pin::{Pin, pin},
    task::{Context, Poll, Waker},
};

use rustls::ContentType;
use tokio::io::{AsyncRead, ReadBuf};

use crate::transport::tls::{
    in_place::{
        fuzzing_keys::FuzzingKeys,
        keys::{Kernel, Opener, Sealer, keys},
        record_reader::{InPlaceReader, UnreadBytes},
    },
    record_layout::{HEADER_BYTES, PLAIN_BYTES, TRAILER_BYTES},
    record_traits::RecordReader,
};

/// Bytes of an input that are used: each of them adds at most 64 bytes of records.
const INPUT_BYTES: usize = 64 << 10;

/// Reads the records that `input` describes. Its first byte sets the side that reads and the bytes of one read; then
/// there are steps, each with a byte, a length and data.
///
/// # Panics
/// If the reader returns other data than was written.
pub fn records(input: &[u8]) {
    let Some((&first, steps)) = input.split_first() else { return };
    let is_client = first & 1 == 1;
    let most = [1, 7, 64, 1 << 20][usize::from(first >> 1 & 3)];
    let Some((sealer, opener)) = fixed_keys(is_client) else { return };
    let mut written = WrittenStream::new(sealer);
    written.steps(&steps[..steps.len().min(INPUT_BYTES)]);

    let mut reader =
        InPlaceReader::new(ShortReads { bytes: &written.stream, most }, opener, UnreadBytes::default());
    let mut read = vec![];
    let ended = loop {
        match now(reader.chunk()) {
            Ok([]) => break Ok(()),
            Ok(chunk) => {
                read.extend_from_slice(chunk);
                // A caller may take only a part.
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
        assert!(
            ended.is_err_and(|error| error.kind() == io::ErrorKind::UnexpectedEof),
            "another end than that of the input"
        );
    } else if ended.is_err() {
        assert!(now(reader.chunk()).is_err(), "data after an error");
    }
}

fn fixed_keys(is_client: bool) -> Option<(Sealer, Opener)> {
    keys(FuzzingKeys::secrets(), Kernel::Fixed(FuzzingKeys::new(is_client))).ok()
}

/// The result of a future on a stream in memory, which never waits.
fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("it waits for bytes that are there"),
    }
}

/// The stream, and the data that must be read from it.
struct WrittenStream {
    sealer: Sealer,
    stream: Vec<u8>,
    /// The data in the records that are not damaged.
    data: Vec<u8>,
    /// Whether there are only records of data, like those of this program.
    is_proper: bool,
    /// Whether a step has damaged the stream: no data can be read after that.
    is_damaged: bool,
    /// The start of each record, and the number of bytes of data before it.
    starts: Vec<(usize, usize)>,
}

impl WrittenStream {
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
                // Many bytes from a short input.
                3 => {
                    let repeated = data.repeat(64);
                    self.seal(ContentType::ApplicationData, &repeated[..repeated.len().min(PLAIN_BYTES)]);
                }
                // Of any type, which the first byte sets.
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

    /// Appends a record. Its type is the last byte of its content that is not zero (RFC 8446, section 5.4).
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

    /// Changes the key, as the writer does at its limit.
    fn change_key(&mut self) {
        self.is_proper = false; // so many in a row end the connection
        self.starts.push((self.stream.len(), self.data.len()));
        self.sealer.renew_after(0);
        if let Ok(Some(record)) = self.sealer.renew() {
            self.stream.extend_from_slice(&record);
        }
    }

    /// Changes the byte at `before_end` bytes before the end. It is done once: a second change could undo it.
    fn damage(&mut self, before_end: usize, change: u8) {
        let at = self.stream.len().checked_sub(before_end + 1);
        let Some(at) = at.filter(|_| change != 0 && !self.is_damaged) else { return };
        self.stream[at] ^= change;
        let record = self.starts.iter().rev().find(|(start, _)| *start <= at);
        self.data.truncate(record.map_or(0, |(_, data)| *data));
        (self.is_proper, self.is_damaged) = (false, true);
    }

    /// Appends bytes that are no valid record, or an old one.
    fn add_raw(&mut self, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.stream.extend_from_slice(bytes);
            (self.is_proper, self.is_damaged) = (false, true);
        }
    }
}

/// A stream with at most `most` bytes in each read.
struct ShortReads<'a> {
    bytes: &'a [u8],
    most: usize,
}

impl AsyncRead for ShortReads<'_> {
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
