//! The binary as a black box: real processes, real files, real sockets, and nothing of the crates' insides, but for the
//! strangers who speak the protocol wrongly: they take its types and TLS to do so.
//!
//! Every test has a network of its own in a temporary folder ([`network`]), and every process ends with the test
//! that started it ([`process`]). What is waited for has a deadline; no test sleeps to be right. What the tests
//! hold the program to is in `docs/operating.md`.

#![cfg(unix)] // signals and file modes; the rest of the suite covers other systems
#![allow(clippy::unwrap_used)] // all of it is a test: a panic is a finding

mod account_limits;
mod breaches;
mod changing;
mod clock;
mod disk;
mod ending;
mod exfat;
mod fetching;
mod folder_model;
mod folder_troubles;
mod homeless;
mod ignoring;
mod joining;
mod landing;
mod limits;
mod machines;
mod names;
mod network;
mod parts;
mod process;
mod rates;
mod refusals;
mod reports;
mod resuming;
mod room;
mod serving;
mod sharing;
mod stranger;
mod terminal;
mod turns;
mod unbound;
mod vanishing;
mod versions;
mod waiting;
mod wrong_holder;
