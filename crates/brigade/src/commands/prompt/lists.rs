//! `files` and `peers` at the prompt: a bounded number of rows.
//!
//! `catalogue` has the commands of a shell, which list everything.

use brigade_node::peer::{FileListing, PeerHandle};

use crate::{
    command_line::value_parsers::parse_prefix,
    commands::catalogue::{file_row, files, peer_columns},
    failure::{Failure, USAGE},
    notices::incomplete_catalogue::incomplete_note,
    text::value_suggestions,
};

/// The most rows of a list; `brigade files` has all.
pub(super) const ROWS: usize = 1000;

/// The files that `text`, a prefix or a pattern, fits.
pub(super) async fn files(peer: &PeerHandle, text: &str) -> Result<String, Failure> {
    let text = value_suggestions::unquoted(text);
    let wrong = |reason: String| Failure::new(USAGE, format!("the text after `files` is too long: {reason}"));
    let mut browsing = FileListing::of(&parse_prefix(text).map_err(wrong)?)?;
    let mut rows = vec![];
    let mut incomplete_ms = None;
    while let Some((prefix, after)) = browsing.question() {
        let page = peer.files(&prefix, after).await?;
        incomplete_ms = page.incomplete_ms;
        rows.extend(browsing.take(page).iter().map(file_row::row));
        if rows.len() > ROWS {
            rows.truncate(ROWS);
            rows.push(format!(
                "… and more: these are the first {ROWS}; `files PREFIX` shows fewer, `brigade files` all"
            ));
            break;
        }
    }
    browsing.ended()?;
    if rows.is_empty() {
        rows.push(files::no_files(text));
    }
    rows.extend(incomplete_note(incomplete_ms));
    Ok(rows.join("\n"))
}

/// The table of peers.
pub(super) async fn peers(peer: &PeerHandle) -> Result<String, Failure> {
    let columns = peer_columns::Columns::of_output();
    let mut rows = vec![columns.head()];
    let mut after = None;
    let incomplete_ms = loop {
        let page = peer.peers(after).await?;
        rows.extend(page.rows.iter().map(|peer| columns.row(peer)));
        after = page.rows.last().map(|last| last.username.clone());
        if !page.more || after.is_none() || rows.len() > ROWS {
            break page.incomplete_ms;
        }
    };
    rows.extend(incomplete_note(incomplete_ms));
    Ok(rows.join("\n"))
}
