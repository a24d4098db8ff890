//! Bytes a second: a limit on them, and a measure of them.
//!
//! Both run on the caller's clock: they are right in virtual time too.

mod limiter;
mod meter;
#[cfg(test)]
mod tests;

pub use limiter::{Cap, Limiter};
pub use meter::Meter;
