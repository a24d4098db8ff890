//! A fetch by a peer that runs already: the command orders it, shows its progress, and prints its result.
//!
//! The fetch goes into the folder of that peer. When the command is interrupted, it cancels the fetch; with `--detach`
//! it does not wait.

use std::{process::ExitCode, time::Duration};

use brigade_api::{
    client::{ClientError, PeerClient},
    local::Target,
    problem::Problem,
    values::{Fetch, FetchOrder},
};
use brigade_node::peer::{AmbiguousName, FetchRequest, Progress};
use serde_json::{Value, json};
use tokio::{
    task::JoinSet,
    time::{sleep, timeout},
};

use super::{
    choose_content::{Answer, ContentQuestions, left_out_note, nothing_chosen},
    done_file::{check_done_file, make_done_file, remove_old_done_file},
    name_wait::NameWait,
    outcome::{FetchSummary, StartedFetches},
    problem_parts::{choices, chosen, has_choices, is_missing},
};
use crate::{
    command_line::args::FetchArgs,
    commands::json_events,
    failure::{Failure, NOT_FOUND, REFUSED},
    terminal::{signals::Signals, standard_error::print_error_line, standard_output::print_line},
    text::escape::escape,
};

/// How long cancelled fetches may take to end.
const CANCEL_TIME: Duration = Duration::from_secs(2);

/// Fetches all names at once.
pub(super) async fn run(
    args: &FetchArgs,
    target: &Target,
    mut signals: Signals,
) -> Result<ExitCode, Failure> {
    let client = PeerClient::new(target);
    let mut started = StartedFetches::default();
    let mut ids = vec![];
    let result = tokio::select! {
        result = order_and_follow(&client, args, target, signals.clone(), &mut started, &mut ids) => result,
        signal = signals.first() => Ok(signal.exit_code()),
    };
    if args.detach && !ids.is_empty() && result.is_ok() {
        return result;
    }
    cancel(&client, &ids, &started).await;
    let ended = started.end(args).with_reason(&result, &signals);
    if args.json {
        let FetchSummary { done, fetched, reason } = ended;
        let mut totals = json_events::totals(&fetched, done, &[], reason);
        totals["into"] = target.folder.display().to_string().into();
        print_line(&totals.to_string());
    }
    result
}

async fn order_and_follow(
    client: &PeerClient,
    args: &FetchArgs,
    target: &Target,
    signals: Signals,
    started: &mut StartedFetches,
    ids: &mut Vec<u64>,
) -> Result<ExitCode, Failure> {
    check_network(client, args).await?;
    check_done_file(args.done_file.as_deref(), &target.folder)?;
    remove_old_done_file(args.done_file.as_deref())?;
    let follower = match args.detach {
        true => None,
        false => Some(client.fetch_follower().await.map_err(Failure::from)?),
    };
    let fetches = match begin(client, args, signals, &mut started.reason).await? {
        Ok(fetches) => fetches,
        Err(code) => return Ok(code),
    };
    ids.extend(fetches.iter().map(|fetch| fetch.id));
    started.begin(follower.map(|follower| follower.follow(&fetches)).unwrap_or_default());
    let note = |fetch: &Fetch| left_out_note(&fetch.name, fetch.left_out, args.from.as_ref());
    let notes = fetches.iter().filter(|_| !args.quiet).filter_map(note);
    notes.for_each(|note| print_error_line(&note));
    if args.detach {
        fetches.iter().for_each(|fetch| print_begun(args, fetch));
        return Ok(ExitCode::SUCCESS);
    }
    let code = started.follow(args, None).await?;
    if let Some(path) = args.done_file.as_deref().filter(|_| started.is_done(args)) {
        make_done_file(path)?;
    }
    Ok(code)
}

/// Refuses a peer of another network than `--manager-key` names.
async fn check_network(client: &PeerClient, args: &FetchArgs) -> Result<(), Failure> {
    let Some(key) = args.peer.manager.manager_key else { return Ok(()) };
    let status = client.status().await.map_err(Failure::from)?;
    if status.network == key.to_string() {
        return Ok(());
    }
    let message = format!(
        "the peer that runs in {} is in another network: its manager has the key {}",
        escape(&status.folder),
        escape(&status.network)
    );
    Err(Failure::new(REFUSED, message).hint("fetch into another folder with --into"))
}

/// Begins all fetches. Errors of several names are printed; the exit code is then that of the first one.
async fn begin(
    client: &PeerClient,
    args: &FetchArgs,
    mut signals: Signals,
    reason: &mut Option<Value>,
) -> Result<Result<Vec<Fetch>, ExitCode>, Failure> {
    let mut order = FetchOrder::new(&args.names);
    order.from = args.from.as_ref().map(ToString::to_string);
    order.replace = args.replace;
    order.priority = args.priority.into();
    let mut questions = ContentQuestions::new(!args.json);
    let mut request = FetchRequest::default();
    let mut name_wait: Option<NameWait> = None;
    loop {
        let problem = match client.begin_fetches(&order).await {
            Ok(fetches) => return Ok(Ok(fetches)),
            Err(ClientError::Problem(problem)) => *problem,
            Err(error) => return Err(error.into()),
        };
        let names = of_names(problem, args);
        let missing: Vec<&str> =
            names.iter().filter(|(_, problem)| is_missing(problem)).map(|(name, _)| name.as_str()).collect();
        if !missing.is_empty() && names.iter().all(|(_, problem)| is_missing(problem) || has_choices(problem))
        {
            let name_wait = name_wait.get_or_insert_with(|| NameWait::new(args, &missing.join(", ")));
            if let Some(pause) = name_wait.next_pause() {
                sleep(pause).await;
                continue;
            }
        }
        if names.iter().all(|(_, problem)| has_choices(problem)) {
            let choices: Vec<AmbiguousName> =
                names.iter().flat_map(|(_, problem)| choices(problem)).collect();
            match questions.ask(&choices, &mut request).await? {
                Answer::Chosen => {
                    order.chosen = chosen(&request);
                    continue;
                }
                Answer::NobodyToAsk => {}
                answer => match answer.signal(&mut signals).await {
                    Some(signal) => return Ok(Err(signal.exit_code())),
                    None => {
                        return refuse(args, vec![(names[0].0.clone(), nothing_chosen(&names[0].0))], reason);
                    }
                },
            }
        }
        let failures = names.into_iter().map(|(name, problem)| (name, Failure::from(problem)));
        return refuse(args, failures.collect(), reason);
    }
}

/// Reports the names that cannot be fetched.
fn refuse(
    args: &FetchArgs,
    mut failures: Vec<(String, Failure)>,
    reason: &mut Option<Value>,
) -> Result<Result<Vec<Fetch>, ExitCode>, Failure> {
    for (name, failure) in failures.iter().filter(|_| args.json) {
        print_line(&json_events::failure(name, failure).to_string());
    }
    *reason = failures.first().map(|(_, failure)| failure.json());
    if args.names.len() == 1 && failures.len() == 1 {
        return Err(failures.remove(0).1); // a single error is printed where all errors are printed
    }
    failures.iter().for_each(|(_, failure)| failure.print());
    Ok(Err(ExitCode::from(failures.first().map_or(NOT_FOUND, |(_, failure)| failure.code))))
}

/// The names that cannot be fetched, each with its error.
fn of_names(problem: Problem, args: &FetchArgs) -> Vec<(String, Problem)> {
    match problem.details().map(|details| details.names.as_slice()) {
        Some(names @ [_, ..]) => names.iter().map(|one| (one.name.clone(), one.problem.clone())).collect(),
        _ => vec![(args.names.join(" "), problem)],
    }
}

fn print_begun(args: &FetchArgs, fetch: &Fetch) {
    if args.json {
        print_line(&json!({ "event": "begun", "id": fetch.id, "name": fetch.name }).to_string());
    } else if !args.quiet {
        print_line(&format!("{}  {}", fetch.id, escape(&fetch.name)));
    }
}

/// Cancels the fetches that have not ended, and waits a moment for their end.
async fn cancel(client: &PeerClient, ids: &[u64], started: &StartedFetches) {
    let mut progress = started.progress();
    let mut cancelling = JoinSet::new();
    for (at, id) in ids.iter().copied().enumerate() {
        if progress.get(at).is_none_or(|one| !one.borrow().is_over()) {
            let client = client.clone();
            cancelling.spawn(async move { client.cancel_fetch(id).await.map(drop) });
        }
    }
    let all_ended = async {
        while cancelling.join_next().await.is_some() {} // one may have ended, or the peer has
        for one in &mut progress {
            let _ = one.wait_for(Progress::is_over).await;
        }
    };
    let _ = timeout(CANCEL_TIME, all_ended).await;
}
