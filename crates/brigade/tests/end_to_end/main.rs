//! Tests of the binary as a black box: real processes, real files, real sockets. Only the peers that break the protocol
//! use messages and TLS of the crates.
//!
//! Each test has its own network in a temporary folder ([`network`]), and each process ends with the test that started
//! it ([`process`]). Each wait has a deadline, and no test depends on a sleep. `docs/operating.md` describes the
//! behaviour that is tested.

#![cfg(unix)] // signals and file modes; the rest of the suite covers other systems
#![allow(clippy::unwrap_used)] // all of it is a test: a panic is a finding

mod account_limits;
mod changed_files;
mod clock;
mod disk_space;
mod exfat;
mod faulty_holder;
mod fetching;
mod folder_model;
mod folder_problems;
mod ignoring;
mod joining;
mod json_events;
mod kept_parts;
mod landing;
mod limits;
mod manager_outages;
mod many_names;
mod name_resolution;
mod network;
mod process;
mod protocol_errors;
mod rates;
mod refusals;
mod requirements;
mod resuming;
mod serving;
mod sharing;
mod signals;
mod terminal;
mod test_disk;
mod turns;
mod two_machines;
mod unbound_usernames;
mod unknown_peer;
mod waiting;
mod without_home;
