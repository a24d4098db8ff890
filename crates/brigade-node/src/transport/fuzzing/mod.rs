//! What the fuzz targets in `fuzz/` call: the readers of TLS records and of frames, on bytes in memory.
//!
//! The feature `fuzzing` compiles it; it is not part of the public interface. A violated property causes a panic.

mod frames;
mod records;

pub use frames::frames;
pub use records::records;
