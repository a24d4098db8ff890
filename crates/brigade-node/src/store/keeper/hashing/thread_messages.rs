//! The messages to the hash threads and from them: jobs, which are files to be hashed, and their results.
//!
//! The keeper makes jobs and cancels them; a hash thread does one and reports its result.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use brigade_core::name::FileName;

use crate::store::{
    file_stamp::Stamp,
    folder::FolderError,
    hash::{BUFFER_BYTES, HashError, Hashed},
};

/// A file to be hashed.
#[derive(Debug)]
pub(crate) struct HashJob {
    pub(crate) name: FileName,
    /// Its stamp; a file that has another stamp when it is opened has changed.
    pub(crate) stamp: Stamp,
    /// Distinguishes this job from an earlier one for the same file.
    pub(crate) number: u64,
    /// Set when the result is not wanted any more.
    pub(crate) cancelled: AtomicBool,
    /// The number of portions that were read so far.
    pub(crate) portions: AtomicU64,
}

impl HashJob {
    pub(crate) fn new(name: FileName, stamp: Stamp, number: u64) -> Self {
        Self { name, stamp, number, cancelled: AtomicBool::new(false), portions: AtomicU64::new(0) }
    }

    /// The number of bytes that were hashed so far.
    pub(crate) fn hashed_bytes(&self) -> u64 {
        let portions = self.portions.load(Ordering::Relaxed);
        portions.saturating_mul(BUFFER_BYTES as u64).min(self.stamp.size)
    }
}

/// The result of a job.
#[derive(Debug)]
pub(crate) struct HashOutcome {
    pub(crate) name: FileName,
    pub(crate) number: u64,
    pub(crate) result: Result<(Hashed, Stamp), HashFailure>,
}

/// The error when a file could not be hashed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HashFailure {
    #[error(transparent)]
    Folder(#[from] FolderError),
    #[error(transparent)]
    Hash(#[from] HashError),
}

/// A message from a hash queue to the keeper.
#[derive(Debug)]
pub(crate) enum HashReport {
    Outcomes(Vec<HashOutcome>),
    /// The queue of small files, or else of large files, has no more work.
    Idle {
        small: bool,
    },
}
