//! The output with `--json`: one JSON object per line. Those of `brigade fetch` have their kind as `event`.
//!
//! `progress` from time to time while a name is fetched, `failure` if a name cannot be fetched, `result` for each name
//! that ended, and last, in any case, `done` with the totals and the reason of a failure. `docs/operating.md` lists the
//! keys.

use std::{process::ExitCode, time::Duration};

use brigade_core::plural::count;
use brigade_node::peer::{FetchState, MemberTraffic, Progress, UnreachableHolder};
use serde_json::{Value, json};
use tokio::{
    sync::watch,
    time::{MissedTickBehavior, interval},
};

use crate::{
    failure::{Failure, INTERRUPTED, TERMINATED, kind},
    terminal::standard_output::print_line,
    text::hints,
};

/// How often the progress of a fetch is printed, if it changed.
const PROGRESS_EVERY: Duration = Duration::from_millis(500);

/// The most errors of files in the reason of a failure; `result` has more.
const CAUSES: usize = 10;

/// Returns `result` of a list. With `json`, a failure is printed as an object too.
pub(super) fn with_failure(result: Result<ExitCode, Failure>, json: bool) -> Result<ExitCode, Failure> {
    if let Err(failure) = &result
        && json
    {
        print_line(&failure.event().to_string());
    }
    result
}

/// A row of a list, with the time after which the catalogue is complete, if it is not.
pub(super) fn list_row(mut row: Value, incomplete_ms: Option<u64>) -> String {
    if let Some(left) = incomplete_ms {
        row["incomplete_ms"] = left.into();
    }
    row.to_string()
}

/// Prints the progress of fetches until it is dropped.
pub(super) async fn report_progress(mut each: Vec<watch::Receiver<Progress>>) {
    let mut printed = vec![Value::Null; each.len()];
    let mut tick = interval(PROGRESS_EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        for (one, printed) in each.iter_mut().zip(&mut printed) {
            let event = changed_event(&one.borrow_and_update(), printed);
            if let Some(event) = event {
                print_line(&event);
            }
        }
    }
}

/// The event for `now` if the fetch is not over and the event differs from the last one.
fn changed_event(now: &Progress, last: &mut Value) -> Option<String> {
    let event = progress(now);
    if now.is_over() || event == *last {
        return None; // while a fetch waits, only the time that it takes changes
    }
    let text = event.to_string();
    *last = event;
    Some(text)
}

fn progress(progress: &Progress) -> Value {
    let state = match progress.state {
        FetchState::Checking => "checking",
        FetchState::Fetching => "fetching",
        FetchState::WaitingForFetch => "waiting_for_fetch",
        FetchState::Waiting => "waiting",
        FetchState::Paused => "paused",
        FetchState::Full { inodes: true, .. } => "no_inodes",
        FetchState::Full { .. } => "disk_full",
        _ => "over",
    };
    json!({
        "event": "progress",
        "name": progress.name,
        "state": state,
        "files": progress.files,
        "files_done": progress.files_done,
        "pieces": progress.pieces,
        "pieces_done": progress.pieces_done,
        "bytes": progress.bytes,
        "bytes_done": progress.bytes_done,
        "bytes_already": progress.bytes_already,
        "bytes_copied": progress.bytes_copied,
        "bytes_of_other_fetches": progress.bytes_of_other_fetches,
        "rate": progress.rate,
        "seconds_left": progress.time_left().map(|left| left.as_secs()),
        "holders": progress.holders,
        "without_holder": progress.without_holder.iter().map(|name| name.as_str()).collect::<Vec<_>>(),
        "files_without_holder": progress.files_without_holder,
        "unreached": unreached(progress),
    })
}

/// The holders that could not be used, with the cause.
fn unreached(progress: &Progress) -> Vec<Value> {
    let one = |one: &UnreachableHolder| json!({ "username": one.username.as_str(), "address": one.address.to_string(), "cause": one.cause });
    progress.unreached.iter().map(one).collect()
}

/// The event for a name that cannot be fetched.
pub(super) fn failure(name: &str, failure: &Failure) -> Value {
    let mut event = failure.event();
    event["name"] = name.into();
    event
}

/// The event for a name that has ended.
pub(super) fn result(progress: &Progress) -> Value {
    let errors: Vec<Value> = progress
        .errors
        .iter()
        .map(|(name, error)| json!({ "name": name.as_str(), "error": error }))
        .collect();
    let aside: Vec<Value> =
        progress.aside.iter().map(|(name, aside)| json!({ "name": name.as_str(), "aside": aside })).collect();
    json!({
        "event": "result",
        "name": progress.name,
        "done": progress.state == FetchState::Done,
        "files": progress.files,
        "files_already": progress.files_already,
        "left_out": progress.left_out,
        "bytes": progress.bytes,
        "bytes_already": progress.bytes_already,
        "bytes_copied": progress.bytes_copied,
        "bytes_of_other_fetches": progress.bytes_of_other_fetches,
        "pieces": progress.pieces,
        "seconds": progress.took.as_secs_f64(),
        "from": given(&progress.from),
        "failed": progress.failed,
        "errors": errors,
        "kept_aside": aside,
        "unreached": unreached(progress),
    })
}

/// The last event: the totals of `fetched`, whether everything is `done`, and the reason if it is not.
pub(super) fn totals(
    fetched: &[Progress],
    done: bool,
    sent: &[MemberTraffic],
    failure: Option<Value>,
) -> Value {
    let sum = |of: fn(&Progress) -> u64| fetched.iter().map(of).sum::<u64>();
    let mut from: Vec<MemberTraffic> = vec![];
    for one in fetched.iter().flat_map(|progress| &progress.from) {
        match from.iter_mut().find(|given| given.username == one.username) {
            Some(given) => {
                given.bytes += one.bytes;
                given.pieces += one.pieces;
            }
            None => from.push(one.clone()),
        }
    }
    json!({
        "event": "done",
        "totals": true,
        "done": done,
        "files": sum(|progress| progress.files),
        "bytes": sum(|progress| progress.bytes),
        "bytes_already": sum(|progress| progress.bytes_already),
        "bytes_copied": sum(|progress| progress.bytes_copied),
        "bytes_of_other_fetches": sum(|progress| progress.bytes_of_other_fetches),
        "pieces": sum(|progress| progress.pieces),
        "from": given(&from),
        "sent": given(sent),
        "fetched_twice_bytes": fetched.iter().map(|progress| progress.bytes_twice).max().unwrap_or(0),
        "failed": sum(|progress| progress.failed),
        "failure": failure,
    })
}

/// The reason if files of `fetched` failed or a signal ended the fetch, in the form of [`Failure::json`].
pub(super) fn reason(code: u8, fetched: &[Progress]) -> Value {
    let failed: u64 = fetched.iter().map(|progress| progress.failed).sum();
    let error = match code {
        INTERRUPTED | TERMINATED => "a signal ended the fetch".to_owned(),
        _ if failed > 0 => {
            let files: u64 = fetched.iter().map(|progress| progress.files).sum();
            format!("{failed} of {} could not be fetched", count(files, "file"))
        }
        _ => "the fetch was stopped".to_owned(),
    };
    let of_file = |(name, error): &(brigade_core::name::FileName, String)| format!("{name}: {error}");
    let causes: Vec<String> = fetched.iter().flat_map(|one| &one.errors).take(CAUSES).map(of_file).collect();
    let hint = match () {
        () if fetched.iter().any(|one| one.occupied > 0) => Some(hints::REPLACE),
        () if fetched.iter().any(|one| one.changed > 0) => Some(hints::FETCH_CURRENT),
        () if failed == 0 => Some(hints::FETCH_AGAIN),
        () => None,
    };
    json!({ "code": code, "kind": kind(code), "error": error, "causes": causes, "hint": hint })
}

fn given(shares: &[MemberTraffic]) -> Vec<Value> {
    let one = |given: &MemberTraffic| json!({ "username": given.username.as_str(), "bytes": given.bytes, "pieces": given.pieces });
    shares.iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{FetchState, Progress, Value, changed_event};

    #[test]
    fn an_event_is_not_printed_again_while_nothing_changes() {
        let (mut progress, mut last) = (Progress::new("data"), Value::Null);
        let mut is_printed = |progress: &Progress| changed_event(progress, &mut last).is_some();
        assert!(is_printed(&progress), "the first one");
        progress.state = FetchState::Waiting;
        assert!(is_printed(&progress));
        progress.took = Duration::from_secs(10);
        assert!(!is_printed(&progress));
        progress.holders = 1;
        assert!(is_printed(&progress));
        (progress.holders, progress.state) = (0, FetchState::Done);
        assert!(!is_printed(&progress), "the result says so");
    }
}
