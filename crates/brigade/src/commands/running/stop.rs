//! `brigade stop`: ends a running peer or manager in good order, as SIGTERM does, and waits for its end.
//!
//! The socket is closed last, so a program whose socket does not answer any more has left its folder.

use std::{path::Path, process::ExitCode, time::Duration};

use brigade_api::local::{Target, connect};
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::{RunningProgram, print_result, program};
use crate::{
    command_line::args::running::StopArgs,
    commands::json_events::with_failure,
    failure::{FAILED, Failure},
    text::escape::escape,
};

/// How long the end may take: a peer ends within two seconds, and a disk may be slow.
const END_TIME: Duration = Duration::from_secs(30);

/// How often the socket is tried.
const TRY_EVERY: Duration = Duration::from_millis(20);

/// Stops the program.
pub(crate) async fn run(args: StopArgs) -> Result<ExitCode, Failure> {
    with_failure(stop(&args).await, args.of.peer.output.json)
}

async fn stop(args: &StopArgs) -> Result<ExitCode, Failure> {
    let target = match program(&args.of)? {
        RunningProgram::Peer(target, client) => {
            client.stop().await?;
            target
        }
        RunningProgram::Manager(target, client) => {
            client.stop().await?;
            target
        }
    };
    if !ends(&target.socket).await {
        let message = format!(
            "the {} in {} has not ended within {} s",
            target.kind.name(),
            target.folder.display(),
            END_TIME.as_secs()
        );
        return Err(Failure::new(FAILED, message).hint("it may wait for a disk; `brigade log` has the cause"));
    }
    print_result(
        args.of.peer.output,
        &stopped_text(&target),
        &json!({
            "stopped": true,
            "kind": target.kind.name(),
            "folder": target.folder.display().to_string(),
            "pid": target.record.as_ref().map(|record| record.pid),
        }),
    );
    Ok(ExitCode::SUCCESS)
}

async fn ends(socket: &Path) -> bool {
    let deadline = Instant::now() + END_TIME;
    while connect(socket).await.is_ok() {
        if Instant::now() >= deadline {
            return false;
        }
        sleep(TRY_EVERY).await;
    }
    true
}

fn stopped_text(target: &Target) -> String {
    format!("the {} in {} has ended", target.kind.name(), escape(&target.folder.display().to_string()))
}
