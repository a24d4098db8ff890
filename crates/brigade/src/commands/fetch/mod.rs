//! `brigade fetch`: fetches files and folders into a folder, without a prompt.
//!
//! If a peer runs in the folder, it fetches; otherwise the command is a peer while it runs. Standard output has the
//! data: a line for each complete name, or with `--json` the objects of [`super::json_events`], the one with the totals
//! last, even after a failure. Standard error has the progress, the errors and the messages about the manager.

pub(super) mod choose_content;
mod done_file;
mod name_wait;
mod outcome;
mod own_peer;
mod peer_choice;
pub(super) mod problem_parts;
mod running_peer;
mod silence;

use std::process::ExitCode;

use brigade_core::limit_plan::LimitPlan;

pub(super) use self::outcome::code_of;
use self::{
    outcome::StartedFetches,
    peer_choice::{FetchingPeer, choose_peer},
};
use super::json_events;
use crate::{
    command_line::{args::FetchArgs, given_options::GivenOptions},
    failure::Failure,
    terminal::{signals::Signals, standard_output::print_line},
};

/// Fetches all names at once.
pub(crate) async fn run(
    args: FetchArgs,
    limits: LimitPlan,
    given: &GivenOptions,
) -> Result<ExitCode, Failure> {
    let signals = Signals::install();
    match choose_peer(&args, given) {
        Ok(FetchingPeer::Own(into)) => own_peer::run(&args, &into, limits, signals).await,
        Ok(FetchingPeer::Running(target)) => running_peer::run(&args, &target, signals).await,
        Err(failure) => {
            let result = Err(failure);
            if args.json {
                let ended = StartedFetches::default().end(&args).with_reason(&result, &signals);
                print_line(&json_events::totals(&[], false, &[], ended.reason).to_string());
            }
            result
        }
    }
}
