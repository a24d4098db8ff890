//! Bytes a second: a limit on them, and a measure of them.

mod limiter;
mod meter;
#[cfg(test)]
mod tests;

use std::time::Duration;

pub use limiter::{Cap, Limiter};
pub use meter::Meter;

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
