//! The options of a peer and a manager about their log lines, and about the log of transfers.
//!
//! `log` writes the lines, `transfer_log` the log of transfers; `settings` has the values for options that are not given.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::{command_line::value_parsers::path, log::check_filter};

/// The format of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// Lines for people.
    Text,
    /// A JSON object on each line.
    Json,
}

#[derive(Debug, Args)]
pub(crate) struct LogOptions {
    /// The format of all lines on standard error: text or json [default: text]
    #[arg(long, alias = "log_format", value_name = "FORMAT", value_enum, hide_possible_values = true)]
    pub(crate) log_format: Option<LogFormat>,
    /// The log lines to write: info, debug, warn,brigade_node=trace, … [default: warn]
    #[arg(long, alias = "log_filter", value_name = "FILTER", value_parser = parse_filter)]
    pub(crate) log_filter: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct TransferLogOption {
    /// Write a line of JSON to this file for each fetch that ends and each downloader that was served
    #[arg(long, alias = "transfer_log", value_name = "PATH", value_parser = path())]
    pub(crate) transfer_log: Option<PathBuf>,
}

fn parse_filter(text: &str) -> Result<String, String> {
    check_filter(text).map(|()| text.to_owned())
}
