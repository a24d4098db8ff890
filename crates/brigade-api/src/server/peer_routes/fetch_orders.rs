//! The route that begins fetches: all names of a request, or none.
//!
//! The names are resolved at the same time, a few at once. A request that waits for a name asks again until it is there.

use std::{sync::Arc, time::Duration};

use axum::{Json, extract::State, http::StatusCode};
use brigade_core::{
    id::Content,
    name::{FileName, Username},
};
use brigade_node::peer::{
    Fetch as NodeFetch, FetchError, FetchOptions, FetchRequest, ResolveError, Resolved,
};
use futures_util::{StreamExt, stream};
use tokio::time::{Instant, sleep, timeout, timeout_at};

use crate::{
    problem::{NOT_FOUND, NameProblem, Problem, UNREACHED, USAGE},
    server::{
        answer::ErrorAnswer,
        api_state::PeerApi,
        error_responses::{BodyErrors, FetchErrors},
        request_parts::JsonBody,
    },
    values::{Fetch, FetchList, FetchOrder},
};

/// Names in one request.
const NAMES: usize = 1000;

/// Names that are resolved at the same time.
const AT_ONCE: usize = 8;

/// The longest time that a request waits for a name that nobody shares.
const MOST_WAIT_S: u64 = 5;

/// How long resolving may take beside that: a manager that was started a moment ago is asked for a minute.
const RESOLVING: Duration = Duration::from_secs(120);

/// How long fetches that have begun may take to be in the list.
const LISTING: Duration = Duration::from_secs(5);

/// How often a name that nobody shares is looked up again.
const ASK_EVERY: Duration = Duration::from_secs(1);

/// Begins a fetch for each name. If one name cannot be fetched, none begins.
#[utoipa::path(
    post, operation_id = "begin_fetches", path = "/v1/fetches", tag = "fetches", request_body = FetchOrder,
    responses((status = 201, body = FetchList, description = "The fetches, in the order of the names."), FetchErrors, BodyErrors)
)]
pub(crate) async fn begin(
    State(api): State<Arc<PeerApi>>,
    JsonBody(order): JsonBody<FetchOrder>,
) -> Result<(StatusCode, Json<FetchList>), ErrorAnswer> {
    let requests = requests(&order)?;
    let wait_s = order.wait_s.unwrap_or(0);
    if wait_s > MOST_WAIT_S {
        return Err(ErrorAnswer::usage(format!("a request waits for at most {MOST_WAIT_S} s, not {wait_s}")));
    }
    let now = Instant::now();
    let wait_until = now + Duration::from_secs(wait_s);
    let resolved = timeout_at(wait_until + RESOLVING, resolve_all(&api, &requests, wait_until)).await;
    let resolved = resolved.unwrap_or_else(|_| {
        let problem = Problem::new(UNREACHED, "the names were not resolved in time");
        Err(problem.with_hint("try again when the manager answers faster"))
    })?;
    let options = FetchOptions::default().priority(order.priority.into()).paused(order.paused);
    let begun = api.peer.fetch_with(resolved, options).await;
    let begun = begun.map_err(|error| match error {
        FetchError::Stopping => ErrorAnswer::stopping("peer"),
        _ => Problem::from(error).into(),
    })?;
    // They are listed a moment later; a client that asks for one of them after this answer must find it.
    if let Some(last) = begun.last().map(NodeFetch::id) {
        let mut list = api.peer.fetches();
        let is_listed = list.wait_for(|list| list.iter().any(|fetch| fetch.id() >= last));
        drop(timeout(LISTING, is_listed).await);
    }
    let fetches = begun.iter().map(Fetch::from).collect();
    Ok((StatusCode::CREATED, Json(FetchList { fetches })))
}

/// The requests for the library, one for each name.
fn requests(order: &FetchOrder) -> Result<Vec<FetchRequest>, ErrorAnswer> {
    match order.names.len() {
        0 => return Err(ErrorAnswer::usage("no name is given")),
        1..=NAMES => {}
        many => {
            return Err(ErrorAnswer::usage(format!(
                "{many} names are given, and a request has at most {NAMES}"
            )));
        }
    }
    if order.save_as.is_some() && order.names.len() > 1 {
        // Each value is valid, and only their combination is not.
        let problem = Problem::new(USAGE, "`save_as` is for one name, and several are given");
        return Err(ErrorAnswer::new(StatusCode::CONFLICT, problem));
    }
    if order.chosen.len() > NAMES {
        return Err(ErrorAnswer::usage(format!("at most {NAMES} contents may be chosen")));
    }
    let bad = |kind: &str, text: &str, error: &dyn std::fmt::Display| {
        ErrorAnswer::not_found(format!("{text:?} is not {kind}: {error}"))
    };
    let from = order
        .from
        .as_deref()
        .map(|from| from.parse::<Username>().map_err(|error| bad("a username", from, &error)));
    let from = from.transpose()?;
    let save_as = order.save_as.as_deref();
    let save_as = save_as
        .map(|name| name.parse::<FileName>().map_err(|error| bad("a name", name, &error)))
        .transpose()?;
    let mut template = FetchRequest::new("").replace(order.replace);
    template.from = from;
    template.save_as = save_as;
    for chosen in &order.chosen {
        let name: FileName = chosen.name.parse().map_err(|error| bad("a name", &chosen.name, &error))?;
        let id = chosen
            .id
            .parse()
            .map_err(|error| ErrorAnswer::usage(format!("{:?} is not an id: {error}", chosen.id)))?;
        template.chosen.insert(name, Content { id, size: chosen.size });
    }
    let request = |name: &String| {
        let mut request = template.clone();
        request.name.clone_from(name);
        request
    };
    Ok(order.names.iter().map(request).collect())
}

/// The files of all requests, in their order; or the errors of all names that cannot be fetched.
async fn resolve_all(
    api: &PeerApi,
    requests: &[FetchRequest],
    wait_until: Instant,
) -> Result<Vec<Resolved>, Problem> {
    let asks: Vec<_> = requests.iter().map(|request| resolve(api, request, wait_until)).collect();
    let results = stream::iter(asks).buffered(AT_ONCE);
    let results: Vec<Result<Resolved, ResolveError>> = results.collect().await;
    let (mut resolved, mut failed) = (vec![], vec![]);
    for (request, result) in requests.iter().zip(results) {
        match result {
            Ok(files) => resolved.push(files),
            Err(error) => failed.push(NameProblem { name: request.name.clone(), problem: error.into() }),
        }
    }
    if failed.is_empty() { Ok(resolved) } else { Err(problem_of_names(failed, requests.len())) }
}

/// Resolves one name; if nobody shares it, again and again until `wait_until`.
async fn resolve(
    api: &PeerApi,
    request: &FetchRequest,
    wait_until: Instant,
) -> Result<Resolved, ResolveError> {
    loop {
        let result = api.peer.resolve(request, &mut |_| {}).await;
        let is_missing = matches!(result, Err(ResolveError::NotFound { .. } | ResolveError::NotHere { .. }));
        if !is_missing || Instant::now() + ASK_EVERY > wait_until {
            return result;
        }
        sleep(ASK_EVERY).await;
    }
}

/// The error for names that cannot be fetched: that of the only one, or the first lines of all.
fn problem_of_names(failed: Vec<NameProblem>, names: usize) -> Problem {
    /// Names in the text; the details have all.
    const SHOWN: usize = 10;
    let mut problem = match &*failed {
        [only] if names == 1 => only.problem.clone(),
        _ => {
            let code = failed.first().map_or(NOT_FOUND, |first| first.problem.code());
            let line =
                |one: &NameProblem| one.problem.message().lines().next().unwrap_or_default().to_owned();
            let hint =
                failed.iter().find_map(|one| one.problem.hint()).unwrap_or("correct or omit these names");
            let hint = format!("nothing is fetched; {hint}");
            Problem::new(code, format!("{} of {names} names cannot be fetched", failed.len()))
                .with_causes(failed.iter().take(SHOWN).map(line))
                .with_hint(hint)
        }
    };
    problem = problem.with_details(|details| details.names = failed);
    problem
}
