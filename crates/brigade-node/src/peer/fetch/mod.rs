//! The fetches that people ask for: from a name to its files, disk space, and progress.
//!
//! `resolve` and `pattern` find the files, `measure` and `prepare` check them before a byte is fetched, and `owner` is the
//! task that owns all fetches.

pub(crate) mod browse;
pub(crate) mod disk_space;
pub(crate) mod job;
pub(crate) mod jobs;
pub(crate) mod kept_parts;
pub(crate) mod measure;
pub(crate) mod orders;
pub(crate) mod owner;
pub(crate) mod pattern;
pub(crate) mod prepare;
pub(crate) mod progress;
pub(crate) mod queue;
pub(crate) mod resolve;
pub(crate) mod revalidate;
