//! `brigade backup` and `brigade restore`: the key and the members of a manager in one file.
//!
//! A running manager makes its backup itself. A backup contains the secret key: only the user may read it. Restoring
//! needs no running manager, and replaces nothing.

use std::{path::absolute, process::ExitCode};

use brigade_node::manager::{RestoreError, restore};
use serde_json::json;

use crate::{
    command_line::args::running::{BackupArgs, RestoreArgs},
    commands::{
        json_events::with_failure,
        running::{manager, print_result},
    },
    failure::{DISK, FAILED, Failure, USAGE},
    folder_argument_checks::check_state,
    text::escape::escape,
};

/// Makes a backup of the running manager.
pub(crate) async fn backup(args: BackupArgs) -> Result<ExitCode, Failure> {
    let made = async {
        let client = manager(&args.manager)?;
        let to = absolute(&args.file).map_err(|error| Failure::of(USAGE, &error).hint("name a new file"))?;
        client.backup(&to).await?;
        let path = to.display().to_string();
        let text = format!("the key and the members of the manager are in {}; keep it secret", escape(&path));
        print_result(args.manager.output, &text, &json!({ "backup": path }));
        Ok(ExitCode::SUCCESS)
    };
    with_failure(made.await, args.manager.output.json)
}

/// Restores the state of a manager.
pub(crate) fn run_restore(args: &RestoreArgs) -> Result<ExitCode, Failure> {
    with_failure(restored(args), args.output.json)
}

fn restored(args: &RestoreArgs) -> Result<ExitCode, Failure> {
    check_state(&args.state)?;
    restore(&args.file, &args.state).map_err(|error| failure(&error))?;
    let state = args.state.display().to_string();
    let text = format!(
        "restored; `brigade manager --state {}` runs the manager, with its key and its members",
        escape(&state)
    );
    print_result(args.output, &text, &json!({ "state": state }));
    Ok(ExitCode::SUCCESS)
}

fn failure(error: &RestoreError) -> Failure {
    let hint = match error {
        RestoreError::HasState { .. } => "name a new folder with --state",
        RestoreError::InUse { .. } => "stop that manager, or name a new folder with --state",
        RestoreError::Finish(_) => "start the manager: it finishes this itself",
        _ if error.is_disk_full() => "make space on the disk",
        RestoreError::Folder { .. } => "name a folder that is writable with --state",
        _ => "name a file that `brigade backup` made",
    };
    let code = if matches!(error, RestoreError::Finish(_)) { FAILED } else { DISK };
    Failure::of(code, error).hint(hint)
}
