//! The bounds of all downloads together: bytes and requests in flight, connections, and the patience with holders.
//!
//! The defaults are those of the product; tests and the simulator set their own.

use std::time::Duration;

use crate::limits;

/// The bounds that [`Downloads`](super::Downloads) keeps.
#[derive(Debug, Clone)]
pub struct Config {
    /// Bytes asked of one holder and not stored. Two requests are always allowed, so that a long piece does not
    /// leave the line idle while it is hashed.
    pub holder_window_bytes: u64,
    /// Bytes asked and not stored, over all holders. Four requests are always allowed.
    pub in_flight_bytes: u64,
    /// Requests asked of one holder and not stored.
    pub requests_in_flight: usize,
    /// Contents open at one holder at once.
    pub channels: usize,
    /// Holders connected, or being dialled, at once.
    pub connections: usize,
    /// Of these, for one content of which others have a part: the rest of a peer's connections is for them.
    pub neighbours: usize,
    /// How long a connection that nothing needs is kept.
    pub idle: Duration,
    /// How long a holder may be silent beyond what its rate promised before others are asked.
    pub stall: Duration,
    /// How long a stalled holder stays connected.
    pub silence: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            holder_window_bytes: limits::HOLDER_WINDOW_BYTES,
            in_flight_bytes: limits::IN_FLIGHT_BYTES,
            requests_in_flight: limits::REQUESTS_IN_FLIGHT,
            channels: limits::OPEN_CHANNELS,
            connections: limits::HOLDERS_NAMED,
            neighbours: limits::NEIGHBOURS,
            idle: Duration::from_secs(30),
            stall: Duration::from_secs(1),
            silence: Duration::from_secs(10),
        }
    }
}
