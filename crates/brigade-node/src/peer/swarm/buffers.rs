//! Buffers for pieces on their way from a connection to the disk, used again and again.
//!
//! A fresh megabyte for every piece would be zeroed by the system and taken from it and given back a thousand
//! times a gigabyte. How many are in use is bounded by what is in flight; how many are kept, here.

use std::sync::{Arc, Mutex, PoisonError};

/// Bytes of free buffers that are kept.
const KEPT_BYTES: usize = 16 << 20;

/// The free buffers.
#[derive(Debug, Clone, Default)]
pub(crate) struct Buffers(Arc<Mutex<Free>>);

#[derive(Debug, Default)]
struct Free {
    buffers: Vec<Vec<u8>>,
    bytes: usize,
}

/// A buffer of a fixed length, which goes back to the free ones when it is dropped.
#[derive(Debug)]
pub(crate) struct Buffer {
    /// At least as long as the buffer is: what is beyond is not zeroed again for the next use.
    bytes: Vec<u8>,
    length: usize,
    home: Buffers,
}

impl Buffers {
    /// A buffer of `length` bytes, of any content.
    pub(crate) fn take(&self, length: usize) -> Buffer {
        let mut bytes = {
            let mut free = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            // One that fits and is not much too long: short pieces shall not hold on to long buffers.
            let fits = |buffer: &Vec<u8>| buffer.len() >= length && buffer.len() / 4 <= length;
            let found = free.buffers.iter().rposition(fits).map(|at| free.buffers.swap_remove(at));
            free.bytes -= found.as_ref().map_or(0, Vec::len);
            found.unwrap_or_default()
        };
        if bytes.len() < length {
            bytes = vec![0; length];
        }
        Buffer { bytes, length, home: self.clone() }
    }
}

impl Buffer {
    /// All of it, to be written to.
    pub(crate) fn as_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[..self.length]
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let bytes = std::mem::take(&mut self.bytes);
        let mut free = self.home.0.lock().unwrap_or_else(PoisonError::into_inner);
        if free.bytes + bytes.len() <= KEPT_BYTES {
            free.bytes += bytes.len();
            free.buffers.push(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Buffers, KEPT_BYTES};

    #[test]
    fn a_buffer_has_the_length_that_was_asked_for_and_is_used_again() {
        let buffers = Buffers::default();
        let mut first = buffers.take(1000);
        first.as_mut()[999] = 7;
        let address = first.as_ref().as_ptr();
        drop(first);
        let again = buffers.take(900);
        assert_eq!((again.as_ref().len(), again.as_ref().as_ptr()), (900, address));
        assert_eq!(buffers.take(10).as_ref().len(), 10);
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let buffers = Buffers::default();
        let many: Vec<_> = (0..40).map(|_| buffers.take(1 << 20)).collect();
        drop(many);
        assert!(buffers.0.lock().unwrap().bytes <= KEPT_BYTES);
    }
}
