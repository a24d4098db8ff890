//! `brigade share`, `unshare` and `shares`: the folders and files that a running peer shares in place.
//!
//! The peer checks what it may share, and says why it does not. The prompt prints the same texts.

use std::{
    path::{Path, absolute},
    process::ExitCode,
};

use brigade_api::{
    client::PeerClient,
    values::{NewShare, Share},
};
use brigade_core::{name::FileName, plural::count};

use super::{json, peer, print_result};
use crate::{
    command_line::args::running::{ShareArgs, SharesArgs, UnshareArgs},
    commands::json_events::with_failure,
    failure::{Failure, USAGE},
    terminal::{self, standard_output::print_line},
    text::{
        escape::escape,
        format,
        table::{TableColumn, table},
    },
};

const COLUMNS: [TableColumn; 5] = [
    TableColumn::text("name").at_least(12),
    TableColumn::number("files"),
    TableColumn::number("shared"),
    TableColumn::text("path").at_least(12),
    TableColumn::text("state").omitted(1),
];

/// Shares a folder or a file.
pub(crate) async fn share(args: ShareArgs) -> Result<ExitCode, Failure> {
    let shared = async {
        let share = add(&peer(&args.peer)?, &args.path, args.name.as_ref()).await?;
        print_result(args.peer.output, &shared_text(&share), &share);
        Ok(ExitCode::SUCCESS)
    };
    with_failure(shared.await, args.peer.output.json)
}

/// Ends a share.
pub(crate) async fn unshare(args: UnshareArgs) -> Result<ExitCode, Failure> {
    let ended = async {
        let share = remove(&peer(&args.peer)?, &args.share).await?;
        print_result(args.peer.output, &ended_text(&share), &share);
        Ok(ExitCode::SUCCESS)
    };
    with_failure(ended.await, args.peer.output.json)
}

/// Lists the shares.
pub(crate) async fn list(args: SharesArgs) -> Result<ExitCode, Failure> {
    let listed = async {
        let shares = peer(&args.peer)?.shares().await?;
        if args.peer.output.json {
            shares.iter().for_each(|share| print_line(&json(share).to_string()));
        } else {
            print_line(&text(&shares, terminal::output_columns()));
        }
        Ok(ExitCode::SUCCESS)
    };
    with_failure(listed.await, args.peer.output.json)
}

/// Shares `path`, which may be relative to the current directory, with a peer.
pub(crate) async fn add(client: &PeerClient, path: &Path, name: Option<&FileName>) -> Result<Share, Failure> {
    let whole = absolute(path).map_err(|error| Failure::of(USAGE, &error).hint("name an existing path"))?;
    let Some(whole) = whole.to_str() else {
        return Err(Failure::new(USAGE, format!("the path {} is not UTF-8", path.display()))
            .hint("share a folder above it, or rename it"));
    };
    Ok(client.share(&NewShare { path: whole.to_owned(), name: name.map(ToString::to_string) }).await?)
}

/// Ends the share with this name, or of this path.
pub(crate) async fn remove(client: &PeerClient, share: &str) -> Result<Share, Failure> {
    let shares = client.shares().await?;
    let is_known = |text: &str| shares.iter().any(|share| share.name == text || share.path == text);
    let whole = absolute(share).ok().and_then(|path| path.to_str().map(str::to_owned));
    let trimmed = share.trim_end_matches('/');
    let named = [Some(share.to_owned()), Some(trimmed.to_owned()), whole].into_iter().flatten();
    let named = named.into_iter().find(|text| is_known(text));
    Ok(client.unshare(&named.unwrap_or_else(|| share.to_owned())).await?)
}

pub(crate) fn shared_text(share: &Share) -> String {
    format!("{} is shared as {}", escape(&share.path), escape(&share.name))
}

pub(crate) fn ended_text(share: &Share) -> String {
    format!("{} is no longer shared", escape(&share.name))
}

/// The table of the shares.
pub(crate) fn text(shares: &[Share], width: Option<usize>) -> String {
    if shares.is_empty() {
        return "nothing is shared in place".to_owned();
    }
    let row = |share: &Share| {
        let state = match (&share.problem, share.backlog) {
            (Some(problem), _) => escape(problem).into_owned(),
            (None, 0) if share.configured => "of the settings".to_owned(),
            (None, 0) => String::new(),
            (None, left) => format!("hashing {}", count(left, "file")),
        };
        let name = escape(&share.name).into_owned();
        vec![
            name,
            share.files.to_string(),
            format::bytes(share.bytes),
            escape(&share.path).into_owned(),
            state,
        ]
    };
    table(&COLUMNS, &shares.iter().map(row).collect::<Vec<_>>(), width)
}
