//! Tests of the binary as a black box: real processes, real files, real sockets. Only the peers that break the protocol
//! use messages and TLS of the crates.
//!
//! Each test has its own network in a temporary folder ([`test_network`]), and each process ends with the test that
//! started it ([`test_process`]). Each wait has a deadline, and no test depends on a sleep. `docs/operating.md`
//! describes the behaviour that is tested.

#![cfg(unix)] // signals and file modes; the rest of the suite covers other systems
#![allow(clippy::unwrap_used)] // all of it is a test: a panic is a finding

mod changes_during_fetch;
mod clock_difference;
mod command_completion;
mod demo;
mod disk_space;
mod disks_below_folder;
mod displayed_rates;
mod doctor;
mod exfat;
mod failed_starts;
mod faulty_holder;
mod fetching;
mod file_name_lookup;
mod file_systems;
mod files_that_cannot_land;
mod folder_model;
mod folder_problems;
mod ignored_files;
mod job_control;
mod joining_and_leaving;
mod json_events;
mod manager_outages;
mod part_removal;
mod piece_exchange;
mod prompt_commands;
mod protocol_errors;
mod rate_limits;
mod refused_after_joining;
mod resource_limits;
mod resuming;
mod running_manager;
mod running_peer;
mod running_peer_fetches;
mod running_peer_shares;
mod running_peer_transfers;
mod screen;
mod screen_end;
mod scripted_peer;
mod services;
mod serving_after_fetch;
mod shares_in_place;
mod sharing;
mod signals;
mod startup_questions;
mod terminal;
mod terminal_lines;
mod test_disk;
mod test_network;
mod test_process;
mod test_skipping;
mod test_terminal;
mod two_machines;
mod unbound_usernames;
mod upload_turns;
mod waiting_commands;
mod waiting_fetches;
mod without_home;
