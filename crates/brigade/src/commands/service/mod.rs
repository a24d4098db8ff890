//! `brigade service`: a peer or a manager that starts with the machine or with the session of its user.
//!
//! On Linux it writes a unit of systemd (`systemd_unit`), on macOS a file of launchd (`launchd_file`); other systems have
//! the steps in `docs/operating.md`. `installation` finds the folders and asks the service manager. A file that this
//! command did not write is never replaced or removed.

mod account;
mod install_options;
mod installation;
mod launchd_file;
mod own_files;
mod service_commands;
mod service_names;
mod systemd_unit;

use std::{fs, process::ExitCode};

use serde_json::json;

use self::{
    install_options::InstallOptions,
    installation::Installation,
    own_files::{disk, read_own, shown, write},
    service_commands::run_all,
    service_names::{Scope, check_instance, service_name},
};
use crate::{
    command_line::args::{ServiceAction, ServiceArgs, ServiceSelection, ServiceStatusArgs},
    failure::{Failure, NOT_FOUND},
    terminal::standard_output::{print_line, print_text},
    text::escape::escape,
};

/// Installs, removes or shows services.
pub(super) fn run(args: ServiceArgs) -> Result<ExitCode, Failure> {
    match args.action {
        ServiceAction::Install(args) => match InstallOptions::read(args) {
            Ok(options) => install(&options?),
            Err(code) => Ok(code), // the mistakes were printed
        },
        ServiceAction::Remove(selection) => remove(&selection),
        ServiceAction::Status(args) => status(&args),
    }
}

fn install(options: &InstallOptions) -> Result<ExitCode, Failure> {
    let installation = Installation::find(options.scope)?;
    let name = service_name(options.program, options.instance.as_deref());
    let file = installation.file(&name);
    let text = installation.text(&name, options)?;
    if options.dry_run {
        print_text(&text);
        return Ok(ExitCode::SUCCESS);
    }
    let before = read_own(&file)?;
    for folder in options.folders() {
        installation.make_folder(&folder, options)?;
    }
    if before.as_deref() == Some(&*text) {
        print_line(&format!("{} is up to date", shown(&file)));
    } else {
        write(&file, &text)?;
        print_line(&format!(
            "{} was {}:",
            shown(&file),
            if before.is_some() { "replaced" } else { "written" }
        ));
        print_text(&text);
    }
    for note in installation.notes(options) {
        print_line(&format!("note: {note}"));
    }
    run_all(&installation.commands_after_install(&name, before.is_some()))
}

fn remove(selection: &ServiceSelection) -> Result<ExitCode, Failure> {
    check_instance(selection.name.as_deref())?;
    let installation = Installation::find(Scope::of(&selection.scope))?;
    let name = service_name(selection.program, selection.name.as_deref());
    let file = installation.file(&name);
    if read_own(&file)?.is_none() {
        let failure = Failure::new(
            NOT_FOUND,
            format!("the service {name} is not installed: {} is not there", file.display()),
        );
        return Err(failure
            .hint("`brigade service status` lists the installed services; --name and --system choose one"));
    }
    let stopped = run_all(&installation.commands_before_removal(&name))?;
    fs::remove_file(&file).map_err(|error| disk("remove", &file, &error))?;
    print_line(&format!(
        "{} was removed; the folder of the service, its key and its state stay",
        shown(&file)
    ));
    let reloaded = run_all(&installation.commands_after_removal())?;
    Ok(if stopped == ExitCode::SUCCESS { reloaded } else { stopped })
}

fn status(args: &ServiceStatusArgs) -> Result<ExitCode, Failure> {
    let scopes = match (args.scope.user, args.scope.system) {
        (false, false) => vec![Scope::User, Scope::System],
        _ => vec![Scope::of(&args.scope)],
    };
    let mut count = 0;
    for scope in scopes {
        // An account without a home has no services of its own.
        let Ok(installation) = Installation::find(scope) else { continue };
        for (name, file) in installation.installed() {
            count += 1;
            let state = installation.state(&name);
            if args.json {
                let line = json!({
                    "name": name, "scope": scope.name(), "file": file.display().to_string(), "active": state.active,
                    "enabled": state.enabled, "status": state.text,
                });
                print_line(&line.to_string());
            } else {
                let text = state.text.as_deref().unwrap_or_default();
                print_line(&format!(
                    "{name}  {}  {}, {}  {}",
                    scope.name(),
                    state.active.as_deref().unwrap_or("state unknown"),
                    state.enabled.as_deref().unwrap_or("unknown at the start"),
                    escape(text)
                ));
            }
        }
    }
    if count == 0 && !args.json {
        print_line("no service of Brigade is installed; `brigade service install --help` shows how");
    }
    Ok(ExitCode::SUCCESS)
}
