//! The lines of the log of transfers, as JSON. Their form is documented in `docs/operating.md`.
//!
//! Lists in a line are bounded; the numbers beside them count everything.

use brigade_core::{name::Username, time::UnixTime};
use brigade_node::peer::{FetchState, MemberTraffic, Progress};
use serde_json::{Value, json};

use super::upload_sessions::EndedUpload;
use crate::text::format;

/// Holders in a line.
const HOLDERS: usize = 100;

/// Errors of files in a line.
const ERRORS: usize = 10;

/// The line for a fetch that has ended.
pub(super) fn fetch_record(peer: &Username, began: UnixTime, ended: UnixTime, progress: &Progress) -> Value {
    let result = match &progress.state {
        FetchState::Done => "done",
        FetchState::Stopped => "stopped",
        _ => "failed",
    };
    let from: Vec<Value> = progress.from.iter().take(HOLDERS).map(traffic).collect();
    let errors = progress.errors.iter().take(ERRORS);
    let errors: Vec<Value> =
        errors.map(|(name, error)| json!({ "name": name.as_str(), "error": error })).collect();
    json!({
        "event": "fetch",
        "time": format::time(ended),
        "peer": peer.as_str(),
        "name": progress.name,
        "result": result,
        "began": format::time(began),
        "seconds": progress.took.as_secs_f64(),
        "files": progress.files,
        "failed": progress.failed,
        "bytes": progress.bytes,
        "bytes_already": progress.bytes_already,
        "bytes_received": progress.from.iter().map(|given| given.bytes).sum::<u64>(),
        "from": from,
        "errors": errors,
    })
}

/// The line for a downloader that was served.
pub(super) fn upload_record(peer: &Username, upload: &EndedUpload) -> Value {
    json!({
        "event": "upload",
        "time": format::time(upload.ended),
        "peer": peer.as_str(),
        "to": upload.downloader.as_str(),
        "result": if upload.is_idle { "idle" } else { "stopped" },
        "began": format::time(upload.began),
        "seconds": upload.ended.0.saturating_sub(upload.began.0),
        "bytes": upload.bytes,
        "pieces": upload.pieces,
    })
}

fn traffic(member: &MemberTraffic) -> Value {
    json!({ "username": member.username.as_str(), "bytes": member.bytes, "pieces": member.pieces })
}

#[cfg(test)]
mod tests {
    use super::{FetchState, MemberTraffic, Progress, UnixTime, fetch_record};

    #[test]
    fn a_fetch_has_its_holders_and_its_result() {
        let mut progress = Progress::new("film.bin");
        (progress.state, progress.bytes) = (FetchState::Done, 30);
        for (holder, bytes) in [("fire_user", 20), ("water_user", 10)] {
            progress.from.push(MemberTraffic::new(holder.parse().unwrap(), bytes, 1));
        }
        let record = fetch_record(&"earth_user".parse().unwrap(), UnixTime(0), UnixTime(5), &progress);
        assert_eq!((&record["result"], &record["bytes_received"]), (&"done".into(), &30.into()));
        assert_eq!(record["from"][1]["username"], "water_user");
        assert_eq!(record["time"], "1970-01-01T00:00:05Z");
        progress.state = FetchState::Checking;
        let record =
            fetch_record(&"earth_user".parse().unwrap(), UnixTime(0), UnixTime(5), &progress.or_stopped());
        assert_eq!(record["result"], "stopped");
    }
}
