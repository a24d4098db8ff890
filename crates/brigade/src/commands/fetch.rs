//! `brigade fetch`: fetches files and folders into a folder, without a prompt; it is a peer while it runs.
//!
//! Standard output has the data: a line for each complete name, or with `--json` the objects of [`super::json_events`],
//! the one with the totals last, even after a failure. Standard error has the progress, the errors and the messages about
//! the manager. Only the fetched files are served, not the other files of the folder.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use brigade_core::limit_plan::LimitPlan;
use brigade_node::{
    durable_folders::{make_folders, remove_folders},
    peer::{
        Fetch, FetchRequest, FetchState, ManagerState, Peer, PeerConfig, Progress, ResolveError, Resolved,
        ShareMode,
    },
};
use serde_json::Value;

use super::{
    choose_content::{Chosen, invalid_answer, left_out_note, menu, question, take_answer},
    done_file::{check_done_file, check_fetched_names, make_done_file, remove_old_done_file},
    json_events,
    listen_and_join::join,
};
use crate::{
    command_line::args::FetchArgs,
    failure::{DISK, FAILED, Failure, NOT_FOUND, REFUSED},
    folder_argument_checks::check_destination,
    notices::{
        Notices,
        fetch_progress::{follow, summary},
        incomplete_catalogue::CatalogueWait,
    },
    terminal::{
        input::{Input, LineReader, is_about_line},
        signals::{Signal, Signals},
        standard_error::print_error_line,
        standard_output::print_line,
    },
    text::hints,
};

/// Fetches all names at once, and continues to serve with `--stay`.
pub(crate) async fn run(args: FetchArgs, limits: LimitPlan) -> Result<ExitCode, Failure> {
    let mut signals = Signals::install();
    let (peer, made) = match begin(&args, limits, &mut signals).await {
        Ok(begun) => begun,
        Err(ended) => {
            if args.json {
                let ended = RunningFetches::default().end(&args).with_reason(&ended, &signals);
                print_line(&json_events::totals(&[], false, &[], ended.reason).to_string());
            }
            return ended;
        }
    };
    let mut notices = Notices::of(&peer);
    let mut running = RunningFetches::default();
    let result = tokio::select! {
        result = fetch_all(&peer, &args, signals.clone(), &mut running, &mut notices) => result,
        signal = signals.first() => Ok(signal.exit_code()),
    };
    let ended = running.end(&args).with_reason(&result, &signals);
    let is_done = ended.done;
    let result = match result {
        Ok(_) if ended.done && args.stay => Ok(stay(&mut signals, &mut notices).await),
        result => result,
    };
    if args.json {
        let FetchSummary { done, fetched, reason } = ended;
        print_line(&json_events::totals(&fetched, done, &peer.status().sent, reason).to_string());
    }
    if is_done {
        peer.stop().await;
    } else {
        peer.take_back().await;
        remove_folders(&made); // only the empty ones
    }
    result
}

/// Joins the network. Returns the peer and the folders that were created for it; the error is the result of the
/// command.
async fn begin(
    args: &FetchArgs,
    limits: LimitPlan,
    signals: &mut Signals,
) -> Result<(Peer, Vec<PathBuf>), Result<ExitCode, Failure>> {
    check_destination(&args.into).map_err(Err)?;
    check_done_file(args.done_file.as_deref(), &args.into).map_err(Err)?;
    remove_old_done_file(args.done_file.as_deref()).map_err(Err)?;
    let manager = args.peer.manager.address();
    let mut config = PeerConfig::new(manager, &args.into)
        .sharing(ShareMode::Fetched)
        .max_connections(args.peer.max)
        .limits(limits)
        .keep_parts(args.peer.keep_parts.time());
    config.username = args.peer.username.clone();
    let made = make_parents(&args.into).map_err(Err)?;
    let joined = tokio::select! {
        joined = join(&config, args.peer.host.as_deref(), args.peer.port) => joined.map_err(Err),
        signal = signals.first() => Err(Ok(signal.exit_code())),
    };
    match joined {
        Ok(peer) => Ok((peer, made)),
        Err(ended) => {
            remove_folders(&made); // nothing is left behind
            Err(ended)
        }
    }
}

/// Creates the parents of `folder`. Returns the created ones, innermost first.
fn make_parents(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let Some(parent) = folder.parent() else { return Ok(vec![]) };
    make_folders(parent, false).map_err(|error| {
        let file = parent.ancestors().find(|above| above.exists() && !above.is_dir());
        let error =
            file.map_or_else(|| error.to_string(), |file| format!("{} is not a folder", file.display()));
        let message = format!("creating the folder {}: {error}", parent.display());
        Failure::new(DISK, message).hint("choose another folder with --into")
    })
}

/// The fetches that were started, and the last progress of those that ended, in the same order.
#[derive(Default)]
struct RunningFetches {
    fetches: Vec<Fetch>,
    ended: Vec<Progress>,
    /// The reason why no fetch was started, in the form of [`Failure::json`].
    reason: Option<Value>,
}

/// The result of all fetches.
struct FetchSummary {
    /// Whether all requested files are complete.
    done: bool,
    fetched: Vec<Progress>,
    /// The reason why not, in the form of [`Failure::json`].
    reason: Option<Value>,
}

async fn fetch_all(
    peer: &Peer,
    args: &FetchArgs,
    signals: Signals,
    running: &mut RunningFetches,
    notices: &mut Notices,
) -> Result<ExitCode, Failure> {
    let wanted = match resolve_all(peer, args, signals, &mut running.reason).await? {
        Ok(wanted) => wanted,
        Err(code) => return Ok(code),
    };
    let notes = wanted.iter().filter_map(|files| left_out_note(files, args.from.as_ref()));
    notes.for_each(|note| print_error_line(&note));
    let names = wanted.iter().flat_map(|resolved| resolved.files().iter().map(|file| &file.name));
    check_fetched_names(args.done_file.as_deref(), &args.into, names)?;
    running.fetches = peer.fetch_all(wanted).await?;
    let reported = if args.json { running.fetches.clone() } else { vec![] };
    let reporting = json_events::report_progress(reported);
    tokio::pin!(reporting);
    for fetch in &running.fetches {
        let progress = tokio::select! {
            progress = follow(fetch, notices) => progress,
            failure = wait_until_stuck(peer, &running.fetches) => return Err(failure),
            () = &mut reporting => continue, // it never ends
        };
        print_result(args, &progress);
        running.ended.push(progress);
    }
    let done = running.ended.iter().all(|progress| progress.state == FetchState::Done);
    if let Some(path) = args.done_file.as_deref().filter(|_| done) {
        make_done_file(path)?;
    }
    Ok(if done { ExitCode::SUCCESS } else { ExitCode::from(code_of(&running.ended)) })
}

/// Resolves all names. All errors are printed before anything is fetched; the exit code is then that of the first one.
/// If a name is wrong, nothing will be fetched, so no question is asked.
async fn resolve_all(
    peer: &Peer,
    args: &FetchArgs,
    mut signals: Signals,
    reason: &mut Option<Value>,
) -> Result<Result<Vec<Resolved>, ExitCode>, Failure> {
    let mut wanted = vec![];
    let mut first = None;
    let mut waiting = CatalogueWait::default();
    let mut results = vec![];
    for name in &args.names {
        let mut request = FetchRequest::new(name).replace(args.replace);
        request.from = args.from.clone();
        let result = resolve(peer, &request, &mut waiting).await;
        results.push((name, request, result));
    }
    let asks = !args.json && !results.iter().any(|(.., result)| is_wrong(result));
    for (name, request, result) in results {
        let failure = match choose(peer, request, result, asks, &mut waiting).await {
            Ok(Chosen::Files(files)) => {
                wanted.push(files);
                continue;
            }
            Ok(Chosen::Interrupted) => return Ok(Err(Signal::Interrupt.exit_code())),
            Ok(Chosen::Nothing) => Failure::new(NOT_FOUND, format!("no content of {name:?} was chosen")),
            // The terminal may be closed.
            Ok(Chosen::Unanswered) => match signals.at_end_of_terminal().await {
                Some(signal) => return Ok(Err(signal.exit_code())),
                None => Failure::new(NOT_FOUND, format!("no content of {name:?} was chosen")),
            },
            Err(failure) => failure,
        };
        if args.json {
            print_line(&json_events::failure(name, &failure).to_string());
        }
        reason.get_or_insert_with(|| failure.json());
        match first {
            // A single error is printed where all errors are printed.
            None if args.names.len() == 1 => return Err(failure),
            _ => failure.print(),
        }
        first = first.or(Some(failure.code));
    }
    Ok(first.map_or(Ok(wanted), |code| Err(ExitCode::from(code))))
}

/// Resolves a name.
async fn resolve(
    peer: &Peer,
    request: &FetchRequest,
    waiting: &mut CatalogueWait,
) -> Result<Resolved, ResolveError> {
    let mut print_wait = |left| waiting.text(left).into_iter().for_each(|text| print_error_line(&text));
    peer.resolve(request, &mut print_wait).await
}

/// Whether no answer to a question can lead to the files of a name.
const fn is_wrong(result: &Result<Resolved, ResolveError>) -> bool {
    !matches!(result, Ok(_) | Err(ResolveError::Ambiguous { .. }))
}

/// The files of a name that was resolved. If it has several contents, and the command asks questions, a person at a
/// terminal chooses.
async fn choose(
    peer: &Peer,
    mut request: FetchRequest,
    mut result: Result<Resolved, ResolveError>,
    asks: bool,
    waiting: &mut CatalogueWait,
) -> Result<Chosen, Failure> {
    let mut lines = None;
    loop {
        let (choices, rest) = match result {
            Ok(files) => return Ok(Chosen::Files(files)),
            Err(ResolveError::Ambiguous { choices, rest }) => (choices, rest),
            Err(error) => return Err(error.into()),
        };
        if lines.is_none() && asks {
            lines =
                Some(LineReader::open(None).map_err(|error| Failure::other("opening the terminal", &error))?);
        }
        let Some(lines) = lines.as_mut().filter(|lines| lines.is_terminal()) else {
            return Err(ResolveError::Ambiguous { choices, rest }.into());
        };
        for choice in &choices {
            lines.printer().print(&menu(choice));
            let taken = loop {
                match lines.ask(&question(choice)).await {
                    Ok(Input::Line(answer)) => {
                        if let Some(taken) = take_answer(&mut request, choice, &answer) {
                            break taken;
                        }
                        lines.printer().print(&invalid_answer(choice, &answer));
                    }
                    Err(error) if is_about_line(&error) => {
                        lines.printer().print(&Failure::of_input(&error).text());
                    }
                    Ok(Input::Interrupted) => return Ok(Chosen::Interrupted),
                    Ok(Input::End) | Err(_) => return Ok(Chosen::Unanswered),
                }
            };
            if !taken {
                return Ok(Chosen::Nothing);
            }
        }
        result = resolve(peer, &request, waiting).await;
    }
}

/// Waits until the manager refuses this peer for good and all remaining fetches wait: no new holder can be found then.
async fn wait_until_stuck(peer: &Peer, fetches: &[Fetch]) -> Failure {
    let mut state = peer.state();
    let refused = state.wait_for(|state| matches!(state, ManagerState::Refused { .. })).await;
    let cause = refused.ok().and_then(|state| match &*state {
        ManagerState::Refused { cause } => Some(cause.clone()),
        _ => None,
    });
    let Some(cause) = cause else { return std::future::pending().await }; // the peer stops
    let moves = |progress: &Progress| {
        !progress.is_over() && !matches!(progress.state, FetchState::Waiting | FetchState::WaitingForFetch)
    };
    while let Some(mut moving) = fetches.iter().map(Fetch::progress).find(|one| moves(&one.borrow())) {
        if moving.wait_for(|progress| !moves(progress)).await.is_err() {
            return std::future::pending().await;
        }
    }
    if fetches.iter().all(|fetch| fetch.progress().borrow().is_over()) {
        return std::future::pending().await; // the caller sees that
    }
    let message =
        format!("the manager refuses this peer, and no connected peer has the missing pieces: {cause}");
    Failure::new(REFUSED, message).hint(hints::FETCH_AGAIN)
}

impl RunningFetches {
    /// The result of all fetches. Prints those that were not printed yet.
    fn end(self, args: &FetchArgs) -> FetchSummary {
        let Self { fetches, ended: mut fetched, reason } = self;
        for fetch in &fetches[fetched.len()..] {
            let progress = fetch.progress().borrow().clone().or_stopped();
            print_result(args, &progress);
            fetched.push(progress);
        }
        let all = fetched.len() == args.names.len();
        let done = all && fetched.iter().all(|progress| progress.state == FetchState::Done);
        FetchSummary { done, fetched, reason }
    }
}

impl FetchSummary {
    /// Adds the reason if not everything is complete, or if an error followed.
    fn with_reason(mut self, result: &Result<ExitCode, Failure>, signals: &Signals) -> Self {
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

/// The exit code of fetches that are not complete: errors of files are errors of the disk or changed files; without
/// such an error, the fetch was stopped.
pub(super) fn code_of(fetched: &[Progress]) -> u8 {
    match fetched {
        _ if fetched.iter().any(|progress| progress.failed > progress.changed) => DISK,
        _ if fetched.iter().any(|progress| progress.changed > 0) => NOT_FOUND,
        _ => FAILED,
    }
}

async fn stay(signals: &mut Signals, notices: &mut Notices) -> ExitCode {
    loop {
        tokio::select! {
            signal = signals.first() => return signal.exit_code(),
            notices = notices.next() => print_error_line(&notices),
        }
    }
}

/// Prints the result of a fetch. Without `--json`, that of a fetch that is not complete is a message.
fn print_result(args: &FetchArgs, progress: &Progress) {
    if args.json {
        print_line(&json_events::result(progress).to_string());
    } else if progress.state == FetchState::Done {
        print_line(&summary(progress));
    } else {
        print_error_line(&summary(progress));
    }
}
