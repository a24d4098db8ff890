//! The fetches of a command while they run, and their results: what is printed of each, and the exit code.
//!
//! The same for a peer of the command's own and for one that runs already.

use std::process::ExitCode;

use brigade_node::peer::{FetchState, Progress};
use serde_json::Value;
use tokio::sync::watch;

use super::silence::wait_for_silence;
use crate::{
    command_line::args::FetchArgs,
    commands::json_events,
    failure::{DISK, FAILED, Failure, NOT_FOUND, TIMED_OUT},
    notices::{
        Notices,
        fetch_progress::{ProgressDetail, follow, summary},
    },
    terminal::{
        signals::{Signal, Signals},
        standard_error::print_error_line,
        standard_output::print_line,
    },
    text::{format, hints},
};

/// The fetches that were started, and the last progress of those that ended, in the same order.
#[derive(Default)]
pub(super) struct StartedFetches {
    fetches: Vec<watch::Receiver<Progress>>,
    ended: Vec<Progress>,
    /// The reason why no fetch was started, in the form of [`Failure::json`].
    pub(super) reason: Option<Value>,
}

/// The result of all fetches.
pub(super) struct FetchSummary {
    /// Whether all requested files are complete.
    pub(super) done: bool,
    pub(super) fetched: Vec<Progress>,
    /// The reason why not, in the form of [`Failure::json`].
    pub(super) reason: Option<Value>,
}

impl StartedFetches {
    /// Takes the fetches that have begun.
    pub(super) fn begin(&mut self, fetches: Vec<watch::Receiver<Progress>>) {
        self.fetches = fetches;
    }

    /// The progress of each fetch.
    pub(super) fn progress(&self) -> Vec<watch::Receiver<Progress>> {
        self.fetches.clone()
    }

    /// Follows all fetches to their end and prints the result of each. Returns the exit code.
    ///
    /// # Errors
    /// If no byte arrived for the time of `--timeout`.
    pub(super) async fn follow(
        &mut self,
        args: &FetchArgs,
        mut notices: Option<&mut Notices>,
    ) -> Result<ExitCode, Failure> {
        let reported = if args.json { self.fetches.clone() } else { vec![] };
        let reporting = json_events::report_progress(reported);
        tokio::pin!(reporting);
        let silence = wait_for_silence(args.timeout, self.fetches.clone());
        tokio::pin!(silence);
        let detail = if args.quiet { ProgressDetail::Nothing } else { ProgressDetail::Waits };
        for fetch in &self.fetches {
            let progress = tokio::select! {
                progress = follow(fetch.clone(), notices.as_deref_mut(), detail) => progress,
                limit = &mut silence => {
                    let message = format!("no byte has arrived for {}", format::duration(limit));
                    return Err(Failure::new(TIMED_OUT, message).hint(hints::FETCH_AGAIN));
                }
                () = &mut reporting => continue, // it never ends
            };
            print_result(args, &progress);
            self.ended.push(progress);
        }
        Ok(exit_code(&self.ended))
    }

    /// Whether all requested names are complete.
    pub(super) fn is_done(&self, args: &FetchArgs) -> bool {
        self.ended.len() == args.names.len() && is_complete(&self.ended)
    }

    /// The result of all fetches. Prints those that were not printed yet.
    pub(super) fn end(self, args: &FetchArgs) -> FetchSummary {
        let Self { fetches, ended: mut fetched, reason } = self;
        for fetch in &fetches[fetched.len()..] {
            let progress = fetch.borrow().clone().or_stopped();
            print_result(args, &progress);
            fetched.push(progress);
        }
        let done = fetched.len() == args.names.len() && is_complete(&fetched);
        FetchSummary { done, fetched, reason }
    }
}

impl FetchSummary {
    /// Adds the reason if not everything is complete, or if an error followed.
    pub(super) fn with_reason(mut self, result: &Result<ExitCode, Failure>, signals: &Signals) -> Self {
        let reason = self.reason.take();
        self.reason = match result {
            Err(failure) => Some(failure.json()),
            Ok(_) if self.done => None,
            Ok(_) => reason.or_else(|| {
                let code = signals.received().map_or_else(|| code_of(&self.fetched), Signal::code);
                Some(json_events::reason(code, &self.fetched))
            }),
        };
        self
    }
}

fn is_complete(fetched: &[Progress]) -> bool {
    fetched.iter().all(|progress| progress.state == FetchState::Done)
}

fn exit_code(fetched: &[Progress]) -> ExitCode {
    if is_complete(fetched) { ExitCode::SUCCESS } else { ExitCode::from(code_of(fetched)) }
}

/// The exit code of fetches that are not complete: errors of files are errors of the disk or changed files; without
/// such an error, the fetch was stopped.
pub(crate) fn code_of(fetched: &[Progress]) -> u8 {
    match fetched {
        _ if fetched.iter().any(|progress| progress.failed > progress.changed) => DISK,
        _ if fetched.iter().any(|progress| progress.changed > 0) => NOT_FOUND,
        _ => FAILED,
    }
}

/// Prints the result of a fetch. Without `--json`, that of a fetch that is not complete is a message.
fn print_result(args: &FetchArgs, progress: &Progress) {
    if args.json {
        print_line(&json_events::result(progress).to_string());
    } else if progress.state != FetchState::Done {
        print_error_line(&summary(progress));
    } else if !args.quiet {
        print_line(&summary(progress));
    }
}
