//! A fetch by a peer of its own: the command is a peer while it runs, and shares only the files that it fetched.
//!
//! `running_peer` fetches with a peer that runs already; `outcome` prints the results of both.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use brigade_core::limit_plan::LimitPlan;
use brigade_node::{
    durable_folders::{make_folders, remove_folders},
    peer::{
        Fetch, FetchOptions, FetchRequest, FetchState, ManagerState, Peer, PeerConfig, Progress,
        ResolveError, Resolved, ShareMode,
    },
};
use serde_json::Value;
use tokio::time::sleep;

use super::{
    choose_content::{Answer, ContentQuestions, left_out_note, nothing_chosen},
    done_file::{check_done_file, check_fetched_names, make_done_file, remove_old_done_file},
    name_wait::NameWait,
    outcome::{FetchSummary, StartedFetches},
};
use crate::{
    command_line::args::FetchArgs,
    commands::{json_events, listen_and_join::join},
    failure::{DISK, Failure, REFUSED},
    folder_argument_checks::check_destination,
    notices::{Notices, incomplete_catalogue::CatalogueWait},
    terminal::{signals::Signals, standard_error::print_error_line, standard_output::print_line},
    text::hints,
};

/// Fetches all names at once into the folder `into`, and continues to serve with `--stay`.
pub(super) async fn run(
    args: &FetchArgs,
    into: &Path,
    limits: LimitPlan,
    mut signals: Signals,
) -> Result<ExitCode, Failure> {
    let (peer, made) = match begin(args, into, limits, &mut signals).await {
        Ok(begun) => begun,
        Err(ended) => {
            if args.json {
                let ended = StartedFetches::default().end(args).with_reason(&ended, &signals);
                print_line(&json_events::totals(&[], false, &[], ended.reason).to_string());
            }
            return ended;
        }
    };
    let mut notices = Notices::of(&peer);
    let mut started = StartedFetches::default();
    let result = tokio::select! {
        result = fetch_all(&peer, args, into, signals.clone(), &mut started, &mut notices) => result,
        signal = signals.first() => Ok(signal.exit_code()),
    };
    let ended = started.end(args).with_reason(&result, &signals);
    let is_done = ended.done;
    let result = match result {
        Ok(_) if ended.done && args.stay => Ok(stay(&mut signals, &mut notices, args.quiet).await),
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
    into: &Path,
    limits: LimitPlan,
    signals: &mut Signals,
) -> Result<(Peer, Vec<PathBuf>), Result<ExitCode, Failure>> {
    check_destination(into).map_err(Err)?;
    check_done_file(args.done_file.as_deref(), into).map_err(Err)?;
    remove_old_done_file(args.done_file.as_deref()).map_err(Err)?;
    let manager = args.peer.manager.address();
    let mut config = PeerConfig::new(manager, into)
        .sharing(ShareMode::Fetched)
        .max_connections(args.peer.max)
        .limits(limits)
        .keep_parts(args.peer.keep_parts.time());
    config.username = args.peer.username.clone();
    let made = make_parents(into).map_err(Err)?;
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

async fn fetch_all(
    peer: &Peer,
    args: &FetchArgs,
    into: &Path,
    signals: Signals,
    started: &mut StartedFetches,
    notices: &mut Notices,
) -> Result<ExitCode, Failure> {
    let wanted = match resolve_all(peer, args, signals, &mut started.reason).await? {
        Ok(wanted) => wanted,
        Err(code) => return Ok(code),
    };
    let note = |files: &Resolved| left_out_note(files.name(), files.left_out(), args.from.as_ref());
    let notes = wanted.iter().filter(|_| !args.quiet).filter_map(note);
    notes.for_each(|note| print_error_line(&note));
    let names = wanted.iter().flat_map(|resolved| resolved.files().iter().map(|file| &file.name));
    check_fetched_names(args.done_file.as_deref(), into, names)?;
    let options = FetchOptions::default().priority(args.priority.into());
    let fetches = peer.fetch_with(wanted, options).await?;
    started.begin(fetches.iter().map(Fetch::progress).collect());
    let code = tokio::select! {
        code = started.follow(args, Some(notices)) => code?,
        failure = wait_until_stuck(peer, &fetches) => return Err(failure),
    };
    if let Some(path) = args.done_file.as_deref().filter(|_| started.is_done(args)) {
        make_done_file(path)?;
    }
    Ok(code)
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
        let result = resolve_or_wait(peer, &request, &mut waiting, args).await;
        results.push((name, request, result));
    }
    let mut questions =
        ContentQuestions::new(!args.json && !results.iter().any(|(.., result)| is_wrong(result)));
    for (name, request, result) in results {
        let failure = match choose(peer, request, result, &mut questions, &mut waiting, args).await {
            Ok(Ok(files)) => {
                wanted.push(files);
                continue;
            }
            Ok(Err(answer)) => match answer.signal(&mut signals).await {
                Some(signal) => return Ok(Err(signal.exit_code())),
                None => nothing_chosen(name),
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

/// Resolves a name; with `--wait` again and again while nobody shares it.
async fn resolve_or_wait(
    peer: &Peer,
    request: &FetchRequest,
    waiting: &mut CatalogueWait,
    args: &FetchArgs,
) -> Result<Resolved, ResolveError> {
    let mut name_wait = NameWait::new(args, &request.name);
    loop {
        let result = resolve(peer, request, waiting, args.quiet).await;
        let is_missing = matches!(result, Err(ResolveError::NotFound { .. } | ResolveError::NotHere { .. }));
        let Some(pause) = name_wait.next_pause().filter(|_| is_missing) else { return result };
        sleep(pause).await;
    }
}

/// Resolves a name.
async fn resolve(
    peer: &Peer,
    request: &FetchRequest,
    waiting: &mut CatalogueWait,
    quiet: bool,
) -> Result<Resolved, ResolveError> {
    let mut print_wait = |left| {
        let text = waiting.text(left).filter(|_| !quiet);
        text.into_iter().for_each(|text| print_error_line(&text));
    };
    peer.resolve(request, &mut print_wait).await
}

/// Whether no answer to a question can lead to the files of a name.
const fn is_wrong(result: &Result<Resolved, ResolveError>) -> bool {
    !matches!(result, Ok(_) | Err(ResolveError::Ambiguous { .. }))
}

/// The files of a name that was resolved. If it has several contents, a person at a terminal may choose.
async fn choose(
    peer: &Peer,
    mut request: FetchRequest,
    mut result: Result<Resolved, ResolveError>,
    questions: &mut ContentQuestions,
    waiting: &mut CatalogueWait,
    args: &FetchArgs,
) -> Result<Result<Resolved, Answer>, Failure> {
    loop {
        let (choices, rest) = match result {
            Ok(files) => return Ok(Ok(files)),
            Err(ResolveError::Ambiguous { choices, rest }) => (choices, rest),
            Err(error) => return Err(error.into()),
        };
        match questions.ask(&choices, &mut request).await? {
            Answer::Chosen => result = resolve(peer, &request, waiting, args.quiet).await,
            Answer::NobodyToAsk => return Err(ResolveError::Ambiguous { choices, rest }.into()),
            other => return Ok(Err(other)),
        }
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

async fn stay(signals: &mut Signals, notices: &mut Notices, quiet: bool) -> ExitCode {
    loop {
        tokio::select! {
            signal = signals.first() => return signal.exit_code(),
            notices = notices.next() => if !quiet { print_error_line(&notices) },
        }
    }
}
