//! What comes in of one fetch: how fast, and how much of it is here and not stored.
//!
//! Links count here as bytes come; the owner reads it when people are shown how it goes.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use crate::peer::bandwidth::RateCounter;

/// What comes in of one fetch.
#[derive(Debug, Default)]
pub(crate) struct Intake {
    /// All that came, be it of use or not.
    pub(crate) came: RateCounter,
    unstored_bytes: AtomicU64,
}

/// What is here of one piece. It counts as not stored until this is dropped.
#[derive(Debug, Default)]
pub(crate) struct Received {
    intake: Arc<Intake>,
    bytes: u64,
}

impl Intake {
    /// Bytes of pieces that are here and not stored.
    pub(crate) fn unstored_bytes(&self) -> u64 {
        self.unstored_bytes.load(Ordering::Relaxed)
    }
}

impl Received {
    /// A piece of which nothing is here.
    pub(crate) const fn new(intake: Arc<Intake>) -> Self {
        Self { intake, bytes: 0 }
    }

    /// So many bytes more are.
    pub(crate) fn came(&mut self, bytes: u64) {
        self.bytes += bytes;
        self.intake.unstored_bytes.fetch_add(bytes, Ordering::Relaxed);
        self.intake.came.add(bytes);
    }
}

impl Drop for Received {
    fn drop(&mut self) {
        self.intake.unstored_bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}
