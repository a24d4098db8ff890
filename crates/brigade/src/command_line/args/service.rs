//! The command line of `service`.
//!
//! `commands/service` implements it.

use std::ffi::OsString;

use clap::{Args, Subcommand, ValueEnum};

#[derive(Debug, Args)]
pub(crate) struct ServiceArgs {
    #[command(subcommand)]
    pub(crate) action: ServiceAction,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ServiceAction {
    /// Installs a service that starts with the machine or the session, and starts it
    #[command(after_help = INSTALL_HELP)]
    Install(InstallArgs),
    /// Stops a service and removes it; its folder and its files stay
    Remove(ServiceSelection),
    /// Shows the installed services, and whether they run
    Status(ServiceStatusArgs),
}

const INSTALL_HELP: &str = "Examples:\n  brigade service install peer --username fire_user --folder /srv/share --manager-host alpha\n  \
    brigade service install --system manager --host 0.0.0.0 --open\n  \
    brigade service install --dry-run peer --name second --username air_user --folder /srv/air";

/// The program that runs as a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ServiceProgram {
    /// A peer, without a prompt.
    Peer,
    /// A manager.
    Manager,
}

#[derive(Debug, Args)]
pub(crate) struct ServiceScope {
    /// A service of this user, without root [default, unless root runs the command]
    #[arg(long, conflicts_with = "system")]
    pub(crate) user: bool,
    /// A service of the machine; needs root
    #[arg(long)]
    pub(crate) system: bool,
}

#[derive(Debug, Args)]
pub(crate) struct InstallArgs {
    #[command(flatten)]
    pub(crate) scope: ServiceScope,
    /// Distinguishes several peers or managers of one account: letters, digits, `-` and `_`
    #[arg(long, value_name = "INSTANCE")]
    pub(crate) name: Option<String>,
    /// The account of a service of the machine [default: brigade]
    #[arg(long, value_name = "ACCOUNT")]
    pub(crate) account: Option<String>,
    /// Print the unit instead of installing it
    #[arg(long, alias = "dry_run")]
    pub(crate) dry_run: bool,
    /// peer or manager
    #[arg(value_enum, value_name = "PROGRAM")]
    pub(crate) program: ServiceProgram,
    /// The options of `brigade peer` or `brigade manager`; those above may be among them
    #[arg(value_name = "OPTIONS", trailing_var_arg = true, allow_hyphen_values = true)]
    pub(crate) options: Vec<OsString>,
}

#[derive(Debug, Args)]
pub(crate) struct ServiceSelection {
    #[command(flatten)]
    pub(crate) scope: ServiceScope,
    /// The instance that was given to `install`
    #[arg(long, value_name = "INSTANCE")]
    pub(crate) name: Option<String>,
    /// peer or manager
    #[arg(value_enum, value_name = "PROGRAM")]
    pub(crate) program: ServiceProgram,
}

#[derive(Debug, Args)]
pub(crate) struct ServiceStatusArgs {
    #[command(flatten)]
    pub(crate) scope: ServiceScope,
    /// Print one JSON object per line
    #[arg(long)]
    pub(crate) json: bool,
}
