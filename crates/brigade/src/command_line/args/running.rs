//! The command lines of the commands for a peer or a manager that runs on this machine.
//!
//! Each names the folder of the peer or the state folder of the manager, or leaves that to the environment and the
//! current directory. The files in `commands/running` and `commands/manager_state` implement them.

use std::path::PathBuf;

use brigade_core::{limit_plan::Direction, name::FileName};
use clap::{Args, ValueEnum};

use crate::command_line::value_parsers::{TypedLimit, parse_limit, parse_line_count, parse_share_name, path};

/// Which fetches come first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum PriorityChoice {
    High,
    Normal,
    Low,
}

/// The direction of a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum DirectionChoice {
    Up,
    Down,
}

impl From<DirectionChoice> for Direction {
    fn from(chosen: DirectionChoice) -> Self {
        match chosen {
            DirectionChoice::Up => Self::Up,
            DirectionChoice::Down => Self::Down,
        }
    }
}

/// The running peer that a command is for, and the form of its output.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct RunningPeer {
    /// The folder of the running peer [default: BRIGADE_FOLDER, the current directory or one above it, or that of the
    /// only peer that runs]
    #[arg(long, value_name = "DIR", value_parser = path())]
    pub(crate) folder: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) output: OutputOptions,
}

/// The running manager that a command is for, and the form of its output.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct RunningManager {
    /// The state folder of the running manager [default: that of the only manager that runs]
    #[arg(long, value_name = "DIR", value_parser = path())]
    pub(crate) state: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) output: OutputOptions,
}

/// The running peer or manager that a command is for, and the form of its output.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct RunningNode {
    #[command(flatten)]
    pub(crate) peer: RunningPeer,
    /// The manager that runs on this machine, not a peer
    #[arg(long, conflicts_with = "folder")]
    pub(crate) manager: bool,
    /// The manager with this state folder
    #[arg(long, value_name = "DIR", value_parser = path(), conflicts_with = "folder")]
    pub(crate) state: Option<PathBuf>,
}

/// The form of the output.
#[derive(Debug, Clone, Copy, Default, Args)]
pub(crate) struct OutputOptions {
    /// Print one JSON object per line on standard output
    #[arg(long)]
    pub(crate) json: bool,
    /// Print only what was asked for, and errors
    #[arg(long)]
    pub(crate) quiet: bool,
}

/// The fetches that a command changes.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct ChosenFetches {
    /// Numbers of fetches, or their names; `brigade transfers` lists them
    #[arg(value_name = "FETCH", required_unless_present = "all", conflicts_with = "all")]
    pub(crate) fetches: Vec<String>,
    /// All fetches that have not ended
    #[arg(long)]
    pub(crate) all: bool,
}

#[derive(Debug, Args)]
pub(crate) struct TransfersArgs {
    /// Show the changes until interrupted
    #[arg(long)]
    pub(crate) watch: bool,
    /// Show the fetches that have ended, too
    #[arg(long)]
    pub(crate) all: bool,
    #[command(flatten)]
    pub(crate) peer: RunningPeer,
}

#[derive(Debug, Args)]
pub(crate) struct PauseArgs {
    #[command(flatten)]
    pub(crate) chosen: ChosenFetches,
    #[command(flatten)]
    pub(crate) peer: RunningPeer,
}

#[derive(Debug, Args)]
pub(crate) struct ResumeArgs {
    #[command(flatten)]
    pub(crate) chosen: ChosenFetches,
    #[command(flatten)]
    pub(crate) peer: RunningPeer,
}

#[derive(Debug, Args)]
pub(crate) struct CancelArgs {
    #[command(flatten)]
    pub(crate) chosen: ChosenFetches,
    #[command(flatten)]
    pub(crate) peer: RunningPeer,
}

#[derive(Debug, Args)]
pub(crate) struct PrioritizeArgs {
    #[command(flatten)]
    pub(crate) chosen: ChosenFetches,
    /// The new priority
    #[arg(required = true, value_enum)]
    pub(crate) priority: PriorityChoice,
    #[command(flatten)]
    pub(crate) peer: RunningPeer,
}

#[derive(Debug, Args)]
pub(crate) struct LimitArgs {
    /// The direction: what the peer sends, or what it receives
    #[arg(value_enum, requires = "limit")]
    pub(crate) direction: Option<DirectionChoice>,
    /// Bytes per second, such as 10MB; off for no limit; auto for the limit of options, schedule and settings
    #[arg(value_name = "RATE", value_parser = parse_limit, allow_negative_numbers = true)]
    pub(crate) limit: Option<TypedLimit>,
    #[command(flatten)]
    pub(crate) peer: RunningPeer,
}

#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    #[command(flatten)]
    pub(crate) of: RunningNode,
}

#[derive(Debug, Args)]
pub(crate) struct StopArgs {
    #[command(flatten)]
    pub(crate) of: RunningNode,
}

#[derive(Debug, Args)]
pub(crate) struct LogArgs {
    /// The number of the last lines to print
    #[arg(short = 'n', long, value_name = "COUNT", default_value_t = 100, value_parser = parse_line_count, allow_negative_numbers = true)]
    pub(crate) lines: usize,
    /// Print new lines until interrupted
    #[arg(short, long)]
    pub(crate) follow: bool,
    #[command(flatten)]
    pub(crate) of: RunningNode,
}

#[derive(Debug, Args)]
pub(crate) struct ShareArgs {
    /// The folder or file; nothing is written into it
    #[arg(value_name = "PATH", value_parser = path())]
    pub(crate) path: PathBuf,
    /// The name in the network [default: the last part of PATH]
    #[arg(long = "as", value_name = "NAME", value_parser = parse_share_name)]
    pub(crate) name: Option<FileName>,
    #[command(flatten)]
    pub(crate) peer: RunningPeer,
}

#[derive(Debug, Args)]
pub(crate) struct UnshareArgs {
    /// The name in the network, or the path; `brigade shares` lists them
    #[arg(value_name = "NAME|PATH")]
    pub(crate) share: String,
    #[command(flatten)]
    pub(crate) peer: RunningPeer,
}

#[derive(Debug, Args)]
pub(crate) struct SharesArgs {
    #[command(flatten)]
    pub(crate) peer: RunningPeer,
}

#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// Only the file of this name, or the files below it
    #[arg(value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// Fetch the damaged files again from other holders
    #[arg(long)]
    pub(crate) repair: bool,
    #[command(flatten)]
    pub(crate) peer: RunningPeer,
}

#[derive(Debug, Args)]
pub(crate) struct MembersArgs {
    #[command(flatten)]
    pub(crate) manager: RunningManager,
}

#[derive(Debug, Args)]
pub(crate) struct BackupArgs {
    /// The new file; an existing one is not replaced
    #[arg(value_parser = path())]
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) manager: RunningManager,
}

#[derive(Debug, Args)]
pub(crate) struct RestoreArgs {
    /// The backup
    #[arg(value_parser = path())]
    pub(crate) file: PathBuf,
    /// The state folder of the new manager; it must not have the state of a manager
    #[arg(long, value_name = "DIR", required = true, value_parser = path())]
    pub(crate) state: PathBuf,
    #[command(flatten)]
    pub(crate) output: OutputOptions,
}

#[derive(Debug, Args)]
pub(crate) struct UiArgs {
    /// The folder of the running peer [default: BRIGADE_FOLDER, the current directory or one above it, or that of the
    /// only peer or manager that runs]
    #[arg(long, value_name = "DIR", value_parser = path())]
    pub(crate) folder: Option<PathBuf>,
    /// The manager that runs on this machine, not a peer
    #[arg(long, conflicts_with = "folder")]
    pub(crate) manager: bool,
    /// The manager with this state folder
    #[arg(long, value_name = "DIR", value_parser = path(), conflicts_with = "folder")]
    pub(crate) state: Option<PathBuf>,
}
