//! The local API of a running peer or manager: HTTP and JSON over a socket that only its user can open.
//!
//! Programs and commands are clients of it (`client`); a running peer or manager serves it (`server`). `values` has
//! what is sent, `problem` the errors, `local` finds the socket of a folder, and `text` the words that the API and the
//! program share. It knows the public interface of `brigade-node` only, and makes no decision about transfers.

#![deny(unsafe_code)]
#![deny(missing_docs)]

pub mod client;
pub mod local;
pub mod log_ring;
pub mod problem;
pub mod server;
pub mod text;
pub mod values;
