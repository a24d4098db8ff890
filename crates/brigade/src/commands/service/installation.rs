//! Where services are installed on this machine, and how its service manager is asked: systemd on Linux, launchd on
//! macOS.
//!
//! Where systemd does not run, as in a container, the file is written all the same, and the commands to run later are
//! printed.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
    process::Command,
};

use brigade_node::user_account::brigade_home;

use super::{
    account::{ACCOUNT, give, owner, user_number},
    install_options::{InstallOptions, made_absolute},
    launchd_file::launchd_file,
    own_files::{disk, read_own, shown},
    service_names::Scope,
    systemd_unit::{UnitValues, unit},
};
use crate::{
    checked_home::NO_HOME,
    failure::{FAILED, Failure},
    settings::Settings,
};

/// `BRIGADE_HOME` of a service of the machine.
const SYSTEM_HOME: &str = "/var/lib/brigade/home";

/// The place of the files of services, and the folder for the state of each.
pub(super) struct Installation {
    scope: Scope,
    /// The folder of the units, or of the files of launchd.
    files: PathBuf,
    /// `BRIGADE_HOME` of the services.
    home: PathBuf,
    program: PathBuf,
}

/// The state of a service, as far as the service manager tells it.
#[derive(Debug, Default)]
pub(super) struct ServiceState {
    /// `active`, `failed`, …
    pub(super) active: Option<String>,
    /// `enabled`, `disabled`, …
    pub(super) enabled: Option<String>,
    /// What the service says that it does.
    pub(super) text: Option<String>,
}

impl Installation {
    /// The place for services of this scope.
    ///
    /// # Errors
    /// If the account has no home, or the system has no service manager that is known here.
    pub(super) fn find(scope: Scope) -> Result<Self, Failure> {
        let program = this_program().map_err(|error| Failure::other("finding this program", &error))?;
        let files = match scope {
            _ if !cfg!(any(target_os = "linux", target_os = "macos")) => {
                let failure = Failure::new(FAILED, "this command knows no service manager of this system");
                return Err(failure.hint(
                    "docs/operating.md has the steps for Windows (the task scheduler); elsewhere run `brigade peer --headless`",
                ));
            }
            Scope::System if cfg!(target_os = "macos") => PathBuf::from("/Library/LaunchDaemons"),
            Scope::System => PathBuf::from("/etc/systemd/system"),
            Scope::User => user_files()?,
        };
        let home = match scope {
            Scope::System => PathBuf::from(SYSTEM_HOME),
            Scope::User => brigade_home().ok_or_else(no_home)?,
        };
        let home = std::path::absolute(&home).unwrap_or(home);
        Ok(Self { scope, files, home, program })
    }

    /// The file of a service.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        let ending = if cfg!(target_os = "macos") { "plist" } else { "service" };
        self.files.join(format!("{name}.{ending}"))
    }

    /// The names and files of the installed services.
    pub(super) fn installed(&self) -> Vec<(String, PathBuf)> {
        let mut found = vec![];
        for entry in fs::read_dir(&self.files).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let stem = name.strip_suffix(".service").or_else(|| name.strip_suffix(".plist"));
            if let Some(stem) = stem.filter(|stem| stem.starts_with("brigade-"))
                && read_own(&entry.path()).is_ok_and(|text| text.is_some())
            {
                found.push((stem.to_owned(), entry.path()));
            }
        }
        found.sort();
        found
    }

    /// The text of the file of a service.
    ///
    /// # Errors
    /// If the account of a service of the machine has no valid name.
    pub(super) fn text(&self, name: &str, options: &InstallOptions) -> Result<String, Failure> {
        let mut command = vec![self.program.display().to_string()];
        command.extend(options.line.iter().cloned());
        let environment = self.environment();
        if cfg!(target_os = "macos") {
            let log = self.home.join(format!("{name}.log"));
            return Ok(launchd_file(name, &command, &environment, &log.display().to_string()));
        }
        let account = self.account(options)?;
        let folders = options.folders();
        let mut writable: Vec<&Path> = folders.iter().map(PathBuf::as_path).collect();
        writable.push(&self.home);
        let is_system = self.scope == Scope::System;
        Ok(unit(&UnitValues {
            description: &format!("Brigade {}", name.trim_start_matches("brigade-")),
            command,
            environment,
            account: account.as_deref(),
            writable,
            is_system,
            is_confined: is_system || has_user_namespaces(),
        }))
    }

    /// The variables of settings in this environment: the command line was checked with them.
    fn environment(&self) -> Vec<(String, String)> {
        let mut variables = vec![("BRIGADE_HOME".to_owned(), self.home.display().to_string())];
        for name in Settings::variables().filter(|name| *name != "BRIGADE_HOME") {
            let value = env::var(name).ok().filter(|value| !value.is_empty());
            let value = value.map(|value| if is_path(name) { made_absolute(&value) } else { value });
            variables.extend(value.map(|value| (name.to_owned(), value)));
        }
        variables
    }

    /// The account of a service of the machine.
    fn account(&self, options: &InstallOptions) -> Result<Option<String>, Failure> {
        if self.scope == Scope::User {
            return Ok(None);
        }
        let account = options.account.clone().unwrap_or_else(|| ACCOUNT.to_owned());
        let is_allowed = |character: char| character.is_ascii_alphanumeric() || "-_.".contains(character);
        if account.is_empty() || !account.chars().all(is_allowed) {
            return Err(Failure::new(FAILED, format!("{account:?} cannot be the name of an account")));
        }
        Ok(Some(account))
    }

    /// Makes a folder of the service and its home, if they do not exist; they belong to the account of the service then.
    ///
    /// # Errors
    /// If a folder cannot be made, or the account does not exist.
    pub(super) fn make_folder(&self, folder: &Path, options: &InstallOptions) -> Result<(), Failure> {
        let owner = match self.account(options)? {
            Some(account) => Some(owner(&account)?),
            None => None,
        };
        for folder in [&self.home, folder] {
            if folder.is_dir() {
                continue;
            }
            fs::create_dir_all(folder).map_err(|error| disk("make the folder", folder, &error))?;
            give(folder, owner)
                .map_err(|error| disk("give to the account of the service", folder, &error))?;
        }
        Ok(())
    }

    /// What a person should know after the installation.
    pub(super) fn notes(&self, options: &InstallOptions) -> Vec<String> {
        let mut notes = vec![];
        if self.scope == Scope::User && cfg!(target_os = "linux") {
            notes.push(
                "it runs while this user is logged in; `loginctl enable-linger` lets it run all the time"
                    .to_owned(),
            );
            if !has_user_namespaces() {
                notes.push(
                    "this system has no user namespaces for users: the unit does not protect other folders"
                        .to_owned(),
                );
            }
        }
        if self.scope == Scope::System
            && let Some(file) =
                brigade_home().map(|home| home.join("brigade.toml")).filter(|file| file.exists())
        {
            let (own, of_service) = (shown(&file), self.home.join("brigade.toml"));
            notes.push(format!("the service reads {}, and not {own}", shown(&of_service)));
        }
        if let (Some(folder), Ok(Some(account))) = (&options.folder, self.account(options)) {
            notes.push(format!(
                "the account {account} must be allowed to write to {}: `brigade doctor --folder` as that account tests it",
                shown(folder)
            ));
        }
        notes
    }

    /// The commands that start the service after its file was written.
    pub(super) fn commands_after_install(&self, name: &str, was_there: bool) -> Vec<Vec<String>> {
        if cfg!(target_os = "macos") {
            let file = self.file(name).display().to_string();
            let unload = self.launchctl(&["bootout", &self.domain(), &file]);
            let load = self.launchctl(&["bootstrap", &self.domain(), &file]);
            return if was_there { vec![unload, load] } else { vec![load] };
        }
        let unit = format!("{name}.service");
        let mut commands =
            vec![self.systemctl(&["daemon-reload"]), self.systemctl(&["enable", "--now", &unit])];
        if was_there {
            commands.push(self.systemctl(&["restart", &unit]));
        }
        commands
    }

    /// The commands that stop the service before its file is removed.
    pub(super) fn commands_before_removal(&self, name: &str) -> Vec<Vec<String>> {
        if cfg!(target_os = "macos") {
            let file = self.file(name).display().to_string();
            return vec![self.launchctl(&["bootout", &self.domain(), &file])];
        }
        vec![self.systemctl(&["disable", "--now", &format!("{name}.service")])]
    }

    /// The commands after the file was removed.
    pub(super) fn commands_after_removal(&self) -> Vec<Vec<String>> {
        if cfg!(target_os = "macos") { vec![] } else { vec![self.systemctl(&["daemon-reload"])] }
    }

    /// The state of a service.
    pub(super) fn state(&self, name: &str) -> ServiceState {
        let mut state = ServiceState::default();
        if cfg!(target_os = "macos") {
            let listed = Command::new("launchctl").args(["list", name]).output();
            state.active =
                listed.ok().map(|out| if out.status.success() { "loaded" } else { "not loaded" }.to_owned());
            return state;
        }
        let unit = format!("{name}.service");
        let show = self.systemctl(&["show", &unit, "--property=ActiveState,UnitFileState,StatusText"]);
        let Ok(out) = Command::new(&show[0]).args(&show[1..]).output() else { return state };
        for line in String::from_utf8_lossy(&out.stdout).lines() {
            let Some((property, value)) = line.split_once('=').filter(|(_, value)| !value.is_empty()) else {
                continue;
            };
            let value = Some(value.to_owned());
            match property {
                "ActiveState" => state.active = value,
                "UnitFileState" => state.enabled = value,
                "StatusText" => state.text = value,
                _ => {}
            }
        }
        state
    }

    fn systemctl(&self, arguments: &[&str]) -> Vec<String> {
        let user = (self.scope == Scope::User).then_some("--user");
        let words = ["systemctl"].into_iter().chain(user).chain(arguments.iter().copied());
        words.map(str::to_owned).collect()
    }

    fn launchctl(&self, arguments: &[&str]) -> Vec<String> {
        ["launchctl"].iter().chain(arguments).map(|word| (*word).to_owned()).collect()
    }

    /// The domain of launchd.
    fn domain(&self) -> String {
        match self.scope {
            Scope::System => "system".to_owned(),
            Scope::User => format!("gui/{}", user_number()),
        }
    }
}

/// Whether the variable has a path, which is relative to the current directory now.
fn is_path(variable: &str) -> bool {
    ["BRIGADE_FOLDER", "BRIGADE_INTO", "BRIGADE_MANAGER_STATE", "BRIGADE_TRANSFER_LOG"].contains(&variable)
}

/// The path of this program. Where `/proc` is not mounted, it is known only if the command line has the whole path.
fn this_program() -> io::Result<PathBuf> {
    let typed = || env::args_os().next().map(PathBuf::from).filter(|path| path.is_absolute());
    env::current_exe().or_else(|error| typed().ok_or(error))
}

fn user_files() -> Result<PathBuf, Failure> {
    let absolute = |name: &str| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    if cfg!(target_os = "macos") {
        return absolute("HOME").map(|home| home.join("Library/LaunchAgents")).ok_or_else(no_home);
    }
    let config = absolute("XDG_CONFIG_HOME").or_else(|| absolute("HOME").map(|home| home.join(".config")));
    config.map(|config| config.join("systemd/user")).ok_or_else(no_home)
}

fn no_home() -> Failure {
    Failure::new(FAILED, format!("there is no folder for the services of this user: {NO_HOME}"))
        .hint("set HOME, or install a service of the machine with --system as root")
}

/// Whether a service manager of a user can give a service its own view of the file system.
fn has_user_namespaces() -> bool {
    let is = |file: &str, value: &str| fs::read_to_string(file).is_ok_and(|text| text.trim() == value);
    !is("/proc/sys/kernel/unprivileged_userns_clone", "0")
        && !is("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1")
        && !is("/proc/sys/user/max_user_namespaces", "0")
}
