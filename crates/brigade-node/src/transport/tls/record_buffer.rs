//! Plaintext in the layout of TLS records, so that it is encrypted in place and written with one call.
//!
//! A record has bytes before and after its plaintext (RFC 8446, section 5.2). The code that fills [`RecordBuffer`] gets
//! the space between them. The back ends encrypt the records.

use super::record_layout::{HEADER_BYTES, PLAIN_BYTES, RECORD_BYTES, TRAILER_BYTES};

/// Plaintext for a connection. The buffer is used again and is not zeroed in between.
#[derive(Debug, Default)]
pub struct RecordBuffer {
    bytes: Vec<u8>,
    /// The number of bytes of plaintext.
    plain: usize,
}

impl RecordBuffer {
    /// Removes everything.
    pub fn clear(&mut self) {
        self.plain = 0;
    }

    /// The number of bytes of plaintext.
    pub fn plain_bytes(&self) -> usize {
        self.plain
    }

    /// Removes all but the first `plain_bytes`.
    pub fn truncate(&mut self, plain_bytes: usize) {
        self.plain = self.plain.min(plain_bytes);
    }

    /// Appends a copy of `bytes`.
    pub fn put(&mut self, mut bytes: &[u8]) {
        for part in self.space(bytes.len()) {
            let (now, later) = bytes.split_at(part.len());
            part.copy_from_slice(now);
            bytes = later;
        }
    }

    /// Appends `count` bytes with any content. Returns their slices, in order, to be filled.
    pub fn space(&mut self, count: usize) -> impl Iterator<Item = &mut [u8]> {
        let (start, end) = (self.plain, self.plain + count);
        self.plain = end;
        let bytes = self.sealed_bytes();
        if self.bytes.len() < bytes {
            self.bytes.resize(bytes, 0);
        }
        let records = self.bytes.chunks_mut(RECORD_BYTES).enumerate();
        records.skip(start / PLAIN_BYTES).take_while(move |(at, _)| at * PLAIN_BYTES < end).map(
            move |(at, record)| {
                let before = at * PLAIN_BYTES;
                let (from, to) = (start.max(before) - before, end.min(before + PLAIN_BYTES) - before);
                &mut record[HEADER_BYTES + from..HEADER_BYTES + to]
            },
        )
    }

    /// The number of records.
    pub(crate) fn count(&self) -> usize {
        self.plain.div_ceil(PLAIN_BYTES)
    }

    /// Encrypts each record with `seal`, which gets all of its bytes. Returns the bytes to write, and has no plaintext
    /// after that.
    #[cfg(any(test, not(feature = "plain-tls"), feature = "fuzzing"))]
    pub(crate) fn seal(
        &mut self,
        mut seal: impl FnMut(&mut [u8]) -> std::io::Result<()>,
    ) -> std::io::Result<&[u8]> {
        let bytes = self.sealed_bytes();
        self.plain = 0;
        for record in self.bytes[..bytes].chunks_mut(RECORD_BYTES) {
            seal(record)?;
        }
        Ok(&self.bytes[..bytes])
    }

    /// Takes the plaintext of each record.
    #[cfg(feature = "plain-tls")]
    pub(crate) fn take_plain(&mut self) -> impl Iterator<Item = &[u8]> {
        let bytes = self.sealed_bytes();
        self.plain = 0;
        let records = self.bytes[..bytes].chunks(RECORD_BYTES);
        records.map(|record| &record[HEADER_BYTES..record.len() - TRAILER_BYTES])
    }

    fn sealed_bytes(&self) -> usize {
        self.plain + self.count() * (HEADER_BYTES + TRAILER_BYTES)
    }
}

#[cfg(test)]
mod tests {
    use super::{HEADER_BYTES, PLAIN_BYTES, RECORD_BYTES, RecordBuffer};

    #[test]
    fn plaintext_lies_between_headers_and_trailers() {
        let mut records = RecordBuffer::default();
        let bytes: Vec<u8> = (0..40_000_u32).map(|i| u8::try_from(i % 251).unwrap()).collect();
        records.put(&[9; 100]);
        records.truncate(0);
        for part in [&bytes[..13], &bytes[13..13], &bytes[13..16_384], &bytes[16_384..]] {
            records.put(part);
        }
        assert_eq!((records.plain_bytes(), records.count()), (40_000, 3));
        let mut found = vec![];
        for record in records.bytes[..records.sealed_bytes()].chunks(RECORD_BYTES) {
            found.extend_from_slice(&record[HEADER_BYTES..record.len() - 17]);
        }
        assert_eq!(found, bytes);
    }

    #[test]
    fn space_has_the_requested_length_and_follows_the_plaintext() {
        for start in [0, 1, PLAIN_BYTES - 1, PLAIN_BYTES, 3 * PLAIN_BYTES + 7] {
            for count in [0, 1, PLAIN_BYTES, 4 * PLAIN_BYTES, 65_523] {
                let mut records = RecordBuffer::default();
                records.put(&vec![1; start]);
                let parts: Vec<usize> = records.space(count).map(|part| part.len()).collect();
                assert_eq!(parts.iter().sum::<usize>(), count);
                assert!(parts.iter().all(|part| *part <= PLAIN_BYTES && (*part > 0 || count == 0)));
                assert_eq!(records.plain_bytes(), start + count);
            }
        }
    }
}
