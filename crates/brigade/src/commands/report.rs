//! What `brigade fetch --json` writes to standard output: one object a line, with its kind as `event`.
//!
//! `progress` now and then while a name is fetched, `failure` where a name cannot be fetched, `result` for each name
//! that ended, and last of all, however it ends, `done` with the totals and the reason of a failure. The keys are
//! listed in `docs/operating.md`.

use std::time::Duration;

use brigade_core::plural::count;
use brigade_node::peer::{Fetch, FetchState, MemberTraffic, Progress, UnreachableHolder};
use serde_json::{Value, json};
use tokio::time::{MissedTickBehavior, interval};

use crate::{
    exit::{Failure, kind},
    terminal::output::say,
};

/// How often the progress of a fetch is told, if anything about it changed.
const PROGRESS_EVERY: Duration = Duration::from_millis(500);

/// Errors of files that the reason of a failure has; all that were kept are in the `result`.
const CAUSES: usize = 10;

/// Tells the progress of `fetches` until this is dropped.
pub(super) async fn tell_progress(fetches: Vec<Fetch>) {
    let mut each: Vec<_> = fetches.iter().map(Fetch::progress).collect();
    each.iter_mut().for_each(|one| one.mark_changed());
    let mut tick = interval(PROGRESS_EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        for one in &mut each {
            if one.has_changed().unwrap_or(false) {
                let now = one.borrow_and_update().clone();
                if !now.is_over() {
                    say(&progress(&now).to_string());
                }
            }
        }
    }
}

fn progress(progress: &Progress) -> Value {
    let state = match progress.state {
        FetchState::Checking => "checking",
        FetchState::Fetching => "fetching",
        FetchState::Waiting => "waiting",
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
        "rate": progress.rate,
        "seconds_left": progress.time_left().map(|left| left.as_secs()),
        "holders": progress.holders,
        "unreached": unreached(progress),
    })
}

/// Holders that could not be used, and why.
fn unreached(progress: &Progress) -> Vec<Value> {
    let one = |one: &UnreachableHolder| json!({ "username": one.username.as_str(), "address": one.address.to_string(), "cause": one.cause });
    progress.unreached.iter().map(one).collect()
}

/// A name that cannot be fetched.
pub(super) fn failure(name: &str, failure: &Failure) -> Value {
    let mut event = failure.event();
    event["name"] = name.into();
    event
}

/// A name that has ended.
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
        "bytes": progress.bytes,
        "bytes_already": progress.bytes_already,
        "bytes_copied": progress.bytes_copied,
        "pieces": progress.pieces,
        "seconds": progress.took.as_secs_f64(),
        "from": given(&progress.from),
        "failed": progress.failed,
        "errors": errors,
        "kept_aside": aside,
        "unreached": unreached(progress),
    })
}

/// The last line: all of `fetched`, which is everything that was asked for where `done`, and why it is not.
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
        "pieces": sum(|progress| progress.pieces),
        "from": given(&from),
        "sent": given(sent),
        "fetched_twice_bytes": fetched.iter().map(|progress| progress.bytes_twice).max().unwrap_or(0),
        "failed": sum(|progress| progress.failed),
        "failure": failure,
    })
}

/// The reason of a failure that is about files of `fetched`, or a signal: in the form of [`Failure::json`].
pub(super) fn reason(code: u8, fetched: &[Progress]) -> Value {
    let failed: u64 = fetched.iter().map(|progress| progress.failed).sum();
    let error = match code {
        130 | 143 => "a signal ended it".to_owned(),
        _ if failed > 0 => {
            let files: u64 = fetched.iter().map(|progress| progress.files).sum();
            format!("{failed} of {} could not be had", count(files, "file"))
        }
        _ => "it was stopped".to_owned(),
    };
    let of_file = |(name, error): &(brigade_core::name::FileName, String)| format!("{name}: {error}");
    let causes: Vec<String> = fetched.iter().flat_map(|one| &one.errors).take(CAUSES).map(of_file).collect();
    let hint = match () {
        () if fetched.iter().any(|one| one.occupied > 0) => {
            Some("with --replace, a file that is in the way is kept aside as NAME.~1~")
        }
        () if fetched.iter().any(|one| one.changed > 0) => {
            Some("the same fetch again takes what there is now")
        }
        () if failed == 0 => Some("what is verified is kept, and the same fetch goes on from there"),
        () => None,
    };
    json!({ "code": code, "kind": kind(code), "error": error, "causes": causes, "hint": hint })
}

fn given(shares: &[MemberTraffic]) -> Vec<Value> {
    let one = |given: &MemberTraffic| json!({ "username": given.username.as_str(), "bytes": given.bytes, "pieces": given.pieces });
    shares.iter().map(one).collect()
}
