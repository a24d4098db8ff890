//! The options of `service install`: its own, and the command line of the program that becomes a service.
//!
//! The command line is checked as if it were typed, so that a service does not fail later. Paths become absolute.

use std::{
    ffi::OsString,
    path::{Path, PathBuf, absolute},
    process::ExitCode,
};

use brigade_node::peer::check_shares;

use super::service_names::{Scope, check_instance, program_name};
use crate::{
    checked_home::home,
    command_line::{
        self,
        args::{Command, InstallArgs, ServiceProgram},
    },
    failure::{Failure, USAGE},
    folder_argument_checks::{check_shared, check_state},
};

/// What to install.
#[derive(Debug)]
pub(super) struct InstallOptions {
    pub(super) scope: Scope,
    pub(super) program: ServiceProgram,
    pub(super) instance: Option<String>,
    pub(super) account: Option<String>,
    pub(super) dry_run: bool,
    /// The command line after the program's name: `peer --headless …`.
    pub(super) line: Vec<String>,
    /// The shared folder of a peer, or the named state of a manager: absolute.
    pub(super) folder: Option<PathBuf>,
    /// The folder of the log of transfers, if there is one: absolute.
    pub(super) log_folder: Option<PathBuf>,
}

impl InstallOptions {
    /// Reads and checks the options. The outer error is the exit code after the mistakes were printed.
    pub(super) fn read(args: InstallArgs) -> Result<Result<Self, Failure>, ExitCode> {
        let mut args = args;
        if let Err(failure) = take_own_options(&mut args) {
            return Ok(Err(failure));
        }
        let program = program_name(args.program);
        let mut line: Vec<OsString> = vec!["brigade".into(), program.into()];
        if args.program == ServiceProgram::Peer && !args.options.iter().any(|option| option == "--headless") {
            line.push("--headless".into());
        }
        line.append(&mut args.options);
        let invocation = command_line::read(&line)?;
        Ok(Self::of(&args, invocation.args.command, &line))
    }

    fn of(args: &InstallArgs, command: Command, line: &[OsString]) -> Result<Self, Failure> {
        check_instance(args.name.as_deref())?;
        // What is in effect now, also by the environment or the settings of this user, which the service may not have.
        let mut in_effect: Vec<(&str, Option<PathBuf>)> = vec![];
        let mut username = None;
        let (folder, log) = match command {
            Command::Peer(peer) => {
                let Some(folder) = peer.folder else {
                    let failure =
                        Failure::new(USAGE, "a service needs --folder <DIR>: it has no current directory");
                    return Err(
                        failure.hint("name the folder to share, or set `folder` in [peer] of the settings")
                    );
                };
                check_shared(&folder)?;
                check_shares(&peer.share, Some(&folder), home().as_deref(), false)?;
                username = peer.peer.username.map(|username| username.to_string());
                let log = peer.transfer_log.transfer_log;
                in_effect.extend([("--folder", Some(folder.clone())), ("--transfer-log", log.clone())]);
                (Some(folder), log)
            }
            Command::Manager(manager) => {
                manager.state.as_deref().map_or(Ok(()), check_state)?;
                in_effect.push(("--state", manager.state.clone()));
                (manager.state, None)
            }
            _ => return Err(Failure::new(USAGE, "only a peer or a manager can be a service")),
        };
        let line = line[1..].iter().map(|word| {
            word.to_str()
                .map(str::to_owned)
                .ok_or_else(|| Failure::new(USAGE, format!("{word:?} is not UTF-8")))
        });
        let mut line = line.collect::<Result<Vec<String>, Failure>>()?;
        ["--folder", "--state", "--share", "--transfer-log", "--transfer_log"]
            .iter()
            .for_each(|option| make_value_absolute(&mut line, option));
        let absolute = |path: PathBuf| absolute(&path).unwrap_or(path);
        let paths = in_effect.into_iter().map(|(option, path)| (option, path.map(absolute)));
        let paths = paths.map(|(option, path)| (option, path.map(|path| path.display().to_string())));
        for (option, value) in [("--username", username)].into_iter().chain(paths) {
            add_missing(&mut line, option, value);
        }
        Ok(Self {
            scope: Scope::of(&args.scope),
            program: args.program,
            instance: args.name.clone(),
            account: args.account.clone(),
            dry_run: args.dry_run,
            line,
            folder: folder.map(absolute),
            log_folder: log.map(absolute).and_then(|log| log.parent().map(Path::to_owned)),
        })
    }

    /// The folders that the service writes to, apart from its home.
    pub(super) fn folders(&self) -> Vec<PathBuf> {
        [&self.folder, &self.log_folder].into_iter().flatten().cloned().collect()
    }
}

/// Takes the options of `install` itself out of those of the program, wherever they are: the program has none of these.
fn take_own_options(args: &mut InstallArgs) -> Result<(), Failure> {
    let mut rest = vec![];
    let mut words = std::mem::take(&mut args.options).into_iter();
    while let Some(word) = words.next() {
        let text = word.to_string_lossy().into_owned();
        let (option, joined) =
            text.split_once('=').map_or((&*text, None), |(option, value)| (option, Some(value)));
        let mut value = || {
            let value = joined
                .map(str::to_owned)
                .or_else(|| words.next().map(|next| next.to_string_lossy().into_owned()));
            value.ok_or_else(|| Failure::new(USAGE, format!("'{option}' needs a value")))
        };
        match option {
            "--user" => args.scope.user = true,
            "--system" => args.scope.system = true,
            "--dry-run" | "--dry_run" => args.dry_run = true,
            "--name" => args.name = Some(value()?),
            "--account" => args.account = Some(value()?),
            _ => rest.push(word),
        }
    }
    args.options = rest;
    if args.scope.user && args.scope.system {
        return Err(Failure::new(USAGE, "'--user' cannot be used with '--system'"));
    }
    if args.account.is_some() && !args.scope.system && Scope::of(&args.scope) == Scope::User {
        return Err(Failure::new(USAGE, "'--account' is for a service of the machine: give --system too"));
    }
    Ok(())
}

/// The path, relative to the current directory if it is not absolute.
pub(super) fn made_absolute(text: &str) -> String {
    absolute(text).map_or_else(|_| text.to_owned(), |path| path.display().to_string())
}

/// Makes the path absolute that is the value of `option` in `line`, as `--option PATH` or `--option=PATH`.
fn make_value_absolute(line: &mut [String], option: &str) {
    for index in 0..line.len() {
        if let Some(value) = line[index].strip_prefix(option).and_then(|rest| rest.strip_prefix('=')) {
            line[index] = format!("{option}={}", made_absolute(value));
        } else if line[index] == option && index + 1 < line.len() {
            line[index + 1] = made_absolute(&line[index + 1]);
        }
    }
}

/// Adds `option` with its value, if there is one and `line` does not have the option.
fn add_missing(line: &mut Vec<String>, option: &str, value: Option<String>) {
    let is_option = |word: &String| {
        let name = word.split_once('=').map_or(&**word, |(name, _)| name);
        name.replace('_', "-") == option
    };
    if let Some(value) = value.filter(|_| !line.iter().any(is_option)) {
        line.extend([option.to_owned(), value]);
    }
}

#[cfg(test)]
mod tests {
    use super::{add_missing, make_value_absolute};

    #[test]
    fn an_option_is_added_only_if_it_is_missing() {
        let mut line = ["peer", "--folder=/a", "--transfer_log", "/log"].map(str::to_owned).to_vec();
        for (option, value) in [
            ("--folder", Some("/b")),
            ("--transfer-log", Some("/other")),
            ("--state", None),
            ("--username", Some("a")),
        ] {
            add_missing(&mut line, option, value.map(str::to_owned));
        }
        assert_eq!(line[4..], ["--username", "a"]);
        assert_eq!(line[1], "--folder=/a");
    }

    #[test]
    fn paths_become_absolute_and_the_rest_stays() {
        let mut line =
            ["peer", "--folder", "share", "--transfer-log=log", "--username", "a", "--share", "x=y"]
                .map(str::to_owned);
        make_value_absolute(&mut line, "--folder");
        make_value_absolute(&mut line, "--share");
        make_value_absolute(&mut line, "--transfer-log");
        let current = std::env::current_dir().unwrap();
        assert_eq!(line[2], current.join("share").display().to_string());
        assert_eq!(line[3], format!("--transfer-log={}", current.join("log").display()));
        assert_eq!((&*line[4], &*line[5]), ("--username", "a"));
        assert_eq!(line[7], current.join("x=y").display().to_string());
    }
}
