//! `brigade backup` and `brigade restore`: the key and the members of a manager in one file.
//!
//! A running manager sends its backup, and this command writes the file: a service may not write where its user may. A
//! backup contains the secret key: only the user may read it, and it must not lie in a shared folder. Restoring needs no
//! running manager, and replaces nothing.

use std::{
    path::{Path, absolute},
    process::ExitCode,
};

use brigade_api::{client::ManagerClient, problem::Problem};
use brigade_node::manager::{BackupError, BackupFile, restore};
use serde_json::json;

use crate::{
    command_line::args::running::{BackupArgs, RestoreArgs},
    commands::{
        json_events::with_failure,
        running::{manager, print_result},
    },
    failure::{Failure, USAGE},
    folder_argument_checks::{check_backup, check_state},
    text::escape::escape,
};

/// Makes a backup of the running manager.
pub(crate) async fn backup(args: BackupArgs) -> Result<ExitCode, Failure> {
    let made = async {
        let client = manager(&args.manager)?;
        let to = absolute(&args.file).map_err(|error| Failure::of(USAGE, &error).hint("name a new file"))?;
        check_backup(&to)?;
        write_backup(&client, &to).await?;
        let path = to.display().to_string();
        let text = format!("the key and the members of the manager are in {}; keep it secret", escape(&path));
        print_result(args.manager.output, &text, &json!({ "backup": path }));
        Ok(ExitCode::SUCCESS)
    };
    with_failure(made.await, args.manager.output.json)
}

/// Writes the backup that the manager sends into the new file `to`.
async fn write_backup(client: &ManagerClient, to: &Path) -> Result<(), Failure> {
    let failure = |error: BackupError| Failure::from(Problem::from(error));
    let mut file = BackupFile::create(to).map_err(failure)?;
    let mut parts = client.backup().await?;
    while let Some(part) = parts.next().await? {
        file.write(&part).map_err(failure)?;
    }
    file.finish().map_err(failure)
}

/// Restores the state of a manager.
pub(crate) fn run_restore(args: &RestoreArgs) -> Result<ExitCode, Failure> {
    with_failure(restored(args), args.output.json)
}

fn restored(args: &RestoreArgs) -> Result<ExitCode, Failure> {
    check_state(&args.state)?;
    restore(&args.file, &args.state).map_err(|error| Failure::from(Problem::from(error)))?;
    let state = args.state.display().to_string();
    let text = format!(
        "restored; `brigade manager --state {}` runs the manager, with its key and its members",
        escape(&state)
    );
    print_result(args.output, &text, &json!({ "state": state }));
    Ok(ExitCode::SUCCESS)
}
