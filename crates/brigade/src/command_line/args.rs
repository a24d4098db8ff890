//! The command line as types. `command_line` reads it and reports its mistakes; `settings` has the values for options
//! that are not given.
//!
//! `docs/operating.md` describes the options; the files in `commands/` implement them. [`running`] has the commands for
//! a peer or a manager that runs.

mod log_options;
pub(crate) mod running;
mod service;

use std::{ffi::OsString, path::PathBuf, time::Duration};

use brigade_core::{id::PeerKey, name::Username, rate::Cap};
use brigade_node::peer::{ManagerAddress, SharedPath};
use clap::{Args, Parser, Subcommand};

use self::running::{
    BackupArgs, CancelArgs, LimitArgs, LogArgs, MembersArgs, PauseArgs, PrioritizeArgs, PriorityChoice,
    RestoreArgs, ResumeArgs, ShareArgs, SharesArgs, StatusArgs, StopArgs, TransfersArgs, UiArgs, UnshareArgs,
    VerifyArgs,
};
pub(crate) use self::{
    log_options::{LogFormat, LogOptions, TransferLogOption},
    service::{
        InstallArgs, ServiceAction, ServiceArgs, ServiceProgram, ServiceScope, ServiceSelection,
        ServiceStatusArgs,
    },
};
use super::value_parsers::{
    KeepTime, parse_cap, parse_count, parse_duration, parse_host, parse_keep, parse_manager_host,
    parse_manager_port, parse_name, parse_port, parse_prefix, path, share,
};
use crate::checked_home::home;

/// Printed at the end of the help of each command that takes values from the settings.
const SETTINGS_HELP: &str = "Options that are not given are taken from environment variables, then from brigade.toml in \
                             BRIGADE_HOME, then from the defaults: see docs/operating.md.";

/// The host of a manager.
pub(crate) const DEFAULT_HOST: &str = "localhost";
/// The port of a manager.
const DEFAULT_PORT: u16 = 12_000;
/// The largest number of peers of a manager, and of connections of a peer.
pub(crate) const DEFAULT_MAX: usize = 20;

/// A private peer-to-peer network for files: a file is fetched from all holders at once, and each piece is verified and
/// passed on
#[derive(Debug, Parser)]
#[command(name = "brigade", version, max_term_width = 100, arg_required_else_help = true)]
pub(crate) struct Brigade {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Runs the network's manager: it knows the peers and their files, and never receives the content of a file
    #[command(after_help = SETTINGS_HELP)]
    Manager(ManagerArgs),
    /// Shares a folder, and fetches files of others at a prompt
    #[command(after_help = SETTINGS_HELP)]
    Peer(PeerArgs),
    /// Fetches files or folders without a prompt
    #[command(after_help = SETTINGS_HELP, alias = "get")]
    Fetch(FetchArgs),
    /// Lists the files in the network
    #[command(after_help = SETTINGS_HELP, alias = "ls")]
    Files(FilesArgs),
    /// Lists the peers in the network
    #[command(after_help = SETTINGS_HELP)]
    Peers(PeersArgs),
    /// Lists the fetches of a running peer, and what it sends
    Transfers(TransfersArgs),
    /// Pauses fetches of a running peer: no more bytes arrive, and what is here is kept
    Pause(PauseArgs),
    /// Resumes paused fetches of a running peer
    Resume(ResumeArgs),
    /// Ends fetches of a running peer; verified pieces are kept, and the same fetch resumes
    Cancel(CancelArgs),
    /// Sets which fetches of a running peer come first
    #[command(allow_missing_positional = true)]
    Prioritize(PrioritizeArgs),
    /// Shows the limits of a running peer, or sets one
    Limit(LimitArgs),
    /// Shows what a running peer shares, sends and fetches, and what it does not share and why
    Status(StatusArgs),
    /// Shares an existing folder or file in place, with a running peer
    Share(ShareArgs),
    /// Ends the sharing of a folder or file that is shared in place
    Unshare(UnshareArgs),
    /// Lists the folders and files that a running peer shares in place
    Shares(SharesArgs),
    /// Hashes the shared files of a running peer again, and names those that are damaged on the disk
    Verify(VerifyArgs),
    /// Prints the log of a running peer or manager
    Log(LogArgs),
    /// Stops a running peer or manager
    Stop(StopArgs),
    /// Shows the screen of a running peer or manager
    Ui(UiArgs),
    /// Lists the members of the network, at its running manager
    Members(MembersArgs),
    /// Copies the key and the members of the running manager into one file
    Backup(BackupArgs),
    /// Restores the state of a manager from a backup
    Restore(RestoreArgs),
    /// Checks everything that a peer needs, and says what to do about each fault
    #[command(after_help = SETTINGS_HELP)]
    Doctor(DoctorArgs),
    /// Installs, removes and shows services that start with the machine or the session
    Service(ServiceArgs),
    /// Shows Brigade at work: a manager and four peers on this machine, with a real file
    Demo(DemoArgs),
    /// Prints a script for command line completion: `brigade completions bash`
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Prints the manual in roff, or writes a page for each command
    Man {
        /// Only the page of this command
        #[arg(value_name = "COMMAND", conflicts_with = "dir")]
        page: Option<String>,
        /// Write one file for each page into this folder
        #[arg(long, value_name = "DIR", value_parser = path())]
        dir: Option<PathBuf>,
    },
    /// Prints the words that complete a command line, for the scripts of `completions`
    #[command(hide = true)]
    Complete(CompleteArgs),
}

/// The options that name the manager.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct ManagerOptions {
    /// The manager's host: a name or an address
    #[arg(long, alias = "manager_host", default_value = DEFAULT_HOST, value_name = "HOST", value_parser = parse_manager_host)]
    pub(crate) manager_host: String,
    /// The manager's TCP port
    #[arg(long, alias = "manager_port", default_value_t = DEFAULT_PORT, value_name = "PORT", value_parser = parse_manager_port, allow_negative_numbers = true)]
    pub(crate) manager_port: u16,
    /// The manager's key, if you know it; otherwise the manager must have the key that it had at the first contact
    #[arg(long, alias = "manager_key", value_name = "KEY")]
    pub(crate) manager_key: Option<PeerKey>,
}

impl ManagerOptions {
    /// The address that the options name, with the folder of the user's known managers.
    pub(crate) fn address(&self) -> ManagerAddress {
        ManagerAddress::new(&self.manager_host, self.manager_port).key(self.manager_key).home(home())
    }
}

#[derive(Debug, Args)]
pub(crate) struct ManagerArgs {
    /// Where to listen: a name or an address of this machine
    #[arg(long, default_value = DEFAULT_HOST, value_parser = parse_host)]
    pub(crate) host: String,
    /// The TCP port to listen on
    #[arg(long, default_value_t = DEFAULT_PORT, value_parser = parse_port, allow_negative_numbers = true)]
    pub(crate) port: u16,
    /// The largest number of peers at the same time
    #[arg(long, default_value_t = DEFAULT_MAX, value_name = "COUNT", value_parser = parse_count, allow_negative_numbers = true)]
    pub(crate) max: usize,
    /// The folder for the manager's key and members [default: in BRIGADE_HOME, one for each port]
    #[arg(long, value_name = "DIR", value_parser = path())]
    pub(crate) state: Option<PathBuf>,
    /// Start although other machines can reach HOST: everyone who reaches the port may join, and read everything that
    /// is shared
    #[arg(long)]
    pub(crate) open: bool,
    #[command(flatten)]
    pub(crate) log: LogOptions,
    /// Log lines instead of the screen, also at a terminal
    #[arg(long)]
    pub(crate) plain: bool,
}

/// The options of a peer, with a prompt or without.
#[derive(Debug, Args)]
pub(crate) struct PeerOptions {
    #[command(flatten)]
    pub(crate) manager: ManagerOptions,
    /// Where to listen for other peers [default: all addresses, or only this machine if the manager listens only there]
    #[arg(long, value_parser = parse_host)]
    pub(crate) host: Option<String>,
    /// The TCP port to listen on; 0 takes a free one
    #[arg(long, value_parser = parse_port, allow_negative_numbers = true)]
    pub(crate) port: Option<u16>,
    /// The name in the network; it is bound to the key of the folder
    #[arg(long)]
    pub(crate) username: Option<Username>,
    /// The largest number of connections with other peers, in both directions together
    #[arg(long, default_value_t = DEFAULT_MAX, value_name = "COUNT", value_parser = parse_count, allow_negative_numbers = true)]
    pub(crate) max: usize,
    /// Send at most this many bytes per second, over all connections: 10MB is 10⁷; off for no limit
    #[arg(long, alias = "upload_limit", value_name = "RATE", value_parser = parse_cap, allow_negative_numbers = true)]
    pub(crate) upload_limit: Option<Cap>,
    /// Receive at most this many bytes per second, over all connections
    #[arg(long, alias = "download_limit", value_name = "RATE", value_parser = parse_cap, allow_negative_numbers = true)]
    pub(crate) download_limit: Option<Cap>,
    /// How long to keep parts of files that are not being fetched: 30d, 12h; off to keep them forever
    #[arg(long, alias = "keep_parts", default_value = "30d", value_name = "TIME", value_parser = parse_keep, allow_negative_numbers = true)]
    pub(crate) keep_parts: KeepTime,
}

#[derive(Debug, Args)]
pub(crate) struct PeerArgs {
    #[command(flatten)]
    pub(crate) peer: PeerOptions,
    /// The folder to share; created if it does not exist [default: the username, in the current directory]
    #[arg(long, value_name = "DIR", value_parser = path())]
    pub(crate) folder: Option<PathBuf>,
    /// Lines instead of the screen, also at a terminal
    #[arg(long)]
    pub(crate) plain: bool,
    /// A folder or a file elsewhere to share too, where it is, under its last component or under NAME; nothing is
    /// written there. May be given several times
    #[arg(long, value_name = "PATH[=NAME]", value_parser = share())]
    pub(crate) share: Vec<SharedPath>,
    /// No prompt: run until terminated, and print `ready` when everything in the folder is announced
    #[arg(long)]
    pub(crate) headless: bool,
    #[command(flatten)]
    pub(crate) log: LogOptions,
    #[command(flatten)]
    pub(crate) transfer_log: TransferLogOption,
}

#[derive(Debug, Args)]
pub(crate) struct FetchArgs {
    /// Files or folders, by name, or patterns such as 'data/**/*.bin'; NAME@ID-PREFIX chooses one of several contents
    #[arg(required = true, value_name = "NAME", value_parser = parse_name)]
    pub(crate) names: Vec<String>,
    /// The folder to fetch into; if a peer runs in it, that peer fetches [default: .]
    #[arg(long, value_name = "DIR", value_parser = path())]
    pub(crate) into: Option<PathBuf>,
    /// Let the running peer of this folder fetch, into its folder
    #[arg(long, value_name = "DIR", value_parser = path(), conflicts_with = "into")]
    pub(crate) folder: Option<PathBuf>,
    /// Fetch only files and contents that this member shares
    #[arg(long, value_name = "USERNAME")]
    pub(crate) from: Option<Username>,
    /// Keep an existing file with another content as NAME.~1~, and put the fetched one in its place
    #[arg(long)]
    pub(crate) replace: bool,
    /// Continue to serve the fetched files, until terminated
    #[arg(long)]
    pub(crate) stay: bool,
    /// Create this file when everything is complete
    #[arg(long, alias = "done_file", value_name = "PATH", value_parser = path())]
    pub(crate) done_file: Option<PathBuf>,
    /// Wait until somebody shares a name that nobody shares yet, at most for this time if one is given
    #[arg(long, value_name = "TIME", num_args = 0..=1, require_equals = true, value_parser = parse_duration)]
    pub(crate) wait: Option<Option<Duration>>,
    /// End with exit code 7 when no byte has arrived for this time; what is here is kept
    #[arg(long, value_name = "TIME", value_parser = parse_duration, allow_negative_numbers = true)]
    pub(crate) timeout: Option<Duration>,
    /// Which fetches come first
    #[arg(long, value_name = "PRIORITY", value_enum, default_value_t = PriorityChoice::Normal, hide_default_value = true)]
    pub(crate) priority: PriorityChoice,
    /// Let a running peer fetch, print the numbers of the fetches, and return at once
    #[arg(long, conflicts_with_all = ["stay", "done_file", "timeout"])]
    pub(crate) detach: bool,
    /// Print one JSON object per line on standard output; the last one has the totals
    #[arg(long)]
    pub(crate) json: bool,
    /// Print only errors
    #[arg(long)]
    pub(crate) quiet: bool,
    #[command(flatten)]
    pub(crate) peer: PeerOptions,
}

#[derive(Debug, Args)]
pub(crate) struct FilesArgs {
    /// Only names that begin with this text, or that match a pattern such as '**/*.bin'
    #[arg(default_value = "", hide_default_value = true, value_parser = parse_prefix)]
    pub(crate) prefix: String,
    /// Show each folder as one line; a terminal gets this if the list is longer than the screen
    #[arg(long)]
    pub(crate) fold: bool,
    /// Show each file, at a terminal too
    #[arg(long, conflicts_with = "fold")]
    pub(crate) flat: bool,
    /// Show the contents of each name, with their holders and the time of the first announcement
    #[arg(long, conflicts_with = "fold")]
    pub(crate) long: bool,
    #[command(flatten)]
    pub(crate) of: CatalogueSource,
}

/// The options of the commands that list the catalogue.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct CatalogueSource {
    /// Ask the running peer of this folder [default: the one of BRIGADE_FOLDER, of the current directory, or the only
    /// one that runs; if none runs, the manager]
    #[arg(long, value_name = "DIR", value_parser = path(), conflicts_with_all = ["manager_host", "manager_port", "manager_key"])]
    pub(crate) folder: Option<PathBuf>,
    /// Print one JSON object per line
    #[arg(long)]
    pub(crate) json: bool,
    /// Print only the list and errors
    #[arg(long)]
    pub(crate) quiet: bool,
    #[command(flatten)]
    pub(crate) manager: ManagerOptions,
}

#[derive(Debug, Args)]
pub(crate) struct PeersArgs {
    #[command(flatten)]
    pub(crate) of: CatalogueSource,
}

#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    #[command(flatten)]
    pub(crate) manager: ManagerOptions,
    /// The folder that is shared or will be
    #[arg(long, default_value = ".", value_name = "DIR", value_parser = path())]
    pub(crate) folder: PathBuf,
    /// The TCP port on which the peer will listen; 0 takes a free one. A running peer is found
    #[arg(long, default_value_t = 0, value_parser = parse_port, allow_negative_numbers = true)]
    pub(crate) port: u16,
    /// The largest number of connections with other peers
    #[arg(long, default_value_t = DEFAULT_MAX, value_name = "COUNT", value_parser = parse_count, allow_negative_numbers = true)]
    pub(crate) max: usize,
    /// Print one JSON object per line
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// The file to fetch [default: this program itself]
    pub(crate) path: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct CompleteArgs {
    /// The shell
    pub(crate) shell: clap_complete::Shell,
    /// The words before the cursor, the first of which is the program; the last one is being typed
    #[arg(last = true, value_name = "WORD")]
    pub(crate) words: Vec<OsString>,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::Brigade;

    #[test]
    fn the_command_line_is_consistent() {
        Brigade::command().debug_assert();
    }
}
