//! The command line as types. `command_line` reads it and reports its mistakes; `settings` has the values for options
//! that are not given.
//!
//! `docs/operating.md` describes the options; the files in `commands/` implement them.

use std::path::PathBuf;

use brigade_core::{id::PeerKey, name::Username, rate::Cap};
use brigade_node::peer::{ManagerAddress, SharedPath};
use clap::{Args, Parser, Subcommand};

use super::value_parsers::{
    KeepTime, parse_cap, parse_count, parse_host, parse_keep, parse_manager_host, parse_manager_port,
    parse_name, parse_port, parse_prefix, path, share,
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
    #[command(after_help = SETTINGS_HELP)]
    Fetch(FetchArgs),
    /// Lists the files in the network
    #[command(after_help = SETTINGS_HELP)]
    Files(FilesArgs),
    /// Lists the peers in the network
    #[command(after_help = SETTINGS_HELP)]
    Peers(PeersArgs),
    /// Shows Brigade at work: a manager and four peers on this machine, with a real file
    Demo(DemoArgs),
    /// Prints a script for command line completion: `brigade completions bash`
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Prints the manual page
    Man,
}

/// The options that name the manager.
#[derive(Debug, Args)]
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
    /// A folder or a file elsewhere to share too, where it is, under its last component or under NAME; nothing is
    /// written there. May be given several times
    #[arg(long, value_name = "PATH[=NAME]", value_parser = share())]
    pub(crate) share: Vec<SharedPath>,
    /// No prompt: run until terminated, and print `ready` when everything in the folder is announced
    #[arg(long)]
    pub(crate) headless: bool,
}

#[derive(Debug, Args)]
pub(crate) struct FetchArgs {
    /// Files or folders, by name, or patterns such as 'data/**/*.bin'; NAME@ID-PREFIX chooses one of several contents
    #[arg(required = true, value_name = "NAME", value_parser = parse_name)]
    pub(crate) names: Vec<String>,
    /// The folder to fetch into
    #[arg(long, default_value = ".", value_name = "DIR", value_parser = path())]
    pub(crate) into: PathBuf,
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
    /// Print one JSON object per line on standard output; the last one has the totals
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) peer: PeerOptions,
}

#[derive(Debug, Args)]
pub(crate) struct FilesArgs {
    /// Only names that begin with this text, or that match a pattern such as '**/*.bin'
    #[arg(default_value = "", hide_default_value = true, value_parser = parse_prefix)]
    pub(crate) prefix: String,
    /// Print one JSON object per line
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) manager: ManagerOptions,
}

#[derive(Debug, Args)]
pub(crate) struct PeersArgs {
    /// Print one JSON object per line
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) manager: ManagerOptions,
}

#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// The file to fetch [default: this program itself]
    pub(crate) path: Option<PathBuf>,
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
