//! The link of a peer to the network: its bandwidth in each direction and its delay.
//!
//! Bytes leave a link in order: `segment_sending` uses the holder's end, `downloader` the other end.

use std::time::Duration;

use brigade_core::time::Timestamp;

/// The link of a peer.
#[derive(Debug, Clone, Copy)]
pub struct LinkRates {
    /// Bytes a second that it can send.
    pub up: u64,
    /// Bytes a second that it can receive.
    pub down: u64,
    /// The delay of everything that it sends.
    pub delay: Duration,
}

/// How long `bytes` take on a link of this bandwidth.
pub(crate) fn transfer_time(bytes: u32, bytes_per_second: u64) -> Duration {
    Duration::from_nanos(u64::from(bytes) * 1_000_000_000 / bytes_per_second.max(1))
}

/// Sends for `time` over a link that is free at `free_at`. Returns when it is free again.
pub(crate) fn pass(free_at: &mut Timestamp, now: Timestamp, time: Duration) -> Timestamp {
    *free_at = now.max(*free_at).after(time);
    *free_at
}

/// The most bytes that leave at once under a limit, so that a burst stays short.
pub(crate) fn largest_burst_bytes(bytes_per_second: u64) -> u32 {
    u32::try_from((bytes_per_second / 10).max(4 << 10)).unwrap_or(u32::MAX)
}

/// How long it takes to make a connection: six delays for TCP, TLS and the greeting.
pub(crate) fn handshake(delay: Duration) -> Duration {
    delay * 6
}
